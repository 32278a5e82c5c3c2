import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from activekd_lab.active.begin import iterate, run, start
from activekd_lab.active.prepare import prepare
from activekd_lab.config import RunConfig
from activekd_lab.errors import (
    Cancelled,
    DataError,
    NonFiniteError,
    PoolError,
    RunFolderError,
    SettingError,
    UnknownNameError,
)
from activekd_lab.rng import generator
from activekd_lab.runs.stored import load_run
from activekd_lab.selectors import REGISTRY
from activekd_lab.students.checkpoint import load_student
from activekd_lab.students.student import StudentOutput
from activekd_lab.students.training import fit
from activekd_lab.teachers.few_shot import FEW_SHOT


def files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("labels.csv", "rounds.jsonl", "config.json")}


def test_a_run_labels_what_its_selector_picks(tiny):
    active = start(RunConfig(**tiny))
    records = list(active)
    assert [r.labels for r in records] == [4, 9, 14, 19]
    assert [len(r.picks) for r in records] == [5, 5, 5, 0]
    result = active.result()
    assert result.labeled_ids(1) == [*result.labeled_ids(0), *records[0].picks]
    truth = active.prepared.task.train.labels
    assert all(int(truth[label.id]) == label.label for label in result.labels)
    assert {label.source for label in result.labels} == {"initial", "selector"}
    assert sorted(map(int, active.view.ids)) == sorted(set(range(80)) - set(result.labeled_ids(3)))


def test_a_function_of_ones_own_picks_and_lends_the_run_its_name(tiny, tmp_path):
    def lowest(view, budget, *, generator):
        return view.ids.sort().values[:budget]

    result = run(RunConfig(**tiny), selector=lowest)
    start = result.labeled_ids(0)
    assert result.records[0].picks == tuple([i for i in range(80) if i not in start][:5])
    assert result.config["selector"] == "lowest"
    with pytest.raises(SettingError, match="A store cannot tell 'lowest' from a later function"):
        run(RunConfig(**tiny), selector=lowest, store=tmp_path)
    with pytest.raises(SettingError, match="'lowest' has no option 'protocol'"):
        run(RunConfig(**tiny | {"selector": "badge", "selector_options": {"protocol": "paper"}}), selector=lowest)


def test_a_function_of_ones_own_takes_its_own_options(tiny):
    def from_top(view, budget, *, generator, down=False):
        return view.ids.sort(descending=down).values[:budget]

    config = RunConfig(**tiny | {"selector_options": {"down": True}, "rounds": 1})
    active = start(config, selector=from_top)
    first = next(iter(active))
    assert first.picks == tuple(active.view.ids.sort(descending=True).values[:5].tolist())


def test_radii_fall_and_agree_with_the_next_round_start(tiny):
    record = next(iter(start(RunConfig(**tiny))))
    radii = record.pick_radii
    assert len(radii) == 6
    assert radii[0] == pytest.approx(record.covering_radius)
    assert list(radii) == sorted(radii, reverse=True)


def test_the_same_seed_repeats_and_another_does_not(tiny):
    a, b = (list(iterate(RunConfig(**tiny))) for _ in range(2))
    assert [(r.picks, r.accuracy, r.loss) for r in a] == [(r.picks, r.accuracy, r.loss) for r in b]
    assert a[0].picks != next(iterate(RunConfig(**tiny, seed=1))).picks


@pytest.mark.parametrize("selector", sorted(REGISTRY))
@pytest.mark.parametrize("method", ["dho", "ce"])
def test_every_selector_runs_in_the_loop(tiny, selector, method):
    result = run(RunConfig(**tiny | {"selector": selector, "method": method, "rounds": 1}))
    assert len(set(result.labeled_ids(1))) == 9


@pytest.mark.parametrize("method", ["single_head", "kd"])
def test_other_methods_run(tiny, method):
    assert 0 <= run(RunConfig(**tiny | {"method": method, "rounds": 0})).final_accuracy <= 1


def teachers_of(config):
    """The teacher's probabilities of the pool that each round of a run distilled from, and what was labelled then."""
    active = start(config)
    first, found = active.prepared.teacher_probabilities, []
    for _ in active:
        found.append((active.prepared.teacher_probabilities, active.prepared.inputs.teacher_logits.softmax(1)))
    return active, first, found


