"""What every notebook of the course begins with, and asks: the drawing of the method and a prediction, by keyboard."""

import nbformat
from looks import problems
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from activekd_lab.plots.diagram import method_diagram

ASK = """import activekd_lab as akd
akd.widgets.Predict("00.hurts", "Without which part is it worst?", ["random picks", "one head", "labels only"])"""
_DARK = "() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"


def test_the_drawing_needs_no_kernel_and_a_prediction_no_mouse(open_notebook, tmp_path):
    start = 'from activekd_lab.course import notebooks\nnotebooks.start("teacher")'
    cells = [new_markdown_cell(method_diagram("teacher").image()), new_code_cell(start), new_code_cell(ASK)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), tmp_path / "page.ipynb")
    tab = open_notebook(tmp_path / "page.ipynb", width=1280, height=1300)
    still = tab.page.locator("img.akd-still")
    assert still.evaluate("image => image.complete && image.naturalWidth") > 0
    tab.screenshot("course-page-still")
    tab.run_all()
    tab.page.locator("svg.akd-m").wait_for()
    assert not still.is_visible(), "the live drawing takes the place of the picture"
    assert tab.page.locator("svg.akd-m .on").count() == 4

    asked = tab.cell(2)
    asked.get_by_text("Not locked yet").wait_for()
    for role, key in (("radio", "ArrowDown"), ("slider", "ArrowRight"), ("button", "")):
        asked.get_by_role(role).first.focus()
        if key:
            tab.page.keyboard.press(key)
    assert problems(tab.page, (255, 255, 255)) == []
    tab.page.keyboard.press("Enter")
    asked.get_by_text("Locked: one head, 40% sure.").wait_for()
    tab.screenshot("course-page-light")
    tab.page.evaluate(_DARK)
    tab.page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'")
    assert problems(tab.page, (17, 17, 17)) == []
    tab.screenshot("course-page-dark")
    assert tab.errors == []
    assert tab.outside == []
