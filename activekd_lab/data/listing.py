"""A data set on disk as a list of files with labels: found below one root, checked, decoded into a task.

`root` holds a folder a data set, as CoOp's instructions lay them out (github.com/KaiyangZhou/CoOp, DATASETS.md) or as
torchvision's loaders unpack them; `$ACTIVEKD_LAB_DATA` is its default.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from activekd_lab.data.images import decode_files, find_images, is_image, refuse_missing
from activekd_lab.data.task import Split, Task, check_prompts
from activekd_lab.errors import DataError

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
    """

    name: str
    folder: Path
    class_names: tuple[str, ...]
    templates: tuple[str, ...]
    splits: dict[str, Files]
    published: Mapping[str, int]

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
    path = Path(given).expanduser().resolve()
    if not path.is_dir():
        raise DataError(f"The data folder {path} does not exist; give root=FOLDER or set ACTIVEKD_LAB_DATA.")
    return path


def existing(root: Path, name: str, candidates: Sequence[str], what: str) -> Path:
    """Return the first candidate below the root that exists.

    Raises:
        DataError: none does; the message says where it must be put.
    """
    for candidate in candidates:
        if (root / candidate).exists():
            return root / candidate
    raise DataError(f"The {what} of {name} are missing: put them at {' or '.join(candidates)} in {root}.")


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
    parts: dict[str, Split] = {"train": Split("train", torch.empty(0, 3, size, size).byte(), torch.empty(0).long())}
    bad = []
    for split, rows in listing.splits.items():
        about = f"images of {listing.name}, {split}"
        try:
            found = decode_files([path for path, _ in rows], size, about=about, progress=progress)
        except DataError as error:
            bad.append(str(error))
            continue
        labels = torch.tensor([label for _, label in rows], dtype=torch.int64)
        parts[split] = Split(split, found.images, labels, stamp=found.stamp)
    if bad:
        raise DataError(" ".join(bad))
    return Task(listing.name, listing.class_names, listing.templates, **parts)  # type: ignore[arg-type]


class Check(NamedTuple):
    """What is wrong with the files of a data set: listed and missing, listed and no image, there and not listed."""

    images: int
    missing: list[Path]
    corrupt: list[Path]
    extra: list[Path]


def check_listing(listing: Listing) -> Check:
    """Look at every file of a data set."""
    files = list(dict.fromkeys(listing.files))
    missing = [p for p in files if not p.is_file()]
    corrupt = [p for p in files if p.is_file() and not is_image(p)]
    listed = {p.resolve() for p in files}  # the data set may be a link to where it lies
    return Check(len(files), missing, corrupt, [p for p in find_images(listing.folder) if p.resolve() not in listed])
