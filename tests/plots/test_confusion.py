import numpy as np
import pytest
import torch

from activekd_lab.errors import SettingError
from activekd_lab.plots import theme
from activekd_lab.plots.confusion import confusion_data, confusion_groups

pytestmark = pytest.mark.quick

NAMES = ("cat", "dog", "car", "bus")
LABELS = np.array([0, 0, 1, 1, 2, 2, 3, 3])
SAID = [0, 1, 1, 0, 2, 3, 3, 3]
P = 0.9 * np.eye(4)[SAID] + 0.025


def test_shares_are_by_true_class_and_the_worst_mistakes_are_named():
    data = confusion_data(P, LABELS, NAMES)
    at = {name: i for i, name in enumerate(data.names)}
    assert data.share[at["cat"], at["dog"]] == 0.5
    assert data.share[at["bus"], at["bus"]] == 1
    assert set(data.worst) == {("cat", "dog", 0.5), ("dog", "cat", 0.5), ("car", "bus", 0.5)}
    assert data.accuracy == 5 / 8


def test_confusable_classes_stand_side_by_side():
    mixed = np.kron(np.eye(2), np.full((2, 2), 0.5)).repeat(5, axis=0)[:, [0, 2, 1, 3]]  # 0 with 2, and 1 with 3
    data = confusion_data(mixed, np.zeros(20, dtype=int), NAMES)
    at = {name: i for i, name in enumerate(data.names)}
    assert (at["cat"] - at["car"]) % 4 in (1, 3)


def test_the_figure_names_both_axes_and_refuses_what_does_not_fit():
    fig = confusion_groups(P, LABELS, NAMES, name="student")
    assert fig.layout.title.text == "Who is taken for whom: student"
    assert fig.layout.xaxis.ticktext == fig.layout.yaxis.ticktext
    assert "accuracy 62.5%" in fig.to_html(include_plotlyjs=False)
    with pytest.raises(SettingError, match=r"shape \(8, 3\), but got \(8, 4\)"):
        confusion_groups(P, LABELS, NAMES[:3])


@pytest.mark.parametrize("side", ["light", "dark"])
def test_a_cell_without_images_shows_the_page(side):
    scale = theme.use_theme(confusion_groups(P, LABELS, NAMES), side).layout.coloraxis
    assert (scale.cmin, scale.colorscale[0]) == (0, (0, "rgba(53,149,204,0)"))


def test_tensors_are_drawn_and_labels_that_are_no_class_refused():
    assert confusion_data(torch.from_numpy(P), torch.from_numpy(LABELS), NAMES).accuracy == 5 / 8
    for labels, shown in ((LABELS - 1, "-1 … 2"), (LABELS + 3, "3 … 6"), (LABELS[:0], "none")):
        with pytest.raises(SettingError, match=f"labels must be classes, 0 … 3, one an image, but got {shown}"):
            confusion_data(P[: len(labels)], labels, NAMES)
