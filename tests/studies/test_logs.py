"""What sweeps remember: whole lines of one form, and one sentence for any other."""

import json

import pytest

from activekd_lab.config import RunConfig
from activekd_lab.errors import RunFolderError
from activekd_lab.studies import logs
from activekd_lab.studies.workers import JobOutcome

pytestmark = pytest.mark.quick


@pytest.fixture
def times(tmp_path, monkeypatch):
    monkeypatch.setenv("ACTIVEKD_LAB_CACHE", str(tmp_path))
    return tmp_path / "job-times.jsonl"


def test_times_are_kept_by_kind_and_only_the_last_ones(times, monkeypatch):
    monkeypatch.setattr(logs, "_MOST_TIMES", 3)
    for seconds in (1.0, 2.0, 3.04, 4.0):
        logs.remember(RunConfig(seed=int(seconds)), seconds)  # a seed changes no cost
    assert list(logs.earlier_times().values()) == [[2.0, 3.0, 4.0]]
    logs.remember(RunConfig(rounds=1), 9.0)
    assert logs.earlier_times()[logs.kind(RunConfig(rounds=1))] == [9.0]


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"kind": "a"}', '{"kind": 1, "seconds": 2}', '{"kind": "a", "seconds": "x"}', "1" * 5000, "["]
)
def test_a_damaged_line_is_a_sentence_with_its_number(times, line):
    times.write_text(json.dumps({"kind": "a", "seconds": 1}) + "\n" + line + "\n")
    with pytest.raises(RunFolderError, match=r"^Line 2 of .*job-times\.jsonl is damaged \(.*\); remove it\.$"):
        logs.earlier_times()


def test_the_last_error_of_a_job_counts(tmp_path):
    for status, error in (("failed", "why"), ("failed", "why else")):
        logs.note(tmp_path, JobOutcome("a", status, 1.0, 1, error))
    logs.note(tmp_path, JobOutcome("b", "failed", 1.0, 1, "odd"))
    logs.note(tmp_path, JobOutcome("b", "finished", 1.0, 1, ""))
    assert logs.last_errors(tmp_path) == {"a": "why else"}
    (tmp_path / "log.jsonl").write_bytes(b"\xff\n")
    with pytest.raises(RunFolderError, match=r"Line 1 of .*log\.jsonl is damaged \(not UTF-8\)"):
        logs.last_errors(tmp_path)
