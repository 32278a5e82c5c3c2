"""A person's labels: asked for by a selector, never lost, taken back, used."""

import json
import os
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from activekd_lab.active import rounds
from activekd_lab.cli.app import app
from activekd_lab.config import RunConfig
from activekd_lab.data import load_task
from activekd_lab.data.folder import FolderTask
from activekd_lab.errors import Cancelled, DataError, PoolError, RunFolderError, SettingError, UnknownNameError
from activekd_lab.labeling import session as labeling
from activekd_lab.labeling.photos import label_folder
from activekd_lab.labeling.session import LabelSession
from activekd_lab.labeling.simulation import simulate
from activekd_lab.students.checkpoint import load_student
from activekd_lab.students.towers import BUNDLED

FAST = RunConfig(steps=3, batch_labeled=8, batch_unlabeled=8, device="cpu")
NAMES = ["red", "grün"]


@pytest.fixture
def photos(tmp_path):
    """Forty unlabelled files, the even ones red."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(40):
        color = (220 - i, i, 30) if i % 2 == 0 else (i, 220 - i, 30)
        Image.fromarray(np.full((20, 24, 3), color, np.uint8)).save(folder / f"{i:02}.png")
    return folder


def open_session(photos, **options):
    return label_folder(photos, NAMES, **{"batch": 4, "config": FAST} | options)


def truth(session, current):
    return int(session.path(current).stem) % 2


def test_photos_of_one_size_that_change_places_are_told(tmp_path):
    for name, colour in (("0", "red"), ("1", "blue"), ("2", "green"), ("3", "white")):
        Image.new("RGB", (24, 24), colour).save(tmp_path / f"{name}.bmp")
    session = open_session(tmp_path)
    path = session.path(session.current)
    session.answer("red")
    other = next(p for p in tmp_path.glob("*.bmp") if p != path)
    assert other.stat().st_size == path.stat().st_size
    content = path.read_bytes()
    path.write_bytes(other.read_bytes())
    other.write_bytes(content)
    with pytest.warns(UserWarning, match=rf"1 images are other files than when they were answered \({path.name}\)"):
        open_session(tmp_path)


def test_another_photo_under_an_answered_name_is_told_and_older_tables_stay_silent(photos):
    session = open_session(photos)
    path = session.path(session.current)
    session.answer("red")
    with warnings.catch_warnings(action="error"):
        open_session(photos)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 24, 3), dtype=np.uint8)).save(path)
    with pytest.warns(UserWarning, match=rf"1 images are other files than when they were answered \({path.name}\)"):
        again = open_session(photos)
    assert again.labels == {int(path.stem): 0}  # the answer stays: it is for a person to look
    table = photos / ".labels" / "answers.csv"
    rows = [line.rsplit(",", 1)[0] for line in table.read_text("utf-8").splitlines()]
    table.write_text("\n".join(rows) + "\n", "utf-8")  # as an earlier version wrote it
    with warnings.catch_warnings(action="error"):
        old = open_session(photos)
    old.answer("red")
    assert len(open_session(photos).labels) == 2


def test_thirty_answers_with_three_interruptions_lose_none(photos, tmp_path):
    given, session = {}, open_session(photos)
    for step in range(30):
        if step in (7, 8, 22):  # in the middle of a batch, once right after another, once after training
            queue = session.current
            before = session.progress
            session = open_session(photos)
            assert session.current == queue
            assert session.progress == before
        if step == 12:
            assert session.train().labels == len(session.labels)
            assert session.current not in given
        current = session.current
        assert current not in given
        if step == 5:
            session.reject()
            given[current] = None
            continue
        session.answer(truth(session, current))
        given[current] = truth(session, current)
    session = open_session(photos)
    labels = {i: y for i, y in given.items() if y is not None}
    assert session.labels == labels
    assert session.progress == (29, 0, 1, 10, 8)  # batches of four
    table = session.export_csv(tmp_path / "labels.csv")
    again = FolderTask(photos, NAMES, labels=table, test_share=0)
    assert {f.name: y for f, y in zip(again.files, again.train.labels.tolist(), strict=True)} == {
        session.path(i).name: y for i, y in labels.items()
    }
    copied = FolderTask(session.export_folder(tmp_path / "sorted"), NAMES, test_share=0)
    assert copied.train.labels.bincount().tolist() == again.train.labels.bincount().tolist()


def test_a_killed_process_keeps_every_answer(photos, tmp_path):
    """The process is killed right after its fifth answer returned."""
    script = f"""
