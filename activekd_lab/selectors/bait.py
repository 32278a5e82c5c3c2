"""BAIT: images that tell most about the last layer, by its Fisher information."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from activekd_lab.errors import Cancelled, NonFiniteError, SettingError
from activekd_lab.selectors.engine.rows import Rows
from activekd_lab.selectors.engine.scores import by_rows, coarse
from activekd_lab.selectors.registry import register
from activekd_lab.selectors.view import PoolView

WRONG = 1e-3  # of an entry of a matrix times its inverse
OVERSAMPLE = 2  # images picked forward for each that is kept; the authors' 2


@register(
    "bait",
    help="Images that lower the student's expected error most, by the Fisher information of its last layer.",
    citation="Ash et al. 2021 (NeurIPS), arXiv:2106.09675, Algorithm 1; binary: Huseljic et al. 2024, arXiv:2404.08981",
    deterministic=True,
)
@torch.no_grad()
def bait(
    view: PoolView,
    budget: int,
    *,
    generator: torch.Generator,
    regularization: float = 1.0,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Tensor:
    """Return (B,) ids that minimise tr((lambda I + sum over labelled and picked of I(x))^-1 mean over all of I(x)).

    2 B images are picked greedily, then B of them taken away greedily. I(x) = p (1 - p) h h^T, D x D, is the Fisher
    information of the question whether the predicted class, of probability p, is the right one: the binary form of the
    softmax layer's (diag(p) - p p^T) ⊗ h h^T, which is C D x C D. With it a pick takes O(N D). Labelled and picked
    images count alike; in the authors' code a picked one weighs B times as much.

    Args:
        view: The pool; `probabilities` and `features` are used.
        budget: B.
        generator: Settles ties.
        regularization: lambda > 0; the authors' 1. It is compared with h h^T, so the features' scale counts.
        progress: Called with (picks and removals, those to make).
        cancel: True raises Cancelled.

    Raises:
        SettingError: `regularization` not above 0.
        NonFiniteError: Features whose squares leave no digit of `regularization`.
        Cancelled: `cancel` returned True.
    """
    if not 0 < regularization < math.inf:
        raise SettingError(f"Expected `regularization` to be finite and above 0, but got {regularization}.")
    among = torch.randperm(len(view), generator=generator).to(view.features.device)  # ties go to the first of these
    pool = _Embeddings(Rows(view.features, among=among), by_rows(variance, view.probabilities)[among])
    labeled = _Embeddings(Rows(view.labeled_features), by_rows(variance, view.labeled_probabilities))
    known = labeled.fisher()  # (D, D)
    start = known + regularization * torch.eye(len(known), dtype=torch.float64, device=known.device)
    fisher = (pool.fisher() + known) / (len(view) + len(view.labeled_ids))
    state = _State(pool, _inverse(start), fisher)
    forward, tell = min(OVERSAMPLE * budget, len(view)), progress or (lambda done, total: None)
    for step in range(2 * forward - budget):
        if cancel is not None and cancel():
            raise Cancelled(f"bait was cancelled after {step} of {2 * forward - budget} steps.")
        state.add() if step < forward else state.remove()
        tell(step + 1, 2 * forward - budget)
    return view.ids[among[torch.tensor(state.chosen, device=among.device)].to(view.ids.device)]


def _inverse(matrix: Tensor) -> Tensor:
    """Return the inverse of a matrix (D, D); refuse one of which float64 cannot tell it."""
    inverse: Tensor
    inverse, error = torch.linalg.inv_ex(matrix)
    found = matrix @ inverse - torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    if int(error) or not bool((found.abs() < WRONG).all()):  # NaN fails, too
        raise NonFiniteError(
            "Selector 'bait' got features too large beside `regularization` for float64; rescale the features, or "
            "raise `regularization`."
        )
    return inverse


def variance(p: Tensor) -> Tensor:
    """Return p (1 - p) of the likeliest class of rows of probabilities (k, C): (k,)."""
    top = p.amax(1)
    return (top * (1 - top)).clamp_(min=0)


class _Embeddings:
    """v = sqrt(w) h of every image, so that I(x) = v v^T; computed a piece at a time, in float64."""

    def __init__(self, rows: Rows, weights: Tensor) -> None:
        self.rows, self.root = rows, weights.double().sqrt()  # (N,)

    def pieces(self) -> Iterator[Tensor]:
        """Yield v (k, D) of all images in order."""
        for start, x in self.rows.pieces():
            yield x.double() * self.root[start : start + len(x), None]

    def take(self, position: int) -> Tensor:
        """Return v (D,) of one image."""
        return self.rows.double(self.rows.raw(torch.tensor([position])))[0] * self.root[position]

    def fisher(self) -> Tensor:
        """Return the sum of v v^T, (D, D)."""
        total = torch.zeros(self.rows.width, self.rows.width, dtype=torch.float64, device=self.root.device)
        for v in self.pieces():
            total += v.T @ v
        return total

    def forms(self, matrix: Tensor) -> Tensor:
        """Return v^T M v of every image, (N,)."""
        return torch.cat([((v @ matrix) * v).sum(1) for v in self.pieces()])


class _State:
    """M^-1 and, of every image, a = v^T M^-1 v and b = v^T M^-1 F M^-1 v, kept up to date by rank-one formulas."""

    def __init__(self, pool: _Embeddings, inverse: Tensor, fisher: Tensor) -> None:
        self.pool, self.inverse, self.fisher = pool, inverse, fisher
        self.a, self.b = pool.forms(inverse), pool.forms(inverse @ fisher @ inverse)
        self.chosen: list[int] = []

    def add(self) -> None:
        """Pick the image that lowers the trace most: b / (1 + a), by Woodbury's identity."""
        gains = coarse(self.b / (1 + self.a))
        gains[self.chosen] = -1.0
        self.chosen.append(int(gains.argmax()))
        self._change(self.chosen[-1], 1)

    def remove(self) -> None:
        """Take away the pick whose loss raises the trace least: b / (1 - a)."""
        losses = coarse(self.b[self.chosen] / (1 - self.a[self.chosen]))
        self._change(self.chosen.pop(int(losses.argmin())), -1)

    def _change(self, position: int, sign: int) -> None:
        """Add v v^T to M, or take it away."""
        v = self.pool.take(position)
        u = self.inverse @ v  # (D,)
        q = self.inverse @ (self.fisher @ u)
        scale = sign / (1 + sign * float(v @ u))
        along, across = torch.cat([v @ torch.stack([u, q], 1) for v in self.pool.pieces()]).unbind(1)  # (N,)
        self.a -= scale * along.square()
        self.b += along * (scale**2 * float(u @ self.fisher @ u) * along - 2 * scale * across)
        self.inverse -= scale * torch.outer(u, u)
