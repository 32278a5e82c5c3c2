"""A folder of your own images as a task: unlabelled, a folder a class, or a CSV of labels."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from activekd_lab.data.images import Unreadable, decode_files, exact_copies, find_images
from activekd_lab.data.prompts import clean_class_name
from activekd_lab.data.task import Split, Task, check_prompts, register_task
from activekd_lab.errors import DataError, SettingError
from activekd_lab.rng import generator

UNKNOWN = -1  # label of an image that nobody has labelled


class _Listing(NamedTuple):
    """Files with their class, UNKNOWN where it is not said, and the class names."""

    files: list[Path]
    labels: list[int]
    names: tuple[str, ...]


class FolderTask(Task):
    """A task made of image files. `files` holds the path of each training image, by id; `root` is the folder.

    Args:
        path: the folder. With `train/` and `test/` below it, those are the splits; otherwise a share is held out.
        class_names: C names as they enter the prompts. Needed where the folder does not say them: a flat folder of
            unlabelled images. With a folder a class, they choose which and in which order.
        labels: a CSV with the columns `path` (relative to the folder) and `label` (a class name, empty if unknown).
        test_share: share of each class's labelled images held out as the test split, drawn by `seed`.
        image_size: side of the square that is kept of each image, pixels.
        templates: prompt templates.
        unreadable: "raise" refuses files that are no images, all named; "skip" leaves them out with a warning.
        horizontal_flip: whether a mirrored image keeps its class.
        seed: draws the test split.
        progress: called with (done, total) while images are decoded, once a folder.

    Images without a label have the label −1 in `train`; such a pool is for labelling (`LabelSession`), not for `run`.

    Raises:
        DataError: no images, bad files, a CSV that does not fit, or class names that do not match the folders.
        SettingError: one text as class_names, or a test_share outside its range.

    Warns:
        UserWarning: images that are exact copies of each other.
    """

    root: Path
    files: tuple[Path, ...]

    def __init__(
        self,
        path: str | Path,
        class_names: Sequence[str] | None = None,
        *,
        labels: str | Path | None = None,
        test_share: float = 0.2,
        image_size: int = 128,
        templates: Sequence[str] = ("a photo of a {}.",),
        unreadable: Unreadable = "raise",
        horizontal_flip: bool = True,
        seed: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        root = Path(path).expanduser().resolve()
        if isinstance(class_names, str):
            raise SettingError(f"class_names must be a list of names, but got the text {class_names!r}; split it.")
        if not root.is_dir():
            raise DataError(f"{root} is no folder; give the folder that holds the images.")
        if not 0 <= test_share < 1:
            raise SettingError(f"test_share must lie in [0, 1), but got {test_share}.")
        listing = _read_csv(root, Path(labels), class_names) if labels else _list(root, class_names)
        names = tuple(map(clean_class_name, listing.names))
        check_prompts(names, tuple(templates))
        images, kept, _ = decode_files(
            listing.files, image_size, about=f"images of {root.name}", unreadable=unreadable, progress=progress
        )
        files = [listing.files[i] for i in kept]
        y = torch.tensor([listing.labels[i] for i in kept], dtype=torch.int64)
        _tell_copies(images, files, root)
        test = _test_mask(root, files, y, test_share, seed)
        train_ids = (~test).nonzero().flatten()
        object.__setattr__(self, "root", root)
        object.__setattr__(self, "files", tuple(files[i] for i in train_ids.tolist()))
        super().__init__(
            name=root.name,
            class_names=names,
            templates=tuple(templates),
            train=Split("train", _rows(images, train_ids), y[train_ids]),
            test=Split("test", _rows(images, test.nonzero().flatten()), y[test]),
            horizontal_flip=horizontal_flip,
        )


@register_task("folder")
def folder(
    *,
    path: str,
    class_names: str = "",
    labels: str = "",
    test_share: float = 0.2,
    image_size: int = 128,
    template: str = "a photo of a {}.",
    unreadable: str = "raise",
    seed: int = 0,
) -> Task:
    """Your own images: --task-options path=FOLDER with a folder a class or labels=FILE.csv; class_names by commas."""
    if unreadable not in ("raise", "skip"):
        raise SettingError(f"unreadable must be raise or skip, but got {unreadable!r}.")
    names = [name.strip() for name in class_names.split(",")] if class_names else None
    return FolderTask(
        path, names, labels=labels or None, test_share=test_share, image_size=image_size, templates=(template,),
        unreadable="skip" if unreadable == "skip" else "raise", seed=seed,
    )  # fmt: skip


def write_images(split: Split, folder: str | Path) -> Path:
    """Write every image of a split as `<id>.png` into a folder, to try with files what one would do with one's own."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(split.images):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(target / f"{i:05}.png")
    return target


