"""Strategies of scikit-activeml in our loop, and PCoreSet in theirs."""

import sys
import unittest

import numpy as np
import pytest
import torch

pytest.importorskip("skactiveml")
from skactiveml.classifier import SklearnClassifier
from sklearn.linear_model import LogisticRegression

import activekd_lab as akd
from activekd_lab.active.begin import run
from activekd_lab.config import RunConfig
from activekd_lab.errors import SettingError, UnknownNameError
from activekd_lab.selectors import resolve, select
from activekd_lab.selectors.conformance import check_selector, make_view
from activekd_lab.selectors.kcenter import k_center_greedy
from activekd_lab.selectors.query_strategy import PCoreSet


def g(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("CoreSet", {}),
        ("MaxHerding", {}),
        ("RandomSampling", {}),
        ("UncertaintySampling", {"method": "entropy"}),
    ],
)
def test_their_strategies_conform(name, options):
    check_selector(f"skactiveml:{name}", **options)


def test_their_uncertainty_asks_the_student():
    view = make_view(60)
    theirs = select("skactiveml:UncertaintySampling", view, 10, generator=g(), method="entropy")
    assert set(theirs.tolist()) == set(select("entropy", view, 10, generator=g()).tolist())


def test_their_coreset_is_ours():
    view = make_view(90, width=6)
    theirs = select("skactiveml:CoreSet", view, 20, generator=g())
    assert theirs.tolist() == select("coreset", view, 20, generator=g(), metric="euclidean").tolist()


@pytest.mark.parametrize(
    ("name", "options", "kind", "words"),
    [
        ("skactiveml:Facun", {}, UnknownNameError, "nearest first: Falcun"),
        ("skactiveml:QueryByCommittee", {}, SettingError, "needs ensemble, which a run cannot give"),
        ("skactiveml:Falcun", {"gama": 1}, SettingError, "its options are: gamma"),
        ("skactiveml:DropQuery", {}, SettingError, "points that are no images"),
    ],
)
def test_what_cannot_be_is_one_sentence(name, options, kind, words):
    with pytest.raises(kind, match=words) as caught:
        select(name, make_view(40), 3, generator=g(), **options)
    assert "\n" not in str(caught.value)


def test_what_their_code_raises_is_said_in_one_sentence():
    with pytest.raises(SettingError, match=r"skactiveml:Falcun' failed in scikit-activeml: .*Error: .*gamma") as caught:
        select("skactiveml:Falcun", make_view(40), 3, generator=g(), gamma="much")
    assert "\n" not in str(caught.value)


def test_without_the_package_the_command_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "skactiveml", None)
    with pytest.raises(SettingError, match=r"pip install 'activekd_lab\[skactiveml\]'"):
        resolve("skactiveml:Falcun")


def test_a_run_keeps_and_resumes_their_strategy(tiny, tmp_path):
    config = RunConfig(**tiny | {"selector": "skactiveml:Falcun", "selector_options": {"gamma": 4}, "rounds": 1})
    assert ":" not in config.resolve().run_name
    first = run(config, store=tmp_path)
    assert run(config, store=tmp_path).records == first.records
    assert akd.load_run(next(tmp_path.iterdir())).config["selector"] == "skactiveml:Falcun"


def data(seed=0, size=80):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(size, 3))
    y = np.full(size, np.nan)
    y[:6] = [0, 1, 2, 0, 1, 2]
    return x, y, SklearnClassifier(LogisticRegression(), classes=[0, 1, 2], random_state=0)


def test_pcoreset_in_their_loop_covers_what_the_classifier_says():
    x, y, clf = data()
    picked, utilities = PCoreSet(random_state=0).query(x, y, clf, batch_size=9, return_utilities=True)
    p = torch.from_numpy(clf.fit(x, y).predict_proba(x))
    assert (picked - 6).tolist() == k_center_greedy(p[6:], p[:6], 9).indices.tolist()
    assert utilities.shape == (9, 80)
    assert np.isnan(utilities[:, :6]).all()
    assert [np.nanargmax(row) for row in utilities] == picked.tolist()
    assert all(np.isnan(utilities[k, picked[:k]]).all() for k in range(9))


def test_pcoreset_takes_their_kinds_of_candidates_and_a_fitted_classifier():
    x, y, clf = data()
    fitted = clf.fit(x, y)
    by_index = PCoreSet(random_state=0).query(x, y, fitted, fit_clf=False, candidates=[7, 9, 20, 33], batch_size=2)
    by_row, utilities = PCoreSet(random_state=0).query(
        x, y, fitted, fit_clf=False, candidates=x[[7, 9, 20, 33]], batch_size=2, return_utilities=True
    )
    assert by_index.tolist() == np.array([7, 9, 20, 33])[by_row].tolist()
    assert utilities.shape == (2, 4)
    nothing = PCoreSet(random_state=0).query(x, np.full(80, np.nan), fitted, fit_clf=False, batch_size=3)
    assert len(set(nothing.tolist())) == 3


def test_pcoreset_passes_their_own_template():
    """The template is in their repository and not in their wheel: put `skactiveml/tests` there to run this."""
    template = pytest.importorskip("skactiveml.tests.template_query_strategy")
    x, y, clf = data(size=20)

    class Case(template.TemplateSingleAnnotatorPoolQueryStrategy, unittest.TestCase):
        def setUp(self):
            given = {"X": x, "y": y, "clf": clf}
            super().setUp(qs_class=PCoreSet, init_default_params={}, query_default_params_clf=given)

        def test_init_param_metric(self):
            cases = [("cosine", None), ("hellinger", None), ("far", UnknownNameError), (1, SettingError)]
            self._test_param("init", "metric", cases)

        def test_query_param_clf(self):
            super().test_query_param_clf(test_cases=[])

        def test_query(self):
            assert PCoreSet(random_state=0).query(**self.query_default_params_clf, batch_size=2).shape == (2,)

    result = unittest.TextTestRunner().run(unittest.defaultTestLoader.loadTestsFromTestCase(Case))
    assert result.wasSuccessful(), result.failures + result.errors
    assert result.testsRun > 12
