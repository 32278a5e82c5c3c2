"""MaxHerding: cover all images softly, by a kernel, greedily; made for small budgets."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from activekd_lab.errors import Cancelled, SettingError
from activekd_lab.selectors.engine.products import squared_norms
from activekd_lab.selectors.engine.rows import Rows
from activekd_lab.selectors.engine.scores import coarse, fill
from activekd_lab.selectors.registry import register
from activekd_lab.selectors.view import PoolView

BLOCK = 1024  # rows of a block of the kernel
ROUNDING = 1e-6  # an image is covered better by more than that, or not
NOTHING = 1e-4  # images' worth of coverage that is but the rounding of many sums
NARROWEST, WIDEST = 1e-6, 1e6  # bandwidths that tell distances of 0 … 2, known to about 1e-8, from one another
FINE = 0.1  # bandwidths below it need float64: squared distances are off by 1e-7 in float32


@register(
    "max_herding",
    help="Greedy soft coverage: each pick brings the most images nearer to a labelled one, by a Gaussian kernel.",
    citation="Bae et al. 2024 (ECCV), Generalized Coverage, arXiv:2407.12212, Algorithm 1",
    deterministic=True,
)
def max_herding(
    view: PoolView,
    budget: int,
    *,
    generator: torch.Generator,
    bandwidth: float = 1.0,
    candidates: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Tensor:
    """Return (B,) ids; each adds the most to C(S) = mean over images x of max over s in S of k(x, s).

    k(x, s) = exp(-||x - s||^2 / h^2) on L2-normalised features; S starts as the labelled images. The matrix of kernels
    is never stored: the first gains take N^2 / 2 kernels, and a pick changes them by the images that it covers better,
    about N / |S| of them.

    Args:
        view: The pool; `features` are used.
        budget: B.
        generator: Settles ties, draws `candidates`, and picks when everything is covered.
        bandwidth: h in [1e-6, 1e6]; the authors' 1.
        candidates: Look at that many images only, drawn anew (35,000 in the authors' code); None looks at all.
        progress: Called with (images compared, N) at first, then with (picks, budget).
        cancel: True raises Cancelled.

    Raises:
        SettingError: A bandwidth or a number of candidates outside its range.
        Cancelled: `cancel` returned True.
    """
    check_bandwidth(bandwidth)
    return herd(view, budget, None, bandwidth, candidates, generator, progress, cancel)


def check_bandwidth(bandwidth: float) -> None:
    """Refuse a kernel that is 0, or 1, between any two images."""
    if not NARROWEST <= bandwidth <= WIDEST:
        raise SettingError(f"Expected `bandwidth` in [{NARROWEST:g}, {WIDEST:g}], but got {bandwidth}.")


def herd(
    view: PoolView,
    budget: int,
    weights: Tensor | None,
    bandwidth: float,
    candidates: int | None,
    generator: torch.Generator,
    progress: Callable[[int, int], None] | None,
    cancel: Callable[[], bool] | None,
) -> Tensor:
    """Return (B,) ids by greedy coverage, an image counting by its weight (N,), at least 0; None weighs all alike."""
    if candidates is not None and candidates < 1:
        raise SettingError(f"Expected `candidates` from 1 or None, but got {candidates}.")
    among = torch.randperm(len(view), generator=generator)  # ties go to the first in this order
    among = among if candidates is None else among[: max(candidates, budget)]
    here = among.to(view.features.device)
    weights = torch.ones(len(here), device=here.device) if weights is None else weights[here]
    cover = _Cover(Rows(view.features, "cosine", among=here), weights, bandwidth, cancel or (lambda: False))
    chosen = cover.pick(Rows(view.labeled_features, "cosine"), budget, progress or (lambda done, total: None))
    return view.ids[fill(among[chosen].tolist(), len(view), budget, generator).to(view.ids.device)]


class _Cover:
    """How well each image is covered, `best` (N,), and what each would add, `gains` (N,)."""

    def __init__(self, rows: Rows, weights: Tensor, bandwidth: float, cancel: Callable[[], bool]) -> None:
        self.rows, self.weights, self.cancel, self.scale = rows, weights.double(), cancel, -1 / bandwidth**2
        self.shape = rows.double if bandwidth < FINE else rows.single
        self.best = torch.zeros(len(rows), device=rows.device)
        self.gains = torch.zeros(len(rows), dtype=torch.float64, device=rows.device)
        self.blocks = torch.arange(len(rows), device=rows.device).split(BLOCK)

    def kernel(self, x: Tensor, y: Tensor) -> Tensor:
        """Return exp(-||x - y||^2 / h^2) of rows x (k, D) and y (q, D): (k, q) float32."""
        squared = torch.addmm(squared_norms(y), x, y.T, alpha=-2).add_(squared_norms(x)[:, None]).clamp_(min=0)
        return squared.mul_(self.scale).exp_().float()

    def take(self, index: Tensor) -> Tensor:
        """Return rows (k, D) by position."""
        return self.shape(self.rows.raw(index))

    def cover(self, x: Tensor) -> None:
        """Let rows x (k, D) cover what is nearer to them than to any before."""
        for block in self.blocks:
            best = self.kernel(x, self.take(block)).amax(0)
            self.best[block] = torch.maximum(self.best[block], best)

    def added(self, kernel: Tensor, block: Tensor) -> Tensor:
        """Return what each row of a kernel (k, q) would add to the q images of a block: (k,) float64."""
        return self._more(kernel, self.best[block]) @ self.weights[block]

    def _more(self, kernel: Tensor, best: Tensor) -> Tensor:
        return torch.nn.functional.threshold(kernel - best, ROUNDING, 0.0).double()

    def measure(self, progress: Callable[[int, int], None]) -> None:
        """Make every gain exact: each pair of blocks once, since the kernel is symmetric."""
        for i, block in enumerate(self.blocks):
            x = self.take(block)
            for other in self.blocks[i:]:
                if self.cancel():
                    raise Cancelled(f"Herding was cancelled at image {int(block[0])} of {len(self.best)}, unpicked.")
                kernel = self.kernel(x, self.take(other))  # (k, q)
                self.gains[block] += self.added(kernel, other)
                if other is not block:
                    self.gains[other] += self.added(kernel.T, block)
            progress(int(block[-1]) + 1, len(self.best))

    def add(self, position: Tensor) -> None:
        """Let an image cover others, and take from all gains what is covered now."""
        before = self.best.clone()
        self.cover(self.take(position[None]))
        for moved in (self.best > before).nonzero().flatten().split(BLOCK):
            y = self.take(moved)
            for block in self.blocks if len(moved) else ():
                kernel = self.kernel(self.take(block), y)  # (k, q)
                lost = self._more(kernel, before[moved]) - self._more(kernel, self.best[moved])
                self.gains[block] -= lost @ self.weights[moved]

    def pick(self, labeled: Rows, budget: int, progress: Callable[[int, int], None]) -> list[int]:
        """Pick greedily until the budget is met or nothing adds."""
        for index in torch.arange(len(labeled)).split(BLOCK) if len(labeled) else ():
            self.cover(self.shape(labeled.raw(index)))
        self.measure(progress)
        chosen: list[int] = []
        while len(chosen) < budget:
            if self.cancel():
                raise Cancelled(f"Herding was cancelled after {len(chosen)} picks.")
            self.gains[chosen] = 0
            top = coarse(self.gains).argmax()
            if self.gains[top] < NOTHING:
                break
            chosen.append(int(top))
            self.add(top)
            progress(len(chosen), budget)
        return chosen
