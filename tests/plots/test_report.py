import dataclasses
import html
import json
import re

import numpy as np
import pytest
from runs import make_images, make_run

from activekd_lab.compare.tables import compare
from activekd_lab.data import load_task
from activekd_lab.errors import RunFolderError, SettingError
from activekd_lab.plots.accuracies import accuracies, accuracy_table, takeaway
from activekd_lab.plots.report import PoolImages, load_images, write_report


def runs():
    return [make_run(s, seed, gain=g) for s, g in (("random", 0.05), ("pcoreset", 0.1)) for seed in (0, 2)]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    pools = {"toy": PoolImages(make_images(), np.arange(120) % 5)}
    results = [*runs(), make_run(task="<bare>")]
    return write_report(results, tmp_path_factory.mktemp("r") / "deep" / "report.html", pools=pools).read_text()


def specs(page):
    found = re.findall(r'<script type="application/json" id="([^"]+)">(.*?)</script>', page, re.DOTALL)
    return {name: json.loads(text) for name, text in found}


def test_the_best_mean_accuracy_comes_first():
    table = accuracies(runs())
    assert [row.curve.name for row in table.rows] == ["pcoreset", "random"]
    assert table.labels == (5, 10, 15)
    assert table.rows[0].overall == pytest.approx((0.42, 0.04 / np.sqrt(2)))
    assert takeaway(table).startswith(
        "Highest mean accuracy over the rounds: pcoreset, 42.0 ± 2.8 %. Next: random, 37.0 ± 2.8 %, 5.0 points below."
    )


def test_a_single_seed_is_said_to_tell_nothing_of_the_spread():
    assert "no spread is known" in takeaway(accuracies([make_run()]))


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
    assert hoverable <= set(found["toy-map-sheet"]["ids"])


def decode(typed):
    import base64

    return np.frombuffer(base64.b64decode(typed["bdata"]), dtype=typed["dtype"]).tolist()


@pytest.mark.parametrize("name", ["</script><b>", "<!--<script>", "<img src=x onerror=alert(1)>"])
def test_a_name_can_neither_end_nor_begin_anything_in_the_page(name, tmp_path):
    run = make_run(name, rounds=1, task=name)
    evil = dataclasses.replace(run, class_names=(name,) * 5, provenance={name: name})
    page = write_report([evil], tmp_path / "r.html", title=name, note=name).read_text()
    assert name not in page
    assert html.escape(name) in page


def test_one_variant_has_one_mean_and_one_spread_in_the_whole_page():
    done = [*runs(), make_run("random", 5, rounds=1, gain=0.05)]
    done[-1] = dataclasses.replace(done[-1], config=done[-1].config | {"rounds": 4})
    found = accuracies([dataclasses.replace(r, config={"rounds": 2} | r.config) for r in done])
    here = {row[0]: row[-2] for row in accuracy_table(found).rows}
    there = {row[0]: row[1] for row in compare(runs(), "mean")[0].rows}
    assert {name: here[name] for name in ("pcoreset", "random")} == {"pcoreset": "42.0 ± 2.8", "random": "37.0 ± 2.8"}
    assert here.items() >= {name: there[name] for name in ("pcoreset", "random")}.items()
    assert accuracy_table(found).notes == ("1 unfinished runs are left out.",)


def test_maps_are_drawn_of_the_best_few_variants_and_the_page_says_so(tmp_path):
    many = [make_run(f"s{k}", gain=0.1 + 0.01 * k, n=30, rounds=1) for k in range(8)]
    found = write_report(many, tmp_path / "r.html").read_text()
    assert [name for name in specs(found) if "toy-map" in name] == [f"toy-map-{k}" for k in range(6)]
    assert specs(found)["toy-map-0"]["layout"]["title"]["text"] == "Probability map: s7, seed 0"
    assert "are of the 6 best of 8 variants" in found


def test_names_are_escaped_and_missing_pictures_are_said(page):
    assert "<h2>&lt;bare&gt;</h2>" in page
    assert page.count("No pictures: the report was made without the task&#39;s images.") == 1


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


SMALL = {"num_classes": 6, "pool_size": 30, "test_per_class": 1, "val_per_class": 1}


def test_images_are_loaded_for_the_data_sets_that_are_pictured():
    kept = make_run(task="shapes", task_options=SMALL)
    bare = dataclasses.replace(make_run(task="digits", task_options={}), _kept={})
    pools = load_images([bare, kept])
    assert len(pools) == 1
    (pool,) = pools.values()
    assert (pool.images == load_task("shapes", **SMALL).train.images.numpy()).all()
    assert load_images([bare]) == {}


def test_a_data_set_that_is_not_here_has_the_sentence_that_says_so(monkeypatch):
    monkeypatch.delenv("ACTIVEKD_LAB_DATA", raising=False)
    kept, far = make_run(task="shapes", task_options=SMALL), make_run(task="eurosat", task_options={})
    pools = load_images([kept, far])
    assert isinstance(pools["shapes"], PoolImages)
    assert pools["eurosat"].startswith("Where are the data sets?")


def test_an_interrupted_run_with_other_settings_leaves_the_page_of_the_finished_ones(tmp_path):
    done = [make_run(s, seed) for s in ("random", "pcoreset") for seed in (0, 2)]
    begun = make_run("pcoreset", steps=6)
    configs = [{**run.config, "rounds": 2, "steps": 5} for run in done] + [begun.config | {"rounds": 9}]
    runs = [dataclasses.replace(run, config=config) for run, config in zip([*done, begun], configs, strict=True)]
    page = write_report(runs, tmp_path / "r.html").read_text()
    assert "1 unfinished runs are left out." in page


def test_predictions_of_other_images_are_left_out_of_the_pictures_and_said(tmp_path):
    pools = {"toy": PoolImages(make_images(), np.arange(120) % 5)}
    fits, other = make_run(), make_run("random", n=60)
    page = write_report([fits, other], tmp_path / "r.html", pools=pools).read_text()
    assert [name for name in specs(page) if "toy-map-" in name and "sheet" not in name] == ["toy-map-0"]
    assert "holds predictions of other images than the data set has now" in page
