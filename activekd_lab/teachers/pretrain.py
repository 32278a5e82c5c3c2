"""Pre-train the bundled teacher from scratch: `python -m activekd_lab.teachers.pretrain [--smoke] [--out DIR]`.

A small open_clip model (a CLIP ResNet tower, a two-layer text transformer) learns by open_clip's contrastive loss from
rendered shapes and pen-stroke digits with noisy, long-tailed captions (`data.captions`). It never sees a scikit-learn
digit or an image of the `shapes` task. The result is an open_clip model directory: config, safetensors, model card.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.loss import ClipLoss
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from activekd_lab.data import load_task
from activekd_lab.data.captions import digit_caption, shape_caption
from activekd_lab.data.glyphs import render_digits
from activekd_lab.data.render import SHAPES, TEXTURES, render
from activekd_lab.data.store import cache_dir
from activekd_lab.errors import RunFolderError
from activekd_lab.io.files import replacing
from activekd_lab.rng import generator, numpy_generator
from activekd_lab.teachers.clip import Teacher, load_teacher

log = logging.getLogger("activekd_lab.teachers.pretrain")

MODEL: dict[str, Any] = {
    "embed_dim": 128,
    # CLIP's ResNet needs 64 px for its four halvings; 32-px images are enlarged by the preprocessing.
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 20},
    # CLIP's whole vocabulary, so that any class name is valid; 64 wide keeps the model under 12 MB.
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 2},
}
PREPROCESS: dict[str, Any] = {
    "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "interpolation": "bicubic", "resize_mode": "shortest",
}  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """Everything that determines the teacher's weights."""

    seed: int = 0
    images: int = 200_000
    digit_share: float = 0.2
    epochs: int = 4
    batch: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 0.1
    warmup: float = 0.05  # share of all steps
    shape_tail: float = 0.9  # Zipf exponent of the shapes in the crawl
    texture_tail: float = 0.4


SMOKE = Recipe(images=1024, epochs=2, batch=128)


@dataclass(frozen=True)
class Crawl:
    """The rendered crawl: (M, 3, 32, 32) uint8 images and (M, 16) token ids."""

    images: Tensor
    tokens: Tensor


def draw_crawl(recipe: Recipe, tokenizer: Any) -> Crawl:
    """Render and caption the crawl, in cached chunks so that an interrupted run continues."""
    chunk, parts = 10_000, []
    key = hashlib.sha256(json.dumps([asdict(recipe), MODEL["text_cfg"]]).encode()).hexdigest()[:20]
    for start in tqdm(range(0, recipe.images, chunk), desc="render", unit="chunk"):
        path = cache_dir() / "pretrain" / f"{key}-{start}.safetensors"
        if not path.exists():
            images, captions = _draw_chunk(recipe, start, min(chunk, recipe.images - start))
            with replacing(path) as temporary:
                save_file({"images": images, "tokens": tokenizer(captions)}, temporary)
        parts.append(load_file(path))
    return Crawl(torch.cat([p["images"] for p in parts]), torch.cat([p["tokens"] for p in parts]))


def _draw_chunk(recipe: Recipe, start: int, count: int) -> tuple[Tensor, list[str]]:
    g, rng = generator(recipe.seed, "pretrain", start), numpy_generator(recipe.seed, "captions", start)
    digits = round(count * recipe.digit_share)
    digit = torch.randint(10, (digits,), generator=g)
    shape = torch.multinomial(_zipf(len(SHAPES), recipe.shape_tail), count - digits, True, generator=g)
    texture = torch.multinomial(_zipf(len(TEXTURES), recipe.texture_tail), count - digits, True, generator=g)
    drawn = render(shape, texture, generator=g)
    attributes = torch.stack([drawn.hue, drawn.value, drawn.scale], 1).tolist()
    captions = [digit_caption(d, rng) for d in digit.tolist()]
    for s, t, (hue, value, scale) in zip(shape.tolist(), texture.tolist(), attributes, strict=True):
        captions.append(shape_caption(s, t, hue, value, scale, rng))
    return torch.cat([render_digits(digit, generator=g), drawn.images]), captions


