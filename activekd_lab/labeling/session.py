"""A person labels what a selector asks for: batches, answers, undo, training in between. No user interface here.

Every answer is on disk before the next image is shown (`labeling.files`); opening the folder again continues.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from activekd_lab.active.pool import Pool
from activekd_lab.active.prepare import prepare
from activekd_lab.active.prepared import Prepared
from activekd_lab.active.rounds import accuracy, train_student
from activekd_lab.config import RunConfig
from activekd_lab.data import FolderTask, Task
from activekd_lab.errors import PoolError, RunFolderError, SettingError, short
from activekd_lab.io.arguments import checked
from activekd_lab.io.files import shown
from activekd_lab.io.numbers import whole
from activekd_lab.labeling import files
from activekd_lab.labeling.files import Progress
from activekd_lab.labeling.journal import MARKS, REJECT, SKIP, Answer, Identity, Journal, State, Trained, class_index
from activekd_lab.labeling.opinion import Opinion, session_config
from activekd_lab.progress import silent
from activekd_lab.rng import generator
from activekd_lab.runs.records import Label
from activekd_lab.selectors import select
from activekd_lab.students.checkpoint import SavedStudent, load_student, student_file


@checked(batch=">= 1", seed=">= 0")
class LabelSession:
    """Labels for a pool of images, asked for in batches by a selector and kept on disk after every answer.

    Before the first training the selector sees the teacher's zero-shot probabilities and embeddings; afterwards those
    of the last student. Skipped images come back when all others are answered; rejected ones never do.

    Args:
        task: the pool is its training split; labels that it knows already are not asked for again but used.
        folder: of the session; one of the same seed continues. Images of a `FolderTask` are known by their path: new
            files join the pool; those of any other task must be the same. Answers are kept by class name: there may be
            more classes than before, or another order; a student of other classes is left aside until `train`.
        selector: who chooses the images, see `list_selectors()`.
        batch: images a batch.
        config: the student's training and `selector_options`; selector, task, rounds, budget and seed in it are not
            used, and what a session cannot do is refused. None takes the defaults.
        seed: derives every random step.
        say: called with a short text whenever something long begins.

    Raises:
        RunFolderError: a folder of another seed or of other images, one whose answers are for files that are gone or
            classes that are missing, whose student is of another kind than `config` says, or that cannot be read. So
            does an answer, if somebody else has changed the answers in the folder since: theirs stay.
        UnknownNameError, SettingError: an unknown selector or option of it, a class named like a mark of `answers.csv`,
            or a config with what belongs to whole runs: a few-shot teacher, validation labels, ….
    """

    def __init__(
        self,
        task: Task,
        folder: str | Path,
        *,
        selector: str = "pcoreset",
        batch: int = 10,
        config: RunConfig | None = None,
        seed: int = 0,
        say: Callable[[str], None] = silent,
    ) -> None:
        for name in filter(MARKS.__contains__, task.class_names):
            raise SettingError(f"A class cannot be called {name!r}: answers.csv says so of an image; rename the class.")
        self.task, self.folder, self.selector, self.batch, self.seed = task, Path(folder), selector, batch, seed
        self.config = session_config(config or RunConfig(), task, selector=selector, seed=seed)
        self._say = say
        self.prepared: Prepared = prepare(self.config, task=task, ask=True, progress=say)
        known = enumerate(task.train.labels.tolist()) if isinstance(task, FolderTask) else ()
        self._known = {i: y for i, y in known if y >= 0}
        self._queue, self._batch, self._remark = list[int](), 0, ""
        self._student: SavedStudent | None = None
        self._opinion = Opinion(self.prepared)
        self._open()

    @property
    def answers(self) -> list[Answer]:
        """The answers that hold, in the order of giving."""
        return self._journal.answers

    @property
    def current(self) -> int | None:
        """The id to label now; None when every image has a label or was rejected."""
        return waiting[0] if (waiting := self._waiting()) else self._next_batch()

    @property
    def asked(self) -> list[int]:
        """The ids of the batch at hand that wait for an answer, the current one first; empty at the end."""
        return [] if self.current is None else self._waiting()

    def _waiting(self) -> list[int]:
        answered = {a.id for a in self.answers if a.answer != SKIP or a.batch == self._batch}
        return [i for i in self._queue if i not in answered]

    @checked()
    def image(self, id: int) -> Tensor:
        """Return the image of an id, (3, H, W) uint8."""
        return self.task.train.images[files.known_id(self.task, id)]

    @checked()
    def path(self, id: int) -> Path | None:
        """Return the file of an id, None where the task is not made of files."""
        return files.file_of(self.task, id)

    @checked()
    def suggestion(self, id: int) -> tuple[int, float]:
        """Return the likeliest class and its probability: the student's after a training, else the teacher's."""
        return self._opinion.likeliest(files.known_id(self.task, id))

    @property
    def model_name(self) -> str:
        """Who suggests: the teacher's name, or "student"."""
        return self._opinion.model_name

    @property
    def labels(self) -> dict[int, int]:
        """Every label there is, by id: those the folder knew and the answers."""
        return self._known | {a.id: a.answer for a in self.answers if isinstance(a.answer, int)}

    @property
    def pool(self) -> Pool:
        """The ledger of this session: labels by round of asking, rejected images left out."""
        asked = {a.id: a.batch for a in self.answers}
        ledger = [Label(i, y, asked.get(i, 0), "person" if i in asked else "known") for i, y in self.labels.items()]
        return Pool(self.task.train, ledger, left_out=[a.id for a in self.answers if a.answer == REJECT])

    @property
    def progress(self) -> Progress:
        """How far the session is."""
        labeled, rejected = len(self.labels), sum(a.answer == REJECT for a in self.answers)
        skipped = len(self._put_off())
        return Progress(labeled, skipped, rejected, len(self.task.train) - labeled - rejected - skipped, self._batch)

    def answer(self, label: int | str, *, id: int | None = None) -> None:
        """Give the current image a class, by index or name, and write it down.

        Args:
            label: a class name, or an index in 0 … C − 1 of any integer type.
            id: the image that the answer is for, by id; another one than the current is refused, so that a second
                view or a late key labels nothing that nobody saw.

        Raises:
            UnknownNameError: a name that is no class. SettingError: an index outside, or no integer. PoolError: nothing
                left to label, or `id` is not the current image. RunFolderError: it cannot be kept.
        """
        self._write(class_index(label, self.task.class_names), id)

    @checked()
    def skip(self, *, id: int | None = None) -> None:
        """Put the current image off; `id` as for `answer`."""
        self._write(SKIP, id)

    @checked()
    def reject(self, *, id: int | None = None) -> None:
        """Say that the current image is in no class: neither asked for nor trained on; `id` as for `answer`."""
        self._write(REJECT, id)

    @checked()
    def answer_all(self, answers: Mapping[int, int | str]) -> None:
        """Give images classes, by index or name, or "(reject)", asked for or not: all are written down, or none is.

        Raises:
            PoolError: an id outside of the pool, or with an answer already. Else as `answer`.
        """
        known = self.labels.keys() | {a.id for a in self.answers if a.answer == REJECT}
        if again := sorted(id for id in answers if files.known_id(self.task, id) in known):
            raise PoolError(f"Image {again[0]} has an answer already; undo that first.")
        names = self.task.class_names
        meant = {id: REJECT if MARKS.get(str(y)) == REJECT else class_index(y, names) for id, y in answers.items()}
        if meant and self.current is not None:  # so that there is a batch which they count to
            self._journal.add(*(Answer(id, answer, self._batch) for id, answer in meant.items()))

    def undo(self) -> int | None:
        """Take the last answer back and return its id, which is current again; None when there is none."""
        if not self.answers:
            return None
        last = self._journal.take_back()
        self._queue = [last.id, *(i for i in self._queue if i != last.id)]
        self._save()
        return last.id

    @checked()
    def train(self, cancel: Callable[[], bool] | None = None) -> Trained:
        """Train a fresh student by DHO on the labels so far and the teacher; the next batch is chosen with it.

        Raises:
            PoolError: fewer than two labels. Cancelled: `cancel` said so; the last student stays.
        """
        pool = self.pool
        if len(pool.ledger) < 2:
            raise PoolError(f"Training needs 2 labels or more, but there are {len(pool.ledger)}; label some first.")
        key = len(pool.ledger)
        student, history = train_student(
            self.prepared, pool, seed=self.seed, key=key, progress=self._say, cancel=cancel
        )
        source_size = self.task.train.images.shape[-1]
        self._student = SavedStudent(student, self.task.class_names, **self._opinion.mix, source_size=source_size)
        self._student.save(self.folder / "student")
        test = self._opinion.change(student)
        found = (
            accuracy(test.probabilities(**self._opinion.mix), self.task.test.labels) if len(self.task.test) else None
        )
        self._queue = []  # what is left of the old batch is chosen again by the new student
        self._save()
        said, self._remark = self._remark, self._remark or self._opinion.against_guessing(self.labels).remark
        return Trained(key, history.final_loss, found, "" if said else self._remark)

    def saved_student(self) -> SavedStudent:
        """Return the last student, ready to `save`, `predict` or `export_onnx`.

        Raises:
            PoolError: nothing was trained yet.
        """
        if self._student is None:
            raise PoolError("No student was trained yet; call train() after some labels.")
        return self._student

    @checked()
    def export_csv(self, path: str | Path) -> Path:
        """Write `path,label` for every label, the form that `FolderTask(…, labels=…)` reads; ids stand for paths.

        Raises:
            RunFolderError: a file that cannot be written.
        """
        return files.export_csv(path, self.task, self.labels)

    @checked()
    def export_folder(self, path: str | Path) -> Path:
        """Copy every labelled image into a folder a class (PNG files where the task is not made of files).

        Raises:
            RunFolderError: the folder is there already and not empty.
        """
        return files.export_folder(path, self.task, self.labels)

    def _write(self, answer: int | str, id: int | None) -> None:
        current = self.current
        if current is None:
            raise PoolError("Every image has a label or was rejected; there is nothing left to answer.")
        if id is not None and whole(id) != current:
            raise PoolError(
                f"The answer is for image {short(id)}, but {current} is asked for now; look at it and answer again."
            )
        self._journal.add(Answer(current, answer, self._batch))

    def _put_off(self) -> list[int]:
        return [a.id for a in self.answers if a.answer == SKIP]

    def _next_batch(self) -> int | None:
        pool = self.pool
        open_ids = pool.unlabeled_ids
        fresh = open_ids[~torch.isin(open_ids, torch.tensor(self._put_off(), dtype=torch.int64))]
        ids = fresh if len(fresh) else open_ids  # skipped images come back when all others are answered
        if len(ids) == 0:
            return None
        self._batch += 1
        g = generator(self.seed, "select", self._batch)
        options = self.config.selector_options
        picks = select(
            self.selector, self._opinion.view(pool, ids, self._batch), min(self.batch, len(ids)), generator=g, **options
        )
        self._queue = picks.tolist()
        self._save()
        return self._queue[0]

    def _identity(self) -> Identity:
        images = None if isinstance(self.task, FolderTask) else self.task.train.fingerprint
        return Identity(class_names=list(self.task.class_names), seed=self.seed, images=images)

    def _save(self) -> None:
        queue: list[str | int] = [self._names[i] for i in self._queue]
        self._journal.write_state(State(identity=self._identity(), batch=self._batch, queue=queue))

    def _open(self) -> None:
        """Continue what lies in the folder, or start it."""
        self._names = [files.name_of(self.task, i) for i in range(len(self.task.train))]
        self._journal = Journal(self.folder, self._names, self.task.class_names, partial(files.stamp_of, self.task))
        state = self._journal.state
        if state is None and self.answers and not isinstance(self.task, FolderTask):
            raise RunFolderError(
                f"{shown(self.folder)} has {len(self.answers)} answers but no session.json to say for which images; "
                "bring that file back, or move answers.csv away to begin anew."
            )
        self._batch = max([0, *(a.batch for a in self.answers)])
        if state is not None:
            files.check_identity(self.folder, state.identity, self._identity(), self._say)
            self._batch = max(self._batch, state.batch)
            ids: dict[str | int, int] = {name: i for i, name in enumerate(self._names)}
            self._queue = [ids[name] for name in state.queue if name in ids]  # a file that is gone is not asked for
        if state is None or state.identity != self._identity():
            self._save()
        self._load_student()

    def _load_student(self) -> None:
        """Go on with the last student, if it knows the classes of today."""
        path = student_file(self.folder / "student")
        if not path.exists():
            return
        student = load_student(path)
        if student.class_names != tuple(self.task.class_names):
            self._say(f"the student in {path} knows other classes and is left aside; train a new one")
            return
        files.check_student(self.folder, student.student.settings, self.config)
        self._student = student
        self._opinion.change(student.student.to(self.prepared.device))
