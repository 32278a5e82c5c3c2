"""The table in the notebook is what the protocols' data says, for every setting in which they differ."""

import pytest

from activekd_lab.active.protocols import PROTOCOLS
from activekd_lab.config import RunConfig
from activekd_lab.studies.protocol_table import WHY, protocol_table

pytestmark = pytest.mark.quick


def test_every_setting_that_an_experiment_changes_has_a_row():
    """All but what is said of the task alone, or is no choice of an experiment."""
    changed = set()
    for found in PROTOCOLS.values():
        for settings in (found.settings, *found.when.values()):
            changed |= {name for name, value in settings.items() if value != RunConfig.model_fields[name].default}
        changed |= {name for name, values in found.choices.items() if values}
    assert changed - set(WHY) <= {"task"}
    assert set(WHY) <= set(RunConfig.model_fields)


def test_cells_by_hand():
    table = protocol_table()
    assert table.loc["schedule"].tolist()[:6] == [
        "linear-from-0",
        "cosine",
        "linear-from-0",
        "cosine",
        "chained",
        "linear",
    ]
    assert table.loc["ce_weight", "activekd-imagenet"] == "0.4; 0.2 with few_shot=clap"
    assert table.loc["teacher", "dho-low-shot"] == "ViT-H-14-378-quickgelu/dfn5b"
    assert table.loc["initial_per_class", "dho-few-shot"] == "1, 2, 4, 8, 16"
    assert table.loc["image_size", "dho-low-shot"].startswith("224; 336 with backbone=open_clip/ViT-L-14-336")
    assert table.loc["rounds", "our default"] == "8"
    assert table.loc["steps", "our default"] == "200", "what a run does, not the None that stands for it"
    assert table.loc["rounds", "what it is"] == "query rounds after the initial labels"
    assert (table["what it is"] != "").all()
