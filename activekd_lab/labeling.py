"""A person labels what a selector asks for: batches, answers, undo, training in between. No user interface here.

Every answer is on disk before the next image is shown (`label_files`); opening the folder again continues.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from activekd_lab import label_files as files
from activekd_lab.checkpoint import SavedStudent, load_student
from activekd_lab.config import RunConfig
from activekd_lab.data import FolderTask, Task
from activekd_lab.errors import DataError, PoolError, RunFolderError, SettingError, UnknownNameError
from activekd_lab.label_files import REJECT, SKIP, Answer, Progress
from activekd_lab.prepare import Prepared, load_run_teacher, prepare, resolve_backbone
from activekd_lab.progress import counted
from activekd_lab.rng import generator
from activekd_lab.rounds import pool_view, training_plan
from activekd_lab.selectors import PoolView, resolve, select
from activekd_lab.student import DualHeadStudent, StudentOutput
from activekd_lab.training import fit


@dataclass(frozen=True)
class Trained:
    """What `train` found: labels used, mean loss at the end, accuracy on the test split or None without one."""

    labels: int
    loss: float
    accuracy: float | None


class LabelSession:
    """Labels for a pool of images, asked for in batches by a selector and kept on disk after every answer.

    Before the first training the selector sees the teacher's zero-shot probabilities and embeddings; afterwards those
    of the last student. Skipped images come back when all others are answered; rejected ones never do.

    Args:
        task: the pool is its training split; labels that it knows already are not asked for again but used.
        folder: of the session; one of the same classes and seed continues. Images of a `FolderTask` are known by their
            path: new files join the pool. Those of any other task must be the same.
        selector: who chooses the images, see `list_selectors()`.
        batch: images a batch.
        config: the student's training and `selector_options`; selector, task, rounds, budget and seed in it are not
            used. None takes the defaults.
        seed: derives every random step.
        say: called with a short text whenever something long begins.

    Raises:
        RunFolderError: a folder of other classes or images, one whose answers are for files that are gone, whose
            student is of another kind than `config` says, or that cannot be read. So does an answer, if somebody else
            has changed the answers in the folder since: theirs stay.
        UnknownNameError, SettingError: an unknown selector or option of it, a batch below 1, or a config with a
            few-shot teacher or validation labels.
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
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        config = config or RunConfig()
        resolve(selector).check_options(dict(config.selector_options))
        if config.few_shot != "none" or config.validation_labels:
            name = "few_shot" if config.few_shot != "none" else "validation_labels"
            raise SettingError(
                f"{name} has no effect in a labelling session: the teacher and the mix stay; leave it out."
            )
        if batch < 1:
            raise SettingError(f"batch must be 1 or more, but got {batch}.")
        self.task, self.folder, self.selector, self.batch, self.seed = task, Path(folder), selector, batch, seed
        self.config = resolve_backbone(config.with_(task="folder"))
        self._say = say
        self.prepared: Prepared = prepare(self.config, say, task=task)
        self._known = {
            i: y for i, y in enumerate(task.train.labels.tolist()) if y >= 0 and isinstance(task, FolderTask)
        }
        self.answers: list[Answer] = []
        self._queue: list[int] = []
        self._batch = 0
        self._student: SavedStudent | None = None
        self._output: tuple[StudentOutput, Tensor] | None = None
        self._open()

    @property
    def current(self) -> int | None:
        """The id to label now; None when every image has a label or was rejected."""
        answered = {a.id for a in self.answers if a.answer != SKIP or a.batch == self._batch}
        for i in self._queue:
            if i not in answered:
                return i
        return self._next_batch()

    def image(self, id: int) -> Tensor:
        """Return the image of an id, (3, H, W) uint8."""
        return self.task.train.images[id]

    def path(self, id: int) -> Path | None:
        """Return the file of an id, None where the task is not made of files."""
        return files.file_of(self.task, id)

    def suggestion(self, id: int) -> tuple[int, float]:
        """Return the likeliest class and its probability: the student's after a training, else the teacher's."""
        probabilities = self.prepared.teacher_probabilities if self._output is None else self._output[1]
        value, index = probabilities[id].max(0)
        return int(index), float(value)

    @property
    def labels(self) -> dict[int, int]:
        """Every label there is, by id: those the folder knew and the answers."""
        return self._known | {a.id: a.answer for a in self.answers if isinstance(a.answer, int)}

    @property
    def progress(self) -> Progress:
        """How far the session is."""
        labeled, rejected = len(self.labels), sum(a.answer == REJECT for a in self.answers)
        skipped = len(self._put_off())
        return Progress(labeled, skipped, rejected, len(self.task.train) - labeled - rejected - skipped, self._batch)

    def answer(self, label: int | str) -> None:
        """Give the current image a class, by index or name, and write it down.

        Raises:
            UnknownNameError: a name that is no class. SettingError: an index outside. PoolError: nothing left to label.
        """
        names = self.task.class_names
        if isinstance(label, str):
            if label not in names:
                raise UnknownNameError("class", label, names)
            label = names.index(label)
        if not 0 <= label < len(names):
            raise SettingError(f"The class must lie in 0 … {len(names) - 1}, but got {label}.")
        self._write(label)

    def skip(self) -> None:
        """Put the current image off."""
        self._write(SKIP)

    def reject(self) -> None:
        """Say that the current image belongs to no class; it is neither asked for nor trained on again."""
        self._write(REJECT)

    def undo(self) -> int | None:
        """Take the last answer back and return its id, which is current again; None when there is none."""
        if not self.answers:
            return None
        self._refuse_stale()
        last = self.answers.pop()
        self._queue = [last.id, *(i for i in self._queue if i != last.id)]
        self._save()
        return last.id

    def train(self, cancel: Callable[[], bool] | None = None) -> Trained:
        """Train a fresh student by DHO on the labels so far and the teacher; the next batch is chosen with it.

        Raises:
            PoolError: fewer than two labels. Cancelled: `cancel` said so; the last student stays.
        """
        labels = self.labels
        if len(labels) < 2:
            raise PoolError(f"Training needs 2 labels or more, but there are {len(labels)}; label some first.")
        ids, y = torch.tensor(list(labels)), torch.tensor(list(labels.values()))
        student = self.prepared.new_student(self.config, generator(self.seed, "student", len(labels)))
        plan = training_plan(self.config, len(labels))
        self._say(what := f"training on {len(labels)} labels")
        count = counted(self._say, what + ", step")
        history = fit(
            student,
            self.prepared.inputs,
            ids,
            y,
            self._open_ids(skipped=True),
            plan,
            generator=generator(self.seed, "train", len(labels)),
            on_loss=lambda step, loss: count(step + 1, plan.steps),
            cancel=cancel,
        )
        self._student = SavedStudent(student, self.task.class_names, self.config.ce_weight, self.config.kd_temperature)
        self._student.save(self.folder / "student")
        test = self._predict(student)
        accuracy = None
        if len(self.task.test):
            predicted = test.probabilities(**self._mix).argmax(1)
            accuracy = float((predicted == self.task.test.labels).float().mean())
        self._queue = []  # what is left of the old batch is chosen again by the new student
        self._save()
        return Trained(len(labels), history.final_loss, accuracy)

    def saved_student(self) -> SavedStudent:
        """Return the last student, ready to `save`, `predict` or `export_onnx`.

        Raises:
            PoolError: nothing was trained yet.
        """
        if self._student is None:
            raise PoolError("No student was trained yet; call train() after some labels.")
        return self._student

    def export_csv(self, path: str | Path) -> Path:
        """Write `path,label` for every label, the form that `FolderTask(…, labels=…)` reads; ids stand for paths.

        Raises:
            RunFolderError: a file that cannot be written.
        """
        return files.export_csv(path, self.task, self.labels)

    def export_folder(self, path: str | Path) -> Path:
        """Copy every labelled image into a folder a class (PNG files where the task is not made of files).

        Raises:
            RunFolderError: the folder is there already and not empty.
        """
        return files.export_folder(path, self.task, self.labels)

    def _write(self, answer: int | str) -> None:
        self._refuse_stale()
        current = self.current
        if current is None:
            raise PoolError("Every image has a label or was rejected; there is nothing left to answer.")
        self.answers = [a for a in self.answers if a.id != current]  # a skipped image that came back
        self.answers.append(Answer(current, answer, self._batch))
        self._save()

    def _put_off(self) -> list[int]:
        return [a.id for a in self.answers if a.answer == SKIP]

    def _open_ids(self, *, skipped: bool) -> Tensor:
        """Return ids without label or rejection, ascending; with or without those put off."""
        closed = set(self.labels) | {a.id for a in self.answers if a.answer == REJECT}
        closed |= set() if skipped else set(self._put_off())
        return torch.tensor([i for i in range(len(self.task.train)) if i not in closed], dtype=torch.int64)

    def _next_batch(self) -> int | None:
        ids = self._open_ids(skipped=False)
        ids = ids if len(ids) else self._open_ids(skipped=True)
        if len(ids) == 0:
            return None
        self._batch += 1
        g = generator(self.seed, "select", self._batch)
        options = self.config.selector_options
        picks = select(self.selector, self._view(ids), min(self.batch, len(ids)), generator=g, **options)
        self._queue = picks.tolist()
        self._save()
        return self._queue[0]

    def _view(self, ids: Tensor) -> PoolView:
        teacher, labels = self.prepared.teacher_probabilities, self.labels
        labeled, y = (torch.tensor(list(part), dtype=torch.int64) for part in (labels, labels.values()))
        if self._output is None:  # the teacher stands in for both heads
            logits = teacher.clamp_min(1e-12).log()
            output = StudentOutput(logits, logits, self.prepared.embeddings.cpu())
            return pool_view(output, teacher, teacher, ids, labeled, y, round=self._batch)
        return pool_view(*self._output, teacher, ids, labeled, y, round=self._batch)

    @property
    def _mix(self) -> dict[str, float]:
        return {"ce_weight": self.config.ce_weight, "kd_temperature": self.config.kd_temperature}

    def _predict(self, student: DualHeadStudent) -> StudentOutput:
        """Keep the student's outputs on the pool and return those on the test split."""
        train, test = self.prepared.predict(student)
        self._output = (train, train.probabilities(**self._mix))
        return test

    def _identity(self) -> dict[str, object]:
        """Return what a session cannot change: the images too, unless their paths tell which is which."""
        images = {} if isinstance(self.task, FolderTask) else {"images": self.task.train.fingerprint}
        return images | {"class_names": list(self.task.class_names), "seed": self.seed}

    def _refuse_stale(self) -> None:
        """Refuse to write over what another session, or an editor, has written since this one read or wrote it.

        Raises:
            RunFolderError: the answers on disk are others.
        """
        if files.answers_on_disk(self.folder) != self._on_disk:
            raise RunFolderError(
                f"{self.folder / 'answers.csv'} was changed by another session since this one wrote it, so nothing was "
                "kept here; close one of them, and open the session again."
            )

    def _save(self) -> None:
        self._refuse_stale()
        queue = [files.name_of(self.task, i) for i in self._queue]
        state = {"identity": self._identity(), "batch": self._batch, "queue": queue}
        files.write_session(self.folder, self.task, state, self.answers)
        self._on_disk = files.answers_on_disk(self.folder)

    def _open(self) -> None:
        """Continue what lies in the folder, or start it."""
        self._on_disk = files.answers_on_disk(self.folder)
        found = files.read_session(self.folder, self.task)
        if found is None:
            self._save()
            return
        state, answers = found
        if any(state["identity"].get(key) != value for key, value in self._identity().items()):
            raise RunFolderError(f"{self.folder} belongs to other images, classes or another seed; use a new folder.")
        files.check_answers(self.folder, self.task, answers)
        self.answers, self._batch = answers, state["batch"]
        ids = files.ids_by_name(self.task)
        self._queue = [ids[name] for name in state["queue"] if name in ids]  # a file that is gone is not asked for
        if (self.folder / "student").exists():
            self._student = load_student(self.folder / "student", class_names=self.task.class_names)
            files.check_student(self.folder, self._student.student.settings, self.config)
            self._predict(self._student.student.to(self.prepared.device))


