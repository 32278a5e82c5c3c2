from pathlib import Path

import numpy as np
import pytest

from activekd_lab.config import RunConfig
from activekd_lab.data import task_from
from activekd_lab.errors import SettingError, UnknownNameError

pytestmark = pytest.mark.quick


def test_unknown_setting_names_the_nearest():
    with pytest.raises(UnknownNameError, match=r"Unknown setting 'selctor'\. Known, nearest first: selector,"):
        RunConfig(selctor="random")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rounds": -1}, "rounds should be greater than or equal to 0, but got -1"),
        ({"budget": 0}, "budget should be greater than or equal to 1, but got 0"),
        ({"ce_weight": 1.5}, "ce_weight should be less than or equal to 1, but got 1.5"),
        ({"steps": 5, "epochs": 2}, "steps and epochs both set"),
        ({"choose_on": "test", "ema": 0.9}, "ema has no effect with choose_on"),
        ({"choose_on": "test", "ce_weight": 0.3}, "ce_weight has no effect with choose_on"),
        ({"pool_epochs": 2, "steps": 3}, "steps and pool_epochs both set"),
        ({"last_pool_epochs": 3}, "last_pool_epochs has no effect without pool_epochs"),
        ({"schedule": "chained"}, "schedule='chained' needs warmup_steps"),
        ({"schedule": "chained", "warmup_steps": 9, "steps": 9}, "warmup_steps must be fewer than the 9 steps"),
        ({"warmup": 0.2, "warmup_steps": 3}, "warmup and warmup_steps both"),
        ({"loss_weights": (1, 1, 1), "ce_share": 0.3}, "ce_share has no effect with loss_weights"),
        ({"loss_weights": (0, 0, 0)}, "loss_weights must not all be 0"),
        ({"teacher_fit": "crops"}, "teacher_fit has no effect with few_shot='none'"),
        ({"protocol": "paper"}, "protocol='paper' has no effect with few_shot='none'"),
        ({"freeze_backbone": False, "projection_dim": 9}, "projection_dim has no effect with freeze_backbone=False"),
        ({"templates": ()}, "templates must hold at least one template"),
        ({"templates": "a {}."}, "templates should be a list or tuple, but got 'a {}.'"),
        (
            {"task_options": {"a": [1]}},
            r"^task_options\.a should be an integer or a valid number or a valid string, but got \[1\]\.$",
        ),
        ({"few_shot": "clip"}, "few_shot should be 'none', 'clap', 'tip_adapter'"),
    ],
)
def test_bad_values_are_one_sentence(settings, message):
    with pytest.raises(SettingError, match=message) as caught:
        RunConfig(**settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "ce", "ce_weight": 0.3}, "ce_weight has no effect with method='ce'; it belongs to dho."),
        ({"method": "ce", "passes": "separate"}, "passes has no effect with method='ce'"),
        ({"method": "kd", "query_mix": (0.4, 1)}, "query_mix has no effect with method='kd'"),
        ({"method": "kd", "ce_share": 0.4}, "ce_share has no effect with method='kd'; it belongs to dho, single_head."),
        ({"method": "ce", "temperature": 1.0}, "temperature has no effect .* belongs to dho, kd, single_head."),
        ({"few_shot": "clap", "method": "ce"}, "few_shot='clap' has no effect with method='ce'"),
        ({"method": "doh"}, "Unknown method 'doh'. Known, nearest first: dho"),
    ],
)
def test_what_a_method_has_no_use_for_is_refused_when_it_is_looked_up(settings, message):
    with pytest.raises((SettingError, UnknownNameError), match=message) as caught:
        RunConfig(**settings).resolve()
    assert "\n" not in str(caught.value)


def test_a_path_is_taken_where_a_text_is():
    assert RunConfig(task_options={"path": Path("a/b")}).task_options == {"path": str(Path("a/b"))}


def test_what_auto_becomes_is_checked_too():
    config = RunConfig(backbone="resnet18", pretrained=False, projection_dim=9, device="cpu")
    with pytest.raises(SettingError, match="projection_dim has no effect"):
        config.resolve()


def test_a_config_cannot_be_changed_in_place():
    with pytest.raises(Exception, match="frozen"):
        RunConfig().rounds = 3