def _zipf(count: int, exponent: float) -> Tensor:
    """Return long-tailed weights over `count` items, in an order drawn once and for all."""
    ranks = torch.randperm(count, generator=generator(0, "pretrain", "ranks", count)) + 1
    return ranks.float() ** -exponent


def preprocess(images: Tensor, size: int, generator: torch.Generator | None = None) -> Tensor:
    """Turn (B, 3, 32, 32) uint8 into the model's normalised input, with a random shift of 2 px if given a generator."""
    x = images.float() / 255
    if generator is not None:
        x = F.pad(x, (2, 2, 2, 2), mode="replicate")
        top, left = torch.randint(5, (2,), generator=generator).tolist()
        x = x[:, :, top : top + 32, left : left + 32]
    x = F.interpolate(x, size=(size, size), mode="bicubic", align_corners=False).clamp(0, 1)
    mean, std = (torch.tensor(PREPROCESS[key], device=x.device).view(3, 1, 1) for key in ("mean", "std"))
    return ((x - mean) / std).contiguous(memory_format=torch.channels_last)


def train(
    recipe: Recipe, device: torch.device, folder: Path, on_epoch: Callable[[int], None] | None = None
) -> tuple[nn.Module, float]:
    """Train to the end, continuing from `folder`'s last finished epoch; return the model and the seconds spent.

    Raises:
        RunFolderError: the folder holds a checkpoint of another recipe.
    """
    torch.manual_seed(recipe.seed)  # open_clip initialises from the global generator
    model = open_clip.CLIP(**MODEL).to(device, memory_format=torch.channels_last)
    tokenizer = open_clip.tokenizer.SimpleTokenizer(context_length=MODEL["text_cfg"]["context_length"])
    decay, rest = [p for p in model.parameters() if p.ndim >= 2], [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": decay, "weight_decay": recipe.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98), fused=True)
    first, seconds = _restore(folder / "checkpoint.pt", recipe, model, optimizer)
    crawl = draw_crawl(recipe, tokenizer)
    for epoch in range(first, recipe.epochs):
        started = time.perf_counter()
        loss = _epoch(model, optimizer, crawl, recipe, epoch, device)
        seconds += time.perf_counter() - started
        log.info("epoch %d/%d  loss %.3f  %.0f s so far  %s", epoch + 1, recipe.epochs, loss, seconds, _glance(model))
        with replacing(folder / "checkpoint.pt") as temporary:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch + 1}
            torch.save(state | {"seconds": seconds, "recipe": asdict(recipe)}, temporary)
        if on_epoch is not None:
            on_epoch(epoch)
    return model.eval(), seconds


def _restore(path: Path, recipe: Recipe, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, float]:
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, weights_only=True)
    found = state.get("recipe", "an unknown recipe")
    if found != asdict(recipe):
        raise RunFolderError(f"{path} is of {found}, but {asdict(recipe)} is asked for; choose a new folder.")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    log.info("continuing after epoch %d", state["epoch"])
    return int(state["epoch"]), float(state["seconds"])


def _epoch(
    model: Any, optimizer: torch.optim.Optimizer, crawl: Crawl, recipe: Recipe, epoch: int, device: torch.device
) -> float:
    model.train()
    loss_function, g = ClipLoss(), generator(recipe.seed, "pretrain", "epoch", epoch)
    order = torch.randperm(len(crawl.images), generator=g)
    steps = len(order) // recipe.batch
    total = 0.0
    for step in tqdm(range(steps), desc=f"epoch {epoch + 1}", unit="step", mininterval=10):
        rate = _learning_rate(recipe, (epoch * steps + step) / (recipe.epochs * steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        ids = order[step * recipe.batch : (step + 1) * recipe.batch]
        images = preprocess(crawl.images[ids].to(device), MODEL["vision_cfg"]["image_size"], g)
        with torch.autocast(device.type, torch.bfloat16):
            image, text, scale = model(images, crawl.tokens[ids].to(device))
        loss = loss_function(image.float(), text.float(), scale)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        model.logit_scale.data.clamp_(0, math.log(100))
        total += float(loss.detach())
    return total / steps


def _learning_rate(recipe: Recipe, progress: float) -> float:
    if progress < recipe.warmup:
        return recipe.learning_rate * progress / recipe.warmup
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (progress - recipe.warmup) / (1 - recipe.warmup)))


