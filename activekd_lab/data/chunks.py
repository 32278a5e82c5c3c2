"""The form of a file of cached rows: safetensors, with a checksum a chunk in front of the rows."""

from __future__ import annotations

import json
import math
import os
import warnings
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

STAMP, _LONGEST_HEADER = "activekd_lab", 1 << 20  # bytes
_SMALL = 1 << 26  # bytes that are checked at each opening
_DTYPES = {torch.uint8: "U8", torch.bool: "BOOL", torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32"}
WRONG = (SafetensorError, KeyError, ValueError, TypeError, AttributeError, IndexError, RecursionError, OverflowError)
"""What reading a file of another form may raise."""


def canonical(key: Mapping[str, str]) -> str:
    """Return a key as a text, whatever the order of its parts."""
    return json.dumps(dict(key), sort_keys=True)


class Layout(NamedTuple):
    """Where things lie: checksums from byte `checks` on, 8 bytes a chunk, and rows of `row` bytes from `data` on."""

    checks: int
    data: int
    row: int


def store(file: BinaryIO, layout: Layout, rows: Tensor, start: int, index: int) -> None:
    """Write a chunk and its checksum; a power cut between the two leaves a chunk that does not fit."""
    content = _bytes(rows)
    for place, part in ((layout.data + start * layout.row, content), (layout.checks + 8 * index, checksum(content))):
        file.seek(place)
        file.write(part)


def _bytes(rows: Tensor) -> memoryview | bytes:
    return rows.view(torch.uint8).numpy().reshape(-1).data if rows.numel() else b""


def checksum(content: memoryview | bytes) -> bytes:
    """Return a chunk's checksum, told from zeros that nobody wrote."""
    return (zlib.crc32(content) | 1 << 32).to_bytes(8, "little")


def header_of(rows: Tensor, key: Mapping[str, str], count: int, chunk: int, about: str) -> bytes:
    """Return the safetensors header of a file of `count` such rows, which its parts determine."""
    return _header_text(_DTYPES[rows.dtype], list(rows.shape[1:]), rows.element_size(), key, count, chunk, about)


def _header_text(
    dtype: str, shape: list[int], size: int, key: Mapping[str, str], count: int, chunk: int, about: str
) -> bytes:
    checks = 8 * max(1, math.ceil(count / chunk))
    stamp = json.dumps({"key": canonical(key), "about": about, "chunk": chunk, "bytes": size})
    tensors = {
        "checks": {"dtype": "U8", "shape": [checks // 8, 8], "data_offsets": [0, checks]},
        "tensor": {
            "dtype": dtype,
            "shape": [count, *shape],
            "data_offsets": [checks, checks + count * math.prod(shape) * size],
        },
    }
    text = json.dumps({"__metadata__": {STAMP: stamp}} | tensors).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def layout_of(header: bytes) -> Layout:
    """Return where things lie in a file of this header."""
    tensor = json.loads(header[8:])["tensor"]
    begin, end = tensor["data_offsets"]
    return Layout(len(header), len(header) + begin, (end - begin) // max(1, tensor["shape"][0]))


def continue_from(
    file: BinaryIO, path: Path, key: Mapping[str, str], count: int, most: int
) -> tuple[int, Layout | None, int]:
    """Return how many rows of a partial file are whole, and its rows a chunk, which are `most` where none is whole.

    What comes after them, and what is no such file, is cut off.
    """
    size, done, layout, chunk = os.fstat(file.fileno()).st_size, 0, None, most
    try:
        header = read_header(file)
        found = json.loads(header[8:])
        stamp, tensor = json.loads(found["__metadata__"][STAMP]), found["tensor"]
        chunk = stamp["chunk"]
        parts = (tensor["dtype"], tensor["shape"][1:], stamp["bytes"], key, count, chunk, stamp["about"])
        if header != _header_text(*parts) or not 0 < chunk <= most:
            raise ValueError("of other rows")
        layout = layout_of(header)
        done = _whole_rows(file, layout, count, chunk)
    except WRONG:
        if size:
            warnings.warn(f"The unfinished cache file {path} is damaged; starting it again.", stacklevel=5)
    if layout is not None and done:
        file.seek(layout.checks + 8 * (done // chunk))
        file.write(bytes(layout.data - layout.checks - 8 * (done // chunk)))
        file.truncate(layout.data + done * layout.row)
        return done, layout, chunk
    file.truncate(0)
    return 0, None, most


def _whole_rows(file: BinaryIO, layout: Layout, count: int, chunk: int) -> int:
    """Return how many rows lie in the chunks, from the first on, that fit their checksums."""
    file.seek(layout.checks)
    checks = file.read(layout.data - layout.checks)
    for index, start in enumerate(range(0, count, chunk)):
        file.seek(layout.data + start * layout.row)
        content = file.read((min(start + chunk, count) - start) * layout.row)
        if checksum(content) != checks[8 * index : 8 * index + 8]:
            return start
    return (
        count - count % chunk if count % chunk else count - chunk
    )  # the last chunk is made again, then it is finished


def read_header(file: BinaryIO) -> bytes:
    """Return a safetensors file's header, with its length; ValueError if it has none."""
    file.seek(0)
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if not 0 < length <= _LONGEST_HEADER:
        raise ValueError("no safetensors header")
    return start + file.read(length)


def fits(path: Path, rows: Tensor, checks: Tensor, chunk: int) -> bool:
    """Return whether rows fit their checksums; large ones are read for it only if the file was changed since."""
    if rows.nbytes > _SMALL and path.stat().st_mtime_ns == _when(checks):
        return True
    parts = rows.split(chunk) if len(rows) else (rows,)
    fits = b"".join(checksum(_bytes(part)) for part in parts) == bytes(checks.numpy().tobytes())
    if fits:
        with suppress(OSError):  # somebody else's file: it is checked each time
            date_whole(path)
    return fits


def _when(checks: Tensor) -> int:
    """Return the time of change, in ns, that says "nobody wrote to it since": it is made of the checksums."""
    return (1_000_000_000 + 2 * (zlib.crc32(checks.numpy().tobytes()) % 10**8)) * 10**9  # FAT counts every other second


def date_whole(path: Path) -> None:
    """Give a whole file the time of change that says so."""
    with safe_open(path, framework="pt") as file:
        when = _when(file.get_tensor("checks"))
    os.utime(path, ns=(when, when))
