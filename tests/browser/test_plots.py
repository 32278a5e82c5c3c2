"""Every plot in Chromium at two widths: no text overlaps another or is cut off, and the console stays silent."""

from dataclasses import replace
from itertools import product

import looks
import numpy as np
import pytest
from plotly.offline import get_plotlyjs
from runs import make_images, make_run, probabilities

from activekd_lab import plots
from activekd_lab.compare.claims import CLAIMS, Evidence
from activekd_lab.plots.predictions import prediction_gallery
from activekd_lab.plots.theme import use_theme
from activekd_lab.students.mixing import mixing_data

KINDS = ("plain", "dotted", "striped", "shaded", "checkered", "outlined")
SHAPES = ("circle", "ring", "triangle", "square", "cross", "star", "heart", "crescent")
NAMES = tuple(f"{kind} {shape}" for kind, shape in product(KINDS, SHAPES))
NO_PLOTS = {"PoolImages", "method_diagram", "selector_style", "umap_layout", "use_theme", "write_report"}
N, LABELS = 400, np.arange(400) % 48


def run(selector="pcoreset", seed=0, *, c=48, rounds=3, **more):
    made = make_run(selector, seed, c=c, n=N, rounds=rounds, **more)
    return replace(made, class_names=NAMES[:c])


def figures():
    shown, small = run(), run(c=3, rounds=5)
    selectors, methods = {"pcoreset": 0.15, "coreset": 0.12, "random": 0.1}, ("dho", "ce")
    many = [run(s, seed, method=m, gain=selectors[s]) for s, seed, m in product(selectors, (0, 1), methods)]
    teacher, student = probabilities(N, 48, 2.0, 0), probabilities(N, 48, 4.0, 0)
    clusters = teacher.argmax(axis=1) // 4
    evidence = [
        Evidence(c.key, s, 1.0, -0.5, 2.5, 3) for c in CLAIMS for s in ("shapes, zero-shot", "digits, zero-shot")
    ]
    cosines = dict(zip(("one head", "two heads"), np.random.default_rng(0).uniform(-0.5, 0.5, (2, 40)), strict=True))
    return {
        "claim_evidence": plots.claim_evidence(evidence),
        "class_balance": plots.class_balance(shown),
        "prediction_bias": plots.prediction_bias(teacher, student, clusters, NAMES),
        "confusion_groups": plots.confusion_groups(teacher, LABELS, NAMES),
        "gradient_conflict": plots.gradient_conflict(10 * np.arange(40), cosines),
        "coverage": plots.coverage(many[::2]),
        "coverage_spaces": plots.coverage_spaces([run("pcoreset"), run("random", 1)], teacher, student),
        "pick_gallery": plots.pick_gallery(shown, make_images(N), LABELS),
        "learning_curves": plots.learning_curves(many),
        "probability_map-ternary": plots.probability_map(small, labels=LABELS % 3, lines=True, balls=True),
        "probability_map-wheel": plots.probability_map(shown, labels=LABELS, lines=True),
        "probability_map-few": plots.probability_map(run(c=10), labels=LABELS % 10),
        "probability_map-pca": plots.probability_map(shown, projection="pca"),
        "mixing_surface": plots.mixing_surface(mixing_data(np.log(teacher), np.log(student), LABELS)),
        "prediction_gallery": prediction_gallery(make_images(N), LABELS, teacher, NAMES, range(16)),
        "selector_race": plots.selector_race(many),
        "critical_difference": plots.critical_difference(many),
        "selection_scale": plots.selection_scale([12_500, 100_000], [2 * 10**7, 6 * 10**7], [10**9, 8 * 10**9]),
        "selection_steps": plots.selection_steps(small.probabilities(0), [0, 1, 2], range(3, 12), NAMES[:3]),
        "simplex": plots.simplex(np.log(probabilities(N, 3, 2.0, 0)), LABELS % 3, NAMES[:3]),
        "reliability_diagram": plots.reliability_diagram(teacher, LABELS),
    }  # fmt: skip


DRAW = """async ([text, ground]) => { const spec = JSON.parse(text);
  document.body.style.background = ground;
  await Plotly.newPlot('plot', spec.data, spec.layout, {responsive: true});
  if (spec.frames) await Plotly.addFrames('plot', spec.frames);
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))); }"""


@pytest.fixture(scope="module")
def sheet(tmp_path_factory):
    """An empty page with Plotly; a notebook's cell is about 50 pixels narrower than its window, on either side."""
    path = tmp_path_factory.mktemp("plots") / "plots.html"
    body = '<body style="margin:0 50px"><div id="plot"></div>'
    path.write_text(f"<!doctype html><meta charset=utf-8><script>{get_plotlyjs()}</script>{body}", encoding="utf-8")
    return path.as_uri()


def _still(fig):
    """Return a figure as the report draws it, with no slider of Plotly's."""
    fig.layout.sliders = ()
    return fig.to_json()


def test_the_check_sees_an_overlap_and_a_text_that_is_cut_off(open_page, sheet):
    tab = open_page(sheet)
    fig = plots.learning_curves([run()])
    for text, y in (("one", 0.9), ("two", 0.91)):
        fig.add_annotation(text=text, x=0.2, y=y, xref="paper", yref="paper", showarrow=False)
    fig.add_annotation(text="far too long " * 30, x=0.5, y=0.5, xref="paper", yref="paper", textangle=30)
    tab.page.evaluate(DRAW, [fig.to_json(), "white"])
    found = "\n".join(tab.text_problems())
    assert '"one" overlaps "two"' in found
    assert 'far too long" is cut off' in found


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (800, "light"), (800, "dark")])
def test_no_text_overlaps_or_is_cut_off(open_page, sheet, width, theme):
    tab = open_page(sheet, width=width, height=1300)
    found = figures()
    forgotten = set(plots.__all__) - {name.split("-")[0] for name in found} - NO_PLOTS
    assert not forgotten, f"add these plots to figures(): {forgotten}"
    problems, ground = [], {"light": (255, 255, 255), "dark": (23, 29, 38)}[theme]
    for name, fig in found.items():
        assert fig.layout.title.text
        assert fig.layout.title.subtitle.text
        tab.page.evaluate(DRAW, [_still(use_theme(fig, theme)), f"rgb{ground}"])
        tab.screenshot(f"plot-{name}-{width}-{theme}", of=tab.page.locator("#plot"))
        problems += [f"{name}: {text}" for text in [*tab.text_problems(), *looks.problems(tab.page, ground)]]
    assert not problems, "\n".join(problems)
    assert tab.errors == []
    assert tab.outside == []
