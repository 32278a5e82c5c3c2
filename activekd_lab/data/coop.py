"""The papers' data sets from files on disk: images where their authors put them, CoOp's split files, CLIP's prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, Strict

from activekd_lab.data.imagenet import PUBLISHED, SHIFTS, locate_imagenet
from activekd_lab.data.listing import Listing, data_root, decode, existing, settled
from activekd_lab.data.task import Task, register_task
from activekd_lab.data.walk import LeftOut, inside
from activekd_lab.errors import DataError, SettingError, UnknownNameError
from activekd_lab.io.files import read_json, read_text, shown


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
SIZES = {
    "caltech101": (4128, 1649, 2465), "dtd": (2820, 1128, 1692), "eurosat": (13_500, 5400, 8100),
    "fgvc_aircraft": (3334, 3333, 3333), "food101": (50_500, 20_200, 30_300), "oxford_flowers": (4093, 1633, 2463),
    "oxford_pets": (2944, 736, 3669), "stanford_cars": (6509, 1635, 8041), "sun397": (15_880, 3970, 19_850),
    "ucf101": (7639, 1898, 3783),
}  # fmt: skip
"""Images of train, val and test in CoOp's splits."""
_TORCHVISION = {  # data sets that torchvision downloads
    "caltech101": "Caltech101", "dtd": "DTD", "eurosat": "EuroSAT", "fgvc_aircraft": "FGVCAircraft",
    "food101": "Food101", "oxford_flowers": "Flowers102", "oxford_pets": "OxfordIIITPet", "sun397": "SUN397",
}  # fmt: skip
_Row = Annotated[tuple[str, Annotated[int, Field(ge=0, lt=1 << 31)], str], Strict(False)]
Rows = list[tuple[str, int, str]]  # path below the images, label, class name
_COPY = "copy it again; it is part of the data set's archive"


def read_split(path: Path) -> dict[str, Rows]:
    """Read one of CoOp's JSON files, {"train": [[path, label, class name], …], "val": …, "test": …}.

    Raises:
        DataError: a file that is no such split, or a label with two class names.
    """
    found = read_json(path, _COPY, schema=_Split, kind=DataError)
    splits = {"train": found.train, "val": found.val, "test": found.test}
    class_names(splits, path)
    return splits


class _Split(BaseModel):
    """One of CoOp's split files: a row an image, path, label and class name."""

    model_config = ConfigDict(strict=True)

    train: list[_Row]
    val: list[_Row]
    test: list[_Row]


def class_names(splits: dict[str, Rows], path: Path) -> tuple[str, ...]:
    """Return the class names in the order of the labels, underscores turned into spaces.

    Raises:
        DataError: labels that are not 0 … C − 1, or one that has two names.
    """
    names: dict[int, str] = {}
    for _, label, name in (row for rows in splits.values() for row in rows):
        if names.setdefault(label, name) != name:
            raise DataError(f"{shown(path)} gives label {label} two names: {names[label]!r} and {name!r}.")
    if sorted(names) != list(range(len(names))):
        raise DataError(f"{shown(path)} has labels that are not 0 … {len(names) - 1}.")
    return tuple(names[c].replace("_", " ") for c in range(len(names)))


def locate(name: str, root: str = "", **subset: object) -> Listing:
    """Find a data set below `root` and read its split files; `subset` and `subset_seed` are ImageNet's.

    Raises:
        UnknownNameError: a name that is none of the papers' data sets.
        DataError: images or split files that are missing or cannot be used.
    """
    if name in PUBLISHED:
        return locate_imagenet(name, root, **subset)  # type: ignore[arg-type]
    if any(subset.get(option) not in (None, unset) for option, unset in (("subset", ""), ("subset_seed", -1))):
        raise SettingError(f"subset has no effect on {name}; it belongs to imagenet.")
    if name not in SPECS:
        raise UnknownNameError("data set", name, [*SPECS, *PUBLISHED])
    spec, base = SPECS[name], data_root(root)
    images = existing(base, name, spec.images, "images")
    if name == "fgvc_aircraft":
        path, rows = images.parent / "variants.txt", _aircraft_splits(images.parent)
    else:
        folder = spec.images[0].partition("/")[0]
        path = existing(base, name, (f"{folder}/{spec.split}", spec.split), "split files")
        rows = read_split(path)
    names, left_out = class_names(rows, path), LeftOut()
    found = {split: [(inside(images, relative), y) for relative, y, _ in part] for split, part in rows.items()}
    published = dict(zip(("train", "val", "test"), SIZES[name], strict=True))
    return Listing(name, images, names, (spec.template,), settled(found, names, left_out), published, left_out)


def download(name: str, root: str = "") -> None:
    """Fetch a data set's images by torchvision, where it can.

    Raises:
        UnknownNameError: a name that is none of the papers' data sets.
        DataError: torchvision has no download for it, or it failed.
    """
    if name not in (*SPECS, *PUBLISHED):
        raise UnknownNameError("data set", name, [*SPECS, *PUBLISHED])
    from torchvision import datasets  # noqa: PLC0415  (slow import)

    if name not in _TORCHVISION:
        places = SPECS[name].images if name in SPECS else SHIFTS.get(name, ("imagenet",))
        wanted = " or ".join(places)
        raise DataError(f"torchvision cannot download {name}; put its images at {wanted} below the root yourself.")
    try:
        getattr(datasets, _TORCHVISION[name])(str(data_root(root)), download=True)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"The download of {name} failed ({str(error).splitlines()[0]}); try again or copy it."
        ) from error


def _register(name: str, spec: Spec) -> None:
    def build(*, root: str = "", image_size: int = 224) -> Task:
        return decode(locate(name, root), image_size)

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
            raise DataError(f"{shown(path)} names variants that variants.txt lacks: {', '.join(strangers[:3])}.")
        splits[split] = [(f"{image}.jpg", names.index(variant), variant) for image, variant in rows]
    return splits


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in read_text(path, _COPY, kind=DataError).splitlines() if line.strip()]
