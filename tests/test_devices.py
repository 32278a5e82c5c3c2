"""Without a GPU here, a pretended one shows that all is on the right side, and that results are the processor's."""

import pytest
import torch
from pretended import accelerator

import activekd_lab as akd
from activekd_lab.selectors.kcenter import k_center_greedy
from activekd_lab.selectors.registry import REGISTRY


def test_it_refuses_what_a_gpu_refuses(g):
    with accelerator() as device:
        x = torch.ones(4, 3).to(device)
        assert x.device == device
        assert float((x @ torch.ones(3, 2, device=device)).sum()) == 24
        assert (x * torch.tensor(2.0)).cpu().sum() == 24
        assert x[torch.tensor([0, 1])].device == device
        for wrong in (
            lambda: x + torch.ones(4, 3),
            lambda: torch.ones(4, 3)[x[:, 0] > 0],
            x.numpy,
            lambda: torch.cat([x, torch.ones(1, 3)]),
            lambda: torch.empty(3, device=device).normal_(generator=g),
        ):
            with pytest.raises((RuntimeError, TypeError)):
                wrong()


FROZEN = {"freeze_backbone": True}
TRAINED = {"freeze_backbone": False, "backbone": "resnet18", "pretrained": False, "image_size": 32, "steps": 2}


@pytest.mark.parametrize(
    "settings",
    [
        *(FROZEN | {"selector": name} for name in REGISTRY),
        *(FROZEN | {"few_shot": name} for name in ("clap", "tip_adapter", "tip_adapter_f", "linear_probe")),
        *(FROZEN | {"method": name} for name in ("single_head", "ce", "kd")),
        FROZEN | {"validation_labels": 10, "ema": 0.9, "clip_norm": 1.0},
        TRAINED | {"ema": 0.9, "clip_norm": 1.0, "channels_last": True},
        TRAINED | {"few_shot": "clap", "deterministic": True},
        TRAINED | {"teacher_views": 2, "method": "single_head"},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_a_run_on_an_accelerator_finds_what_the_processor_finds(tiny, settings):
    config = akd.RunConfig(**(tiny | {"rounds": 1} | settings))
    with accelerator():
        found = akd.run(config).records
    expected = akd.run(config).records
    assert found[0].loss == pytest.approx(expected[0].loss, rel=1e-3)
    assert len(found) == 2
    if config.freeze_backbone:  # convolutions may be others than the processor's, in the last digits
        assert found[0].picks == expected[0].picks
        assert found[1].accuracy == pytest.approx(expected[1].accuracy)


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "hellinger"])
@pytest.mark.parametrize(("n", "d", "labels"), [(300, 4, 1), (6000, 20, 0), (9000, 300, 600)])
def test_an_accelerator_picks_what_the_processor_does(n, d, labels, metric):
    points = torch.randn(n, d, generator=torch.Generator().manual_seed(0)).softmax(1)
    centers = torch.randn(labels, d, generator=torch.Generator().manual_seed(1)).softmax(1)
    expected = k_center_greedy(points, centers, 40, metric=metric)
    with accelerator() as device:
        for found in (
            k_center_greedy(points.to(device), centers.to(device), 40, metric=metric),
            k_center_greedy(points.numpy(), centers.numpy(), 40, metric=metric, device=device),
        ):
            assert torch.equal(found.indices, expected.indices)
            torch.testing.assert_close(found.radii, expected.radii, rtol=1e-7, atol=0)


def test_a_student_comes_home_from_an_accelerator(tiny, tmp_path):
    task = akd.load_task(tiny["task"], **tiny["task_options"])
    with accelerator():
        session = akd.LabelSession(task, tmp_path / "labels", config=akd.RunConfig(**FROZEN, steps=10), batch=6)
        while len(session.labels) < 6:
            session.answer(int(task.train.labels[session.current]))
        session.train()
        student = session.saved_student()
        there = student.predict(task.test.images)
        again = akd.LabelSession(task, tmp_path / "labels", config=akd.RunConfig(**FROZEN, steps=10), batch=6)
        suggestions = [(session.suggestion(i), again.suggestion(i)) for i in range(5)]
    here = akd.load_student(tmp_path / "labels" / "student").predict(task.test.images)
    torch.testing.assert_close(there, here, rtol=1e-4, atol=1e-5)
    assert all(a == pytest.approx(b, rel=1e-4) for a, b in suggestions)
