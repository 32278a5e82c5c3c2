"""Small HTML panels beside a figure: the takeaway, an image under the mouse, the picked images."""

from __future__ import annotations

import html
from collections.abc import Sequence

from activekd_lab.plots.gallery import Picks
from activekd_lab.plots.images import sheet
from activekd_lab.widgets.runner import Array

SHOWN = 24


def words(text: str) -> str:
    """Return a takeaway as HTML; it is announced by screen readers when it changes."""
    return f'<p role="status" aria-live="polite" style="line-height:1.45;margin:4px 0">{html.escape(text)}</p>'


def hover_card(image: Array, text: str) -> str:
    """Return one (3, H, W) uint8 image with a line of a figure's text, in which names are escaped already."""
    uri = sheet(image[None], columns=1, tile=96).uri
    return (
        f'<img src="{uri}" alt="" style="width:96px;height:96px;image-rendering:pixelated;border-radius:6px">'
        f'<div style="font-size:12px;line-height:1.3">{html.escape(html.unescape(text))}</div>'
    )


def pick_panel(picks: Picks, images: Array, class_names: Sequence[str]) -> str:
    """Return the first 24 picks as a grid of thumbnails with the true class and the student's answer."""
    shown = picks.ids[:SHOWN]
    if not len(shown):
        return ""
    page = sheet(images[shown], columns=len(shown), tile=64, quality=85)
    cells = "".join(_cell(i, picks, len(shown), class_names) for i in range(len(shown)))
    more = f"<div>and {len(picks.ids) - SHOWN} more</div>" if len(picks.ids) > SHOWN else ""
    grid = (
        "display:grid;grid-template-columns:repeat(auto-fill,minmax(88px,1fr));gap:8px;font-size:11px;line-height:1.25"
    )
    return f'<div style="--sheet:url({page.uri});{grid}">{cells}</div>{more}'


def _cell(i: int, picks: Picks, count: int, class_names: Sequence[str]) -> str:
    truth, guess = html.escape(class_names[picks.true[i]]), html.escape(class_names[picks.predicted[i]])
    right = picks.true[i] == picks.predicted[i]
    sign = "✓" if right else "✗"
    picture = (
        f"width:72px;height:72px;border-radius:6px;background:var(--sheet) -{72 * i}px 0/{72 * count}px 72px;"
        "image-rendering:pixelated"
    )
    tip = f"pick {i + 1}, image {picks.ids[i]}: distance to the nearest label {picks.distance[i]:.3f}"
    return (
        f'<div title="{tip}"><div role="img" aria-label="{truth}" style="{picture}"></div><b>{i + 1}. {truth}</b><br>'
        f"{sign} {guess} {picks.confidence[i]:.0%}</div>"
    )
