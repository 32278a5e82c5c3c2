"""What a selection reads and takes as the pool grows, against one pass over the pool a pick."""

# ruff: noqa: C408  (Plotly settings read best as keyword arguments)

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from activekd_lab.errors import SettingError
from activekd_lab.plots import theme


class SelectionScale(NamedTuple):
    """What the figure shows, a number a pool size; gigabytes are 10^9 bytes."""

    rows: tuple[int, ...]
    moved: tuple[float, ...]
    plain: tuple[float, ...]


def selection_scale_data(rows: Sequence[int], moved: Sequence[int], plain: Sequence[int]) -> SelectionScale:
    """Turn bytes into gigabytes.

    Raises:
        SettingError: sequences of different lengths, or empty.
    """
    if not rows or not len(rows) == len(moved) == len(plain):
        raise SettingError(
            f"rows, moved and plain must be as long as each other and not empty, but got {len(rows)}, {len(moved)} and "
            f"{len(plain)}."
        )
    return SelectionScale(tuple(rows), tuple(b / 1e9 for b in moved), tuple(b / 1e9 for b in plain))


def selection_scale(rows: Sequence[int], moved: Sequence[int], plain: Sequence[int]) -> go.Figure:
    """Draw gigabytes read from the pool against its size, both axes logarithmic.

    Args:
        rows: pool sizes N.
        moved: bytes that the selection read.
        plain: bytes that one pass over the pool a pick would read.
    """
    data = selection_scale_data(rows, moved, plain)
    ratio = data.plain[-1] / data.moved[-1]
    fig = theme.figure(
        "What a selection reads",
        f"at N = {data.rows[-1]:,}, bounds spare {1 - 1 / ratio:.1%} of the bytes",
        x="images in the pool, N",
        y="read from the pool (GB)",
    )
    lines = (("one pass a pick", data.plain, theme.GREY, "dash", "square"),
             ("with bounds, same picks", data.moved, theme.VERMILLION, "solid", "circle"))  # fmt: skip
    for name, values, color, dash, symbol in lines:
        fig.add_scatter(
            x=data.rows, y=values, name=name, mode="lines+markers", line=dict(color=color, dash=dash),
            marker=dict(symbol=symbol, size=9), hovertemplate="%{x:,} images: %{y:.3g} GB<extra>" + name + "</extra>",
        )  # fmt: skip
    fig.update_xaxes(type="log", tickvals=data.rows, ticktext=[f"{n:,}" for n in data.rows])
    fig.update_yaxes(type="log", dtick=1, exponentformat="none")
    return fig