@pytest.mark.parametrize("few_shot", ["clap", "tip_adapter", "tip_adapter_f", "linear_probe"])
def test_a_few_shot_teacher_is_refit_on_the_labels_of_its_round(tiny, few_shot):
    active, zero_shot, found = teachers_of(RunConfig(**tiny | {"few_shot": few_shot, "rounds": 1}))
    result, parts = active.result(), active.prepared
    for index, (probabilities, distilled) in enumerate(found):
        ids = torch.tensor(result.labeled_ids(index))
        labels = parts.task.train.labels[ids]
        expected = (
            FEW_SHOT[few_shot](parts.zero_shot).fit(parts.embeddings[ids], labels).probabilities(parts.embeddings)
        )
        torch.testing.assert_close(probabilities, expected)
        torch.testing.assert_close(distilled, expected)
        assert not torch.allclose(probabilities, zero_shot, atol=1e-4)
    seen = active.view.teacher_probabilities
    torch.testing.assert_close(seen, found[-1][0][active.view.ids])


def test_the_released_order_lags_one_round_behind_the_corrected_one_after_the_first(tiny):
    """Its first two students learn from one teacher, fitted on the initial labels before round 0."""
    settings = tiny | {"few_shot": "clap", "rounds": 2, "selector": "random"}  # the same picks in both
    _, zero_shot, corrected = teachers_of(RunConfig(**settings))
    _, _, released = teachers_of(RunConfig(**settings, protocol="released"))
    _, _, paper = teachers_of(RunConfig(**settings, protocol="paper"))
    assert not torch.allclose(released[0][0], zero_shot, atol=1e-4)
    assert torch.equal(released[0][0], corrected[0][0])
    assert torch.equal(released[1][0], corrected[0][0])
    assert torch.equal(released[2][0], corrected[1][0])
    assert all(torch.equal(a[0], b[0]) for a, b in zip(paper, corrected, strict=True))


@pytest.mark.parametrize("protocol", ["corrected", "released"])
def test_a_run_with_a_few_shot_teacher_resumes_to_the_same_bytes(tiny, tmp_path, protocol):
    config = RunConfig(**tiny | {"few_shot": "clap", "protocol": protocol, "rounds": 2})
    whole = run(config, store=tmp_path / "whole")
    active = start(config, store=tmp_path / "cut", cancel=lambda: len(active.records) > 0).open()
    with pytest.raises(Cancelled):
        list(active)
    assert files(run(config, store=tmp_path / "cut").folder) == files(whole.folder)


def test_a_few_shot_teacher_sees_the_views_that_the_student_sees(tiny):
    config = RunConfig(
        **tiny | {"few_shot": "clap", "backbone": "small_cnn", "image_size": 32, "rounds": 0, "steps": 2}
    )
    active = start(config)
    list(active)
    parts = active.prepared
    fitted = parts.inputs.head
    assert fitted is not parts.zero_shot
    torch.testing.assert_close(fitted.probabilities(parts.embeddings), parts.teacher_probabilities)


def test_templates_change_the_teacher(tiny):
    own, other = (start(RunConfig(**tiny, templates=t)).prepared for t in (None, ("a drawing of {}", "imagenet-7")))
    assert not torch.allclose(own.teacher_probabilities, other.teacher_probabilities, atol=1e-3)
    same = start(RunConfig(**tiny, templates=own.task.templates)).prepared
    assert torch.equal(same.teacher_probabilities, own.teacher_probabilities)
    with pytest.raises(DataError, match="exactly one '{}'"):
        RunConfig(**tiny, templates=("a drawing",)).resolve()


def test_training_the_whole_network_on_fresh_views(tiny):
    config = RunConfig(**tiny | {"backbone": "small_cnn", "image_size": 32, "rounds": 1, "steps": 3})
    active = start(config)
    assert active.config.freeze_backbone is False
    a = [r.loss for r in active]
    assert a == [r.loss for r in start(config)]


def test_a_run_on_disk_is_what_it_was_in_memory(tiny, tmp_path):
    stored = run(RunConfig(**tiny), store=tmp_path)
    kept = run(RunConfig(**tiny))
    again = load_run(stored.folder)
    assert again.records == stored.records
    assert again.labels == kept.labels
    assert [r.accuracy for r in kept.records] == [r.accuracy for r in again.records]
    np.testing.assert_array_equal(again.probabilities(2), kept.probabilities(2))
    np.testing.assert_allclose(again.probabilities(2).sum(1), 1, atol=2e-3)