import os, signal
from activekd_lab.config import RunConfig
from activekd_lab.labeling.photos import label_folder
session = label_folder({str(photos)!r}, {NAMES!r}, config=RunConfig(device="cpu"))
for i in range(5):
    print(session.current, flush=True)
    session.answer(i % 2)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL, done.stderr
    asked = [int(line) for line in done.stdout.split()]
    assert open_session(photos).labels == {i: n % 2 for n, i in enumerate(asked)}


def test_undo_takes_back_and_asks_again(photos):
    session = open_session(photos)
    first = session.current
    session.answer("grün")
    second = session.current
    session.reject()
    assert session.undo() == second == session.current
    assert session.undo() == first == session.current
    assert session.undo() is None
    assert session.labels == {}
    resumed = open_session(photos)  # what was taken back is gone from the disk too
    assert (resumed.answers, resumed.current) == ([], first)
    session.answer(0)
    assert session.current == second
    assert open_session(photos).labels == {first: 0}


def test_the_last_answer_of_a_batch_is_asked_again_though_the_next_batch_is_there(photos):
    session = open_session(photos, batch=2)
    session.answer(0)
    last = session.current
    session.answer(0)
    following = session.current
    assert session.progress.batch == 2
    assert session.undo() == last == session.current
    session.answer(1)
    assert session.current == following


def test_skipped_images_come_back_last(photos):
    session = open_session(photos, batch=40)
    put_off = session.current
    session.skip()
    for _ in range(39):
        assert session.current != put_off
        session.answer(truth(session, session.current))
    assert session.progress[:4] == (39, 1, 0, 0)
    assert session.current == session.current == put_off
    assert session.progress.batch == 2  # looking again asks for no other batch
    session.answer(0)
    assert session.current is None
    assert sorted(a.id for a in session.answers) == list(range(40))
    with pytest.raises(PoolError, match="nothing left to answer"):
        session.skip()


def test_training_changes_who_suggests_and_gives_a_model_to_take_home(photos, tmp_path):
    session = open_session(photos)
    with pytest.raises(PoolError, match="needs 2 labels or more, but there are 0"):
        session.train()
    with pytest.raises(PoolError, match="No student was trained yet"):
        session.saved_student()
    for _ in range(8):
        session.answer(truth(session, session.current))
    teacher = [session.suggestion(i) for i in range(40)]
    best = session.prepared.teacher_probabilities.max(1)
    assert teacher == list(zip(best.indices.tolist(), best.values.tolist(), strict=True))
    found = session.train()
    assert (found.labels, found.accuracy) == (8, None)
    student = [session.suggestion(i) for i in range(40)]
    assert student != teacher
    resumed = open_session(photos)
    np.testing.assert_allclose([p for _, p in student], [resumed.suggestion(i)[1] for i in range(40)], atol=1e-5)
    assert resumed.saved_student().class_names == tuple(NAMES)


def test_training_says_once_that_the_teacher_cannot_be_told_from_guessing(photos):
    session = open_session(photos, batch=40)
    while (current := session.current) is not None:
        guess = int(session.prepared.teacher_probabilities[current].argmax())
        session.answer(guess if len(session.labels) % 2 else 1 - guess, id=current)
    first, second = session.train(), session.train()
    assert first.remark.startswith("The teacher is right on 20 of 40 labels, and guessing, which is right on 5")
    assert second.remark == ""


