"""What a figure shows, in words: the text alternative for those who do not see it."""

from __future__ import annotations

import html
import re
from typing import Any

import numpy as np
import plotly.graph_objects as go


def describe(fig: go.Figure) -> str:
    """Return a figure's titles and axes, and of each named line or bar its first and last value.

    Example:
        >>> import plotly.graph_objects as go
        >>> describe(go.Figure(go.Scatter(y=[30, 42.5], name="random"), {"title_text": "Accuracy"}))
        'Accuracy. random: 2 points, from 30 to 42.5.'
    """
    layout = fig.layout
    heads = [layout.title.text, layout.title.subtitle.text, *(note.text for note in layout.annotations)]
    axes = {"across": layout.xaxis.title.text, "up": layout.yaxis.title.text}
    heads += [f"{way}: {text}" for way, text in axes.items() if text]
    heads += [f"{len(layout.images)} pictures"] if layout.images else []
    return " ".join(f"{_bare(text).rstrip('.')}." for text in [*heads, *map(_trace, fig.data)] if text)


def _trace(trace: Any) -> str:
    """Return the words for a trace, "" for one that is only a mark beside others."""
    if trace.type == "heatmap":
        z = np.asarray(trace.z, dtype=float)
        return f"{z.shape[0]} rows of {z.shape[1]} values, {np.nanmin(z):.3g} to {np.nanmax(z):.3g}"
    if trace.type == "bar":
        return ", ".join(f"{name} {value:.3g}" for name, value in zip(trace.y, trace.x, strict=True))
    if trace.name is None or trace.y is None or not len(trace.y):
        return ""
    if trace.yaxis not in (None, "y") or "lines" not in (trace.mode or "lines"):
        return f"{trace.name}: {len(trace.y)} points"
    first, last = float(trace.y[0]), float(trace.y[-1])
    if np.isnan(first + last):  # outlines with gaps between them, no curve
        return str(trace.name)
    return f"{trace.name}: {len(trace.y)} points, from {first:.3g} to {last:.3g}"


def _bare(text: str) -> str:
    """Return a text of Plotly's without its tags."""
    return html.unescape(re.sub(r"<[^>]*>", " ", text)).strip()
