import torch

from activekd_lab.data.glyphs import render_digits
from activekd_lab.data.render import SHAPES, TEXTURES, hsv_to_rgb, render


def test_every_class_is_drawn_and_no_two_look_alike(g):
    shape = torch.arange(len(SHAPES)).repeat_interleave(len(TEXTURES))
    texture = torch.arange(len(TEXTURES)).repeat(len(SHAPES))
    # The same nuisance variables for every class: each is drawn alone, from the same seed.
    drawn = [
        render(s[None], t[None], generator=torch.Generator().manual_seed(5)).images[0]
        for s, t in zip(shape, texture, strict=True)
    ]
    flat = torch.stack(drawn).flatten(1).float()
    distance = torch.cdist(flat, flat) + torch.eye(len(flat)) * 1e9
    assert float(distance.min()) > 100


def test_attributes_are_in_range_and_the_size_is_kept(g):
    drawn = render(torch.zeros(5, dtype=torch.int64), torch.ones(5, dtype=torch.int64), generator=g, size=48)
    assert drawn.images.shape == (5, 3, 48, 48)
    assert drawn.images.dtype == torch.uint8
    assert bool(((drawn.hue >= 0) & (drawn.hue < 1)).all())
    assert bool(((drawn.scale > 0.4) & (drawn.scale < 0.9)).all())


def test_rendering_is_seeded():
    a, b, c = (render_digits(torch.arange(10), generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_every_digit_has_ink(g):
    images = render_digits(torch.arange(10).repeat(20), generator=g).float()
    assert float(images.flatten(2).std(2).mean(1).min()) > 8


def test_primary_colours():
    rgb = hsv_to_rgb(torch.tensor([0.0, 1 / 3, 2 / 3]), torch.ones(3), torch.ones(3))
    torch.testing.assert_close(rgb, torch.eye(3), atol=1e-5, rtol=0)
