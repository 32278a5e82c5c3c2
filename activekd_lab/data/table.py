"""A table of labels: a CSV file of any usual program, read into paths and labels with the lines they stand in."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Sequence
from os.path import splitext
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

from activekd_lab.data.prompts import clean_class_name
from activekd_lab.data.task import not_text
from activekd_lab.data.walk import SUFFIXES, LeftOut, inside
from activekd_lab.errors import DataError, short
from activekd_lab.io.files import read_bytes

_PATH = ("path", "filepath", "imagepath", "imgpath", "file", "filename", "image", "imagename", "imagefile", "img",
         "picture", "photo", "imageid", "id", "name")  # fmt: skip
_LABEL = ("label", "labels", "class", "classname", "category", "categoryname", "target", "species", "breed", "tag", "y")
_SPLIT = ("split", "subset", "partition", "set")
_WEAK = ("imageid", "id", "name")  # a path only where nothing else is, or where their cells end as images do
_UNKNOWN = re.compile(r"(?i:nan|<na>|#n/a)|NA|N/A|n/a|NULL|null|None|-1|\((skip|undone)\)")
_SPLITS = {
    "train": r"(train|training|trn)",
    "val": r"(val|valid|validation|validate|dev|development|eval|evaluation)",
    "test": r"(test|testing|tst)",
}
REJECTED = "(reject)"
"""The label of an image that somebody said to be in no class."""
_MORE = r"(set|split|data|images|imgs|\d{4})?"  # train_set, val2017
_DELIMITERS = ",;\t|"
_LONGEST = 10_000  # characters of a first line


class Row(NamedTuple):
    """One line of a table: path, label (empty if unknown) and split (empty if none); the line's number.

    They are without the spaces around them; `exact` is the path with them, which a file's name may hold.
    """

    path: str
    label: str
    line: int
    split: str = ""
    exact: str = ""


class Labeled(NamedTuple):
    """Files that a table lists, each once, their labels and splits ("" if unknown), and what to say of the rest."""

    files: list[Path]
    labels: list[str]
    splits: list[str]
    left_out: LeftOut


def no_class(label: str) -> bool:
    """Tell whether a label is what programs and databases write for none, so nan, <NA>, NULL, None, -1, (skip)."""
    return bool(_UNKNOWN.fullmatch(label))


def split_of(name: str) -> str:
    """Return which split a folder or a word means, in any usual spelling; "" if none."""
    plain = re.sub(r"[\s_-]+", "", name).casefold()
    return next((split for split, words in _SPLITS.items() if re.fullmatch(words + _MORE, plain)), "")


def nearly_split(name: str) -> str:
    """Return the split that a name begins with that numbers or letters its splits, train1 or testA; "" if none."""
    return split_of(re.sub(r"([ab]|\d{1,2})$", "", name.casefold()))


def read_table(table: Path) -> list[Row]:
    """Read a CSV of UTF-8 or UTF-16 with a column of paths and one of labels, separated by `,`, `;`, `|` or tabs.

    The columns are known by any of their usual names (path, filename, image, …; label, class, category, …).

    Raises:
        DataError: no such file or columns, several that differ and could each be one of them, another encoding, or a
            line with too few or too many cells.
    """
    lines = list(io.StringIO(_text(table), newline=""))
    skipped = 0
    if lines and re.fullmatch(r"sep=.", lines[0].strip()):  # Excel's own
        skipped, lines = 1, lines[1:]
    head = lines[0][:_LONGEST] if lines else ""
    delimiter = max(_DELIMITERS, key=lambda d: sum(bool(_named(_cells(head, d), words)) for words in (_PATH, _LABEL)))
    columns = [cell.strip() for cell in _cells(head, delimiter)]
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        rows = [(reader.line_num + skipped, [cell.strip() for cell in row]) for row in reader if any(row)]
    except csv.Error as error:
        raise DataError(f"{table} is no CSV ({error} in line {reader.line_num + skipped}); mend that line.") from error
    rows = [(line, row) for line, row in rows if row != columns]  # the first line, and those of joined tables
    path, label, split = (_column(table, columns, words, rows) for words in (_PATH, _LABEL, _SPLIT))
    if path is None or label is None or not rows:
        raise DataError(
            f"{table} must have the columns path and label and at least one row, but its first line is "
            f"{short(head.strip())}; write path,label there."
        )
    for line, row in rows:
        _check_row(table, line, row, columns, path, label)
    exact = _exact(lines, delimiter, path)
    splits = ["" if split is None else "".join(row[split : split + 1]) for _, row in rows]
    return [
        Row(row[path], row[label], line, said, exact.get(line - skipped, row[path]))
        for (line, row), said in zip(rows, splits, strict=True)
    ]


def _exact(lines: Sequence[str], delimiter: str, path: int) -> dict[int, str]:
    """Return the paths with the spaces around them by the number of their line, as far as quotes allow."""
    reader = csv.reader(lines, delimiter=delimiter)
    found = ((reader.line_num, row) for row in reader)
    return {line: row[path] for line, row in found if len(row) > path and '"' not in row[path]}


def _text(table: Path) -> str:
    raw = read_bytes(table, "give the table of labels", kind=DataError)
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"The labels file {table} is no CSV in UTF-8 ({error}); save it in that encoding.") from error
    if "\0" in text:
        raise DataError(f"The labels file {table} is no CSV in UTF-8 (it holds null bytes); save it in that encoding.")
    return text


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])


def _named(columns: Sequence[str], words: Sequence[str]) -> list[int]:
    """Return which columns have one of these names, however it is written, in the order of the names."""
    plain = [re.sub(r"[\s_-]+", "", name).casefold() for name in columns]
    return [i for word in words for i, name in enumerate(plain) if name == word]


def _column(
    table: Path, columns: Sequence[str], words: Sequence[str], rows: Sequence[tuple[int, list[str]]]
) -> int | None:
    """Return the column that holds paths, labels or splits; of several that say the same, the fullest.

    Raises:
        DataError: several that differ, so that nobody can tell which is meant.
    """
    found = _named(columns, words)
    if words is _PATH and (strong := _named(columns, [word for word in words if word not in _WEAK])):
        found = [
            i
            for i in found
            if i in strong or any(splitext(row[i])[1].lower() in SUFFIXES for _, row in rows if row[i:])
        ]
    for i in found[1:]:
        for line, row in rows:
            one, other = ("".join(row[j : j + 1]) for j in (found[0], i))
            if not (_same_path(one, other) if words is _PATH else clean_class_name(one) == clean_class_name(other)):
                raise DataError(
                    f"{table} has the columns {columns[found[0]]} and {columns[i]}, which could both be the {words[0]} "
                    f"and differ in line {line} ({short(one)}, {short(other)}); remove or rename one."
                )
    return max(found, key=lambda i: sum(len(row[i]) for _, row in rows if row[i:]), default=None)


def _same_path(one: str, other: str) -> bool:
    """Tell whether two paths are one, as far as the shorter tells."""
    end, whole = sorted((text.replace("\\", "/") for text in (one, other)), key=len)
    return end == whole or (bool(end) and whole.endswith(f"/{end}"))


def _check_row(table: Path, line: int, row: list[str], columns: list[str], path: int, label: int) -> None:
    if len(row) > len(columns) and any(row[len(columns) :]):
        raise DataError(
            f"{table} has {len(row)} cells in line {line}, but {len(columns)} columns; put quotes around names that "
            "hold the separator."
        )
    if len(row) <= path or not row[path]:
        raise DataError(f"{table} has no path in line {line}; write one there or remove the line.")
    if len(row) <= label:
        raise DataError(f"{table} has no label column for {row[path]!r}; end that row in a comma if it is unknown.")
    if not_text(row[label]):
        raise DataError(f"{table} has the label {row[label]!r} in line {line}, which cannot be read; write it anew.")


def match_files(
    root: Path, table: Path, rows: Sequence[Row], there: Sequence[Path], names: Collection[str] = ()
) -> Labeled:
    """Find the files that the rows name below `root`; each counts once, whatever the ways to write its path.

    Args:
        root: what paths start from.
        table: for messages.
        rows: of the table.
        there: the image files below the root.
        names: what are classes for sure, even where two are nearly alike, or one is called nan.

    Raises:
        DataError: a path that leads out of the root, one file with two labels, or labels that differ only in their
            case or in how a number is written; the lines are named.
    """
    stems: dict[Path, list[Path]] = {}
    for path in there:
        stems.setdefault(path.with_suffix(""), []).append(path)
    by_file: dict[Path, Row] = {}
    left_out, rejected = LeftOut(), set[Path]()
    for row in rows:
        exact = row.exact != row.path and inside(root, row.exact)
        file = exact if exact and exact.is_file() else _locate(root, row.path, stems)
        if row.label == REJECTED:
            rejected.add(file)
        known = by_file.setdefault(file, row)
        if known is row:
            continue
        if row.label and known.label and clean_class_name(row.label) != clean_class_name(known.label):
            raise DataError(
                f"{table} gives {row.path!r} two labels: {known.label!r} in line {known.line} and {row.label!r} in "
                f"line {row.line}; keep one."
            )
        if row.split != known.split:
            raise DataError(
                f"{table} gives {row.path!r} two splits: {known.split!r} in line {known.line} and {row.split!r} in "
                f"line {row.line}; keep one."
            )
        left_out.add("lines that name a file again", f"line {row.line}")
        if row.label and not known.label:
            by_file[file] = row
    left_out.add("in no class, as the table says", *(file.relative_to(root) for file in sorted(rejected)))
    there = [path for path in there if path not in rejected]
    by_file = {file: row for file, row in by_file.items() if file not in rejected}
    _refuse_twins(table, list(by_file.values()), names)
    listed = set(by_file)
    left_out.add("files that the table does not list", *(p.relative_to(root) for p in there if p not in listed))
    found = [clean_class_name(row.label) for row in by_file.values()]
    labels = ["" if label not in names and no_class(label) else label for label in found]
    if said := sorted(set(found) - set(labels)):
        left_out.notes.append(f"{', '.join(said)} is taken for no label; name it in class_names if it is a class.")
    splits = _said_splits(table, [row.split for row in by_file.values()], left_out)
    return Labeled(list(by_file), labels, splits, left_out)


def _said_splits(table: Path, said: Sequence[str], left_out: LeftOut) -> list[str]:
    """Return the splits that the column of them says; none where it has no train and another.

    Raises:
        DataError: words beside splits that mean none.
    """
    splits = [split_of(text) for text in said]
    if not {"train"} < set(splits):
        if any(said):
            left_out.notes.append("The column of splits has no train beside another, so it is not used.")
        return [""] * len(said)
    if odd := [text for text, split in zip(said, splits, strict=True) if not split]:
        raise DataError(f"{table} has the split {odd[0]!r} beside train; write train, val or test in each line.")
    return splits if "test" in splits else ["test" if split == "val" else split for split in splits]


def _locate(root: Path, text: str, stems: dict[Path, list[Path]]) -> Path:
    """Return the file that a table means: as written, with backslashes, below the root's own name, or unsuffixed."""
    plain = inside(root, text)
    if plain.is_file():
        return plain
    parts = PureWindowsPath(text).parts
    tries = [Path(*parts)] if parts else []
    if len(parts) > 1 and parts[0] == root.name:
        tries.append(Path(*parts[1:]))
    for relative in tries:
        path = inside(root, str(relative))
        if path.is_file():
            return path
        if len(same := stems.get(path, [])) == 1:
            return same[0]
    return plain


def _refuse_twins(table: Path, rows: Sequence[Row], names: Collection[str]) -> None:
    """Refuse labels that surely mean one class: Cat and cat, 1 and 1.0 or 01."""
    first: dict[str, Row] = {}
    for row in rows:
        name = clean_class_name(row.label)
        number = re.fullmatch(r"[+]?(-?)0*(\d+)([.,]0*)?", name)
        known = first.setdefault("".join(number.groups()[:2]) if number else name.casefold(), row)
        if (other := clean_class_name(known.label)) != name and not {other, name} <= {*names}:
            raise DataError(
                f"{table} has labels that mean the same: {known.label!r} in line {known.line} and {row.label!r} in "
                f"line {row.line}; write them alike."
            )
