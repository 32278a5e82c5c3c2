"""Long stages say how far they are: as often as a person wants to know, and through every layer."""

import itertools
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from activekd_lab import progress
from activekd_lab.active.begin import run, start
from activekd_lab.active.prepare import prepare
from activekd_lab.config import RunConfig
from activekd_lab.data import load_task
from activekd_lab.progress import Counted, counted

SMALL = {"backbone": "small_cnn", "image_size": 32, "teacher_views": 2}


@pytest.fixture
def clock(monkeypatch):
    """Time passes by five seconds whenever somebody looks."""
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=itertools.count(0, 5).__next__))


def test_a_count_is_said_at_most_once_in_a_while_and_not_at_the_end(monkeypatch):
    now, said = [0.0], []
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    count = counted(said.append, "reading", every=2)
    for done in range(1, 8):
        now[0] += 1
        count(done * 1000, 6000)
    assert said == ["reading: 2,000 of 6,000", "reading: 4,000 of 6,000"]
    assert (said[1].done, said[1].total) == (4000, 6000)


@pytest.mark.parametrize(("options", "stage"), [
    ({}, "computing backbone features: 64 of 80"),
    (SMALL, "encoding 2 views an image with the teacher: 112 of 160"),
])  # fmt: skip
def test_every_long_stage_of_a_run_counts(options, stage, tiny, clock, monkeypatch, tmp_path):
    monkeypatch.setenv("ACTIVEKD_LAB_CACHE", str(tmp_path))
    said = []
    run = start(RunConfig(**tiny | {"rounds": 0, "steps": 3} | options), progress=said.append)
    list(run)
    found = [text for text in said if isinstance(text, Counted)]
    assert "encoding images with the teacher: 16 of 80" in found
    assert stage in found
    assert "round 0: training on 4 labels, step: 2 of 3" in found


def test_prediction_counts_batches(tiny, clock):
    config, seen = RunConfig(**tiny | {"backbone": "small_cnn"}), []
    run = start(config)
    student = run.prepared.new_student(torch.Generator())
    run.prepared.predict(student, lambda done, total: seen.append((done, total)))
    assert seen == [(80, 80), (20, 20)]


def test_decoding_counts_for_a_task_made_by_name(clock, monkeypatch, tmp_path):
    monkeypatch.setenv("ACTIVEKD_LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("activekd_lab.data.decode._CHUNK", 4)
    for i in range(20):
        folder = tmp_path / "photos" / ("red", "blue")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), i, np.uint8)).save(folder / f"{i:02}.png")
    said, options = [], {"path": str(tmp_path / "photos"), "image_size": 16}
    prepare(
        RunConfig(task="folder", task_options=options, device="cpu", rounds=0, freeze_backbone=False),
        progress=said.append,
    )
    assert "decoding images: 4 of 20" in said
    said.clear()
    load_task("folder", **options | {"image_size": 24})  # nobody watches any more
    assert said == []


class Shown:
    """What `IPython.display.display` showed, and what became of it."""

    def __init__(self):
        self.texts = []

    def display(self, data, *, raw, display_id=None):
        self.texts.append(data)
        return SimpleNamespace(update=lambda new, raw: self.texts.__setitem__(-1, new))


@pytest.fixture
def cell(monkeypatch):
    """A notebook's cell, as far as a library can tell."""
    found = Shown()
    monkeypatch.setattr(progress.CellLine, "handles", {})
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel=object(), execution_count=3))
    monkeypatch.setattr("IPython.display.display", found.display)
    return found


def test_a_run_in_a_notebook_has_one_line_that_ends_with_its_time(cell, clock, tiny):
    run(RunConfig(**tiny | {"rounds": 1}))
    run(RunConfig(**tiny | {"rounds": 1}))
    assert len(cell.texts) == 1
    assert cell.texts[0]["text/plain"].startswith("done in ")
    before = cell.texts.copy()
    run(RunConfig(**tiny | {"rounds": 1}), progress=progress.silent)
    assert cell.texts == before


def test_the_line_of_a_cell_counts_and_escapes_and_keeps_remarks(cell, clock):
    with progress.shown(None) as say:
        say(Counted("<b>", 3, 4))
        assert cell.texts[0]["text/html"] == (
            '<div role="status">&lt;b&gt;: 3 of 4 <progress value="3" max="4"></progress></div>'
        )
        say(progress.Remark("2 files were left out"))
        assert cell.texts[1] == {"text/plain": "2 files were left out"}


def test_what_is_quick_shows_nothing_and_a_thread_of_a_widget_neither(cell):
    with progress.shown(None) as say:
        say("quick")
    found = []
    thread = threading.Thread(target=lambda: found.append(progress.shown(None).__enter__()))
    thread.start()
    thread.join()
    assert found == [progress.silent]
    assert not cell.texts
