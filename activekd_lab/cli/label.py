"""`activekd-lab label`: a labelling session in the terminal."""

from __future__ import annotations

import sys
import webbrowser
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from activekd_lab.cli.flags import settings, with_some_config_flags
from activekd_lab.cli.output import Reporter
from activekd_lab.config import RunConfig
from activekd_lab.errors import ActiveKDError, SettingError
from activekd_lab.io.files import shown

if TYPE_CHECKING:
    from activekd_lab.labeling.session import LabelSession

COMMANDS = {"s": "puts off", "x": "is in no class", "u": "undoes", "t": "trains", "?": "asks the model", "q": "ends"}

STUDENT = ("backbone", "pretrained", "backbone_weights", "freeze_backbone", "image_size", "steps", "epochs")


@with_some_config_flags("teacher", "templates", *STUDENT, "device")
def label(
    folder: Annotated[Path, typer.Argument(help="folder of images")],
    classes: Annotated[str | None, typer.Option(help="class names, with commas between them")] = None,
    selector: Annotated[str, typer.Option(help="who chooses the images, see `activekd-lab selectors`")] = "pcoreset",
    batch: Annotated[int, typer.Option(min=1, help="images a batch")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="derives every random step")] = 0,
    session: Annotated[
        Path | None, typer.Option(help="where the answers lie [default: .labels in the folder of images]")
    ] = None,
    import_: Annotated[
        Path | None, typer.Option("--import", help="first take answers from this file, of any format of --format")
    ] = None,
    beyond: Annotated[bool, typer.Option("--beyond", help="import answers for images not asked for, too")] = False,
    train: Annotated[bool, typer.Option("--train", help="train before anything is asked")] = False,
    ask: Annotated[bool, typer.Option("--ask/--no-ask", help="ask in the terminal")] = True,
    page: Annotated[
        bool, typer.Option("--page", help="show the photos in the browser, on a page that only this machine reaches")
    ] = False,
    export: Annotated[Path | None, typer.Option(help="at the end, write the labels there")] = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="of --export: csv (path,label), or label-studio, cvat, coco, which hold what is asked now too "
            "[default: cvat for .xml, else csv]",
            show_default=False,
        ),
    ] = None,
    **options: Any,
) -> None:
    """Label a folder of images in the terminal; every answer is on disk at once, and the same command continues."""
    _refuse_idle(import_, beyond, export, format_, page and not ask)
    chosen = settings(options)
    config = RunConfig(**chosen)
    from activekd_lab.labeling.photos import label_folder  # after the settings are checked: torch takes a second

    names = [name.strip() for name in classes.split(",")] if classes else None
    with Reporter(quiet=False) as report:
        how: dict[str, Any] = {"selector": selector, "batch": batch, "seed": seed, "config": config, "say": report}
        opened = label_folder(folder, names, session, **how)
    known = opened.task.class_names
    listed = ", ".join(f"{i + 1} {name}" if _numbered(known) else name for i, name in enumerate(known))
    print(f"{listed}\n{_help(known)}" if ask else listed)
    given = {"selector": (selector, "pcoreset"), "batch": (batch, 10), "seed": (seed, 0)}  # with their defaults
    also = "".join(f", {name}={value!r}" for name, (value, usual) in given.items() if value != usual)
    also += f", folder={str(session)!r}" * bool(session)
    also += f", config=akd.RunConfig(**{chosen!r})" * bool(chosen)
    print(f"In a notebook: akd.widgets.Labeler(akd.labeling.label_folder({str(folder)!r}, {list(known)!r}{also}))")
    if import_ is not None:
        _import(opened, import_, beyond)
    if train:
        _train(opened, report)
    if ask:
        _ask_all(opened, report, page)
    progress = opened.progress
    left = progress.remaining + progress.skipped
    print(f"{progress.labeled} labels, {left} images left; kept in {shown(opened.folder)}")
    if export is not None:
        _export(opened, export, format_)


