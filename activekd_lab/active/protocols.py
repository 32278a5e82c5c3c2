"""The published experiments as data: every setting that the authors' released code fixes, by name.

`RunConfig(protocol="activekd-10", task="dtd")` takes all of them. What a user sets beside it is an override: the run's
provenance lists each, and `as_published` says them in a sentence. Where code and paper may differ, these are the code's
(erjui/PCoreSet 075a76a, erjui/DHO 846de75).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from activekd_lab.config import LENGTHS, ON_CROPS, Deviations, RunConfig
from activekd_lab.errors import SettingError
from activekd_lab.students.methods import Method

Settings = dict[str, Any]
TEN = (
    "caltech101", "dtd", "eurosat", "fgvc_aircraft", "food101", "oxford_flowers", "oxford_pets", "stanford_cars",
    "sun397", "ucf101",
)  # fmt: skip
"""The ten data sets of both papers."""
MOBILENET, TINYVIT = "mobilenet_v2/IMAGENET1K_V1", "timm/tiny_vit_21m_384.dist_in22k_ft_in1k"
_FREE = ("protocol", "seed", "device", "save_predictions", "deterministic", "channels_last", "compile")
"""What no protocol says anything of."""


@dataclass(frozen=True)
class Published:
    """One published experiment.

    Attributes:
        about: in one line, with its script.
        settings: what it fixes.
        choices: what it varies, by setting; the first value stands where none is given, () where one must be given.
        when: settings that follow from a value of another one, by (setting, value).
        needs: settings that only the user's machine knows, such as a file of weights, and what they are.
        refit: when the few-shot teacher is refit, "corrected" (before the student) or "released" (after it).
    """

    about: str
    settings: Settings
    choices: Mapping[str, tuple[Any, ...]]
    when: Mapping[tuple[str, Any], Settings] = field(default_factory=dict)
    needs: Mapping[str, str] = field(default_factory=dict)
    refit: str = "corrected"


_COMMON: Settings = {
    "teacher": "RN50/openai", "templates": None, "text_average": "normalized", "teacher_views": None, "method": "dho",
    "budget": None, "freeze_backbone": False, "image_size": 224, "learning_rate": 1e-3, "weight_decay": 0.01,
    "warmup_steps": None, "precision": "float32", "clip_norm": None, "ema": None, "temperature": 2.0, "ce_share": 0.5,
    "loss_weights": None, "validation_labels": 0, "choose_on": None, "ce_weight": 0.5, "kd_temperature": 1.0,
    "pool_limit": None, "query_views": False, "query_mix": None, "view_size": "student", "language_start": "unit",
    "steps": None, "last_pool_epochs": None, "task_options": {}, "selector_options": {}, "teacher_fit": "embeddings",
}  # fmt: skip
"""Both papers, unless an experiment says otherwise."""
_TEN_SETS: Settings = _COMMON | {
    "pretrained": True, "epochs": 200, "pool_epochs": None, "batch_labeled": 64, "batch_unlabeled": 64,
    "schedule": "linear-from-0", "warmup": 0.1, "passes": "separate",
}  # fmt: skip
_IMAGENET: Settings = _COMMON | {
    "epochs": None, "batch_labeled": 256, "batch_unlabeled": 256, "schedule": "cosine", "warmup": 0.0,
    "passes": "joint",
}  # fmt: skip
_SHOTS = (1, 2, 4, 8, 16)
_DINO = {"backbone_weights": "the file of DINO's ResNet-50 (dino_resnet50_pretrain.pth)"}
_TEN_SELECTORS = ("pcoreset", "random", "entropy", "coreset", "badge", "class_balanced")

PROTOCOLS: Mapping[str, Published] = {
    "activekd-10": Published(
        "ActiveKD on ten data sets (PCoreSet, train_active_others.py)",
        _TEN_SETS | {"initial_per_class": 1, "rounds": 15, "labeled_draw": "padded"},
        {
            "task": (), "backbone": ("resnet18", MOBILENET, TINYVIT), "few_shot": ("none", "clap"),
            "selector": _TEN_SELECTORS,
        },
        {("few_shot", "clap"): {"teacher_fit": "crops"}},
        refit="released",
    ),
    "activekd-imagenet": Published(
        "ActiveKD on ImageNet (PCoreSet, train_active_imgnet.py, the commented-out block of its scripts)",
        _IMAGENET
        | {
            "initial_per_class": 1, "rounds": 7, "pool_epochs": 20, "last_pool_epochs": 50, "labeled_draw": "repeated",
            "ce_weight": 0.4, "kd_temperature": 0.5, "query_mix": (0.5, 1.0), "query_views": True,
            "pool_limit": 100_000,
        },
        {
            "task": ("imagenet",), "backbone": ("resnet50",), "few_shot": ("none", "clap"),
            "selector": ("pcoreset", "random", "entropy", "coreset", "class_balanced"),
        },
        {("few_shot", "clap"): {"ce_weight": 0.2, "teacher_fit": "crops"}},
        _DINO,
    ),
    "dho-few-shot": Published(
        "DHO with 1 to 16 labels a class on ten data sets (DHO, train_others.py)",
        _TEN_SETS | {"rounds": 0, "labeled_draw": "loader", "choose_on": "validation"},
        {
            "task": (), "backbone": ("resnet18", MOBILENET), "few_shot": ("none", "tip_adapter_f"),
            "initial_per_class": _SHOTS, "selector": ("random",),
        },
        {("few_shot", "tip_adapter_f"): {"teacher_fit": "crops"}},
    ),
    "dho-few-shot-imagenet": Published(
        "DHO with 1 to 16 labels a class on ImageNet; epoch and mix chosen on the test split (DHO, train_imgnet.py)",
        _IMAGENET | {"rounds": 0, "pool_epochs": 20, "labeled_draw": "cycle", "choose_on": "test"},
        {
            "task": ("imagenet",), "backbone": ("resnet50",), "few_shot": ("none", "tip_adapter_f"),
            "initial_per_class": _SHOTS, "selector": ("random",),
        },
        {("few_shot", "tip_adapter_f"): {"teacher_fit": "crops"}},
        _DINO,
    ),
    "dho-low-shot": Published(
        "DHO with 1% and 10% of ImageNet's labels, CLIP students (DHO, train_imgnet_semi.py)",
        _IMAGENET
        | {
            "teacher": "ViT-H-14-378-quickgelu/dfn5b", "text_average": "mean", "rounds": 0, "pool_epochs": 32,
            "labeled_draw": "cycle", "learning_rate": 5e-5, "weight_decay": 0.05, "schedule": "chained",
            "warmup": 0.1, "warmup_steps": 5000, "loss_weights": (1.0, 1.0, 1.0), "ce_weight": 0.5,
            "kd_temperature": 0.5, "view_size": "larger", "language_start": "released", "pretrained": True,
        },
        {
            "task": ("imagenet",), "backbone": ("open_clip/ViT-B-16/openai", "open_clip/ViT-L-14-336/openai"),
            "few_shot": ("none",), "initial_per_class": (13, 128), "selector": ("random",),
        },
        {("backbone", "open_clip/ViT-L-14-336/openai"): {"image_size": 336}},
    ),
}  # fmt: skip


def fill_in(config: RunConfig, method: Method) -> tuple[dict[str, Any], dict[str, tuple[Any, Any]]]:
    """Return the settings of a named protocol that nobody overrode, and the overrides as (published, used).

    An override makes way: another length of training takes the place of the protocol's, and what a method has no use
    for is left out.

    Raises:
        SettingError: nothing said of what the protocol leaves open (a task), or needs from this machine (weights).
    """
    published, given = PROTOCOLS[config.protocol], config.model_dump(exclude_unset=True)
    settings = dict(published.settings)
    for name, values in published.choices.items():
        if not values and name not in given:
            raise SettingError(f"protocol={config.protocol!r} needs a {name}: {', '.join(TEN)}.")
        settings[name] = given[name] if given.get(name) in values or not values else values[0]
    for (name, value), follows in published.when.items():
        if given.get(name, settings.get(name)) == value:
            settings |= follows
    _need(config.protocol, published, given)
    length = next(f"{name}={settings[name]}" for name in LENGTHS if settings[name])
    overrides = {
        name: (length if name in LENGTHS else settings.get(name, "nothing"), value)
        for name, value in given.items()
        if name not in (*_FREE, *published.needs) and not _same(name, value, settings)
    }
    return _make_way(settings, config, method), overrides


def _same(name: str, value: Any, settings: Settings) -> bool:
    """Return whether a value that was given is one that the experiment had."""
    if name == "task" and settings["task"] == value:
        return value in TEN or value == "imagenet"
    default = RunConfig.model_fields[name].default
    return bool(settings.get(name, default) == value)


def _need(name: str, published: Published, given: Settings) -> None:
    """Refuse a run of the published backbone without what only this machine knows."""
    other = {"backbone", "pretrained"} & given.keys()
    missing = [] if other else [f"{key}={what!r}" for key, what in published.needs.items() if not given.get(key)]
    if missing:
        raise SettingError(f"protocol={name!r} needs {missing[0]}; give it, or another backbone.")


def _make_way(settings: dict[str, Any], config: RunConfig, method: Method) -> dict[str, Any]:
    """Leave out of a protocol's settings what was overridden, and what the overrides put out of use."""
    given = config.model_dump(exclude_unset=True)
    out = set(given)
    if out & {*LENGTHS}:
        out |= {*LENGTHS, "last_pool_epochs"}
    if "warmup" in given or given.get("schedule", "chained") != "chained":
        out |= {"warmup_steps"}
    if config.backbone_weights:
        out |= {"pretrained"}
    if "backbone" in given and not config.backbone.startswith("open_clip/"):
        out |= {"language_start"}
    if config.few_shot not in ON_CROPS:
        out |= {"teacher_fit"}
    return {k: v for k, v in settings.items() if k not in out and method.uses(k)}


