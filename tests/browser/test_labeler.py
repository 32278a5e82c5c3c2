"""Labeler in JupyterLab: twenty images by keyboard alone, the kernel killed in between, and nothing lost."""

import csv

NOTEBOOK = [
    """
import os
import activekd_lab as akd
task = akd.load_task("shapes", num_classes=4, pool_size=80, test_per_class=5, val_per_class=2)
session = akd.LabelSession(task, "{folder}", batch=5, config=akd.RunConfig(device="cpu", steps=2))
print(len(session.labels), "labels found")
""",
    "akd.widgets.Labeler(session)",
]


def label(tab, keys, start):
    box = tab.cell(1).locator(".akd-labeler")
    box.focus()
    for done, key in enumerate(keys, start + 1):
        tab.page.keyboard.press(key)
        box.get_by_text(f"{done} labelled").wait_for()


def test_twenty_images_by_keyboard_and_a_kill_lose_nothing(open_notebook, tmp_path):
    folder = tmp_path / "session"
    sources = [source.replace("{folder}", str(folder)) for source in NOTEBOOK]
    tab = open_notebook(sources, width=1000, height=900)
    tab.run_all()
    label(tab, "1234123412", 0)
    tab.page.keyboard.press("?")
    tab.page.get_by_text("The model says").first.wait_for()
    tab.screenshot("labeler")
    tab.page.keyboard.press("u")
    tab.page.get_by_text("9 labelled").first.wait_for()
    label(tab, "3", 9)
    tab.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.shutdown()")
    assert tab.errors == []

    tab = open_notebook(sources, width=800, height=900)
    tab.run_all()
    tab.page.get_by_text("10 labels found").first.wait_for()
    label(tab, "4321432143", 10)
    tab.screenshot("labeler-800")
    assert tab.errors == []
    rows = list(csv.DictReader((folder / "answers.csv").read_text("utf-8").splitlines()))
    names = {"1": 0, "2": 1, "3": 2, "4": 3}
    known = sorted({row["answer"] for row in rows} - {"(undone)"})
    assert len(rows) == 22  # one was undone and given again: the table only grows
    assert len({row["id"] for row in rows}) == 20
    assert len(known) == len(names)
