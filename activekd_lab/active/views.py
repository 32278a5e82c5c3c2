"""Augmented views that the teacher sees once: K crops an image, embedded, cached, and cut again for the student.

Distillation wants teacher and student to see the same crop. Asking the teacher at every step is what costs most; here
each image has K fixed crops, drawn from a seed, so their embeddings lie on disk and the student's pixels are cut anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from activekd_lab.data.cache import cached_rows
from activekd_lab.data.task import Split
from activekd_lab.data.views import cut_crops, draw_crops
from activekd_lab.device import batch_size
from activekd_lab.errors import SettingError
from activekd_lab.rng import generator
from activekd_lab.teachers.clip import Teacher


@dataclass(frozen=True, eq=False)
class CachedViews:
    """K crops of every image of a split.

    Attributes:
        embeddings: (K, N, D) teacher embeddings of the crops.
        drawn: (K, 5, N) numbers that say where each crop lies (`data.views.draw_crops`).
        size: side of the crops, pixels.
        flip: whether half of them are mirrored.
    """

    split: Split
    embeddings: Tensor
    drawn: Tensor
    size: int
    flip: bool

    def pixels(self, ids: Tensor, which: Tensor, device: torch.device) -> Tensor:
        """Return (B, 3, size, size) float crops in [0, 1]: of each id, its crop number `which`, both (B,) int64."""
        images = self.split.images[ids].to(device, non_blocking=True)
        return cut_crops(images, self.size, self.drawn[which, :, ids].T, flip=self.flip)


def encode_cached_views(
    teacher: Teacher,
    split: Split,
    *,
    views: int,
    size: int,
    seed: int = 0,
    flip: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> CachedViews:
    """Embed K crops of every image, or read them from the cache; a killed call continues.

    Args:
        teacher: sees each crop at its own input size.
        split: N images.
        views: K, crops an image.
        size: side at which crops are cut, pixels: the student's input.
        seed: draws the crops.
        flip: mirror half of them.
        progress: called with (done, total) crops after each batch that was not in the cache.

    Raises:
        SettingError: no views.
    """
    if views < 1:
        raise SettingError(f"views must be 1 or more, but got {views}.")
    drawn = torch.stack([draw_crops(len(split), generator(seed, "view", k)) for k in range(views)])
    found = []
    for k in range(views):

        def count(done: int, total: int, k: int = k) -> None:
            progress(k * total + done, views * total)

        found.append(_encode_view(teacher, split, drawn[k], f"crop {size} {flip} {seed} {k}", size, flip, count))
    return CachedViews(split, torch.stack(found), drawn, size, flip)


@torch.inference_mode()
def _encode_view(
    teacher: Teacher, split: Split, drawn: Tensor, view: str, size: int, flip: bool, count: Callable[[int, int], None]
) -> Tensor:
    def compute(ids: range) -> Tensor:
        rows = slice(ids.start, ids.stop)
        crops = cut_crops(split.images[rows].to(teacher.device), size, drawn[:, rows], flip=flip)
        return teacher.encode_views(crops).cpu() if ids else torch.empty(0, 0)

    return cached_rows(
        "views",
        teacher.cache_key(split, view),
        len(split),
        compute,
        chunk=batch_size(teacher.device),
        paced=True,
        about=f"{teacher.name}, {split.name}, {view}",
        progress=count,
    )
