"""Layouts of folders that do not say what the classes are: each is refused with what was found, and what to do."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from activekd_lab.data.prompts import clean_class_name
from activekd_lab.data.table import nearly_split, split_of
from activekd_lab.data.walk import show
from activekd_lab.errors import DataError

NO_CLASS = frozenset(["images", "image", "imgs", "img", "jpegimages"])  # folders that say nothing of their images
_LAYERS = frozenset([  # what lies beside the images of other tasks: masks of segmentation, depth, a format of its own
    "masks", "mask", "labels", "annotations", "segmentation", "segmentations", "segmentationclass",
    "segmentationobject", "gt", "groundtruth", "depth", "png", "pngs", "jpg", "jpgs", "jpeg", "jpegs",
    "thumbs", "thumbnails",
])  # fmt: skip
UNSORTED = frozenset(["unlabeled", "unlabelled", "unsorted", "unannotated"])  # whose images have no class yet
_YEAR = r"(19|20)\d\d"
_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_DAY = re.compile(  # 2024-05-31, 2024-05-31 beach, 31.05.2024, 31 May 2024: the name of no class
    rf"(?i){_YEAR}[-_. ]?\d\d[-_. ]?\d\d(\D.*)?|\d{{1,2}}[-_. ]+(\d{{1,2}}|{_MONTH})[-_. ]+{_YEAR}(\D.*)?"
)
_DATE = re.compile(  # 2024, 2024-05, May 2024, Photos from 2024, a camera's 100APPLE: where all folders are called so
    rf"(?i){_YEAR}([-_. ]?\d\d)?|({_MONTH}[-_. ]*{_YEAR}|{_YEAR}[-_. ]*{_MONTH})"
    rf"|(ph|f)otos?\b.*\b{_YEAR}|\d{{3}}[A-Z_]{{5}}"
)


def refuse_dates(base: Path, folders: list[str]) -> None:
    """Refuse folders that a camera made, or that somebody named by a day."""
    months = re.fullmatch(_YEAR, base.name) and all(re.fullmatch(r"\d{1,2}", folder) for folder in folders)
    days = [folder for folder in folders if _DAY.fullmatch(folder)]
    every = days or (folders if months or all(map(_DATE.fullmatch, folders)) else [])
    if every:
        raise DataError(
            f"Folders in {show(base)} are named by dates or by a camera ({', '.join(every[:3])}), which are no "
            "classes: give class_names to label the images."
        )


def refuse_nearly_splits(base: Path, inner: Mapping[str, set[str]]) -> None:
    """Refuse a split beside what is none: train/cat beside extra/cat, train1 beside test1, cat/train beside cat/test.

    Args:
        base: the folder.
        inner: by top folder, the folders in it that hold its images; "" among them where it holds some itself.
    """
    nearly = {top: split for top in inner if (split := nearly_split(top))}
    several = list(nearly) if {"train"} < set(nearly.values()) else []
    deep = [top for top in nearly if "" not in inner[top]] if len(set(map(str.casefold, inner)) - UNSORTED) > 1 else []
    if odd := several or deep:
        beside = [top for top in inner if top not in odd]
        raise DataError(
            f"{show(base)} holds {_listed(odd)}, which looks like a split, beside {_listed(beside or odd)}, so nothing "
            "tells the classes; give one folder each for train, val and test, or class_names."
        )
    for top, names in inner.items():
        if {"train"} < (within := {split_of(name) for name in names} - {""}):
            raise DataError(
                f"{show(base / top)} holds {' and '.join(sorted(within))}; turn it round: one folder each for train, "
                "val and test, and a folder a class in it."
            )


def refuse_twins(base: Path, folders: list[str]) -> None:
    """Refuse folders whose names differ in case, or in how an accent is written."""
    first: dict[str, str] = {}
    for folder in folders:
        known = first.setdefault(clean_class_name(folder).casefold(), folder)
        if known != folder and clean_class_name(known) != clean_class_name(folder):
            raise DataError(
                f"The folders {known!r} and {folder!r} in {show(base)} differ only in upper and lower case: put them "
                "together, or give class_names if they are two classes."
            )
        if known != folder and unicodedata.normalize("NFC", known) == unicodedata.normalize("NFC", folder):
            raise DataError(
                f"Two folders in {show(base)} are called {unicodedata.normalize('NFC', folder)!r}, written in two ways "
                "(composed and decomposed): put them together."
            )


def refuse_levels(base: Path, inner: Mapping[str, set[str]]) -> None:
    """Refuse folders of which two hold the same folders and nothing else, since those will be the classes.

    Likewise one that holds classes which lie beside it too, and images/cat beside labels/cat. `inner` is as for
    `refuse_nearly_splits`.
    """
    if len(inner) > 1 and all(top.casefold() in NO_CLASS | _LAYERS for top in inner):
        raise DataError(
            f"{show(base)} holds {_listed({*inner})}, kinds of files and no classes: give the one with the "
            "photographs, sorted into a folder a class, or class_names."
        )
    for top, names in inner.items():
        others = {*inner} - {top}
        if again := names & others:
            raise DataError(
                f"{show(base / top)} holds {_listed(again)}, which lie beside it too: leave one of them, or give "
                "class_names."
            )
        if others and top.casefold() in NO_CLASS and "" not in names:
            raise DataError(
                f"{show(base)} holds {_listed(names)} in {top}/, beside {_listed(others)}: give {top}/ alone, or "
                "class_names."
            )
    for (first, held), (second, names) in combinations([item for item in inner.items() if "" not in item[1]], 2):
        if len(shared := held & names) > 1:
            raise DataError(
                f"{first}/ and {second}/ in {show(base)} hold the same folders ({', '.join(sorted(shared)[:3])}): sort "
                "the images into one folder a class, or into train, val and test with a folder a class in each, or "
                "give class_names."
            )


def _listed(folders: Sequence[str] | set[str]) -> str:
    return ", ".join(f"{show(folder)}/" for folder in sorted(folders)[:3])
