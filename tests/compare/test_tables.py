import csv
import io
import json
from dataclasses import replace

import pytest
from runs import make_run

from activekd_lab.compare.comparison import differences, ranks, scores
from activekd_lab.compare.reference import published
from activekd_lab.compare.table import Table
from activekd_lab.compare.tables import _p, compare, csv_text, html_page, round_tables
from activekd_lab.errors import SettingError

pytestmark = pytest.mark.quick


def runs(**config):
    names = (("pcoreset", 0.2), ("random", 0.1))
    return [make_run(n, s, task=t, gain=g, **config) for n, g in names for t in ("eurosat", "toy") for s in (0, 1, 2)]


def test_published_figures_are_package_data():
    figures = published()
    assert len(figures) == 17
    assert figures[3][:4] == ("zero_shot_accuracy", "eurosat", "CLIP RN50", "37.52")


def test_a_cell_is_the_mean_with_the_deviation_over_seeds_and_the_best_is_marked():
    accuracy, *_ = compare(runs(), "final")
    assert accuracy.columns == ("variant", "eurosat", "toy")
    assert accuracy.rows[0] == ("pcoreset", "72.0 ± 2.0", "72.0 ± 2.0")  # 70, 72, 74
    assert accuracy.rows[1] == ("random", "52.0 ± 2.0", "52.0 ± 2.0")
    assert accuracy.best == {(0, 1), (0, 2)}
    again, *_ = compare(runs()[::-1], "final")
    assert (again.rows[0], again.best) == (accuracy.rows[0], accuracy.best)
    once = [make_run("a", task=t) for t in ("eurosat", "toy")] + [make_run("b", task="toy", gain=0.11)]
    assert [row[0] for row in compare(once)[0].rows[:2]] == ["b", "a"]  # by the mean of the cells there are


def test_teachers_and_published_figures_stand_below():
    accuracy, *_ = compare(runs())
    assert accuracy.rows[2] == ("teacher bundled, zero-shot", "25.0", "25.0")
    assert accuracy.rows[3] == (
        "published: zero shot accuracy, CLIP RN50 [Tip-Adapter released log]", "37.52", "—",
    )  # fmt: skip
    own = {"eurosat": 0.5, "toy": 0.75}
    found = [replace(run, teacher_accuracy=own[run.config["task"]]) for run in runs()]
    found += [replace(run, config=run.config | {"teacher": "other"}) for run in runs()[:3]]
    rows = [row for row in compare(found)[0].rows if row[0].startswith("teacher")]
    assert rows == [("teacher bundled, zero-shot", "50.0", "75.0"), ("teacher other, zero-shot", "25.0", "—")]


def test_published_figures_stand_beside_a_data_set_whatever_its_options():
    results = [make_run(task="eurosat", task_options=options) for options in ({}, {"imbalance": 2})]
    accuracy, *_ = compare(results)
    assert accuracy.columns[1:] == ("eurosat (default)", "eurosat (imbalance=2)")
    assert [row[1:] for row in accuracy.rows if "CLIP RN50 [Tip" in row[0]] == [("37.52", "37.52")]


def test_missing_cells_and_missing_seeds_are_shown():
    accuracy, *_ = compare([*runs()[:-3], make_run("entropy", 0, task="eurosat")])
    assert {row[0]: row[2] for row in accuracy.rows[:3]}["random"] == "—"
    assert {row[0]: row[1] for row in accuracy.rows[:3]}["entropy"].endswith("[1]")
    assert "2 cells without a score (—)." in accuracy.notes


def test_a_teacher_of_two_accuracies_shows_both_and_runs_that_share_no_labels_have_a_table():
    two = [make_run(seed=s, templates=t) for s, t in enumerate(("class", "task"))]
    accuracy, *_ = compare([two[0], replace(two[1], teacher_accuracy=0.4)])
    assert accuracy.rows[-1][:2] == ("teacher bundled, zero-shot", "25.0 … 40.0")
    late = make_run("random")
    late = replace(late, records=tuple(replace(r, labels=r.labels + 100) for r in late.records))
    accuracy, differences, *_ = compare([make_run("pcoreset"), late])
    assert [row[1] for row in accuracy.rows[:2]] == ["—", "—"]
    assert differences.rows == ()


def test_unfinished_runs_are_left_out_and_said():
    unfinished = replace(make_run("entropy"), config={**make_run("entropy").config, "rounds": 8})
    accuracy, *_ = compare([*runs(), unfinished])
    assert "entropy" not in {row[0] for row in accuracy.rows}
    assert accuracy.notes[0] == "1 of 13 runs are unfinished and left out."
    with pytest.raises(SettingError, match="at least one finished run, but got 1 unfinished"):
        compare([unfinished])


def test_differences_ranks_and_provenance():
    _, differences, ranked, made = compare(runs(), "final")
    assert differences.rows == (
        ("pcoreset", "random", "6", "+20.0", "+20.0 … +20.0", "0.031", "0.031 (≥ 0.031)", "0.031", "yes"),
    )  # fmt: skip
    assert ranked.title.startswith("Who is first, by ")
    assert ranked.rows == (("pcoreset", "2 of 2", "1.00", "nobody"), ("random", "0 of 2", "2.00", "nobody"))
    assert ("seed", "0, 1, 2") in made.rows
    assert ("git_commit", "abc1234") in made.rows