def test_other_tasks_hide_their_labels_and_can_measure(tmp_path, tiny):
    task = load_task("shapes", **tiny["task_options"])
    config = FAST.with_(ce_weight=1.0)
    session = LabelSession(task, tmp_path, selector="entropy", batch=3, config=config)
    assert session.labels == {}
    assert session.path(session.current) is None
    for _ in range(6):
        session.answer(int(task.train.labels[session.current]))
    found = session.train()
    right = session.saved_student().predict(task.test.images).argmax(1) == task.test.labels
    assert found.accuracy == pytest.approx(float(right.float().mean()))
    assert len(list(session.export_folder(tmp_path / "png").rglob("*.png"))) == 6
    with pytest.raises(RunFolderError, match="belongs to other images than"):
        LabelSession(load_task("shapes", **tiny["task_options"], seed=1), tmp_path, config=config)
    (tmp_path / "session.json").unlink()  # ids alone do not say which images
    with pytest.raises(RunFolderError, match=r"has 6 answers but no session\.json to say for which images"):
        LabelSession(task, tmp_path, config=config)
    assert len((tmp_path / "answers.csv").read_text().splitlines()) == 7


def test_a_truth_can_play_the_person(tmp_path, tiny):
    task = load_task("shapes", **tiny["task_options"])
    session = LabelSession(task, tmp_path, batch=4, config=FAST)
    assert [t.labels for t in simulate(session, task.train.labels, 10)] == [4, 8, 10]
    assert session.labels == {i: int(task.train.labels[i]) for i in session.labels}


def test_bad_input_is_one_sentence(photos, tmp_path):
    session = open_session(photos)
    with pytest.raises(UnknownNameError, match="Unknown class 'gren'.*grün"):
        session.answer("gren")
    for label in (2, -1):
        with pytest.raises(SettingError, match=rf"0 … 1, but got {label}"):
            session.answer(label)
    assert session.answers == []
    with pytest.raises(RunFolderError, match=r"begun with seed=0 \(here 1\); give that seed"):
        open_session(photos, seed=1)
    for mark in ("(skip)", "(reject)", "(undone)"):
        with pytest.raises(SettingError, match=rf"A class cannot be called '\{mark[:-1]}\)'"):
            label_folder(photos, ["red", mark], tmp_path / "marks", config=FAST)
    for wrong in (1.0, True, np.True_, torch.tensor(True), torch.tensor(0.5), None, [1], np.zeros(2, int)):
        with pytest.raises(SettingError, match="must be a name or an integer index, but got"):
            session.answer(wrong)
    assert session.answers == []
    with pytest.raises(SettingError, match="batch as a whole number >= 1, but got int 0"):
        open_session(photos, batch=0, folder=tmp_path / "none")
    with pytest.raises(DataError, match=r"two classes or more, but got .*red"):
        label_folder(photos, ["red"], config=FAST)
    (photos / ".labels" / "session.json").write_text("{")
    with pytest.raises(RunFolderError, match=r"session\.json is damaged .* move it away: the answers stand in answers"):
        open_session(photos)
    with pytest.raises(UnknownNameError, match="pcoreset"):
        open_session(photos, folder=tmp_path / "new", selector="pcorset")


def test_settings_of_the_config_are_used_or_refused(photos, monkeypatch):
    asked = {}
    real = labeling.select
    monkeypatch.setattr(labeling, "select", lambda *a, **options: asked.update(options) or real(*a, **options))
    config = FAST.with_(selector_options={"radius": 0.5})
    assert open_session(photos, selector="probcover", config=config).current is not None
    assert asked["radius"] == 0.5
    with pytest.raises(SettingError, match="has no option 'radius'"):
        open_session(photos, selector="random", config=config)
    refused = {"few_shot": "clap", "validation_labels": 4, "query_mix": (0.5, 2.0), "pool_limit": 50}
    for name, value in refused.items():
        with pytest.raises(SettingError, match=f"{name} has no effect in a labelling session"):
            open_session(photos, config=FAST.with_(**{name: value}))


