"""BiasExplorer and SelectorRace in JupyterLab, at two widths: moved by keyboard and by mouse, on real predictions."""

import pytest

NOTEBOOK = [
    """
import activekd_lab as akd
options = {"num_classes": 6, "pool_size": 150, "test_per_class": 5, "val_per_class": 2}
config = akd.RunConfig(task_options=options, rounds=2, budget=4, steps=10, device="cpu")
task, teacher = akd.load_task("shapes", **options), akd.load_teacher("bundled")
logits = {t: teacher.zero_shot(task, [t]).logits(teacher.encode(task.train)) for t in ("a photo of a {}.", "{}")}
result = akd.run(config)
""",
    "akd.widgets.BiasExplorer(logits, result.probabilities(2), task.class_names, count=4)",
    "akd.widgets.SelectorRace(config, ['random', 'pcoreset'])",
]


def drawn(cell, points):
    """Wait until the curves show so many points: the words come first."""
    path = ".scatterlayer .points path"
    cell.page.wait_for_function(
        "([cell, path, n]) => cell.querySelectorAll(path).length === n",
        arg=[cell.element_handle(), path, points],
    )  # fmt: skip


@pytest.mark.parametrize("width", [1280, 800])
def test_clusters_move_and_selectors_race(open_notebook, width):
    tab = open_notebook(NOTEBOOK, width=width, height=1000)
    tab.run_all()
    cell = tab.cell(1)
    cell.get_by_text("4 clusters of 150 images").wait_for()
    clusters = cell.get_by_role("slider").nth(1)
    clusters.focus()
    clusters.press("ArrowRight")
    cell.get_by_text("5 clusters of 150 images").wait_for()
    cell.get_by_label("prompt").select_option("{}")
    cell.get_by_text("with “{}”").wait_for()
    plot = cell.locator(".js-plotly-plot")
    assert abs(plot.bounding_box()["width"] - cell.locator(".jp-OutputArea-output").first.bounding_box()["width"]) < 40
    tab.screenshot(f"bias-explorer-{width}", of=cell)

    cell = tab.cell(2)
    cell.get_by_role("button", name="Run", exact=True).click()
    cell.get_by_text("Done. Round 2 of 2, 14 labels each").wait_for()
    drawn(cell, 6)
    step = cell.get_by_role("slider").first
    step.focus()
    step.press("ArrowLeft")
    cell.get_by_text("Done. Round 1 of 2, 10 labels each").wait_for()
    drawn(cell, 4)
    tab.page.wait_for_timeout(500)
    tab.screenshot(f"selector-race-{width}", of=cell)
    assert tab.errors == []
    assert tab.outside == []
