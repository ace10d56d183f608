"""Environment variables as a frozen dataclass, and back.

`os.environ` is read in this module only. `to_env` is the inverse of `from_env` and is what the CDK gives to the
function, so a variable's name is spelled once: it is the attribute's name in upper case.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Self, get_type_hints

from relook.errors import SettingsError


class DetectorKind(StrEnum):
    """Which detector answers DetectAnomalies."""

    HOSTED = "hosted"
    LOOKOUTVISION = "lookoutvision"
    SAGEMAKER = "sagemaker"


class Settings:
    """What all settings can do. Subclasses are frozen dataclasses."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read every attribute from `env`.

        Raises:
            SettingsError: names every missing or malformed variable at once.
        """
        assert dataclasses.is_dataclass(cls)
        types = get_type_hints(cls)
        values: dict[str, Any] = {}
        problems: list[str] = []
        for field in dataclasses.fields(cls):
            name = field.name.upper()
            text = env.get(name, "")
            if not text and field.default is dataclasses.MISSING:
                problems.append(f"{name} is not set")
            elif text:
                try:
                    values[field.name] = _parse(text, types[field.name])
                except ValueError as error:
                    problems.append(f"{name} is {text!r}: {error}")
        if problems:
            raise SettingsError(problems)
        return cls(**values)

    def to_env(self) -> dict[str, str]:
        """The variables that `from_env` reads back into an equal object."""
        assert dataclasses.is_dataclass(self)
        return {field.name.upper(): _format(getattr(self, field.name)) for field in dataclasses.fields(self)}


@dataclass(frozen=True, kw_only=True)
class InspectImageSettings(Settings):
    """Settings of the `inspect_image` function.

    Attributes:
        remote_endpoint: URL of the `lookoutvision` server, or name of the SageMaker endpoint; empty for `hosted`.
        remote_model_version: the model version asked of a remote detector, and written into its records.
        publish_every_inspection: also emit `Image Inspected`, for normal images too.
        keep_records_days, keep_normal_pictures_days, keep_anomalous_pictures_days: see `Retention`; 0 for good.
    """

    results_bucket: str
    models_bucket: str
    inspections_table: str
    registry_table: str
    idempotency_table: str
    event_bus: str
    detector: DetectorKind = DetectorKind.HOSTED
    remote_endpoint: str = ""
    remote_model_version: str = "1"
    publish_every_inspection: bool = False
    keep_records_days: int = 0
    keep_normal_pictures_days: int = 0
    keep_anomalous_pictures_days: int = 0

    def __post_init__(self) -> None:
        if self.detector is not DetectorKind.HOSTED and not self.remote_endpoint:
            raise SettingsError([f"REMOTE_ENDPOINT is not set, but DETECTOR is {self.detector.value!r}"])


@dataclass(frozen=True, kw_only=True)
class LookoutApiSettings(Settings):
    """Settings of the `lookout_api` function. Limits are those of the original service, but for the least number of
    normal images, of which 20 were needed in a single dataset, and of anomalous ones, of which none are needed.

    Attributes:
        datasets_bucket: where the entries of datasets are kept.
        max_concurrent_trainings: model versions in TRAINING at once, in all projects together.
        min_normal_images: labelled normal, to train with.
        min_test_normal_images, min_test_anomalous_images: in a test dataset, where there is one.
        max_train_images, max_test_images: entries of a dataset.
        max_manifest_mb: of a manifest, in 10^6 bytes.
        max_inference_units: of one model version.
        provisioned_alias: alias of this very function whose provisioned concurrency follows the inference units of
            hosted model versions; empty where nothing is provisioned.
        expiring_bucket: whose pictures end after some days, so that no dataset may name them; empty for none.
    """

    registry_table: str
    idempotency_table: str
    models_bucket: str
    datasets_bucket: str
    training_queue_url: str
    event_bus: str
    max_concurrent_trainings: int = 2
    min_normal_images: int = 10
    min_test_normal_images: int = 10
    min_test_anomalous_images: int = 10
    max_train_images: int = 16_000
    max_test_images: int = 4_000
    max_manifest_mb: int = 1_000
    max_inference_units: int = 5
    provisioned_alias: str = ""
    expiring_bucket: str = ""


@dataclass(frozen=True, kw_only=True)
class TrainModelSettings(Settings):
    """Settings of the `train_model` function.

    Attributes:
        max_attempts: trainings of one model version that may end without a word, by a crash, before it has failed.
    """

    registry_table: str
    models_bucket: str
    datasets_bucket: str
    event_bus: str
    max_attempts: int = 2


@dataclass(frozen=True, kw_only=True)
class WatchQualitySettings(Settings):
    """Settings of the `watch_quality` function.

    Attributes:
        drift_every_hours: between two rounds that look for drift; a project without an image in that time is left out.
    """

    registry_table: str
    inspections_table: str
    models_bucket: str
    event_bus: str
    drift_every_hours: int = 24


@cache
def inspect_image_settings() -> InspectImageSettings:
    """The running function's settings, read at first use; likewise below."""
    return InspectImageSettings.from_env(os.environ)


@cache
def lookout_api_settings() -> LookoutApiSettings:
    """Of `lookout_api`."""
    return LookoutApiSettings.from_env(os.environ)


@cache
def train_model_settings() -> TrainModelSettings:
    """Of `train_model`."""
    return TrainModelSettings.from_env(os.environ)


@cache
def watch_quality_settings() -> WatchQualitySettings:
    """Of `watch_quality`."""
    return WatchQualitySettings.from_env(os.environ)


def _parse(text: str, kind: Any) -> Any:
    if kind is bool:
        if text not in ("true", "false"):
            raise ValueError("expected true or false")
        return text == "true"
    if kind is DetectorKind and text not in list(DetectorKind):
        raise ValueError(f"expected one of {', '.join(DetectorKind)}")
    return kind(text)


def _format(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
