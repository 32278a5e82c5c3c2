"""What a student says about a split, about cached features, about image files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from activekd_lab.data.decode import Unreadable
from activekd_lab.data.images import read_image
from activekd_lab.data.task import Split
from activekd_lab.data.walk import LeftOut
from activekd_lab.errors import DataError
from activekd_lab.io.arguments import checked
from activekd_lab.students.checkpoint import SavedStudent
from activekd_lab.students.student import DualHeadStudent, StudentOutput

_BATCH = 64  # files in memory and in one forward pass


@torch.inference_mode()
def predict(
    student: DualHeadStudent,
    split: Split,
    *,
    batch: int = 512,
    progress: Callable[[int, int], None] = lambda done, total: None,
    look: Callable[[Tensor], Tensor] | None = None,
) -> StudentOutput:
    """Return the student's output on every image of a split, without augmentation, on the CPU.

    `progress` is called with (done, total) after each batch. `look` is what the student sees of a batch, if not that.
    """
    student.eval()
    device = next(student.ce_head.parameters()).device

    def outputs() -> Iterator[StudentOutput]:
        rows = split.images if split.features is None else split.features
        for i, images in enumerate(rows.split(batch)):
            seen = images.to(device)
            yield _to_cpu(student(seen if look is None else look(seen)))
            progress(i * batch + len(images), len(split))

    return StudentOutput.cat(outputs())


@torch.inference_mode()
def predict_features(student: DualHeadStudent, features: Tensor) -> StudentOutput:
    """Return the student's output on (N, F) cached backbone features, on the CPU."""
    student.eval()
    return _to_cpu(student.heads(features))


def _to_cpu(output: StudentOutput) -> StudentOutput:
    ce = output.ce_logits.cpu()
    return StudentOutput(
        ce, ce if output.kd_logits is output.ce_logits else output.kd_logits.cpu(), output.features.cpu()
    )


class FilePredictions(NamedTuple):
    """What a student says of files.

    Attributes:
        files: B that were read, in the order given.
        probabilities: (B, C) mixed.
        left_out: those that could not be read, with the reason.
    """

    files: list[Path]
    probabilities: Tensor
    left_out: LeftOut


@checked()
def predict_files(
    saved: SavedStudent,
    paths: Sequence[str | Path],
    *,
    unreadable: Unreadable = "raise",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> FilePredictions:
    """Return a saved student's mixed probabilities of image files, a batch of them in memory at a time.

    Files are read as its training images were: the same reader, the same size. `progress` is called with (done, total)
    after each batch.

    Raises:
        DataError: files that are no readable images, all of them named; with "skip" they are left out.
    """
    read, left_out = [], LeftOut()
    parts = [torch.empty(0, len(saved.class_names))]
    for start in range(0, len(paths), _BATCH):
        images, good = _read(paths[start : start + _BATCH], saved.source_size, left_out)
        if images and (unreadable == "skip" or not left_out):
            parts.append(saved.predict(torch.stack(images)))
        read += good
        progress(min(start + _BATCH, len(paths)), len(paths))
    if unreadable == "raise":
        _refuse(left_out, len(paths))
    return FilePredictions(read, torch.cat(parts), left_out)


def read_images(paths: Sequence[str | Path], size: int) -> Tensor:
    """Read image files as (B, 3, size, size) uint8, see `data.images.read_image`.

    Raises:
        DataError: files that are no readable images, all of them named.
    """
    left_out = LeftOut()
    images, _ = _read(paths, size, left_out)
    _refuse(left_out, len(paths))
    return torch.stack(images) if images else torch.empty(0, 3, size, size, dtype=torch.uint8)


def _read(paths: Sequence[str | Path], size: int, left_out: LeftOut) -> tuple[list[Tensor], list[Path]]:
    """Return the images that can be read, with their files; the others are counted."""
    images, good = [], []
    for path in map(Path, paths):
        try:
            images.append(read_image(path, size))
            good.append(path)
        except DataError as error:
            left_out.add("unreadable", str(error).removesuffix("."))
    return images, good


def _refuse(left_out: LeftOut, total: int) -> None:
    bad = left_out.reasons.get("unreadable")
    if bad:
        raise DataError(f"{len(bad)} of {total} images cannot be read: {'; '.join(bad)}.")