@pytest.mark.parametrize("rounds_done", [0, 1, 2])
def test_a_cancelled_run_continues_to_the_same_bytes(tiny, tmp_path, rounds_done):
    whole = run(RunConfig(**tiny), store=tmp_path / "whole")
    active = start(RunConfig(**tiny), store=tmp_path / "cut", cancel=lambda: len(active.records) > rounds_done).open()
    with pytest.raises(Cancelled):
        list(active)
    assert len(load_run(active.folder.path).records) == rounds_done + 1
    resumed = run(RunConfig(**tiny), store=tmp_path / "cut")
    assert files(resumed.folder) == files(whole.folder)


def test_labels_of_an_unfinished_round_are_dropped(tiny, tmp_path):
    """A kill between writing the labels and writing the record must not count the labels."""
    whole = run(RunConfig(**tiny), store=tmp_path / "whole")
    cut = run(RunConfig(**tiny), store=tmp_path / "cut")
    rounds = cut.folder / "rounds.jsonl"
    rounds.write_text("".join(rounds.read_text().splitlines(keepends=True)[:2]))
    assert files(run(RunConfig(**tiny), store=tmp_path / "cut").folder) == files(whole.folder)


def test_a_finished_run_is_only_read(tiny, tmp_path):
    first = run(RunConfig(**tiny), store=tmp_path)
    active = start(RunConfig(**tiny), store=tmp_path).open()
    assert tuple(active) == first.records
    assert active.student is None


@pytest.mark.parametrize("damage", [lambda lines: lines[:-3], lambda lines: [lines[0], *lines[2:]], lambda lines: []])
def test_labels_that_got_lost_are_noticed_and_nothing_is_changed(tiny, tmp_path, damage):
    active = start(RunConfig(**tiny), store=tmp_path, cancel=lambda: len(active.records) > 1).open()
    with pytest.raises(Cancelled):
        list(active)
    table = active.folder.path / "labels.csv"
    lines = table.read_text().splitlines(keepends=True)
    if text := "".join(damage(lines)):
        table.write_text(text)
    else:
        table.unlink()
    before = files(active.folder.path) if text else {}
    with pytest.raises(RunFolderError, match=r"labels.csv does not hold the 14 labels that rounds.jsonl says"):
        start(RunConfig(**tiny), store=tmp_path).open()
    assert files(active.folder.path) == before if text else not table.exists()


def test_a_kill_between_the_labels_and_the_record_costs_only_that_round(tiny, tmp_path, monkeypatch):
    config = RunConfig(**tiny)
    whole, rounds = run(config, store=tmp_path / "whole"), iter(start(config, store=tmp_path / "cut").open())
    next(rounds)
    monkeypatch.setattr("activekd_lab.runs.folder.RunFolder.append", lambda *_: sys.exit())
    with pytest.raises(SystemExit):
        next(rounds)
    monkeypatch.undo()
    assert files(run(config, store=tmp_path / "cut").folder) == files(whole.folder)


def test_a_run_that_is_going_on_is_not_written_by_another(tiny, tmp_path):
    config = RunConfig(**tiny | {"rounds": 1})
    first = iter(start(config, store=tmp_path).open())
    next(first)
    late = start(config, store=tmp_path).open()
    with pytest.raises(RunFolderError, match="is being written already"):
        list(late)
    assert [r.round for r in first] == [1]
    before = {path: path.read_bytes() for path in next(tmp_path.iterdir()).glob("*.*")}
    with pytest.raises(RunFolderError, match="holds 2 finished rounds, not the 1"):
        list(late)
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"task": "shape", "task_options": {}}, UnknownNameError, "Unknown task 'shape'"),
        ({"selector": "pcorset"}, UnknownNameError, "nearest first: pcoreset"),
        ({"teacher": "RN50/opnai"}, UnknownNameError, "RN50/openai"),
        ({"backbone": "smallcnn"}, UnknownNameError, "nearest first: small_cnn"),
        ({"task_options": {"classes": 3}}, UnknownNameError, "num_classes"),
        ({"selector_options": {"nope": 3}}, SettingError, "no option 'nope'"),
        ({"backbone": "small_cnn", "freeze_backbone": True}, SettingError, "needs pretrained weights"),
        (
            {"rounds": 20},
            PoolError,
            r"4 initial labels and 20 rounds × 5 exceed the pool of 80 images; at most 15 rounds",
        ),
    ],
)
def test_bad_input_is_refused_before_training(tiny, tmp_path, change, error, message):
    with pytest.raises(error, match=message):
        start(RunConfig(**tiny | change), store=tmp_path / "runs").open()
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("change", [{"teacher": "RN50/opnai"}, {"backbone": "smallcnn"}, {"selector": "pcorset"}])
def test_an_unknown_name_is_refused_before_anything_is_computed(tiny, monkeypatch, change):
    monkeypatch.setattr("activekd_lab.active.begin.prepare", lambda *a, **k: pytest.fail("the task was loaded"))
    with pytest.raises(UnknownNameError, match=next(iter(change))):
        start(RunConfig(**tiny | change))
    with pytest.raises(UnknownNameError, match=next(iter(change))):
        RunConfig(**tiny | change).resolve()


