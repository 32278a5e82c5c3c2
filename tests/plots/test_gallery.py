import numpy as np
import pytest
import torch
from runs import make_images, make_run

from activekd_lab.errors import DataError, SettingError
from activekd_lab.plots.gallery import pick_gallery, pick_gallery_data

LABELS = np.arange(120) % 5


def test_picks_carry_truth_answer_and_distance_to_the_nearest_label():
    run = make_run()
    picks = pick_gallery_data(run, LABELS)[1]
    p, ids = run.probabilities(1), list(run.records[1].picks)
    assert picks.ids.tolist() == ids
    assert picks.true.tolist() == [i % 5 for i in ids]
    assert picks.predicted.tolist() == p[ids].argmax(1).tolist()
    expected = np.linalg.norm(p[ids][:, None] - p[run.labeled_ids(1)][None], axis=2).min(axis=1)
    np.testing.assert_allclose(picks.distance, expected, atol=1e-6)


def test_the_gallery_has_a_picture_and_a_caption_a_pick_and_a_step_a_round():
    fig = pick_gallery(make_run(), make_images(), LABELS)
    assert len(fig.layout.images) == len(fig.data[0].text) == 5
    assert fig.layout.images[0].source.startswith("data:image/webp;base64,")
    assert [step.label for step in fig.layout.sliders[0].steps] == ["0", "1"]
    second = fig.frames[1]
    assert list(second.data[0].customdata) == list(make_run().records[1].picks)
    assert len(second.layout.images) == 5
    assert fig.layout.title.text == "Picked images: pcoreset, seed 0"
    assert pick_gallery(make_run(), torch.from_numpy(make_images()), torch.from_numpy(LABELS)).data[0] == fig.data[0]


def test_rounds_without_picks_and_wrong_images_are_refused():
    with pytest.raises(SettingError, match=r"\(\[0, 1\]\), but got \[2\]"):
        pick_gallery(make_run(), make_images(), LABELS, rounds=[2])
    with pytest.raises(DataError, match=r"uint8 of shape \(B, 3, H, W\), but got float64"):
        pick_gallery(make_run(), make_images().astype(float), LABELS)
