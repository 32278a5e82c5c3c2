"""The pool strategies of scikit-activeml as selectors: `selector="skactiveml:Falcun"`, its own options passed on."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from activekd_lab.errors import SettingError, UnknownNameError
from activekd_lab.selectors.registry import SELECTORS, Selector
from activekd_lab.selectors.view import PoolView

PREFIX = "skactiveml"
_OURS = ("self", "missing_label", "random_state", "classes")  # said by the run, not by its options
# their generator only breaks ties
_STEADY = ("CoreSet", "ContrastiveAL", "GreedySamplingX", "MaxHerding", "Quire", "UncertaintySampling")
_GIVEN = ("self", "X", "y", "clf", "fit_clf", "candidates", "batch_size")


def skactive(name: str) -> Selector:
    """Return a strategy of `skactiveml.pool` as a Selector.

    It sees the student's features as X, (L + N, D), and the labels as y; where it wants a classifier it gets one that
    answers with the student's probabilities for those rows, fitted already.

    Raises:
        UnknownNameError: no such strategy.
        SettingError: scikit-activeml is not installed, or the strategy needs more than a run can give, such as an
            ensemble.

    Example:
        >>> ids = akd.select("skactiveml:CoreSet", view, 8, generator=torch.Generator())
    """
    try:
        from skactiveml import pool  # noqa: PLC0415  (an extra)
        from skactiveml.base import SingleAnnotatorPoolQueryStrategy  # noqa: PLC0415
    except ImportError:
        raise SettingError(
            f"Selector '{PREFIX}:{name}' needs scikit-activeml; install it: pip install 'activekd_lab[skactiveml]'."
        ) from None
    known = [n for n in pool.__all__ if _queries(getattr(pool, n), SingleAnnotatorPoolQueryStrategy)]
    if name not in known:
        raise UnknownNameError("strategy of scikit-activeml", name, known)
    strategy = getattr(pool, name)
    lacking = _required(strategy.query, _GIVEN) + _required(strategy.__init__, _OURS)
    if lacking:
        raise SettingError(
            f"Selector '{PREFIX}:{name}' needs {' and '.join(lacking)}, which a run cannot give; take a strategy "
            "that is content with features, labels and a classifier."
        )
    lines = (inspect.getdoc(strategy) or name).splitlines()
    return Selector(
        f"{PREFIX}:{name}", lines[0], f"scikit-activeml, {strategy.__module__}", _function(strategy), name in _STEADY
    )


def _queries(member: Any, base: type) -> bool:
    return inspect.isclass(member) and issubclass(member, base)


def _required(function: Callable[..., Any], given: tuple[str, ...]) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.default is p.empty and p.name not in given]


def _function(strategy: Any) -> Callable[..., Tensor]:
    """Return the strategy as a selector's function, whose options are the constructor's."""

    def query(view: PoolView, budget: int, *, generator: torch.Generator, **options: Any) -> Tensor:
        labeled, classes = len(view.labeled_ids), list(range(view.num_classes))
        rows = torch.cat([view.labeled_features, view.features]).double().cpu().numpy()
        labels = np.concatenate([view.labeled_labels.cpu().numpy(), np.full(len(view), np.nan)])
        wanted = inspect.signature(strategy.query).parameters
        given: dict[str, Any] = {"candidates": np.arange(labeled, len(rows)), "batch_size": budget}
        if "clf" in wanted:
            given["clf"] = _classifier(view, rows, classes)
        if "fit_clf" in wanted:
            given["fit_clf"] = False
        if "classes" in inspect.signature(strategy.__init__).parameters:
            options = {"classes": classes, **options}
        seed = int(torch.randint(2**31 - 1, (), generator=generator))
        if budget == len(view):
            return view.ids  # some of theirs fail where nothing is left to choose
        try:
            chosen = strategy(random_state=seed, **options).query(rows, labels, **given)
        except SettingError:
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            raise SettingError(
                f"Selector '{PREFIX}:{strategy.__name__}' failed in scikit-activeml: {reason}"
            ) from error
        return view.ids[torch.from_numpy(np.asarray(chosen, dtype=np.int64)).to(view.ids.device) - labeled]

    own = inspect.signature(query).parameters
    named = inspect.signature(strategy.__init__).parameters.values()
    keywords = [p.replace(kind=p.KEYWORD_ONLY, annotation=p.empty) for p in named if p.name not in _OURS]
    shown = [own["view"], own["budget"], own["generator"], *keywords]
    query.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    return query


def _classifier(view: PoolView, rows: np.ndarray[Any, Any], classes: list[int]) -> Any:
    """Return a classifier that answers with the student's probabilities of the rows it knows."""
    from skactiveml.base import SkactivemlClassifier  # noqa: PLC0415  (an extra)

    probabilities = torch.cat([view.labeled_probabilities, view.probabilities]).double().cpu().numpy()
    probabilities /= probabilities.sum(1, keepdims=True)
    known = {row.tobytes(): p for row, p in zip(rows, probabilities, strict=True)}

    class Student(SkactivemlClassifier):  # type: ignore[misc]
        """The student of the round."""

        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
            """Check the data; the student is trained already."""
            self._validate_data(X=X, y=y, sample_weight=sample_weight)
            return self

        def predict_proba(self, X: Any) -> np.ndarray[Any, Any]:
            """Return (M, C) probabilities of rows of the pool or of labelled rows."""
            asked = [known.get(row.tobytes()) for row in np.ascontiguousarray(X, dtype=np.float64)]
            if any(p is None for p in asked):
                raise SettingError(
                    "The strategy asks for predictions at points that are no images; a stored student's outputs cannot "
                    "answer it. Take another strategy."
                )
            return np.array(asked)

    return Student(classes=classes).fit(rows, np.full(len(rows), np.nan))


SELECTORS.families[PREFIX] = skactive