def test_a_store_that_cannot_be_written(tiny, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="cannot be written"):
        run(RunConfig(**tiny), store=tmp_path / "file")


def test_validation_labels_tune_the_mix_and_are_paid_for(tiny):
    config = RunConfig(**tiny | {"validation_labels": 20, "rounds": 1})
    active = start(config)
    first, second = active
    ids, labels = active.pool.validation
    assert (first.labels, second.labels) == (4 + 20, 4 + 20 + 5)
    assert len(ids) == 20
    assert set(ids.tolist()).isdisjoint(active.result().labeled_ids(1))
    assert set(ids.tolist()).isdisjoint(active.view.ids.tolist())
    output = active.prepared.predict(active.student)[0][ids]

    def accuracy(**mix):
        return float((output.probabilities(**mix).argmax(1) == labels).float().mean())

    assert accuracy(ce_weight=second.ce_weight, kd_temperature=second.kd_temperature) == max(
        accuracy(ce_weight=w / 20, kd_temperature=t) for w in range(21) for t in (0.5, 0.75, 1, 1.25, 1.5, 2, 4)
    )
    with pytest.raises(PoolError, match="84 initial labels"):
        start(config.with_(validation_labels=80))


def test_a_few_shot_teacher_is_not_fitted_on_validation_labels(tiny):
    active = start(RunConfig(**tiny | {"few_shot": "tip_adapter", "validation_labels": 20, "rounds": 0}))
    list(active)
    parts, ids = active.prepared, active.pool.labeled_ids
    assert len(ids) == 4
    head = FEW_SHOT["tip_adapter"](parts.zero_shot).fit(parts.embeddings[ids], active.pool.labeled_labels)
    torch.testing.assert_close(parts.teacher_probabilities, head.probabilities(parts.embeddings))


def test_every_random_step_of_every_round_has_a_generator_of_its_own(tiny, monkeypatch):
    asked = []
    for module in ("loop", "rounds"):
        monkeypatch.setattr(
            f"activekd_lab.active.{module}.generator", lambda *names: asked.append(names) or generator(*names)
        )
    list(start(RunConfig(**tiny | {"seed": 3, "rounds": 2, "validation_labels": 4})))
    assert len(asked) == len(set(asked)) == 1 + 3 * 2 + 2  # validation; a student and its training; two selections
    assert {names[0] for names in asked} == {3}


def test_a_budget_left_out_is_a_label_a_class_and_rounds_may_use_the_pool_up(tiny):
    active = start(RunConfig(**tiny | {"budget": None, "rounds": 19}))
    assert active.budget == 4
    with pytest.raises(PoolError, match="at most 19 rounds"):
        start(active.config.with_(rounds=20))
    (*_, last) = start(RunConfig(**tiny | {"budget": 38, "rounds": 2, "selector": "random"}))
    assert (last.labels, last.covering_radius, last.picks) == (80, 0, ())


def test_predictions_are_kept_only_on_request(tiny, tmp_path):
    config = RunConfig(**tiny | {"rounds": 0, "save_predictions": False})
    for result in (run(config), run(config, store=tmp_path)):
        assert not result.keeps_predictions
    assert not list(tmp_path.rglob("*.npy"))


