"""`activekd-lab bench selectors`: our selectors against the plain ways, both sides in one run.

`run()` returns plain data, `tables()` what to print, `scaling_figure()` a log-log plot. Baselines are as good as their
idea allows: products in slices that stay in cache, norms computed once. Processor seconds stand beside wall-clock ones,
since on a machine that others use only they can be compared.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from activekd_lab.bench.cost import Cost, measure
from activekd_lab.bench.selector_baselines import (
    materialized_badge,
    product_a_pick,
    recompute_every_pick,
    skactiveml_badge,
    skactiveml_coreset,
    skactiveml_herding,
)
from activekd_lab.bench.selector_data import FEATURES, PROBABILITIES, gradient_view, make_points, write_map
from activekd_lab.compare.table import Table
from activekd_lab.device import threads_set
from activekd_lab.errors import UnknownNameError
from activekd_lab.progress import silent
from activekd_lab.selectors import PoolView, k_center_greedy, select
from activekd_lab.selectors.engine.rows import Rows

if TYPE_CHECKING:
    import plotly.graph_objects as go

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both sides of one ratio; `same_ids` is the share of picks equal in order, `radius_ratio` theirs to ours."""

    method: str
    against: str
    data: str
    size: dict[str, int]
    ours: Cost
    theirs: Cost
    same_ids: float | None = None
    radius_ratio: float | None = None

    def plain(self) -> dict[str, Any]:
        """Return the fields as JSON-able data, with the two ratios."""
        ratios = {"ratio": self.theirs.seconds / self.ours.seconds, "cpu_ratio": self.theirs.cpu / self.ours.cpu}
        return asdict(self) | ratios


RECOMPUTE = (20_000, 100, 800, 100)
GRADIENTS = (20_000, 100, 512, 100)  # N, C, D, B
QUICK = [(20_000, 100, 200, 100), (50_000, 200, 1000, 200)]
FULL = [
    (500, 10, 10, 10),
    (2_000, 10, 10, 10),
    (2_000, 100, 100, 1000),
    (5_000, 48, 1000, 48),
    (20_000, 100, 800, 100),
    (200_000, 1000, 1000, 1000),
    (200_000, 1000, 8000, 1000),
]
"""(N, C, L, B) of the one-product-a-pick comparison."""
REPEAT = 0.5  # seconds for which short calls are repeated: the first ones load kernels


def run(
    *,
    scale: str | None = None,
    full: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    say: Say = silent,
) -> dict[str, Any]:
    """Measure and return everything as plain data: machine, comparisons, and the ImageNet-scale run.

    Args:
        scale: None for the comparisons, "imagenet" for the memory map of 1.28 M x 1000 alone.
        full: DESIGN's largest sizes too (minutes, several GB) instead of small ones.
        device: Where the tensors live.
        threads: Of PyTorch, for the time of the run; None keeps its choice.
        say: Receives a line before each measurement.
    """
    if scale not in (None, "imagenet"):
        raise UnknownNameError("scale", scale, ["imagenet"])
    with threads_set(threads):
        found: dict[str, Any] = {"machine": _machine(device)}
        if scale == "imagenet":
            return found | {"imagenet": imagenet_scale(say=say, device=device)}
        done = [*_against_recompute(device, say), *_against_products(FULL if full else QUICK, device, say)]
        done += [*_against_badge(device, say), *_against_skactiveml(say)]
    return found | {"comparisons": [c.plain() for c in done]}


def tables(found: dict[str, Any]) -> list[Table]:
    """Return a table for each part of what `run` found."""
    out = []
    if "comparisons" in found:
        columns = ["ours", "against", "data", "N", "C", "L", "B", "seconds", "theirs", "ratio", "CPU ratio", "same ids"]
        columns.append("extra MiB")
        out.append(Table("Selection, both sides in one run", columns, [_row(c) for c in found["comparisons"]]))
    if "imagenet" in found:
        rows = [[key, f"{value:.4g}"] for key, value in found["imagenet"].items()]
        out.append(Table("k-center from a float16 memory map", ["measure", "value"], rows))
    return out


