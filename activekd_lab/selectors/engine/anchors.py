"""Upper bounds on each point's distance to its nearest centre, without measuring all of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activekd_lab.errors import Cancelled
from activekd_lab.selectors.engine.centers import Centers, longest
from activekd_lab.selectors.engine.products import rounding, smallest_shifted, squared_norms
from activekd_lab.selectors.engine.rows import Rows
from activekd_lab.selectors.engine.tuning import Tuning


class Anchors:
    """Finds a near centre for a point: among the hubs, and by a random projection among all centres.

    Which centre is found changes the speed, never a pick: the bound is the point's true distance to it. Hubs serve
    data without structure, where few centres are nearest to most points; the projection (Johnson-Lindenstrauss) serves
    clusters, where a near centre is much nearer than the rest. A sample of points decides whether the first pass, which
    is most of the work on data without structure, needs the projection.
    """

    def __init__(self, rows: Rows, centers: Centers, tuning: Tuning) -> None:
        self.rows, self.centers, self.tuning = rows, centers, tuning
        self.longest, self.error = 0.0, rounding(rows.width)
        sketched = min(len(centers), tuning.first_targets)
        some = tuning.sketch * (rows.width + sketched) + tuning.hubs * rows.width
        self.whole = len(centers) * rows.width <= 2 * some
        if not self.whole:
            self._prepare()

    def _prepare(self) -> None:
        rows, centers, sketch = self.rows, self.centers, self.tuning.sketch
        fixed = torch.Generator().manual_seed(0)
        self.projection = (torch.randn(rows.width, sketch, generator=fixed) / sketch**0.5).to(rows.device)
        self.targets = torch.empty(0, sketch, device=rows.device)  # projected centres (Q, sketch)
        self.norms = torch.empty(0, device=rows.device)  # their true squared norms (Q,)
        self._catch_up()
        voters = torch.linspace(0, len(rows) - 1, min(self.tuning.voters, len(rows)))
        voters = rows.single(rows.raw(voters.long()))  # (k, D)
        hubs = centers.single(self._elect_hubs(voters))
        self.looks = torch.cat([self.projection, hubs.T], 1)  # (D, sketch + hubs): both from one product
        self.hub_norms = squared_norms(hubs) * (1 + self.error)
        norms = squared_norms(voters)
        nearer = self._to_projected(voters, norms, voters @ self.projection) < self._to_hubs(voters @ hubs.T, norms)
        self.projects = float(nearer.float().mean()) > self.tuning.seldom

    def bounds(self, cancel: Callable[[], bool], start: int = 0) -> NDArray[np.float64]:
        """Return (N,) upper bounds of squared distances to centres from `start` on, from one pass over all points.

        Without `start` they may rest on some of the centres. `longest` is then the largest squared norm of a point.
        """
        device = self.rows.device
        upper, norms = torch.empty(len(self.rows), dtype=torch.float64), torch.empty(len(self.rows), device=device)
        given = self._raised(start)
        together = min(self.centers.slice, len(self.centers) - start)
        for first, x in self.rows.pieces(at_least=self.tuning.scores // together):
            if cancel():
                raise Cancelled(f"k_center_greedy was cancelled at point {first} of {len(upper)}.")
            part = slice(first, first + len(x))
            norms[part] = squared_norms(x)
            if self.whole or start:
                upper[part] = self._up(smallest_shifted(x, given), norms[part])
            else:
                upper[part] = self._to_some(x, norms[part])
        self.longest = max(self.longest, longest(norms, 0, "points"))
        return upper.clamp_(min=0).numpy()

    def tighter(self, raw: Tensor, start: int) -> NDArray[np.float64]:
        """Return (k,) bounds for raw rows by the centres from `start` on, or by the few of all that seem nearest."""
        self._catch_up()
        bounds = []
        for x in map(self.rows.single, raw.split(self.tuning.piece)):
            norms = squared_norms(x)
            if start:
                bounds.append(self._up(smallest_shifted(x, self._raised(start)), norms).clamp_(min=0))
            else:
                bounds.append(self._to_found(x, norms, x @ self.projection, 1, self.tuning.tries))
        return torch.cat(bounds).cpu().double().numpy()

    def _to_some(self, x: Tensor, norms: Tensor) -> Tensor:
        """Bound by the hubs, and where it pays by the centre whose projection is nearest."""
        if not self.projects:
            return self._to_hubs(x @ self.looks[:, self.tuning.sketch :], norms)
        sketch, products = (x @ self.looks).split([self.tuning.sketch, len(self.hub_norms)], 1)
        return torch.minimum(self._to_hubs(products, norms), self._to_projected(x, norms, sketch))

    def _to_hubs(self, products: Tensor, norms: Tensor) -> Tensor:
        """Bound by all hubs, from products (k, H) with them."""
        return self._up(torch.add(self.hub_norms, products, alpha=-2).amin(1), norms)

    def _to_projected(self, x: Tensor, norms: Tensor, sketch: Tensor) -> Tensor:
        """Bound by the centre whose projection is nearest to the points' (k, sketch), of the first targets."""
        return self._to_found(x, norms, sketch, -(-len(self.centers) // self.tuning.first_targets), 1)

    def _raised(self, start: int) -> list[tuple[Tensor, Tensor]]:
        """Return the centres from `start` on in parts, their squared norms raised by the rounding of products."""
        return [(c, c_norms * (1 + self.error)) for _, c, c_norms in self.centers.since(start)]

    def _up(self, shifted: Tensor, norms: Tensor) -> Tensor:
        """Add the points' norms, and rounding: (k,)."""
        return shifted.add_(norms, alpha=1 + 2 * self.error)

    def _to_found(self, x: Tensor, norms: Tensor, sketch: Tensor, step: int, tries: int) -> Tensor:
        """Measure each row against the nearest, projected, in each of `tries` parts of every `step`-th centre."""
        score = torch.addmm(self.norms[::step], sketch, self.targets[::step].T, alpha=-2)  # (k, Q / step)
        parts, more = score.chunk(tries, dim=1), 1 + self.error
        near = [part.argmin(1) + i * parts[0].shape[1] for i, part in enumerate(parts)]
        found = [
            torch.linalg.vecdot(self.centers.single(index * step), x)
            .mul_(-2)
            .add_(self.norms[index * step], alpha=more)
            for index in near
        ]
        return self._up(torch.stack(found).amin(0), norms).clamp_(min=0)

    def _catch_up(self) -> None:
        """Project the centres that came since the last call."""
        for _, c, c_norms in list(self.centers.since(len(self.targets))):
            self.targets = torch.cat([self.targets, c @ self.projection])
            self.norms = torch.cat([self.norms, c_norms])

    def _elect_hubs(self, x: Tensor) -> Tensor:
        """Return the centres that are nearest to most of some points (k, D)."""
        nearest: list[tuple[Tensor, Tensor]] = []
        for first, c, c_norms in self.centers.since(0):
            value, index = torch.addmm(c_norms, x, c.T, alpha=-2).min(1)
            nearest.append((value, index + first))
        best = torch.stack([value for value, _ in nearest]).argmin(0, keepdim=True)
        hub = torch.stack([index for _, index in nearest]).gather(0, best)[0]
        votes = torch.bincount(hub, minlength=len(self.centers))
        return votes.topk(min(self.tuning.hubs, len(votes))).indices
