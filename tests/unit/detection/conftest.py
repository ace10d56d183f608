"""Models trained once for all tests of the engine."""

from __future__ import annotations

import pytest

from relook.detection.training import TrainedModel, train
from tests.unit.detection.pictures import anomalies, normals


@pytest.fixture(scope="session")
def from_normals() -> TrainedModel:
    """Twelve normal images and nothing else."""
    return train(normals(range(12)), project="plate", version="1")


@pytest.fixture(scope="session")
def from_labels() -> TrainedModel:
    """Normal images, and scratches without masks."""
    return train([*normals(range(14)), *anomalies(range(100, 108), "scratch")], project="plate", version="2")


@pytest.fixture(scope="session")
def from_masks() -> TrainedModel:
    """Normal images, and two types with masks."""
    images = [
        *normals(range(14)),
        *anomalies(range(100, 106), "scratch", with_masks=True),
        *anomalies(range(200, 206), "stain", with_masks=True),
    ]
    return train(images, project="plate", version="3")
