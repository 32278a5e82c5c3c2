"""A session on a folder of one's own images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from activekd_lab.active.prepared import load_run_teacher
from activekd_lab.config import RunConfig
from activekd_lab.data import FolderTask
from activekd_lab.device import resolve_device
from activekd_lab.errors import DataError
from activekd_lab.io.arguments import checked
from activekd_lab.labeling.session import LabelSession
from activekd_lab.progress import counted, silent


@checked()
def label_folder(
    path: str | Path,
    class_names: Iterable[str | int] | None,
    folder: str | Path | None = None,
    *,
    selector: str = "pcoreset",
    config: RunConfig | None = None,
    say: Callable[[str], None] = silent,
    **options: object,
) -> LabelSession:
    """Open a session on a folder of images; by default its files lie in `<path>/.labels`, which is no image folder.

    Images are kept at the larger of what teacher and student look at, 128 pixels or more.

    Raises:
        DataError: as `FolderTask`.
    """
    config = config or RunConfig()
    known = config.with_(selector=selector).resolve()  # refuses what cannot be before an image is decoded
    size = max(128, config.image_size, load_run_teacher(known.teacher, resolve_device(known.device)).image_size)
    count = counted(say, "decoding images")
    task = FolderTask(path, class_names, test_share=0, unreadable="skip", image_size=size, progress=count)
    if len(task.class_names) < 2:
        raise DataError(f"Labelling needs two classes or more, but got {task.class_names}; give class_names.")
    return LabelSession(task, folder or task.root / ".labels", selector=selector, config=config, say=say, **options)  # type: ignore[arg-type]