def simulate(session: LabelSession, truth: Tensor, labels: int) -> Iterator[Trained]:
    """Let a known truth play the person: answer batch after batch, train after each, until there are `labels` labels.

    Args:
        session: is answered and trained.
        truth: (N,) int64 classes of the pool.
        labels: labels to stop at; the last batch may be cut short.

    Yields:
        What each training found.
    """
    while len(session.labels) < labels and session.current is not None:
        for _ in range(min(session.batch, labels - len(session.labels))):
            if (current := session.current) is not None:
                session.answer(int(truth[current]))
        yield session.train()


def label_folder(
    path: str | Path,
    class_names: list[str] | None,
    folder: str | Path | None = None,
    *,
    config: RunConfig | None = None,
    say: Callable[[str], None] = lambda text: None,
    **options: object,
) -> LabelSession:
    """Open a session on a folder of images; by default its files lie in `<path>/.labels`, which is no image folder.

    Images are kept at the larger of what teacher and student look at, 128 pixels or more.

    Raises:
        DataError: as `FolderTask`.
    """
    config = config or RunConfig()
    size = max(128, config.image_size, load_run_teacher(config).image_size)
    count = counted(say, "decoding images")
    task = FolderTask(path, class_names, test_share=0, unreadable="skip", image_size=size, progress=count)
    if len(task.class_names) < 2:
        raise DataError(f"Labelling needs two classes or more, but got {task.class_names}; give class_names.")
    return LabelSession(task, folder or task.root / ".labels", config=config, say=say, **options)  # type: ignore[arg-type]
