"""Kills and full disks at every file operation of every writer, one after the other: the old content or the new one.

A child process writes; at its n-th write, flush, rename or truncation it kills itself, or gets the disk's refusal, for
every n there is. Then the same writer is asked again. `ACTIVEKD_LAB_BATTERY=full` visits every operation, a usual run
every sixth.
"""

import os
import signal
import sys
import traceback
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from activekd_lab.config import RunConfig
from activekd_lab.course.handout import pack, student_copies, write_notebooks
from activekd_lab.data import FolderTask
from activekd_lab.data.cache import cached_rows
from activekd_lab.errors import ActiveKDError
from activekd_lab.io.files import write_atomic
from activekd_lab.labeling.journal import Answer, Identity, Journal, State
from activekd_lab.runs.folder import RunFolder
from activekd_lab.runs.records import Label, RoundRecord
from activekd_lab.runs.stored import load_run
from activekd_lab.students.checkpoint import SavedStudent, load_student
from activekd_lab.students.student import DualHeadStudent
from activekd_lab.studies.logs import earlier_times, remember

pytestmark = [pytest.mark.battery, pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")]
STEP = 1 if os.environ.get("ACTIVEKD_LAB_BATTERY") == "full" else 6
CALLS = ("fsync", "replace", "write", "open", "ftruncate", "unlink", "utime", "mkdir")
NEW = "new\n" * 2000
CONFIG = {"task": "t", "selector": "s", "method": "dho", "seed": 0, "rounds": 9, "teacher": "bundled"}
HEADER = {"teacher_accuracy": 0.4, "class_names": ["a", "b"]}
STUDENTS = {names: DualHeadStudent("small_cnn", 2, image_size=16) for names in (("old", "er"), ("new", "er"))}


def record(number):
    zeros = dict.fromkeys(("ce_accuracy", "kd_accuracy", "covering_radius", "mean_distance", "loss"), 0.0)
    return RoundRecord(round=number, labels=2 + number, accuracy=0.5, class_accuracy=(0.5, 0.5), classes_covered=2,
                       picks=(2 + number,), pick_radii=(0.5, 0.5), kd_temperature=1.0, **zeros)  # fmt: skip


def run_folder(place):
    """Continue a run to its third round."""
    made = RunFolder(place / "run", CONFIG, HEADER)
    for number in range(len(made.records()), 3):
        bought = [Label(2 + i, 0, i + 1, "selector") for i in range(number + 1)]
        made.write_labels([*(Label(i, i % 2, 0, "initial") for i in range(2)), *bought])
        made.write_predictions(number, np.full((4, 2), 0.5))
        made.append(record(number))


def run_reads(place):
    if (place / "run" / "config.json").exists():
        load_run(place / "run")


def journal(place):
    """Answer until there are four; each answer that returned stands in the file `told`."""
    mine = Journal(place / "session", [f"{i}.png" for i in range(4)], ["a", "b"])
    while len(mine.answers) < 4:
        mine.add(Answer(len(mine.answers), 1, 1))
        with (place / "told").open("ab", buffering=0) as file:
            file.write(b"x")
        state = State(identity=Identity(class_names=["a", "b"], seed=0), batch=1, queue=[])
        mine.write_state(state)


def journal_reads(place):
    told = len((place / "told").read_bytes()) if (place / "told").exists() else 0
    found = Journal(place / "session", [f"{i}.png" for i in range(4)], ["a", "b"])
    assert len(found.answers) >= told, "an acknowledged answer is lost"


def student(place):
    """Replace the student that is there by another of other classes."""
    names = ("new", "er")
    SavedStudent(STUDENTS[names], names).save(place / "student")


def student_reads(place):
    found = load_student(place / "student")
    weight = STUDENTS[found.class_names].ce_head.weight
    assert torch.equal(found.student.ce_head.weight, weight), "weights under other names"


def cache(place):
    """Fill a cache of five chunks."""
    os.environ["ACTIVEKD_LAB_CACHE"] = str(place)
    made = torch.arange(20).float()[:, None]
    assert torch.equal(cached_rows("kind", {"a": "b"}, 20, lambda ids: made[ids.start : ids.stop], chunk=4), made)


def notebooks(place):
    """Write the course's notebooks, and their archive."""
    write_notebooks(place / "books")
    pack(place / "course.zip")


def notebooks_read(place):
    whole = student_copies()
    for path in (place / "books").glob("*"):
        assert path.name.startswith(".akd-") or path.read_text("utf-8") == whole[path.name], "half a notebook"
    assert not (place / "course.zip").exists() or zipfile.ZipFile(place / "course.zip").testzip() is None


def times(place):
    """Remember what jobs of a kind took, until there are four."""
    os.environ["ACTIVEKD_LAB_CACHE"] = str(place)
    while (done := sum(map(len, earlier_times().values()))) < 4:
        remember(RunConfig(task="shapes"), float(done))


def photos(place):
    """Decode a folder of photos into the cache, as `data prepare` and every task of photos does."""
    os.environ["ACTIVEKD_LAB_CACHE"] = str(place / "decoded")
    made = FolderTask(place.parent / "photos", ["a", "b"], image_size=16, test_share=0)
    pixels = [made.train.images[i].float().mean().round().item() for i in range(len(made.train))]
    assert pixels == [10.0 * (i + 1) for i in range(6)]


def page(place):
    """Replace a page, as reports, tables, notebooks and ONNX files are."""
    write_atomic(place / "page.html", NEW)


def page_reads(place):
    text = (place / "page.html").read_text()
    assert text in ("old", NEW), "half a page"


WRITERS = {
    "run": (run_folder, run_reads),
    "session": (journal, journal_reads),
    "student": (student, student_reads),
    "cache": (cache, lambda place: None),
    "page": (page, page_reads),
    "notebooks": (notebooks, notebooks_read),
    "times": (times, lambda place: earlier_times()),
    "photos": (photos, lambda place: None),
}


def begin(place):
    place.mkdir()
    if not (place.parent / "photos").exists():
        (place.parent / "photos").mkdir()
        for i in range(6):
            Image.new("RGB", (20, 20), (10 * (i + 1),) * 3).save(place.parent / "photos" / f"{i}.png")
            os.utime(place.parent / "photos" / f"{i}.png", (1e9, 1e9))
    (place / "page.html").write_text("old")
    SavedStudent(STUDENTS["old", "er"], ("old", "er")).save(place / "student")
    return place


def content(place):
    """Return what lies there, but not the marks of the test, locks and what a kill left beside."""
    skip = ("told", ".lock", "seconds.json")
    files = [p for p in sorted(place.rglob("*")) if p.is_file() and p.name not in skip and p.suffix != ".lock"]
    return {p.relative_to(place): p.read_bytes() for p in files if not p.name.startswith(".akd-")}


def child(place, write, number, refusal):
    """Run a writer in a fork, where file operation `number` kills (refusal 0) or fails with that errno.

    Returns the exit status: 0 written, 3 refused in one sentence, 4 anything else, negative for a signal.
    """
    pid = os.fork()
    if pid == 0:
        code, count = 4, [0]
        try:
            for name in CALLS:
                setattr(os, name, counted(getattr(os, name), number, refusal, count, place))
            write(place)
            code = 0 if count[0] < number else 5  # 5: there was such an operation, and all went well
        except ActiveKDError as error:
            code = 3 if str(error).isprintable() else 4
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def counted(real, number, refusal, count, place):
    def call(*args, **options):
        count[0] += 1
        if refusal and count[0] >= number:
            raise OSError(refusal, os.strerror(refusal))
        if not refusal and count[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **options)

    return call


@pytest.mark.parametrize("name", WRITERS)
def test_a_kill_at_any_operation_leaves_what_can_be_continued_to_the_same_bytes(name, tmp_path, capsys):
    write, reads = WRITERS[name]
    write(expected := begin(tmp_path / "whole"))
    tried = good = 0
    for number in range(1, 10_000, STEP):
        place = begin(tmp_path / f"{number}")
        status = child(place, write, number, 0)
        if status == 0:
            break
        assert status == -signal.SIGKILL
        tried += 1
        reads(place)
        write(place)
        reads(place)
        good += content(place) == content(expected)
    with capsys.disabled():
        sys.stdout.write(f"\n{name}: {tried} kills tried, {good} good")
    assert tried > 2 // STEP
    assert good == tried


@pytest.mark.parametrize("refusal", [28, 5, 30], ids=["full", "EIO", "read-only"])
@pytest.mark.parametrize("name", WRITERS)
def test_a_disk_that_refuses_from_any_operation_on_is_one_sentence(name, refusal, tmp_path, capsys):
    write, reads = WRITERS[name]
    write(expected := begin(tmp_path / "whole"))
    tried = good = 0
    for number in range(1, 10_000, STEP):
        place = begin(tmp_path / f"{number}")
        status = child(place, write, number, refusal)
        if status == 0:
            break
        tried += 1
        reads(place)
        write(place)
        good += status in (3, 5) and content(place) == content(expected)
    with capsys.disabled():
        sys.stdout.write(f"\n{name}: {tried} refusals tried, {good} good")
    assert good == tried
