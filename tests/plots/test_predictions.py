"""Images with a model's answers: the tuple by hand, the title, one render, and what is refused."""

import numpy as np
import pytest
from runs import make_images

from activekd_lab.errors import SettingError
from activekd_lab.plots.predictions import prediction_gallery, predictions_data

P = np.array([[0.8, 0.2], [0.5, 0.5], [0.1, 0.9]], dtype=np.float32)
LABELS = np.array([0, 1, 0])


def test_the_tuple_holds_truth_answer_and_confidence():
    data = predictions_data(P, LABELS, [2, 0])
    assert data.true.tolist() == [0, 0]
    assert data.predicted.tolist() == [1, 0]
    np.testing.assert_allclose(data.confidence, [0.9, 0.8])
    assert data.entropy[0] < data.entropy[1] < 1


def test_the_title_counts_the_right_answers_and_every_image_is_drawn():
    fig = prediction_gallery(make_images(3), LABELS, P, ("cat", "dog"), [0, 2], title="The teacher")
    assert fig.layout.title.text == "The teacher: 1 of 2 right"
    assert len(fig.layout.images) == 2
    assert fig.data[0].hovertext[1] == "image 2<br>true: cat<br>answer: dog, 90%"
    assert "infinite" not in fig.to_json()


def test_an_unknown_class_is_neither_right_nor_wrong():
    fig = prediction_gallery(make_images(3), np.array([0, -1, -1]), P, ("cat", "dog"), [0, 2], title="The teacher")
    assert fig.layout.title.text == "The teacher: 1 of 1 right"
    assert fig.data[0].text[1].startswith("<b>?</b><br>dog")
    assert fig.data[0].hovertext[1] == "image 2<br>true: ?<br>answer: dog, 90%"
    assert prediction_gallery(make_images(3), np.full(3, -1), P, ("cat", "dog"), [0]).layout.title.text == "Predictions"


@pytest.mark.parametrize("ids", [[], [3], [-1]])
def test_ids_outside_are_refused(ids):
    with pytest.raises(SettingError, match=r"ids must be some of 0 … 2, but got"):
        prediction_gallery(make_images(3), LABELS, P, ("cat", "dog"), ids)
