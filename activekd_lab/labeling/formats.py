"""Answers as other programs write them: Label Studio's JSON, CVAT's XML, COCO's JSON, tables.

Only what is said of whole images counts: a choice, a tag, a category. Regions and captions are left out and counted.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from os.path import splitext
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

from pydantic import BaseModel, RootModel

from activekd_lab.data.prompts import clean_class_name
from activekd_lab.data.table import no_class, read_table
from activekd_lab.data.walk import SUFFIXES, LeftOut
from activekd_lab.errors import DataError, SettingError, UnknownNameError
from activekd_lab.io.files import damaged, disk, fitted, parse_json, read_bytes, read_text, shown
from activekd_lab.labeling.journal import MARKS, Line, standing

FORMATS = ("csv", "label-studio", "cvat", "coco")


class Given(NamedTuple):
    """One answer out of a file: what the image is called there, its class or `REJECTED`, the entry, and who gave it."""

    image: str
    label: str
    where: str
    who: str = ""


def answers_file(path: str | Path) -> Path:
    """Return the file that answers are read from: that of a session's folder, or the path itself; links resolved."""
    path = Path(path)
    with disk(path, "read"):
        return next((p for p in (path / "answers.csv", path / ".labels" / "answers.csv") if p.exists()), path).resolve()


def read_answers(path: str | Path, classes: Collection[str] = ()) -> tuple[list[Given], LeftOut]:
    """Read answers from a file of any of FORMATS, told by its content, or from a session's folder or `answers.csv`.

    What programs write into a table for no class (nan, NULL, None) is left out, unless it is one of `classes`.

    Raises:
        FileError, DataError: no such file, none of these formats, or an entry that is not what it should be.
    """
    path = answers_file(path)
    if read_bytes(path)[:2] == b"PK":
        raise DataError(f"{shown(path)} is a ZIP archive; unpack it, and give the file with the annotations.")
    left_out = LeftOut()
    start = read_bytes(path)[:4].lstrip(b"\xef\xbb\xbf \r\n\t")[:1]
    if start == b"<":
        return list(_read_cvat(read_text(path, kind=DataError), path, left_out)), left_out
    if start in (b"[", b"{"):
        found = parse_json(read_text(path, kind=DataError), path, kind=DataError)
        read = _read_label_studio if isinstance(found, list) else _read_coco
        return list(read(found, path, left_out)), left_out
    return list(_read_csv(path, classes, left_out)), left_out


def _read_csv(path: Path, classes: Collection[str], left_out: LeftOut) -> Iterator[Given]:
    """Read a table of path and label, or a session's own, of which the last word holds."""
    first = read_bytes(path).partition(b"\n")[0].decode("utf-8", "replace").strip().split(",")
    if not {"path", "answer", "batch"} <= set(first):
        for given in read_table(path):
            label = clean_class_name(given.label)
            if label not in classes and no_class(label):
                left_out.add("lines whose label means none", f"line {given.line}: {label}")
            elif label:
                yield Given(given.exact, label, f"line {given.line}")
        return
    rows, lines = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True), []
    try:
        if len({*(rows.fieldnames or ())}) < len(first):
            raise csv.Error("a column twice")
        for row in rows:
            if None in row or None in (row["path"], row["answer"], row["batch"]):
                raise csv.Error("a line of too few or too many values")
            if (row["path"], row["answer"], row["batch"]) != ("path", "answer", "batch"):  # a header repeated
                lines.append(Line(rows.line_num, row["path"], row["answer"], 0))
    except csv.Error as error:
        raise DataError(damaged(path, error, line=rows.line_num)) from error
    for line in standing(lines, path).values():
        if MARKS.get(line.text) != "skip":
            yield Given(line.name, line.text, f"line {line.number}")


class _Value(BaseModel, extra="allow"):
    choices: list[str] = []


class _Result(BaseModel):
    type: str = ""
    value: _Value = _Value()
    from_name: str = ""
    to_name: str = ""

    @property
    def of_image(self) -> bool:
        """Whether it is a choice about the whole image: one about a part says where, by corners, points or a mask."""
        return self.type == "choices" and not self.value.model_extra


class _Annotation(BaseModel):
    result: list[_Result]
    was_cancelled: bool = False
    completed_by: int | str | dict[str, Any] | None = None


class _Task(BaseModel):
    id: int | str | None = None
    data: dict[str, Any]
    annotations: list[_Annotation] = []


class _Tasks(RootModel[list[_Task]]):
    """Label Studio's JSON export."""


def _read_label_studio(found: object, path: Path, left_out: LeftOut) -> Iterator[Given]:
    then = "export as JSON from Label Studio, not as JSON-MIN"
    tasks = fitted(found, _Tasks, path, then, kind=DataError).root
    _refuse_questions(tasks, path)
    for number, task in enumerate(tasks, 1):
        where = f"task {number if task.id is None else task.id}"
        image = _image_of(task.data, where, path)
        if not task.annotations:
            left_out.add("tasks without an answer", where)
        for annotation in task.annotations:
            choices = [c for r in annotation.result if r.of_image for c in r.value.choices]
            if annotation.was_cancelled or not choices:
                left_out.add(
                    "tasks that were skipped" if annotation.was_cancelled else "answers without a choice", where
                )
                continue
            by = annotation.completed_by
            who = str(by.get("email") or by.get("id") or "") if isinstance(by, dict) else str(by or "")
            yield Given(image, _one(choices, where, path), where, who)


