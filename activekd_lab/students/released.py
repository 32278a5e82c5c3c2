"""Take the students that DHO's authors publish: the cheapest test of their figures is to measure their own weights.

Their file (erjui/DHO 846de75) is a pickled dictionary: `model_state_dict`, `alpha` (the share of the CE head, our
`ce_weight`), `beta` (our `kd_temperature`), for some also `epoch` and `acc`. The network is a `backbone` and two linear
heads, `ce_head` and `kd_head`; names may begin with `module.`. Three kinds of backbone exist: OpenAI's visual towers,
whose KD head works on unit features times 100, and torchvision's ResNet and MobileNetV2, numbered as in a Sequential.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from activekd_lab.errors import ModelFilesError, SettingError
from activekd_lab.io.arguments import checked
from activekd_lab.io.files import regular, shown
from activekd_lab.students.backbones import build_backbone
from activekd_lab.students.checkpoint import SavedStudent
from activekd_lab.students.student import DualHeadStudent, check_mixing

TOWERS = tuple(f"open_clip/{name}/openai" for name in ("ViT-B-16", "ViT-L-14-336", "ViT-L-14", "ViT-B-32", "RN50"))
NETWORKS = ("resnet18", "resnet50", "mobilenet_v2")
VIEW_SIZE = 378
"""What the towers were measured at: images cut at the teacher's 378 px, then shrunk to the tower's own size."""
_SCALE = 100.0
_KEYS = ("model_state_dict", "alpha", "beta")
_State = Mapping[str, Tensor]


@checked()
def load_released(path: str | Path, class_names: Sequence[str], *, image_size: int | None = None) -> SavedStudent:
    """Load a checkpoint in the format of DHO's authors; save what is returned to have it in ours.

    Only tensors and numbers are read from the file (`weights_only`). The architecture is found by its tensors' shapes.

    Args:
        path: such as vit_b_1.pt.
        class_names: C names in the order of its logits; ImageNet's are `tuple(data.imagenet.wnid_names().values())`.
        image_size: side of the images that it is shown, pixels; None is 378 for a CLIP tower and 224 for the others, as
            the authors measured them.

    Raises:
        ModelFilesError: a file that is missing, damaged, of another format or of another architecture.
        SettingError: class names that are not as many as the logits.

    Example:
        >>> saved = load_released("vit_b_1.pt", tuple(wnid_names().values()))
        >>> saved.save("dho-vit-b-1")
    """
    path = Path(path)
    content = _read(path)
    state = {key.removeprefix("module."): value for key, value in content["model_state_dict"].items()}
    C = _classes(path, state)
    if len(class_names) != C:
        raise SettingError(
            f"class_names must hold {C} names, one a logit of {shown(path)}, but got {len(class_names)}."
        )
    name, renamed = _recognised(path, state)
    tower = name in TOWERS
    ce_weight, kd_temperature = float(content["alpha"]), float(content["beta"])
    check_mixing(ce_weight, kd_temperature)
    student = DualHeadStudent(
        name, C, pretrained=False, image_size=image_size or (VIEW_SIZE if tower else 224),
        class_embeddings=state["kd_head.weight"] if tower else None, class_scale=_SCALE, class_bias=tower,
    )  # fmt: skip
    heads = {key: value for key, value in state.items() if not key.startswith("backbone.")}
    found = {f"backbone.body.{ours}": state[theirs] for ours, theirs in renamed.items()} | heads
    student.load_state_dict(found | ({"kd_head.scale": torch.tensor(_SCALE)} if tower else {}))
    return SavedStudent(student.eval(), tuple(class_names), ce_weight, kd_temperature)


def _read(path: Path) -> dict[str, Any]:
    """Return the file's dictionary with its outer form checked."""
    try:
        with torch.serialization.safe_globals(list(_numpy_scalars())):
            content = torch.load(regular(path), weights_only=True, map_location="cpu")
    except FileNotFoundError:
        raise ModelFilesError(f"The checkpoint {shown(path)} does not exist.") from None
    except (OSError, RuntimeError, EOFError, LookupError, ValueError, AttributeError, UnpicklingError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelFilesError(f"The checkpoint {shown(path)} cannot be loaded ({reason}); fetch it again.") from error
    missing = [key for key in _KEYS if not isinstance(content, dict) or key not in content]
    numbers = [content.get(key) for key in _KEYS[1:]] if not missing else []
    tensors = content["model_state_dict"] if not missing else None
    if not isinstance(tensors, dict) or not all(isinstance(v, Tensor) for v in tensors.values()):
        missing = missing or ["model_state_dict of tensors"]
    if missing or not all(isinstance(number, int | float) for number in numbers):
        what = f"it has no {missing[0]}" if missing else "alpha and beta are no numbers"
        raise ModelFilesError(
            f"{shown(path)} is no checkpoint of DHO's authors ({what}); a student of ours is read by load_student."
        )
    return dict(content)


def _numpy_scalars() -> Iterator[Any]:
    """Yield what a pickled NumPy number is made of: alpha and beta were picked from NumPy's ranges."""
    scalar = np.float64(0).__reduce__()[0]
    yield from ((scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core"))
    yield from (np.dtype, type(np.dtype(np.float64)))


def _classes(path: Path, state: _State) -> int:
    heads = [state.get(f"{head}_head.weight") for head in ("ce", "kd")]
    if any(head is None or head.ndim != 2 for head in heads) or heads[0].shape != heads[1].shape:  # type: ignore[union-attr]
        raise ModelFilesError(f"{shown(path)} is no DHO student: it lacks two heads of one shape, ce_head and kd_head.")
    return len(heads[0])  # type: ignore[arg-type]


def _recognised(path: Path, state: _State) -> tuple[str, dict[str, str]]:
    """Return the backbone whose tensors these are, and the file's name for each of its own.

    Raises:
        ModelFilesError: it is none that the authors used.
    """
    theirs = {key: tuple(value.shape) for key, value in state.items() if key.startswith("backbone.")}
    for name in (*NETWORKS, *TOWERS):
        with torch.device("meta"):  # shapes only
            body = build_backbone(name, pretrained=False).body
        names = _their_names(body, numbered=name in NETWORKS)
        if {names[key]: tuple(value.shape) for key, value in body.state_dict().items()} == theirs:
            return name, names
    known = ", ".join((*NETWORKS, *TOWERS))
    raise ModelFilesError(
        f"The {len(theirs)} backbone tensors of {shown(path)} fit none of {known}; give another file."
    )


def _their_names(body: nn.Module, *, numbered: bool) -> dict[str, str]:
    """Return the file's name of every tensor of ours: children by number where they lie in a Sequential."""
    place = {child: str(i) for i, (child, _) in enumerate(body.named_children())}
    split = ((key, *key.partition(".")[::2]) for key in body.state_dict())
    return {
        key: f"backbone.{place[child] if numbered else child}" + (f".{rest}" if rest else "")
        for key, child, rest in split
    }
