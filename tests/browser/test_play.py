"""PickYourself and FailureGallery in JupyterLab: by mouse and by keyboard, light and dark, at two widths."""

from looks import problems

NOTEBOOK = [
    """
import activekd_lab as akd
options = {"num_classes": 5, "pool_size": 150, "test_per_class": 10, "val_per_class": 2}
active = akd.active.ActiveRun(akd.prepare(akd.RunConfig(task_options=options, budget=8, rounds=1, steps=20)))
next(iter(active)).accuracy
""",
    "akd.widgets.PickYourself(active, budget=3, draws=2)",
    "akd.widgets.FailureGallery(active.prepared, rounds=1, seeds=1)",
]
_DARK = "() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"
_PLACE = """(plot, n) => { const {xaxis, yaxis, _size} = plot._fullLayout, {left, top} = plot.getBoundingClientRect(),
  {x, y} = plot._fullData[1]; return [left + _size.l + xaxis.d2p(x[n]), top + _size.t + yaxis.d2p(y[n])]; }"""


def look(tab, ground, name):
    """Look at both widgets as they are: contrast, focus and names, texts; and keep a picture of each."""
    for number, widget in ((1, "pick-yourself"), (2, "failure-gallery")):
        cell = tab.cell(number)
        tab.page.wait_for_timeout(1500)  # the theme, and figures that are drawn again for their width
        assert tab.text_problems() == []
        assert problems(tab.page, ground) == []
        tab.screenshot(f"{widget}-{name}", of=cell)


def test_images_are_picked_and_raced_and_the_method_is_broken(open_notebook):
    tab = open_notebook(NOTEBOOK, width=1280, height=2600)
    tab.page.evaluate("() => window.jupyterapp.shell.expandLeft()")
    tab.run_all()
    cell = tab.cell(1)
    cell.get_by_text("0 of 3 picked.").wait_for()
    plot = cell.locator(".js-plotly-plot").first
    plot.locator(".gtitle").wait_for()
    tab.page.mouse.click(*plot.evaluate(_PLACE, 7))
    cell.get_by_text("1 of 3 picked.").wait_for()
    lines = cell.get_by_role("listbox")
    lines.focus()
    for _ in range(2):
        tab.page.keyboard.press("ArrowDown")
        cell.get_by_role("button", name="Pick", exact=True).press("Enter")
        cell.get_by_role("button", name="Take back").wait_for()
        lines.focus()
    cell.get_by_text("3 of 3 picked.").wait_for()
    cell.get_by_role("button", name="Train").press("Enter")
    cell.get_by_text("of 2 random draws").wait_for()

    cell = tab.cell(2)
    cell.get_by_label("failure").select_option("noisy labels")
    level = cell.get_by_role("slider")
    level.focus()
    level.press("ArrowRight")
    cell.get_by_text("points from random").wait_for()
    cell.locator(".js-plotly-plot .gtitle", has_text="noisy labels").wait_for()
    look(tab, (255, 255, 255), "1280")
    tab.page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
    tab.page.set_viewport_size({"width": 800, "height": 2600})
    look(tab, (255, 255, 255), "800")
    tab.page.evaluate(_DARK)
    tab.page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'")
    look(tab, (17, 17, 17), "800-dark")
    assert tab.errors == []
    assert tab.outside == []