def test_the_selector_sees_the_teacher_first_and_then_the_student(photos, monkeypatch):
    views, real = [], labeling.select
    monkeypatch.setattr(labeling, "select", lambda name, view, *a, **o: views.append(view) or real(name, view, *a, **o))
    session = open_session(photos, config=FAST.with_(ce_weight=0.25, kd_temperature=2.0))
    for _ in range(5):
        session.answer(truth(session, session.current))
    session.reject()
    first, second = views
    teacher = session.prepared.teacher_probabilities
    for view in views:
        for name in ("probabilities", "teacher_probabilities", "ce_probabilities"):
            torch.testing.assert_close(getattr(view, name), teacher[view.ids])
        torch.testing.assert_close(view.features, session.prepared.embeddings[view.ids])
    assert (len(first.ids), len(first.labeled_ids), first.round) == (40, 0, 1)
    assert second.labeled_ids.tolist() == list(session.labels)[:4]
    assert second.labeled_labels.tolist() == list(session.labels.values())[:4]
    assert second.round == 2
    session.train()
    assert session.current not in session.labels
    third, closed = views[2], {a.id for a in session.answers}
    assert set(third.ids.tolist()) == set(range(40)) - closed
    saved = session.saved_student()
    assert (saved.ce_weight, saved.kd_temperature) == (0.25, 2.0)
    torch.testing.assert_close(
        third.probabilities, saved.predict(session.task.train.images)[third.ids], atol=1e-4, rtol=0
    )
    torch.testing.assert_close(third.teacher_probabilities, teacher[third.ids])


def test_a_rejected_image_is_not_trained_on_and_a_cancelled_training_leaves_the_last_student(photos, monkeypatch):
    trained, real = [], rounds.fit
    monkeypatch.setattr(rounds, "fit", lambda *a, **o: trained.append(a[2:5]) or real(*a, **o))
    session = open_session(photos)
    answer = [session.reject, session.skip, *[lambda: session.answer(truth(session, session.current))] * 3]
    for give in answer:
        give()
    session.train()
    labeled, labels, unlabeled = (part.tolist() for part in trained[0])
    assert dict(zip(labeled, labels, strict=True)) == session.labels
    put_away = next(a.id for a in session.answers if a.answer == "reject")
    assert set(unlabeled) == set(range(40)) - set(labeled) - {put_away}  # the skipped one among them
    before = session.saved_student()
    with pytest.raises(Cancelled):
        session.train(cancel=lambda: True)
    assert session.saved_student() is before


def test_labels_that_the_folder_knows_are_used_and_not_asked_for(photos, tmp_path):
    table = tmp_path / "known.csv"
    rows = [f"{i:02}.png,{NAMES[i % 2] if i < 35 else ''}\n" for i in range(40)]
    table.write_text("path,label\n" + "".join(rows), "utf-8")
    task = FolderTask(photos, NAMES, labels=table, test_share=0)
    session = LabelSession(task, tmp_path / "session", batch=4, config=FAST)
    assert session.progress == (35, 0, 0, 5, 0)
    asked = []
    while (current := session.current) is not None:
        asked.append(session.path(current).stem)
        session.answer(truth(session, current))
    assert sorted(asked) == ["35", "36", "37", "38", "39"]
    assert session.labels == {i: int(path.stem) % 2 for i, path in enumerate(task.files)}


def test_the_terminal_labels_undoes_and_exports(photos, tmp_path):
    out = tmp_path / "labels.csv"
    command = ["label", str(photos), "--classes", ",".join(NAMES), "--batch", "5", "--export", str(out)]
    command += ["--selector", "entropy", "--seed", "3"]
    done = CliRunner().invoke(app, command, input="1\n2\nu\ngrün\n9\n0\n²\n?\ns\nx\nq\n")
    assert done.exit_code == 0, done.output
    assert "1 … 2, but got 9" in done.output
    assert "1 … 2, but got 0" in done.output
    assert "Unknown class '²'" in done.output
    assert "the model says" in done.output
    assert f"akd.labeling.label_folder({str(photos)!r}, {NAMES!r}, selector='entropy', batch=5, seed=3))" in done.output
    assert "2 labels" in done.output
    rows = out.read_text("utf-8").splitlines()
    assert [row.split(",")[1] for row in rows] == ["label", *sorted(["red", "grün"], key=rows.__str__().find)]
    state = json.loads((photos / ".labels" / "session.json").read_text("utf-8"))
    assert state["batch"] == 1


