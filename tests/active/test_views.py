import pytest
import torch

from activekd_lab.active.begin import start
from activekd_lab.active.inputs import CachedViewInputs
from activekd_lab.active.views import encode_cached_views
from activekd_lab.config import RunConfig
from activekd_lab.data import load_task
from activekd_lab.errors import SettingError
from activekd_lab.teachers.clip import load_teacher


@pytest.fixture(scope="module")
def teacher():
    return load_teacher("bundled", device="cpu")


@pytest.fixture(scope="module")
def split():
    return load_task("shapes", num_classes=4, pool_size=30, test_per_class=2, val_per_class=1).train


def test_the_embedding_is_that_of_the_pixels_the_student_gets(teacher, split):
    views = encode_cached_views(teacher, split, views=3, size=48)
    assert views.embeddings.shape == (3, 30, 128)
    ids, which = torch.tensor([7, 2, 7, 29]), torch.tensor([0, 2, 1, 1])
    pixels = views.pixels(ids, which, torch.device("cpu"))
    with torch.inference_mode():
        seen = teacher.encode_views(pixels)
    torch.testing.assert_close(views.embeddings[which, ids], seen, atol=1e-5, rtol=0)
    assert not torch.allclose(pixels[0], pixels[2])  # two crops of one image


def test_views_come_from_the_cache_and_another_seed_or_size_is_another_view(teacher, split, monkeypatch):
    first = encode_cached_views(teacher, split, views=2, size=48)
    more = encode_cached_views(teacher, split, views=3, size=48)
    assert torch.equal(more.embeddings[:2], first.embeddings)
    for changed in ({"seed": 1}, {"size": 40}, {"flip": False}):
        other = encode_cached_views(teacher, split, **{"views": 2, "size": 48} | changed)
        assert not torch.allclose(other.embeddings, first.embeddings, atol=1e-3)
    monkeypatch.setattr(teacher, "encode_inputs", lambda inputs: pytest.fail("the cache was not used"))
    assert torch.equal(encode_cached_views(teacher, split, views=3, size=48).embeddings, more.embeddings)


def test_a_batch_draws_views_by_its_generator_and_looks_the_teacher_up(teacher, split):
    task = load_task("shapes", num_classes=4, pool_size=30, test_per_class=2, val_per_class=1)
    views = encode_cached_views(teacher, split, views=4, size=48)
    inputs = CachedViewInputs(views, teacher.zero_shot(task), torch.device("cpu"))
    ids = torch.arange(30)
    pixels, logits = inputs.batch(ids, torch.Generator().manual_seed(0))
    again, _ = inputs.batch(ids, torch.Generator().manual_seed(0))
    other, _ = inputs.batch(ids, torch.Generator().manual_seed(1))
    assert torch.equal(pixels, again)
    assert not torch.equal(pixels, other)
    with torch.inference_mode():
        expected = inputs.head.logits(teacher.encode_views(pixels))
    torch.testing.assert_close(logits, expected, atol=1e-3, rtol=0)


def test_a_run_trains_on_cached_views_without_asking_the_teacher(tiny, monkeypatch):
    views = {"backbone": "small_cnn", "image_size": 32, "rounds": 1, "steps": 3, "teacher_views": 2}
    active = start(RunConfig(**tiny | views | {"few_shot": "clap"}))
    monkeypatch.setattr(active.prepared.teacher, "encode_inputs", lambda inputs: pytest.fail("the teacher was asked"))
    records = list(active)
    assert [r.labels for r in records] == [4, 9]
    assert active.prepared.inputs.head is not active.prepared.zero_shot


def test_views_without_effect_are_refused(tiny, teacher, split):
    with pytest.raises(SettingError, match="no effect with a frozen backbone"):
        start(RunConfig(**tiny, teacher_views=2))
    with pytest.raises(SettingError, match="no effect with method='ce'"):
        RunConfig(method="ce", teacher_views=2).resolve()
    with pytest.raises(SettingError, match="views must be 1 or more, but got 0"):
        encode_cached_views(teacher, split, views=0, size=32)
