import pytest

from activekd_lab.config import RunConfig
from activekd_lab.errors import SettingError, UnknownNameError
from activekd_lab.prepare import resolve_backbone


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
        ({"method": "ce", "ce_weight": 0.3}, "ce_weight has no effect with method='ce'"),
        ({"method": "nope"}, "method"),
        ({"protocol": "released"}, "protocol='released' has no effect with few_shot='none'"),
        ({"protocol": "paper"}, "protocol='paper' has no effect with few_shot='none'"),
        ({"few_shot": "clap", "method": "ce"}, "few_shot='clap' has no effect with method='ce'"),
        ({"freeze_backbone": False, "projection_dim": 9}, "projection_dim has no effect with freeze_backbone=False"),
        ({"templates": ()}, "templates must hold at least one template"),
        ({"few_shot": "clip"}, "few_shot should be 'none', 'clap', 'tip_adapter'"),
    ],
)
def test_bad_values_are_one_sentence(settings, message):
    with pytest.raises(SettingError, match=message) as caught:
        RunConfig(**settings)
    assert "\n" not in str(caught.value)


def test_what_auto_becomes_is_checked_too():
    config = RunConfig(backbone="resnet18", pretrained=False, projection_dim=9, device="cpu")
    with pytest.raises(SettingError, match="projection_dim has no effect"):
        resolve_backbone(config)


def test_a_config_cannot_be_changed_in_place():
    with pytest.raises(Exception, match="frozen"):
        RunConfig().rounds = 3


def test_the_hash_follows_what_determines_the_result_and_nothing_else():
    base = RunConfig()
    assert base.hash == RunConfig(device="cpu", save_predictions=False).hash
    assert base.hash != base.with_(seed=1).hash
    assert base.with_(rounds=2).rounds == 2
    assert base.rounds == 8


def test_training_steps():
    assert RunConfig().training_steps(48) == 200
    assert RunConfig(steps=7).training_steps(48) == 7
    assert RunConfig(epochs=200).training_steps(48) == 150  # 200 · 48 / 64, as the released code counts


def test_with_keeps_explicit_settings_and_validates_again():
    with pytest.raises(SettingError, match="steps and epochs"):
        RunConfig(steps=5).with_(epochs=3)
