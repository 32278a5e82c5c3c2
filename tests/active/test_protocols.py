"""The published experiments: their settings field by field, what may be overridden, and what is said of it."""

from pathlib import Path

import pytest

from activekd_lab.active.protocols import PROTOCOLS, TEN, as_published, markdown, table
from activekd_lab.config import RunConfig
from activekd_lab.errors import SettingError, UnknownNameError

WEIGHTS = {"backbone_weights": "dino.pth"}
PUBLISHED = {
    "activekd-10": {
        "teacher": "RN50/openai", "backbone": "resnet18", "pretrained": True, "initial_per_class": 1, "budget": None,
        "rounds": 15, "epochs": 200, "steps": None, "labeled_draw": "padded", "batch_labeled": 64,
        "batch_unlabeled": 64, "learning_rate": 1e-3, "weight_decay": 0.01, "schedule": "linear-from-0", "warmup": 0.1,
        "ema": None, "clip_norm": None, "image_size": 224, "passes": "separate", "ce_share": 0.5, "loss_weights": None,
        "temperature": 2.0, "ce_weight": 0.5, "kd_temperature": 1.0, "freeze_backbone": False,
        "choose_on": None, "few_shot": "none", "precision": "float32", "pool_limit": None, "query_views": False,
    },
    "activekd-imagenet": {
        "task": "imagenet", "teacher": "RN50/openai", "backbone": "resnet50", "pool_limit": 100_000, "rounds": 7,
        "initial_per_class": 1, "batch_labeled": 256, "batch_unlabeled": 256, "pool_epochs": 20,
        "last_pool_epochs": 50, "learning_rate": 1e-3, "schedule": "cosine", "warmup": 0.0, "ce_weight": 0.4,
        "kd_temperature": 0.5, "query_mix": (0.5, 1.0), "query_views": True, "passes": "joint",
        "protocol": "corrected",
    },
    "dho-few-shot": {
        "backbone": "resnet18", "epochs": 200, "labeled_draw": "loader", "schedule": "linear-from-0", "rounds": 0,
        "choose_on": "validation", "learning_rate": 1e-3, "warmup": 0.1, "passes": "separate", "initial_per_class": 1,
    },
    "dho-few-shot-imagenet": {
        "task": "imagenet", "batch_labeled": 256, "pool_epochs": 20, "schedule": "cosine", "warmup": 0.0,
        "choose_on": "test", "rounds": 0, "backbone": "resnet50",
    },
    "dho-low-shot": {
        "teacher": "ViT-H-14-378-quickgelu/dfn5b", "backbone": "open_clip/ViT-B-16/openai", "image_size": 224,
        "loss_weights": (1.0, 1.0, 1.0), "learning_rate": 5e-5, "weight_decay": 0.05, "schedule": "chained",
        "warmup_steps": 5000, "pool_epochs": 32, "batch_labeled": 256, "batch_unlabeled": 256, "view_size": "larger",
        "language_start": "released", "ce_weight": 0.5, "kd_temperature": 0.5, "text_average": "mean",
        "initial_per_class": 13,
    },
}  # fmt: skip


