"""The one reader: kinds of greys, orientation, limits, and files that are no pictures."""

import io
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from activekd_lab.data import FolderTask, images
from activekd_lab.data.images import read_image, why_unreadable
from activekd_lab.errors import DataError, SettingError

RAMP = np.linspace(0, 1, 64)


def span(values, path):
    Image.fromarray(np.tile(values, (64, 1))).save(path)
    pixels = read_image(path, 64)
    return int(pixels.min()), int(pixels.max())


@pytest.mark.parametrize(
    ("low", "high", "kind", "name", "expected"),
    [
        (0, 65535, np.uint16, "a.png", (0, 255)),
        (0, 4095, np.uint16, "a.png", (0, 15)),
        (0, 255, np.uint16, "a.tif", (0, 0)),
        (0, 256, np.uint16, "a.tif", (0, 0)),  # one brighter pixel changes nothing
        (0, 1, np.float32, "a.tif", (0, 255)),
        (0, 0.5, np.float32, "a.tif", (0, 127)),
        (0, 1000, np.float32, "a.tif", (0, 255)),
        (-1000, 1000, np.int32, "a.tif", (0, 255)),
        (0, 255, np.int32, "a.tif", (0, 255)),
    ],
)
def test_greys_are_scaled_by_their_kind(low, high, kind, name, expected, tmp_path):
    assert span((low + (high - low) * RAMP).astype(kind), tmp_path / name) == expected


def test_a_tiff_whose_white_is_zero_is_no_negative(tmp_path):
    grey = (65535 * np.tile(RAMP, (64, 1))).astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / "a.tif", tiffinfo={262: 0})
    Image.fromarray(65535 - grey).save(tmp_path / "b.tif")
    assert Image.open(tmp_path / "a.tif").tag_v2[262] == 0
    assert torch.equal(read_image(tmp_path / "a.tif", 8), read_image(tmp_path / "b.tif", 8))


def test_greys_above_the_largest_signed_integer_are_white(tmp_path):
    grey = (np.tile(RAMP, (64, 1)) * (2**32 - 1)).astype(np.uint32)
    Image.fromarray(grey.view(np.int32)).save(tmp_path / "a.tif")  # Pillow calls it signed; other programs do not
    signed, unsigned = (struct.pack("<HHIHH", 339, 3, 1, kind, 0) for kind in (2, 1))
    written = (tmp_path / "a.tif").read_bytes()
    assert written.count(signed) == 1
    (tmp_path / "a.tif").write_bytes(written.replace(signed, unsigned))
    Image.fromarray((np.tile(RAMP, (64, 1)) * 255).astype(np.uint8)).save(tmp_path / "b.png")
    apart = read_image(tmp_path / "a.tif", 8).int() - read_image(tmp_path / "b.png", 8).int()
    assert apart.abs().max() <= 1


@pytest.mark.parametrize("kind", [3, 4, 8, 9])
@pytest.mark.parametrize("order", "<>")
def test_an_orientation_of_any_whole_type_turns_the_picture(kind, order, tmp_path):
    value = struct.pack(order + {3: "HH", 4: "I", 8: "hh", 9: "i"}[kind], 3, *[0] * (kind in (3, 8)))
    head = b"II*\0" if order == "<" else b"MM\0*"
    exif = b"Exif\0\0" + head + struct.pack(order + "IHHHI", 8, 1, 0x0112, kind, 1) + value + struct.pack("I", 0)
    half = Image.new("RGB", (40, 40))
    half.paste((255, 255, 255), (0, 0, 40, 20))
    half.save(tmp_path / "a.png", exif=exif)
    assert read_image(tmp_path / "a.png", 8)[0, [0, -1], 0].tolist() == [0, 255]


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_greys_of_few_bits_reach_white(bits, tmp_path):
    Image.fromarray(np.tile(np.array([0, 255], np.uint8), (8, 4))).save(tmp_path / "a.png", bits=bits)
    assert sorted(read_image(tmp_path / "a.png", 8).unique().tolist()) == [0, 255]


def test_an_odd_exif_tag_stops_nothing_and_the_orientation_is_kept(tmp_path):
    turned = struct.pack("<HHI", 0x0112, 3, 1) + struct.pack("<HH", 3, 0)
    odd = struct.pack("<HHI", 0x011A, 10, 1) + struct.pack("<I", 38)  # a resolution of another type, divided by zero
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + turned + odd + struct.pack("<Iii", 0, -1, 0)
    half = Image.new("RGB", (40, 40))
    half.paste((255, 255, 255), (0, 0, 40, 20))
    half.save(tmp_path / "a.jpg", exif=exif)
    pixels = read_image(tmp_path / "a.jpg", 8).float()
    assert pixels[:, 0].mean() < 20
    assert pixels[:, -1].mean() > 235