def _list(root: Path, class_names: Sequence[str] | None) -> _Listing:
    """List a folder a class (below train/ and test/ too) or a flat folder."""
    files = find_images(root)
    if not files:
        raise DataError(f"{root} holds no images; known suffixes are those of JPEG, PNG, WebP, GIF, BMP and TIFF.")
    inner = [_below_split(root, file) for file in files]
    if any(len(parts) == 1 for parts in inner):
        if class_names is None:
            raise DataError(
                f"{root} holds images outside of class folders, so nothing tells the classes: give class_names."
            )
        return _Listing(files, [UNKNOWN] * len(files), tuple(class_names))
    folders = sorted({parts[0] for parts in inner})
    names = list(class_names) if class_names is not None else folders
    place = {clean_class_name(name): c for c, name in enumerate(names)}
    strangers = [f for f in folders if clean_class_name(f) not in place]
    absent = [n for n in names if clean_class_name(n) not in set(map(clean_class_name, folders))]
    if strangers or absent:
        raise DataError(
            f"class_names do not match the folders in {root}: folders without a name: {strangers or 'none'}, names "
            f"without a folder: {absent or 'none'}."
        )
    return _Listing(files, [place[clean_class_name(parts[0])] for parts in inner], tuple(names))


def _below_split(root: Path, file: Path) -> tuple[str, ...]:
    """Return the parts of a path below the root, and below train/ or test/ if there are both."""
    parts = file.relative_to(root).parts
    return parts[1:] if _has_splits(root) and parts[0] in ("train", "test") else parts


def _has_splits(root: Path) -> bool:
    return (root / "train").is_dir() and (root / "test").is_dir()


def _read_csv(root: Path, table: Path, class_names: Sequence[str] | None) -> _Listing:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise DataError(f"The labels file {table} cannot be read ({error.strerror}).") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"The labels file {table} is no CSV in UTF-8 ({error}); save it in that encoding.") from error
    if not rows or not {"path", "label"} <= set(rows[0]):
        raise DataError(f"{table} must have the columns path and label and at least one row.")
    short = [row["path"] for row in rows if row["label"] is None]
    if short:
        raise DataError(f"{table} has no label column for {short[0]!r}; end that row in a comma if it is unknown.")
    files = [inside(root, row["path"]) for row in rows]
    given = [clean_class_name(row["label"]) for row in rows]
    names = tuple(map(clean_class_name, class_names if class_names is not None else sorted(set(given) - {""})))
    unknown = sorted(set(given) - set(names) - {""})
    if unknown:
        raise DataError(f"{table} has labels that are no class: {', '.join(unknown[:5])}; class_names are {names}.")
    return _Listing(files, [names.index(label) if label else UNKNOWN for label in given], names)


def inside(root: Path, relative: str) -> Path:
    """Return root / relative, refused if it leads out of the root.

    Raises:
        DataError: an absolute path, or one with enough `..` to leave.
    """
    path = (root / relative).resolve()
    if not path.is_relative_to(root.resolve()):
        raise DataError(f"The path {relative!r} leads out of {root}; it is refused.")
    return path


def _test_mask(root: Path, files: list[Path], labels: Tensor, share: float, seed: int) -> Tensor:
    """Return (N,) bool: what lies in test/, or a share of each class."""
    if _has_splits(root):
        return torch.tensor([file.relative_to(root).parts[0] == "test" for file in files])
    test = torch.zeros(len(files), dtype=torch.bool)
    g = generator(seed, "folder", "test")
    for c in labels.unique().tolist():
        ids = (labels == c).nonzero().flatten()
        if c != UNKNOWN and len(ids) > 1:
            test[ids[torch.randperm(len(ids), generator=g)[: max(1, round(share * len(ids))) if share else 0]]] = True
    return test


def _rows(images: Tensor, ids: Tensor) -> Tensor:
    """Return images by ascending id: still mapped from the file where they lie side by side, else copied."""
    if len(ids) and int(ids[-1] - ids[0]) == len(ids) - 1:
        return images[int(ids[0]) : int(ids[-1]) + 1]
    return images[ids]


def _tell_copies(images: Tensor, files: list[Path], root: Path) -> None:
    groups = exact_copies(images)
    if groups:
        shown = "; ".join(" = ".join(str(files[i].relative_to(root)) for i in group) for group in groups[:5])
        count = sum(len(group) - 1 for group in groups)
        warnings.warn(f"{count} images are exact copies of others: {shown}{' …' * (len(groups) > 5)}.", stacklevel=3)
