"""Large pictures with tiny defects: a strip of 4096 x 256 pixels, as a line camera gives, with scratches of 20 x 2."""

from __future__ import annotations

from functools import cache, partial
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from relook.detection.model import Model
from relook.detection.package import ModelPackage
from relook.learning.data.samples import LabeledImage
from relook.learning.estimators import segmentation
from relook.learning.training import TrainedModel, train
from tests.unit.learning.pictures import encode

pytestmark = pytest.mark.slow

HEIGHT, WIDTH = 256, 4096
LONG, THIN = 20, 2
UNSEEN = range(900, 906)
COLOR = "#7ED321"


@cache
def strip(seed: int, *, is_scratched: bool = False) -> tuple[bytes, NDArray[np.bool_]]:
    """A JPEG of rolled metal, and where its scratch is."""
    random = np.random.default_rng(seed)
    rolled = np.random.default_rng(7).normal(0, 6, (HEIGHT // 4, 1)).astype(np.float32).repeat(4, axis=0)
    light = 10 * np.sin(np.arange(WIDTH, dtype=np.float32) / 300 + 0.2 * random.normal()) + 3 * random.normal()
    pixels = 140 + rolled + light + 4 * random.standard_normal((HEIGHT, WIDTH), np.float32)
    where = np.zeros((HEIGHT, WIDTH), bool)
    if is_scratched:
        y, x = int(random.integers(40, HEIGHT - 40)), int(random.integers(60, WIDTH - 60))
        where[y : y + THIN, x : x + LONG] = True
        pixels[where] += 70
    return encode(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), "JPEG", quality=92), where


def strip_jpeg(seed: int, is_scratched: bool = False) -> bytes:
    return strip(seed, is_scratched=is_scratched)[0]


def mask(seed: int) -> bytes:
    painted = Image.new("RGB", (WIDTH, HEIGHT), "white")
    painted.paste(COLOR, mask=Image.fromarray(strip(seed, is_scratched=True)[1]))
    return encode(painted, compress_level=1)


@pytest.fixture(scope="module")
def trained() -> TrainedModel:
    scratched = [
        LabeledImage(f"{s}.jpg", partial(strip_jpeg, s, True), True, partial(mask, s), {"scratch": COLOR})
        for s in range(100, 106)
    ]
    normals = [LabeledImage(f"{s}.jpg", partial(strip_jpeg, s), False) for s in range(10)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmentation, "_STEPS", 200)  # a third of them is enough for a scratch on plain metal
        return train([*normals, *scratched], project="strip", version="1")


@pytest.fixture(scope="module")
def model(trained: TrainedModel) -> Model:
    return Model(trained.package)


def test_it_is_looked_at_finer_than_the_budget(model: Model) -> None:
    high, wide = model.manifest.view.canvas
    assert high * wide > 2 * 65_536
    assert model.manifest.image_size == (HEIGHT, WIDTH)


def test_normal_strips_are_let_pass(model: Model) -> None:
    assert sum(model.detect(strip_jpeg(seed)).is_anomalous for seed in UNSEEN) <= 1


def test_a_scratch_of_twenty_by_two_pixels_is_found_where_it_is_and_outlined(model: Model) -> None:
    outlined = 0
    for seed in UNSEEN:
        data, where = strip(seed, is_scratched=True)
        middle = np.argwhere(where).mean(axis=0)
        result, seen = model.detect(data), model.look(data)

        assert result.is_anomalous
        hottest = np.unravel_index(seen.map.argmax(), seen.map.shape)
        cell = np.array([HEIGHT, WIDTH]) / seen.map.shape
        assert np.abs((np.array(hottest) + 0.5) * cell - middle).max() < 1.6 * cell.max()
        painted = np.argwhere((np.asarray(Image.open(BytesIO(result.mask_png or b""))) != 255).any(axis=2))
        if len(painted):
            outlined += 1
            assert np.abs(painted - middle).max() < 24, "nothing else is painted"
    assert outlined >= 4


def test_the_package_read_back_says_the_same(trained: TrainedModel, model: Model) -> None:
    again = Model(ModelPackage.from_files(trained.package.files()))
    assert again.detect(strip_jpeg(901, True)) == model.detect(strip_jpeg(901, True))