def test_no_name_of_a_photo_is_a_command_to_the_terminal(photos, tmp_path):
    for path in list(photos.iterdir()):
        path.rename(photos / f"{path.stem}\x1b[2J{path.suffix}")
    command = ["label", str(photos), "--classes", "red,grün", "--device", "cpu", "--session", str(tmp_path / "mine")]
    done = CliRunner().invoke(app, command, input="1\nq\n")
    assert done.exit_code == 0, done.output
    assert "\x1b" not in done.output
    assert r"\x1b[2J" in done.output


def test_where_a_class_is_called_like_a_command_the_class_wins(photos, tmp_path):
    command = ["label", str(photos), "--classes", "s,u,red", "--device", "cpu", "--session", str(tmp_path / "mine")]
    done = CliRunner().invoke(app, command, input="s\nu\nx\n:x\n3\n:u\n:q\n")
    assert done.exit_code == 0, done.output
    assert ":s puts off, :x is in no class" in done.output
    assert "Unknown class 'x'" in done.output
    rows = (tmp_path / "mine" / "answers.csv").read_text().splitlines()[1:]
    assert [row.split(",")[2] for row in rows] == ["s", "u", "(reject)", "red", "(undone)"]
    assert not (photos / ".labels").exists()


def test_where_classes_are_numbers_an_answer_is_a_name(photos, tmp_path):
    out = tmp_path / "labels.csv"
    command = ["label", str(photos), "--classes", "0,1,7", "--device", "cpu", "--export", str(out)]
    done = CliRunner().invoke(app, command, input="1\n7\n2\nq\n")
    assert done.exit_code == 0, done.output
    assert "0, 1, 7\n" in done.output
    assert "Unknown class '2'" in done.output
    assert sorted(row.split(",")[1] for row in out.read_text("utf-8").splitlines()) == ["1", "7", "label"]


def test_an_index_of_any_integer_type_is_a_class(photos):
    session = open_session(photos)
    for label in (np.int64(1), torch.tensor(1), np.uint8(0), 0):
        session.answer(label)
    assert list(open_session(photos).labels.values()) == [1, 1, 0, 0]


def test_an_answer_for_another_image_than_the_current_is_refused(photos):
    session = open_session(photos)
    seen = session.current
    session.answer("red", id=seen)
    for late in (lambda **of: session.answer("grün", **of), session.skip, session.reject):
        with pytest.raises(PoolError, match=rf"is for image {seen}, but {session.current} is asked for now"):
            late(id=seen)
    assert open_session(photos).labels == {seen: 0}


def test_without_session_json_every_answer_is_there_and_nothing_is_asked_again(photos):
    session, asked = open_session(photos), []
    for i in range(6):
        asked.append(session.current)
        session.answer(i % 2)
    (photos / ".labels" / "session.json").unlink()
    session = open_session(photos)
    assert list(session.labels) == asked
    assert session.current not in asked
    (photos / ".labels" / "answers.csv").unlink()
    with pytest.raises(RunFolderError, match=r"has a session\.json but no answers\.csv any more; bring that file back"):
        open_session(photos)


def test_classes_may_be_added_and_reordered_and_a_student_of_the_old_ones_is_left_aside(photos):
    session, said = open_session(photos), []
    for i in range(4):
        session.answer(NAMES[i % 2])
    session.train()
    names = ["blau", "grün", "red"]
    more = label_folder(photos, names, batch=4, config=FAST, say=said.append)
    assert [names[y] for y in more.labels.values()] == ["red", "grün", "red", "grün"]
    assert "the classes were red, grün and are now blau, grün, red; every answer keeps its class" in said
    with pytest.raises(PoolError, match="No student was trained yet"):
        more.saved_student()
    more.answer("blau")
    more.train()
    assert label_folder(photos, names, batch=4, config=FAST).saved_student().class_names == tuple(names)
    with pytest.raises(
        RunFolderError, match=r"Line 6 of .*answers\.csv has the answer 'blau' for .*give that class too"
    ):
        open_session(photos)


