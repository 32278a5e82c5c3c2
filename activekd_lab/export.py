"""Export a student to ONNX: image in, mixed probabilities out, checked against onnxruntime before it is handed over."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from activekd_lab.checkpoint import SavedStudent, writing
from activekd_lab.errors import MissingExtraError, ModelFilesError
from activekd_lab.student import StudentOutput

if TYPE_CHECKING:
    from collections.abc import Iterator

TOLERANCE = 1e-4  # largest difference of a probability from the student's own
_NAMES = ("images", "probabilities")


class _Mixed(nn.Module):
    """The whole student with its mixing, as one graph of tensors."""

    def __init__(self, saved: SavedStudent) -> None:
        super().__init__()
        self.student = copy.deepcopy(saved.student)  # it goes to the CPU; the user's own, or a run's, stays where it is
        self.mix = {"ce_weight": saved.ce_weight, "kd_temperature": saved.kd_temperature}

    def forward(self, images: Tensor) -> Tensor:
        output: StudentOutput = self.student(images)
        if self.student.settings["single_head"]:  # tracing copies shared modules, so identity does not tell
            return output.ce_logits.softmax(1)
        probabilities: Tensor = output.probabilities(**self.mix)
        return probabilities


def export_onnx(saved: SavedStudent, path: str | Path) -> Path:
    """Write `saved` as one ONNX file and return its path.

    The graph takes `images`, (B, 3, S, S) float32 in [0, 1] for any B, S being the student's `image_size`; its
    normalisation is inside. It gives `probabilities`, (B, C), mixed by the student's `ce_weight` and `kd_temperature`.
    Class names (JSON) and image size lie in the file's metadata.

    Raises:
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
        ModelFilesError: onnxruntime's probabilities differ from the student's by more than 1e-4, and no file is left;
            or a path that cannot be written.
    """
    try:
        import onnx  # noqa: PLC0415  (an extra)
        import onnxruntime  # noqa: F401, PLC0415
        import onnxscript  # noqa: F401, PLC0415
    except ImportError as error:
        raise MissingExtraError(str(error.name), "export") from error
    path, size = Path(path), saved.student.image_size
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    model = _Mixed(saved).cpu().eval()
    example = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with _quiet(), torch.no_grad():
        batch = {"images": {0: torch.export.Dim("batch", min=1)}}
        program = torch.onnx.export(
            model,
            (example,),
            input_names=_NAMES[:1],
            output_names=_NAMES[1:],
            dynamic_shapes=batch,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    onnx.helper.set_model_props(
        proto, {"class_names": json.dumps(saved.class_names, ensure_ascii=False), "image_size": str(size)}
    )
    _check(proto, model)
    with writing(path):
        onnx.save_model(proto, path)
    return path


def _check(proto: Any, model: _Mixed) -> None:
    """Compare with the student on other batches than the one that was traced."""
    import onnxruntime  # noqa: PLC0415  (an extra)

    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    size = model.student.image_size
    for count in (1, 5):
        images = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(count))
        (found,) = session.run(None, {"images": images.numpy()})
        with torch.no_grad():
            difference = float((torch.from_numpy(found) - model(images)).abs().max())
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
