"""Export a student to ONNX: photo in, mixed probabilities out, checked against onnxruntime before it is handed over."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from activekd_lab.errors import MissingExtraError, ModelFilesError, SettingError
from activekd_lab.io.arguments import checked
from activekd_lab.io.files import try_out, write_atomic
from activekd_lab.students.checkpoint import SavedStudent
from activekd_lab.students.student import StudentOutput

if TYPE_CHECKING:
    from collections.abc import Iterator

TOLERANCE = 1e-4  # largest difference of a probability from the student's own
_NAMES, _UNIT = ("photo", "probabilities"), 2.0**22
RULE = "RGB, upright, any size; its centred square is resized inside the graph. Transparent parts are white."
SNIPPET = """import numpy, onnxruntime
from PIL import Image, ImageOps
photo = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("RGBA")  # of 8 bits a channel
photo = Image.alpha_composite(Image.new("RGBA", photo.size, "white"), photo).convert("RGB")
photo = {{"photo": numpy.asarray(photo)}}  # (H, W, 3) uint8
(probabilities,) = onnxruntime.InferenceSession({path!r}).run(None, photo)"""


class _FromPhoto(nn.Module):
    """The whole student with its mixing, and before it the square that `data.images` makes of a photo, as one graph."""

    def __init__(self, saved: SavedStudent) -> None:
        super().__init__()
        self.student = copy.deepcopy(saved.student)  # it goes to the CPU; the user's own, or a run's, stays where it is
        self.mix, self.size = {"ce_weight": saved.ce_weight, "kd_temperature": saved.kd_temperature}, saved.source_size

    def forward(self, photo: Tensor) -> Tensor:
        """Return (C,) probabilities of an (H, W, 3) uint8 photo."""
        output: StudentOutput = self.student(square(photo, self.size)[None] / 255)
        if self.student.settings["single_head"]:  # tracing copies shared modules, so identity does not tell
            return output.ce_logits.softmax(1)[0]
        return output.probabilities(**self.mix)[0]


def square(photo: Tensor, size: int) -> Tensor:
    """Return the centred square of an (H, W, 3) uint8 photo, resized as Pillow's bicubic does: (3, size, size) float.

    Pillow resizes along the width first, rounds to whole pixel values after each direction, and its weights are whole
    numbers of 1 / 2²²; so are these. In float64 their sums are exact, so the pixels are equal, not only close.
    """
    height, width = (torch.scalar_tensor(n, dtype=torch.float64) for n in photo.shape[:2])
    side = torch.minimum(height, width)
    across, down = (
        _weights(n, length, side, size) for n, length in zip(photo.shape[1::-1], (width, height), strict=True)
    )
    narrow = _whole(photo.permute(0, 2, 1).double() @ across.T)  # (H, 3, size)
    return _whole(down @ narrow.permute(1, 0, 2)).float()  # (3, size, size)


def _weights(n: int, length: Tensor, side: Tensor, size: int) -> Tensor:
    """Return (size, n) bicubic weights of each pixel of a line, zero outside of the central `side` pixels."""
    start = torch.floor((length - side) / 2)
    scale = side / size
    spread = torch.clamp(scale, min=1.0)
    place = torch.arange(n, dtype=torch.float64) - start  # of each pixel within the square
    x = (place + 0.5 - (torch.arange(size, dtype=torch.float64)[:, None] + 0.5) * scale).abs() / spread
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2  # Keys' cubic with a = -1/2
    kernel = torch.where(x < 1, near, torch.where(x < 2, far, 0.0))
    kernel = torch.where((place >= 0) & (place < side), kernel, 0.0)
    return torch.round(kernel / kernel.sum(1, keepdim=True) * _UNIT) / _UNIT


def _whole(values: Tensor) -> Tensor:
    return torch.floor(values + 0.5).clamp(0, 255)


@checked()
def export_onnx(saved: SavedStudent, path: str | Path) -> Path:
    """Write `saved` as one ONNX file and return its path.

    The graph takes `photo`, (H, W, 3) uint8 of any size: an upright RGB photograph, as `SNIPPET` reads one. Crop,
    resizing and normalisation are inside. It gives `probabilities`, (C,), mixed by the student's `ce_weight` and
    `kd_temperature`. Class names (JSON), the rule of reading and the sizes lie in the file's metadata.

    Raises:
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
        ModelFilesError: onnxruntime's probabilities differ from the student's by more than 1e-4, and no file is left;
            or a path that cannot be written.
        SettingError: a student of features, or a network of one's own that cannot be written as ONNX.
    """
    try:
        import onnx  # noqa: PLC0415  (an extra)
        import onnxruntime  # noqa: F401, PLC0415
        import onnxscript  # noqa: F401, PLC0415
    except ImportError as error:
        raise MissingExtraError(str(error.name), "export") from error
    path = Path(path)
    name = str(saved.student.settings["backbone"])
    if name.startswith("features/"):
        raise SettingError(
            "This student learned from features, so no photo can be its input; call predict on features."
        )
    try_out(path, kind=ModelFilesError)
    try:
        proto = _traced(_FromPhoto(saved).cpu().eval())
    except Exception as error:  # of the exporter, which says in many lines what of a network it does not know
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise SettingError(f"The network {name!r} cannot be written as ONNX ({said}).") from error
    about = {"class_names": json.dumps(saved.class_names, ensure_ascii=False), "photo": RULE}
    sizes = {"source_size": str(saved.source_size), "image_size": str(saved.student.image_size)}
    onnx.helper.set_model_props(proto, about | sizes)
    _check(proto, saved)
    write_atomic(path, proto.SerializeToString(), kind=ModelFilesError)
    return path


def _traced(model: _FromPhoto) -> Any:
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            model,
            (_noise(50, 70),),
            input_names=_NAMES[:1],
            output_names=_NAMES[1:],
            dynamic_shapes={"photo": {0: torch.export.Dim("height"), 1: torch.export.Dim("width")}},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def _noise(height: int, width: int) -> Tensor:
    """Return an (H, W, 3) uint8 photo of waves and noise: neither flat nor smooth."""
    g = torch.Generator().manual_seed(height)
    wave = torch.sin(torch.arange(height)[:, None] / 9 + torch.arange(width) / 5)[:, :, None] * 80 + 127
    return (wave + 40 * torch.randn(height, width, 3, generator=g)).clamp(0, 255).byte()


def _check(proto: Any, saved: SavedStudent) -> None:
    """Compare with the student on photos, read by Pillow, of other shapes than the one that was traced."""
    import onnxruntime  # noqa: PLC0415  (an extra)

    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    for height, width in ((97, 64), (33, 300), (saved.source_size, saved.source_size)):
        photo = _noise(height, width)
        (found,) = session.run(None, {"photo": photo.numpy()})
        side, size = min(height, width), saved.source_size
        left, top = (width - side) // 2, (height - side) // 2
        cut = Image.fromarray(photo.numpy()).crop((left, top, left + side, top + side))
        pixels = torch.from_numpy(np.array(cut.resize((size, size), Image.Resampling.BICUBIC))).permute(2, 0, 1)
        difference = float((torch.from_numpy(found) - saved.predict(pixels[None])[0]).abs().max())
        if not difference <= TOLERANCE:
            raise ModelFilesError(
                f"The exported graph differs from the student by {difference:.2g}, so it is not kept."
            )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress and its notes about optional packages off the screen."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
