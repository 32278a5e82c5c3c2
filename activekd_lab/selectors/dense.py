"""Greedy k-center for pools of a modest size: float32 products everywhere, float64 differences where they are close.

Plainer than the lazy search in `kcenter.py` and faster while the whole pool fits in cache: every point's distance is
kept, up to rounding, and among a front of the farthest a pick costs one matrix-vector product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activekd_lab.errors import Cancelled
from activekd_lab.selectors.centers import CENTER_SLICE, Centers, rounding, squared_norms
from activekd_lab.selectors.exact import nearest_squared
from activekd_lab.selectors.rows import Rows, check_finite

LARGEST = 1 << 22  # entries of the pool
LARGEST_CENTERS = 1 << 19  # entries of the given centres: all of them are measured
DOUBLE = 1 << 15  # entries of the front up to which float64 costs nothing that counts, and spares close calls
SCORES = 1 << 17  # entries of a product in the first pass, to stay in cache
FRONT, FEWEST = 2048, 256  # fewest points among which picks happen; and where rows are long
TABLE = 1 << 18  # entries of the front, to stay in cache
PAIRED = 1 << 16  # differences that are taken all at once
CLOSE = 64  # close calls settled by float64 at one pick; with more, the lazy search takes over


def suits(rows: Rows, centers: Centers) -> bool:
    """Whether products of the whole pool are the cheaper way here."""
    size, given = len(rows) * rows.width, len(centers) * rows.width
    return rows.device.type == "cpu" and size <= LARGEST and given <= LARGEST_CENTERS


class DenseSearch:
    """State of one traversal.

    `nearest` (N,) are squared distances by products to the first `met` centres, each within `slack`; picked points hold
    minus infinity. On the front, `values` have met every centre, and no other point's is above `floor`.
    """

    def __init__(
        self,
        rows: Rows,
        centers: Centers,
        picked: list[int],
        draw: Callable[[int], int],
        cancel: Callable[[], bool],
    ) -> None:
        self.rows, self.centers, self.picked, self.draw, self.cancel = rows, centers, picked, draw, cancel
        self.start = len(picked)
        self.size, self.met = min(max(FRONT, len(rows) // 8), max(FEWEST, TABLE // (rows.width + 2))), 0
        self.double = self.size * rows.width <= DOUBLE
        self.dtype = np.dtype(np.float64 if self.double else np.float32)
        self.nearest = np.full(len(rows), np.inf, dtype=self.dtype)
        self.norms = np.empty(len(rows), dtype=self.dtype)
        self._meet()
        largest = float(self.norms.max()) + max(float(norms.max()) for _, _, norms in centers.since(0))
        self.slack = 1.5 * rounding(rows.width + 2, 2.0**-53 if self.double else None) * largest
        self._open_front()

    def pick(self) -> bool:
        """Add the farthest point to `picked`; False if too many are too close to tell, and nothing is picked."""
        ties = self._farthest()
        if ties is None:
            return False
        place = int(ties[self.draw(len(ties))])
        np.minimum(self.values, torch.mv(self.table, self.vectors[place]).numpy(), out=self.values)
        self.values[place] = -np.inf
        self.picked.append(int(self.front[place]))
        return True

    def bounds(self) -> NDArray[np.float64]:
        """Return upper bounds (N,) on all squared distances."""
        self.nearest[self.front] = self.values
        return self.nearest + np.float64(self.slack)

    def radii(self) -> list[float]:
        """Return exact squared covering radii before each own pick, and after the last if that can be told."""
        ties = self._farthest() if len(self.picked) < len(self.rows) else None
        last = self.front[:0] if ties is None else self.front[ties[:1]]
        self._add_centers()
        points = torch.tensor([*self.picked[self.start :], *last.tolist()], dtype=torch.int64)
        met = self.centers.num_given + torch.arange(self.start, self.start + len(points))
        exact: list[float] = self._exact(points, met).tolist()
        return exact

    def _exact(self, points: Tensor, met: Tensor) -> Tensor:
        """Return exact squared distances (k,) of points to the nearest of the first `met` (k,) centres, each."""
        if len(points) * len(self.centers) * self.rows.width > PAIRED:
            parts = zip(points.split(CENTER_SLICE), met.split(CENTER_SLICE), strict=True)
            found = [nearest_squared(self.rows, self.rows.raw(p), self.centers, 0, None, until) for p, until in parts]
            return torch.cat(found)
        x, c = self.rows.double(self.rows.raw(points)), self.centers.double_since(0)
        squared = squared_norms(x[:, None] - c)  # (k, Q)
        return squared.masked_fill_(torch.arange(len(c)) >= met[:, None], torch.inf).amin(1)

    def _farthest(self) -> NDArray[np.intp] | None:
        """Return the places in the front of the farthest points, all that tie; None if too close to tell."""
        while True:
            if self.cancel():
                raise Cancelled(f"k_center_greedy was cancelled after {len(self.picked)} picks.")
            place = self.values.argmax()
            best = self.values[place]
            limit = best - 2 * self.slack
            if limit > self.floor:
                break
            self.nearest[self.front] = self.values
            if self.met == len(self.centers) + len(self._new()):
                self.size *= 4
            else:
                self._meet()
            self._open_front()
        self.values[place] = -np.inf
        alone = self.values.max() < limit
        self.values[place] = best
        return np.array([place]) if alone else self._settle(np.flatnonzero(self.values >= limit))

    def _settle(self, close: NDArray[np.intp]) -> NDArray[np.intp] | None:
        """Return those of `close` places that are exactly the farthest."""
        if len(close) > CLOSE:
            return None
        self._add_centers()
        exact = self._exact(torch.from_numpy(self.front[close]), torch.full((len(close),), len(self.centers))).numpy()
        return close[exact == exact.max()] if exact.max() > 0 else None

    def _add_centers(self) -> None:
        """Let `centers` catch up with the picks."""
        if new := self._new():
            self.centers.add(self.rows.raw(torch.tensor(new)))

    def _new(self) -> list[int]:
        return self.picked[len(self.centers) - self.centers.num_given :]

    def _meet(self) -> None:
        """Measure all points against the centres since the last time; the first time note their norms."""
        self._add_centers()
        new = list(self._unmet())
        most = max(1024, SCORES // min(CENTER_SLICE, len(self.centers) - self.met))
        for start, x in self.rows.pieces(double=self.double, most=most):
            part = slice(start, start + len(x))
            if self.met == 0:
                self.norms[part] = np.einsum("ij,ij->i", x.numpy(), x.numpy())
                check_finite(torch.from_numpy(self.norms[part]), start, "points")
            for c, c_norms in new:
                shifted = torch.addmm(c_norms[:, None], c, x.T, alpha=-2).amin(0).numpy()
                np.minimum(self.nearest[part], shifted + self.norms[part], out=self.nearest[part])
        self.met = len(self.centers)

    def _unmet(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield centres and their squared norms from the first that not all points have met."""
        if self.double:
            c = self.centers.double_since(self.met)
            yield c, squared_norms(c)
            return
        for _, c, c_norms in self.centers.since(self.met):
            yield c, c_norms

    def _open_front(self) -> None:
        """Collect the farthest points, with their norms and a one beside them for distances by one product."""
        if self.size < len(self.rows):
            self.floor = float(np.partition(self.nearest, -self.size)[-self.size])
            self.front = np.flatnonzero(self.nearest >= self.floor)
        else:
            self.floor, self.front = -np.inf, np.arange(len(self.rows))
        self.values = self.nearest[self.front]
        raw = self.rows.raw(torch.from_numpy(self.front))
        x = self.rows.double(raw) if self.double else self.rows.single(raw)
        norms = torch.from_numpy(self.norms[self.front])[:, None]
        one = torch.ones_like(norms)
        self.table = torch.cat([x, norms, one], 1).T.contiguous().T  # by columns: faster with one vector
        self.vectors = torch.cat([-2 * x, one, norms], 1)  # a row of one times a row of the other is their distance
