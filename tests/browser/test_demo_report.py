"""The demo's report opens without a network and draws its figures. `.ci/run` hands over the report of a whole demo."""

import os
import re
from pathlib import Path

import pytest

from activekd_lab.cli.demo import run_demo

KINDS = ("curves", "coverage", "map", "picks")


@pytest.fixture(scope="module")
def report(chromium, tmp_path_factory):
    made = os.environ.get("ACTIVEKD_LAB_REPORT")
    if made:
        return Path(made)
    return run_demo(tmp_path_factory.mktemp("demo"), tasks=("digits",), seeds=1, rounds=1).report


def test_the_report_draws_four_interactive_figures_a_task_without_a_network(open_page, report):
    tab = open_page(report.as_uri(), height=1000)
    tasks = [section.get_attribute("id") for section in tab.page.locator("section:has(.plot)").all()]
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
    block.locator("xpath=..").get_by_role("slider").press("End")
    block.get_by_text(re.compile(r": [2-9]0 labelled")).first.wait_for()
    assert tab.errors == []


_PLACE = """plot => { const trace = plot._fullData.find(t => t.name === 'pool'), {xaxis, yaxis} = plot._fullLayout;
  const box = plot.getBoundingClientRect();
  return [box.left + xaxis._offset + xaxis.d2p(trace.x[0]), box.top + yaxis._offset + yaxis.d2p(trace.y[0])]; }"""

_OTHER_TITLE = """([block, title]) => {
  const found = block.querySelector('.gtitle'); return found && found.textContent !== title; }"""


def test_a_point_of_the_map_shows_its_image_and_a_tab_another_run(open_page, report):
    tab = open_page(report.as_uri(), height=1000)
    block = tab.page.locator("#digits .block", has=tab.page.locator('.plot[data-spec="digits-map-0"]'))
    block.scroll_into_view_if_needed()
    plot = block.locator(".js-plotly-plot")
    plot.locator(".gtitle").wait_for()
    x, y = plot.evaluate(_PLACE)
    tab.page.mouse.move(x - 8, y - 8)
    tab.page.mouse.move(x, y, steps=4)
    card = tab.page.locator("#card")
    card.wait_for(state="visible")
    assert "data:image" in card.locator("i").get_attribute("style")
    tab.screenshot("report-hover")

    title, whole = plot.locator(".gtitle").text_content(), block.element_handle()
    block.get_by_role("tab").nth(1).click()
    tab.page.wait_for_function(_OTHER_TITLE, arg=[whole, title])
    assert tab.errors == []
