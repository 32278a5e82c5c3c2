"""The claims that are measured in points of accuracy, each setting with its interval, on one axis."""

# ruff: noqa: C408  (Plotly settings read best as keyword arguments)

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from activekd_lab.compare.abstracts import CLAIMS
from activekd_lab.compare.claims import Evidence, side
from activekd_lab.errors import SettingError
from activekd_lab.plots import theme

_LOOK = {
    "for": (theme.BLUE, "circle", "for the claim"),
    "open": (theme.GREY, "circle-open", "open"),
    "against": (theme.VERMILLION, "x", "against the claim"),
}


class ClaimRow(NamedTuple):
    """One line of the figure: a claim in a setting, in points, and the side it is on."""

    claim: str
    evidence: Evidence
    side: str


def claim_data(found: Sequence[Evidence]) -> list[ClaimRow]:
    """Return the evidence that is a difference of accuracies, in the order of the claims.

    Raises:
        SettingError: there is none.
    """
    claims = [claim for claim in CLAIMS if claim.number and claim.unit == "points"]
    rows = [ClaimRow(c.says, e, side(c, e)) for c in claims for e in found if e.claim == c.key]
    if not rows:
        raise SettingError("found must hold evidence in points of accuracy, but there is none; measure runs first.")
    return rows


def claim_evidence(found: Sequence[Evidence]) -> go.Figure:
    """Draw each setting's difference and its 95% interval, in points of accuracy; right of zero speaks for the claim.

    Raises:
        SettingError: nothing is measured in points.
    """
    rows = claim_data(found)
    labels = [f"<b>{r.claim}</b><br>{r.evidence.setting}" for r in rows]
    fig = theme.figure(
        "What our runs say",
        "difference in points of accuracy, 95% interval over seeds; right of the line speaks for the claim",
        x="points of accuracy",
        height=200 + 44 * len(rows),
    )
    for kind, (color, symbol, name) in _LOOK.items():
        at = [i for i, row in enumerate(rows) if row.side == kind]
        items = [rows[i].evidence for i in at]
        spread = dict(
            type="data", symmetric=False, thickness=1.6, width=5,
            array=[e.high - e.estimate for e in items], arrayminus=[e.estimate - e.low for e in items],
        )  # fmt: skip
        fig.add_scatter(
            x=[e.estimate for e in items], y=at, mode="markers", name=name, error_x=spread, showlegend=bool(at),
            marker=dict(color=color, symbol=symbol, size=10), customdata=[[e.setting, e.seeds] for e in items],
            hovertemplate="%{customdata[0]}: %{x:.2f} points, %{customdata[1]} seeds<extra></extra>",
        )  # fmt: skip
    fig.add_vline(x=0, line_width=1.2)
    fig.update_yaxes(tickvals=list(range(len(rows))), ticktext=labels, autorange="reversed", showgrid=False)
    return fig.update_layout(title=dict(x=0.01, xref="container"), legend=dict(y=1, yanchor="bottom"), margin_t=124)
