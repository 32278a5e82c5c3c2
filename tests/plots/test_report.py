import json
import re

import numpy as np
import pytest
from runs import make_images, make_run

from activekd_lab.errors import RunFolderError, SettingError
from activekd_lab.plots import Pool, write_report
from activekd_lab.plots.report_table import table_data, takeaway


def runs():
    return [make_run(s, seed, gain=g) for s, g in (("random", 0.05), ("pcoreset", 0.1)) for seed in (0, 2)]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    pools = {"toy": Pool(make_images(), np.arange(120) % 5)}
    results = [*runs(), make_run(task="<bare>")]
    return write_report(results, tmp_path_factory.mktemp("r") / "deep" / "report.html", pools=pools).read_text()


def specs(page):
    found = re.findall(r'<script type="application/json" id="([^"]+)">(.*?)</script>', page, re.DOTALL)
    return {name: json.loads(text) for name, text in found}


def test_the_best_mean_accuracy_comes_first():
    table = table_data(runs())
    assert [row.curve.name for row in table.rows] == ["pcoreset", "random"]
    assert table.labels == (5, 10, 15)
    assert table.rows[0].overall == pytest.approx((0.42, 0.04 / np.sqrt(2)))
    assert takeaway(table).startswith(
        "Highest mean accuracy over the rounds: pcoreset, 42.0 ± 2.8 %. Next: random, 37.0 ± 2.8 %, 5.0 points below."
    )


def test_a_single_seed_is_said_to_tell_nothing_of_the_spread():
    assert "no spread is known" in takeaway(table_data([make_run()]))


def test_the_page_compares_the_variants_and_says_how_they_were_made(page):
    assert "<td>pcoreset</td><td>random</td><td>2</td>" in page  # paired differences
    assert "<td>seed</td><td>0, 2</td>" in page
    assert "<td>git_commit</td><td>abc1234</td>" in page


def test_the_page_needs_no_network_and_carries_plotly_once(page):
    assert page.count("plotly.js v") == 1
    assert not re.findall(r'<(?:script|link|img)[^>]+(?:src|href)=["\']?http', page)


def test_every_task_has_its_figures_with_a_tab_a_selector(page):
    found = specs(page)
    assert {"toy-curves-0", "toy-coverage-0", "toy-map-0", "toy-map-1", "toy-picks-0", "toy-picks-1"} <= set(found)
    assert "frames" in found["toy-map-1"]
    assert found["toy-map-0"]["layout"]["title"]["text"] == "Probability map: pcoreset, seed 0"  # the best comes first
    assert found["toy-curves-0"]["layout"].get("template") is None
    assert page.count('role="tab"') == 4
    hoverable = {i for trace in found["toy-map-0"]["data"][2:4] for i in decode(trace["customdata"])}
    assert hoverable <= set(found["toy-sheet"]["ids"])


def decode(typed):
    import base64

    return np.frombuffer(base64.b64decode(typed["bdata"]), dtype=typed["dtype"]).tolist()


def test_a_name_cannot_end_the_script_it_stands_in(tmp_path):
    run = make_run(rounds=1)
    evil = type(run)(run.config, run.records, run.labels, 0.2, ("</script><b>",) * 5, _kept=run._kept)
    page = write_report([evil], tmp_path / "r.html").read_text()
    assert "</script><b>" not in page


def test_maps_are_drawn_of_the_best_few_variants_and_the_page_says_so(tmp_path):
    many = [make_run(f"s{k}", gain=0.1 + 0.01 * k, n=30, rounds=1) for k in range(8)]
    found = write_report(many, tmp_path / "r.html").read_text()
    assert [name for name in specs(found) if "toy-map" in name] == [f"toy-map-{k}" for k in range(6)]
    assert specs(found)["toy-map-0"]["layout"]["title"]["text"] == "Probability map: s7, seed 0"
    assert "are of the 6 best of 8 variants" in found


def test_names_are_escaped_and_missing_pictures_are_said(page):
    assert "<h2>&lt;bare&gt;</h2>" in page
    assert page.count("No pictures: the report was made without the task's images.") == 1


def test_nothing_to_report_and_an_unwritable_path_are_refused(tmp_path):
    with pytest.raises(SettingError, match="at least one finished round"):
        write_report([], tmp_path / "r.html")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot be written"):
        write_report([make_run(rounds=0)], tmp_path / "file" / "r.html")


def test_many_variants_get_a_figure_for_all_selectors_taught_alike(tmp_path):
    several = [make_run(f"s{i}", method=method) for i in range(7) for method in ("dho", "ce")]
    curves = [name for name in specs(write_report(several, tmp_path / "r.html").read_text()) if "toy-curves" in name]
    assert len(curves) == 2  # one of DHO, one of labels only, 7 lines each
