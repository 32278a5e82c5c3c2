"""Every study of the papers runs its smallest job end to end, on files in the data sets' real layouts.

Random weights of real architectures stand for what is downloaded: OpenAI's RN50 as teacher, a ViT-B/16 as student, both
at 64 px, and a ResNet-50 as DINO's file; papermill executes the notebook, as in any sweep.
"""

import json

import numpy as np
import open_clip
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file
from torchvision import models

from activekd_lab.course.lab import USUAL, find_notebooks
from activekd_lab.data.coop import SPECS
from activekd_lab.data.imagenet import wnid_names
from activekd_lab.studies import preflight
from activekd_lab.studies.grid import STUDIES, list_studies, read_grid
from activekd_lab.studies.sweep import run_sweep

PAPERS = [name for name in list_studies() if name != "bundled-all"]
SIDE = 64
SMALL = {"pretrained": False, "batch_labeled": 4, "batch_unlabeled": 4, "steps": 2, "save_predictions": False}


def picture(path, g):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(g.integers(0, 255, (70, 80, 3), dtype=np.uint8)).save(path, "JPEG")


def write_coop(root, name, g):
    spec, split = SPECS[name], {}
    for part, count in {"train": 12, "val": 3, "test": 3}.items():
        split[part] = [[f"class_{i % 3}/{part}_{i}.jpg", i % 3, f"thing {i % 3}"] for i in range(count)]
        for relative, _, _ in split[part]:
            picture(root / spec.images[0] / relative, g)
    (root / spec.images[0].partition("/")[0] / spec.split).write_text(json.dumps(split))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Data sets of three classes each, in CoOp's and ImageNet's layouts."""
    root, g = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for name in ("dtd", "caltech101"):
        write_coop(root, name, g)
    for wnid in list(wnid_names())[:3]:
        for part, count in {"train": 5, "val": 2}.items():
            for i in range(count):
                picture(root / "imagenet" / part / wnid / f"{wnid}_{i}.JPEG", g)
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """local-dir: models of RN50 and ViT-B/16, and a file of a ResNet-50, with random weights."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    for name in ("RN50", "ViT-B-16"):
        config = open_clip.get_model_config(f"{name}-quickgelu")
        config["vision_cfg"]["image_size"] = SIDE
        (folder / name).mkdir()
        preprocess = {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28], "interpolation": "bicubic"}
        (folder / name / "open_clip_config.json").write_text(
            json.dumps({"model_cfg": config, "preprocess_cfg": preprocess})
        )
        state = {key: value.contiguous() for key, value in open_clip.CLIP(**config).state_dict().items()}
        save_file(state, folder / name / "open_clip_model.safetensors")
    torch.save(models.resnet50().state_dict(), folder / "dino_resnet50_pretrain.pth")
    return folder


def smallest(name, root, weights):
    """Return the first job of a packaged study, made small: one value an axis, few steps, random weights."""
    part = yaml.safe_load((STUDIES / f"{name}.yaml").read_text())["grid"]
    part = part[0] if isinstance(part, list) else part
    point = {key: value[0] if isinstance(value, list) else value for key, value in part.items()}
    options, rest = point.pop("options"), {"teacher": f"local-dir:{weights / 'RN50'}"}
    few = {
        key: value
        for key, value in SMALL.items()
        if not (key == "batch_unlabeled" and point.get("teacher_mode") == "none")
    }
    if "backbone_weights" in options:
        del few["pretrained"]
        few["backbone_weights"] = str(weights / "dino_resnet50_pretrain.pth")
    if str(point["backbone"]).startswith("open_clip"):
        del few["pretrained"]
        few["warmup_steps"] = 1  # of 2 steps
        rest["backbone"] = f"open_clip/local-dir:{weights / 'ViT-B-16'}"
    rest["task"] = "imagenet" if point["task"] == "imagenet" else "dtd"
    rest["task_options"] = {"root": str(root), "image_size": SIDE}
    rounds = {} if "dho" in name else {"rounds": 1}
    shots = {"initial_per_class": 1} if "dho" in name else {}
    rest["seed"] = PAPERS.index(name)  # the first jobs of several studies are one and the same
    return point | rest | rounds | shots | {"options": options | few | {"image_size": SIDE}}


@pytest.mark.slow
def test_every_study_runs_its_smallest_job_on_the_real_layouts(root, weights, tmp_path):
    grids = [smallest(name, root, weights) for name in PAPERS]
    (tmp_path / "all.yaml").write_text(yaml.safe_dump({"title": "smallest jobs", "grid": grids}))
    study = read_grid(tmp_path / "all.yaml", profile="paper", notebooks=find_notebooks(USUAL))
    assert len(study.jobs) == len(PAPERS)
    assert preflight.missing(study) == []
    found = run_sweep(study, tmp_path / "out", workers=1)
    assert [f"{outcome.name}: {outcome.error}" for outcome in found.failed] == []
    assert len(found.finished) == len(PAPERS)


def test_every_study_of_the_papers_names_its_protocol():
    for name in PAPERS:
        grids = yaml.safe_load((STUDIES / f"{name}.yaml").read_text())["grid"]
        for part in grids if isinstance(grids, list) else [grids]:
            assert "protocol" in part, name
