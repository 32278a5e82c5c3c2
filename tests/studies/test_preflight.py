"""What a study is, takes and lacks, before it starts: against PROTOCOLS's numbers, written here by hand."""

import json
from pathlib import Path

import pytest

from activekd_lab.config import RunConfig
from activekd_lab.course.lab import USUAL, find_notebooks
from activekd_lab.errors import ModelFilesError
from activekd_lab.studies import estimate, preflight
from activekd_lab.studies.grid import load_study, read_grid

FOLDER = find_notebooks(USUAL)
TEN_SETS = {
    "teacher": "RN50/openai", "method": "dho", "freeze_backbone": "False", "pretrained": "True", "image_size": "224",
    "epochs": "200", "steps": "none", "pool_epochs": "none", "batch_labeled": "64", "batch_unlabeled": "64",
    "learning_rate": "0.001", "weight_decay": "0.01", "schedule": "linear-from-0", "warmup": "0.1", "clip_norm": "none",
    "ema": "none", "passes": "separate", "temperature": "2.0", "ce_share": "0.5", "loss_weights": "none",
    "precision": "float32", "view_size": "student", "budget": "none",
}  # fmt: skip
ROUNDS = {"rounds": "15", "initial_per_class": "1", "labeled_draw": "padded", "ce_weight": "0.5",
          "kd_temperature": "1.0", "choose_on": "none", "pool_limit": "none", "query_views": "False",
          "backbone": "resnet18 | mobilenet_v2/IMAGENET1K_V1 | timm/tiny_vit_21m_384.dist_in22k_ft_in1k",
          "selector": "random | entropy | coreset | badge | class_balanced | pcoreset"}  # fmt: skip