def as_published(deviations: Deviations) -> str:
    """Return a sentence: which published experiment a run is, and what was overridden; empty if it is none."""
    name, overrides = deviations
    changed = [f"{key}={used!r} (published: {there!r})" for key, (there, used) in overrides.items()]
    return f"{name} as published" + (f" but for {', '.join(changed)}" if changed else "") if name else ""


def for_provenance(deviations: Deviations) -> Settings:
    """Return what a run's provenance says of the published experiment: its name, every override, a sentence."""
    name, overrides = deviations
    changes = {key: {"published": there, "used": used} for key, (there, used) in overrides.items()}
    return {"protocol": name, "overrides": changes, "as_published": as_published(deviations)} if name else {}


def table() -> dict[str, dict[str, Any]]:
    """Return setting × protocol for all settings that any protocol has otherwise than we by default.

    The first column, "default", is a plain `RunConfig()`; a tuple of several values is what the experiment varies.
    """
    default = {name: field.default for name, field in RunConfig.model_fields.items()}
    columns = {"default": default}
    for name, published in PROTOCOLS.items():
        varied = {key: values if len(values) > 1 else values[0] for key, values in published.choices.items() if values}
        columns[name] = (
            default | published.settings | {"task": "ten data sets"} | varied | {"protocol": published.refit}
        )
    rows = [key for key in default if len({repr(column[key]) for column in columns.values()}) > 1]
    return {row: {name: column[row] for name, column in columns.items()} for row in rows}


def markdown() -> str:
    """Return `table` as Markdown, with what follows from a choice below it."""
    rows = table()
    names = ["setting", *next(iter(rows.values()))]
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += [f"| `{row}` | " + " | ".join(map(_shown, cells.values())) + " |" for row, cells in rows.items()]
    lines.append("")
    for name, published in PROTOCOLS.items():
        for (key, value), follows in published.when.items():
            changed = ", ".join(f"`{setting}={used!r}`" for setting, used in follows.items())
            lines.append(f"- `{name}` with `{key}={value!r}`: {changed}")
    return "\n".join(lines) + "\n"


def _shown(value: Any) -> str:
    several = isinstance(value, tuple) and not all(isinstance(item, float) for item in value)
    return ", ".join(map(str, value)) if several else "–" if value in (None, {}) else str(value)
