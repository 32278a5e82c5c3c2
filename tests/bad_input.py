"""What a battery of bad input needs: the values, a worker that survives them, and a verdict on what came of each."""

import json
import math
import os
import re
import resource
import select
import signal
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import numpy as np
import torch

from activekd_lab.errors import ActiveKDError

FULL = os.environ.get("ACTIVEKD_LAB_BATTERY") == "full"
SECONDS, MEMORY = 10, 6 << 30  # of computing in one call, whatever else the machine does; of a worker, beyond its own
PLAIN = {
    "None": (None, r"None|Optional|object|Any"),
    "nan": (math.nan, r"object|Any"),
    "inf": (math.inf, r"object|Any"),
    "-1": (-1, r"int|float|object|Any"),
    "0": (0, r"int|float|object|Any"),
    "10**11": (10**11, r"int|float|object|Any"),
    "empty text": ("", r"str|object|Any"),
    "x": ("x", r"str|object|Any|ArrayLike"),
    "b'x'": (b"x", r"object|Any"),
    "True": (True, r"bool|object|Any"),
    "2.0": (2.0, r"float|object|Any"),
    "'3'": ("3", r"str|object|Any"),
    "[]": ([], r"Sequence|[Ll]ist|tuple|Iterable|Array|Tensor|Points|object|Any"),
    "{}": ({}, r"Mapping|dict|Iterable|object|Any"),
    "object()": (object(), r"object|Any"),
    "[None]": ([None], r"object|Any"),
    "a NumPy generator": (np.random.default_rng(0), r"object|Any"),
    "a matrix of no columns": (np.zeros((3, 0)), r"Array|Tensor|Points|object|Any"),
    "an array of objects": (np.array([None, "x"], dtype=object), r"object|Any"),
    "a sparse tensor": (torch.eye(4).to_sparse(), r"object|Any"),
    "a meta tensor": (torch.ones(3, 2, device="meta"), r"object|Any"),
}
"""Name -> a value, and a pattern of the annotations that it fits."""


def odd_paths(place):
    """Return paths that no writer or reader should trip over."""
    (place / "folder").mkdir(parents=True, exist_ok=True)
    (place / "file").write_bytes(b"\x00\xff nothing known")
    if not (place / "loop").is_symlink():
        (place / "loop").symlink_to(place / "loop")
    names = {"no such path": "none/such", "a folder": "folder", "a file": "file", "below a file": "file/below",
             "a loop of links": "loop",
             "a null byte": "nul\0l", "a lone surrogate": "sur\udc80gate", "a name too long": "n" * 300}  # fmt: skip
    return {name: str(place / path) for name, path in names.items()} | {
        "a device": "/dev/null",
        "the root": "/proc/self/mem",
    }


def relatives(value):
    """Return arrays near a valid one, each with whether it may be taken."""
    if isinstance(value, np.ndarray):
        return {name: (v.numpy() if isinstance(v, torch.Tensor) and not v.is_meta and v.layout is torch.strided
                       and name != "as NumPy" else v, ok) for name, (v, ok) in relatives(torch.as_tensor(value)).items()
                if name not in ("sparse", "meta")}  # fmt: skip
    if not isinstance(value, torch.Tensor) or not value.ndim:
        return {}
    near = {"an axis more": (value[None], False), "no rows": (value[:0], True), "a row less": (value[:-1], True)}
    near |= {"as NumPy": (value.detach().numpy(), True), "as a list": (value.tolist(), True)}
    near |= {
        "complex": (value.to(torch.complex64), False),
        "sparse": (value.to_sparse(), False),
        "meta": (value.to("meta"), False),
    }
    near |= {"one row": (value[:1], True), "transposed": (value.T if value.ndim == 2 else value, True)}
    if value.ndim > 1:
        near["flat"] = (value.flatten(), False)
    if value.dtype.is_floating_point:
        near |= {
            "NaN": (torch.full_like(value, math.nan), False),
            "infinite": (torch.full_like(value, math.inf), False),
        }
    else:
        near |= {
            "fractions": (value + 0.5, False),
            "negative": (-5 - value.long(), True),
            "far too large": (value.long() + 10**12, True),
        }
    return near


def values_for(name, annotation, valid, place):
    """Yield (name, value, whether it may be taken) for one argument."""
    for what, (value, fits) in PLAIN.items():
        here = what == "empty text" and "Path" in annotation  # would mean the current folder
        yield what, value, not here and bool(re.search(rf"(?<![A-Za-z])({fits})(?![a-z])", annotation))
    for what, (value, fits) in relatives(valid).items():
        yield what, value, fits or bool(re.search("Any|object", annotation))
    if "Path" in annotation or re.search("path|folder|file|store|place|root", name):
        for what, value in odd_paths(place).items():
            yield what, value, True


