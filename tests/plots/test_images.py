import base64
import io

import numpy as np
from PIL import Image

from activekd_lab.plots.images import sheet


def test_images_stand_in_rows_and_keep_their_pixels():
    images = np.stack([np.full((3, 8, 8), value, dtype=np.uint8) for value in (10, 90, 200)])
    page = sheet(images, columns=2)
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(page.uri.split(",")[1]))).convert("RGB"))
    assert picture.shape == (16, 16, 3)
    assert [picture[0, 0, 0], picture[0, 8, 0], picture[8, 0, 0]] == [10, 90, 200]


def test_large_and_oblong_images_are_scaled_to_fit():
    page = sheet(np.zeros((1, 3, 40, 120), dtype=np.uint8), columns=1, tile=48)
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(page.uri.split(",")[1]))).convert("RGB"))
    assert picture.shape == (48, 48, 3)
    assert picture[0, 0].tolist() == [128, 135, 144]
    assert picture[24, 24].tolist() == [0, 0, 0]
