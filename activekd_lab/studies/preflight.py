"""What a study needs, said before anything starts: every setting, what it costs (`estimate`), and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from activekd_lab.bench.operations import PEAKS, SHARE
from activekd_lab.config import ResolvedConfig
from activekd_lab.errors import DataError, ModelFilesError
from activekd_lab.io.files import there
from activekd_lab.studies.estimate import cost
from activekd_lab.studies.grid import Job, Study

_QUIET = ("device", "protocol", "save_predictions", "seed", "task", "task_options")


class Missing(NamedTuple):
    """Something a study needs that is not here, why it is said to be missing, and the command that gets it."""

    what: str
    why: str
    command: str


def settings_table(study: Study) -> dict[str, str]:
    """Return every setting of a study's runs, resolved; several values are joined in the order of the jobs."""
    found: dict[str, dict[str, None]] = {}
    for job in study.jobs:
        for name, value in job.resolved.model_dump().items():
            found.setdefault(name, {})[_text(value)] = None
    return {name: " | ".join(values) for name, values in found.items() if name not in _QUIET}


def _text(value: Any) -> str:
    return "none" if value is None else str(value)


def missing(study: Study) -> list[Missing]:
    """Return what the jobs of a study need and this machine lacks; nothing is loaded or fetched."""
    found: dict[str, Missing] = {}
    for job in study.jobs:
        for item in _missing(job):
            found.setdefault(item.what, item)
    return list(found.values())


def _missing(job: Job) -> Iterator[Missing]:
    config = job.resolved
    yield from _missing_data(config.task, str(config.task_options.get("root", "")))
    yield from _missing_teacher(config.teacher)
    if config.backbone_weights and there(Path(config.backbone_weights).expanduser()) != "file":
        yield Missing(config.backbone_weights, "the file does not exist", _dino(config))
    elif not config.backbone_weights and config.pretrained is True:
        yield from _missing_backbone(config.backbone)


def _dino(config: ResolvedConfig) -> str:
    if config.backbone != "resnet50":
        return f"put the weights of {config.backbone} there"
    model = "torch.hub.load('facebookresearch/dino:main', 'dino_resnet50')"
    return f'python -c "import torch; torch.save({model}.state_dict(), {config.backbone_weights!r})"'


@lru_cache(maxsize=64)
def _located(name: str, root: str) -> str:
    """Return why a data set of the papers cannot be found below its root; "" where it can."""
    from activekd_lab.data.coop import locate  # noqa: PLC0415  (imports torch)

    try:
        locate(name, root)
    except DataError as error:
        return str(error)
    return ""


def _missing_data(name: str, root: str) -> Iterator[Missing]:
    from activekd_lab.data.coop import SPECS  # noqa: PLC0415  (imports torch)
    from activekd_lab.data.imagenet import PUBLISHED  # noqa: PLC0415

    if name not in SPECS and name not in PUBLISHED:
        return
    _located.cache_clear()
    if why := _located(name, root):
        by_hand = name in PUBLISHED or name in ("stanford_cars", "ucf101")
        fetch = "check" if by_hand else "prepare"
        command = f"activekd-lab data {fetch} {name} --root {root or 'DIR'}" + ("" if by_hand else " --download")
        yield Missing(f"data set {name}", why, command)


def _missing_teacher(name: str) -> Iterator[Missing]:
    from activekd_lab.teachers.clip import local_files  # noqa: PLC0415  (imports torch)

    command = f"python -c \"import activekd_lab as akd; akd.load_teacher('{name}')\""
    if absent := [file for file in local_files(name) if not there(file)]:
        yield Missing(
            f"teacher {name}", f"{absent[0]} does not exist", f"put the model's files into {absent[0].parent}"
        )
    elif name != "bundled" and not local_files(name) and not _open_clip_here(name):
        yield Missing(f"teacher {name}", "its weights were never downloaded", command)


def _missing_backbone(name: str) -> Iterator[Missing]:
    family, _, rest = name.partition("/")
    if family == "open_clip":
        yield from (item._replace(what=f"student {name}") for item in _missing_teacher(rest))
    elif name not in ("efficientnet_lite0", "small_cnn") and not _download_here(family, rest):
        command = f"build_backbone('{name}', pretrained=True)"
        yield Missing(
            f"weights of {name}",
            "they were never downloaded",
            f'python -c "from activekd_lab.students.backbones import build_backbone; {command}"',
        )


def _open_clip_here(name: str) -> bool:
    import open_clip  # noqa: PLC0415  (takes seconds)

    if name.startswith("hf-hub:"):
        return _hub_file(name.removeprefix("hf-hub:"), ("open_clip_model.safetensors", "open_clip_pytorch_model.bin"))
    config: Mapping[str, Any] = open_clip.get_pretrained_cfg(*name.split("/"))
    repository, _, file = str(config.get("hf_hub", "")).rpartition("/")
    names = (file,) if file else ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
    url = Path(str(config.get("url", "")))
    return _hub_file(repository, names) or bool(url.name and (Path("~/.cache/clip").expanduser() / url.name).is_file())


def _download_here(family: str, rest: str) -> bool:
    """Return whether the ImageNet weights of a torchvision or timm network lie in their caches."""
    import torch  # noqa: PLC0415  (slow import)

    if family == "timm":
        import timm  # noqa: PLC0415  (slow import)

        repository = str(getattr(timm.get_pretrained_cfg(rest), "hf_hub_id", None) or "")
        return _hub_file(repository, ("model.safetensors", "pytorch_model.bin"))
    from torchvision import models  # noqa: PLC0415  (slow import)

    weights = models.get_model_weights(family)
    chosen = weights[rest] if rest else weights["DEFAULT"]
    return (Path(torch.hub.get_dir()) / "checkpoints" / Path(str(chosen.url)).name).is_file()


def _hub_file(repository: str, names: tuple[str, ...]) -> bool:
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415  (open_clip brings it)

    with suppress(ValueError):
        return any(isinstance(try_to_load_from_cache(repository, name), str) for name in names)
    return False


def refuse_missing(study: Study) -> None:
    """Refuse to start a study that lacks something.

    Raises:
        ModelFilesError: data or weights are not here; the message lists each with the command that gets it.
    """
    if absent := missing(study):
        lines = "\n- ".join(f"{item.what}: {item.why} Get it: {item.command}" for item in absent)
        raise ModelFilesError(f"{study.title}: {len(absent)} things are missing, and nothing ran:\n- {lines}")


def report_lines(study: Study, speed: float) -> Iterator[str]:
    """Yield the lines of a dry run: settings, cost at a measured speed (operations a second), what is missing."""
    for name, value in settings_table(study).items():
        yield f"  {name}: {value}"
    found = cost(study)
    yield (
        f"{found.jobs:,} jobs, {found.steps:,} optimizer steps, {found.crops:,} training crops; {found.decoded:,} "
        f"image files decoded once, {found.disk / 1e9:.1f} GB on disk"
    )
    if found.unknown:
        yield f"{found.unknown} jobs are on data of unknown size and are not counted."
    here = _hours(found.operations / speed)
    yield f"{found.operations:.3g} operations; on this machine {here}, at {speed:.2g} a second, measured"
    cards = ", ".join(f"{card} {_hours(found.operations / (SHARE * peak))}" for card, peak in PEAKS.items())
    yield f"by arithmetic, at {SHARE:.0%} of the published peak: {cards}"
    for item in missing(study):
        yield f"missing: {item.what}: {item.why} Get it: {item.command}"


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.0f} h" if seconds > 36_000 else f"{seconds / 3600:.2g} h"
