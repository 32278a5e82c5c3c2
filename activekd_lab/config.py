"""Settings of a run: frozen, validated, and the one list that the CLI, notebooks, widgets and docs read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator

from activekd_lab.errors import PoolError, SettingError, UnknownNameError, setting_sentence
from activekd_lab.io.arguments import checked

FewShot = Literal["none", "clap", "tip_adapter", "tip_adapter_f", "linear_probe"]
Schedule = Literal["linear", "linear-from-0", "cosine", "chained"]
LabeledDraw = Literal["cycle", "padded", "loader", "repeated"]
_NOT_IDENTITY = ("device", "save_predictions")  # where a run happens and what it keeps do not change what it finds
Deviations = tuple[str, dict[str, tuple[Any, Any]]]
Positive = Annotated[int, Field(ge=1, le=10**9)]
Many = Annotated[int, Field(ge=1, le=10**6)]
Share = Annotated[float, Field(ge=0, le=1)]
Temperature = Annotated[float, Field(ge=0.001, le=1000)]


class RunConfig(BaseModel):
    """One ActiveKD run. Every field has a default, a help text and a range; unknown names are refused.

    Raises:
        UnknownNameError: a field that does not exist; the message lists the known ones, nearest first.
        SettingError: a value outside its range, or one that would have no effect.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), strict=True, allow_inf_nan=False)

    task: str = Field("shapes", description="task name, see `activekd-lab tasks`")
    task_options: dict[str, int | float | str] = Field({}, description="the task's own options, such as num_classes=24")
    teacher: str = Field("bundled", description='"bundled", "architecture/pretrained", "hf-hub:…" or "local-dir:…"')
    templates: tuple[str, ...] | None = Field(None, description='such as "a photo of a {}.", or "imagenet-7"')
    teacher_views: Many | None = Field(None, description="crops an image, cached; none: the teacher sees every step's")
    text_average: Literal["normalized", "embeddings", "mean"] = Field(
        "normalized",
        description="a class's text: mean of unit embeddings, of raw embeddings, or the former not made unit",
    )
    few_shot: FewShot = Field(
        "none", description="refit the teacher on the labels each round: none (zero-shot), clap, tip_adapter, …"
    )
    teacher_fit: Literal["embeddings", "crops"] = Field(
        "embeddings", description="fit few_shot on cached embeddings, or on fresh crops at the released lengths (slow)"
    )
    protocol: str = Field(
        "corrected",
        description="when a few-shot teacher is refit, before the student (corrected, paper) or after it (released, "
        "with the selectors' released variants); or a published experiment that sets everything, such as activekd-10",
    )
    selector: str = Field("pcoreset", description="which images to label next, see `activekd-lab selectors`")
    selector_options: dict[str, int | float | str | bool] = Field({}, description="the selector's own options")
    method: str = Field(
        "dho", description="dho (two heads), single_head (CE + KD on one head), ce (labels only), kd, or your own"
    )
    rounds: int = Field(8, ge=0, description="query rounds after the initial labels")
    budget: Positive | None = Field(None, description="labels bought a round; none means the number of classes")
    initial_per_class: Positive = Field(1, description="labelled images a class to start from")
    pool_limit: Positive | None = Field(
        None, description="unlabelled images that take part, drawn once: the rest is neither trained on nor asked for"
    )
    query_views: bool = Field(False, description="show the selector a random crop of each image, as in training")
    query_mix: tuple[Share, Temperature] | None = Field(
        None, description="ce_weight and kd_temperature for selecting; none means those that testing uses"
    )
    seed: int = Field(0, ge=0, description="derives every random step by name")
    backbone: str = Field("efficientnet_lite0", description="student network")
    freeze_backbone: bool | Literal["auto"] = Field(
        "auto", description="train on cached features; auto freezes a pretrained backbone where there is no GPU"
    )
    pretrained: bool | Literal["auto"] = Field(
        "auto", description="start from ImageNet weights; must be said for networks whose weights are a download"
    )
    backbone_weights: str | None = Field(None, min_length=1, description="state dict to start the backbone from")
    image_size: int = Field(64, ge=16, description="side of the student's input, pixels")
    view_size: Literal["student", "larger"] = Field(
        "student", description="cut training views at the student's size, or at the larger of student's and teacher's"
    )
    language_start: Literal["unit", "released"] = Field(
        "unit", description="heads of a CLIP tower start at its unit class texts, or at unnormalised ones, KD with bias"
    )
    projection_dim: Positive = Field(256, description="width of the projection on frozen features (CoreSet's features)")
    steps: Positive | None = Field(None, description="optimizer steps a round; 200 unless epochs is set")
    epochs: Positive | None = Field(None, description="passes over the labelled images a round, see labeled_draw")
    pool_epochs: Positive | None = Field(None, description="passes over the unlabelled images a round instead")
    last_pool_epochs: Positive | None = Field(None, description="pool_epochs of the last round, where it is longer")
    labeled_draw: LabeledDraw = Field(
        "cycle",
        description="cycle (every label once before any twice), padded (with replacement, from whole batches of them), "
        "loader (a new order each pass, a short last batch), repeated (passes as long as the pool)",
    )
    batch_labeled: Many = Field(64, description="labelled images a step")
    batch_unlabeled: Many = Field(64, description="unlabelled images a step")
    learning_rate: float = Field(1e-3, gt=0, description="peak of AdamW's rate")
    weight_decay: float = Field(1e-2, ge=0, description="AdamW's weight decay")
    schedule: Schedule = Field(
        "linear", description="rate: linear, linear-from-0 (step 0 has none), cosine, chained (1% to all, times cosine)"
    )
    warmup: Share = Field(0.1, description="share of the steps spent warming up")
    warmup_steps: Positive | None = Field(None, description="steps spent warming up, instead of a share")
    passes: Literal["joint", "separate"] = Field(
        "joint", description="one forward pass a step, or one for labels and one for the pool (batch-norm statistics)"
    )
    precision: Literal["float32", "bfloat16"] = Field("float32", description="type of the forward pass's products")
    channels_last: bool = Field(False, description="keep an unfrozen backbone's images channels-last (faster on GPUs)")
    compile: bool = Field(False, description="torch.compile an unfrozen backbone (needs a C++ compiler)")
    clip_norm: float | None = Field(None, gt=0, description="largest norm of the whole gradient")
    ema: float | None = Field(None, gt=0, lt=1, description="decay of averaged weights, kept instead of the last ones")
    deterministic: bool = Field(False, description="allow only deterministic kernels (slower on GPUs)")
    temperature: Temperature = Field(2.0, description="T of the distillation loss")
    ce_share: Share = Field(0.5, description="λ, share of the label loss in the training loss (the DHO paper: 0.5)")
    loss_weights: tuple[Share, Share, Share] | None = Field(
        None, description="of CE, KD on labels and KD on the pool, instead of ce_share; published for low-shot: 1 1 1"
    )
    ce_weight: Share = Field(0.5, description="share of the CE head in the mixed prediction (ActiveKD's ten: 0.5)")
    kd_temperature: Temperature = Field(1.0, description="β, temperature of the KD head in the mixed prediction")
    validation_labels: int = Field(
        0, ge=0, description="random pool images labelled to tune ce_weight and kd_temperature; they count as labels"
    )
    choose_on: Literal["validation", "test"] | None = Field(
        None, description="split on which epoch and mix are chosen; test (as some released code does) flatters"
    )
    device: str = Field("auto", description="auto (cuda, mps, cpu), cpu, cuda or mps")
    save_predictions: bool = Field(True, description="keep probabilities of pool and test of every round")

    def __init__(self, **settings: Any) -> None:
        unknown = [name for name in settings if name not in type(self).model_fields]
        if unknown:
            raise UnknownNameError("setting", unknown[0], type(self).model_fields)
        try:
            super().__init__(**settings)
        except ValidationError as error:
            raise SettingError(setting_sentence(error)) from None

    @field_validator("*", mode="before")
    @classmethod
    def _usual_forms(cls, value: Any) -> Any:
        """Take a list for a tuple and a number of NumPy or torch; all else must be of the field's own type."""
        if type(value).__module__.partition(".")[0] in ("numpy", "torch"):
            return value.item() if not getattr(value, "ndim", 1) and "meta" not in str(value) else value
        if isinstance(value, Mapping):
            return {key: str(v) if isinstance(v, PurePath) else v for key, v in value.items()}
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _refuse_settings_without_effect(self) -> RunConfig:
        for sentence in _contradictions(self):
            raise ValueError(sentence)
        return self

    @checked()
    def differs(self, field: str) -> bool:
        """Return whether a setting is another than the default."""
        if field not in type(self).model_fields:
            raise UnknownNameError("setting", field, type(self).model_fields)
        return bool(getattr(self, field) != type(self).model_fields[field].default)

    def with_(self, **changes: Any) -> RunConfig:
        """Return a copy with some settings changed, validated again."""
        return RunConfig(**(self.model_dump(exclude_unset=True) | changes))

    def resolve(self, **given: Any) -> ResolvedConfig:
        """Answer every "auto" and refuse what cannot be; settings that mean the same come out the same.

        Only the result has a `hash` and a `run_name`. Nothing is loaded.

        Args:
            given: objects in the place of names: `selector`, `method`, `task`, `teacher` or `backbone` (see `prepare`);
                the result bears their names.

        Raises:
            UnknownNameError: no such task, teacher, selector, method or backbone; the message lists the nearest.
            SettingError: an option that a task or selector does not have, or a setting that has no effect.
        """
        rooms: Any = import_module("activekd_lab.active.resolve")  # by name: the ground knows no room
        resolved: ResolvedConfig = rooms.resolved(self, rooms.Given(**given))
        resolved._given = {name: value for name, value in given.items() if value is not None}
        return resolved

    @property
    def start_pretrained(self) -> bool | None:
        """`pretrained` as `build_backbone` takes it: None leaves the choice to the backbone."""
        return None if self.pretrained == "auto" else self.pretrained

    @checked(images=">= 0", classes=">= 1")
    def budget_in(self, images: int, classes: int) -> int:
        """Return the labels a round buys from a pool of so many images, where the pool is enough for all rounds.

        Raises:
            PoolError: it is not; the message says how many rounds fit.
        """
        budget, start = self.budget or classes, self.initial_per_class * classes + self.validation_labels
        size = min(images, start + (self.pool_limit or images))
        if start + self.rounds * budget > size:
            raise PoolError(
                f"{start} initial labels and {self.rounds} rounds × {budget} exceed the pool of {size} images; "
                f"at most {max(0, (size - start) // budget)} rounds fit."
            )
        return budget

    def identity(self) -> dict[str, Any]:
        """Return the settings that determine the result, as plain JSON types."""
        return self.model_dump(mode="json", exclude=set(_NOT_IDENTITY))


