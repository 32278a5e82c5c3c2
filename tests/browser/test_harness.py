"""The fixtures themselves: a widget works, and an error in a cell or in the page does not go unseen."""

import pytest

SLIDER = """
import ipywidgets as w
slider = w.IntSlider(description="n", value=3)
text = w.HTML("three")
slider.observe(lambda change: setattr(text, "value", f"now {change.new}"), "value")
w.VBox([slider, text])
"""


def test_a_slider_moved_by_keyboard_reaches_the_kernel_and_back(open_notebook):
    tab = open_notebook([SLIDER])
    tab.run_all()
    handle = tab.cell(0).get_by_role("slider")
    handle.focus()
    handle.press("ArrowRight")
    tab.page.get_by_text("now 4").wait_for()
    tab.screenshot("harness")
    assert tab.errors == []
    assert tab.outside == []


def test_an_error_in_a_callback_is_kept_though_no_cell_shows_it(open_notebook):
    tab = open_notebook([SLIDER.replace('f"now {change.new}"', "1 / 0")])
    tab.run_all()
    handle = tab.cell(0).get_by_role("slider")
    handle.focus()
    with tab.page.expect_event("console", lambda message: "ZeroDivisionError" in message.text):
        handle.press("ArrowRight")
    assert tab.page.get_by_text("three").count()
    assert tab.errors == ["console: kernel: ZeroDivisionError: division by zero"]


def test_a_cell_that_raises_is_reported(open_notebook):
    tab = open_notebook(["1 + 1", "raise ValueError('seen')", "2 + 2"])
    with pytest.raises(AssertionError, match="ValueError: seen"):
        tab.run_all()


def test_warnings_of_a_cell_are_kept(open_notebook):
    tab = open_notebook(["import sys; print('careful', file=sys.stderr)"])
    tab.run_all()
    assert tab.errors == ["stderr: careful\n"]


def test_errors_of_a_page_and_its_requests_are_kept(open_page, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        "<script>console.error('loud'); fetch('http://far.invalid/x').catch(() => { window.over = 1 })</script>"
    )
    tab = open_page(page.as_uri())
    tab.page.wait_for_function("() => window.over")
    assert any("loud" in error for error in tab.errors)
    assert tab.outside == ["http://far.invalid/x"]
