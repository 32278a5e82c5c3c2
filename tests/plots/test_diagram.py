"""The drawing of the method: well-formed, one part lit, explained, with the shapes of a run."""

import re
from base64 import b64decode
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
import torch

from activekd_lab.errors import UnknownNameError
from activekd_lab.plots.diagram import BOXES, LIT, method_diagram

pytestmark = pytest.mark.quick
SVG = "{http://www.w3.org/2000/svg}"


def groups(drawn, kind):
    return [g.find(f"{SVG}title").text for g in drawn.iter(f"{SVG}g") if g.get("class") == kind and len(g) > 1]


@pytest.mark.parametrize("part", LIT)
def test_the_part_is_lit_and_every_box_explained(part):
    drawn = ElementTree.fromstring(method_diagram(part).svg())
    lit = groups(drawn, "on")
    assert lit == [box.tip for key, box in BOXES.items() if key in LIT[part]]
    assert drawn.get("role") == "img"
    assert all(BOXES[key].words.replace("|", " ") in drawn.get("aria-label") for key in LIT[part])


def test_a_run_adds_the_shapes_of_its_tensors():
    taught = SimpleNamespace(probabilities=torch.zeros(9, 3), embeddings=torch.zeros(9, 5), accuracy=0.418)
    task = SimpleNamespace(class_names=["wavy <river>", "b", "c"], train=range(9))
    parts = SimpleNamespace(taught=taught, task=task)
    view = SimpleNamespace(ids=range(6), features=torch.zeros(6, 4), probabilities=torch.zeros(6, 3))
    run = SimpleNamespace(
        prepared=parts, view=view, records=[SimpleNamespace(labels=3, accuracy=0.5, round=0)], budget=2,
        config=SimpleNamespace(selector="random", run_name="r-1"),
    )  # fmt: skip
    found = method_diagram("loop", run)
    titles = [title.text for title in ElementTree.fromstring(found.svg()).iter(f"{SVG}title")]
    for text in ("(9, 5)", "(9, 3), right on 41.8%", "(6, 4)", "6 of 9", "wavy <river>", "50.0% in round 0"):
        assert [title for title in titles if text in title], text
    assert "right on 41.8%" in found.alt
    parts.taught = None
    assert not {"teacher", "image"} & method_diagram("loop", run).found.keys(), "no teacher was asked"
    assert method_diagram("loop", SimpleNamespace(view=None)).found == {}, "nothing was trained yet"


def test_the_picture_for_a_text_stands_alone_and_the_live_one_takes_its_place():
    picture = method_diagram("teacher").image()
    assert "\n" not in picture, "a line break ends Markdown's HTML"
    inside = b64decode(picture.split("base64,")[1].split('"')[0]).decode()
    assert "prefers-color-scheme:dark" in ElementTree.fromstring(inside).find(f"{SVG}style").text
    assert 'class="akd-still"' in picture
    assert "img.akd-still{display:none}" in method_diagram("teacher")._repr_html_()


def test_what_is_left_without_its_elements_is_a_text_that_can_be_read():
    live = re.sub(r"<style>.*?</style>", "", method_diagram("teacher")._repr_html_(), flags=re.DOTALL)
    bare = re.sub(r"<[^>]*>", "", live)
    assert bare.startswith("This page shows no drawing; trust the notebook, or run the cell. Its boxes: ")
    assert "as sentences: the prompts [class names]. " in bare


def test_an_unknown_part_names_the_nearest():
    with pytest.raises(UnknownNameError, match="nearest first: teacher"):
        method_diagram("teachers")


def test_the_drawing_fits_the_600_pixels_that_jupyterlab_leaves_of_a_window_of_800():
    least = re.search(r"min-width:(\d+)px", method_diagram("disk").svg())
    assert int(least[1]) <= 600