def scaling(sizes: tuple[int, ...] = (5_000, 20_000, 80_000), say: Say = silent) -> list[dict[str, Any]]:
    """Measure ours and one product a pick over N (C 100, L 500, B 200), for `scaling_figure`."""
    return [c.plain() for c in _against_products([(n, 100, 500, 200) for n in sizes], "cpu", say)]


def scaling_figure(comparisons: list[dict[str, Any]]) -> go.Figure:
    """Draw seconds against N on log-log axes, ours and the baseline, a line per kind of data."""
    import plotly.graph_objects as go  # noqa: PLC0415  (only the figure needs it)

    figure = go.Figure()
    for data in dict.fromkeys(c["data"] for c in comparisons):
        rows = sorted((c for c in comparisons if c["data"] == data), key=lambda c: c["size"]["N"])
        for name, key, dash in (("ours", "ours", "solid"), (rows[0]["against"], "theirs", "dot")):
            figure.add_scatter(
                x=[c["size"]["N"] for c in rows],
                y=[c[key]["seconds"] for c in rows],
                name=f"{name}, {data}",
                mode="lines+markers",
                line_dash=dash,
            )
    figure.update_xaxes(type="log", title="pool size N")
    figure.update_yaxes(type="log", title="seconds")
    return figure.update_layout(title="Exact k-center: time against pool size")


