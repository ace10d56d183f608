"""What must not matter to a model does not: how a picture was coded, how brightly it was lit."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import numpy as np
import pytest
from PIL import Image

from local.products.picture import render
from relook.detection.model import Model
from relook.learning.data.samples import LabeledImage
from relook.learning.estimators.calibration import THRESHOLD
from relook.learning.training import TrainedModel, train
from tests.unit.learning.pictures import encode, plate_png

pytestmark = pytest.mark.slow

UNSEEN = range(900, 910)
CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "as it is": lambda picture: picture,
    "a quarter darker": lambda picture: Image.eval(picture, lambda value: value * 0.75),
}


@cache
def bracket(seed: int, *defects: str) -> Image.Image:
    return Image.fromarray(render("bracket", seed, defects).image)


def jpeg(picture: Image.Image, quality: int = 92) -> bytes:
    return encode(picture, "JPEG", quality=quality)


@pytest.fixture(scope="module")
def model() -> Model:
    """Of twelve brackets as a camera writes them."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(bracket, [*range(12), *UNSEEN]))
    images = [LabeledImage(f"{seed}.jpg", partial(lambda s: jpeg(bracket(s)), seed), False) for seed in range(12)]
    return Model(train(images, project="bracket", version="1").package)


@pytest.mark.parametrize("change", list(CHANGES))
@pytest.mark.parametrize("quality", [92, 60])
def test_another_light_and_another_coding_are_no_defects(model: Model, change: str, quality: int) -> None:
    pictures = [jpeg(CHANGES[change](bracket(seed)), quality) for seed in UNSEEN]
    assert sum(model.detect(picture).is_anomalous for picture in pictures) <= 1


@pytest.mark.parametrize("change", list(CHANGES))
@pytest.mark.parametrize("quality", [92, 60])
def test_and_hide_none(model: Model, change: str, quality: int) -> None:
    pictures = [CHANGES[change](bracket(seed, "missingscrew")) for seed in UNSEEN[:5]]
    verdicts = [model.detect(jpeg(picture, quality)).is_anomalous for picture in pictures]
    assert sum(verdicts) >= 4


def test_pngs_of_a_part_photographed_as_jpegs_are_let_pass(model: Model) -> None:
    assert sum(model.detect(encode(bracket(seed))).is_anomalous for seed in UNSEEN[:5]) <= 1


def test_without_anomalies_the_threshold_holds(from_normals: TrainedModel) -> None:
    """Nobody labelled an anomaly, and yet few of many unseen normal images raise an alarm."""
    assert from_normals.package.manifest.threshold == THRESHOLD
    model = Model(from_normals.package)
    alarms = [model.detect(plate_png(seed)).is_anomalous for seed in range(1000, 1040)]
    assert np.mean(alarms) <= 0.1
