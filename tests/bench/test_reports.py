"""What the bench of reports writes is read as any store is."""

from activekd_lab.bench.reports import write_runs
from activekd_lab.runs.stored import load_runs


def test_made_up_runs_are_whole(tmp_path):
    made = write_runs(tmp_path, 1)  # a seed of every setting
    results, left_out = load_runs([tmp_path])
    assert len(results) == made == 72
    assert not left_out
    assert {len(result.records) for result in results} == {9}
