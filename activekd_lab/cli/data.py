"""`activekd-lab data`: check and prepare the papers' data sets."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from activekd_lab.cli.output import Reporter, print_table

data = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Check and prepare the papers' data sets.")
Name = Annotated[str, typer.Argument(help="data set, see `activekd-lab tasks`")]
Root = Annotated[str, typer.Option(help="folder of all data sets [default: $ACTIVEKD_LAB_DATA]", show_default=False)]


@data.command()
def check(name: Annotated[str, typer.Argument(help="data set, or a folder of yours")], root: Root = "") -> None:
    """Look at every file of a data set or folder; exits with 1 if any is bad, missing, or the counts are others."""
    from activekd_lab.data.coop import locate
    from activekd_lab.data.layout import list_folder
    from activekd_lab.data.listing import check_files, check_listing
    from activekd_lab.data.walk import show
    from activekd_lab.errors import DataError
    from activekd_lab.io.files import there

    if os.sep in name or (not root and there(name, "name a data set", kind=DataError) == "folder"):
        listing = list_folder(Path(name).resolve())
        found, difference = check_files(listing.files, listing.left_out), ""
    else:
        known = locate(name, root)
        found, difference = check_listing(known), known.difference
    problems = {kind: files for kind, files in found._asdict().items() if isinstance(files, list) and files}
    if not problems:
        print(f"{name}: {found.images:,} images, all as they should be")
    for kind, files in problems.items():
        print(f"{name}: {kind}: {len(files):,}, such as {', '.join(show(p) for p in files[:3])}")
    for line in filter(None, (difference, str(found.left_out))):
        print(line)
    if found.missing or found.corrupt or difference:
        raise typer.Exit(1)


@data.command()
def prepare(
    name: Name,
    root: Root = "",
    image_size: Annotated[int, typer.Option(min=16, help="side of the decoded images, pixels")] = 224,
    subset: Annotated[str, typer.Option(help="of ImageNet's pool: 1percent or 10percent")] = "",
    subset_seed: Annotated[
        int, typer.Option(min=-1, help="draw the subset; -1 reads its list, such as 1percent.txt")
    ] = -1,
    fetch: Annotated[bool, typer.Option("--download", help="first download the images by torchvision")] = False,
) -> None:
    """Decode a data set's images once into the cache; a killed call continues."""
    from activekd_lab.data.coop import download, locate
    from activekd_lab.data.listing import decode

    if fetch:
        download(name, root)
    listing = locate(name, root, subset=subset, subset_seed=subset_seed)
    if listing.difference:
        print(listing.difference)
    with Reporter(quiet=False) as report:
        task = decode(listing, image_size, lambda done, total: report(f"decoded {done:,} of {total:,}"))
    if task.left_out:
        print(task.left_out)
    counts = ", ".join(f"{s.name} {len(s):,}" for s in (task.train, task.val, task.test) if s is not None and len(s))
    print(f"{name}: {counts} images of {task.num_classes} classes")


@data.command()
def shift(
    student: Annotated[Path, typer.Argument(help="file or folder that `SavedStudent.save` wrote, trained on imagenet")],
    names: Annotated[
        list[str] | None,
        typer.Argument(help="imagenet, or shifted test sets [default: all that lie below root]", show_default=False),
    ] = None,
    root: Root = "",
    json_: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Measure a student of ImageNet on ImageNetV2, -Sketch, -A and -R, over the classes that each of them holds."""
    from activekd_lab.data.imagenet import present_shifts, wnid_names
    from activekd_lab.runs.shift import measure_shift
    from activekd_lab.students.checkpoint import load_student
    from activekd_lab.students.released import load_released

    theirs = student.suffix in (".pt", ".pth")
    saved = load_released(student, tuple(wnid_names().values())) if theirs else load_student(student)
    with Reporter(quiet=json_) as report:
        found = [measure_shift(saved, name, root, say=report) for name in names or present_shifts(root)]
    if json_:
        print(json.dumps([row._asdict() for row in found]))
        return
    rows = [[row.name, f"{row.images:,}", f"{row.classes:,}", f"{row.accuracy:.1%}"] for row in found]
    print_table("", ["test set", "images", "classes", "accuracy"], rows)
