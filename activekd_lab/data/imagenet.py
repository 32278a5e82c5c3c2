"""ImageNet and its four shifted test sets from class folders named by WordNet id (wnid).

Class names are CLIP's, in the order of the sorted wnids (open_clip ships the names, timm the wnids); ImageNet-A and -R
hold 200 of the 1,000 classes and are mapped by wnid, ImageNetV2's folders by their number. Their tasks have an empty
pool: they are only measured on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import torch

from activekd_lab.data.listing import Files, Listing, data_root, decode, existing
from activekd_lab.data.prompts import IMAGENET_7
from activekd_lab.data.task import Task, register_task
from activekd_lab.data.walk import LeftOut, find_images
from activekd_lab.errors import DataError, SettingError, UnknownNameError
from activekd_lab.io.files import read_text, shown
from activekd_lab.rng import generator

SUBSETS = {"1percent": 0.01, "10percent": 0.1}
SHIFTS: dict[str, tuple[str, ...]] = {
    "imagenet_v2": ("imagenetv2/imagenetv2-matched-frequency-format-val", "imagenetv2-matched-frequency-format-val"),
    "imagenet_sketch": ("imagenet-sketch/images", "imagenet-sketch", "sketch"),
    "imagenet_a": ("imagenet-adversarial/imagenet-a", "imagenet-a"),
    "imagenet_r": ("imagenet-rendition/imagenet-r", "imagenet-r"),
}
"""Where the shifted test sets lie below the root, CoOp's layout first."""
PUBLISHED: dict[str, dict[str, int]] = {
    "imagenet": {"train": 1_281_167, "test": 50_000},
    "imagenet_v2": {"test": 10_000},
    "imagenet_sketch": {"test": 50_889},
    "imagenet_a": {"test": 7_500},
    "imagenet_r": {"test": 30_000},
}
_IMAGENET = ("imagenet", "imagenet/images", "ILSVRC/Data/CLS-LOC")
_DIFFERENT = {"n04008634": "projectile missile", "n04355933": "sunglass"}  # CLIP's list names two pairs alike


@lru_cache(maxsize=1)
def wnid_names() -> Mapping[str, str]:
    """Return CLIP's name of each of the 1,000 wnids, in their order."""
    from open_clip import IMAGENET_CLASSNAMES  # noqa: PLC0415  (slow import)
    from timm.data.imagenet_info import ImageNetInfo  # noqa: PLC0415  (slow import)

    wnids: list[str] = ImageNetInfo("imagenet1k").label_names()  # type: ignore[no-untyped-call]
    return dict(zip(wnids, IMAGENET_CLASSNAMES, strict=True)) | _DIFFERENT


def locate_imagenet(name: str, root: str = "", subset: str = "", subset_seed: int = -1) -> Listing:
    """Find ImageNet or one of its shifted test sets below `root`.

    Args:
        name: "imagenet" or a key of `SHIFTS`.
        root: see `listing.data_root`.
        subset: keeps a share of ImageNet's pool, a key of `SUBSETS`; "" keeps all.
        subset_seed: -1 reads the subset from its list, `<subset>.txt` beside train/ or in the root, one file name a
            line (the format of SimCLR's published lists); 0 and above draws the same share of every class instead.

    Raises:
        DataError: folders or lists that are missing or do not fit. SettingError: a setting without effect.
        UnknownNameError: an unknown subset.
    """
    if subset and subset not in SUBSETS:
        raise UnknownNameError("subset", subset, SUBSETS)
    if subset_seed >= 0 and not subset:
        raise SettingError("subset_seed has no effect without subset; give subset=1percent or 10percent.")
    base = data_root(root)
    if name != "imagenet":
        if subset:
            raise SettingError(f"subset has no effect on {name}, which is only measured on; it belongs to imagenet.")
        folder = existing(base, name, SHIFTS[name], "images")
        return _listing(name, folder, {"test": folder})
    folder = existing(base, name, [f"{place}/train" for place in _IMAGENET], "images").parent
    _refuse_tiny(folder)
    val = existing(base, name, [str((folder / "val").relative_to(base))], "validation images")
    listing = _listing(name, folder, {"train": folder / "train", "test": val})
    if subset:
        train = listing.splits["train"]
        chosen = _drawn(train, SUBSETS[subset], subset_seed) if subset_seed >= 0 else _listed(train, folder, subset)
        listing.splits["train"] = chosen
    return listing


def present_shifts(root: str = "") -> list[str]:
    """Return the shifted test sets that lie below `root`.

    Raises:
        DataError: none does; the message says where the first must be put.
    """
    base = data_root(root)
    found = [name for name, places in SHIFTS.items() if any((base / place).exists() for place in places)]
    if not found:
        raise DataError(f"{base} holds no shifted test set of ImageNet, such as {SHIFTS['imagenet_v2'][0]}.")
    return found


