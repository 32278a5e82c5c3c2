import pytest
import torch
from PIL import Image

from activekd_lab.active.predict import predict_files, read_images
from activekd_lab.data.walk import find_files
from activekd_lab.errors import DataError
from activekd_lab.students.checkpoint import SavedStudent
from activekd_lab.students.student import DualHeadStudent

NAMES = ("a", "b", "c")


def test_images_are_read_upright_and_bad_ones_are_all_named(tmp_path):
    tall = Image.new("RGB", (20, 40))
    tall.paste((255, 0, 0), (0, 0, 20, 20))  # red above
    exif = Image.Exif()
    exif[0x0112] = 3  # stored upside down
    tall.rotate(180).save(tmp_path / "a.jpg", exif=exif)
    Image.new("LA", (8, 8)).save(tmp_path / "b.png")
    images = read_images([tmp_path / "a.jpg", tmp_path / "b.png"], 16)
    assert images.shape == (2, 3, 16, 16)
    assert int(images[0, 0, 0].min()) > 200
    assert int(images[0, 0, -1].max()) < 60
    for name in ("c.jpg", "d.png"):
        (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(DataError, match=r"2 of 3 images cannot be read: .*c\.jpg .*d\.png"):
        read_images([tmp_path / name for name in ("a.jpg", "c.jpg", "d.png")], 16)


def test_files_are_predicted_in_batches_and_bad_ones_of_all_batches_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr("activekd_lab.active.predict._BATCH", 2)
    saved, passes, seen = SavedStudent(DualHeadStudent("small_cnn", 3, image_size=16), NAMES), [], []
    saved.student.register_forward_pre_hook(lambda module, inputs: passes.append(len(inputs[0])))
    for i in range(5):
        (tmp_path / f"{i % 2}").mkdir(exist_ok=True)
        Image.new("RGB", (20, 20), (50 * i, 0, 0)).save(tmp_path / f"{i % 2}" / f"{i}.png")
    files = find_files([tmp_path / "1" / "3.png", tmp_path]).files
    assert [path.name for path in files] == ["3.png", "0.png", "2.png", "4.png", "1.png", "3.png"]
    found = predict_files(saved, files, progress=lambda done, total: seen.append((done, total)))
    assert (passes, seen) == ([2, 2, 2], [(2, 6), (4, 6), (6, 6)])
    torch.testing.assert_close(found.probabilities, saved.predict(read_images(files, 16)))
    for name in ("0/0.png", "1/1.png"):
        (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(DataError, match=r"2 of 5 images cannot be read: .*0\.png .*1\.png"):
        predict_files(saved, find_files([tmp_path]).files)
    kept = predict_files(saved, find_files([tmp_path]).files, unreadable="skip")
    assert [path.name for path in kept.files] == ["2.png", "4.png", "3.png"]
    assert len(kept.probabilities) == 3
    assert kept.left_out.counts == {"unreadable": 2}


def test_what_a_folder_leaves_out_is_counted_and_a_folder_of_nothing_refused(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    for name in ("._a.png", "b.heic", "notes.txt", "c.cr2"):
        (tmp_path / name).write_bytes(b"x")
    found = find_files([tmp_path])
    assert [path.name for path in found.files] == ["a.png"]
    assert sum(found.left_out.counts.values()) == 4
    assert "pip install pillow-heif" in str(found.left_out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty holds no images"):
        find_files([tmp_path / "empty"])
    with pytest.raises(DataError, match=r"gone cannot be read \(No such file"):
        find_files([tmp_path / "gone"])
