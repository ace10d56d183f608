"""An account with the stack's resources for each test, and small models that all tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from relook.learning.estimators import segmentation
from relook.learning.training import TrainedModel, train
from tests.account import SETTINGS, Cloud, account
from tests.once import once_per_run
from tests.unit.learning.pictures import anomalies, normals
from tests.unit.parts import hosted_package


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """Fresh resources; the project `bracket` exists and hosts nothing."""
    with account(**SETTINGS.to_env()) as cloud:
        yield cloud


@pytest.fixture
def hosted(cloud: Cloud) -> Cloud:
    """The same, with version 1 of `bracket` hosted."""
    hosted_package(cloud.registry, cloud.s3, "bracket")
    return cloud


@pytest.fixture(scope="session")
@once_per_run
def from_normals() -> TrainedModel:
    """Twelve normal images and nothing else."""
    return train(normals(range(12)), project="plate", version="1")


@pytest.fixture(scope="session")
@once_per_run
def from_labels() -> TrainedModel:
    """Normal images, and scratches without masks."""
    return train([*normals(range(14)), *anomalies(range(100, 108), "scratch")], project="plate", version="2")


@pytest.fixture(scope="session")
@once_per_run
def from_masks() -> TrainedModel:
    """Normal images, and two types with masks, learnt in a third of the usual steps."""
    images = [
        *normals(range(14)),
        *anomalies(range(100, 106), "scratch", with_masks=True),
        *anomalies(range(200, 206), "stain", with_masks=True),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmentation, "_STEPS", 200)
        return train(images, project="plate", version="3")
