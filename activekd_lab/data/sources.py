"""What others hold, one image at a time: torch and Hugging Face datasets, and arrays."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from activekd_lab.data.decode import stamp_files
from activekd_lab.data.images import fitted_pixels
from activekd_lab.errors import DataError, SettingError, short
from activekd_lab.io.numbers import as_tensor, whole


class Source(NamedTuple):
    """Images one at a time, their labels, and what the source itself says of classes and content."""

    images: Sequence[Any]
    labels: Sequence[int]  # of a torch dataset known only where the image of the row was read
    names: Sequence[str] | None
    key: str | None  # names the content, so that decoded images can be kept


def read_source(data: Any, labels: Any) -> Source:
    """Return what a dataset holds, of whichever kind it is; `labels` are those beside arrays.

    Raises:
        DataError: no dataset with a length and no array of images. SettingError: labels beside a dataset.
    """
    if labels is not None and not isinstance(data, np.ndarray | Tensor):
        raise SettingError("labels and test_labels are those of arrays, but a dataset holds its own; leave them out.")
    if hasattr(data, "column_names") and hasattr(data, "features"):
        if not hasattr(data, "__len__"):
            raise DataError("source is a stream of rows without a length; take what is wanted of it as a Dataset.")
        return _hugging_face(data)
    if isinstance(data, np.ndarray | Tensor):
        return _arrays(data, labels)
    if hasattr(data, "__len__") and hasattr(data, "__getitem__"):
        return _torch_dataset(data)
    raise DataError(
        f"source must be a dataset with a length, a DatasetDict, or an array of images, but got {type(data).__name__}."
    )


def _hugging_face(data: Any) -> Source:
    """Read the one image column and the one class column of a Hugging Face dataset; features say which they are."""
    kinds = {column: type(feature).__name__ for column, feature in data.features.items()}
    images = [column for column, kind in kinds.items() if kind == "Image"]
    classes = [column for column, kind in kinds.items() if kind == "ClassLabel"]
    if len(images) != 1 or len(classes) != 1:
        raise DataError(
            f"The dataset needs one Image and one ClassLabel column, but has {kinds}; select or cast its columns."
        )
    if not {images[0], classes[0]} <= {*(data.format["columns"] or ())}:
        raise DataError(f"The dataset's format hides the column {images[0]} or {classes[0]}; give it without a format.")
    labels = [-1 if label is None else int(label) for label in data[classes[0]]]
    key = getattr(data, "_fingerprint", None)
    return Source(
        _Rows(data, images[0]), labels, data.features[classes[0]].names, key and key + _stamps(data, images[0])
    )


def _stamps(data: Any, column: str) -> str:
    """Return a hash of the files that images lie in, whose paths alone the dataset's name knows; "" if it has all."""
    import pyarrow.compute as pc  # noqa: PLC0415  (datasets brings it)

    stored = data.data.column(column)
    outside = pc.is_null(pc.struct_field(stored, "bytes"))
    paths = [path for path in pc.struct_field(stored, "path").filter(outside).to_pylist() if path]
    return stamp_files(sorted(Path(path) for path in {*paths} if os.path.isfile(path))) if paths else ""


def _torch_dataset(data: Any) -> Source:
    """Read a map-style dataset; labels are those of its rows: `targets` know nothing of a target_transform."""
    labels = [-1] * len(data)
    return Source(_Pairs(data, labels), labels, _classes(data), None)


def _classes(data: Any) -> Sequence[str] | None:
    """Return the class names of a torch dataset, of the one that a Subset is of, of the first of a ConcatDataset."""
    while not hasattr(data, "classes"):
        parts = getattr(data, "datasets", None)
        data = parts[0] if isinstance(parts, list | tuple) and parts else getattr(data, "dataset", None)
        if data is None:
            return None
    names: Sequence[str] = data.classes
    return names


def _arrays(data: np.ndarray[Any, Any] | Tensor, labels: Any) -> Source:
    images: Tensor = as_tensor(data, "source", DataError)
    if images.ndim == 3:
        images = images[..., None].expand(*images.shape, 3)
    odd = images.ndim != 4 or images.dtype != torch.uint8 or 3 not in (images.shape[1], images.shape[3])
    if odd or 0 in images.shape[1:]:
        raise DataError(
            f"Images must be uint8 (N, H, W, 3), (N, 3, H, W) or (N, H, W) with pixels, but got {images.dtype} "
            f"{tuple(images.shape)}."
        )
    images = images if images.shape[3] == 3 else images.permute(0, 2, 3, 1)
    return Source([image.numpy() for image in images], as_labels(labels, len(images)).tolist(), None, None)


class _Rows(Sequence[Any]):
    """One column of a dataset whose rows are decoded when they are asked for."""

    def __init__(self, data: Any, column: str | int) -> None:
        self.data, self.column = data, column

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: Any) -> Any:
        return _row(self.data, index)[self.column]


class _Pairs(Sequence[Any]):
    """The images of a dataset of (image, label); the label of each row that is read is written to `labels`."""

    def __init__(self, data: Any, labels: list[int]) -> None:
        self.data, self.labels = data, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> Any:
        row = _row(self.data, index)
        if not isinstance(row, Sequence) or len(row) < 2:
            raise DataError(
                f"Row {index} of the dataset must be (image, label), but is {type(row).__name__}; return pairs from it."
            )
        self.labels[index] = _label(row[1])
        return row[0]


def _row(data: Any, index: int) -> Any:
    """Return a row, or say which one cannot be read."""
    try:
        return data[index]
    except Exception as error:
        raise DataError(f"Row {index} of the dataset cannot be read ({type(error).__name__}: {error}).") from error


def _label(target: Any) -> int:
    if (value := whole(target)) is None:
        raise DataError(f"Labels must be integers, one a row, but got {short(target)}.")
    return value


def as_labels(labels: Any, count: int) -> Tensor:
    """Return (N,) int64 labels, -1 for each row where none are given."""
    if labels is None:
        return torch.full((count,), -1, dtype=torch.int64)
    found: Tensor = as_tensor(labels, "labels", DataError)
    if found.ndim != 1 or len(found) != count or found.dtype.is_floating_point or found.dtype == torch.bool:
        raise DataError(f"labels must be ({count},) integers, one a row, but got {found.dtype} {tuple(found.shape)}.")
    return found.long()


def pixels(image: Any, size: int, row: int) -> Tensor:
    """Return (3, size, size) uint8 of a PIL image, or of (H, W, 3), (3, H, W) or (H, W) numbers."""
    if not isinstance(image, Image.Image):
        image = _picture(image, row)
    return fitted_pixels(image, size)


def _picture(values: Any, row: int) -> Image.Image:
    if isinstance(values, Tensor):
        values = values.float() if values.dtype == torch.bfloat16 else values
        values = as_tensor(values, f"the image of row {row}", DataError).cpu().numpy()
    values = np.asarray(values)
    if 0 in values.shape:
        raise DataError(f"The image of row {row} has no pixels: its shape is {values.shape}.")
    if values.dtype.kind == "f" and np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1:
        values = np.rint(values * 255).astype(np.uint8)  # what a transform such as ToTensor made
    if values.ndim == 3 and values.shape[0] in (1, 3) and values.shape[2] not in (1, 3):
        values = values.transpose(1, 2, 0)
    values = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
    if values.dtype != np.uint8 or values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] != 3):
        raise DataError(
            f"The image of row {row} must be a PIL image or uint8 (H, W, 3), but is {values.dtype} {values.shape}; "
            "leave out transforms that normalise."
        )
    return Image.fromarray(values)
