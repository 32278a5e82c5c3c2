# ruff: noqa: E501  (a table)
"""A small valid call for every public function of the front door and its rooms: what `test_inputs` then spoils."""

from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from PIL import Image
from runs import make_run

import activekd_lab as akd
from activekd_lab.compare import claims, comparison
from activekd_lab.data.task import Split, Task
from activekd_lab.students.conformance import make_step
from activekd_lab.students.training import TrainingPlan


def g():
    return torch.Generator().manual_seed(0)


class Valid:
    """Arguments to start from; costly ones are made once. `calls()` is the table."""

    def __init__(self, place):
        self.place, self._made = place, 0
        self.p = torch.rand(12, 3, generator=g()).softmax(1)
        self.x = torch.randn(12, 4, generator=g())
        self.e = torch.nn.functional.normalize(self.x, dim=1)
        self.y = torch.arange(12) % 3
        self.photos = place / "photos"
        for c in range(12):
            (self.photos / "ab"[c % 2]).mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(c).integers(0, 255, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(self.photos / "ab"[c % 2] / f"{c}.png")
        self.png = next(self.photos.rglob("*.png"))

    def new(self):
        self._made += 1
        return self.place / f"new-{self._made}"

    @cached_property
    def task(self):
        images = torch.randint(0, 255, (24, 3, 16, 16), dtype=torch.uint8, generator=g())
        train = Split("train", images, torch.arange(24) % 3)
        return Task(
            "mine", ("cat", "dog", "cow"), ("a photo of a {}.",), train, Split("test", images[:6], train.labels[:6])
        )

    @cached_property
    def teacher(self):
        return akd.load_teacher("bundled", device="cpu")

    @cached_property
    def given(self):
        return akd.given_teacher(probabilities=self.p[:1].expand(24, 3), test=self.p[:6])

    @cached_property
    def config(self):
        return akd.RunConfig(
            rounds=1, steps=2, budget=3, backbone="small_cnn", freeze_backbone=False, image_size=16, device="cpu"
        )

    @cached_property
    def prepared(self):
        return akd.prepare(self.config, task=self.task, teacher=self.given)

    @cached_property
    def stored(self):
        return akd.run(self.config, task=self.task, teacher=self.given, store=self.place / "runs").folder

    @cached_property
    def student(self):
        return akd.students.DualHeadStudent("small_cnn", 3, image_size=16, generator=g()).eval()

    @cached_property
    def saved(self):
        return akd.students.SavedStudent(self.student, ("cat", "dog", "cow"))

    @cached_property
    def head(self):
        return akd.teachers.ZeroShotHead(torch.eye(3, 4), 10.0)

    @cached_property
    def results(self):
        return [make_run(s, seed, gain=0.1 + 0.02 * seed) for s in ("pcoreset", "random") for seed in range(5)]

    @cached_property
    def scores(self):
        return comparison.scores(self.results)

    @cached_property
    def record(self):
        return self.results[0].records[0]

    @cached_property
    def session(self):
        return akd.LabelSession(self.task, self.place / "session", config=self.config, batch=4)

    @cached_property
    def answered(self):
        session = akd.labeling.label_folder(self.photos, ["a", "b"], self.place / "answered", config=self.config)
        self.csv = [session.export_csv(self.place / f"{who}.csv") for who in ("alice", "bob")]
        return session

    def output(self, rows=6):
        z = torch.randn(2, rows, 3, generator=g())
        return akd.students.StudentOutput(z[0], z[1], torch.randn(rows, 4, generator=g()))

    def view(self):
        labeled = {f"labeled_{k}": v[:3] for k, v in (("probabilities", self.p), ("features", self.x))}
        return {"ids": torch.arange(3, 12), "probabilities": self.p[3:], "features": self.x[3:],
                "labeled_ids": torch.arange(3), "labeled_labels": self.y[:3], **labeled}  # fmt: skip

    def pool(self):
        return akd.active.Pool(self.task.train, [akd.runs.Label(i, i % 3, 0, "initial") for i in range(3)])

    def inputs(self):
        student, split = self.student, self.task.train
        return {"student": student, "inputs": self.prepared.inputs, "labeled_ids": torch.arange(6), "labels": split.labels[:6],
                    "unlabeled_ids": torch.arange(6, 24), "plan": replace(TrainingPlan(), steps=1), "generator": g()}  # fmt: skip

    def run_folder(self):
        folder = akd.runs.RunFolder(
            self.new(), {"task": "t", "seed": 0}, {"teacher_accuracy": 0.5, "class_names": ["a"]}
        )
        return folder

    def fit(self, kind, **settings):
        return kind(self.head, **settings).fit, {"embeddings": self.e, "labels": self.y, "generator": g()}

    def npz(self):
        np.savez(file := self.place / "given.npz", probabilities=self.p.numpy())
        return file

    def graph(self):
        student = self.student.train()
        out = student(self.task.train.images[:6])
        return akd.students.losses.dho_loss(out, self.y[:6], self.x[:6, :3], out, self.x[:6, :3])

    def evidence(self):
        return claims.Evidence(claims.CLAIMS[0].key, "here", 1.0, 0.5, 1.5, 5)

    def losses(self, **more):
        return dict(labeled=self.output(), labels=self.y[:6], teacher_logits_labeled=self.x[:6, :3], unlabeled=self.output(5),
                    teacher_logits_unlabeled=self.x[:5, :3], temperature=2.0, **more)  # fmt: skip


T, S, A = "teachers.", "students.", "active."
few = {"epochs": 2, "learning_rate": 0.01, "batch": 8}
CALLS = {
    "FolderTask": lambda w: (akd.FolderTask, {"path": w.photos, "image_size": 16}),
    "LabelSession": lambda w: (akd.LabelSession, {"task": w.task, "folder": w.new(), "config": w.config}),
    "LabelSession.image": lambda w: (w.session.image, {"id": 1}),
    "LabelSession.path": lambda w: (w.session.path, {"id": 1}),
    "LabelSession.suggestion": lambda w: (w.session.suggestion, {"id": 1}),
    "LabelSession.answer": lambda w: (w.session.answer, {"label": 1, "id": w.session.current}),
    "LabelSession.skip": lambda w: (w.session.skip, {"id": w.session.current}),
    "LabelSession.reject": lambda w: (w.session.reject, {"id": w.session.current}),
    "LabelSession.train": lambda w: (w.session.train, {"cancel": lambda: True}),
    "LabelSession.export_csv": lambda w: (w.session.export_csv, {"path": w.new()}),
    "LabelSession.export_folder": lambda w: (w.session.export_folder, {"path": w.new()}),
    "RunConfig": lambda w: (akd.RunConfig, {}),
    "RunConfig.differs": lambda w: (w.config.differs, {"field": "rounds"}),
    "RunConfig.budget_in": lambda w: (w.config.budget_in, {"images": 24, "classes": 3}),
    "given_teacher": lambda w: (akd.given_teacher, {"probabilities": w.p, "test": w.p[:6]}),
    "given_teacher (embeddings)": lambda w: (akd.given_teacher, {"embeddings": w.x, "text": w.x[:3], "scale": 10.0}),
    "given_teacher (files)": lambda w: (
        akd.given_teacher,
        {"logits": w.x, "files": [f"{i}.png" for i in range(12)], "class_names": list("abcd")},
    ),
    "iterate": lambda w: (akd.iterate, {"config": w.config, "task": w.task, "teacher": w.given}),
    "run": lambda w: (akd.run, {"config": w.config, "task": w.task, "teacher": w.given}),
    "prepare": lambda w: (akd.prepare, {"config": w.config, "task": w.task, "teacher": w.given}),
    "k_center_greedy": lambda w: (
        akd.k_center_greedy,
        {"points": w.x, "centers": w.x[:2], "budget": 3, "weights": torch.ones(12)},
    ),
    "load_run": lambda w: (akd.load_run, {"folder": w.stored}),
    "load_student": lambda w: (akd.load_student, {"place": w.saved.save(w.place / "student")}),
    "load_task": lambda w: (
        akd.load_task,
        {"name": "shapes", "pool_size": 20, "num_classes": 3, "test_per_class": 2, "val_per_class": 1},
    ),
    "load_teacher": lambda w: (akd.load_teacher, {"name": "bundled"}),
    "select": lambda w: (
        akd.select,
        {"selector": "pcoreset", "view": akd.selectors.PoolView(**w.view()), "budget": 2, "generator": g()},
    ),
    "task_from": lambda w: (
        akd.task_from,
        {"source": w.task.train.images, "labels": w.y.repeat(2), "class_names": list("abc"), "image_size": 16},
    ),
    "task_from (features)": lambda w: (
        akd.task_from,
        {"features": w.x, "labels": w.y, "class_names": list("abc"), "test": w.x, "test_labels": w.y},
    ),
    # teachers
    T + "CLAP": lambda w: (akd.teachers.CLAP, {"zero_shot": w.head}),
    T + "CLAP.fit": lambda w: w.fit(akd.teachers.CLAP, **few),
    T + "CLAP.constraint": lambda w: (akd.teachers.CLAP(w.head).constraint, {"embeddings": w.e, "labels": w.y}),
    T + "LinearProbe": lambda w: (akd.teachers.LinearProbe, {"zero_shot": w.head}),
    T + "LinearProbe.constraint": lambda w: (
        akd.teachers.LinearProbe(w.head).constraint,
        {"embeddings": w.e, "labels": w.y},
    ),
    T + "TipAdapter": lambda w: (akd.teachers.TipAdapter, {"zero_shot": w.head}),
    T + "TipAdapter.fit": lambda w: w.fit(akd.teachers.TipAdapter),
    T + "TipAdapterF": lambda w: (akd.teachers.TipAdapterF, {"zero_shot": w.head}),
    T + "TipAdapterF.fit": lambda w: w.fit(akd.teachers.TipAdapterF, **few),
    T + "GivenTeacher.encode": lambda w: (w.given.encode, {"split": w.task.train}),
    T + "GivenTeacher.zero_shot": lambda w: (w.given.zero_shot, {"task": w.task}),
    T + "Teacher.encode": lambda w: (w.teacher.encode, {"images": w.task.test}),
    T + "Teacher.encode_views": lambda w: (w.teacher.encode_views, {"views": torch.rand(2, 3, 32, 32)}),
    T + "Teacher.encode_inputs": lambda w: (
        w.teacher.encode_inputs,
        {"inputs": torch.rand(2, 3, w.teacher.image_size, w.teacher.image_size)},
    ),
    T + "Teacher.encode_text": lambda w: (w.teacher.encode_text, {"prompts": ["a cat"]}),
    T + "Teacher.zero_shot": lambda w: (w.teacher.zero_shot, {"task": w.task}),
    T + "ZeroShotHead": lambda w: (akd.teachers.ZeroShotHead, {"text": torch.eye(3, 4), "scale": 10.0}),
    T + "ZeroShotHead.logits": lambda w: (w.head.logits, {"embeddings": w.e}),
    T + "ZeroShotHead.probabilities": lambda w: (w.head.probabilities, {"embeddings": w.e}),
    T + "bias.Clusters.classes_per_cluster": lambda w: (
        akd.teachers.bias.find_clusters(w.p, 3).classes_per_cluster,
        {"share": 0.1},
    ),
    T + "bias.find_clusters": lambda w: (akd.teachers.bias.find_clusters, {"points": w.p, "count": 3}),
    T + "bias.choose_count": lambda w: (akd.teachers.bias.choose_count, {"points": w.p, "counts": [2, 3]}),
    T + "bias.shuffle_classes": lambda w: (akd.teachers.bias.shuffle_classes, {"probabilities": w.p, "generator": g()}),
    T + "bias.random_sentences": lambda w: (
        akd.teachers.bias.random_sentences,
        {"images": w.p, "like": w.p, "generator": g()},
    ),
    T + "bias.agreement": lambda w: (akd.teachers.bias.agreement, {"a": w.y, "b": w.y.flip(0)}),
    T + "bias.stability": lambda w: (akd.teachers.bias.stability, {"points": w.p, "count": 2, "seeds": [0, 1]}),
    T + "bias.confusion_groups": lambda w: (
        akd.teachers.bias.confusion_groups,
        {"clusters": akd.teachers.bias.find_clusters(w.p, 3), "class_names": list("abc")},
    ),
    T + "bias.calibration": lambda w: (akd.teachers.bias.calibration, {"probabilities": w.p, "labels": w.y}),
    T + "few_shot.few_shot": lambda w: (akd.teachers.few_shot.few_shot, {"name": "clap", "zero_shot": w.head}),
    T + "load_given": lambda w: (akd.teachers.load_given, {"file": w.npz()}),
    # students
    S + "ConflictLog": lambda w: (akd.students.ConflictLog, {}),
    S + "ConflictLog.on_loss": lambda w: (
        akd.students.ConflictLog(1).on_loss,
        {"student": w.student, "step": 1, "loss": w.graph()},
    ),
    S + "DualHeadStudent": lambda w: (
        akd.students.DualHeadStudent,
        {"backbone": "small_cnn", "num_classes": 3, "image_size": 16},
    ),
    S + "DualHeadStudent.embed": lambda w: (w.student.embed, {"images": w.task.test.images}),
    S + "DualHeadStudent.heads": lambda w: (w.student.heads, {"embedded": w.student.embed(w.task.test.images)}),
    S + "DualHeadStudent.forward": lambda w: (w.student, {"images": w.task.test.images}),
    S + "SavedStudent": lambda w: (akd.students.SavedStudent, {"student": w.student, "class_names": ("a", "b", "c")}),
    S + "SavedStudent.predict": lambda w: (w.saved.predict, {"images": w.task.test.images}),
    S + "SavedStudent.save": lambda w: (w.saved.save, {"place": w.new()}),
    S + "StudentOutput": lambda w: (akd.students.StudentOutput, {"ce_logits": w.p, "kd_logits": w.p, "features": w.x}),
    S + "StudentOutput.probabilities": lambda w: (w.output().probabilities, {"ce_weight": 0.3}),
    S + "StudentOutput.cat": lambda w: (akd.students.StudentOutput.cat, {"parts": [w.output(), w.output()]}),
    S + "backbones.Backbone.check_size": lambda w: (w.student.backbone.check_size, {"image_size": 16}),
    S + "backbones.Backbone.forward": lambda w: (
        w.student.backbone,
        {"images": torch.rand(2, 3, 16, 16), "image_size": 16},
    ),
    S + "backbones.Backbone.stages": lambda w: (
        w.student.backbone.stages,
        {"images": torch.rand(2, 3, 16, 16), "image_size": 16},
    ),
    S + "backbones.has_pretrained": lambda w: (akd.students.backbones.has_pretrained, {"name": "small_cnn"}),
    S + "backbones.check_start": lambda w: (
        akd.students.backbones.check_start,
        {"name": "small_cnn", "pretrained": False, "weights": None},
    ),
    S + "backbones.build_backbone": lambda w: (akd.students.backbones.build_backbone, {"name": "small_cnn"}),
    S + "backbones.default_image_size": lambda w: (akd.students.backbones.default_image_size, {"name": "small_cnn"}),
    S + "conflict.gradient_conflict": lambda w: (
        akd.students.conflict.gradient_conflict,
        {"student": w.student, "loss": w.graph()},
    ),
    S + "conformance.make_step": lambda w: (make_step, {"method": akd.students.find_method("dho")}),
    S + "conformance.check_method": lambda w: (akd.students.conformance.check_method, {"method": "dho"}),
    S + "export_onnx": lambda w: (akd.students.export_onnx, {"saved": w.saved, "path": w.new()}),
    S + "find_method": lambda w: (akd.students.find_method, {"method": "dho"}),
    S + "load_released": lambda w: (
        akd.students.load_released,
        {"path": w.place / "none.pt", "class_names": ["a", "b"]},
    ),
    S + "losses.distillation_loss": lambda w: (
        akd.students.losses.distillation_loss,
        {"student_logits": w.x, "teacher_logits": w.x.flip(0), "temperature": 2.0},
    ),
    S + "losses.dho_loss": lambda w: (akd.students.losses.dho_loss, w.losses(ce_share=0.5)),
    S + "losses.teacher_loss": lambda w: (akd.students.losses.teacher_loss, w.losses()),
    S + "losses.label_loss": lambda w: (akd.students.losses.label_loss, {"labeled": w.output(), "labels": w.y[:6]}),
    S + "mixing.mixed": lambda w: (
        akd.students.mixing.mixed,
        {"ce_logits": w.p.numpy(), "kd_logits": w.p.numpy(), "ce_weight": 0.5, "kd_temperature": 1.0},
    ),
    S + "mixing.mixing_data": lambda w: (
        akd.students.mixing.mixing_data,
        {"ce_logits": w.p.numpy(), "kd_logits": w.p.numpy(), "labels": w.y.numpy()},
    ),
    S + "own_backbone": lambda w: (
        akd.students.own_backbone,
        {"module": torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 5)), "image_size": 16},
    ),
    S + "training.TrainingPlan": lambda w: (TrainingPlan, {}),
    S + "training.fit": lambda w: (akd.students.training.fit, w.inputs()),
    S + "training.step": lambda w: (
        akd.students.training.step,
        {
            "student": w.student,
            "inputs": w.prepared.inputs,
            "ids": torch.arange(6),
            "labels": w.y[:3],
            "plan": TrainingPlan(),
            "generator": g(),
        },
    ),
    # selectors
    "selectors.PoolView": lambda w: (lambda **k: akd.selectors.PoolView(**k).validate(), w.view()),
    "selectors.PoolView.validate": lambda w: (akd.selectors.PoolView(**w.view()).validate, {"selector": "mine"}),
    "selectors.released_options": lambda w: (akd.selectors.released_options, {"selector": "badge"}),
    "selectors.resolve": lambda w: (akd.selectors.resolve, {"selector": "badge"}),
    # active
    A + "ActiveRun": lambda w: (akd.active.ActiveRun, {"prepared": w.prepared}),
    A + "Pool": lambda w: (akd.active.Pool, {"split": w.task.train, "labels": [], "left_out": [1]}),
    A + "Pool.buy": lambda w: (w.pool().buy, {"ids": torch.tensor([5, 6]), "round_index": 1, "source": "selector"}),
    A + "Prepared.new_student": lambda w: (w.prepared.new_student, {"generator": g()}),
    A + "Prepared.predict": lambda w: (w.prepared.predict, {"student": w.student}),
    A + "coverage.nearest_distances": lambda w: (
        akd.active.coverage.nearest_distances,
        {"points": w.p, "centers": w.p[:3]},
    ),
    A + "coverage.covering_radius": lambda w: (
        akd.active.coverage.covering_radius,
        {"points": w.p, "centers": w.p[:3]},
    ),
    A + "coverage.mean_nearest_distance": lambda w: (
        akd.active.coverage.mean_nearest_distance,
        {"points": w.p, "centers": w.p[:3]},
    ),
    A + "coverage.share_within": lambda w: (
        akd.active.coverage.share_within,
        {"points": w.p, "centers": w.p[:3], "radius": 0.5},
    ),
    A + "coverage.coverage_curve": lambda w: (
        akd.active.coverage.coverage_curve,
        {"points": w.p, "centers": w.p[:3], "counts": [1, 3]},
    ),
    A + "coverage.class_coverage": lambda w: (akd.active.coverage.class_coverage, {"labels": w.y, "num_classes": 3}),
    A + "loggers.logged": lambda w: (
        akd.active.loggers.logged,
        {"active": akd.active.ActiveRun(w.prepared), "logger": None},
    ),
    A + "loggers.scalars": lambda w: (akd.active.loggers.scalars, {"record": w.record}),
    A + "pool.initial_ids": lambda w: (
        akd.active.pool.initial_ids,
        {"split": w.task.train, "num_classes": 3, "per_class": 1, "generator": g()},
    ),
    A + "predict_files": lambda w: (akd.active.predict_files, {"saved": w.saved, "paths": [w.png]}),
    A + "rounds.train_student": lambda w: (
        akd.active.rounds.train_student,
        {"prepared": w.prepared, "pool": w.pool(), "seed": 0, "key": 0},
    ),
    A + "rounds.accuracy": lambda w: (akd.active.rounds.accuracy, {"scores": w.p, "labels": w.y}),
    A + "run_all": lambda w: (akd.active.run_all, {"configs": [], "store": w.new()}),
    A + "start": lambda w: (akd.active.start, {"config": w.config, "task": w.task, "teacher": w.given}),
    # data
    "data.Split": lambda w: (Split, {"name": "train", "images": w.task.train.images, "labels": w.task.train.labels}),
    "data.Split.of_features": lambda w: (Split.of_features, {"name": "train", "features": w.x, "labels": w.y}),
    "data.Split.rows": lambda w: (w.task.train.rows, {"name": "part", "ids": torch.arange(4)}),
    "data.Task": lambda w: (
        Task,
        {
            "name": "t",
            "class_names": ("a", "b", "c"),
            "templates": ("a {}.",),
            "train": w.task.train,
            "test": w.task.test,
        },
    ),
    "data.check_task": lambda w: (akd.data.check_task, {"name": "digits", "options": {}}),
    # statistics
    "stats.accuracy_at": lambda w: (
        akd.stats.accuracy_at,
        {"labels": [1, 2, 3], "accuracy": [0.1, 0.2, 0.3], "count": 2},
    ),
    "stats.reliability": lambda w: (
        akd.stats.reliability,
        {"probabilities": w.p.double().numpy(), "labels": w.y.numpy()},
    ),
    "stats.area": lambda w: (akd.stats.area, {"labels": [1, 2, 3], "accuracy": [0.1, 0.2, 0.3], "between": (1, 2)}),
    "stats.label_cost": lambda w: (
        akd.stats.label_cost,
        {"labels": [1, 2, 3], "accuracy": [0.1, 0.2, 0.3], "target": 0.2},
    ),
    "stats.mean_interval": lambda w: (akd.stats.mean_interval, {"values": np.arange(6.0)}),
    "stats.mean_sd": lambda w: (akd.stats.mean_sd, {"values": np.arange(6.0)}),
    "stats.bootstrap_interval": lambda w: (akd.stats.bootstrap_interval, {"values": np.arange(6.0), "resamples": 50}),
    "stats.paired": lambda w: (akd.stats.paired, {"first": np.arange(6.0), "second": np.arange(6.0) ** 2}),
    "stats.holm": lambda w: (akd.stats.holm, {"p_values": np.array([0.1, 0.2])}),
    "stats.mean_ranks": lambda w: (
        akd.stats.mean_ranks,
        {"names": list("abc"), "scores": np.random.default_rng(0).random((5, 3))},
    ),
    "stats.critical_difference": lambda w: (akd.stats.critical_difference, {"competitors": 3, "blocks": 5}),
    "stats.cliques": lambda w: (akd.stats.cliques, {"apart": np.zeros((3, 3), bool)}),
    # comparisons
    "compare.claims.interval": lambda w: (claims.interval, {"claim": "x", "setting": "y", "values": [1.0, 2.0]}),
    "compare.claims.rule": lambda w: (claims.rule, {"claim": claims.CLAIMS[0]}),
    "compare.claims.side": lambda w: (claims.side, {"claim": claims.CLAIMS[0], "evidence": w.evidence()}),
    "compare.claims.verdict": lambda w: (claims.verdict, {"claim": claims.CLAIMS[0], "found": [w.evidence()]}),
    "compare.claims.ledger": lambda w: (claims.ledger, {"found": [w.evidence()]}),
    "compare.claims.show": lambda w: (claims.show, {"table": claims.ledger([w.evidence()])}),
    "compare.claims.from_runs": lambda w: (claims.from_runs, {"results": w.results}),
    "compare.comparison.scores": lambda w: (comparison.scores, {"results": w.results, "measure": "labels", "at": 10}),
    "compare.comparison.common_range": lambda w: (comparison.common_range, {"results": w.results}),
    "compare.comparison.curve": lambda w: (comparison.curve, {"result": w.results[0]}),
    "compare.comparison.mean_between": lambda w: (
        comparison.mean_between,
        {"result": w.results[0], "between": (5, 15)},
    ),
    "compare.comparison.summary": lambda w: (comparison.summary, {"found": w.scores}),
    "compare.comparison.label_costs": lambda w: (comparison.label_costs, {"results": w.results, "target": 0.35}),
    "compare.comparison.differences": lambda w: (
        comparison.differences,
        {"found": w.scores, "against": {"selector": "random"}},
    ),
    "compare.comparison.wins": lambda w: (comparison.wins, {"found": w.scores}),
    "compare.comparison.ranks": lambda w: (comparison.ranks, {"found": w.scores}),
    "compare.tables.compare": lambda w: (
        akd.compare.tables.compare,
        {"results": w.results, "against": {"selector": "random"}},
    ),
    "compare.tables.round_tables": lambda w: (akd.compare.tables.round_tables, {"results": w.results}),
    "compare.tables.accuracy_table": lambda w: (
        akd.compare.tables.accuracy_table,
        {"found": w.scores, "results": w.results},
    ),
    "compare.tables.percent": lambda w: (akd.compare.tables.percent, {"mean": 0.5, "sd": 0.1}),
    "compare.tables.difference_table": lambda w: (
        akd.compare.tables.difference_table,
        {"found": w.scores, "against": {"selector": "random"}},
    ),
    "compare.tables.rank_table": lambda w: (akd.compare.tables.rank_table, {"found": w.scores}),
    "compare.tables.provenance_table": lambda w: (akd.compare.tables.provenance_table, {"results": w.results}),
    "compare.tables.html_page": lambda w: (akd.compare.tables.html_page, {"tables": []}),
    "compare.tables.csv_text": lambda w: (akd.compare.tables.csv_text, {"results": w.results}),
    "compare.variants.settings": lambda w: (akd.compare.variants.settings, {"results": w.results}),
    "compare.variants.finished": lambda w: (akd.compare.variants.finished, {"result": w.results[0]}),
    "compare.variants.varied_keys": lambda w: (akd.compare.variants.varied_keys, {"results": w.results}),
    "compare.variants.datasets": lambda w: (akd.compare.variants.datasets, {"results": w.results}),
    "compare.variants.distinct": lambda w: (akd.compare.variants.distinct, {"results": w.results}),
    "compare.variants.variants": lambda w: (akd.compare.variants.variants, {"results": w.results}),
    # labelling and runs
    "labeling.label_folder": lambda w: (
        akd.labeling.label_folder,
        {"path": w.photos, "class_names": ["a", "b"], "folder": w.new(), "config": w.config},
    ),
    "LabelSession.answer_all": lambda w: (w.session.answer_all, {"answers": {9: 0}}),
    "labeling.import_answers": lambda w: (akd.labeling.import_answers, {"session": w.answered, "path": w.csv[0]}),
    "labeling.export_answers": lambda w: (
        akd.labeling.export_answers,
        {"session": w.answered, "path": w.new(), "format": "coco"},
    ),
    "labeling.merge_answers": lambda w: (akd.labeling.merge_answers, {"sources": (w.answered, w.csv)[1]}),
    "runs.RunFolder.write_images": lambda w: (w.run_folder().write_images, {"text": "path"}),
    "labeling.simulate": lambda w: (
        akd.labeling.simulate,
        {"session": w.session, "truth": w.task.train.labels, "labels": 4},
    ),
    "runs.Label": lambda w: (akd.runs.Label, {"id": 1, "label": 1, "round": 0, "source": "initial"}),
    "runs.RoundRecord.from_json": lambda w: (akd.runs.RoundRecord.from_json, {"line": w.record.to_json()}),
    "runs.RunFolder": lambda w: (
        akd.runs.RunFolder,
        {"folder": w.new(), "identity": {"task": "t"}, "header": {"teacher_accuracy": 0.5, "class_names": ["a"]}},
    ),
    "runs.RunFolder.labels_of": lambda w: (w.run_folder().labels_of, {"records": []}),
    "runs.RunFolder.append": lambda w: (w.run_folder().append, {"record": w.record}),
    "runs.RunFolder.write_labels": lambda w: (
        w.run_folder().write_labels,
        {"labels": [akd.runs.Label(0, 0, 0, "initial")]},
    ),
    "runs.RunFolder.write_predictions": lambda w: (
        w.run_folder().write_predictions,
        {"round_index": 0, "probabilities": w.p.numpy()},
    ),
    "runs.RunResult.labeled_ids": lambda w: (w.results[0].labeled_ids, {"round_index": 1}),
    "runs.RunResult.probabilities": lambda w: (w.results[0].probabilities, {"round_index": 1}),
    "runs.find_runs": lambda w: (akd.runs.find_runs, {"places": [w.stored.parent]}),
    "runs.shift.accuracy": lambda w: (akd.runs.shift.accuracy, {"saved": w.saved, "task": w.task}),
    "runs.shift.measure_shift": lambda w: (
        akd.runs.shift.measure_shift,
        {"saved": w.saved, "name": "imagenet_v2", "root": str(w.place)},
    ),
}