def _refuse_idle(import_: Path | None, beyond: bool, export: Path | None, format_: str | None, idle_page: bool) -> None:
    """Refuse a flag without effect, and a format that cannot be, before images are decoded."""
    if idle_page:
        raise SettingError("--page has no effect beside --no-ask; leave one of them out.")
    if (beyond and import_ is None) or (format_ is not None and export is None):
        flag, other = ("--beyond", "--import") if beyond and import_ is None else ("--format", "--export")
        raise SettingError(f"{flag} has no effect without {other} FILE; give that too, or leave {flag} out.")
    if export is not None:
        from activekd_lab.labeling.formats import format_of

        format_of(export, format_)


def _import(session: LabelSession, path: Path, beyond: bool) -> None:
    from activekd_lab.labeling.exchange import import_answers

    taken, left_out = import_answers(session, path, beyond=beyond)
    print(f"{taken:,} answers taken from {shown(path)}", *([left_out] if left_out else []), sep="\n")


def _export(session: LabelSession, path: Path, format_: str | None) -> None:
    from activekd_lab.labeling.exchange import export_answers
    from activekd_lab.labeling.files import rejected_file
    from activekd_lab.labeling.writers import label_studio_config

    export_answers(session, path, format_)
    if format_ == "label-studio":
        print(f"labelling interface for the project's settings: {label_studio_config(session.task.class_names)}")
    print(f"labels written to {shown(path)}")
    if rejected := session.progress.rejected:
        print(f"{rejected} in no class listed in {rejected_file(path)}")


def _train(session: LabelSession, report: Reporter) -> None:
    with report:
        found = session.train()
    accuracy = "" if found.accuracy is None else f", accuracy {found.accuracy:.1%}"
    print(f"trained on {found.labels} labels, loss {found.loss:.3f}{accuracy}")
    if found.remark:
        print(found.remark)


def _help(names: Sequence[str]) -> str:
    """Say what can be typed; where a class is called like a command, commands begin with a colon."""
    mark = ":" * _clash(names)
    return ", ".join(["a number or a class name labels", *(f"{mark}{key} {what}" for key, what in COMMANDS.items())])


def _clash(names: Sequence[str]) -> bool:
    return any(name in COMMANDS for name in names)


def _ask_all(session: LabelSession, report: Reporter, page: bool) -> None:
    """Ask until there is nothing left or the user ends it; with a page, each photo is on it while it is asked about."""
    from activekd_lab.labeling.page import Page

    with Page() if page else nullcontext() as opened:
        if opened is not None:
            print(f"photos: {opened.url} (for this machine only, until this command ends)")
            _open_browser(opened.url)
        while (current := session.current) is not None:
            if opened is not None and (path := session.path(current)) is not None:
                opened.show(path)
            if not _ask(session, current, report):
                return


def _open_browser(url: str) -> None:
    """Open the page where somebody sits at a terminal and has a browser of windows: one of text would take it over."""
    with suppress(webbrowser.Error):
        if sys.stdin.isatty() and type(browser := webbrowser.get()) is not webbrowser.GenericBrowser:
            browser.open(url)


def _ask(session: LabelSession, current: int, report: Reporter) -> bool:
    """Show one image's path, read one answer, and return whether to go on."""
    _forget_typed()
    try:
        text = input(f"[{session.progress.labeled + 1}] {shown(session.path(current))} > ").strip()
    except EOFError:
        return False
    try:
        return _obey(session, current, text, report)
    except ActiveKDError as error:
        print(error)
        return True


def _forget_typed() -> None:
    """Drop what was typed while something else was going on: it was not about the image that is shown next."""
    if sys.stdin.isatty():
        with suppress(ImportError, OSError):
            import termios

            termios.tcflush(sys.stdin, termios.TCIFLUSH)


def _obey(session: LabelSession, current: int, text: str, report: Reporter) -> bool:
    names = session.task.class_names
    command = text[1:] if text.startswith(":") else "" if _clash(names) else text
    if text in names or command not in COMMANDS:
        if text:
            session.answer(_class_of(text, names), id=current)
    elif command == "q":
        return False
    elif command == "t":
        _train(session, report)
    elif command == "?":
        c, probability = session.suggestion(current)
        print(f"the model says {names[c]}, {probability:.0%}")
    elif command == "u":
        session.undo()
    else:
        (session.skip if command == "s" else session.reject)(id=current)
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
