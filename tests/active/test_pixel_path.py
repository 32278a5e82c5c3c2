"""Training, measuring, `predict`, the exported graph and the teacher see the same pixels of a file."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

import activekd_lab as akd
from activekd_lab.active.predict import predict_files
from activekd_lab.data.images import fitted, upright
from activekd_lab.students.checkpoint import load_student
from activekd_lab.students.export import export_onnx
from activekd_lab.teachers.clip import load_teacher

REAL = Path(__file__).parents[3] / "shared" / "data" / "clothing"


def write_photos(folder, count=24):
    """Two classes of photos as phones, scanners and editors write them: turned, deep, with alpha, odd sides."""
    generator = np.random.default_rng(0)
    for i in range(count):
        place = folder / ("warm", "cold")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        height, width = int(generator.integers(20, 90)), int(generator.integers(20, 90))
        waves = np.sin(np.arange(height)[:, None] / (3 + i % 5) + np.arange(width) / 7)[..., None] * 60 + 120
        tint = np.array([60, 0, -60]) * (1 if i % 2 == 0 else -1)
        pixels = (waves + tint + generator.normal(0, 20, (height, width, 3))).clip(0, 255).astype(np.uint8)
        image, exif, name = Image.fromarray(pixels), Image.Exif(), place / f"{i}"
        exif[0x0112] = 1 + i % 8
        if i % 4 == 0:
            image.save(name.with_suffix(".jpg"), exif=exif, quality=90)
        elif i % 4 == 1:
            Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(name.with_suffix(".png"))
        elif i % 4 == 2:
            image.putalpha(Image.fromarray(pixels[..., 1]))
            image.save(name.with_suffix(".png"), exif=exif)
        else:
            image.save(name.with_suffix(".webp"), exif=exif, lossless=True)


def differences(folder, tmp_path, image_size):
    """Return the largest difference from the student on its own test split, of `predict` and of the graph."""
    options = {"path": str(folder), "image_size": image_size, "test_share": 0.5}
    config = akd.RunConfig(task="folder", task_options=options, rounds=0, steps=20, device="cpu", image_size=32)
    run = akd.active.ActiveRun(akd.prepare(config))
    list(run)
    saved = load_student(run.saved_student().save(tmp_path / "student"))
    task = run.prepared.task
    own = saved.predict(task.test.images)
    everything = akd.FolderTask(folder, image_size=image_size, test_share=0)
    by_pixels = {
        image.numpy().tobytes(): file for image, file in zip(everything.train.images, everything.files, strict=True)
    }
    files = [by_pixels[image.numpy().tobytes()] for image in task.test.images]
    read = predict_files(saved, files).probabilities
    session = onnxruntime.InferenceSession(export_onnx(saved, tmp_path / "student.onnx"))
    photos = [np.asarray(upright(Image.open(file))) for file in files]
    graph = torch.stack([torch.from_numpy(session.run(None, {"photo": photo})[0]) for photo in photos])
    assert torch.equal(own.argmax(1), read.argmax(1))
    assert torch.equal(own.argmax(1), graph.argmax(1))
    return len(files), float((own - read).abs().max()), float((own - graph).abs().max())


@pytest.mark.parametrize("image_size", [24, 48])
def test_student_predict_and_graph_agree_on_files_of_every_kind(tmp_path, image_size):
    write_photos(tmp_path / "photos")
    _, read, graph = differences(tmp_path / "photos", tmp_path, image_size)
    assert read == 0
    assert graph <= 1e-4


@pytest.mark.skipif(not REAL.is_dir(), reason="the real photographs are not beside this checkout")
def test_they_agree_on_real_photographs(tmp_path):
    count, read, graph = differences(REAL, tmp_path, 128)
    assert count >= 190
    assert read == 0
    assert graph <= 1e-4


def test_the_teacher_sees_a_picture_in_memory_as_it_sees_its_file(tmp_path):
    write_photos(tmp_path / "photos", 8)
    teacher = load_teacher("bundled", device="cpu")
    task = akd.FolderTask(tmp_path / "photos", image_size=teacher.image_size, test_share=0)
    torch.testing.assert_close(teacher.encode(task.train), teacher.encode([Image.open(file) for file in task.files]))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(31, 20), (20, 31), (30, 30)])
def test_cutting_before_turning_is_turning_before_cutting(orientation, size):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.info["exif"] = exif.tobytes()
    whole = upright(image)
    whole.info.clear()
    assert fitted(image, 12).tobytes() == fitted(whole, 12).tobytes()
