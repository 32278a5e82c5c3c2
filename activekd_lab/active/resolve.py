"""The one place that answers "auto" and refuses settings that cannot be: `RunConfig.resolve` comes here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any, NamedTuple

from torch import nn

from activekd_lab.active.protocols import PROTOCOLS, fill_in
from activekd_lab.config import TIMINGS, ResolvedConfig, RunConfig
from activekd_lab.data import Task, check_task
from activekd_lab.data.prompts import build_prompts
from activekd_lab.device import resolve_device
from activekd_lab.errors import SettingError, UnknownNameError
from activekd_lab.selectors import Selector, SelectorFunction
from activekd_lab.selectors import resolve as find_selector
from activekd_lab.students.backbones import Backbone, check_start, default_image_size, has_pretrained
from activekd_lab.students.methods import Method, MethodFunction, find_method, list_methods
from activekd_lab.students.own import own_backbone
from activekd_lab.students.student import check_frozen
from activekd_lab.students.towers import check_model
from activekd_lab.teachers.clip import Teacher
from activekd_lab.teachers.given import GivenTeacher, load_given

_DEFAULT_STEPS = 200
_WHOLE_NETWORK = ("teacher_views", "channels_last", "compile", "query_views")
_LOOKS = ("teacher_views", "teacher_fit", "view_size", "templates")  # what a teacher without eyes cannot do


class Given(NamedTuple):
    """Objects in the place of names: what a run is handed instead of looking it up."""

    selector: Selector | SelectorFunction | None = None
    method: Method | MethodFunction | None = None
    task: Task | None = None
    teacher: Teacher | GivenTeacher | None = None
    backbone: nn.Module | None = None


def resolved(config: RunConfig, given: Given) -> ResolvedConfig:
    """Return the settings with every "auto" answered and every way of saying the same said in one way.

    Nothing is loaded: names, options and combinations are looked at, neither images nor weights.

    Raises:
        UnknownNameError: no such task, teacher, selector, method or backbone; the message lists the nearest.
        SettingError: an option that a task or selector does not have, or a setting that has no effect.
    """
    if config.protocol in TIMINGS:
        return ResolvedConfig.of(config, _answers(config, given))
    if config.protocol not in PROTOCOLS:
        raise UnknownNameError("protocol", config.protocol, [*TIMINGS, *PROTOCOLS])
    method = find_method(config.method if given.method is None else given.method)
    settings, overrides = fill_in(config, method)
    refit = "released" if PROTOCOLS[config.protocol].refit == "released" else "corrected"
    try:
        spelled = RunConfig(**(config.model_dump(exclude_unset=True) | settings | {"protocol": refit}))
        answers = settings | _answers(spelled, given, named=True)
        return ResolvedConfig.of(config, answers, (config.protocol, overrides))
    except SettingError as error:
        changed = ", ".join(f"{name}={used!r}" for name, (_, used) in overrides.items()) or "these settings"
        raise SettingError(f"protocol={config.protocol!r} does not take {changed}: {error}") from None


def _answers(config: RunConfig, given: Given, *, named: bool = False) -> dict[str, Any]:
    """Return what every "auto" becomes, and each setting in the one way of saying it."""
    released = named or config.protocol == "released"
    if config.templates is not None:
        build_prompts(("a class",), config.templates)
    strategy = find_selector(config.selector if given.selector is None else given.selector)
    options = {**strategy.released, **config.selector_options} if released else dict(config.selector_options)
    strategy.check_options(options)
    if config.protocol == "released" and config.few_shot == "none" and not strategy.released and not named:
        raise SettingError(
            f"protocol='released' has no effect with few_shot='none' and selector={strategy.name!r}: it says when the "
            "teacher is refit and how some selectors run; leave it out."
        )
    late = config.protocol == "released" and config.few_shot != "none"
    return {
        "selector": strategy.name,
        "selector_options": _without_defaults(options, strategy.function),
        "protocol": "released" if late else "corrected",  # paper says the same
        "steps": config.steps or (_DEFAULT_STEPS if config.epochs is None and config.pool_epochs is None else None),
        "device": str(resolve_device(config.device)),
        "method": _method(config, given.method).name,
        **_task(config, given.task),
        **_teacher(config, given.teacher),
        **_start(config, given),
    }


def _method(config: RunConfig, own: Method | MethodFunction | None) -> Method:
    """Return what the student learns from, after a look at what is set beside it."""
    method = find_method(config.method if own is None else own)
    if own is not None and config.differs("method") and config.method != method.name:
        raise SettingError(f"method={config.method!r} has no effect beside a method that is handed over; leave it out.")
    method.settings  # noqa: B018  (refuses what cannot be called)
    for field in type(config).model_fields:
        if field in config.model_fields_set and config.differs(field) and not method.uses(field):
            value = f"={getattr(config, field)!r}" if field == "few_shot" else ""
            users = ", ".join(other.name for other in list_methods() if other.uses(field))
            raise SettingError(f"{field}{value} has no effect with method={method.name!r}; it belongs to {users}.")
    return method


def _task(config: RunConfig, task: Task | None) -> dict[str, Any]:
    """Return the task's name and those of its options that say something."""
    options = dict(config.task_options)
    if task is None:
        return {"task_options": _without_defaults(options, check_task(config.task, options))}
    if not isinstance(task, Task):
        raise SettingError(f"task must be a Task (see akd.task_from), but got {type(task).__name__}.")
    if options:
        raise SettingError("task_options have no effect beside a task that is handed over; leave them out.")
    return {"task": task.name, "task_options": {}}


