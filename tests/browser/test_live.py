"""LiveRun in JupyterLab: a real, tiny run is started, watched and finished with the mouse."""

NOTEBOOK = [
    """
import activekd_lab as akd
options = {"num_classes": 4, "pool_size": 80, "test_per_class": 5, "val_per_class": 2}
config = akd.RunConfig(task="shapes", task_options=options, rounds=3, budget=4, steps=10, device="cpu")
""",
    "live = akd.widgets.LiveRun(lambda cancel: akd.iterate(config, cancel=cancel), rounds=3)\nlive",
    """long = config.with_(steps=1_000_000)
slow = akd.widgets.LiveRun(lambda cancel: akd.iterate(long, cancel=cancel), rounds=3)
slow""",
]


def test_a_run_grows_its_curve_and_can_be_cancelled(open_notebook):
    tab = open_notebook(NOTEBOOK, width=900, height=900)
    tab.run_all()
    cell = tab.cell(1)
    tab.page.get_by_text("Ready: 3 query rounds to come.").first.wait_for()
    cell.get_by_role("button", name="Run").click()
    tab.page.get_by_text("Done: round 3 of 3, 16 labels").first.wait_for()
    assert cell.locator(".scatterlayer .points path").count() == 4
    tab.screenshot("live-run")
    endless = tab.cell(2)
    endless.get_by_role("button", name="Run").click()
    endless.get_by_role("button", name="Cancel").click()
    tab.page.get_by_text("Cancelled").first.wait_for()
    assert tab.errors == []
