"""Types of held-back images, by heads that never saw a cell of them."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from PIL import Image

from relook.detection.view import View
from relook.learning.data.samples import LabeledImage
from relook.learning.data.training_set import TrainingSet
from relook.learning.estimators import segmentation
from relook.learning.estimators.looks import FeatureExtractor
from relook.learning.estimators.segmentation import SegmentationHead
from relook.learning.validation import types as module
from tests.unit.foreign import quick_backbone
from tests.unit.learning.pictures import encode

COUNT, SIDE = 12, 64


def colored(number: int) -> bytes:
    """Every image has one colour of its own, so that its rows of features can be told from all others."""
    return encode(Image.new("RGB", (SIDE, SIDE), (20 * number, 255 - 20 * number, 90)))


def test_cells_of_a_held_back_image_are_not_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    outline = np.zeros((SIDE, SIDE), np.uint8)
    outline[20:40, 20:40] = 1
    data = TrainingSet(
        images=[LabeledImage(f"{i}.png", partial(colored, i), i < 6) for i in range(COUNT)],
        is_anomalous=np.arange(COUNT) < 6,
        size=(SIDE, SIDE),
        types={"dent": "#FF0000"},
        outlines=dict.fromkeys(range(6), outline),
    )
    view = View((SIDE, SIDE), (0, 0, SIDE, SIDE), (SIDE, SIDE))
    cuts = [view.cut(image.read()) for image in data.images]
    folds = np.arange(COUNT) % 4
    learnt: list[set[bytes]] = []

    def watched(rows: Any, *rest: Any) -> SegmentationHead:
        learnt.append({row.tobytes() for row in rows.mean(axis=1, keepdims=True).round(1)})
        return segmentation.fit_segmentation(rows, *rest)

    monkeypatch.setattr(segmentation, "_STEPS", 5)
    monkeypatch.setattr(module, "fit_segmentation", watched)
    steps: list[tuple[str, int, int]] = []
    extractor = FeatureExtractor(quick_backbone(), (SIDE, SIDE), 1)
    types = module.held_back_types(data, cuts, extractor, folds, np.random.default_rng(0), lambda *s: steps.append(s))

    *rounds, everything = learnt
    assert len(rounds) == 4
    for held, seen in enumerate(rounds):
        assert seen < everything, held
    assert set.union(*rounds) == everything
    assert set.intersection(*rounds) != everything
    assert set(types.probabilities) == set(range(6))
    assert all(each.shape == (2, 16, 16) for each in types.probabilities.values())
    assert types.peaks.shape == (COUNT, 1)
    assert steps[-1] == ("learning the types", 5, 5)
