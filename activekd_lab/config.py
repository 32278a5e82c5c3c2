"""Settings of a run: frozen, validated, and the one list that the CLI, notebooks, widgets and docs read."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from activekd_lab.errors import SettingError, UnknownNameError

Method = Literal["dho", "single_head", "ce", "kd"]
FewShot = Literal["none", "clap", "tip_adapter", "tip_adapter_f", "linear_probe"]
Protocol = Literal["corrected", "paper", "released"]
_DEFAULT_STEPS = 200
# Where a run happens and what it keeps beside its results do not change what it finds, so they are not in its hash.
_NOT_IDENTITY = ("device", "save_predictions")
Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class RunConfig(BaseModel):
    """One ActiveKD run. Every field has a default, a help text and a range; unknown names are refused.

    Raises:
        UnknownNameError: a field that does not exist; the message lists the known ones, nearest first.
        SettingError: a value outside its range, or one that would have no effect.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    task: str = Field("shapes", description="task name, see `activekd-lab tasks`")
    task_options: dict[str, int | float | str] = Field({}, description="the task's own options, such as num_classes=24")
    teacher: str = Field("bundled", description='"bundled", "architecture/pretrained", "hf-hub:…" or "local-dir:…"')
    templates: tuple[str, ...] | None = Field(
        None, description='prompt templates such as "a photo of a {}.", or "imagenet-7"; none means those of the task'
    )
    teacher_views: Positive | None = Field(
        None, description="crops an image that the teacher sees once, cached; none shows it fresh crops at every step"
    )
    few_shot: FewShot = Field(
        "none", description="refit the teacher on the labels each round: none (zero-shot), clap, tip_adapter, …"
    )
    protocol: Protocol = Field(
        "corrected",
        description="when the few-shot teacher is refit: before the student (corrected, and paper, which says the "
        "same), or after it, so that it lags one round (released, as the authors' code runs)",
    )
    selector: str = Field("pcoreset", description="which images to label next, see `activekd-lab selectors`")
    selector_options: dict[str, int | float | str | bool] = Field({}, description="the selector's own options")
    method: Method = Field(
        "dho", description="dho (two heads), single_head (CE + KD on one head), ce (labels only), kd"
    )
    rounds: int = Field(8, ge=0, description="query rounds after the initial labels")
    budget: Positive | None = Field(None, description="labels bought a round; none means the number of classes")
    initial_per_class: Positive = Field(1, description="labelled images a class to start from")
    seed: int = Field(0, ge=0, description="derives every random step by name")
    backbone: str = Field("efficientnet_lite0", description="student network")
    freeze_backbone: bool | Literal["auto"] = Field(
        "auto", description="train on cached features; auto freezes a pretrained backbone where there is no GPU"
    )
    pretrained: bool | Literal["auto"] = Field(
        "auto", description="start from ImageNet weights; must be said for networks whose weights are a download"
    )
    backbone_weights: str | None = Field(None, description="a local state dict of the backbone to start from instead")
    image_size: int = Field(64, ge=16, description="side of the student's input, pixels")
    projection_dim: Positive = Field(256, description="width of the projection on frozen features (CoreSet's features)")
    steps: Positive | None = Field(None, description=f"optimizer steps a round; {_DEFAULT_STEPS} unless epochs is set")
    epochs: Positive | None = Field(None, description="passes over the labelled images a round (the papers' code: 200)")
    batch_labeled: Positive = Field(64, description="labelled images a step")
    batch_unlabeled: Positive = Field(64, description="unlabelled images a step")
    learning_rate: float = Field(1e-3, gt=0, description="peak of AdamW's rate (linear warm-up, linear decay)")
    weight_decay: float = Field(1e-2, ge=0, description="AdamW's weight decay")
    warmup: Share = Field(0.1, description="share of the steps spent warming up")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="type of the forward pass's products")
    channels_last: bool = Field(False, description="keep an unfrozen backbone's images channels-last (faster on GPUs)")
    compile: bool = Field(False, description="torch.compile an unfrozen backbone (needs a C++ compiler)")
    clip_norm: float | None = Field(None, gt=0, description="largest norm of the whole gradient")
    ema: float | None = Field(None, gt=0, lt=1, description="decay of averaged weights, kept instead of the last ones")
    deterministic: bool = Field(False, description="allow only deterministic kernels (slower on GPUs)")
    temperature: float = Field(2.0, gt=0, description="T of the distillation loss")
    ce_share: Share = Field(0.5, description="λ, share of the label loss in the training loss (the DHO paper: 0.5)")
    ce_weight: Share = Field(0.5, description="share of the CE head in the mixed prediction (ActiveKD: 0.5)")
    kd_temperature: float = Field(1.0, gt=0, description="β, temperature of the KD head in the mixed prediction")
    validation_labels: int = Field(
        0, ge=0, description="random pool images labelled to tune ce_weight and kd_temperature; they count as labels"
    )
    device: str = Field("auto", description="auto (cuda, mps, cpu), cpu, cuda or mps")
    save_predictions: bool = Field(True, description="keep the pool's probabilities of every round for the plots")

    def __init__(self, **settings: Any) -> None:
        unknown = [name for name in settings if name not in type(self).model_fields]
        if unknown:
            raise UnknownNameError("setting", unknown[0], type(self).model_fields)
        try:
            super().__init__(**settings)
        except ValidationError as error:
            raise SettingError(_one_sentence(error)) from None

    @model_validator(mode="after")
    def _refuse_settings_without_effect(self) -> RunConfig:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("steps and epochs both set the length of training; give one of them")
        for field, used_by in _USED_BY.items():
            if field in self.model_fields_set and self.method not in used_by and self._differs(field):
                raise ValueError(
                    f"{field} has no effect with method={self.method!r}; it belongs to {', '.join(used_by)}"
                )
        if self.freeze_backbone is False and self._differs("projection_dim"):  # "auto" comes here again, resolved
            raise ValueError("projection_dim has no effect with freeze_backbone=False, which needs no projection")
        fixed = [name for name in ("ce_weight", "kd_temperature") if self._differs(name)]
        if self.validation_labels and fixed:
            raise ValueError(f"{fixed[0]} has no effect with validation_labels, which tune it; leave one of them out")
        self._refuse_teacher_settings_without_effect()
        return self

    def _refuse_teacher_settings_without_effect(self) -> None:
        if self.templates == ():
            raise ValueError("templates must hold at least one template; leave it out for the task's own")
        if self.teacher_views is not None and self.method == "ce":
            raise ValueError("teacher_views has no effect with method='ce', which has no teacher")
        if self.few_shot == "none" and self.protocol != "corrected":
            raise ValueError(
                f"protocol={self.protocol!r} has no effect with few_shot='none': it says when the teacher is refit"
            )
        if self.few_shot != "none" and self.method == "ce":
            raise ValueError(f"few_shot={self.few_shot!r} has no effect with method='ce', which has no teacher")

    def _differs(self, field: str) -> bool:
        return bool(getattr(self, field) != type(self).model_fields[field].default)

    def with_(self, **changes: Any) -> RunConfig:
        """Return a copy with some settings changed, validated again."""
        return RunConfig(**(self.model_dump(exclude_unset=True) | changes))

    @property
    def start_pretrained(self) -> bool | None:
        """`pretrained` as `build_backbone` takes it: None leaves the choice to the backbone."""
        return None if self.pretrained == "auto" else self.pretrained

    def training_steps(self, labeled: int) -> int:
        """Return the optimizer steps of a round with `labeled` labels: `steps`, or `epochs`·L / batch."""
        if self.epochs is None:
            return self.steps or _DEFAULT_STEPS
        return max(1, round(self.epochs * labeled / self.batch_labeled))

    def identity(self) -> dict[str, Any]:
        """Return the settings that determine the result, as plain JSON types."""
        return self.model_dump(mode="json", exclude=set(_NOT_IDENTITY))

    @property
    def hash(self) -> str:
        """Ten hex digits that name this configuration."""
        text = json.dumps(self.identity(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:10]

    @property
    def run_name(self) -> str:
        """The run's folder name, readable first: task, selector, method, seed, hash."""
        return f"{self.task}-{self.selector}-{self.method}-s{self.seed}-{self.hash}"


_USED_BY: dict[str, tuple[Method, ...]] = {
    "ce_weight": ("dho",),
    "kd_temperature": ("dho",),
    "validation_labels": ("dho",),
    "ce_share": ("dho", "single_head"),
    "temperature": ("dho", "single_head", "kd"),
    "batch_unlabeled": ("dho", "single_head", "kd"),
}


def _one_sentence(error: ValidationError) -> str:
    """Turn pydantic's report into one sentence: the setting, what was expected, what came."""
    parts = []
    for item in error.errors():
        field = ".".join(str(part) for part in item["loc"][:1])
        message = item["msg"].removeprefix("Value error, ").removeprefix("Input ")
        parts.append(f"{field} {message}, but got {item['input']!r}" if field else message)
    return "; ".join(parts) + "."
