"""`activekd-lab label`: a labelling session in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from activekd_lab.cli_flags import settings, with_some_config_flags
from activekd_lab.cli_output import Reporter
from activekd_lab.config import RunConfig
from activekd_lab.errors import ActiveKDError, SettingError

if TYPE_CHECKING:
    from activekd_lab.labeling import LabelSession

HELP = "a number or a class name labels; s puts off, x is in no class, u undoes, t trains, ? asks the model, q ends"

STUDENT = ("backbone", "pretrained", "backbone_weights", "freeze_backbone", "image_size", "steps", "epochs")


@with_some_config_flags("teacher", "templates", *STUDENT, "device")
def label(
    folder: Annotated[Path, typer.Argument(help="folder of images")],
    classes: Annotated[str | None, typer.Option(help="class names, with commas between them")] = None,
    selector: Annotated[str, typer.Option(help="who chooses the images, see `activekd-lab selectors`")] = "pcoreset",
    batch: Annotated[int, typer.Option(min=1, help="images a batch")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="derives every random step")] = 0,
    export: Annotated[Path | None, typer.Option(help="at the end, write path,label there as CSV")] = None,
    **options: Any,
) -> None:
    """Label a folder of images in the terminal; every answer is on disk at once, and the same command continues."""
    chosen = settings(options)
    config = RunConfig(**chosen)
    from activekd_lab.labeling import label_folder  # after the settings are checked: torch takes a second

    names = [name.strip() for name in classes.split(",")] if classes else None
    with Reporter(quiet=False) as report:
        session = label_folder(folder, names, selector=selector, batch=batch, seed=seed, config=config, say=report)
    known = session.task.class_names
    shown = ", ".join(f"{i + 1} {name}" if _numbered(known) else name for i, name in enumerate(known))
    print(f"{shown}\n{HELP}")
    given = {"selector": (selector, "pcoreset"), "batch": (batch, 10), "seed": (seed, 0)}  # with their defaults
    also = "".join(f", {name}={value!r}" for name, (value, usual) in given.items() if value != usual)
    also += f", config=akd.RunConfig(**{chosen!r})" * bool(chosen)
    opened = f"akd.label_folder({str(folder)!r}, {list(session.task.class_names)!r}{also})"
    print(f"In a notebook: akd.widgets.Labeler({opened})")
    while (current := session.current) is not None and _ask(session, current, report):
        pass
    progress = session.progress
    print(f"{progress.labeled} labels, {progress.remaining + progress.skipped} images left; kept in {session.folder}")
    if export is not None:
        print(f"labels written to {session.export_csv(export)}")


def _ask(session: LabelSession, current: int, report: Reporter) -> bool:
    """Show one image's path, read one answer, and return whether to go on."""
    try:
        text = input(f"[{session.progress.labeled + 1}] {session.path(current)} > ").strip()
    except EOFError:
        return False
    try:
        return _obey(session, current, text, report)
    except ActiveKDError as error:
        print(error)
        return True


def _obey(session: LabelSession, current: int, text: str, report: Reporter) -> bool:
    if text == "q":
        return False
    if text in ("s", "x", "u"):
        {"s": session.skip, "x": session.reject, "u": session.undo}[text]()
    elif text == "t":
        with report:
            found = session.train()
        accuracy = "" if found.accuracy is None else f", accuracy {found.accuracy:.1%}"
        print(f"trained on {found.labels} labels, loss {found.loss:.3f}{accuracy}")
    elif text == "?":
        c, probability = session.suggestion(current)
        print(f"the model says {session.task.class_names[c]}, {probability:.0%}")
    elif text:
        session.answer(_class_of(text, session.task.class_names))
    return True


def _numbered(names: Sequence[str]) -> bool:
    """Tell whether a number can stand for a class: not where classes are numbers themselves."""
    return not any(name.isdecimal() for name in names)


def _class_of(text: str, names: Sequence[str]) -> int | str:
    """Return the class that an answer means, by index where it is a number."""
    if not text.isdecimal() or not _numbered(names):
        return text
    if not 1 <= int(text) <= len(names):
        raise SettingError(f"The number of a class must lie in 1 … {len(names)}, but got {text}.")
    return int(text) - 1