class ResolvedConfig(RunConfig):
    """Settings as `RunConfig.resolve` returns them: no "auto" left that a run would have to answer."""

    _asked: RunConfig = PrivateAttr()
    _deviations: Deviations = PrivateAttr(("", {}))
    _given: dict[str, Any] = PrivateAttr(default_factory=dict)

    @classmethod
    def of(cls, asked: RunConfig, answers: Mapping[str, Any], deviations: Deviations = ("", {})) -> ResolvedConfig:
        """Return the settings that were asked for with some answers filled in, and how they stand to a protocol."""
        found = cls(**(asked.model_dump(exclude_unset=True) | dict(answers)))
        found._asked, found._deviations = asked, deviations
        return found

    @property
    def deviations(self) -> Deviations:
        """The named protocol, "" without one, and what was said against it, by setting: (published, used)."""
        return self._deviations

    def resolve(self, **given: Any) -> ResolvedConfig:
        """Return these settings: they are resolved; with objects that they do not know yet, resolve them again."""
        new = {name: value for name, value in given.items() if value is not None}
        known = all(self._given.get(name) is value for name, value in new.items())
        return self if known else self._asked.resolve(**(self._given | new))

    def with_(self, **changes: Any) -> RunConfig:
        """Return what was asked for with some settings changed, to be resolved again."""
        return self._asked.with_(**changes)

    def training_steps(self, labeled: int, pool: int = 0, *, last: bool = False, distills: bool = True) -> int:
        """Return the optimizer steps of a round with L = `labeled` labels and `pool` other images.

        `distills` says whether the method draws batches of those. The length is `steps`; or `pool_epochs` ·
        ⌈pool / batch⌉; or `epochs` · L / batch, rounded up to whole batches a pass unless
        `labeled_draw` is "cycle".
        """
        if self.steps is not None:
            return self.steps
        if self.pool_epochs is not None:
            passes = self.last_pool_epochs if last and self.last_pool_epochs else self.pool_epochs
            batch = self.batch_unlabeled if distills else self.batch_labeled
            return passes * max(1, -(-pool // batch))
        assert self.epochs is not None
        if self.labeled_draw != "cycle":
            return self.epochs * -(-labeled // self.batch_labeled)
        return max(1, round(self.epochs * labeled / self.batch_labeled))

    @property
    def hash(self) -> str:
        """Ten hex digits that name this configuration."""
        text = json.dumps(self.identity(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:10]

    @property
    def run_name(self) -> str:
        """The run's folder name, readable first: task, selector, method, seed, hash."""
        task = re.sub(r"[^\w.-]+", "_", self.task).strip("._") or "task"  # no folder above, no line end, no colon
        return f"{task}-{self.selector.replace(':', '.')}-{self.method}-s{self.seed}-{self.hash}"


LENGTHS = ("steps", "epochs", "pool_epochs")
ON_CROPS = ("clap", "tip_adapter_f")
"""Few-shot teachers that can be fitted on fresh crops."""


def _contradictions(config: RunConfig) -> Iterator[str]:
    """Yield what is wrong between settings, a sentence each: two that exclude each other, or one without effect."""
    differs = config.differs
    lengths = [name for name in LENGTHS if getattr(config, name) is not None]
    if len(lengths) > 1:
        yield f"{' and '.join(lengths)} both set the length of training; give one of them"
    if config.freeze_backbone is False and differs("projection_dim"):  # "auto" comes here again, resolved
        yield "projection_dim has no effect with freeze_backbone=False, which needs no projection"
    tuned = "validation_labels" if config.validation_labels else "choose_on" if config.choose_on else ""
    fixed = [name for name in ("ce_weight", "kd_temperature") if differs(name)]
    if tuned and fixed:
        yield f"{fixed[0]} has no effect with {tuned}, which tunes it; leave one of them out"
    if config.choose_on and (other := [name for name in ("validation_labels", "ema") if differs(name)]):
        yield f"{other[0]} has no effect with choose_on, which chooses weights and mix itself; leave one of them out"
    if config.templates == ():
        yield "templates must hold at least one template; leave it out for the task's own"
    if config.few_shot == "none" and config.protocol == "paper":
        yield "protocol='paper' has no effect with few_shot='none': it says when the teacher is refit"
    if differs("teacher_fit") and config.few_shot not in ON_CROPS and config.protocol in TIMINGS:
        yield f"teacher_fit has no effect with few_shot={config.few_shot!r}; it belongs to {', '.join(ON_CROPS)}"
    yield from _wrong_lengths(config)


def _wrong_lengths(config: RunConfig) -> Iterator[str]:
    """Yield what is wrong between the settings of length and rate."""
    differs = config.differs
    if config.last_pool_epochs is not None and config.pool_epochs is None and config.protocol in TIMINGS:
        yield "last_pool_epochs has no effect without pool_epochs"
    if config.warmup_steps is not None and differs("warmup"):
        yield "warmup and warmup_steps both set the warm-up; give one of them"
    if config.schedule == "chained" and config.warmup_steps is None and config.protocol in TIMINGS:
        yield "schedule='chained' needs warmup_steps"
    if config.schedule == "chained" and config.steps is not None and (config.warmup_steps or 0) >= config.steps:
        yield f"warmup_steps must be fewer than the {config.steps} steps, but got {config.warmup_steps}"
    if config.loss_weights is not None and differs("ce_share"):
        yield "ce_share has no effect with loss_weights; leave one of them out"
    if config.loss_weights is not None and not any(config.loss_weights):
        yield "loss_weights must not all be 0"


TIMINGS = ("corrected", "paper", "released")
"""The protocols that only say when the teacher is refit, and how selectors run; the others are `active.protocols`."""
