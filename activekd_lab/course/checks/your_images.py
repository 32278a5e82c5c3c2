"""Checks of 05_your_images: classes without a label, labels worth a second look, how sure an accuracy is."""

from __future__ import annotations

from activekd_lab.course.checks.base import Function, at_random, call, drawing, register
from activekd_lab.course.checks.values import Wrong, close, distinct_positions, same, tensor_like


@register("05.without_label")
def without_label(function: Function) -> str:
    """Check the names of classes without a label."""
    import torch  # noqa: PLC0415  (slow import)

    names, generator = ["cat", "dog", "owl", "fox"], drawing()
    found = call(function, [1, 1, 3], names)
    if isinstance(found, set | frozenset):
        raise Wrong("Expected a list of names in the order of class_names, but got a set, which keeps no order.")
    if not isinstance(found, list | tuple):
        raise Wrong(f"Expected a list of names, but got {type(found).__name__}.")
    if list(found) == ["dog", "fox"]:
        raise Wrong("These are the classes that have a label; return the others.")
    if list(found) == [0, 2]:
        raise Wrong("These are class numbers; return their names.")
    if set(found) == {"cat", "owl"} and list(found) != ["cat", "owl"]:
        raise Wrong("The right names in another order, or twice; keep the order of class_names.")
    if list(found) != ["cat", "owl"]:
        raise Wrong(
            f"With labels [1, 1, 3] for cat, dog, owl, fox, the answer is ['cat', 'owl'], but got {list(found)}."
        )
    if list(call(function, [], names)) != names:
        raise Wrong("Without any label, every class is missing one.")
    for _ in range(4):
        labels = torch.randint(9, (8,), generator=generator).tolist()
        letters = [f"class {int(i)}" for i in torch.randperm(9, generator=generator)]
        expected = [letter for c, letter in enumerate(letters) if c not in labels]
        if list(call(function, labels, letters)) != expected:
            raise Wrong(f"With labels {labels} of nine classes, the answer should be {expected}.")
    return "Right: dog was labelled twice and fox once, cat and owl are still unknown."


@register("05.suspects")
def suspects(function: Function) -> str:
    """Check the labels that a student finds least probable."""
    import torch  # noqa: PLC0415  (slow import)

    rows = torch.tensor([[0.90, 0.05, 0.05], [0.20, 0.70, 0.10], [0.80, 0.02, 0.18], [0.30, 0.40, 0.30]])
    labels = torch.tensor([0, 1, 1, 2])
    found = distinct_positions(call(function, rows, labels, 2), 2, 4)
    if found == [0, 1]:
        raise Wrong("These are the labels that the student finds most probable; the least probable ones are suspect.")
    if found == [3, 2]:
        raise Wrong("The right two, but the worst should come first.")
    if found == [3, 1]:
        raise Wrong("This ranks by how unsure the student is of anything; look at the probability of the given label.")
    if found != [2, 3]:
        raise Wrong(f"The given labels have probabilities 0.90, 0.70, 0.02 and 0.30, so [2, 3] is right, not {found}.")
    if (found := distinct_positions(call(function, rows, labels, 3), 3, 4)) != [2, 3, 1]:
        raise Wrong(
            f"Asked for three, the answer is [2, 3, 1], not {found}: those that the student agrees with rank, too."
        )
    at_random(
        function,
        lambda p, y, count: p[torch.arange(len(y)), y].argsort()[:count],
        lambda g: (torch.randn(9, 4, generator=g).softmax(1), torch.randint(4, (9,), generator=g), 5),
        "the positions of drawn labels",
    )
    return "Right: image 2 was called class 1, to which the student gives 2%."


@register("05.interval")
def interval(function: Function) -> str:
    """Check two standard errors around an accuracy."""
    import torch  # noqa: PLC0415  (slow import)

    found = tensor_like(call(function, 0.8, 100), (2,), "low and high")
    if close(found, torch.tensor([0.76, 0.84])):
        raise Wrong("This is one standard error to each side; the interval takes two.")
    if close(found, torch.tensor([0.7216, 0.8784])):
        raise Wrong("This takes 1.96 standard errors to each side; the text asks for two.")
    if close(found, torch.tensor([0.88, 0.72])):
        raise Wrong("Low and high are swapped.")
    if close(found, torch.tensor([0.7968, 0.8032])):
        raise Wrong("The square root is missing: √(a(1 − a)/n).")
    same(found, torch.tensor([0.72, 0.88]), "80% on 100 images")
    edge = tensor_like(call(function, 0.9, 9), (2,), "low and high")
    if float(edge[1]) > 1:
        raise Wrong(f"90% on 9 images gives {float(edge[1]):.2f} as the upper end; an accuracy cannot pass 1: cut it.")
    same(edge, torch.tensor([0.7, 1.0]), "90% on 9 images")
    edge = tensor_like(call(function, 0.1, 9), (2,), "low and high")
    if float(edge[0]) < 0:
        raise Wrong(
            f"10% on 9 images gives {float(edge[0]):.2f} as the lower end; an accuracy cannot be below 0: cut it."
        )
    same(edge, torch.tensor([0.0, 0.3]), "10% on 9 images")
    at_random(
        function,
        _interval,
        lambda g: (float(torch.rand((), generator=g)), int(torch.randint(5, 900, (), generator=g))),
        "the interval of a drawn accuracy",
    )
    return "Right: 80% on 100 images is anything from 72% to 88%; four times the images halve that."


def _interval(accuracy: float, images: int) -> tuple[float, float]:
    error = (accuracy * (1 - accuracy) / images) ** 0.5
    return max(0.0, accuracy - 2 * error), min(1.0, accuracy + 2 * error)