def test_a_store_may_begin_at_home_and_knows_the_images_of_its_task(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    active = start(RunConfig(**tiny), store="~/runs").open()
    assert active.folder.path.parent == tmp_path / "runs"
    header = json.loads((active.folder.path / "config.json").read_text())
    assert header["task_fingerprint"] == active.prepared.task.fingerprint
    assert header["teacher_accuracy"] == active.result().teacher_accuracy == active.prepared.teacher_accuracy


def test_probabilities_that_are_not_finite_stop_the_run_with_their_ids(tiny, monkeypatch):
    def broken(self, student, count, views=None):
        logits = torch.zeros(80, 4)
        logits[[7, 30], 1] = torch.nan
        return (StudentOutput(logits, logits.clone(), torch.zeros(80, 2)),) * 2

    monkeypatch.setattr("activekd_lab.active.prepared.Prepared.predict", broken)
    with pytest.raises(NonFiniteError, match=r"Round 0: the probabilities of ids \[7, 30\] are not finite"):
        list(start(RunConfig(**tiny)))


def test_a_student_is_saved_with_the_mix_of_its_run(tiny):
    active = start(RunConfig(**tiny | {"rounds": 0, "ce_weight": 0.25, "kd_temperature": 2.0}))
    (record,) = active
    saved = active.saved_student()
    assert (saved.ce_weight, saved.kd_temperature) == (record.ce_weight, record.kd_temperature) == (0.25, 2.0)


def test_the_last_student_can_be_taken_home(tiny, tmp_path):
    active = start(RunConfig(**tiny | {"rounds": 0}))
    with pytest.raises(SettingError, match="There is no student yet"):
        active.saved_student()
    (record,) = active
    saved = load_student(active.saved_student().save(tmp_path))
    test = active.prepared.task.test
    assert float((saved.predict(test.images).argmax(1) == test.labels).float().mean()) == pytest.approx(record.accuracy)


@pytest.mark.parametrize("change", [{"rounds": 1}, {"few_shot": "clap", "validation_labels": 8, "rounds": 1}])
def test_the_student_of_a_run_on_disk_is_trained_again(tiny, tmp_path, change):
    config = RunConfig(**tiny | change)
    active = start(config, store=tmp_path).open()
    for record in active:
        read = start(config, store=tmp_path).open()  # finds the rounds so far
        again, saved = read.saved_student(), active.saved_student()
        assert (again.ce_weight, again.kd_temperature) == (record.ce_weight, record.kd_temperature)
        state = again.student.state_dict()
        assert all(torch.equal(state[key], value) for key, value in saved.student.state_dict().items())
        assert read.pool.ledger == active.pool.ledger


def test_a_record_holds_the_end_of_its_training_and_its_times(tiny, monkeypatch):
    histories = []
    monkeypatch.setattr(
        "activekd_lab.active.rounds.fit", lambda *a, **o: histories.append(fit(*a, **o)) or histories[-1]
    )
    (record,) = start(RunConfig(**tiny | {"rounds": 0, "steps": 30}))
    assert record.loss == pytest.approx(sum(histories[0].loss[-3:]) / 3)
    assert record.seconds.keys() == {"train", "predict", "select", "measure"}
    assert record.seconds["train"] > 0


def test_a_student_that_is_trained_again_has_the_mix_that_its_round_found(tiny, tmp_path, monkeypatch):
    config = RunConfig(**tiny | {"rounds": 0, "validation_labels": 8})
    monkeypatch.setattr("activekd_lab.active.loop.tuned_mixing", lambda *_: {"ce_weight": 0.35, "kd_temperature": 1.25})
    run(config, store=tmp_path)
    monkeypatch.undo()
    again = start(config, store=tmp_path).open().saved_student()
    assert (again.ce_weight, again.kd_temperature) == (0.35, 1.25)


def test_the_selector_never_sees_a_hidden_label(tiny):
    active = start(RunConfig(**tiny | {"rounds": 0}))
    list(active)
    seen = {name: getattr(active.view, name) for name in active.view.__dataclass_fields__}
    assert all(value is None or isinstance(value, torch.Tensor | int) for value in seen.values())
    assert seen["labeled_labels"].shape == (4,)


def test_a_clip_tower_starts_from_its_own_class_texts(tiny):
    active = start(RunConfig(**tiny | {"backbone": "open_clip/bundled", "rounds": 0, "steps": 2}))
    prepared = active.prepared
    student = prepared.new_student(torch.Generator()).eval()
    views = torch.rand(6, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        at_first = student(views).probabilities(ce_weight=0.0)
    expected = prepared.zero_shot.probabilities(prepared.teacher.encode_views(views))
    torch.testing.assert_close(at_first, expected, atol=1e-5, rtol=0)
    assert len(list(active)) == 1  # and it trains
    plain = prepare(active.config.with_(method="single_head")).new_student(torch.Generator())
    assert plain.kd_head is plain.ce_head  # one head is not the zero-shot classifier


@pytest.mark.parametrize("name", ["channels_last", "compile"])
def test_options_of_the_backbone_need_one_that_trains(tiny, name):
    with pytest.raises(SettingError, match=f"{name} has no effect with a frozen backbone"):
        start(RunConfig(**tiny, **{name: True}))