def test_limits_are_our_own_and_no_filter_is_touched(tmp_path, monkeypatch):
    Image.new("RGB", (300, 300), (200, 100, 50)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    before = list(warnings.filters)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(tmp_path / "a.png", 8)[:, 0, 0].tolist() == [200, 100, 50]
    assert warnings.filters == before
    monkeypatch.setattr(images, "MOST_MEMORY", 1000)
    with pytest.raises(DataError, match=r"a\.png cannot be read as an image \(0 megapixels take .* the limit of"):
        read_image(tmp_path / "a.png", 8)


def test_large_jpegs_are_decoded_coarser(tmp_path, monkeypatch):
    Image.new("RGB", (400, 400), (200, 100, 50)).save(tmp_path / "a.jpg", quality=95)
    monkeypatch.setattr(images, "_DRAFT", 20_000)
    monkeypatch.setattr(images, "MOST_MEMORY", 4 * 20_000)
    assert read_image(tmp_path / "a.jpg", 8).shape == (3, 8, 8)


def test_only_known_formats_are_opened_whatever_their_name(tmp_path):
    eps = io.BytesIO()
    Image.new("RGB", (8, 8)).save(eps, "EPS")
    (tmp_path / "a.png").write_bytes(eps.getvalue())
    assert why_unreadable(tmp_path / "a.png") == "no known image format"
    (tmp_path / "empty.png").write_bytes(b"")
    assert why_unreadable(tmp_path / "empty.png") == "an empty file"
    os.mkfifo(tmp_path / "pipe.png")
    assert why_unreadable(tmp_path / "pipe.png") == "no regular file"
    assert why_unreadable("null\0byte.png")


def test_whatever_a_decoder_raises_names_the_file(tmp_path, monkeypatch):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")

    def explode(*_):
        raise RuntimeError("decoder broke")

    monkeypatch.setattr(images, "fitted", explode)
    with pytest.raises(DataError, match=r"a\.png cannot be read as an image \(decoder broke\)"):
        read_image(tmp_path / "a.png", 8)


def test_a_file_that_can_be_read_again_is_read_again(tmp_path, monkeypatch):
    for name in ("a", "b"):
        Image.new("RGB", (60, 60), (200, 100, 50)).save(tmp_path / f"{name}.png")
    real = images._open
    broken = True

    def sometimes(file):
        if broken and file.name.endswith("b.png"):
            raise PermissionError(13, "Permission denied")
        return real(file)

    monkeypatch.setattr(images, "_open", sometimes)
    for _ in range(2):
        with pytest.raises(DataError, match=r"b\.png \(Permission denied\)"):
            FolderTask(tmp_path, ["x", "y"], image_size=16)
    skipped = FolderTask(tmp_path, ["x", "y"], image_size=16, unreadable="skip")
    assert (len(skipped.train), skipped.left_out.counts) == (1, {"unreadable": 1})
    broken = False
    task = FolderTask(tmp_path, ["x", "y"], image_size=16)
    assert task.train.images[:, :, 3, 3].tolist() == [[200, 100, 50]] * 2


@pytest.mark.parametrize("size", [0, 10_000_000, 16.0, "16", None, True])
def test_sizes_that_no_square_has(size, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(SettingError, match=r"image_size (must be|as) a whole number( of pixels, 1 … 4096)?, but got"):
        FolderTask(tmp_path, ["x", "y"], image_size=size)


@pytest.mark.parametrize("suffix", ["tif", "jpg"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_size_of_a_header_is_that_of_the_upright_picture(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (60, 30)).save(path := tmp_path / f"a.{suffix}", exif=exif)
    assert images.upright_size(path) == images.read_whole(path, 100).size == ((60, 30) if orientation < 5 else (30, 60))


def test_a_transparent_grey_of_16_bits_is_white(tmp_path):
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 0, 0, 0, 0)), (b"tRNS", struct.pack(">H", 9000))]
    chunks += [(b"IDAT", zlib.compress((b"\0" + struct.pack(">H", 9000) * 4 + bytes(8)) * 8)), (b"IEND", b"")]
    content = b"".join(struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    assert read_image(tmp_path / "a.png", 8)[:, 0].tolist() == [[255] * 4 + [0] * 4] * 3


def test_a_cut_file_that_one_process_reads_is_refused_by_the_next(tmp_path, monkeypatch):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-200])
    with monkeypatch.context() as wish:
        wish.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
        assert len(FolderTask(tmp_path, ["x", "y"], image_size=16).train) == 1
    with pytest.raises(DataError, match="truncated"):
        FolderTask(tmp_path, ["x", "y"], image_size=16)


def test_a_tiff_of_twelve_bits_has_its_own_white(tmp_path):
    a, b = np.tile(4095 * RAMP, (64, 1)).astype(int).reshape(-1, 2).T
    rows = np.stack([a >> 4, (a & 15) << 4 | b >> 8, b & 255], 1).astype(np.uint8).tobytes()
    size, tags = len(RAMP), {}
    tags |= {256: size, 257: 64, 258: 12, 259: 1, 262: 1, 273: 8 + 2 + 9 * 12 + 4, 277: 1, 278: 64, 279: len(rows)}
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    (tmp_path / "a.tif").write_bytes(head + entries + bytes(4) + rows)
    Image.fromarray((255 * np.tile(RAMP, (64, 1))).astype(np.uint8)).save(tmp_path / "b.png")
    apart = read_image(tmp_path / "a.tif", 8).int() - read_image(tmp_path / "b.png", 8).int()
    assert apart.abs().max() <= 1


def test_signed_bytes_of_a_tiff_are_no_large_ones(tmp_path):
    grey = (255 * np.tile(RAMP, (64, 1))).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "b.png")
    Image.fromarray(grey ^ 128).save(tmp_path / "a.tif", tiffinfo={339: 2})
    assert torch.equal(read_image(tmp_path / "a.tif", 8), read_image(tmp_path / "b.png", 8))