def test_a_difference_that_is_not_shown_is_not_called_one():
    noise = (0.03, -0.02, 0.04, -0.03, 0.01)
    results = [
        make_run(n, s, gain=0.1 + (n == "pcoreset") * noise[s]) for n in ("pcoreset", "random") for s in range(5)
    ]
    (row,) = compare(results, "final")[1].rows
    found = differences(scores(results, "final"), {"selector": "random"}).loc[0]
    assert row[4] == f"{100 * found['low']:+.1f} … {100 * found['high']:+.1f}"
    assert row[4][0] == "-"
    assert row[-1] == "not shown"


@pytest.mark.parametrize(
    ("value", "text"), [(0.0051, "0.005"), (0.001, "0.001"), (0.00099, "< 0.001"), (float("nan"), "—")]
)
def test_p_values_have_three_digits(value, text):
    assert _p(value) == text


def test_without_random_or_a_second_selector_there_is_nothing_to_pair():
    assert len(compare(runs()[:6])) == 2
    methods = [make_run(method=m, seed=s) for m in ("dho", "ce") for s in (0, 1)]
    assert compare(methods, against={"method": "ce"})[1].rows[0][:2] == ("pcoreset · DHO", "pcoreset · labels only")


def test_a_table_for_every_round():
    tables = round_tables(runs())
    assert [table.rows[0][1][:4] for table in tables] == ["32.0", "52.0", "72.0"]
    assert "accuracy after round 1" in tables[1].title
    longer = [make_run("pcoreset", rounds=3), make_run("random", rounds=1)]
    assert [table.rows[1][1] for table in round_tables(longer)] == ["30.0", "40.0", "—", "—"]


def test_markdown_and_latex_escape_what_would_break_them():
    table = compare([make_run("a|b_c", seed=0), make_run("random", seed=0)], "final")[0]
    assert r"| a\|b_c | **50.0** |" in table.markdown()
    assert r"a\textbackslash{}b" in compare([make_run(r"a\b")])[0].latex()
    assert r"a|b\_c & \textbf{50.0} \\" in table.latex()
    assert r"Test accuracy (\%)" in table.latex()
    assert table.latex().count(r"\begin{table}") == table.latex().count(r"\end{table}") == 1


def test_text_is_text_in_a_notebook_too(monkeypatch):
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert Table("title", ["name"], [["a"]]).text() == "title\n\nname\na\n"


def test_a_table_is_text_csv_and_json_of_the_same_cells():
    table = Table("title", ["name", "value"], [["[x]", "a,b"], ["short"]], notes=("note",))
    assert table.text() == "title\n\nname   value\n[x]    a,b\nshort\n\nnote\n"
    assert list(csv.reader(io.StringIO(table.csv()))) == [["name", "value"], ["[x]", "a,b"], ["short", ""]]
    assert json.loads(table.json())["rows"] == [["[x]", "a,b"], ["short", ""]]


def test_html_escapes_names_and_csv_has_numbers_and_empty_cells():
    results = [*runs(), make_run("<b>", task="toy")]
    page = html_page(compare([*results, make_run(task="<i>")], "final"), title="<u>")
    assert "<td>&lt;b&gt;</td>" in page
    assert "<th>&lt;i&gt;</th>" in page
    assert page.count("&lt;u&gt;") == 2
    assert '<td class="best">72.0 <small>± 2.0</small></td>' in page
    assert "<td>52.0 <small>± 2.0</small></td>" in page
    for tag in ("<b>", "<i>", "<u>"):
        assert tag not in page
    unfinished = replace(make_run("entropy"), config={**make_run("entropy").config, "rounds": 8})
    rows = list(csv.DictReader(io.StringIO(csv_text([*results, unfinished], "final"))))
    assert rows[0] == {"variant": "pcoreset", "dataset": "eurosat", "mean": "0.72", "low": "0.670317",
                       "high": "0.769683", "seeds": "3", "sd": "0.02"}  # fmt: skip
    assert rows[-2] == {
        "variant": "<b>",
        "dataset": "eurosat",
        **dict.fromkeys(("mean", "low", "high", "seeds", "sd"), ""),
    }
    assert [row["variant"] for row in rows] == ["pcoreset"] * 2 + ["random"] * 2 + ["<b>"] * 2
    for measure, mean in ((("area",), "0.52"), (("round", 0), "0.32"), (("labels", 10), "0.52")):
        text = csv_text(results, measure[0], at=measure[1] if measure[1:] else None)
        assert next(csv.DictReader(io.StringIO(text)))["mean"] == mean


def test_three_selectors_have_friedmans_p():
    gains = (("a", 0.1), ("b", 0.12), ("random", 0.14))
    results = [make_run(name, seed, gain=gain) for name, gain in gains for seed in range(4)]
    (note,) = compare(results, "final")[2].notes
    p = ranks(scores(results, "final")).p_value
    assert f"Friedman's p = {p:.3g}." in note
    assert "Mean ranks over 4 blocks" in note
    assert "Friedman" not in compare(results[4:], "final")[2].notes[0]


def test_no_text_of_a_table_is_a_command_to_a_terminal_or_a_tag_of_a_page():
    evil = "\x1b[2J\x9b<b>|"
    table = Table(evil, [evil, "n"], [[evil + "\nrow", 1]], (evil,))
    for text in (table.text(), table.markdown(), table.latex(), table.html(), table.csv(), table.json()):
        assert "\x1b" not in text
        assert "\x9b" not in text
    assert "<b>" not in table.markdown()
    assert len(table.markdown().splitlines()) == 7  # title, three lines of the table, note
