"""A folder of your own images as a task: unlabelled, a folder a class, or a CSV of labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from activekd_lab.data.decode import SHADES, Unreadable, decode_files, exact_copies
from activekd_lab.data.images import check_size
from activekd_lab.data.layout import UNKNOWN, FolderListing, list_folder, list_table
from activekd_lab.data.prompts import clean_class_name
from activekd_lab.data.task import Split, Task, check_prompts, register_task
from activekd_lab.data.walk import show, some
from activekd_lab.errors import DataError, SettingError
from activekd_lab.io.arguments import checked
from activekd_lab.io.files import replacing
from activekd_lab.progress import Count
from activekd_lab.rng import generator


@checked()
class FolderTask(Task):
    """A task made of image files. `files` holds the path of each training image, by id; `root` is the folder.

    Args:
        path: the folder: a folder a class, in `train/`, `val/` and `test/` or not, or a flat heap.
        class_names: C names as they enter the prompts. Needed where the folder does not say them: a flat folder of
            unlabelled images. With a folder a class, they choose which and in which order.
        labels: a table with the columns `path` (relative to the folder) and `label` (a class name, empty if unknown),
            and `split` (train, val, test) if the splits are given.
        test_share: share of each class's labelled images held out as the test split, drawn by `seed`, where the folder
            has none of its own. (A folder with train and val only is tested on val.)
        image_size: side of the square that is kept of each image, pixels; as much as the teacher looks at, at best.
        limit: reads at most so many images, evenly of each class, drawn by `seed`; None reads all.
        templates: prompt templates.
        unreadable: "raise" refuses files that are no images, all named; "skip" leaves them out.
        horizontal_flip: whether a mirrored image keeps its class.
        seed: draws the test split.
        progress: called with (done, total) while images are decoded, once a folder.

    Images without a label have the label −1 in `train`; such a pool is for labelling (`LabelSession`), not for `run`.
    Every file that is not used stands in `left_out`, with the reason; `print(task.left_out)` says it in a line.

    Raises:
        DataError: no images, bad files, a table that does not fit, class names that do not match the folders, or one
            picture with two labels.
        SettingError: an argument of a wrong type or outside of its range.

    Example:
        >>> task = akd.FolderTask("photos/", image_size=224)  # photos/cat/1.jpg, photos/dog/2.png, …
        >>> task.class_names, len(task.train), len(task.test)
        (('cat', 'dog'), 80, 20)
    """

    root: Path

    def __init__(
        self,
        path: str | Path,
        class_names: Iterable[str | int] | None = None,
        *,
        labels: str | Path | None = None,
        test_share: float = 0.2,
        image_size: int = 128,
        limit: int | None = None,
        templates: Sequence[str] = ("a photo of a {}.",),
        unreadable: Unreadable = "raise",
        horizontal_flip: bool = True,
        seed: int = 0,
        progress: Count | None = None,
    ) -> None:
        given = _checked_names(class_names)
        _check_settings(test_share, limit, unreadable, seed, templates)
        check_size(image_size)
        root = folder_itself(path)
        listing = list_table(root, Path(labels), given) if labels is not None else list_folder(root, given)
        names = tuple(map(clean_class_name, listing.names))
        check_prompts(names, tuple(templates))
        listing = _limited(listing, limit, root, seed)
        about = f"images of {show(root.name)}"
        found = decode_files(listing.files, image_size, about=about, unreadable=unreadable, progress=progress)
        listing.left_out.merge(found.left_out)
        if not found.kept:
            raise DataError(f"None of the images in {show(root)} can be read. {listing.left_out}")
        listing = _only(listing, found.kept)
        splits = _split(listing, test_share, seed)
        _settle_copies(found.images, listing, splits, root, table=labels is not None)
        parts, y = {}, torch.tensor(listing.labels, dtype=torch.int64)
        for name in ("train", "val", "test"):
            ids = torch.tensor([i for i, split in enumerate(splits) if split == name], dtype=torch.int64)
            held = tuple(listing.files[i] for i in ids.tolist())
            parts[name] = Split(name, _rows(found.images, ids), y[ids], files=held)
        object.__setattr__(self, "root", root)
        super().__init__(
            name=root.name,
            class_names=names,
            templates=tuple(templates),
            train=parts["train"],
            val=parts["val"] if len(parts["val"]) else None,
            test=parts["test"],
            horizontal_flip=horizontal_flip,
            left_out=listing.left_out,
        )

    @property
    def files(self) -> tuple[Path, ...]:
        """The path of each training image, by id."""
        return self.train.files or ()


@register_task("folder")
def folder(
    *,
    path: str,
    class_names: str = "",
    labels: str = "",
    test_share: float = 0.2,
    image_size: int = 128,
    limit: int = 0,
    template: str = "a photo of a {}.",
    unreadable: str = "raise",
    horizontal_flip: bool = True,
    seed: int = 0,
) -> Task:
    """Your own images: --task-options path=FOLDER with a folder a class or labels=FILE.csv; class_names by commas."""
    names = [name.strip() for name in class_names.split(",")] if class_names else None
    return FolderTask(
        path, names, labels=labels or None, test_share=test_share, image_size=image_size, limit=limit or None,
        templates=(template,), unreadable=unreadable, horizontal_flip=horizontal_flip, seed=seed,  # type: ignore[arg-type]
    )  # fmt: skip


@checked()
def write_images(split: Split, folder: str | Path) -> Path:
    """Write every image of a split as `<id>.png` into a folder, to try with files what one would do with one's own.

    Raises:
        DataError: the folder cannot be written; every image there is whole.
    """
    target = Path(folder)
    for i, image in enumerate(split.images):
        with replacing(target / f"{i:05}.png", kind=DataError) as temporary:
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(temporary, "PNG")
    return target


def _checked_names(class_names: Iterable[str | int] | None) -> list[str] | None:
    """Return class names as texts; whole numbers are taken as their digits.

    Raises:
        SettingError: one text, something that is no list, or an entry that is neither text nor whole number.
    """
    if class_names is None:
        return None
    if isinstance(class_names, str | bytes):
        raise SettingError(f"class_names must be a list of names, but got the text {class_names!r}; split it.")
    if not isinstance(class_names, Iterable):
        raise SettingError(f"class_names must be a list of names, but got {class_names!r}.")
    names = list(class_names)
    wrong = [name for name in names if isinstance(name, bool) or not isinstance(name, str | int)]
    if wrong:
        raise SettingError(f"class_names must hold texts, but got {wrong[0]!r}; write it as a text.")
    return [str(name) for name in names]


def _check_settings(test_share: object, limit: object, unreadable: object, seed: object, templates: object) -> None:
    """Refuse settings of a wrong type or outside of their range.

    Raises:
        SettingError: the first of them.
    """
    number = isinstance(test_share, int | float) and not isinstance(test_share, bool)
    if not number or not 0 <= test_share < 1:  # type: ignore[operator]
        raise SettingError(f"test_share must lie in [0, 1), but got {test_share!r}.")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise SettingError(f"limit must be a whole number of images, 1 or more, but got {limit!r}.")
    if unreadable not in ("raise", "skip"):
        raise SettingError(f"unreadable must be raise or skip, but got {unreadable!r}.")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise SettingError(f"seed must be a whole number, but got {seed!r}.")
    if isinstance(templates, str) or not isinstance(templates, Iterable):
        raise SettingError(f"templates must be a list of prompt templates, but got {templates!r}; put it in brackets.")


def folder_itself(path: object) -> Path:
    """Return the folder itself, links resolved.

    Raises:
        DataError: no folder.
    """
    try:
        root = Path(path).expanduser().resolve()  # type: ignore[arg-type]
        there = root.is_dir()
    except (TypeError, ValueError, OSError, RuntimeError):
        raise DataError(f"path must be a folder, but got {path!r}; give the folder that holds the images.") from None
    if not there:
        raise DataError(f"{show(root)} is no folder; give the folder that holds the images.")
    return root


def _limited(listing: FolderListing, limit: int | None, root: Path, seed: int) -> FolderListing:
    """Return at most `limit` of the files, the same number of each class as far as they go, drawn by the seed."""
    if limit is None or limit >= len(listing.files):
        return listing
    order = torch.randperm(len(listing.files), generator=generator(seed, "folder", "limit")).tolist()
    turn: dict[tuple[str, int], int] = {}
    keyed = []
    for i in order:
        group = (listing.splits[i], listing.labels[i])
        turn[group] = turn.get(group, 0) + 1
        keyed.append((turn[group], i))
    kept = sorted(i for _, i in sorted(keyed)[:limit])
    left_out = [i for i in range(len(listing.files)) if i not in set(kept)]
    listing.left_out.add("beyond the limit", *(listing.files[i].relative_to(root) for i in left_out))
    return _only(listing, kept)


def _only(listing: FolderListing, kept: Sequence[int]) -> FolderListing:
    files, labels, splits = ([part[i] for i in kept] for part in (listing.files, listing.labels, listing.splits))
    return FolderListing(files, labels, listing.names, splits, listing.left_out)  # type: ignore[arg-type]


def _split(listing: FolderListing, share: float, seed: int) -> list[str]:
    """Return the split of each file: what the folder says, else a share of each class for the test.

    Raises:
        SettingError: a share that leaves no image of a class to learn from.
    """
    if "test" in listing.splits:
        return [split or "train" for split in listing.splits]
    splits, labels = [split or "train" for split in listing.splits], torch.tensor(listing.labels)
    drawn = torch.tensor([split == "train" for split in splits], dtype=torch.bool)
    g = generator(seed, "folder", "test")
    for c in labels.unique().tolist():
        ids = ((labels == c) & drawn).nonzero().flatten()
        if c == UNKNOWN or len(ids) < 2 or not share:
            continue
        count = max(1, round(share * len(ids)))
        if count == len(ids):
            raise SettingError(
                f"test_share={share} leaves none of the {count} images of {listing.names[c]!r} to learn from; lower it."
            )
        for i in ids[torch.randperm(len(ids), generator=g)[:count]].tolist():
            splits[i] = "test"
    return splits


def _rows(images: Tensor, ids: Tensor) -> Tensor:
    """Return images by ascending id: still mapped from the file where they lie side by side, else copied."""
    if len(ids) and int(ids[-1] - ids[0]) == len(ids) - 1:
        return images[int(ids[0]) : int(ids[-1]) + 1]
    return images[ids]


def _settle_copies(images: Tensor, listing: FolderListing, splits: list[str], root: Path, *, table: bool) -> None:
    """Keep every picture on one side of the splits, and say which have two labels.

    Copies go to the side that the first of them was drawn for; of given splits, those in train are left out (their
    split becomes ""). The rest stays and is told.

    Raises:
        DataError: a table gives one picture two labels.
    """
    told, odd, count = [], [], 0
    for group in exact_copies(images):
        if not _same_picture(images, listing.files, group):
            continue
        names = [show(listing.files[i].relative_to(root)) for i in group]
        known = {listing.labels[i]: name for i, name in zip(group, names, strict=True) if listing.labels[i] != UNKNOWN}
        if len(known) > 1:
            odd.append(" and ".join(f"{name} ({listing.names[c]})" for c, name in known.items()))
        told.append(" = ".join(names))
        count += len(group) - 1
        _one_side(group, listing, splits, root)
    if odd and table:
        raise DataError(f"{len(odd)} pictures have two labels: {some(odd)}; give the copies one label.")
    if odd:
        listing.left_out.notes.append(f"{len(odd)} pictures lie in two classes: {some(odd)}.")
    if told:
        listing.left_out.notes.append(f"{count} images are exact copies of others: {some(told)}.")


def _one_side(group: Sequence[int], listing: FolderListing, splits: list[str], root: Path) -> None:
    if "test" not in listing.splits:
        for i in group:
            splits[i] = splits[group[0]]
    elif len({splits[i] for i in group}) > 1:
        for i in group:
            if splits[i] == "train":
                splits[i] = ""
                listing.left_out.add("in train, though a copy is in val or test", listing.files[i].relative_to(root))


def _same_picture(images: Tensor, files: Sequence[Path], group: Sequence[int]) -> bool:
    """Tell whether equal pixels mean one picture: of images of a single colour, only if the files are equal too."""
    first = images[group[0]]
    if int(first.amax()) - int(first.amin()) > SHADES:
        return True
    return len({hashlib.sha256(files[i].read_bytes()).digest() for i in group}) == 1
