"""Prompts: class names made readable, templates, and the ensembles the papers use."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from activekd_lab.data.task import check_prompts
from activekd_lab.errors import DataError

IMAGENET_7 = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)
"""The seven ImageNet templates that CLIP's authors chose (arXiv:2103.00020); Tip-Adapter and DHO use them too."""

ENSEMBLES: dict[str, tuple[str, ...]] = {"imagenet-7": IMAGENET_7}
"""Named lists of templates; a name stands for its list wherever templates are taken."""


_NO_WIDTH = re.compile("[\u00ad\u200b\u200e\u200f\u2060\ufeff]")  # not the joiners, which letters need


def clean_class_name(name: str) -> str:
    """Return a class name as it enters a prompt: underscores are spaces, spaces are single ("a_b  c" -> "a b c").

    Letters are composed (Unicode's NFC): macOS writes file names decomposed, and both forms are one name. What has no
    width at all, as of pasted text, is left out.
    """
    return re.sub(r"[\s_]+", " ", _NO_WIDTH.sub("", unicodedata.normalize("NFC", name))).strip()


def expand_templates(templates: Sequence[str]) -> tuple[str, ...]:
    """Replace the names of ensembles by their templates.

    Raises:
        DataError: one text in place of a list.
    """
    if isinstance(templates, str):
        raise DataError(f"templates must be a list of prompt templates, but got the text {templates!r}; put it in [].")
    return tuple(template for entry in templates for template in ENSEMBLES.get(entry, (entry,)))


def build_prompts(class_names: Sequence[str], templates: Sequence[str]) -> list[list[str]]:
    """Return one list of C prompts a template.

    Args:
        class_names: C names, cleaned here.
        templates: each with one "{}", or the name of an ensemble.

    Raises:
        DataError: names that are empty or alike once cleaned, or a template without exactly one "{}".
    """
    if isinstance(class_names, str):
        raise DataError(f"class_names must be a list of names, but got the text {class_names!r}; split it.")
    names, templates = tuple(map(clean_class_name, class_names)), expand_templates(templates)
    check_prompts(names, templates)
    return [[template.replace("{}", name) for name in names] for template in templates]