def name_of(**settings):
    return RunConfig(**settings).resolve().hash


def test_the_hash_follows_what_determines_the_result_and_nothing_else():
    assert name_of() == name_of(device="cpu", save_predictions=False)
    assert name_of() != name_of(seed=1)
    assert RunConfig().with_(rounds=2).rounds == 2
    with pytest.raises(AttributeError, match="hash"):
        _ = RunConfig().hash  # only what is resolved has a name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"steps": None}, {"steps": 200}),
        ({"few_shot": "clap", "protocol": "paper"}, {"few_shot": "clap", "protocol": "corrected"}),
        ({"device": "cpu"}, {"device": "cpu", "freeze_backbone": True, "pretrained": True}),
        ({}, {"task_options": {"num_classes": 48}}),
        ({"selector": "badge"}, {"selector": "badge", "selector_options": {"protocol": "paper"}}),
    ],
)
def test_settings_that_mean_the_same_have_one_hash(one, other):
    assert name_of(**one) == name_of(**other)


def test_what_is_resolved_can_be_changed_and_resolved_again():
    frozen = RunConfig(device="cpu").resolve()
    assert frozen.freeze_backbone is True
    assert frozen.resolve() is frozen
    assert frozen.with_(backbone="small_cnn").resolve().freeze_backbone is False


def test_training_steps():
    def steps(labels, pool=0, last=False, **settings):
        return RunConfig(device="cpu", **settings).resolve().training_steps(labels, pool, last=last)

    assert steps(48) == 200
    assert steps(48, steps=7) == 7
    assert steps(48, epochs=200) == 150  # 200 · 48 / 64
    assert [steps(48, 1000, last, pool_epochs=3, last_pool_epochs=5, batch_unlabeled=300) for last in (0, 1)] == [
        12,
        20,
    ]


@pytest.mark.parametrize("draw", ["padded", "loader"])
def test_the_published_steps_of_a_round(draw):
    """Section 7 of the list of published numbers: 200 passes over the labels in whole batches of 64."""
    config = RunConfig(epochs=200, labeled_draw=draw, device="cpu").resolve()
    found = [config.training_steps(labels) for labels in (10, 37, 47, 64, 65, 100, 196, 397, 1600)]
    assert found == [200, 200, 200, 200, 400, 400, 800, 1400, 5000]
    assert sum(config.training_steps(10 * round_) for round_ in range(1, 17)) == 6000  # EuroSAT


def test_settings_of_one_meaning_have_one_hash():
    """Paper and corrected refit at the same time; what a run was resolved to says the same again."""
    few_shot = {"few_shot": "clap", "device": "cpu"}
    corrected, paper, released = (
        RunConfig(**few_shot, protocol=name).resolve() for name in ("corrected", "paper", "released")
    )
    assert corrected.hash == paper.hash != released.hash
    assert RunConfig(**released.identity()).resolve().hash == released.hash


def test_released_must_have_an_effect():
    with pytest.raises(
        SettingError, match="protocol='released' has no effect with few_shot='none' and selector='random"
    ):
        RunConfig(protocol="released", selector="random", device="cpu").resolve()
    badge = RunConfig(protocol="released", selector="badge", device="cpu").resolve()
    assert badge.selector_options == {"protocol": "released"}
    own = RunConfig(protocol="released", selector="badge", selector_options={"protocol": "paper"}, device="cpu")
    assert own.resolve().selector_options == {}


def test_with_keeps_explicit_settings_and_validates_again():
    with pytest.raises(SettingError, match="steps and epochs"):
        RunConfig(steps=5).with_(epochs=3)


def test_a_run_stays_in_its_store_whatever_its_task_is_called():
    rows = np.random.default_rng(0).normal(size=(12, 3))
    names = {}
    for name in ("../../evil", "/abs/path", "a\nb", "..", "Größe"):
        task = task_from(features=rows, labels=[0, 1] * 6, class_names=["a", "b"], name=name)
        names[name] = RunConfig(method="ce").resolve(task=task).run_name
    assert not any({"/", "\n"} & {*name} or name.startswith(".") for name in names.values())
    assert names["Größe"].startswith("Größe-")
