"""Where the lines of the command line go: terminal, log, or nowhere."""

import pytest

from activekd_lab.cli_output import Reporter


@pytest.fixture
def terminal(monkeypatch):
    """Make rich take stderr for a terminal, as it is where only stdout is redirected."""
    monkeypatch.setenv("FORCE_COLOR", "1")


def test_lines_reach_a_redirected_stdout_below_a_progress_line(terminal, capsys):
    with Reporter(quiet=False) as report:
        assert report.status is not None
        report("training")
        report.line("round 0")
    found = capsys.readouterr()
    assert found.out == "round 0\n"
    assert "round 0" not in found.err


def test_lines_stand_above_the_progress_where_both_are_a_terminal(terminal, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with Reporter(quiet=False) as report:
        report.line("round 0")
    found = capsys.readouterr()
    assert found.out == ""
    assert "round 0" in found.err


@pytest.mark.parametrize(("quiet", "rank"), [(True, "0"), (False, "1")])
def test_quiet_and_all_but_the_first_process_say_nothing(terminal, capsys, monkeypatch, quiet, rank):
    monkeypatch.setenv("RANK", rank)
    with Reporter(quiet=quiet) as report:
        report("training")
        report.line("round 0")
    assert capsys.readouterr() == ("", "")
