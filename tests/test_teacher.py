import json
import shutil

import open_clip
import pytest
import torch
from PIL import Image

from activekd_lab.data import load_task
from activekd_lab.errors import DataError, ModelFilesError, SettingError, UnknownNameError
from activekd_lab.teacher import BUNDLED, ZeroShotHead, load_teacher, resolve_device


@pytest.fixture(scope="module")
def teacher():
    return load_teacher("bundled", device="cpu")


@pytest.fixture(scope="module")
def task():
    return load_task("shapes", num_classes=4, pool_size=30, test_per_class=2, val_per_class=1)


def test_zero_shot_equals_a_direct_computation_with_open_clip(teacher, task):
    """Our whole path (preprocess, encode, prompt, head) against open_clip's own calls on the same images."""
    name = f"local-dir:{BUNDLED}"
    model, _, preprocess = open_clip.create_model_and_transforms(name)
    tokens = open_clip.get_tokenizer(name)([task.templates[0].format(c) for c in task.class_names])
    pixels = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in task.train.images]
    with torch.no_grad():
        image = model.eval().encode_image(torch.stack([preprocess(p) for p in pixels]), normalize=True)
        text = model.encode_text(tokens, normalize=True)
        expected = (model.logit_scale.exp() * image @ text.T).softmax(1)
    ours = teacher.zero_shot(task).probabilities(teacher.encode(task.train))
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(teacher.encode(pixels), image, atol=1e-6, rtol=0)


def test_embeddings_have_length_one_and_come_from_the_cache(teacher, task, monkeypatch):
    first = teacher.encode(task.test)
    torch.testing.assert_close(first.norm(dim=1), torch.ones(len(first)))
    monkeypatch.setattr(teacher, "encode_inputs", lambda inputs: pytest.fail("the cache was not used"))
    assert torch.equal(teacher.encode(task.test), first)


def test_views_on_the_device_agree_with_open_clips_preprocessing(teacher, task):
    views = teacher.encode_views(task.train.images.float() / 255)
    cosine = (views * teacher.encode(task.train)).sum(1)
    assert float(cosine.min()) > 0.99  # bicubic on floats against bicubic on bytes


def test_templates_are_averaged(teacher, task):
    one = teacher.zero_shot(task, ["a {}."]).text
    two = teacher.zero_shot(task, ["{}"]).text
    both = teacher.zero_shot(task, ["a {}.", "{}"]).text
    torch.testing.assert_close(both, torch.nn.functional.normalize(one + two, dim=1))
    with pytest.raises(DataError, match="exactly one '{}'"):
        teacher.zero_shot(task, ["no slot"])


def test_head_adds_scale_and_bias():
    head = ZeroShotHead(torch.eye(2), scale=10.0, bias=-1.0)
    torch.testing.assert_close(head.logits(torch.tensor([[1.0, 0.0]])), torch.tensor([[9.0, -1.0]]))


def test_the_bundled_teacher_is_imperfect_but_far_above_chance(teacher):
    """What DESIGN 6 asks of it; the card holds the measured figures."""
    card = json.loads((BUNDLED / "card.json").read_text())
    task = load_task("digits")
    accuracy = (teacher.zero_shot(task).logits(teacher.encode(task.test)).argmax(1) == task.test.labels).float().mean()
    assert float(accuracy) == pytest.approx(card["zero_shot"]["digits"], abs=0.01)
    assert 3 / 48 < card["zero_shot"]["shapes"] < 0.9
    assert (BUNDLED / "open_clip_model.safetensors").stat().st_size < 12e6


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("RN50/opnai", "nearest first: RN50/openai"),
        ("bundle", "nearest first: bundled"),
        ("ViT-B-32", "ViT-B-32/openai"),
    ],
)
def test_unknown_teachers_name_the_nearest(name, message):
    with pytest.raises(UnknownNameError, match=message):
        load_teacher(name)


def test_missing_files_are_named_with_a_remedy(tmp_path):
    with pytest.raises(ModelFilesError, match=r"lacks open_clip_config\.json, open_clip_model\.safetensors"):
        load_teacher(f"local-dir:{tmp_path}")
    shutil.copy(BUNDLED / "open_clip_config.json", tmp_path)
    with pytest.raises(ModelFilesError, match=r"lacks open_clip_model\.safetensors in "):
        load_teacher(f"local-dir:{tmp_path}")


def test_damaged_weights_are_one_sentence(tmp_path):
    shutil.copy(BUNDLED / "open_clip_config.json", tmp_path)
    (tmp_path / "open_clip_model.safetensors").write_bytes(
        (BUNDLED / "open_clip_model.safetensors").read_bytes()[:1000]
    )
    with pytest.raises(ModelFilesError, match="cannot be loaded") as caught:
        load_teacher(f"local-dir:{tmp_path}")
    assert "\n" not in str(caught.value)


def test_weights_out_of_reach_say_where_they_are_looked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelFilesError, match=r"HF_HUB_OFFLINE=1.*local-dir:PATH"):
        load_teacher("ViT-B-32/laion2b_s34b_b79k")


def test_devices():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(UnknownNameError, match="nearest first: cuda"):
        resolve_device("cudda")
    if not torch.cuda.is_available():
        with pytest.raises(SettingError, match="not available"):
            resolve_device("cuda")
