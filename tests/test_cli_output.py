"""A bar on a terminal, plain lines elsewhere, and not too many of them."""

import io

import pytest
from rich.console import Console

from activekd_lab import cli_output
from activekd_lab.cli_output import Reporter
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
