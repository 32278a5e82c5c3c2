"""Several people's answers to the same images: put together where they agree, listed where they do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, combinations, pairwise
from pathlib import Path
from posixpath import normpath
from typing import NamedTuple
from urllib.parse import unquote

from activekd_lab.data.folder import folder_itself
from activekd_lab.data.prompts import clean_class_name
from activekd_lab.data.table import REJECTED
from activekd_lab.data.walk import LeftOut, find_images, refuse_empty, some
from activekd_lab.errors import DataError, SettingError
from activekd_lab.io.arguments import checked
from activekd_lab.io.files import shown
from activekd_lab.labeling.exchange import Names, composed, plain_path
from activekd_lab.labeling.formats import Given, answers_file, read_answers
from activekd_lab.labeling.session import LabelSession


class Conflict(NamedTuple):
    """An image that people disagree on: its name, and the class that each of them gave it."""

    image: str
    answers: dict[str, str]


class Agreement(NamedTuple):
    """Two people: how many images both answered, on how many they agree, and Cohen's kappa.

    Kappa is agreement beyond what their own shares of the classes bring by chance: 1 is all, 0 none; NaN where both
    gave one and the same class only, or answered no image in common.
    """

    first: str
    second: str
    images: int
    same: int
    kappa: float

    def __str__(self) -> str:
        kappa = "not defined" if self.kappa != self.kappa else f"{self.kappa:.2f}"
        return (
            f"{shown(self.first)} and {shown(self.second)}: {self.images:,} images by both, the same class on "
            f"{self.same:,}, Cohen's kappa {kappa}"
        )


@dataclass(frozen=True)
class Merged:
    """What several people's answers come to.

    Attributes:
        answers: the class of each image that nobody disagrees on, "(reject)" for one in no class.
        conflicts: the images that somebody disagrees on, of which none is in `answers`.
        agreements: of every two people.
        left_out: entries that were no answer, and what should be known.
    """

    answers: dict[str, str]
    conflicts: list[Conflict]
    agreements: list[Agreement]
    left_out: LeftOut = field(default_factory=LeftOut)


@checked()
def merge_answers(sources: Sequence[str | Path | LabelSession], *, images: str | Path | None = None) -> Merged:
    """Put the answers of several people together; where they disagree, nothing is decided.

    Args:
        sources: sessions, their folders, or files of Label Studio, CVAT or COCO, or tables. Each is a person; a file of
            Label Studio may hold several.
        images: the folder of the images: their names are then found as `import_answers` does. Without it names must be
            the same paths, with whatever slashes; `left_out` tells of those that may be one image.

    Raises:
        SettingError: fewer than two people, or a source twice. DataError: what cannot be read, or a person with two
            classes for one image.

    Example:
        >>> merged = akd.labeling.merge_answers(["alice/answers.csv", "bob.json"], images="photos/")
        >>> print(len(merged.answers), merged.conflicts, *map(str, merged.agreements))
    """
    paths = [source.folder if isinstance(source, LabelSession) else Path(source) for source in sources]
    if len({*map(answers_file, paths)}) < len(paths):
        raise SettingError(f"sources must differ, but got {', '.join(map(shown, paths))}; give each once.")
    names, left_out = _names(images), LeftOut()
    people: dict[str, dict[str, str]] = {}
    for path in paths:
        answers, left = read_answers(path)
        left_out.merge(left)
        several = len({given.who for given in answers}) > 1
        people[str(path)] = {} if several else people.get(str(path), {})
        for given in answers:
            who = f"{path}: {given.who or 'nobody'}" if several else str(path)
            if (name := _found(names, given, path, left_out)) is not None:
                _add(people.setdefault(who, {}), name, given, path)
        if several:
            del people[str(path)]
    if len(people) < 2:
        raise SettingError(f"sources must be of two people or more, but got {', '.join(map(shown, people)) or 'none'}.")
    if names and names[0].loose:
        left_out.notes.append(
            f"{len(names[0].loose)} are known by the end of their path alone ({some(names[0].loose)})."
        )
    if names is None:
        left_out.notes += _nearly_alike({name for mine in people.values() for name in mine})
    return _merged(people, left_out)


def _nearly_alike(names: set[str]) -> list[str]:
    """Say which names may be one picture, so that nobody's disagreement on it is seen.

    One of them ends as another, or differs in its case or in characters that a URL escapes.
    """
    plain: dict[str, list[str]] = {}
    for name in sorted(names):
        plain.setdefault(unquote(name).strip().casefold(), []).append(name)
    pairs = [f"{one} and {other}" for same in plain.values() for one, other in pairwise(same)]
    tails = {name: list(accumulate(reversed(name.split("/")), lambda end, part: f"{part}/{end}")) for name in plain}
    ends = sorted((end, name) for name, all_ends in tails.items() for end in all_ends[:-1] if end in plain)
    pairs += [f"{plain[end][0]} and {plain[name][0]}" for end, name in ends]
    if not pairs:
        return []
    return [f"{len(pairs)} pairs of names may be one image, so give the folder (images=, --images): {some(pairs)}."]


def _names(images: str | Path | None) -> tuple[Names, list[str]] | None:
    if images is None:
        return None
    root = folder_itself(images)
    found = find_images(root)
    refuse_empty(root, found)
    below = [path.relative_to(root).as_posix() for path in found.files]
    return Names(below, root.name), below


def _found(names: tuple[Names, list[str]] | None, given: Given, path: Path, left_out: LeftOut) -> str | None:
    if names is None:
        return composed(normpath(plain_path(given.image).replace("\\", "/")))
    if (id := names[0].find(given, path)) is None:
        left_out.add("not in the folder of images", given.image)
        return None
    return names[1][id]


def _add(mine: dict[str, str], name: str, given: Given, path: Path) -> None:
    label = given.label if given.label == REJECTED else clean_class_name(given.label)
    if mine.setdefault(name, label) != label:
        raise DataError(
            f"{given.where} of {shown(path)} gives {shown(name)} the class {given.label!r}, but another entry of the "
            f"same person {mine[name]!r}; keep one."
        )


def _merged(people: dict[str, dict[str, str]], left_out: LeftOut) -> Merged:
    merged = Merged({}, [], [_agreement(*pair, people) for pair in combinations(people, 2)], left_out)
    for name in sorted({name for mine in people.values() for name in mine}):
        said = {who: mine[name] for who, mine in people.items() if name in mine}
        if len(set(said.values())) > 1:
            merged.conflicts.append(Conflict(name, said))
        else:
            merged.answers[name] = next(iter(said.values()))
    return merged


def _agreement(first: str, second: str, people: dict[str, dict[str, str]]) -> Agreement:
    from sklearn.metrics import cohen_kappa_score  # noqa: PLC0415  (slow import)

    both = sorted(people[first].keys() & people[second].keys())
    a, b = ([people[who][name] for name in both] for who in (first, second))
    kappa = float("nan")
    if len({*a, *b}) > 1:
        kappa = float(cohen_kappa_score(a, b))
    return Agreement(first, second, len(both), sum(x == y for x, y in zip(a, b, strict=True)), kappa)
