"""The demo, small: one task, one seed, one round; and what it refuses before it computes anything."""

from __future__ import annotations

import pytest

from activekd_lab.cli.demo import SETTINGS, demo_configs, run_demo
from activekd_lab.errors import RunFolderError, UnknownNameError


@pytest.fixture(scope="module")
def small_demo(tmp_path_factory):
    out, said = tmp_path_factory.mktemp("demo"), []
    return out, run_demo(out, tasks=("digits",), seeds=1, rounds=1, processes=1, say=said.append), said


def test_every_setting_has_a_row_and_the_teacher_its_line(small_demo):
    _, outcome, said = small_demo
    (table,) = outcome.tables
    assert "digits" in table.title
    assert table.columns == ("selector", "10 labels", "20 labels", "mean", "classes labelled")
    assert len(table.rows) == len(SETTINGS) + 1
    assert table.rows[-1][0] == "teacher bundled, zero-shot"
    assert said[-2:] == ["6 of 6 runs done: digits, pcoreset, ce, seed 0", "writing the report"]


def test_summary_holds_the_numbers_of_the_table_and_where_the_time_went(small_demo):
    _, outcome, _ = small_demo
    settings = outcome.summary["tasks"]["digits"]["settings"]
    assert {(s["selector"], s["method"]) for s in settings} == set(SETTINGS)
    assert [s["mean_accuracy"] for s in settings] == sorted((s["mean_accuracy"] for s in settings), reverse=True)
    for setting, row in zip(settings, outcome.tables[0].rows, strict=False):
        assert [f"{100 * a:.1f}" for a in setting["accuracy"]] == list(row[1:3])
    assert set(outcome.summary["stages"]) == {"prepare", "train", "predict", "select", "measure"}
    assert sum(outcome.summary["stages"].values()) < outcome.seconds


def test_the_report_and_the_runs_are_on_disk(small_demo):
    out, outcome, _ = small_demo
    assert outcome.report == out / "report.html"
    assert "digits" in outcome.report.read_text("utf-8")
    assert len(list((out / "runs").iterdir())) == len(SETTINGS)


def test_a_second_call_reads_the_runs_instead_of_training(small_demo, monkeypatch):
    out, first, _ = small_demo
    monkeypatch.setattr("activekd_lab.active.rounds.fit", lambda *a, **k: pytest.fail("trained again"))
    again = run_demo(out, tasks=("digits",), seeds=1, rounds=1, processes=1)
    assert again.tables == first.tables
    assert "train" not in again.summary["stages"]


def test_a_folder_that_cannot_be_written_is_refused_before_any_run(tmp_path, monkeypatch):
    monkeypatch.setattr("activekd_lab.cli.demo.run_all", lambda *a, **k: pytest.fail("ran"))
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match=r"The folder .*file cannot be written \(.+\); choose another with --out"):
        run_demo(tmp_path / "file")


def test_an_unknown_task_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UnknownNameError, match=r"Unknown task 'digit'\. Known, nearest first: digits"):
        run_demo(tmp_path / "out", tasks=("digit",))
    assert not (tmp_path / "out").exists()


def test_seeds_and_rounds_reach_the_settings():
    configs = demo_configs("digits", seeds=3, rounds=7)
    assert len(configs) == 3 * len(SETTINGS)
    assert {c.seed for c in configs} == {0, 1, 2}
    assert {c.rounds for c in configs} == {7}
