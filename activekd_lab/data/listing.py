"""A data set on disk as a list of files with labels: found below one root, checked, decoded into a task.

`root` holds a folder a data set, as CoOp's instructions lay them out (github.com/KaiyangZhou/CoOp, DATASETS.md) or as
torchvision's loaders unpack them; `$ACTIVEKD_LAB_DATA` is its default.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from activekd_lab.data.decode import decode_files, refuse_missing
from activekd_lab.data.images import why_unreadable
from activekd_lab.data.task import Split, Task, check_prompts
from activekd_lab.data.walk import LeftOut, find_images, show
from activekd_lab.errors import DataError
from activekd_lab.io.files import disk, shown

Files = list[tuple[Path, int]]  # file, label


class Listing(NamedTuple):
    """A data set on disk.

    Attributes:
        name: registry key.
        folder: below which all images lie.
        class_names: C names as they enter the prompts.
        templates: prompt templates.
        splits: files and labels of "train", "val" and "test"; one that a data set lacks is not there.
        published: the images of each split as its authors or CoOp's published it.
        left_out: what lies there and is not used, counted by reason.
    """

    name: str
    folder: Path
    class_names: tuple[str, ...]
    templates: tuple[str, ...]
    splits: dict[str, Files]
    published: Mapping[str, int]
    left_out: LeftOut

    @property
    def files(self) -> list[Path]:
        """Every listed file, in the order of the splits."""
        return [path for rows in self.splits.values() for path, _ in rows]

    @property
    def difference(self) -> str:
        """One sentence if the sizes of the splits are not the published ones, else nothing."""
        own = {split: len(rows) for split, rows in self.splits.items()}
        if own == dict(self.published):
            return ""
        sizes = (", ".join(f"{split} {count:,}" for split, count in s.items()) for s in (self.published, own))
        return "The published {} has {}; here are {}.".format(self.name, *sizes)


def data_root(root: str = "") -> Path:
    """Return the folder of all data sets: `root`, or `$ACTIVEKD_LAB_DATA`.

    Raises:
        DataError: neither is given, or it is no folder.
    """
    given = root or os.environ.get("ACTIVEKD_LAB_DATA", "")
    if not given:
        raise DataError("Where are the data sets? Give the task option root=FOLDER or set ACTIVEKD_LAB_DATA.")
    with disk(given, "read", "give root=FOLDER or set ACTIVEKD_LAB_DATA", kind=DataError):
        path = Path(given).expanduser().resolve()
        there = path.is_dir()
    if not there:
        raise DataError(f"The data folder {shown(path)} does not exist; give root=FOLDER or set ACTIVEKD_LAB_DATA.")
    return path


def existing(root: Path, name: str, candidates: Sequence[str], what: str) -> Path:
    """Return the first candidate below the root that exists.

    Raises:
        DataError: none does; the message says where it must be put.
    """
    for candidate in candidates:
        if (root / candidate).exists():
            return root / candidate
    raise DataError(f"The {what} of {name} are missing: put them at {' or '.join(candidates)} in {shown(root)}.")


def settled(splits: Mapping[str, Files], names: Sequence[str], left_out: LeftOut) -> dict[str, Files]:
    """Return the splits with every file once; a row that stands twice is counted.

    Raises:
        DataError: a file with two labels or in two splits.
    """
    found: dict[Path, tuple[str, int]] = {}
    kept: dict[str, Files] = {split: [] for split in splits}
    for split, rows in splits.items():
        for path, label in rows:
            before, known = found.setdefault(path, (split, label))
            if label != known:
                raise DataError(f"{show(path)} has two labels, {names[known]!r} and {names[label]!r}; keep one.")
            if before != split:
                raise DataError(f"{show(path)} is in two splits, {before} and {split}; keep it in one.")
        kept[split] = list(dict.fromkeys(rows))
        twice = [row[0].name for row, count in Counter(rows).items() for _ in range(count - 1)]
        left_out.add(f"rows of {split} that stand there before", *twice)
    return kept


def decode(listing: Listing, size: int, progress: Callable[[int, int], None] | None = None) -> Task:
    """Make the task; its images are decoded once, each split into its own map, and a killed call continues.

    Args:
        listing: what is on disk. Without a train split, the task's is empty: it can only be measured on.
        size: side of the square that is kept of each image, pixels.
        progress: called with (done, total) while a split is decoded.

    Raises:
        DataError: names that are empty or alike; missing files; unreadable images, all of them named.
    """
    check_prompts(listing.class_names, listing.templates)
    refuse_missing(listing.files)
    left_out = LeftOut()
    left_out.merge(listing.left_out)
    parts: dict[str, Split] = {"train": Split("train", torch.empty(0, 3, size, size).byte(), torch.empty(0).long())}
    bad = []
    for split, rows in listing.splits.items():
        about = f"images of {listing.name}, {split}"
        try:
            found = decode_files([path for path, _ in rows], size, about=about, progress=progress)
        except DataError as error:
            bad.append(str(error))
            continue
        left_out.merge(found.left_out)
        labels = torch.tensor([label for _, label in rows], dtype=torch.int64)
        parts[split] = Split(split, found.images, labels, stamp=found.stamp)
    if bad:
        raise DataError(" ".join(bad))
    return Task(listing.name, listing.class_names, listing.templates, left_out=left_out, **parts)  # type: ignore[arg-type]


class Check(NamedTuple):
    """What is wrong with the files of a data set: listed and missing, listed and no image, there and not listed."""

    images: int
    missing: list[Path]
    corrupt: list[Path]
    extra: list[Path]
    left_out: LeftOut


def check_listing(listing: Listing) -> Check:
    """Look at every file of a data set."""
    there, left_out = find_images(listing.folder)[:2]
    left_out.notes += listing.left_out.notes
    listed = {p.resolve() for p in listing.files}  # the data set may be a link to where it lies
    return check_files(listing.files, left_out)._replace(extra=[p for p in there if p.resolve() not in listed])


def check_files(paths: Sequence[Path], left_out: LeftOut) -> Check:
    """Look at files, each once."""
    files = list(dict.fromkeys(paths))
    missing = [p for p in files if not p.is_file()]
    corrupt = [p for p in files if p.is_file() and why_unreadable(p)]
    return Check(len(files), missing, corrupt, [], left_out)