@torch.no_grad()
def _glance(model: Any) -> str:
    """Return the validation accuracies in one line, so that a long run can be judged while it lasts."""
    model.eval()
    tokenizer = open_clip.tokenizer.SimpleTokenizer(context_length=MODEL["text_cfg"]["context_length"])
    device, parts = next(model.parameters()).device, []
    for name in ("shapes", "digits"):
        task = load_task(name)
        assert task.val is not None
        text = model.encode_text(tokenizer([task.templates[0].format(c) for c in task.class_names]).to(device), True)
        batches = (preprocess(b.to(device), MODEL["vision_cfg"]["image_size"]) for b in task.val.images.split(512))
        predicted = torch.cat([(model.encode_image(b, True) @ text.T).argmax(1).cpu() for b in batches])
        parts.append(f"{name} {_accuracy(predicted, task.val.labels):.3f}")
    return "zero-shot on validation: " + ", ".join(parts)


def measure(teacher: Teacher) -> dict[str, Any]:
    """Measure zero-shot accuracy on the test splits of `digits` and `shapes`, and which classes are taken for which."""
    figures: dict[str, Any] = {}
    for name in ("digits", "shapes"):
        task = load_task(name)
        predicted = teacher.zero_shot(task).logits(teacher.encode(task.test)).argmax(1)
        figures[name] = _accuracy(predicted, task.test.labels)
        figures[f"{name}_confusions"] = _confusions(predicted, task.test.labels, task.class_names)
    words = np.array([name.split() for name in task.class_names])  # (C, 2): texture, shape
    for column, key in ((1, "shapes_shape_only"), (0, "shapes_texture_only")):
        figures[key] = round(float((words[predicted, column] == words[task.test.labels, column]).mean()), 4)
    return figures


def _accuracy(predicted: Tensor, labels: Tensor) -> float:
    return round(float((predicted == labels).float().mean()), 4)


def _confusions(predicted: Tensor, labels: Tensor, names: tuple[str, ...], top: int = 12) -> dict[str, float]:
    """Return the most frequent mistakes, "true > predicted", with their share of the true class."""
    C = len(names)
    matrix = torch.bincount(labels * C + predicted, minlength=C * C).view(C, C).float()
    matrix = matrix / matrix.sum(1, keepdim=True).clamp_min(1)
    matrix.fill_diagonal_(0)
    worst = matrix.flatten().argsort(descending=True)[:top].tolist()
    return {f"{names[i // C]} > {names[i % C]}": round(float(matrix[i // C, i % C]), 3) for i in worst}


def save(model: nn.Module, folder: Path) -> None:
    """Write the open_clip model directory; weights in float16, batch-norm statistics in float32."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    half = {k: v.half() if v.is_floating_point() and "running" not in k and v.ndim > 0 else v for k, v in state.items()}
    with replacing(folder / "open_clip_model.safetensors", own=True) as temporary:
        save_file(half, temporary)
    config = {"model_cfg": MODEL, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")


def main(arguments: list[str] | None = None) -> None:
    """Run the recipe from the command line."""
    parser = argparse.ArgumentParser(prog="python -m activekd_lab.teachers.pretrain", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path("teacher"), help="folder of the model directory and checkpoint"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of renders, captions, initialisation and order")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu, cuda or mps")
    parser.add_argument("--smoke", action="store_true", help="the same recipe on 1,024 images and 2 epochs")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    recipe = replace(SMOKE if options.smoke else Recipe(), seed=options.seed)
    command = f"python -m activekd_lab.teachers.pretrain{' --smoke' if options.smoke else ''} --seed {options.seed}"
    model, seconds = train(recipe, torch.device(options.device), options.out)
    save(model, options.out)
    figures = measure(load_teacher(f"local-dir:{options.out}", device=options.device))
    card = {"command": command, "recipe": asdict(recipe), "seconds": round(seconds), "device": options.device,
            "torch": torch.__version__, "open_clip": open_clip.__version__, "zero_shot": figures}  # fmt: skip
    (options.out / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    log.info("wrote %s: %s", options.out, {k: v for k, v in figures.items() if isinstance(v, float)})


if __name__ == "__main__":
    main()
