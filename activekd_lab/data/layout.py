"""What a folder of images says by its layout: splits, classes, and files that are neither."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from activekd_lab.data import unclear
from activekd_lab.data.prompts import clean_class_name
from activekd_lab.data.table import match_files, read_table, split_of
from activekd_lab.data.walk import Found, LeftOut, find_images, refuse_empty, show, some
from activekd_lab.errors import DataError

UNKNOWN = -1  # label of an image that nobody has labelled


class FolderListing(NamedTuple):
    """What lies in a folder.

    Attributes:
        files: N paths.
        labels: N classes, UNKNOWN where nothing tells it.
        names: C class names as folders or the caller give them.
        splits: N times "train", "val" or "test"; "" where the folder does not say it.
        left_out: what was left out, and what else is to be said.
    """

    files: list[Path]
    labels: list[int]
    names: tuple[str, ...]
    splits: list[str]
    left_out: LeftOut


class _File(NamedTuple):
    """A file with the split and the class folder that it lies in, "" where it lies in none."""

    path: Path
    split: str
    folder: str


def list_folder(root: Path, class_names: Sequence[str] | None = None) -> FolderListing:
    """List a folder a class, below train/, val/ and test/ too, or a flat folder.

    Args:
        root: the folder. One that holds nothing but another folder is looked through.
        class_names: which folders are classes, and in which order; without it, the sorted names of all of them.

    Raises:
        DataError: a layout that does not say what the classes are, with what was found; folders that do not match.
    """
    found = find_images(root)
    refuse_empty(root, found)
    base = _unwrapped(root, found, class_names)
    splits = _split_folders(base, found, class_names)
    wrapped = _wrapped(base, found, splits)
    files = [_placed(base, path, splits, wrapped) for path in found.files]
    files = _without_generic(files)
    folders = sorted({file.folder for file in files} - {""})
    if class_names is None:
        unclear.refuse_dates(base, folders)
    _tell_empty(base, splits, wrapped, found)
    if class_names is None and len(folders) < 2:
        where = f"in one class folder only, {show(folders[0])}" if folders else "outside of class folders"
        raise DataError(f"{show(base)} holds images {where}, so nothing tells the classes: give class_names.")
    names = _names(base, folders, class_names, found)
    place = {clean_class_name(name): c for c, name in enumerate(names)}
    listing = FolderListing([], [], names, [], found.left_out)
    for file in files:
        _take(file, listing, place, root, asked=class_names is not None)
    if not listing.files:
        raise DataError(f"{show(root)} holds no image to learn from. {found.left_out}")
    _tell_unlabelled(listing, root)
    _tell_untaught(listing)
    _tell_deeper(base, [file for file in files if file.folder], found)
    return listing


def list_table(root: Path, table: Path, class_names: Sequence[str] | None = None) -> FolderListing:
    """List the files of a table of labels; see `table.read_table`.

    Raises:
        DataError: a table that does not fit the folder, or labels that are no class.
    """
    found = find_images(root)
    classes = tuple(map(clean_class_name, class_names or ()))
    files, given, splits, left_out = match_files(root, table, read_table(table), found.files, classes)
    left_out.merge(found.left_out)
    names = classes if class_names is not None else tuple(sorted(set(given) - {""}))
    unknown = sorted(set(given) - set(names) - {""})
    if unknown:
        raise DataError(f"{table} has labels that are no class: {', '.join(unknown[:5])}; class_names are {names}.")
    labels = [names.index(label) if label else UNKNOWN for label in given]
    listing = FolderListing(files, labels, names, splits, left_out)
    _tell_untaught(listing)
    return listing


def _unwrapped(root: Path, found: Found, class_names: Sequence[str] | None) -> Path:
    """Return the folder that the layout begins in: an archive is often unpacked into a folder of its own name."""
    base = deeper = root
    classes = set(map(clean_class_name, class_names or ()))
    while True:
        inner = [_below(deeper, path) for path in found.files]
        tops = {parts[0] for parts in inner if len(parts) > 1}
        if len(tops) > 1 and deeper != root:
            base = deeper
        if len(tops) != 1 or any(len(parts) == 2 for parts in inner):
            return base
        top, loose = min(tops), any(len(parts) == 1 for parts in inner)
        if clean_class_name(top) in classes or (loose and not split_of(top) and top != deeper.name):
            return base
        deeper = deeper / top


def _below(base: Path, path: Path) -> tuple[str, ...]:
    """Return the parts of a path below the base; of one elsewhere, its name alone, as of a loose file."""
    return path.relative_to(base).parts if path.is_relative_to(base) else (path.name,)


def _split_folders(base: Path, found: Found, class_names: Sequence[str] | None) -> dict[str, str]:
    """Return which folders are which splits; none unless there is one for training and another.

    Raises:
        DataError: folders that look like splits beside others that do not, or two for the same split.
    """
    tops = sorted({parts[0] for path in found.files if len(parts := _below(base, path)) > 1})
    if class_names is not None and set(map(clean_class_name, tops)) <= set(map(clean_class_name, class_names)):
        return {}
    splits = {top: split_of(top) for top in tops if split_of(top)} or _alike_but_for_split(tops)
    if len(splits) < 2:
        if class_names is None:
            unclear.refuse_nearly_splits(base, _inner(base, found))
        return {}
    others = [top for top in tops if top not in splits and top.casefold() not in unclear.UNSORTED]
    kinds = list(splits.values())
    known = ", ".join(f"{top}/" for top in splits)
    if "train" not in kinds or len(set(kinds)) < len(kinds) or others:
        why = "none of them is for training" if "train" not in kinds else "two of them are for the same"
        if others:
            why = f"beside them lies {', '.join(f'{top}/' for top in others[:3])}"
        raise DataError(
            f"{show(base)} holds the splits {known} but {why}; give one folder each for train, val and test, or "
            "class_names if they are classes."
        )
    if "test" not in kinds:
        name = next(top for top in splits if splits[top] == "val")
        splits[name] = "test"
        found.left_out.notes.append(f"{name}/ is the test split, since there is no other.")
    return splits


def _inner(base: Path, found: Found) -> dict[str, set[str]]:
    """Return the folders that hold the images of each top folder, "" among them where it holds some itself."""
    inner: dict[str, set[str]] = {}
    for path in found.files:
        parts = _below(base, path)
        inner.setdefault(parts[0], set()).add(parts[1] if len(parts) > 2 else "")
    return inner


def _alike_but_for_split(tops: Sequence[str]) -> dict[str, str]:
    """Return which folders are which splits where they have the rest of their names in common: seg_train, seg_test."""
    by_rest: dict[tuple[str, ...], dict[str, str]] = {}
    for top in tops:
        words = re.split(r"[\s_-]+", top.casefold())
        for i, kind in enumerate(map(split_of, words)):
            if kind:
                by_rest.setdefault((*words[:i], "", *words[i + 1 :]), {})[top] = kind
    return max(by_rest.values(), key=len, default={})


def _wrapped(base: Path, found: Found, splits: dict[str, str]) -> set[str]:
    """Return the splits that hold nothing but a folder of their own name: training_set/training_set/cat."""
    inner: dict[str, set[str]] = {}
    for path in found.files:
        parts = _below(base, path)
        if parts[0] in splits:
            inner.setdefault(parts[0], set()).add(parts[1] if len(parts) > 3 else "")
    alone = {top: min(names) for top, names in inner.items() if len(names) == 1}
    return {top for top, name in alone.items() if name == top or (name and split_of(name) == splits[top])}


def _placed(base: Path, path: Path, splits: dict[str, str], wrapped: Collection[str]) -> _File:
    parts = _below(base, path)
    split = splits.get(parts[0], "") if len(parts) > 1 else ""
    inner = parts[1 + (parts[0] in wrapped) :] if split else parts
    folder = inner[0] if len(inner) > 1 else ""
    return _File(path, split, "" if folder.casefold() in unclear.UNSORTED else folder)


def _without_generic(files: list[_File]) -> list[_File]:
    """Take `images/` for no class where it is the only folder, as in val/images/ of Tiny-ImageNet."""
    by_split: dict[str, set[str]] = {}
    for file in files:
        if file.folder:
            by_split.setdefault(file.split, set()).add(file.folder)
    bare = {split for split, found in by_split.items() if len(found) == 1 and min(found).casefold() in unclear.NO_CLASS}
    return [file._replace(folder="") if file.split in bare else file for file in files]


def _tell_empty(base: Path, splits: dict[str, str], wrapped: Collection[str], found: Found) -> None:
    full = {above for path in found.files for above in path.parents}
    for path in found.folders:
        parts = path.relative_to(base).parts if path.is_relative_to(base) else ()
        depth = 1 + sum(top in group for top in parts[:1] for group in (splits, wrapped))
        if len(parts) == depth and path not in full and parts[-1].casefold() not in unclear.NO_CLASS:
            found.left_out.add("folders without an image", path.relative_to(base))


def _tell_deeper(base: Path, files: Sequence[_File], found: Found) -> None:
    """Say which class folders put the images of several folders in them together."""
    inner: dict[str, set[str]] = {}
    for file in files:
        parts = _below(base, file.path)
        inside = parts[parts.index(file.folder) + 1 : -1]
        inner.setdefault(file.folder, set()).add(inside[0] if inside else "")
    several = {folder: sorted(names - {""}) for folder, names in inner.items() if len(names) > 1}
    if several:
        listed = [f"{folder} ({some([*map(show, names)])})" for folder, names in several.items()]
        found.left_out.notes.append(f"Folders inside class folders count for the class above them: {some(listed)}.")


def _names(base: Path, folders: list[str], class_names: Sequence[str] | None, found: Found) -> tuple[str, ...]:
    """Return the class names; checks them against the folders.

    Raises:
        DataError: folders that match in part, that differ only in their case, or that all
            hold the same folders.
    """
    if class_names is None:
        unclear.refuse_twins(base, folders)
        unclear.refuse_levels(base, {top: names for top, names in _inner(base, found).items() if top in folders})
        if all(re.fullmatch(r"n\d{8}", folder) for folder in folders):
            found.left_out.notes.append("The class names are WordNet ids; give class_names to say them in words.")
        return tuple(folders)
    names = tuple(class_names)
    clean, there = set(map(clean_class_name, names)), set(map(clean_class_name, folders))
    if folders and not clean & there:
        found.left_out.notes.append(f"No folder in {show(base)} bears the name of a class, so none tells a label.")
        return names
    there |= {clean_class_name(path.name) for path in found.folders}  # a class may be without images so far
    strangers = [folder for folder in folders if clean_class_name(folder) not in clean]
    absent = [name for name in names if clean_class_name(name) not in there]
    if folders and (strangers or absent):
        raise DataError(
            f"class_names do not match the folders in {show(base)}: folders without a name: {strangers or 'none'}, "
            f"names without a folder: {absent or 'none'}."
        )
    return names


def _take(file: _File, listing: FolderListing, place: dict[str, int], root: Path, *, asked: bool) -> None:
    """Add a file to the listing, or count why it is left out."""
    label = place.get(clean_class_name(file.folder), UNKNOWN) if file.folder else UNKNOWN
    name = file.path.relative_to(root)
    if label == UNKNOWN and file.split in ("val", "test"):
        listing.left_out.add(f"in {file.split}, but in no class folder", name)
    elif label == UNKNOWN and not asked:
        listing.left_out.add("beside the class folders", name)
    else:
        listing.files.append(file.path)
        listing.labels.append(label)
        listing.splits.append(file.split)


def _tell_unlabelled(listing: FolderListing, root: Path) -> None:
    loose = [str(file.relative_to(root)) for file, y in zip(listing.files, listing.labels, strict=True) if y == UNKNOWN]
    if loose and len(loose) < len(listing.files):
        shown = ", ".join(map(show, loose[:3])) + " …" * (len(loose) > 3)
        listing.left_out.notes.append(f"{len(loose)} images lie in no class folder and have no label: {shown}.")


def _tell_untaught(listing: FolderListing) -> None:
    """Say which classes are tested, but have no image to learn from, and which the other way round."""
    rows = list(zip(listing.labels, listing.splits, strict=True))
    taught = {y for y, split in rows if split in ("", "train")}
    if taught - {UNKNOWN} and (bare := sorted({y for y, _ in rows} - taught)):
        listing.left_out.notes.append(f"No image to learn from: {', '.join(listing.names[y] for y in bare)}.")
    tested = {y for y, split in rows if split == "test"}
    if tested and (bare := sorted(taught - tested - {UNKNOWN})):
        listing.left_out.notes.append(
            f"No image to measure on, so an accuracy of 0 in every round: {', '.join(listing.names[y] for y in bare)}."
        )
