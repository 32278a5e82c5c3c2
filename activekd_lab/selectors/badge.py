"""BADGE: k-means++ seeding on gradient embeddings, which is diverse and uncertain at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activekd_lab.errors import Cancelled, NonFiniteError
from activekd_lab.rng import numpy_generator
from activekd_lab.selectors.engine.factored import Gradients, squared_distances, squared_lengths
from activekd_lab.selectors.engine.products import rounding
from activekd_lab.selectors.registry import Variant, register
from activekd_lab.selectors.view import PoolView

PROPOSALS = 64  # candidates drawn at a time
ENOUGH = 0.25  # share of proposals accepted below which all bounds are renewed


def plain_step(probabilities: Tensor, features: Tensor, picks: list[int]) -> Tensor:
    """Return how likely each image is the next pick, (N,): BADGE by its definition, to test the fast one.

    g = (p - onehot(argmax p)) ⊗ h, the gradient of the last layer for the image's own predicted label (eq. 1); the
    first pick is the longest, each next one is drawn by its squared distance to the nearest pick (k-means++).
    """
    p, h = probabilities.double(), features.double()  # (N, C), (N, D)
    a = p - torch.nn.functional.one_hot(p.argmax(1), p.shape[1])  # (N, C)
    g = (a[:, :, None] * h[:, None, :]).flatten(1)  # (N, C·D)
    if picks:
        likely = torch.stack([(g - g[j]).square().sum(1) for j in picks]).amin(0)  # (N,), D(x)^2
    else:
        likely = (g.norm(dim=1) == g.norm(dim=1).max()).double()  # (N,)
    return torch.div(likely, likely.sum())


@register(
    "badge",
    help="k-means++ on gradient embeddings: large gradients, unlike each other.",
    citation="Ash et al. 2020, arXiv:1906.03671, Algorithm 1",
    released={"protocol": "released"},
)
@torch.no_grad()
def badge(
    view: PoolView,
    budget: int,
    *,
    generator: torch.Generator,
    protocol: Variant = "paper",
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Tensor:
    """Return (B,) ids by k-means++ seeding on (p - onehot(argmax p)) ⊗ h; labels play no part.

    The first pick has the longest gradient, as in the authors' code; each next one is drawn with probability
    proportional to its squared distance to the nearest pick. The draw is exact, by rejection: an older distance is an
    upper bound to propose from, and only proposals are measured. When all images lie on a pick, the rest is uniform.

    Args:
        view: The pool; `probabilities` and `features` are used.
        budget: B.
        generator: Seeds all draws.
        protocol: "paper" as above. "released" is what ActiveKD's code runs under this name: gradients are divided by
            their length, so certainty no longer counts; the first pick, there the largest of norms that all are 1 up to
            rounding, is drawn from the gradients that are not 0; then each pick is the farthest instead of drawn, so
            outliers come first, only ties being random.
        progress: Called with (picks, budget).
        cancel: True raises Cancelled.

    Raises:
        NonFiniteError: Gradients whose squared length overflows float32.
        Cancelled: `cancel` returned True.
    """
    gradients = Gradients(view.probabilities, view.features)
    lengths = measured(gradients, squared_lengths)
    if not np.isfinite(lengths).all():
        where = [int(i) for i in view.ids[torch.from_numpy(np.flatnonzero(~np.isfinite(lengths))[:5])]]
        raise NonFiniteError(
            f"Selector 'badge' got gradients too long for float32 at ids {where}; rescale the features."
        )
    gradients.unit = protocol == "released"
    pick = _Seeding(gradients, budget, generator)
    pick.add(pick.largest(lengths if protocol == "paper" else (lengths > 0).astype(float)))
    while len(pick.chosen) < budget:
        if cancel is not None and cancel():
            raise Cancelled(f"badge was cancelled after {len(pick.chosen)} picks.")
        pick.add(pick.drawn() if protocol == "paper" else pick.farthest())
        if progress is not None:
            progress(len(pick.chosen), budget)
    return view.ids[torch.tensor(pick.chosen, device=view.ids.device)]


def measured(gradients: Gradients, measure: Callable[[tuple[Tensor, Tensor]], Tensor]) -> NDArray[np.float64]:
    """Apply `measure` to every image's factors, a piece at a time: (N,)."""
    values: NDArray[np.float64] = np.empty(len(gradients))
    for start, factors in gradients.pieces():
        values[start : start + len(factors[0])] = measure(factors).cpu().numpy()
    return values


