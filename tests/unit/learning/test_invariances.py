"""What must not matter to a model does not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from relook.detection.calibration import log_odds
from relook.detection.model import Model
from relook.detection.package import ModelPackage
from relook.learning.data.samples import LabeledImage
from relook.learning.estimators.calibration import THRESHOLD
from relook.learning.training import TrainedModel, train
from tests.unit.learning.pictures import COLORS, encode, plate, plate_png

UNSEEN = range(900, 908)
DEFECTS = (None, "scratch", "stain")
FEW = settings(max_examples=12, deadline=None)
Change = Callable[[Image.Image], bytes]


def photograph(image: Image.Image, quality: int = 90) -> bytes:
    return encode(image, "JPEG", quality=quality)


def photographs(*, mirrored: bool) -> TrainedModel:
    """A model of normal plates as a camera writes them."""

    def read(seed: int) -> bytes:
        picture = Image.fromarray(plate(seed)[0])
        return photograph(ImageOps.mirror(picture) if mirrored else picture)

    images = [LabeledImage(f"normal/{seed}.jpg", partial(read, seed), False) for seed in range(12)]
    return train(images, project="plate", version="1")


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(photographs(mirrored=False).package)


def odds(model: Model, data: bytes) -> float:
    return log_odds(model.look(data)["scores"], model.manifest.calibration)


def assert_hardly_matters(model: Model, change: Change, seed: int, defect: str | None) -> None:
    """A normal image stays normal and a defect a defect; the log odds move by no more than images of a kind differ."""
    picture = Image.fromarray(plate(seed, defect=defect)[0])
    before, after = odds(model, photograph(picture)), odds(model, change(picture))
    assert (after >= 0) == (before >= 0) or abs(before) < 2, (before, after)
    assert abs(after - before) < 2 + 0.35 * abs(before), (before, after)


@FEW
@given(factor=st.floats(0.97, 1.03), seed=st.sampled_from(UNSEEN), defect=st.sampled_from(DEFECTS))
def test_a_little_more_or_less_light(model: Model, factor: float, seed: int, defect: str | None) -> None:
    def lit(picture: Image.Image) -> bytes:
        brighter = np.rint(np.asarray(picture) * factor).clip(0, 255)
        return photograph(Image.fromarray(brighter.astype(np.uint8)))

    assert_hardly_matters(model, lit, seed, defect)


@FEW
@given(quality=st.integers(85, 95), seed=st.sampled_from(UNSEEN), defect=st.sampled_from(DEFECTS))
def test_jpeg_quality(model: Model, quality: int, seed: int, defect: str | None) -> None:
    assert_hardly_matters(model, partial(photograph, quality=quality), seed, defect)


def test_a_mirrored_world(model: Model) -> None:
    """Trained on mirrored images, a model says of mirrored images what the other one says of the originals."""
    other = Model(photographs(mirrored=True).package)
    pictures = [Image.fromarray(plate(seed, defect=defect)[0]) for defect in DEFECTS for seed in UNSEEN[:5]]

    before = np.array([odds(model, photograph(picture)) for picture in pictures])
    after = np.array([odds(other, photograph(ImageOps.mirror(picture))) for picture in pictures])

    assert np.corrcoef(before, after)[0, 1] > 0.9
    assert ((before >= 0) != (after >= 0)).sum() <= 1
    chosen, other_way = ([choice.chosen for choice in each.manifest.choices] for each in (model, other))
    assert chosen == other_way


def test_without_anomalies_the_threshold_holds(from_normals: TrainedModel) -> None:
    """Nobody labelled an anomaly, and yet few of many unseen normal images raise an alarm."""
    assert from_normals.package.manifest.threshold == THRESHOLD
    model = Model(from_normals.package)
    alarms = [model.detect(plate_png(seed)).is_anomalous for seed in range(1000, 1040)]
    assert np.mean(alarms) <= 0.1


@FEW
@given(width=st.integers(64, 400), height=st.integers(64, 400), defect=st.sampled_from(DEFECTS))
def test_masks_and_areas_fit_any_size(from_masks: TrainedModel, width: int, height: int, defect: str | None) -> None:
    any_size = dataclasses.replace(from_masks.package.manifest, image_size=None)
    picture = Image.fromarray(plate(910, defect=defect)[0]).resize((width, height))

    result = Model(ModelPackage(from_masks.package.graph, any_size)).detect(encode(picture))

    mask = Image.open(BytesIO(result.mask_png or b"")).convert("RGB")
    assert mask.size == (width, height)
    known = {"background": "#FFFFFF", **COLORS}
    found, counts = np.unique(np.asarray(mask).reshape(-1, 3), axis=0, return_counts=True)
    colors = dict(zip(map(bytes, found), counts.tolist(), strict=True))
    assert set(colors) <= {bytes.fromhex(color[1:]) for color in known.values()}
    assert result.anomalies is not None
    assert sum(anomaly.area_share for anomaly in result.anomalies) == pytest.approx(1, abs=1e-6)
    for anomaly in result.anomalies:
        assert anomaly.color == known[anomaly.name]
        painted = colors[bytes.fromhex(anomaly.color[1:])]
        assert anomaly.area_share == pytest.approx(painted / (width * height), abs=1e-6)
