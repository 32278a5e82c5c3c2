"""Checks of 08_claims: an interval over seeds, and the side on which it lies."""

from __future__ import annotations

from activekd_lab import stats
from activekd_lab.course.checks.base import Function, at_random, call, drawing, register
from activekd_lab.course.checks.values import Wrong, close, same, tensor_like

_T = 4.302653  # 97.5% point of Student's t with 2 degrees of freedom


@register("08.interval")
def interval(function: Function) -> str:
    """Check Student's 95% interval of a mean over seeds."""
    import torch  # noqa: PLC0415  (slow import)

    gains = [1.0, 2.0, 6.0]
    values = torch.tensor(gains, dtype=torch.float64)
    mean, sd = float(values.mean()), float(values.std())
    by_n = float(values.std(correction=0))
    found = tensor_like(call(function, gains), (2,), "the interval's two ends")
    ends = {
        "This divides the spread by n, not by n − 1: `np.std(..., ddof=1)`.": _T * by_n / 3**0.5,
        "This is mean ± one standard deviation. It says how seeds scatter, not how well their mean is known.": sd,
        "This takes 1.96, as if many seeds had been run. For three, use Student's t.": 1.96 * sd / 3**0.5,
        "Divide the standard deviation by √n: a mean of n seeds scatters less than one of them.": _T * sd,
        "Student's t with n degrees of freedom? The mean was estimated, so it is n − 1.": 3.182446 * sd / 3**0.5,
        "This takes the 95% point of t; with 2.5% left out on each side it is the 97.5% point.": 2.919986 * sd / 3**0.5,
    }  # fmt: skip
    for message, half in ends.items():
        if close(found, [mean - half, mean + half]):
            raise Wrong(message)
    half = _T * sd / 3**0.5
    same(found, [mean - half, mean + half], "the interval of 1, 2 and 6")
    at_random(
        function,
        lambda seeds: torch.tensor(stats.mean_interval(seeds)[1:3]),
        lambda g: (torch.randn(int(torch.randint(3, 9, (), generator=g)), generator=g).double().tolist(),),
        "the interval of drawn gains",
    )
    return "Right. Three seeds make it wide: that is what three seeds are worth."


@register("08.side")
def side(function: Function) -> str:
    """Check which side of a claim an interval lies on."""
    import torch  # noqa: PLC0415  (slow import)

    cases = {
        (0.5, 2.0, 0.0, True): "for",
        (-2.0, -0.5, 0.0, True): "against",
        (-0.5, 2.0, 0.0, True): "open",
        (-0.8, -0.4, 0.0, False): "for",
        (5.0, 9.0, 10.0, False): "for",
        (12.0, 30.0, 10.0, False): "against",
        (8.0, 14.0, 10.0, False): "open",
        (0.2, 0.5, 0.999, True): "against",
    }
    for (low, high, threshold, above), expected in cases.items():
        found = call(function, low, high, threshold, above)
        if found not in ("for", "against", "open"):
            raise Wrong(f'The answer should be "for", "against" or "open", but got {found!r}.')
        if found != expected:
            which = "above" if above else "below"
            raise Wrong(
                f"For {low} … {high}, with numbers {which} {threshold:g} speaking for the claim, it should be "
                f"{expected!r}, but got {found!r}."
            )
    for low, width, threshold, turn in torch.randn(12, 4, generator=drawing()).tolist():
        high, above = low + abs(width), turn > 0
        expected = "open" if low <= threshold <= high else "for" if (low > threshold) == above else "against"
        if call(function, low, high, threshold, above) != expected:
            raise Wrong(f"For {low:.2f} … {high:.2f}, threshold {threshold:.2f}, above={above}, it is {expected!r}.")
    return "Right: an interval that crosses the threshold is neither a yes nor a no."