def _teacher(config: RunConfig, teacher: Teacher | GivenTeacher | None) -> dict[str, Any]:
    """Return the teacher's name, after a look at what is asked of it."""
    if teacher is None and config.teacher.startswith("given:"):
        teacher = load_given(config.teacher.removeprefix("given:"))
    elif teacher is None:
        check_model(config.teacher)
        return {}
    elif not isinstance(teacher, Teacher | GivenTeacher):
        raise SettingError(
            f"teacher must be a loaded or a given teacher (see akd.given_teacher), but got {type(teacher).__name__}."
        )
    if isinstance(teacher, GivenTeacher):
        if config.few_shot != "none" and not teacher.has_embeddings:
            raise SettingError(
                f"few_shot={config.few_shot!r} needs a teacher's embeddings, but got its {teacher.kind}."
            )
        blind = [name for name in _LOOKS if config.differs(name)]
        if blind:
            raise SettingError(f"{blind[0]} has no effect with a given teacher, which looks at no image; leave it out.")
    return {} if config.teacher.startswith("given:") else {"teacher": teacher.name}


def _start(config: RunConfig, given: Given) -> dict[str, Any]:
    """Return where the student's backbone starts from, and whether it stays there."""
    if given.task is not None and given.task.train.features is not None:
        return _features(config, given)
    if given.backbone is not None:
        return _own(config, own_backbone(given.backbone, image_size=config.image_size))
    check_start(config.backbone, config.start_pretrained, config.backbone_weights)
    pretrained = has_pretrained(config.backbone) if config.pretrained == "auto" else config.pretrained
    frozen = config.freeze_backbone
    if frozen == "auto":
        has_stages = config.backbone == "efficientnet_lite0"
        frozen = has_stages and pretrained and resolve_device(config.device).type == "cpu"
    if config.differs("language_start") and not config.backbone.startswith("open_clip/"):
        raise SettingError(f"language_start has no effect with backbone={config.backbone!r}, which is no CLIP tower.")
    check_frozen(config.backbone, frozen, pretrained, config.backbone_weights)
    useless = [name for name in _WHOLE_NETWORK if frozen and getattr(config, name)]
    useless += [name for name in ("view_size", "language_start") if frozen and config.differs(name)]
    if useless:
        raise SettingError(
            f"{useless[0]} has no effect with a frozen backbone, whose features are cached; leave it out."
        )
    return {
        "freeze_backbone": frozen,
        # A weights file says itself where to start, and lets nothing else be said.
        "pretrained": config.pretrained if config.backbone_weights else pretrained,
        "image_size": _image_size(config),
    }


def _features(config: RunConfig, given: Given) -> dict[str, Any]:
    """Return the start of a student that learns from features: nothing lies below its projection."""
    assert given.task is not None
    assert given.task.train.features is not None
    said = [name for name in ("backbone", "backbone_weights", "image_size", *_WHOLE_NETWORK) if config.differs(name)]
    if said or given.backbone is not None or config.freeze_backbone is False or config.pretrained is False:
        name = said[0] if said else "backbone" if given.backbone is not None else "freeze_backbone or pretrained"
        raise SettingError(f"{name} has no effect on a task of features, which has no images; leave it out.")
    width = given.task.train.features.shape[1]
    return {"backbone": f"features/{width}", "freeze_backbone": True, "pretrained": True}


def _own(config: RunConfig, backbone: Backbone) -> dict[str, Any]:
    """Return the start of a student on a network that was handed over: as it stands."""
    said = [name for name in ("backbone", "backbone_weights", "pretrained") if config.differs(name)]
    if said:
        raise SettingError(f"{said[0]} has no effect beside a backbone that is handed over; leave it out.")
    return {"backbone": backbone.name, "freeze_backbone": config.freeze_backbone is True, "pretrained": True}


def _image_size(config: RunConfig) -> int:
    """Return the side of the views: what was asked for, else what the network prescribes, else the default."""
    own = default_image_size(config.backbone)
    return config.image_size if own is None or "image_size" in config.model_fields_set else own


def _without_defaults(options: Mapping[str, Any], function: Callable[..., Any]) -> dict[str, Any]:
    """Return the options that differ from what the function takes when nothing is said."""
    defaults = {name: p.default for name, p in signature(function).parameters.items()}
    return {name: value for name, value in options.items() if name not in defaults or defaults[name] != value}
