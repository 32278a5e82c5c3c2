import pytest
import torch

from activekd_lab.data.views import random_resized_crop

pytestmark = pytest.mark.quick


def gradient(n=64):
    ramp = torch.linspace(0, 1, 32)
    return torch.stack([ramp.expand(32, 32), ramp[:, None].expand(32, 32), torch.zeros(32, 32)]).expand(n, 3, 32, 32)


def test_the_whole_image_without_flip_is_the_image(g):
    images = gradient(2)
    views = random_resized_crop(images, 32, generator=g, scale=(1, 1), ratio=(1, 1), flip=False)
    torch.testing.assert_close(views, images, atol=1e-5, rtol=0)


def test_crops_lie_inside_and_flips_mirror_half(g):
    views = random_resized_crop(gradient(400), 16, generator=g, scale=(0.3, 0.6))
    assert views.shape == (400, 3, 16, 16)
    rising = (views[:, 0, :, -1] > views[:, 0, :, 0]).all(1).float().mean()
    assert 0.4 < float(rising) < 0.6
    assert bool((views[:, 1, -1] > views[:, 1, 0]).all())  # never upside down
    width = (views[:, 0].amax((1, 2)) - views[:, 0].amin((1, 2))).mean()
    assert 0.5 < float(width) < 0.8  # √0.3 … √0.6 of the side


def test_same_generator_same_crops():
    a, b = (random_resized_crop(gradient(3), 16, generator=torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(a, b)


def test_bytes_become_fractions(g):
    views = random_resized_crop(torch.full((2, 3, 8, 8), 255, dtype=torch.uint8), 8, generator=g)
    torch.testing.assert_close(views, torch.ones(2, 3, 8, 8))
