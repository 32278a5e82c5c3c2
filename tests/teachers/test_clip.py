import json
import shutil
import warnings
from copy import deepcopy

import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from activekd_lab.data import load_task
from activekd_lab.data.task import Split, Task
from activekd_lab.device import resolve_device, resolve_precision
from activekd_lab.errors import DataError, ModelFilesError, NonFiniteError, SettingError, UnknownNameError
from activekd_lab.students.towers import BUNDLED, check_model
from activekd_lab.teachers.clip import Teacher, load_teacher
from activekd_lab.teachers.zero_shot import ZeroShotHead


@pytest.fixture(scope="module")
def teacher():
    return load_teacher("bundled", device="cpu")


@pytest.fixture(scope="module")
def task():
    return load_task("shapes", num_classes=4, pool_size=30, test_per_class=2, val_per_class=1)


def directly(name, task, images):
    """Embeddings and zero-shot probabilities from open_clip's own calls, and nothing of ours."""
    model, _, preprocess = open_clip.create_model_and_transforms(name)
    tokens = open_clip.get_tokenizer(name)([task.templates[0].format(c) for c in task.class_names])
    with torch.no_grad():
        image = model.eval().encode_image(torch.stack([preprocess(p) for p in images]), normalize=True)
        text = model.encode_text(tokens, normalize=True)
        logits = model.logit_scale.exp() * image @ text.T
        return image, (logits if model.logit_bias is None else logits + model.logit_bias).softmax(1)


def as_pil(images):
    return [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]


def test_zero_shot_equals_a_direct_computation_with_open_clip(teacher, task):
    """Our whole path (preprocess, encode, prompt, head) against open_clip's own calls on the same images."""
    pixels = as_pil(task.train.images)
    image, expected = directly(f"local-dir:{BUNDLED}", task, pixels)
    ours = teacher.zero_shot(task).probabilities(teacher.encode(task.train))
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)  # batches of another size round otherwise
    torch.testing.assert_close(teacher.encode(pixels), image, atol=1e-5, rtol=0)


SMALL_TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
# The families of RN50, ViT-B-32 and ViT-B-16-SigLIP, small: the same classes, tokens and options, fewer and thinner
# layers. SigLIP's own tokenizer comes from a hub, so CLIP's stands in.
SMALL = {
    "RN50": {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "patch_size": None},
        "text_cfg": SMALL_TEXT,
    },
    "ViT-B-32": {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 32},
        "text_cfg": SMALL_TEXT,
    },
    "ViT-B-16-SigLIP": {
        "embed_dim": 192,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": {
            "image_size": 224, "timm_model_name": "vit_tiny_patch16_224", "timm_model_pretrained": False,
            "timm_pool": "map", "timm_proj": "none",
        },
        "text_cfg": SMALL_TEXT
        | {"no_causal_mask": True, "proj_bias": True, "pool_type": "last", "norm_kwargs": {"eps": 1e-6}},
    },
}  # fmt: skip


def full_size(architecture):
    config = deepcopy(open_clip.get_model_config(architecture))
    for name in ("hf_tokenizer_name", "tokenizer_kwargs"):
        config["text_cfg"].pop(name, None)
    return config | {"text_cfg": config["text_cfg"] | {"vocab_size": 49408}}


def save_untrained(folder, model_config, preprocess):
    """Write a local-dir: with random weights, as a user with files from elsewhere has it."""
    config = {"model_cfg": model_config, "preprocess_cfg": preprocess}
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    classes = open_clip.CustomTextCLIP if model_config.get("custom_text") else open_clip.CLIP
    model = classes(**{key: value for key, value in model_config.items() if key != "custom_text"})
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    return f"local-dir:{folder}"


CLIP_PREPROCESS = {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28], "interpolation": "bicubic"}
SIGLIP_PREPROCESS = {
    "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"
}  # fmt: skip


@pytest.mark.parametrize("size", ["small", pytest.param("full", marks=pytest.mark.slow)])
@pytest.mark.parametrize("architecture", sorted(SMALL))
def test_any_architecture_equals_a_direct_computation(architecture, size, task, tmp_path):
    config = SMALL[architecture] if size == "small" else full_size(architecture)
    preprocess = SIGLIP_PREPROCESS if "SigLIP" in architecture else CLIP_PREPROCESS
    name = save_untrained(tmp_path / "model", config, preprocess)
    # squares: what becomes of others is the rule of data.images, the same for files and pictures in memory
    images = [image.resize((32 + 4 * i, 32 + 4 * i)) for i, image in enumerate(as_pil(task.train.images[:6]))]
    embeddings, expected = directly(name, task, images)
    teacher = load_teacher(name, device="cpu")
    head = teacher.zero_shot(task)
    torch.testing.assert_close(teacher.encode(images), embeddings, atol=1e-5, rtol=0)
    torch.testing.assert_close(head.probabilities(teacher.encode(images)), expected, atol=1e-5, rtol=0)
    assert head.bias == (-10 if "SigLIP" in architecture else 0)


def test_bfloat16_is_near_float32_and_has_its_own_cache(teacher, task):
    low = load_teacher("bundled", device="cpu", precision="bf16")
    embeddings = low.encode(task.train)
    cosine = (embeddings * teacher.encode(task.train)).sum(1)
    assert embeddings.dtype == torch.float32
    assert 0.99 < float(cosine.min()) < 1 - 1e-6  # near, and not the cached float32


