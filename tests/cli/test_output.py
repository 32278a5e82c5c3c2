"""Where the lines of the command line go: terminal, log, or nowhere; a bar on a terminal, few lines elsewhere."""

import io

import pytest
from rich.console import Console

from activekd_lab.cli import output as cli_output
from activekd_lab.cli.output import Reporter, print_table
from activekd_lab.progress import Counted


def test_plain_counts_come_only_after_ten_seconds_of_silence(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(cli_output.time, "monotonic", lambda: now[0])
    with Reporter(quiet=False) as report:
        report("encoding")
        for second in range(1, 25):
            now[0] = second
            report(Counted("encoding", second, 30))
        report("training")
    assert capsys.readouterr().err.splitlines() == ["encoding", "encoding: 10 of 30", "encoding: 20 of 30", "training"]


@pytest.mark.parametrize(("done", "bar"), [(0, "╌" * 30), (15, "━" * 15 + "╌" * 15), (30, "━" * 30)], ids=str)
def test_a_terminal_gets_a_bar_and_text_as_it_is(done, bar):
    report = Reporter(quiet=False)
    report.console = Console(file=io.StringIO(), force_terminal=True, width=100)
    report.status = report.console.status("")
    report(Counted("encoding [x]", done, 30))
    shown = Console(width=100).render_str(report.status.status).plain
    assert shown == f"{bar} encoding [x]: {done} of 30"


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


def test_brackets_and_colons_in_a_table_are_text(capsys):
    print_table("digits [test]", ["file [1]"], [["photo[a01].jpg"], ["Random. [control]"], ["a[/b] :smile:"]])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[2:] == ["file [1]", "photo[a01].jpg", "Random. [control]", "a[/b] :smile:"]
    assert lines[0] == "digits [test]"