def _refuse_questions(tasks: Sequence[_Task], path: Path) -> None:
    """Refuse the answers to several questions, of which nobody says which one is about the class."""
    results = [r for task in tasks for annotation in task.annotations for r in annotation.result if r.of_image]
    if len(asked := sorted({f"{r.from_name} of {r.to_name}" for r in results})) > 1:
        raise DataError(
            f"{shown(path)} answers several questions ({', '.join(map(shown, asked))}); keep the results of the one "
            "that gives the class."
        )


def _image_of(data: dict[str, Any], where: str, path: Path) -> str:
    """Return what names a task's image: its path, which our own tasks have, its image, else the one that can be one.

    Raises:
        DataError: none, or several.
    """
    texts = {key: text for key, text in data.items() if isinstance(text, str)}
    if known := next((key for key in ("path", "image") if key in texts), None):
        return texts[known]
    texts = {k: t for k, t in texts.items() if splitext(t.partition("?")[0])[1].lower() in SUFFIXES} or texts
    if len(set(texts.values())) != 1:
        several = f"{', '.join(texts)}, which could each be its image" if texts else "no text that names its image"
        raise DataError(f"{where} of {shown(path)} has in its data {several}; name the image `image` there.")
    return next(iter(texts.values()))


def _read_cvat(text: str, path: Path, left_out: LeftOut) -> Iterator[Given]:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:  # nothing of CVAT's; entities can grow without end
        raise DataError(f"{shown(path)} is no XML of CVAT (it declares a DOCTYPE); export as CVAT for images 1.1.")
    try:
        root = ET.fromstring(text)
    except (ET.ParseError, ValueError) as error:
        raise DataError(damaged(path, error)) from error
    images = root.findall("image")
    if root.tag != "annotations" or not images:
        raise DataError(f"{shown(path)} has no images of CVAT; export as CVAT for images 1.1.")
    for number, image in enumerate(images):
        name, where = image.get("name"), f"image {image.get('id', number)}"
        if not name:
            raise DataError(f"{where} of {shown(path)} has no name; mend or remove it.")
        tags = [tag for tag in image.findall("tag") if tag.get("source") != "auto"]
        left_out.add("tags that a model gave", *[name] * (len(image.findall("tag")) - len(tags)))
        if tags:
            yield Given(name, _one([tag.get("label", "") for tag in tags], where, path), where)
        else:
            left_out.add("images without a tag", name)


class _CocoImage(BaseModel):
    id: int | str
    file_name: str
    width: float = 0
    height: float = 0


class _Category(BaseModel):
    id: int
    name: str


class _CocoAnnotation(BaseModel):
    image_id: int | str
    category_id: int | None = None
    bbox: list[float] = []
    segmentation: Any = None
    keypoints: Any = None

    def of_part(self, image: _CocoImage) -> bool:
        """Tell whether it is about a part of the image, which says nothing of the whole."""
        whole = not self.bbox or self.bbox == [0, 0, image.width, image.height]
        return bool(self.segmentation or self.keypoints) or not whole


class _Coco(BaseModel):
    images: list[_CocoImage]
    categories: list[_Category]
    annotations: list[_CocoAnnotation]


def _read_coco(found: object, path: Path, left_out: LeftOut) -> Iterator[Given]:
    coco = fitted(found, _Coco, path, "give COCO's or Label Studio's JSON", kind=DataError)
    _refuse_twice("image", [image.id for image in coco.images], path)
    _refuse_twice("category", [c.id for c in coco.categories], path)
    names, said = {c.id: c.name for c in coco.categories}, {image.id: list[str]() for image in coco.images}
    images = {image.id: image for image in coco.images}
    for number, annotation in enumerate(coco.annotations):
        category = annotation.category_id
        if annotation.image_id not in said or (category is not None and category not in names):
            what = f"image_id {annotation.image_id!r}" if annotation.image_id not in said else f"category_id {category}"
            raise DataError(f"Annotation {number} of {shown(path)} has the {what}, which is not listed; mend it.")
        if category is None:
            left_out.add("captions", f"annotation {number}")
        elif annotation.of_part(images[annotation.image_id]):
            left_out.add("regions of an image", f"annotation {number}")
        else:
            said[annotation.image_id].append(names[category])
    for image in coco.images:
        if said[image.id]:
            where = f"image {image.id}"
            yield Given(image.file_name, _one(said[image.id], where, path), where)
        else:
            left_out.add("images without a category", image.file_name)


def _refuse_twice(what: str, ids: Sequence[int | str], path: Path) -> None:
    """Refuse ids that repeat, as where two files were joined: nobody can tell whose annotations are whose."""
    if twice := [id for id, count in Counter(ids).items() if count > 1]:
        raise DataError(f"{shown(path)} has the {what} id {twice[0]!r} more than once; number anew, or give each file.")


def _one(labels: Sequence[object], where: str, path: Path) -> str:
    """Return the only class that an entry gives.

    Raises:
        DataError: several.
    """
    names = sorted({clean_class_name(str(label)) for label in labels})
    if len(names) > 1:
        raise DataError(
            f"{where} of {shown(path)} gives one image the classes {', '.join(map(repr, names))}; an image has one, so "
            "keep one."
        )
    return names[0]


def format_of(path: Path, wanted: str | None) -> str:
    """Return the format of a file to write: the one that is named, else CVAT for .xml and a table for the rest.

    Raises:
        SettingError: JSON, which is Label Studio's or COCO's. UnknownNameError: no such format.
    """
    if wanted is None and path.suffix.lower() == ".json":
        raise SettingError(f"{shown(path.name)} can be label-studio or coco; name its format (format=, --format).")
    found = wanted or ("cvat" if path.suffix.lower() == ".xml" else "csv")
    if found not in FORMATS:
        raise UnknownNameError("format", found, FORMATS)
    return found
