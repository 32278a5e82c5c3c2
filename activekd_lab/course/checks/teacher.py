"""Checks of 01_teacher: the softmax with a temperature, a prompt ensemble, and how far predictions cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from activekd_lab.course.checks.base import Function, at_random, call, register
from activekd_lab.course.checks.values import Wrong, close, rows_sum_to_one, same, tensor_like

if TYPE_CHECKING:
    from torch import Generator, Tensor


@register("01.softmax")
def softmax(function: Function) -> str:
    """Check the softmax: its temperature, its direction, and that large logits survive."""
    import torch  # noqa: PLC0415  (slow import)

    logits = torch.tensor([[2.0, 0.0, -1.0], [0.0, 3.0, 3.0]])
    try:
        answer = call(function, logits, 2.0)
    except Wrong as wrong:
        if "size of tensor" not in str(wrong):
            raise
        raise Wrong(
            "A sum or largest of each row has shape (N,) and does not fit beside (N, C): give both keepdim=True."
        ) from None
    found = tensor_like(answer, (2, 3), "one row an image, one column a class")
    if close(found, logits.softmax(1)):
        raise Wrong("The temperature has no effect: divide the logits by it before the exponential.")
    if close(found, (2 * logits).softmax(1)):
        raise Wrong("The logits are multiplied by the temperature; a high one should make a row *less* sure.")
    if close(found, (logits / 2).softmax(0)):
        raise Wrong("The columns sum to 1 instead of the rows: classes are dimension 1.")
    if close(found, logits.softmax(1) / 2):
        raise Wrong("The probabilities are divided by the temperature; divide the logits, before the exponential.")
    rows_sum_to_one(found)
    same(found, (logits / 2).softmax(1), "the probabilities of two rows at T = 2")
    rows = torch.tensor([[1000.0, 999.0], [0.0, 1.0]])
    large = call(function, rows, 1.0)
    if not bool(torch.as_tensor(large).isfinite().all()):
        raise Wrong(
            "Right for small logits, but 1,000 overflows, and beside a row of 1,000 one of 0 vanishes: subtract each "
            "row's largest logit first."
        )
    same(large, rows.softmax(1), "the probabilities of a row of 1000 and 999 and one of 0 and 1")
    at_random(
        function,
        lambda z, t: (z / t).softmax(1),
        lambda g: (5 * torch.randn(4, 6, generator=g), 0.5 + 3 * float(torch.rand((), generator=g))),
        "the probabilities of drawn rows",
    )
    return "Right: a high temperature moves every row towards equal probabilities, and the order in a row stays."


@register("01.ensemble")
def ensemble(function: Function) -> str:
    """Check normalise, mean, normalise, on wordings whose embeddings differ in length."""
    import torch  # noqa: PLC0415  (slow import)
    from torch.nn.functional import normalize  # noqa: PLC0415  (slow import)

    raw = torch.tensor([[[10.0, 0.0], [0.0, 2.0]], [[0.0, 1.0], [3.0, 3.0]], [[0.6, 0.8], [0.0, 1.0]]])  # (3, 2, 2)
    answer = call(function, raw)
    if tuple(getattr(answer, "shape", ())) == (3, 2):
        raise Wrong("This averages over the classes; the wordings are dimension 0, and one vector a class is wanted.")
    found = tensor_like(answer, (2, 2), "one vector a class")
    unit = normalize(raw, dim=2).mean(0)
    if close(found, unit):
        raise Wrong("The mean of unit vectors is shorter than 1: bring it back to length 1 at the end.")
    if close(found, normalize(raw.mean(0), dim=1)):
        raise Wrong("The longest vectors outvote the others: make each wording's vector length 1 before the mean.")
    if close(found, raw.mean(0)):
        raise Wrong("This is the plain mean: make the vectors length 1 before it, and the mean length 1 after it.")
    plain = raw.mean(0)
    if any(close(found, mean) for mean in (plain / raw.norm(), plain / plain.norm(), unit / unit.norm())):
        raise Wrong("This divides by one norm for all; each vector has its own: `norm(dim=-1, keepdim=True)`.")
    same(found, normalize(unit, dim=1), "the vectors of two classes from three wordings")
    at_random(
        function,
        lambda raw: normalize(normalize(raw, dim=2).mean(0), dim=1),
        lambda g: (torch.randn(4, 5, 6, generator=g) * torch.rand(4, 1, 1, generator=g),),
        "the vectors of five classes",
    )
    return "Right: every wording has the same vote, and each class ends with a vector of length 1."


@register("01.share_inside")
def share_inside(function: Function) -> str:
    """Check the share of points within half the distance to the nearest other centre."""
    import torch  # noqa: PLC0415  (slow import)

    centers = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 10.0]])  # radii 2, 2, 5
    points = torch.tensor([[1.0, 0.0], [0.0, 3.0], [4.0, 1.5], [0.0, 5.5], [0.0, 17.0], [0.0, 13.2]])
    assignment = torch.tensor([0, 0, 1, 2, 2, 2])
    found = tensor_like(call(function, points, centers, assignment), (), "one number")
    if close(found, 0):
        raise Wrong("Nothing is inside: each centre's nearest centre is itself, at distance 0. Take the diagonal out.")
    if close(found, 1):
        raise Wrong("The balls are too large: the radius is half the distance to the nearest other centre.")
    if close(found, 4):
        raise Wrong("This counts the points inside; their share is wanted, a number from 0 to 1.")
    if close(found, 1 / 2) or close(found, 5 / 6):
        raise Wrong(
            "This takes one radius for all; each centre has its own, and each point is held against its own ball."
        )
    if close(found, 1 / 3):
        raise Wrong(
            "This is the share outside, or the smallest radius for all: each point is held against its own ball."
        )
    same(found, 2 / 3, "the share of six points, four of them inside,")
    at_random(function, _inside, _clusters, "the share of drawn points")
    return "Right: balls of half the gap never overlap, so a high share means that points crowd around their centres."


def _inside(points: Tensor, centers: Tensor, assignment: Tensor) -> Tensor:
    import torch  # noqa: PLC0415  (slow import)

    radii = torch.cdist(centers, centers).fill_diagonal_(float("inf")).amin(1) / 2
    found: Tensor = ((points - centers[assignment]).norm(dim=1) <= radii[assignment]).double().mean()
    return found


def _clusters(generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return 60 points around four centres, and the centre of each."""
    import torch  # noqa: PLC0415  (slow import)

    centers, assignment = torch.randn(4, 3, generator=generator), torch.randint(4, (60,), generator=generator)
    return centers[assignment] + 0.4 * torch.randn(60, 3, generator=generator), centers, assignment
