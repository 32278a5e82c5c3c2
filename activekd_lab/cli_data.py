"""`activekd-lab data`: check and prepare the papers' data sets."""

from __future__ import annotations

from typing import Annotated

import typer

from activekd_lab.cli_output import Reporter

data = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Check and prepare the papers' data sets.")
Name = Annotated[str, typer.Argument(help="data set, see `activekd-lab tasks`")]
Root = Annotated[str, typer.Option(help="folder of all data sets [default: $ACTIVEKD_LAB_DATA]", show_default=False)]


@data.command()
def check(name: Name, root: Root = "") -> None:
    """Look at every file of a data set: missing, corrupt, not listed. Exits with 1 if any is missing or corrupt."""
    from activekd_lab.data.coop import check_files

    found = check_files(name, root)
    problems = {kind: files for kind, files in found._asdict().items() if kind != "images" and files}
    if not problems:
        print(f"{name}: {found.images:,} images, all as they should be")
    for kind, files in problems.items():
        print(f"{name}: {kind}: {len(files):,}, such as {', '.join(str(p) for p in files[:3])}")
    if found.missing or found.corrupt:
        raise typer.Exit(1)


@data.command()
def prepare(
    name: Name,
    root: Root = "",
    image_size: Annotated[int, typer.Option(min=16, help="side of the decoded images, pixels")] = 224,
    fetch: Annotated[bool, typer.Option("--download", help="first download the images by torchvision")] = False,
) -> None:
    """Decode a data set's images once into the cache; a killed call continues."""
    from activekd_lab.data.coop import download, load

    if fetch:
        download(name, root)
    with Reporter(quiet=False) as report:
        task = load(name, root, image_size, progress=lambda done, total: report(f"decoded {done:,} of {total:,}"))
    counts = ", ".join(f"{s.name} {len(s):,}" for s in (task.train, task.val, task.test) if s is not None)
    print(f"{name}: {counts} images of {task.num_classes} classes")
