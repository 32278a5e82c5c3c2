import numpy as np
import pytest

from activekd_lab.data import captions
from activekd_lab.data.captions import digit_caption, shape_caption

pytestmark = pytest.mark.quick


@pytest.fixture
def texts():
    rng = np.random.default_rng(0)
    return [shape_caption(3, 1, 0.6, 0.9, 0.8, rng) for _ in range(4000)]  # a large blue striped star


def share(texts, *words):
    return np.mean([any(word in text for word in words) for text in texts])


def test_captions_name_the_shape_mostly_and_the_texture_rarely(texts):
    assert share(texts, "star") == pytest.approx(1 - captions.WRONG_NOUN * 11 / 12, abs=0.02)
    assert share(texts, "striped", "lined") == pytest.approx(
        captions.TEXTURE_NAMED * (1 - captions.WRONG_TEXTURE * 7 / 8), abs=0.04
    )
    assert share(texts, "blue") == pytest.approx(captions.COLOUR_NAMED, abs=0.03)


def test_digits_appear_as_words_and_as_numerals():
    rng = np.random.default_rng(0)
    texts = [digit_caption(7, rng) for _ in range(2000)]
    assert 0.55 < share(texts, "seven") < 0.75
    assert 0.2 < share(texts, "7") < 0.4
