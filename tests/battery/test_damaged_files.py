# ruff: noqa: E501  (tables)
"""Every file that the package reads, damaged in every usual way: one sentence that names it, or the right content.

A reader may also say that it leaves the file out and compute again (caches), or take it where the damage means nothing
(a blank at the end). What it may never do: another exception, a hang, or memory that a header made up.
"""

import json
import os
import shutil
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from bad_input import in_workers, report, sample
from PIL import Image
from safetensors.torch import save_file
from valid_calls import Valid

import activekd_lab as akd
from activekd_lab.data.cache import cached_rows
from activekd_lab.data.coop import locate, read_split
from activekd_lab.data.imagenet import locate_imagenet
from activekd_lab.data.store import cached_tensor
from activekd_lab.errors import ActiveKDError
from activekd_lab.studies import logs
from activekd_lab.studies.plain_yaml import read_yaml

pytestmark = [pytest.mark.battery, pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")]
DEEP = b"[" * 100_000 + b"]" * 100_000
ODD = (None, -1, 10**400, 1e308, True, "x", "", [], {}, [None], {"a": {}}, "\ud800")


def damages(content):
    """Yield (name, content) of a file after what disks, editors and people do to it."""
    size = len(content)
    for share in (0, 1, size // 3, size // 2, size - 1):
        yield f"cut to {share}", content[:share]
    for at in range(0, size, max(1, size // 12)):
        yield f"bit flipped at {at}", content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]
        yield f"zeros at {at}", content[:at] + bytes(min(64, size - at)) + content[at + 64 :]
    yield from {"empty line": b"\n", "not UTF-8": content[: size // 2] + b"\xff\xfe" + content[size // 2 :], "twice": content * 2,
                "nested": DEEP, "a NUL": content + b"\0", "a byte order mark": b"\xef\xbb\xbf" + content, "null": b"null",
                "a number": b"9" * 5000, "a text": b'"x"', "a list": b"[]", "a mapping": b"{}", "a pickle": b"\x80\x04N."}.items()  # fmt: skip
    yield from _keys(content)


def _keys(content):
    """Yield a JSON object, or the last of several lines, with each key removed and set to each odd value."""
    *before, last = content.rstrip(b"\n").split(b"\n") if content.count(b"}\n") > 1 else [content]
    try:
        whole = json.loads(last)
    except ValueError:
        return
    for path in _paths(whole, 3):
        for value in ("(removed)", *ODD):
            changed = json.loads(last)
            *way, key = path
            place = changed
            for step in way:
                place = place[step]
            if value == "(removed)":
                del place[key]
            else:
                place[key] = value
            yield (
                f"{'.'.join(map(str, path))} = {str(value)[:20]!r}",
                b"\n".join([*before, json.dumps(changed).encode()]) + b"\n",
            )


def _paths(value, depth):
    items = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, inner in items:
        yield (key,)
        if depth > 1:
            yield from ((key, *rest) for rest in _paths(inner, depth - 1))


def odd_places(path):
    """Yield (name, function that puts something else in the place of a file)."""
    yield "a folder", path.mkdir
    yield "a device", lambda: path.symlink_to("/dev/null")
    yield "a loop of links", lambda: path.symlink_to(path)
    yield "a link to nowhere", lambda: path.symlink_to("/nowhere/at/all")
    yield "a pipe", lambda: os.mkfifo(path)


class Files:
    """One of each file, and how it is read. `kinds` are (path, reader)."""

    def __init__(self, place):
        self.w, self.place = Valid(place), place
        run = self.w.stored
        (place / "heap").mkdir()
        for path in self.w.photos.rglob("*.png"):
            shutil.copy(path, place / "heap")
        session = self.session()
        for _ in range(3):
            session.answer(0)
        student = self.w.saved.save(place / "student")
        torch.save(self.w.student.backbone.body.state_dict(), place / "weights.pth")
        save_file(self.w.student.backbone.body.state_dict(), place / "weights.safetensors")
        logs.note(place, akd.studies.sweep.JobOutcome("job", "done", 1.0, 1, ""))
        os.environ["ACTIVEKD_LAB_CACHE"] = str(place / "cache")
        logs.remember(self.w.config, 2.0)
        self.tensor, self.rows = torch.arange(20).float(), torch.arange(40).float().reshape(20, 2)
        self.cached()
        (place / "grid.yaml").write_text("title: t\ngrid: {task: digits, selector: [random, margin], seed: [0, 1]}\n")
        labels = "path,label\n" + "".join(
            f"{p.relative_to(self.w.photos)},{p.parent.name}\n" for p in sorted(self.w.photos.rglob("*.png"))
        )
        (place / "labels.csv").write_text(labels)
        self.papers(place / "data")
        backbone = partial(akd.students.backbones.build_backbone, "small_cnn")
        kinds = [
            *((run / name, lambda: self.whole_run(run)) for name in ("config.json", "labels.csv", "rounds.jsonl", "seconds.json")),
            *((path, lambda: self.whole_run(run)) for path in sorted((run / "predictions").iterdir())[:1]),
            *((place / "session" / name, self.session) for name in ("session.json", "answers.csv")),
            (student, lambda: akd.load_student(student)),
            *((place / name, partial(backbone, weights=place / name)) for name in ("weights.pth", "weights.safetensors")),
            (place / "log.jsonl", lambda: logs.last_errors(place)),
            (place / "cache" / "job-times.jsonl", logs.earlier_times),
            *((path, self.cached) for path in (place / "cache").rglob("*.safetensors")),
            (place / "grid.yaml", lambda: read_yaml(place / "grid.yaml")),
            (place / "labels.csv", lambda: akd.FolderTask(self.w.photos, labels=place / "labels.csv", image_size=16)),
            (self.w.npz(), lambda: akd.teachers.load_given(place / "given.npz")),
            (place / "data/eurosat/split_zhou_EuroSAT.json", lambda: read_split(place / "data/eurosat/split_zhou_EuroSAT.json")),
            *((place / "data/fgvc_aircraft" / name, lambda: locate("fgvc_aircraft", str(place / "data"))) for name in ("variants.txt", "images_variant_train.txt")),
            (place / "data/imagenet/1percent.txt", lambda: locate_imagenet("imagenet", str(place / "data"), "1percent")),
            (self.w.png, lambda: akd.FolderTask(self.w.photos, image_size=16)),
        ]  # fmt: skip
        self.kinds = kinds

    def whole_run(self, folder):
        """What `report` and `compare` read of a run."""
        result = akd.load_run(folder)
        result.frame()
        return [result.probabilities(r.round) for r in result.records] if result.keeps_predictions else None

    def session(self):
        task = akd.FolderTask(self.place / "heap", ["a", "b"], test_share=0, image_size=64)
        return akd.LabelSession(task, self.place / "session", config=self.w.config)

    def cached(self):
        """Computed again where damaged: what comes is right, whatever lay there."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert torch.equal(cached_tensor("whole", "key", lambda: self.tensor), self.tensor)
            found = cached_rows("rows", {"a": "b"}, 20, lambda ids: self.rows[ids.start : ids.stop], chunk=4)
        assert torch.equal(found, self.rows)

    def papers(self, root):
        """A little of the papers' data sets, with their lists."""
        places = [
            "eurosat/2750/River/1.jpg",
            "eurosat/2750/Forest/1.jpg",
            *(f"fgvc_aircraft/images/{i}.jpg" for i in range(3)),
        ]
        places += [
            f"imagenet/{split}/{wnid}/{wnid}_{i}.JPEG"
            for split in ("train", "val")
            for wnid in ("n01440764", "n01443537")
            for i in range(2)
        ]
        for i, path in enumerate(places):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.random.default_rng(i).integers(0, 255, (20, 20, 3), dtype=np.uint8)).save(root / path)
        rows = [["River/1.jpg", 0, "River"], ["Forest/1.jpg", 1, "Forest"]]
        (root / "eurosat/split_zhou_EuroSAT.json").write_text(
            json.dumps({"train": rows, "val": rows[:1], "test": rows[1:]})
        )
        air = root / "fgvc_aircraft"
        (air / "variants.txt").write_text("A320\nB747\n")
        for i, split in enumerate(("train", "val", "test")):
            (air / f"images_variant_{split}.txt").write_text(f"{i} {'A320' if i else 'B747'}\n")
        (root / "imagenet/1percent.txt").write_text("n01440764_0.JPEG\nn01443537_1.JPEG\n")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    before = os.environ.get("ACTIVEKD_LAB_CACHE")
    yield Files(tmp_path_factory.mktemp("files"))
    os.environ.pop("ACTIVEKD_LAB_CACHE") if before is None else os.environ.update(ACTIVEKD_LAB_CACHE=before)


def spoilt(path, spoil, read, kept):
    """Return a call that reads a spoilt file, and puts the right one back."""

    def call():
        try:
            path.unlink()
            spoil()
            read()
        except ActiveKDError as error:
            if path.name not in str(error) and path.parent.name not in str(error):
                raise ValueError(f"{path.name} is not named: {error}") from error
            raise
        finally:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() and not path.is_symlink() else path.unlink(
                missing_ok=True
            )
            path.write_bytes(kept)

    return call


def test_whole_files_are_read(files):
    for _, read in files.kinds:
        read()


def test_damaged_files(files, capsys):
    cases = []
    for path, read in files.kinds:
        kept = path.read_bytes()
        name = path.relative_to(files.place)
        for what, content in damages(kept):
            cases.append((f"{name}: {what}", spoilt(path, partial(path.write_bytes, content), read, kept), True))
        for what, put in odd_places(path):
            cases.append((f"{name}: {what}", spoilt(path, put, read, kept), True))
    cases = sample(cases, 17)
    assert not report("damaged files", cases, in_workers(cases), capsys)
