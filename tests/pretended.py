"""A pretended accelerator: its tensors compute on the processor, and mixing them with others fails as on a GPU.

PyTorch's stand-in device "meta" holds no values. Here a tensor on it wraps one on the CPU, so that a test on a machine
without a GPU finds every tensor that was left on the wrong side.
"""

from contextlib import contextmanager
from importlib import import_module
from unittest import mock

import torch
from torch.utils import _pytree as tree
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from activekd_lab.teachers import clip as teacher

DEVICE = torch.device("meta")
CPU = torch.device("cpu")
ANY_SIDE = ("aten::copy_", "aten::_to_copy", "aten::to", "aten::index", "aten::index_put_", "aten::_index_put_impl_")


class Held(torch.Tensor):
    """A tensor on the pretended device; `held` has its values."""

    is_meta = property(lambda self: False)

    @staticmethod
    def __new__(cls, held):
        with torch.inference_mode(False):
            return torch.Tensor._make_wrapper_subclass(
                cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
                device=DEVICE,
            )  # fmt: skip

    def __init__(self, held):
        self.held = held

    def __repr__(self):
        return f"Held({self.held})"

    def tolist(self):
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return dispatch(function, args, kwargs or {})


class Mode(TorchDispatchMode):
    """Sees the functions that make tensors on the device out of none."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return dispatch(function, args, kwargs or {})


def dispatch(function, args, kwargs):
    """Run a function on the held values, on the side that its arguments or a `device` among them say."""
    flat, spec = tree.tree_flatten((args, kwargs))
    tensors = [x for x in flat if isinstance(x, torch.Tensor)]
    held, name = any(isinstance(x, Held) for x in tensors), function._schema.name
    devices = [torch.device(x) for x in (*flat, kwargs.get("device")) if isinstance(x, torch.device)]
    _refuse_mixtures(name, tensors, held, kwargs.get("generator"))
    there = DEVICE in devices if devices else held
    if name == "aten::to" and function._overloadname == "other":
        there = isinstance(args[1], Held)
    if name in ("aten::copy_", "aten::index_put_", "aten::_index_put_impl_"):
        there = isinstance(args[0], Held)
    bare = [x.held if isinstance(x, Held) else CPU if isinstance(x, torch.device) else x for x in flat]
    with _disable_current_modes():
        args, kwargs = tree.tree_unflatten(bare, spec)
        result = function(*args, **kwargs)
    if not there:
        return result
    given = {id(x.held): x for x in flat if isinstance(x, Held)}  # what was changed in place stays itself
    return tree.tree_map_only(torch.Tensor, lambda r: given[id(r)] if id(r) in given else Held(r), result)


def _refuse_mixtures(name, tensors, held, generator):
    """Raise as PyTorch does where a function gets tensors of both sides; a single number may come from either."""
    strangers = [x for x in tensors if not isinstance(x, Held) and x.ndim > 0]
    if held and generator is not None:
        raise RuntimeError(f"{name}: a generator of the processor on the accelerator")
    if name in ANY_SIDE:
        if "index" in name and held and not isinstance(tensors[0], Held):
            raise RuntimeError(f"{name}: indices on the accelerator into a tensor on the processor")
    elif held and strangers:
        raise RuntimeError(f"{name}: tensors of both sides, {[(type(x).__name__, *x.shape) for x in tensors]}")


class _Autocast(torch.autocast):
    def __init__(self, device_type, *args, **options):
        super().__init__(CPU.type if device_type == DEVICE.type else device_type, *args, **options)


@contextmanager
def accelerator():
    """Let the device be there, and be what every `device` setting means."""
    with (
        mock.patch("torch.autocast", _Autocast),
        mock.patch("torch.optim.adam._device_dtype_check_for_fused", return_value=None),
        mock.patch("torch.__future__._overwrite_module_params_on_conversion", True),  # `held` moves along
        mock.patch.object(import_module("activekd_lab.active.prepare"), "resolve_device", return_value=DEVICE),
        mock.patch.object(import_module("activekd_lab.active.resolve"), "resolve_device", return_value=DEVICE),
        mock.patch.object(teacher, "resolve_device", return_value=DEVICE),
        Mode(),
    ):
        yield DEVICE
