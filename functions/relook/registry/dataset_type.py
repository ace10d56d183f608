"""The two kinds of datasets, for whoever names one without reading it."""

from __future__ import annotations

from enum import StrEnum


class DatasetType(StrEnum):
    """What a dataset is for."""

    TRAIN = "train"
    TEST = "test"
