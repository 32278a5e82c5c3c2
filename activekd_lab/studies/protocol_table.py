"""The table of settings by published experiment, with what we do by default and why: made from the protocols' data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from activekd_lab.active.protocols import PROTOCOLS, Published
from activekd_lab.config import RunConfig

if TYPE_CHECKING:
    import pandas as pd

WHY = {
    "teacher": "12 MB, offline; real CLIP models by name",
    "text_average": "the published low-shot code does not make the mean of texts unit again",
    "few_shot": "a zero-shot teacher needs no labels",
    "teacher_fit": "cached embeddings are read once; fresh crops cost a teacher pass at every step",
    "selector": "the paper's own",
    "rounds": "enough to see curves part in a notebook",
    "initial_per_class": "as published",
    "pool_limit": "nothing is left out of a pool that fits",
    "query_views": "the selector sees each image as testing does, so a pick does not depend on a crop",
    "query_mix": "selecting and testing ask the same prediction",
    "backbone": "real ImageNet weights from a package, no download",
    "freeze_backbone": "auto: cached features make a round a second on a CPU; a GPU trains the whole network",
    "pretrained": "auto: where the weights need no download",
    "image_size": "a laptop's size; a CLIP tower keeps its own",
    "view_size": "the student's size is cheaper; the larger of both keeps detail for a larger teacher",
    "language_start": "unit text starts as the zero-shot classifier; the released start is not one",
    "steps": "a round of a second, the same at every number of labels",
    "epochs": "the published length grows with the labels",
    "pool_epochs": "",
    "last_pool_epochs": "",
    "labeled_draw": "every label once before any twice; drawing with replacement misses some",
    "batch_labeled": "as published on the ten data sets",
    "batch_unlabeled": "as published on the ten data sets",
    "learning_rate": "as published on the ten data sets",
    "weight_decay": "as published on the ten data sets",
    "schedule": "linear begins one step up, so that no step has rate 0",
    "warmup": "as published on the ten data sets",
    "warmup_steps": "",
    "passes": "one pass is faster; separate passes keep batch-norm statistics apart, as published",
    "temperature": "as published",
    "ce_share": "as published",
    "loss_weights": "ce_share says it; the low-shot code adds the three losses unweighted",
    "ce_weight": "as published for ActiveKD on ten data sets",
    "kd_temperature": "as published for ActiveKD on ten data sets",
    "choose_on": "no label is spent on choosing; choosing on test flatters",
}
"""Why our default is what it is, for every setting in which an experiment may differ; "" goes without saying."""


def rows() -> list[list[str]]:
    """Return a row a setting: name, its value in each published experiment, our default, why, what it is."""
    ours = {name: RunConfig.model_fields[name].default for name in WHY}
    ours["steps"] = RunConfig().resolve().steps  # the field is None, which stands for a number
    return [
        [
            name,
            *(_published(found, name) for found in PROTOCOLS.values()),
            _said(ours[name]),
            why,
            RunConfig.model_fields[name].description or "",
        ]
        for name, why in WHY.items()
    ]


def protocol_table() -> pd.DataFrame:
    """Return the table as pandas: a row a setting, a column an experiment, then our default, why, and what it is."""
    import pandas as pd  # noqa: PLC0415  (slow import)

    columns = ["setting", *PROTOCOLS, "our default", "why", "what it is"]
    return pd.DataFrame(rows(), columns=columns).set_index("setting")


def _published(found: Published, name: str) -> str:
    """Return what an experiment says of a setting: what it varies, fixes, or changes with another value."""
    if name in found.needs:
        return "a file"
    values = found.choices.get(name) or (found.settings.get(name, RunConfig.model_fields[name].default),)
    follows = [f"{_said(s[name])} with {key}={_said(value)}" for (key, value), s in found.when.items() if name in s]
    return "; ".join([", ".join(map(_said, values)), *follows])


def _said(value: Any) -> str:
    return "–" if value is None else str(value)
