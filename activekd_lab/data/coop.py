"""The papers' data sets from files on disk: images where their authors put them, CoOp's split files, CLIP's prompts.

`root` is the folder that holds a folder a data set, as CoOp's instructions lay them out
(github.com/KaiyangZhou/CoOp, DATASETS.md) or as torchvision's loaders unpack them; `$ACTIVEKD_LAB_DATA` is its default.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from activekd_lab.data.folder import inside
from activekd_lab.data.images import decode_files, find_images, is_image
from activekd_lab.data.task import Split, Task, register_task
from activekd_lab.errors import DataError, UnknownNameError


class Spec(NamedTuple):
    """Where a data set lies below the root, and how CLIP is asked about it.

    Attributes:
        classes: C.
        template: prompt template (CoOp's, as both papers use it).
        images: folders that the split file's paths start from, CoOp's layout first, then torchvision's.
        split: CoOp's split file, looked for in the data set's folder and in the root.
    """

    classes: int
    template: str
    images: tuple[str, ...]
    split: str


SPECS: dict[str, Spec] = {
    "caltech101": Spec(100, "a photo of a {}.", ("caltech-101/101_ObjectCategories", "caltech101/101_ObjectCategories"),
                       "split_zhou_Caltech101.json"),
    "dtd": Spec(47, "{} texture.", ("dtd/images", "dtd/dtd/images"), "split_zhou_DescribableTextures.json"),
    "eurosat": Spec(10, "a centered satellite photo of {}.", ("eurosat/2750",), "split_zhou_EuroSAT.json"),
    "fgvc_aircraft": Spec(100, "a photo of a {}, a type of aircraft.",
                          ("fgvc_aircraft/images", "fgvc-aircraft-2013b/data/images"), "images_variant_*.txt"),
    "food101": Spec(101, "a photo of {}, a type of food.", ("food-101/images",), "split_zhou_Food101.json"),
    "oxford_flowers": Spec(102, "a photo of a {}, a type of flower.", ("oxford_flowers/jpg", "flowers-102/jpg"),
                           "split_zhou_OxfordFlowers.json"),
    "oxford_pets": Spec(37, "a photo of a {}, a type of pet.", ("oxford_pets/images", "oxford-iiit-pet/images"),
                        "split_zhou_OxfordPets.json"),
    "stanford_cars": Spec(196, "a photo of a {}.", ("stanford_cars",), "split_zhou_StanfordCars.json"),
    "sun397": Spec(397, "a photo of a {}.", ("sun397/SUN397", "SUN397"), "split_zhou_SUN397.json"),
    "ucf101": Spec(101, "a photo of a person doing {}.", ("ucf101/UCF-101-midframes",), "split_zhou_UCF101.json"),
}  # fmt: skip
_TORCHVISION = {  # data sets that torchvision downloads
    "caltech101": "Caltech101", "dtd": "DTD", "eurosat": "EuroSAT", "fgvc_aircraft": "FGVCAircraft",
    "food101": "Food101", "oxford_flowers": "Flowers102", "oxford_pets": "OxfordIIITPet", "sun397": "SUN397",
}  # fmt: skip
Rows = list[tuple[str, int, str]]  # path below the images, label, class name


def read_split(path: Path) -> dict[str, Rows]:
    """Read one of CoOp's JSON files, {"train": [[path, label, class name], …], "val": …, "test": …}.

    Raises:
        DataError: a file that is no such split, or a label with two class names.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
        splits = {name: [(str(p), int(y), str(c)) for p, y, c in found[name]] for name in ("train", "val", "test")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no CoOp split file with train, val and test ({error}).") from error
    class_names(splits, path)
    return splits


def class_names(splits: dict[str, Rows], path: Path) -> tuple[str, ...]:
    """Return the class names in the order of the labels, underscores turned into spaces.

    Raises:
        DataError: labels that are not 0 … C − 1, or one that has two names.
    """
    names: dict[int, str] = {}
    for _, label, name in (row for rows in splits.values() for row in rows):
        if names.setdefault(label, name) != name:
            raise DataError(f"{path} gives label {label} two names: {names[label]!r} and {name!r}.")
    if sorted(names) != list(range(len(names))):
        raise DataError(f"{path} has labels that are not 0 … {len(names) - 1}.")
    return tuple(names[c].replace("_", " ") for c in range(len(names)))


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


def _existing(root: Path, name: str, candidates: Sequence[str], what: str) -> Path:
    for candidate in candidates:
        if (root / candidate).exists():
            return root / candidate
    raise DataError(f"The {what} of {name} are missing: put them at {' or '.join(candidates)} in {root}.")


class Listing(NamedTuple):
    """A data set on disk: its image folder, the file that lists it, and (path, label, class name) of each split."""

    spec: Spec
    images: Path
    path: Path
    splits: dict[str, Rows]

    @property
    def files(self) -> list[Path]:
        """Every listed file, in the order train, val, test; none leads out of the folder."""
        return [inside(self.images, relative) for rows in self.splits.values() for relative, _, _ in rows]


def locate(name: str, root: str = "") -> Listing:
    """Find a data set below `root` and read its split files.

    Raises:
        UnknownNameError: a name that is none of the papers' data sets here.
        DataError: images or split files that are missing or cannot be used.
    """
    if name not in SPECS:
        raise UnknownNameError("data set", name, SPECS)
    spec, base = SPECS[name], data_root(root)
    images = _existing(base, name, spec.images, "images")
    if name == "fgvc_aircraft":
        return Listing(spec, images, images.parent / "variants.txt", _aircraft_splits(images.parent))
    folder = spec.images[0].partition("/")[0]
    path = _existing(base, name, (f"{folder}/{spec.split}", spec.split), "split files")
    return Listing(spec, images, path, read_split(path))


def load(name: str, root: str = "", image_size: int = 224, progress: Callable[[int, int], None] | None = None) -> Task:
    """Load a data set; its images are decoded once, `progress` is then called with (done, total).

    Raises:
        DataError: as `locate`; or missing and unreadable images.
    """
    found = locate(name, root)
    decoded = decode_files(found.files, image_size, about=f"images of {name}", progress=progress)
    parts, start = {}, 0
    for split, rows in found.splits.items():
        labels = torch.tensor([label for _, label, _ in rows])
        end = start + len(rows)
        parts[split] = Split(split, decoded.images[start:end], labels, stamp=f"{decoded.stamp} {start}:{end}")
        start = end
    names = class_names(found.splits, found.path)
    prompts = (found.spec.template,)
    return Task(name, names, prompts, train=parts["train"], val=parts["val"], test=parts["test"])


class Check(NamedTuple):
    """What is wrong with the files of a data set: listed and missing, listed and no image, there and not listed."""

    images: int
    missing: list[Path]
    corrupt: list[Path]
    extra: list[Path]


def check_files(name: str, root: str = "") -> Check:
    """Look at every file of a data set.

    Raises:
        DataError: as `locate`.
    """
    found = locate(name, root)
    files = list(dict.fromkeys(found.files))
    missing = [p for p in files if not p.is_file()]
    corrupt = [p for p in files if p.is_file() and not is_image(p)]
    listed = set(files)
    return Check(len(files), missing, corrupt, [p for p in find_images(found.images) if p.resolve() not in listed])


def download(name: str, root: str = "") -> None:
    """Fetch a data set's images by torchvision, where it can.

    Raises:
        DataError: torchvision has no download for it, or it failed.
    """
    from torchvision import datasets  # noqa: PLC0415  (slow import)

    if name not in _TORCHVISION:
        wanted = " or ".join(SPECS[name].images)
        raise DataError(f"torchvision cannot download {name}; put its images at {wanted} below the root yourself.")
    try:
        getattr(datasets, _TORCHVISION[name])(str(data_root(root)), download=True)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"The download of {name} failed ({str(error).splitlines()[0]}); try again or copy it."
        ) from error


def _register(name: str, spec: Spec) -> None:
    def build(*, root: str = "", image_size: int = 224) -> Task:
        return load(name, root, image_size)

    build.__doc__ = f"{spec.classes} classes from {spec.images[0]} and {spec.split} below root (or $ACTIVEKD_LAB_DATA)."
    register_task(name)(build)


for _name, _spec in SPECS.items():
    _register(_name, _spec)


def _aircraft_splits(data: Path) -> dict[str, Rows]:
    names = _lines(data / "variants.txt")
    splits: dict[str, Rows] = {}
    for split in ("train", "val", "test"):
        path = data / f"images_variant_{split}.txt"
        rows = [line.partition(" ")[::2] for line in _lines(path)]
        strangers = sorted({variant for _, variant in rows} - set(names))
        if strangers:
            raise DataError(f"{path} names variants that variants.txt lacks: {', '.join(strangers[:3])}.")
        splits[split] = [(f"{image}.jpg", names.index(variant), variant) for image, variant in rows]
    return splits


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise DataError(f"The file {path} is missing; it is part of the data set's archive.") from error
