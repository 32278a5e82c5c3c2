import math

import numpy as np
import pytest
import torch
from controls import control
from torch.nn import functional as F

from activekd_lab.errors import SettingError
from activekd_lab.widgets.tug import TugOfWar, pulls


def test_the_arrows_are_the_negative_gradients_of_both_losses():
    z, t, share = torch.tensor([0.3, -1.0, 0.8], dtype=torch.float64, requires_grad=True), [0.2, 0.5, 0.3], 0.3
    label = share * F.cross_entropy(z[None], torch.tensor([2]))
    teacher = (1 - share) * F.kl_div(z.log_softmax(0), torch.tensor(t, dtype=torch.float64), reduction="sum")
    found = pulls(np.array([0, 0, 1.0]), np.array(t), z.softmax(0).detach().numpy(), share)
    for loss, part in ((label, found.label), (teacher, found.teacher)):
        np.testing.assert_allclose(-torch.autograd.grad(loss, z, retain_graph=True)[0].numpy(), part, atol=1e-12)


@pytest.mark.quick
def test_at_rest_one_head_is_torn_and_two_are_not():
    tug = TugOfWar(ce_share=0.25)
    tug.student = [0.25 * y + 0.75 * t for y, t in zip(tug.label, tug.teacher, strict=True)]
    assert tug._pulls().cosine == pytest.approx(-1)
    assert "it rests at cat 36%, dog 19%, fox 45%. It is there" in tug.takeaway()
    tug.one_head = False
    assert tug.takeaway().startswith("Two heads")
    assert math.isnan(pulls(np.ones(3) / 3, np.eye(3)[0], np.ones(3) / 3, 0.5).cosine)


def test_what_is_dragged_reaches_the_words():
    tug = TugOfWar()
    _, drawn, text, _ = tug.view.children
    before = text.value
    drawn.teacher = [0.9, 0.05, 0.05]
    assert tug.teacher == [0.9, 0.05, 0.05]
    assert text.value != before
    control(tug.view, "heads").value = False
    assert "Two heads" in text.value
    still = tug.figure()
    assert [trace.name for trace in still.data if trace.showlegend is not False] == ["label", "teacher"]
    assert still.layout.showlegend is None  # the legend is left on, where no front end draws the names


def test_other_than_three_classes_are_refused():
    with pytest.raises(SettingError, match="three corners, but got 2"):
        TugOfWar(("a", "b"))