def has_nan(value, depth=4):
    """Tell whether a NaN hides in a result."""
    if isinstance(value, float):
        return math.isnan(value)
    if isinstance(value, torch.Tensor):
        return not value.is_meta and value.is_floating_point() and bool(value.isnan().any())
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "f" and bool(np.isnan(value).any())
    if depth and isinstance(value, (tuple, list)):
        return any(has_nan(v, depth - 1) for v in value)
    if depth and isinstance(value, dict):
        return has_nan(list(value.values()), depth - 1)
    return bool(depth and hasattr(value, "__dataclass_fields__") and has_nan(list(vars_of(value)), depth - 1))


def vars_of(value):
    return [getattr(value, field, None) for field in value.__dataclass_fields__]


class TooLong(BaseException):
    """A call took more than its time."""


NAN_MEANS = r"stats\.(accuracy_at|reliability|.*interval)|bias.calibration"  # unknown, empty bins: as they document
HOT = r"StudentOutput\(|losses\.|Backbone\.|DualHeadStudent\.(heads|embed|forward)|ZeroShotHead\.(logits|prob)"
"""Called in every step, so without a look at every number: NaN in is NaN out, and `fit` refuses it there."""


def outcome(name, call, fits):
    """Return "" if what comes of a call is good, else what is wrong with it."""
    if re.search(r"compare\.tables\.percent\(.*=nan\)|StudentOutput\(.*meta( tensor)?\)", name):
        return ""  # no seeds, or one; operations are counted on it
    if re.search(HOT, name) and re.search(r"=(NaN|infinite|fractions)\)", name):
        return ""

    def late(*_):
        raise TooLong

    signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        result = call()
        if hasattr(result, "__next__"):
            result = next(result, None)
        wrong = "" if fits else "taken in silence"
        return f"NaN, {wrong}" if has_nan(result) and not re.search(NAN_MEANS, name) else wrong
    except ActiveKDError as error:
        text = str(error)
        return (
            ""
            if text.isprintable() and 20 < len(text) < 1000
            else f"no sentence: {type(error).__name__} {text[:300]!r}"
        )
    except TooLong:
        return f"more than {SECONDS} s"
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [f for f in frames if "activekd_lab" in f.filename]
        at = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "the call"
        return f"{type(error).__name__} at {at}: {str(error)[:120]!r}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def in_workers(cases):
    """Return what is wrong with each of [(name, call, fits), …], run in forks that may die or hang; "" is good."""
    found, start = [], 0
    while start < len(cases):
        told, here = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(told)
            _work(cases[start:], here)
        os.close(here)
        answers, end = _answers(told)
        os.close(told)
        if not end:
            os.kill(pid, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        found += answers
        start += len(answers)
        if start < len(cases):
            found.append("hangs where no signal reaches it" if not end else f"its process died with {status}")
            start += 1
    return found


def _work(cases, descriptor):
    warnings.simplefilter("ignore")
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    os.chdir(tempfile.mkdtemp(prefix="bad-input-"))  # for what is written to a path such as "x"
    null = os.open(os.devnull, os.O_RDWR)
    for stream in range(2):
        os.dup2(null, stream)
    for name, call, fits in cases:
        os.write(descriptor, json.dumps(outcome(name, call, fits)).encode() + b"\n")
    os._exit(0)


def _answers(descriptor):
    """Return the lines that a worker wrote, and whether it ended by itself."""
    read = b""
    while select.select([descriptor], [], [], 4 * SECONDS)[0]:
        part = os.read(descriptor, 1 << 16)
        if not part:
            return [json.loads(line) for line in read.splitlines()], True
        read += part
    return [json.loads(line) for line in read.splitlines()], False


def sample(cases, share):
    """Return all cases in the full battery, else every `share`-th, another one for each argument."""
    return cases if FULL else cases[::share]


def report(what, cases, found, capsys):
    """Print how many were tried and were good, and each bad one; return the bad ones."""
    bad = [f"{name}: {wrong}" for (name, *_), wrong in zip(cases, found, strict=True) if wrong]
    with capsys.disabled():
        sys.stdout.write(f"\n{what}: {len(cases)} tried, {len(cases) - len(bad)} good")
        sys.stdout.writelines(f"\n    {line}" for line in bad)
    return bad