def resolved(protocol, **settings):
    given = {"task": "dtd"} if not PROTOCOLS[protocol].choices["task"] else {}
    given |= WEIGHTS if PROTOCOLS[protocol].needs else {}
    return RunConfig(protocol=protocol, device="cpu", **given | settings).resolve()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_protocol_sets_all_that_it_fixes(protocol):
    found = resolved(protocol)
    assert {name: getattr(found, name) for name in PUBLISHED[protocol]} == PUBLISHED[protocol]
    assert as_published(found.deviations) == f"{protocol} as published"
    assert set(RunConfig.model_fields) >= PROTOCOLS[protocol].settings.keys()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_published_choice_is_as_published(protocol):
    for name, values in PROTOCOLS[protocol].choices.items():
        for value in values or TEN:
            assert resolved(protocol, **{name: value}).deviations == (protocol, {}), (name, value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_a_protocol_resolves_to_can_be_spelled_out(protocol):
    found = resolved(protocol)
    assert RunConfig(**found.identity(), device="cpu").resolve().hash == found.hash


def test_settings_follow_from_others():
    assert resolved("activekd-imagenet", few_shot="clap").ce_weight == 0.2
    assert resolved("dho-low-shot", backbone="open_clip/ViT-L-14-336/openai").image_size == 336
    clap = resolved("activekd-10", few_shot="clap")
    assert (clap.teacher_fit, clap.protocol) == ("crops", "released")
    assert resolved("dho-few-shot", few_shot="tip_adapter_f").teacher_fit == "crops"


def test_the_released_variants_of_selectors_are_reached():
    assert resolved("activekd-10", selector="badge").selector_options == {"protocol": "released"}
    assert resolved("activekd-10", selector="random").selector_options == {}


def test_every_override_is_listed():
    found = resolved("activekd-10", rounds=3, steps=4, seed=7, selector="kmeans", teacher="bundled")
    name, overrides = found.deviations
    assert name == "activekd-10"
    assert overrides == {
        "rounds": (15, 3), "steps": ("epochs=200", 4), "selector": ("pcoreset", "kmeans"),
        "teacher": ("RN50/openai", "bundled"),
    }  # fmt: skip
    assert (found.steps, found.epochs, found.rounds) == (4, None, 3)
    assert as_published(found.deviations).startswith("activekd-10 as published but for ")
    assert "rounds=3 (published: 15)" in as_published(found.deviations)
    assert list(resolved("dho-low-shot", task="eurosat").deviations[1]) == ["task"]
    assert resolved("activekd-10", rounds=15).deviations[1] == {}


def test_an_override_takes_the_place_of_what_it_rules_out():
    assert resolved("activekd-imagenet", epochs=3).pool_epochs is None
    assert resolved("dho-low-shot", schedule="linear").warmup_steps is None
    assert resolved("dho-low-shot", backbone="small_cnn", pretrained=False).language_start == "unit"
    with pytest.raises(SettingError, match="language_start has no effect with backbone='small_cnn'"):
        RunConfig(backbone="small_cnn", language_start="released", device="cpu").resolve()
    labels_only = resolved("activekd-10", method="ce")
    assert (labels_only.passes, list(labels_only.deviations[1])) == ("joint", ["method"])


@pytest.mark.parametrize(
    ("protocol", "settings", "message"),
    [
        ("dho-few-shot", {"ce_weight": 0.4}, "protocol='dho-few-shot' does not take ce_weight=0.4: ce_weight has no"),
        ("dho-few-shot", {"validation_labels": 9}, "validation_labels=9: validation_labels has no effect"),
        ("dho-low-shot", {"ce_share": 0.4}, "ce_share has no effect with loss_weights"),
        (
            "activekd-imagenet", {"backbone": "efficientnet_lite0", "freeze_backbone": True},
            "query_views has no effect with a frozen backbone",
        ),
        ("activekd-imagenet", {"backbone_weights": None}, "protocol='activekd-imagenet' needs backbone_weights="),
        ("dho-low-shot", {"steps": 7}, "does not take steps=7: warmup_steps must be fewer than the 7 steps"),
        ("activekd-10", {"task": "dtdd"}, "Unknown task 'dtdd'"),
    ],
)  # fmt: skip
def test_what_a_protocol_cannot_take_is_refused(protocol, settings, message):
    with pytest.raises((SettingError, UnknownNameError), match=message) as caught:
        resolved(protocol, **settings)
    assert "\n" not in str(caught.value)


def test_a_protocol_of_ten_data_sets_needs_one_and_a_name_must_be_known():
    with pytest.raises(SettingError, match="protocol='activekd-10' needs a task: caltech101, dtd"):
        RunConfig(protocol="activekd-10").resolve()
    with pytest.raises(UnknownNameError, match="Unknown protocol 'activekd10'. Known, nearest first: activekd-10"):
        RunConfig(protocol="activekd10").resolve()


def test_the_page_of_protocols_holds_the_table_as_it_is():
    page = Path(__file__).parents[2] / "docs" / "protocols.md"
    assert markdown() in page.read_text("utf-8"), "docs/protocols.md has drifted; paste protocols.markdown() into it"
    rows = table()
    assert rows["labeled_draw"] == {
        "default": "cycle", "activekd-10": "padded", "activekd-imagenet": "repeated", "dho-few-shot": "loader",
        "dho-few-shot-imagenet": "cycle", "dho-low-shot": "cycle",
    }  # fmt: skip
    assert "device" not in rows