def imagenet_scale(
    rows: int = 1_280_000,
    width: int = 1000,
    labels: int = 1000,
    budget: int = 1000,
    *,
    device: str = "cpu",
    folder: str | None = None,
    say: Say = silent,
) -> dict[str, float]:
    """Pick from a float16 memory map and return seconds, reads of the map, bandwidth and peak extra memory."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        say(f"writing {rows * width * 2 / 1e9:.1f} GB")
        path = Path(place) / "points.npy"
        write_map(path, rows, width)
        points, centers = np.load(path, mmap_mode="r"), make_points(PROBABILITIES, labels, width, seed=1).half()
        copy = _copy_bandwidth()
        say("picking")
        source = Rows(points, device=device)
        cost, _ = measure(lambda: k_center_greedy(source, centers, budget))
        seconds = cost.seconds
        moved = source.reads * width * 2
    return {
        "N": rows, "C": width, "L": labels, "B": budget,
        "seconds": seconds, "processor seconds": cost.cpu,
        "reads of the map": moved / (rows * width * 2), "GB moved": moved / 1e9,
        "GB/s": moved / 1e9 / seconds, "share of copy bandwidth": moved / 1e9 / seconds / copy,
        "extra MiB": cost.extra_bytes / 2**20, "allowed extra MiB": 16 * rows / 2**20 + 64,
    }  # fmt: skip


def _against_recompute(device: str, say: Say) -> list[Comparison]:
    n, c, labels, budget = RECOMPUTE
    out = []
    for data in PROBABILITIES:
        say(f"recompute every distance at each pick, {data}")
        x, y = _points(data, n, c, labels, device)
        out.append(_k_center(x, y, budget, data, "recompute every pick", recompute_every_pick))
    return out


def _against_products(sizes: list[tuple[int, int, int, int]], device: str, say: Say) -> list[Comparison]:
    out = []
    for n, c, labels, budget in sizes:
        for data in (*PROBABILITIES, *FEATURES):
            say(f"one product a pick, {data}, N {n}, C {c}, L {labels}, B {budget}")
            x, y = _points(data, n, c, labels, device)
            out.append(_k_center(x, y, budget, data, "one product a pick", product_a_pick))
    return out


def _against_badge(device: str, say: Say) -> list[Comparison]:
    n, c, d, budget = GRADIENTS
    view = gradient_view(n, c, d, device)
    say("BADGE against materialised gradients")
    return [_badge("materialised gradients", view, budget, materialized_badge)]


def _against_skactiveml(say: Say) -> list[Comparison]:
    """Compare with scikit-activeml where installed, on the CPU and smaller pools (its BADGE needs N C D floats)."""
    try:
        import skactiveml  # noqa: F401, PLC0415
    except ImportError:
        say("scikit-activeml is not installed: left out")
        return []
    say("scikit-activeml's CoreSet, Badge and MaxHerding")
    n, c, labels, budget = RECOMPUTE
    x, y = _points("clustered", n, c, labels, "cpu")
    out = [_k_center(x, y, budget, "clustered", "scikit-activeml CoreSet", skactiveml_coreset)]
    view = gradient_view(min(n, 5000), 20, 64, "cpu")
    out.append(_badge("scikit-activeml Badge", view, min(budget, 50), skactiveml_badge))
    return [*out, _strategy("max_herding", "scikit-activeml MaxHerding", view, min(budget, 50), skactiveml_herding)]


def _badge(against: str, view: PoolView, budget: int, baseline: Callable[[PoolView, int], Tensor]) -> Comparison:
    return replace(_strategy("badge", against, view, budget, baseline), same_ids=None)  # both draw


def _strategy(
    name: str, against: str, view: PoolView, budget: int, baseline: Callable[[PoolView, int], Tensor]
) -> Comparison:
    generator = torch.Generator().manual_seed(0)
    ours, ids = measure(lambda: select(name, view, budget, generator=generator))
    theirs, picks = measure(lambda: baseline(view, budget))
    same = float((ids == view.ids[picks]).double().mean())
    size = {"N": len(view), "C": view.num_classes, "D": view.features.shape[1], "L": 0, "B": budget}
    return Comparison(name, against, "clustered", size, ours, theirs, same)


def _k_center(
    x: Tensor, y: Tensor, budget: int, data: str, against: str, baseline: Callable[[Tensor, Tensor, int], Tensor]
) -> Comparison:
    ours, result = measure(lambda: k_center_greedy(x, y, budget), repeat_for=REPEAT)
    theirs, picks = measure(lambda: baseline(x, y, budget), repeat_for=REPEAT)
    same = float((result.indices == picks.cpu()).double().mean())
    size = {"N": len(x), "C": x.shape[1], "L": len(y), "B": budget}
    reach = float(_radius(x, y, picks) / result.radii[-1]) if float(result.radii[-1]) else 1.0
    return Comparison("k-center", against, data, size, ours, theirs, same, reach)


def _radius(x: Tensor, y: Tensor, picks: Tensor) -> Tensor:
    """Return the covering radius of other picks, through the same exact engine."""
    centers = torch.cat([y, x[picks.to(x.device)]])
    return k_center_greedy(x, centers, 1).radii[0]


def _points(data: str, n: int, c: int, labels: int, device: str) -> tuple[Tensor, Tensor]:
    return make_points(data, n, c, seed=0).to(device), make_points(data, labels, c, seed=1).to(device)


def _copy_bandwidth(size: int = 1 << 28) -> float:
    """Return GB/s of a memory copy, bytes read per second, best of three."""
    source, target = torch.ones(size, dtype=torch.uint8), torch.empty(size, dtype=torch.uint8)
    return size / 1e9 / min(measure(lambda: target.copy_(source))[0].seconds for _ in range(3))


def _machine(device: str) -> dict[str, Any]:
    name = torch.cuda.get_device_name() if device != "cpu" else f"{os.cpu_count()} CPU cores"
    return {"device": name, "threads": torch.get_num_threads(), "torch": torch.__version__}


def _row(c: dict[str, Any]) -> list[str]:
    size = c["size"]
    same = "" if c["same_ids"] is None else f"{c['same_ids']:.0%}"
    ours, theirs = c["ours"], c["theirs"]
    ratios = [f"{c['ratio']:.1f}×", f"{c['cpu_ratio']:.1f}×"]
    numbers = [f"{ours['seconds']:.3f}", f"{theirs['seconds']:.2f}", *ratios, same]
    shape = [f"{size[k]:,}" for k in ("N", "C", "L", "B")]
    return [c["method"], c["against"], c["data"], *shape, *numbers, f"{ours['extra_bytes'] / 2**20:.0f}"]
