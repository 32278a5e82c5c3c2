"""Answers as other programs read them: Label Studio's JSON, CVAT's XML, COCO's JSON; `formats` reads them back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote
from xml.etree import ElementTree as ET

from activekd_lab.data.images import upright_size
from activekd_lab.errors import DataError
from activekd_lab.io.files import shown


class Picture(NamedTuple):
    """An image to write: its name, its file, its class or None while it is asked for, and the model's best guess."""

    name: str
    file: Path
    label: str | None
    guess: tuple[str, float]


def write_label_studio(pictures: Iterable[Picture], root: str, class_names: Sequence[str], model: str) -> str:
    """Return tasks: an annotation where there is a label, else the model's guess as a prediction.

    `image` is served by Label Studio's own local storage, whose document root is the folder that holds `root`.
    """

    def choice(label: str) -> list[dict[str, object]]:
        return [{"from_name": "choice", "to_name": "image", "type": "choices", "value": {"choices": [label]}}]

    tasks = []
    for picture in pictures:
        url = f"/data/local-files/?d={quote(f'{root}/{picture.name}')}"
        task: dict[str, object] = {"data": {"image": url, "path": picture.name}}
        if picture.label is None:
            label, score = picture.guess
            task["predictions"] = [{"model_version": model, "score": round(score, 4), "result": choice(label)}]
        else:
            task["annotations"] = [{"result": choice(picture.label)}]
        tasks.append(task)
    return json.dumps(tasks, indent=1, ensure_ascii=False)


def label_studio_config(class_names: Sequence[str]) -> str:
    """Return the labelling interface that tasks of `write_label_studio` need, for a project's settings."""
    view = ET.Element("View")
    ET.SubElement(view, "Image", name="image", value="$image")
    choices = ET.SubElement(view, "Choices", name="choice", toName="image", choice="single")
    for name in class_names:
        ET.SubElement(choices, "Choice", value=name)
    return ET.tostring(view, encoding="unicode")


def write_cvat(pictures: Iterable[Picture], root: str, class_names: Sequence[str], model: str) -> str:
    """Return "CVAT for images 1.1": a tag for each label, images without one where it is asked for."""
    top = ET.Element("annotations")
    ET.SubElement(top, "version").text = "1.1"
    labels = ET.SubElement(ET.SubElement(ET.SubElement(top, "meta"), "task"), "labels")
    for name in class_names:
        label = ET.SubElement(labels, "label")
        ET.SubElement(label, "name").text = name
        ET.SubElement(label, "type").text = "tag"
    for i, picture in enumerate(pictures):
        if not picture.name.isprintable():
            raise DataError(f"{shown(picture.name)} cannot be named in XML; rename it, or choose another format.")
        width, height = map(str, upright_size(picture.file))
        image = ET.SubElement(top, "image", id=str(i), name=picture.name, width=width, height=height)
        if picture.label is not None:
            ET.SubElement(image, "tag", label=picture.label, source="manual")
    ET.indent(top)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(top, encoding="unicode")}\n'


def write_coco(pictures: Iterable[Picture], root: str, class_names: Sequence[str], model: str) -> str:
    """Return COCO's JSON: an annotation over the whole image for each label."""
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for i, picture in enumerate(pictures, 1):
        width, height = upright_size(picture.file)
        images.append({"id": i, "file_name": picture.name, "width": width, "height": height})
        if picture.label is not None:
            whole = {"bbox": [0, 0, width, height], "area": width * height, "iscrowd": 0}
            category = class_names.index(picture.label) + 1
            annotations.append({"id": len(annotations) + 1, "image_id": i, "category_id": category, **whole})
    categories = [{"id": c, "name": name} for c, name in enumerate(class_names, 1)]
    found = {"images": images, "annotations": annotations, "categories": categories}
    return json.dumps(found, indent=1, ensure_ascii=False)


WRITERS = {"label-studio": write_label_studio, "cvat": write_cvat, "coco": write_coco}
