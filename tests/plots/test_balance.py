import numpy as np
import pytest
from runs import make_run

from activekd_lab.plots.balance import class_balance, class_balance_data
from activekd_lab.runs.records import Label

pytestmark = pytest.mark.quick


def uneven():
    run = make_run(c=2, rounds=1)
    labels = (
        Label(0, 0, 0, "initial"),
        Label(1, 1, 0, "initial"),
        Label(2, 1, 1, "selector"),
        Label(3, 1, 1, "selector"),
    )
    return type(run)(run.config, run.records, (*labels, Label(9, 0, 0, "validation")), 0.2, ("cat", "dog"))


def test_labels_are_counted_by_class_as_rounds_bring_them():
    data = class_balance_data(uneven())
    assert data.counts.tolist() == [[1, 1], [1, 3]]
    np.testing.assert_allclose(data.evenness, [1, -(0.25 * np.log(0.25) + 0.75 * np.log(0.75)) / np.log(2)])


def test_with_the_pools_counts_its_largest_class_is_on_top_and_each_is_named_with_its_images():
    fig = class_balance(uneven(), pool=[30, 5])
    assert fig.layout.yaxis.ticktext == ("dog · 5", "cat · 30")
    assert fig.data[0].z.tolist() == [[1, 3], [1, 1]]
    assert fig.layout.coloraxis.colorscale[0] == (0, "rgba(53,149,204,0)")  # no label: the page itself


def test_the_class_with_most_labels_is_on_top():
    fig = class_balance(uneven())
    assert fig.layout.yaxis.ticktext == ("cat", "dog")
    assert fig.data[0].z.tolist() == [[1, 1], [1, 3]]
    assert fig.layout.title.text == "Labels by class: pcoreset, seed 0"
    assert "evenness" in fig.to_html(include_plotlyjs=False)
