"""Published figures, to stand beside ours: `assets/reference.csv`, each with the setting and the source it is from."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

_FILE = Path(__file__).parents[1] / "assets" / "reference.csv"


class Published(NamedTuple):
    """One published figure.

    Attributes:
        quantity: what it measures, such as "zero_shot_accuracy".
        dataset: task name, or several in words.
        setting: model and labels it was measured with.
        value: as printed.
        unit: "percent", "percentage points" or "settings".
        source: where it is printed.
    """

    quantity: str
    dataset: str
    setting: str
    value: str
    unit: str
    source: str


def published() -> list[Published]:
    """Return every published figure, in the order of the file."""
    with _FILE.open(newline="", encoding="utf-8") as file:
        return [Published(**row) for row in csv.DictReader(file)]