IMAGENET = {
    "teacher": "RN50/openai", "backbone": "resnet50", "backbone_weights": "weights/dino_resnet50_pretrain.pth",
    "batch_labeled": "256", "batch_unlabeled": "256", "learning_rate": "0.001", "schedule": "cosine", "warmup": "0.0",
    "temperature": "2.0", "ce_share": "0.5", "pool_epochs": "20", "steps": "none", "epochs": "none",
}  # fmt: skip
WRITTEN_BY_HAND = {
    "activekd-zero-shot": TEN_SETS | ROUNDS | {"few_shot": "none"},
    "activekd-few-shot": TEN_SETS | ROUNDS | {"few_shot": "clap", "teacher_fit": "crops"},
    "activekd-imagenet": IMAGENET | {
        "rounds": "7", "initial_per_class": "1", "last_pool_epochs": "50", "pool_limit": "100000",
        "query_views": "True", "query_mix": "(0.5, 1.0)", "ce_weight": "0.4 | 0.2", "kd_temperature": "0.5",
        "few_shot": "none | clap", "selector": "random | entropy | coreset | class_balanced | pcoreset",
        "choose_on": "none",
    },
    "dho-few-shot-imagenet": IMAGENET | {
        "rounds": "0", "initial_per_class": "1 | 2 | 4 | 8 | 16", "choose_on": "test", "last_pool_epochs": "none",
        "few_shot": "none | tip_adapter_f", "pool_limit": "none",
    },
    "dho-low-shot-imagenet": {
        "teacher": "ViT-H-14-378-quickgelu/dfn5b", "text_average": "mean", "image_size": "224 | 336",
        "backbone": "open_clip/ViT-B-16/openai | open_clip/ViT-L-14-336/openai", "loss_weights": "(1.0, 1.0, 1.0)",
        "learning_rate": "5e-05", "weight_decay": "0.05", "schedule": "chained", "warmup_steps": "5000",
        "pool_epochs": "32", "batch_labeled": "256", "batch_unlabeled": "256", "view_size": "larger",
        "language_start": "released", "ce_weight": "0.5", "kd_temperature": "0.5", "temperature": "2.0", "rounds": "0",
        "initial_per_class": "13 | 128", "few_shot": "none", "method": "dho",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN_BY_HAND)
def test_the_settings_of_a_study_are_the_published_ones(name):
    table = preflight.settings_table(load_study(name, notebooks=FOLDER))
    assert {key: table[key] for key in WRITTEN_BY_HAND[name]} == WRITTEN_BY_HAND[name]


def test_the_few_shot_study_searches_epoch_and_mix_on_the_validation_split():
    study = load_study("dho-few-shot", notebooks=FOLDER)
    own = [job.config.resolve() for job in study.jobs if job.config.method == "dho"]
    assert len(own) == 10 * 2 * 2 * 5 * 3
    assert {(c.choose_on, c.labeled_draw, c.epochs, c.rounds) for c in own} == {("validation", "loader", 200, 0)}
    assert {c.few_shot for c in own} == {"none", "tip_adapter_f"}
    assert {c.initial_per_class for c in own} == {1, 2, 4, 8, 16}


def steps(name, **settings):
    config = RunConfig(protocol=name, **settings).resolve()
    return estimate.job_steps(config, estimate.task_size(config))[0]


def test_steps_of_whole_runs():
    """Section 7: EuroSAT, 16 rounds, L = 10 … 160 in steps of 10: 6 rounds of 200, 6 of 400, 4 of 600."""
    assert steps("activekd-10", task="eurosat", backbone="resnet18") == 6000 == 6 * 200 + 6 * 400 + 4 * 600
    one_per_cent = steps("dho-low-shot", task="imagenet", initial_per_class=13)
    assert one_per_cent == 32 * -(-(1_281_167 - 13_000) // 256) == 158_528
    few = steps("dho-few-shot", task="sun397", backbone="resnet18", initial_per_class=16)
    assert few == 200 * -(-397 * 16 // 64)


def test_the_crops_that_few_shot_teachers_are_fitted_on():
    """CLAP: 300 passes over 47, 94 … 752 labels of 16 rounds; Tip-Adapter-F: ten for its keys and 200 to train them."""
    clap = RunConfig(protocol="activekd-10", task="dtd", few_shot="clap").resolve()
    assert estimate.fitting_crops(clap, estimate.task_size(clap)) == 300 * 47 * (16 * 17 // 2)
    tip = RunConfig(protocol="dho-few-shot", task="dtd", few_shot="tip_adapter_f", initial_per_class=4).resolve()
    assert estimate.fitting_crops(tip, estimate.task_size(tip)) == 210 * 47 * 4


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "grid: {task: [dtd, digits], teacher: RN50/openai, backbone: resnet18, rounds: 1, "
        "options: {pretrained: true, image_size: 32, steps: 3}}"
    )
    return path


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A machine that downloaded nothing."""
    monkeypatch.delenv("ACTIVEKD_LAB_DATA", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path / "torch"))
    return tmp_path


def test_what_is_missing_is_named_with_the_command_that_gets_it(small, bare):
    study = read_grid(small, notebooks=FOLDER)
    found = {item.what: item.command for item in preflight.missing(study)}
    assert list(found) == ["data set dtd", "teacher RN50/openai", "weights of resnet18"]
    assert found["data set dtd"] == "activekd-lab data prepare dtd --root DIR --download"
    assert "load_teacher('RN50/openai')" in found["teacher RN50/openai"]
    assert "build_backbone('resnet18', pretrained=True)" in found["weights of resnet18"]
    with pytest.raises(ModelFilesError, match="3 things are missing, and nothing ran"):
        preflight.refuse_missing(study)


def test_weights_that_lie_in_the_caches_are_not_missing(small, bare):
    from torchvision.models import ResNet18_Weights

    (bare / "torch" / "checkpoints").mkdir(parents=True)
    (bare / "torch" / "checkpoints" / Path(ResNet18_Weights.DEFAULT.url).name).touch()
    assert "weights of resnet18" not in [item.what for item in preflight.missing(read_grid(small, notebooks=FOLDER))]


def test_a_missing_file_of_weights_is_named(bare):
    found = {item.what: item.command for item in preflight.missing(load_study("activekd-imagenet", notebooks=FOLDER))}
    assert "facebookresearch/dino" in found["weights/dino_resnet50_pretrain.pth"]
    assert found["data set imagenet"] == "activekd-lab data check imagenet --root DIR"


def test_the_cost_of_a_small_grid_is_what_hand_arithmetic_gives(small, bare):
    study = read_grid(small, notebooks=FOLDER)
    found = estimate.cost(study)
    assert (found.jobs, found.steps, found.crops) == (2, 2 * 2 * 3, 2 * 2 * 3 * 128)
    assert found.decoded == 2820 + 1128 + 1692  # the digits are in no files
    assert found.disk == found.decoded * 3 * 224**2


def test_nothing_starts_while_something_is_missing(small, bare, call, tmp_path):
    out = tmp_path / "out"
    done = call("sweep", str(small), "--out", str(out), "--notebooks", str(FOLDER))
    assert done.returncode == 1
    assert "things are missing, and nothing ran" in done.stderr
    assert not out.exists()
    dry = call("sweep", str(small), "--dry-run", "--json", "--notebooks", str(FOLDER))
    assert dry.returncode == 1
    said = json.loads(dry.stdout)
    assert said["cost"]["steps"] == 12
    assert said["missing"][0]["what"] == "data set dtd"


def test_a_dry_run_of_what_is_here_says_hours_and_succeeds(call, tmp_path):
    (tmp_path / "g.yaml").write_text("grid: {task: digits, backbone: small_cnn, rounds: 1, options: {image_size: 32}}")
    done = call("sweep", str(tmp_path / "g.yaml"), "--dry-run", "--notebooks", str(FOLDER))
    assert done.returncode == 0
    assert "1 jobs, 400 optimizer steps, 51,200 training crops" in done.stdout
    assert "on this machine" in done.stdout
    assert "V100" in done.stdout
