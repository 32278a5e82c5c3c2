"""The demo's report opens without a network and draws its figures. `.ci/run` hands over the report of a whole demo."""

import os
from pathlib import Path

import pytest

from activekd_lab.demo import run_demo

KINDS = ("curves", "coverage", "map", "picks")


@pytest.fixture(scope="module")
def report(chromium, tmp_path_factory):
    made = os.environ.get("ACTIVEKD_LAB_REPORT")
    if made:
        return Path(made)
    return run_demo(tmp_path_factory.mktemp("demo"), tasks=("digits",), seeds=1, rounds=1).report


def test_the_report_draws_four_interactive_figures_a_task_without_a_network(open_page, report):
    tab = open_page(report.as_uri(), height=1000)
    tasks = [section.get_attribute("id") for section in tab.page.locator("section").all()]
    assert "digits" in tasks
    for task in tasks:
        blocks = [tab.page.locator(f'#{task} .plot[data-spec="{task}-{kind}-0"]') for kind in KINDS]
        for kind, block in zip(KINDS, blocks, strict=True):
            block.scroll_into_view_if_needed()
            block.locator(".gtitle").wait_for()
            tab.screenshot(f"report-{task}-{kind}", of=block)
        assert tab.page.locator(f"#{task} table").inner_text().count("teacher bundled") == 1
    tab.screenshot("report", full_page=True)
    assert tab.errors == []
    assert tab.outside == []


def test_the_maps_slider_moves_to_another_round(open_page, report):
    tab = open_page(report.as_uri(), height=1000)
    block = tab.page.locator('.plot[data-spec="digits-map-0"]')
    block.scroll_into_view_if_needed()
    block.get_by_text("round 0: 10 labelled").wait_for()
    block.locator(".slider-group .slider-tick, .slider-rail-touch-rect").last.click(force=True)
    block.get_by_text("20 labelled").or_(block.get_by_text("30 labelled")).first.wait_for()
    assert tab.errors == []
