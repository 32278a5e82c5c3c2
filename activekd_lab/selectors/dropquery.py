"""DropQuery: images whose class changes when features drop out, one a cluster; made for foundation models' features."""

from __future__ import annotations

import torch
from torch import Tensor

from activekd_lab.errors import SettingError
from activekd_lab.selectors.engine.lloyd import kmeans_clusters
from activekd_lab.selectors.engine.rows import Rows, rescaled, rescaling
from activekd_lab.selectors.engine.scores import PIECE, fill
from activekd_lab.selectors.kmeans import nearest_members
from activekd_lab.selectors.registry import Variant, register
from activekd_lab.selectors.view import PoolView

SMALLEST = 1e-12  # probability that is still told from 0 by its logarithm


@register(
    "dropquery",
    help="Images whose predicted class changes under dropout of the features, one a cluster.",
    citation="Gupte et al. 2024 (TMLR), arXiv:2401.14555, section 4",
    released={"protocol": "released"},
)
def dropquery(
    view: PoolView,
    budget: int,
    *,
    generator: torch.Generator,
    dropout: float = 0.75,
    samples: int = 3,
    protocol: Variant = "paper",
) -> Tensor:
    """Return (B,) ids: candidates change their class in more than half of `samples` draws of dropout; k-means picks.

    A view holds no network, but its heads are linear: centred log-probabilities of a head are an affine function of
    the features, so least squares gives the head back (exactly, up to rounding, from `ce_probabilities` and
    `kd_probabilities`; where a view has only the mixed `probabilities`, or a head divides by the features' length, the
    nearest linear head). Dropout then works on the features in front of it, as in the paper.

    Args:
        view: The pool.
        budget: B.
        generator: Drops features, starts k-means, and fills up where there are fewer candidates.
        dropout: Share of the features that drop out, in (0, 1).
        samples: M draws, from 1; the paper's 3.
        protocol: "paper" as above. "released", as the authors' code: fewer changes suffice, down to one, until there
            are 25 B candidates.

    Raises:
        SettingError: `dropout` or `samples` outside its range.
    """
    if not 0 < dropout < 1 or samples < 1:
        raise SettingError(f"Expected `dropout` in (0, 1) and `samples` from 1, but got {dropout} and {samples}.")
    changes = class_changes(view, dropout, samples, generator)  # (N,)
    enough = samples // 2 + 1
    while protocol == "released" and enough > 1 and int((changes >= enough).sum()) < 25 * budget:
        enough -= 1
    candidates = (changes >= enough).nonzero().flatten()
    if len(candidates) > budget:
        found = kmeans_clusters(Rows(view.features, "cosine", among=candidates), budget, generator)
        candidates = fill_from(candidates, nearest_members(found.cluster, found.squared), budget, generator)
    return view.ids[fill(candidates.tolist(), len(view), budget, generator).to(view.ids.device)]


def fill_from(candidates: Tensor, chosen: Tensor, budget: int, generator: torch.Generator) -> Tensor:
    """Complete positions among the candidates to `budget`, so that empty clusters cost no candidate."""
    return candidates[fill(chosen.tolist(), len(candidates), budget, generator).to(candidates.device)]


def class_changes(view: PoolView, dropout: float, samples: int, generator: torch.Generator) -> Tensor:
    """Return in how many of the draws each image's class is another than without dropout: (N,)."""
    both = view.ce_probabilities is not None and view.kd_probabilities is not None
    named = [view.ce_probabilities, view.kd_probabilities] if both else [view.probabilities]
    factor = rescaling(view.features)  # beside the bias, a column of ones, short features are taken for rounding
    heads = [linear_head(view.features, p, factor) for p in named if p is not None]
    share = mixing(view) if both else 1.0
    rows = max(1, PIECE // max(1, view.features.shape[1], view.num_classes))
    changes = []
    for piece in view.features.split(rows):
        h = rescaled(piece, factor)  # (k, D)
        clean = _predicted(heads, share, h)
        changed = torch.zeros_like(clean)
        for _ in range(samples):
            kept = torch.rand(h.shape, generator=generator).to(h.device) >= dropout
            changed += _predicted(heads, share, h * kept / (1 - dropout)) != clean
        changes.append(changed)
    return torch.cat(changes)


def linear_head(features: Tensor, probabilities: Tensor, factor: float = 1.0) -> Tensor:
    """Return weights and bias (D + 1, C) of the linear head whose softmax comes nearest to `probabilities` (N, C).

    It works on features (N, D) times `factor`.
    """
    width, classes = features.shape[1], probabilities.shape[1]
    gram = torch.zeros(width + 1, width + 1, dtype=torch.float64, device=features.device)
    moment = torch.zeros(width + 1, classes, dtype=torch.float64, device=features.device)
    rows = max(1, PIECE // max(1, width, classes))
    for h, p in zip(features.split(rows), probabilities.split(rows), strict=True):
        x = torch.nn.functional.pad(h.double() * factor, (0, 1), value=1.0)  # (k, D + 1)
        y = p.double().clamp(min=SMALLEST).log()
        gram += x.T @ x
        moment += x.T @ (y - y.mean(1, keepdim=True))
    inverse: Tensor = torch.linalg.pinv(gram, rtol=1e-10, hermitian=True)
    return (inverse @ moment).float()


def mixing(view: PoolView) -> float:
    """Return the CE head's weight in the mixed probabilities, by least squares; one half where the heads are equal."""
    assert view.ce_probabilities is not None
    assert view.kd_probabilities is not None
    top, bottom = 0.0, 0.0
    rows = max(1, PIECE // max(1, view.num_classes))
    parts = (m.split(rows) for m in (view.probabilities, view.ce_probabilities, view.kd_probabilities))
    for p, ce, kd in zip(*parts, strict=True):
        apart = ce.float() - kd.float()
        top += float(((p.float() - kd.float()) * apart).sum())
        bottom += float(apart.square().sum())
    return min(1.0, max(0.0, top / bottom)) if bottom else 0.5


def _predicted(heads: list[Tensor], share: float, h: Tensor) -> Tensor:
    """Return the likeliest class (k,) of features (k, D) by one head, or by two mixed."""
    first, *rest = [(h @ head[:-1] + head[-1]).softmax(1) for head in heads]
    return (share * first + (1 - share) * rest[0] if rest else first).argmax(1)
