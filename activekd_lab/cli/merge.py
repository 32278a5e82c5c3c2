"""`activekd-lab merge`: several people's answers put together, and what they disagree on."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from activekd_lab.cli.flags import JSON
from activekd_lab.cli.output import print_table


def merge(
    sources: Annotated[
        list[Path], typer.Argument(help="a person each: session folders, or files of Label Studio, CVAT, COCO, tables")
    ],
    images: Annotated[
        Path | None, typer.Option(help="folder of the images, where the files write their names differently")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="write path,label of what nobody disagrees on there, for `label --import`")
    ] = None,
    json_: JSON = False,
) -> None:
    """Put several people's labels together: agreement, and every image they disagree on; nothing is decided."""
    from activekd_lab.errors import SettingError
    from activekd_lab.io.files import shown, write_atomic
    from activekd_lab.labeling.formats import answers_file
    from activekd_lab.labeling.merge import merge_answers

    if out is not None and out.resolve() in map(answers_file, sources):
        raise SettingError(f"--out {shown(out)} is one of the people's own files; choose another file.")
    merged = merge_answers(sources, images=images)
    if json_:
        found = asdict(merged) | {"conflicts": [c._asdict() for c in merged.conflicts]}
        agreements = [a._asdict() | {"kappa": a.kappa if a.kappa == a.kappa else None} for a in merged.agreements]
        print(json.dumps(found | {"agreements": agreements}, ensure_ascii=False))
    else:
        print(*merged.agreements, sep="\n")
        people = list(dict.fromkeys(who for conflict in merged.conflicts for who in conflict.answers))
        if merged.conflicts:
            rows = [[c.image, *(c.answers.get(who, "") for who in people)] for c in merged.conflicts]
            print_table("", ["image", *people], rows)
        print(f"{len(merged.answers):,} images merged, {len(merged.conflicts):,} in conflict and left out")
    if merged.left_out:
        print(merged.left_out, file=sys.stderr)
    if out is not None:
        table = io.StringIO()
        csv.writer(table, lineterminator="\n").writerows([("path", "label"), *merged.answers.items()])
        write_atomic(out, table.getvalue(), "choose another file")
