import numpy as np
import pytest

from activekd_lab.errors import SettingError
from activekd_lab.plots.steps import selection_steps, selection_steps_data

pytestmark = pytest.mark.quick

CORNERS_AND_MIDDLE = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1 / 3, 1 / 3, 1 / 3]])


def test_radii_and_distances_along_the_picks():
    data = selection_steps_data(CORNERS_AND_MIDDLE, [0], [1, 2])
    np.testing.assert_allclose(data.radii, [2**0.5, 2**0.5, (2 / 3) ** 0.5])
    np.testing.assert_allclose(data.distance[1], [0, 0, 2**0.5, (2 / 3) ** 0.5], atol=1e-7)


def test_the_plane_shows_distances_as_they_are():
    rows = np.random.default_rng(0).dirichlet([1, 1, 1], 50)
    data = selection_steps_data(rows, [0], [1])
    in_plane = np.linalg.norm(data.positions - data.positions[0], axis=1)
    np.testing.assert_allclose(in_plane, data.scale * np.linalg.norm(rows - rows[0], axis=1), rtol=1e-4, atol=1e-6)


def test_a_stop_for_every_pick_and_a_disc_around_every_centre():
    fig = selection_steps(CORNERS_AND_MIDDLE, [0], [1, 2], ["a", "b", "c"])
    assert [step.label for step in fig.layout.sliders[0].steps] == ["0", "1", "2"]
    assert [frame.data[0].name for frame in fig.frames] == [f"covering radius {r}" for r in ("1.414", "1.414", "0.816")]
    discs = [int(np.isnan(frame.data[0].x).sum()) for frame in fig.frames]
    assert discs == [1, 2, 3]
    outline = np.array([fig.frames[2].data[0].x[:49], fig.frames[2].data[0].y[:49]]).T
    radius = np.linalg.norm(outline - outline[:48].mean(axis=0), axis=1)
    np.testing.assert_allclose(radius, 1, rtol=1e-5)  # from a corner to the middle, the image that is covered worst


@pytest.mark.parametrize(("rows", "labeled"), [(np.eye(4), [0]), (np.eye(3), [])])
def test_other_than_three_classes_or_no_label_are_refused(rows, labeled):
    with pytest.raises(SettingError, match="must be \\(N, 3\\), three classes, with at least one label"):
        selection_steps(rows, labeled, [1], ["a", "b", "c"])