class _Seeding:
    """State of a seeding: the picks' factors, and per image an upper bound of its squared distance to the nearest pick.

    `upper` (N,) rests on the first `met` (N,) picks; a pick's own bound is 0.
    """

    def __init__(self, gradients: Gradients, room: int, generator: torch.Generator) -> None:
        self.gradients = gradients
        self.random = numpy_generator(int(torch.randint(2**62, (), generator=generator)))
        device = gradients.features.device
        self.a = torch.empty(room, gradients.probabilities.shape[1], device=device)
        self.h = torch.empty(room, gradients.features.shape[1], device=device)
        self.chosen: list[int] = []
        self.upper: NDArray[np.float64] = np.full(len(gradients), np.inf)
        self.met: NDArray[np.int32] = np.zeros(len(gradients), dtype=np.int32)

    def add(self, position: int) -> None:
        """Take an image as the next pick."""
        a, h = self.gradients.take(torch.tensor([position]))
        self.a[len(self.chosen)], self.h[len(self.chosen)] = a[0], h[0]
        self.chosen.append(position)
        if len(self.chosen) == 1:
            self._renew()
        self.upper[position], self.met[position] = 0.0, np.iinfo(np.int32).max

    def drawn(self) -> int:
        """Draw an image with probability proportional to its squared distance to the nearest pick."""
        while True:
            total = self.upper.cumsum()
            if total[-1] <= 0:
                return int(self.random.choice(np.setdiff1d(np.arange(len(self.upper)), self.chosen)))
            proposed = np.searchsorted(total, self.random.random(PROPOSALS) * total[-1], side="right")
            proposed = np.minimum(proposed, len(total) - 1)
            before = self.upper[proposed]
            self._refresh(np.unique(proposed))
            share = np.divide(self.upper[proposed], before, out=np.zeros_like(before), where=before > 0)
            accepted = np.flatnonzero(self.random.random(PROPOSALS) < share)
            if len(accepted):
                return int(proposed[accepted[0]])
            if share.mean() < ENOUGH:
                self._renew()

    def farthest(self) -> int:
        """Return the image farthest from its nearest pick, ties drawn; among those that lie on picks when all do."""
        self._renew()
        self.upper[self.upper <= 2 * rounding(self.h.shape[1])] = 0.0  # on a pick but for rounding: lengths are 1
        self.upper[self.chosen] = -1.0
        return self.largest(self.upper)

    def largest(self, values: NDArray[np.float64]) -> int:
        """Return the position of the largest value, ties drawn."""
        return int(self.random.choice(np.flatnonzero(values == values.max())))

    def _refresh(self, index: NDArray[np.intp]) -> None:
        """Make the bounds of some images exact."""
        stale = index[self.met[index] < len(self.chosen)]
        if len(stale):
            nearest = self._to_picks(self.gradients.take(torch.from_numpy(stale)), int(self.met[stale].min()))
            self.upper[stale] = np.minimum(self.upper[stale], nearest.cpu().numpy())
            self.met[stale] = len(self.chosen)

    def _renew(self) -> None:
        """Make all bounds exact."""
        start = int(self.met.min())
        if start >= len(self.chosen):
            return
        nearest = measured(self.gradients, lambda factors: self._to_picks(factors, start))
        np.minimum(self.upper, nearest, out=self.upper)
        np.maximum(self.met, len(self.chosen), out=self.met)

    def _to_picks(self, factors: tuple[Tensor, Tensor], start: int) -> Tensor:
        picks = (self.a[start : len(self.chosen)], self.h[start : len(self.chosen)])
        return squared_distances(factors, picks).amin(1)
