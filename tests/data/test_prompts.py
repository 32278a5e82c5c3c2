import pytest

from activekd_lab.data.prompts import IMAGENET_7, build_prompts, clean_class_name, expand_templates
from activekd_lab.errors import DataError

pytestmark = pytest.mark.quick


def test_class_names_are_cleaned():
    assert clean_class_name("Annual_Crop  Land_ ") == "Annual Crop Land"
    assert build_prompts(["a_b", "c"], ["one {}.", "{} two"]) == [["one a b.", "one c."], ["a b two", "c two"]]


def test_the_imagenet_ensemble_has_seven_templates_and_a_name():
    assert len(set(IMAGENET_7)) == 7
    assert expand_templates(["imagenet-7", "a {}."]) == (*IMAGENET_7, "a {}.")
    assert build_prompts(["dog"], ["imagenet-7"])[4] == ["a dog in a video game."]


@pytest.mark.parametrize(
    ("names", "templates", "message"),
    [
        (["sea_lake", "sea lake"], ["{}"], "must differ, but 'sea lake'"),
        (["sea", "_"], ["{}"], "class_names"),
        (["sea"], ["imagenet7"], "exactly one '{}'"),
        (["sea"], [], "exactly one '{}'"),
    ],
)
def test_unusable_prompts_are_refused(names, templates, message):
    with pytest.raises(DataError, match=message):
        build_prompts(names, templates)