def test_a_kill_while_the_student_is_saved_leaves_a_session_that_opens(photos, monkeypatch):
    session = open_session(photos)
    for i in range(4):
        session.answer(i % 2)
    for call in ("fsync", "replace"):
        monkeypatch.setattr(os, call, lambda *_: sys.exit())
        with pytest.raises(SystemExit):
            session.train()
        monkeypatch.undo()
        assert len(open_session(photos).labels) == 4
    (photos / ".labels" / "student").mkdir(exist_ok=True)  # as an earlier version left it
    assert len(open_session(photos).labels) == 4


def test_a_session_does_not_write_over_the_answers_of_another(photos):
    first = open_session(photos)
    first.answer("red")
    second = open_session(photos)
    asked = second.current
    first.answer("grün")
    for act in (lambda: second.answer("red"), second.skip, second.reject, second.undo):
        with pytest.raises(RunFolderError, match=r"answers\.csv was changed by another session .* nothing was kept"):
            act()
    assert (second.current, list(second.labels.values())) == (asked, [0])
    first.answer("red")
    assert list(open_session(photos).labels.values()) == [0, 1, 0]


def test_new_photos_join_the_pool_and_answers_stay_with_their_files(photos):
    session = open_session(photos)
    given = {}
    for _ in range(5):
        given[session.path(session.current).name] = truth(session, session.current)
        session.answer(truth(session, session.current))
    asked = session.path(session.current)
    Image.new("RGB", (20, 24), (90, 90, 90)).save(photos / "000.png")  # the first by name: every id moves
    session = open_session(photos)
    assert {session.path(i).name: y for i, y in session.labels.items()} == given
    assert session.path(session.current) == asked
    assert session.progress.remaining == 36
    session.answer(0)
    (photos / next(iter(given))).unlink()
    with pytest.raises(RunFolderError, match=f"1 answers for images .*: {next(iter(given))};"):
        open_session(photos)


def test_a_session_of_an_older_version_continues(photos):
    """It knew images by a hash of all of them, and the batch at hand by ids."""
    open_session(photos).answer("red")
    path = photos / ".labels" / "session.json"
    state = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(state | {"identity": state["identity"] | {"images": "0123"}, "queue": [1, 2]}), "utf-8")
    session = open_session(photos)
    assert list(session.labels.values()) == [0]
    assert session.current not in session.labels


def test_a_student_of_other_settings_is_refused_by_name(photos):
    session = open_session(photos)
    for _ in range(2):
        session.answer(truth(session, session.current))
    session.train()
    with pytest.raises(RunFolderError, match=r"trained with image_size=64 \(here 32\); give the same"):
        open_session(photos, config=FAST.with_(image_size=32))


def test_photos_are_kept_as_large_as_the_student_looks(photos):
    assert open_session(photos).image(0).shape == (3, 128, 128)
    assert open_session(photos, config=FAST.with_(image_size=160)).image(0).shape == (3, 160, 160)


def test_the_terminal_takes_teacher_backbone_and_size(photos):
    model = ["--teacher", f"local-dir:{BUNDLED}", "--backbone", "small_cnn", "--image-size", "32", "--steps", "2"]
    command = ["label", str(photos), "--classes", ",".join(NAMES), "--device", "cpu", *model]
    done = CliRunner().invoke(app, command, input="1\n2\nt\nq\n")
    assert done.exit_code == 0, done.output
    assert "trained on 2 labels" in done.output
    assert f"config=akd.RunConfig(**{{'teacher': 'local-dir:{BUNDLED}', 'backbone': 'small_cnn'" in done.output
    settings = load_student(photos / ".labels" / "student").student.settings
    assert (settings["backbone"], settings["image_size"]) == ("small_cnn", 32)
    wrong = CliRunner().invoke(app, ["label", str(photos), "--teacher", "RN50/opnai"])
    assert "nearest first: RN50/openai" in str(wrong.exception)


def test_labels_that_cannot_be_written_are_one_sentence(photos, tmp_path):
    session = open_session(photos)
    (tmp_path / "taken").write_text("a file")
    for name in ("taken/labels.csv", "photos"):
        with pytest.raises(RunFolderError, match=rf"{name} cannot be written \(.+\); choose another file"):
            session.export_csv(tmp_path / name)
