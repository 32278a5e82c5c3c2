"""Labels alone need no teacher: none is loaded, nothing is encoded, and its figures are absent, not zero."""

import json

import numpy as np
import pytest
import torch

import activekd_lab as akd
from activekd_lab.active import prepare as preparing
from activekd_lab.active.prepare import asks_teacher
from activekd_lab.compare.tables import compare
from activekd_lab.errors import SettingError
from activekd_lab.plots.accuracies import accuracies, accuracy_table, takeaway
from activekd_lab.plots.learning import learning_curve_data
from activekd_lab.plots.report import write_report
from activekd_lab.runs.folder import load_run
from activekd_lab.students.methods import find_method


@pytest.fixture
def blind(monkeypatch):
    """Nobody loads a teacher."""
    monkeypatch.setattr(preparing, "load_run_teacher", lambda *_: pytest.fail("a teacher was loaded"))


@pytest.mark.parametrize("frozen", [True, False])
def test_a_run_on_labels_alone_encodes_nothing_and_finds_the_same(tiny, frozen, monkeypatch, tmp_path):
    size = {} if frozen else {"backbone": "small_cnn", "image_size": 32}
    config = akd.RunConfig(**tiny | {"rounds": 1, "steps": 3}, method="ce", freeze_backbone=frozen, **size)
    asked = akd.active.ActiveRun(akd.prepare(config, ask=True))
    before = [r.to_json() for r in asked]
    assert asked.result().teacher_accuracy > 0
    monkeypatch.setattr(preparing, "load_run_teacher", lambda *_: pytest.fail("a teacher was loaded"))
    said = []
    result = akd.run(config, store=tmp_path, progress=said.append)
    assert [r.to_json() for r in result.records] == before
    assert not [text for text in said if "teacher" in text and "encoding" in text]
    assert (result.teacher_accuracy, result.teacher_start) == (None, None)
    stored = load_run(result.folder)
    assert (stored.teacher_accuracy, stored.records) == (None, result.records)
    assert json.loads((result.folder / "config.json").read_text())["teacher_fingerprint"] is None
    assert akd.run(config, store=tmp_path).records == result.records


def test_tables_curves_and_the_report_leave_an_absent_teacher_out(tiny, tmp_path):
    settings = tiny | {"rounds": 1, "steps": 3}
    alone, taught = (akd.run(akd.RunConfig(**settings, method=method)) for method in ("ce", "dho"))
    assert accuracies([alone]).teachers == learning_curve_data([alone]).teachers == {}
    assert "teacher" not in takeaway(accuracies([alone])) + accuracy_table(accuracies([alone])).text()
    for order in ([alone, taught], [taught, alone]):
        assert accuracies(order).teachers == learning_curve_data(order).teachers == {"bundled": taught.teacher_accuracy}
        assert f"{100 * taught.teacher_accuracy:.1f}" in compare(order, "mean")[0].text()
    assert "zero-shot" not in write_report([alone], tmp_path / "a.html").read_text("utf-8").partition("<script")[0]


def test_features_without_a_teacher_are_enough(blind):
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = (np.eye(3)[y] + 0.1 * rng.normal(size=(60, 3))).astype(np.float32)
    task = akd.task_from(features=x, labels=y, test=x, test_labels=y, class_names=["a", "b", "c"])
    result = akd.run(akd.RunConfig(rounds=1, budget=3, steps=30, method="ce", device="cpu"), task=task)
    assert result.final_accuracy > 0.9
    prepared = akd.prepare(akd.RunConfig(method="ce", device="cpu"), task=task)
    for name in ("teacher", "zero_shot", "embeddings", "teacher_probabilities"):
        with pytest.raises(
            SettingError, match=r"No teacher was asked, since method='ce' learns .*; prepare with ask=True"
        ):
            getattr(prepared, name)


def test_who_may_look_at_the_teacher_is_asked_for_it(tiny):
    def asks(**settings):
        config = akd.RunConfig(**tiny | settings).resolve()
        return asks_teacher(config, find_method(config.method))

    assert [asks(method=method) for method in ("dho", "single_head", "kd", "ce")] == [True, True, True, False]
    assert asks(method="ce", selector_options={"probabilities": "teacher"})
    assert not asks(method="ce", selector_options={"probabilities": "ce"})
    assert not asks(method="ce", selector="badge")

    def own(view, budget, *, generator):
        """Where the student is furthest from the teacher."""
        gaps = (view.probabilities - view.teacher_probabilities).abs().sum(1)
        return view.ids[gaps.argsort(descending=True)[:budget]]

    result = akd.run(akd.RunConfig(**tiny | {"rounds": 1, "steps": 3}, method="ce"), selector=own)
    assert result.teacher_accuracy > 0
    view = next(iter(active := akd.active.start(akd.RunConfig(**tiny, method="ce")))) and active.view
    assert view.teacher_probabilities is view.labeled_teacher_probabilities is None
    assert torch.isfinite(view.probabilities).all()