def _listing(name: str, folder: Path, places: Mapping[str, Path]) -> Listing:
    """List class folders; every split must have the same ones."""
    by_split = {split: _class_folders(place) for split, place in places.items()}
    wnids = sorted(set().union(*by_split.values()))
    for split, found in by_split.items():
        if len(found) < len(wnids):
            absent = ", ".join(w for w in wnids if w not in found)
            raise DataError(f"{places[split]} lacks class folders that another split has: {absent[:70]}.")
    left_out = LeftOut()
    splits = {split: _files(places[split], [found[w] for w in wnids], left_out) for split, found in by_split.items()}
    names = tuple(wnid_names()[w] for w in wnids)
    return Listing(name, folder, names, IMAGENET_7, splits, PUBLISHED[name], left_out)


def _class_folders(place: Path) -> dict[str, Path]:
    """Return the class folders by wnid; ImageNetV2 names them by the class's number."""
    known = list(wnid_names())
    folders = {p.name: p for p in place.iterdir() if p.is_dir() and not p.name.startswith(".")}
    if folders and all(name.isdecimal() and int(name) < len(known) for name in folders):
        folders = {known[int(name)]: path for name, path in folders.items()}
    strangers = sorted(set(folders) - set(known))
    if strangers or not folders:
        raise DataError(
            f"{place} must hold a folder a class, named by its WordNet id such as n01440764, but it has "
            f"{', '.join(strangers[:3]) or 'none'}; sort the images into such folders."
        )
    return folders


def _refuse_tiny(folder: Path) -> None:
    """Refuse Tiny-ImageNet, whose 200 classes at 64 px would pass for ImageNet's.

    Raises:
        DataError: its layout, train/n…/images/ or val/val_annotations.txt.
    """
    deeper = (path / "images" for path in sorted((folder / "train").iterdir()) if path.is_dir())
    sign = next((path for path in (folder / "val" / "val_annotations.txt", *deeper) if path.exists()), None)
    if sign is not None:
        raise DataError(
            f"{shown(folder)} has the layout of Tiny-ImageNet ({shown(sign.relative_to(folder))}), which is not "
            "ImageNet: put ImageNet's images at train/n01440764/*.JPEG and val/n01440764/*.JPEG, or read this as "
            "a folder of your own by akd.FolderTask."
        )


def _files(place: Path, folders: Sequence[Path], left_out: LeftOut) -> Files:
    """Return the images of each class folder.

    Raises:
        DataError: folders without an image.
    """
    files: Files = []
    empty = []
    for label, folder in enumerate(folders):
        found = find_images(folder)
        left_out.merge(found.left_out)
        files += [(path, label) for path in found.files]
        empty += [] if found.files else [folder.name]
    if empty:
        raise DataError(
            f"{len(empty)} class folders in {place} hold no images: {', '.join(empty[:3])}{' …' * (len(empty) > 3)}; "
            f"put them there, or remove those folders from every split.{f' {left_out}' * bool(left_out)}"
        )
    return files


def _listed(train: Files, folder: Path, subset: str) -> Files:
    """Return the files that a published list names."""
    table = next((p for p in (folder / f"{subset}.txt", folder.parent / f"{subset}.txt") if p.is_file()), None)
    if table is None:
        raise DataError(
            f"The list {subset}.txt is missing: put it at {folder}, or give subset_seed to draw a share of every class."
        )
    wanted = dict.fromkeys(
        line.strip() for line in read_text(table, "copy it again", kind=DataError).splitlines() if line.strip()
    )
    found = [(path, label) for path, label in train if path.name in wanted]
    if len(found) < len(wanted):
        there = {path.name for path, _ in found}
        absent = [name for name in wanted if name not in there]
        raise DataError(
            f"{shown(table)} names {len(absent)} of {len(wanted)} files that are not there: "
            f"{shown(', '.join(absent[:3]))}."
        )
    return found


def _drawn(train: Files, share: float, seed: int) -> Files:
    """Return a share of every class, at least one image of each, in the order of the files."""
    labels = torch.tensor([label for _, label in train])
    order = torch.randperm(len(train), generator=generator(seed, "imagenet", "subset"))
    kept: list[int] = []
    for c in labels.unique().tolist():
        ids = order[labels[order] == c]
        kept += ids[: max(1, round(share * len(ids)))].tolist()
    return [train[i] for i in sorted(kept)]


@register_task("imagenet")
def imagenet(*, root: str = "", image_size: int = 224, subset: str = "", subset_seed: int = -1) -> Task:
    """1,000 classes from imagenet/train and imagenet/val below root; subset=1percent keeps part of the pool."""
    return decode(locate_imagenet("imagenet", root, subset, subset_seed), image_size)


def _register(name: str) -> None:
    def build(*, root: str = "", image_size: int = 224) -> Task:
        return decode(locate_imagenet(name, root), image_size)

    build.__doc__ = f"ImageNet's classes from {SHIFTS[name][0]} below root, only to measure on."
    register_task(name)(build)


for _name in SHIFTS:
    _register(_name)