def test_precisions():
    assert resolve_precision("auto", torch.device("cpu")) == "fp32"
    assert resolve_precision("auto", torch.device("cuda")) == "fp16"
    with pytest.raises(SettingError, match="needs a GPU"):
        load_teacher("bundled", device="cpu", precision="fp16")
    with pytest.raises(UnknownNameError, match="nearest first: bf16"):
        load_teacher("bundled", device="cpu", precision="bf61")


def test_embeddings_that_are_not_finite_stop_with_the_remedy(task):
    broken = load_teacher("bundled", device="cpu", precision="bf16")
    broken.model.visual.conv1.weight.data[:] = float("nan")
    with pytest.raises(NonFiniteError, match="use precision='fp32'"):
        broken.encode(task.test)


def test_embeddings_have_length_one_and_come_from_the_cache(teacher, task, monkeypatch):
    first = teacher.encode(task.test)
    torch.testing.assert_close(first.norm(dim=1), torch.ones(len(first)))
    monkeypatch.setattr(teacher, "encode_inputs", lambda inputs: pytest.fail("the cache was not used"))
    assert torch.equal(teacher.encode(task.test), first)


def test_an_interrupted_encoding_continues_and_equals_an_undisturbed_one(teacher, task, monkeypatch, tmp_path):
    expected = teacher.encode(task.train)
    monkeypatch.setenv("ACTIVEKD_LAB_CACHE", str(tmp_path))
    encode, sizes = teacher.encode_inputs, []

    def counted(inputs):
        sizes.append(len(inputs))
        if len(sizes) == 3:  # one tells how fast it goes; then 30 images are chunks of 16 and 14
            raise KeyboardInterrupt
        return encode(inputs)

    monkeypatch.setattr(teacher, "encode_inputs", counted)
    with pytest.raises(KeyboardInterrupt):
        teacher.encode(task.train)
    torch.testing.assert_close(teacher.encode(task.train), expected, atol=1e-5, rtol=0)
    assert sizes == [1, 16, 14, 14]  # the second chunk is done again, the first is not


def test_views_on_the_device_agree_with_open_clips_preprocessing(teacher, task):
    views = teacher.encode_views(task.train.images.float() / 255)
    cosine = (views * teacher.encode(task.train)).sum(1)
    assert float(cosine.min()) > 0.99  # bicubic on floats against bicubic on bytes


def test_templates_are_averaged_before_or_after_normalisation(teacher, task):
    templates = ["a {}.", "an ugly picture of the {}"]
    raw = torch.stack(
        [teacher.encode_text([t.format(c) for c in task.class_names], normalize=False) for t in templates]
    )
    unit = torch.nn.functional.normalize
    after = teacher.zero_shot(task, templates)
    before = teacher.zero_shot(task, templates, average="embeddings")
    torch.testing.assert_close(after.text, unit(unit(raw, dim=2).mean(0), dim=1))
    torch.testing.assert_close(before.text, unit(raw.mean(0), dim=1))
    torch.testing.assert_close(after.raw_text, raw.mean(0))
    assert not torch.allclose(before.text, after.text, atol=1e-5)
    with pytest.raises(UnknownNameError, match="nearest first: normalized"):
        teacher.zero_shot(task, average="normalised")
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


@pytest.mark.parametrize("name", ["RN50", "RN50/opnai", "bundeld"])
def test_an_unknown_teacher_is_refused_without_loading_one(name):
    with pytest.raises(UnknownNameError, match="Unknown teacher"):
        check_model(name)
    for known in ("bundled", "RN50/openai", "local-dir:nowhere", "hf-hub:org/model"):
        check_model(known)


def test_one_text_or_one_image_is_no_list_of_them(teacher):
    with pytest.raises(SettingError, match="encode_text expected prompts as a list, each a text, but got str 'a cat'"):
        teacher.encode_text("a cat")
    for one in (Image.new("RGB", (8, 8)), "photo.jpg"):
        with pytest.raises(SettingError, match="encode expected images as a Split or a list"):
            teacher.encode(one)


LONG = "ceramic vase from the early Ming dynasty, hand painted in the south, "


def named(task, *names):
    return Task("vases", names, task.templates, task.train, Split("test", task.test.images[:0], torch.empty(0).long()))


@pytest.mark.parametrize("names", [(LONG + "blue", LONG + "red", "c", "d"), ("a", "Rose", "c", "rose")])
def test_classes_that_are_one_text_to_the_teacher_are_refused(teacher, task, names):
    with pytest.raises(DataError, match=r"The class prompts must differ, .*reads 16 tokens.* are one text"):
        teacher.zero_shot(named(task, *names))


def test_prompts_that_were_cut_are_said_and_those_that_just_fit_are_not(teacher):
    fits = " ".join(["cat"] * 14)  # with the marks of start and end 16 tokens
    with pytest.warns(UserWarning, match="16 tokens of a text; 1 of 2 prompts are longer and were cut, such as 'cat"):
        cut = teacher.encode_text([fits + " dog", fits])
    torch.testing.assert_close(cut[0], cut[1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        teacher.encode_text([fits])


def test_a_teacher_that_computes_or_looks_otherwise_is_another():
    usual, rough = (load_teacher("bundled", device="cpu", precision=p) for p in ("fp32", "bf16"))
    assert usual.identity == usual.fingerprint == rough.fingerprint != rough.identity
    other = Teacher("bundled", usual.model, str, usual.tokenizer)
    assert other.identity not in (usual.identity, rough.identity)
