"""What differs between stages: `cdk.json`'s context as a frozen dataclass. Constructs ask no other question.

Every field may be set for a stage in `cdk.json` (context `stages`) or for one command with `-c field=value`.
"""

from __future__ import annotations

import dataclasses
import platform
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self, get_type_hints

from relook.registry.retention import Retention
from relook.settings import DetectorKind


class Stage(StrEnum):
    """Where the stack is deployed: a laptop's emulator, a throw-away stack, or one whose data must survive."""

    LOCAL = "local"
    DEV = "dev"
    PROD = "prod"


class Architecture(StrEnum):
    """Lambda's processor architectures, as CloudFormation spells them."""

    ARM64 = "arm64"
    X86_64 = "x86_64"


class ConfigError(ValueError):
    """The stage's configuration cannot be used; `problems` names everything that is wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("cdk.json or -c: " + "; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """One stage's choices.

    Attributes:
        runtime: Lambda runtime; the `local` stage uses the version of the interpreter that runs the emulator.
        memory_mb: 1769 is where Lambda gives one whole processor.
        timeout_s: of the function, for one batch.
        retry_after_s: the queue's visibility timeout, so the time until a failed image is tried again.
        max_receives: tries before an image goes to the dead letters.
        max_concurrency: batches in work at once.
        protects_data: retain buckets and tables, refuse their deletion, keep older versions of objects.
        versions_images: keep every upload to the same key, so that each is inspected. The local stage does not:
            its emulator's events do not say which version they are about.
        images_bucket: name of an existing bucket to inspect; empty to create one.
        alert_email: subscribed to the alerts; empty for none.
        api_timeout_s: of `lookout_api`, for one request.
        max_concurrent_trainings: model versions that may be in training at once.
        provisions_inference_units: turn the inference units of hosted models into provisioned concurrency of the API,
            which is billed while a model is hosted; otherwise they are recorded and cost nothing.
        training_memory_mb: of `train_model`. Trainings are faster with more, for Lambda gives processors by memory.
        training_timeout_s: of `train_model`, for one model version.
        training_retry_after_s: the time until a training that failed for a passing reason, or crashed, is tried again.
        data_buckets: names of existing buckets, separated by commas, that may hold datasets and take evaluations.
        drift_every_hours: between two rounds that look for drift.
        keep_records_days, keep_normal_pictures_days, keep_anomalous_pictures_days: after which what an inspection left
            is deleted; 0 for never.
        remote_endpoint, remote_model_version, publish_every_inspection: see `InspectImageSettings`.
    """

    stage: Stage
    runtime: str = "python3.13"
    architecture: Architecture = Architecture.ARM64
    memory_mb: int = 1769
    timeout_s: int = 60
    retry_after_s: int = 360
    max_receives: int = 5
    batch_size: int = 10
    max_concurrency: int = 50
    log_level: str = "INFO"
    log_retention_days: int = 30
    protects_data: bool = False
    versions_images: bool = True
    images_bucket: str = ""
    alert_email: str = ""
    publish_every_inspection: bool = False
    detector: DetectorKind = DetectorKind.HOSTED
    remote_endpoint: str = ""
    remote_model_version: str = "1"
    api_timeout_s: int = 60
    max_concurrent_trainings: int = 2
    training_memory_mb: int = 3008
    training_timeout_s: int = 900
    training_retry_after_s: int = 960
    data_buckets: str = ""
    provisions_inference_units: bool = False
    drift_every_hours: int = 24
    keep_records_days: int = 0
    keep_normal_pictures_days: int = 0
    keep_anomalous_pictures_days: int = 0

    @property
    def data_bucket_names(self) -> tuple[str, ...]:
        """The names in `data_buckets`."""
        return _names(self.data_buckets)

    @property
    def retention(self) -> Retention:
        """How long records and pictures are kept."""
        return Retention(self.keep_records_days, self.keep_normal_pictures_days, self.keep_anomalous_pictures_days)

    @classmethod
    def from_context(cls, context: Callable[[str], Any]) -> Self:
        """Read the stage named by the context value `stage`, and its fields.

        Args:
            context: gives a context value or None, as `app.node.try_get_context` does.
        Raises:
            ConfigError: names every unknown, malformed or impossible value at once.
        """
        name, stages = context("stage"), context("stages") or {}
        if name not in stages or name not in list(Stage):
            raise ConfigError([f"stage is {name!r}, expected one of {', '.join(Stage)}"])
        types = get_type_hints(cls)
        overrides = {field: value for field in types if field != "stage" and (value := context(field)) is not None}
        given = {**stages[name], **overrides}
        problems = [f"{field} is not a setting of a stage" for field in given if field not in types]
        values: dict[str, Any] = {"stage": Stage(name), **(_host() if name == Stage.LOCAL else {})}
        for field in given.keys() & types.keys():
            try:
                values[field] = _parse(given[field], types[field])
            except ValueError as error:
                problems.append(f"{field} is {given[field]!r}: {error}")
        problems += _impossible(values)
        if problems:
            raise ConfigError(sorted(problems))
        return cls(**values)


# The days CloudWatch Logs offers that anyone asked for.
LOG_RETENTION_DAYS = (1, 7, 30, 90, 365)

# Older ones run on Amazon Linux 2, whose C library cannot load onnxruntime's wheels.
_RUNTIMES = ("python3.12", "python3.13", "python3.14")

# S3's rule: no dot beside a dot or a hyphen, and not what looks like an IP address.
_SOUND = r"(?!.*(?:\.\.|\.-|-\.))(?!(?:\d+\.){3}\d+$)"
_BUCKET_NAME = re.compile(_SOUND + r"[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]")
# Buckets of before March 2018 may have capitals and underscores too.
_OLD_BUCKET_NAME = re.compile(_SOUND + r"[A-Za-z0-9][A-Za-z0-9._\-]{1,61}[A-Za-z0-9]")

_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

_FOREVER_DAYS = 36_500  # a hundred years: who wants more wants no end

# Limits of Lambda and SQS. A batch above 10 would need a batching window, which delays every verdict.
_RANGES = {
    "memory_mb": (128, 10240),
    "timeout_s": (1, 900),
    "retry_after_s": (1, 43200),
    "max_receives": (1, 1000),
    "batch_size": (1, 10),
    "max_concurrency": (2, 1000),
    "api_timeout_s": (1, 900),
    "max_concurrent_trainings": (1, 100),
    "training_memory_mb": (128, 10240),
    "training_timeout_s": (60, 900),
    "training_retry_after_s": (1, 43200),
    "drift_every_hours": (1, 168),  # a week is as far back as a round looks
    "keep_records_days": (0, _FOREVER_DAYS),
    "keep_normal_pictures_days": (0, _FOREVER_DAYS),
    "keep_anomalous_pictures_days": (0, _FOREVER_DAYS),
}

# A check may be asked for every 31 days: the last one must be known until the next is due.
_LEAST_RECORDS_DAYS = 31


def _host() -> dict[str, Any]:
    is_arm = platform.machine() in ("arm64", "aarch64")
    return {
        "runtime": f"python{sys.version_info.major}.{sys.version_info.minor}",
        "architecture": Architecture.ARM64 if is_arm else Architecture.X86_64,
    }


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _parse(value: Any, kind: Any) -> Any:
    """`-c field=value` gives text, `cdk.json` gives JSON; both are taken."""
    if kind is bool:
        if value not in (True, False, "true", "false"):
            raise ValueError("expected true or false")
        return value in (True, "true")
    if issubclass(kind, StrEnum):
        if value not in list(kind):
            raise ValueError(f"expected one of {', '.join(kind)}")
        return kind(value)
    if kind is int and not str(value).isdecimal():
        raise ValueError("expected a whole number")
    return kind(value)


def _impossible(values: Mapping[str, Any]) -> list[str]:
    """Values that are well formed but that AWS, or the pipeline, would refuse."""
    defaults = {field.name: field.default for field in dataclasses.fields(StageConfig)}
    value = {**defaults, **values}
    problems = [
        f"{field} is {value[field]}, expected {low} to {high}"
        for field, (low, high) in _RANGES.items()
        if not low <= value[field] <= high
    ]
    if value["stage"] != Stage.LOCAL and value["runtime"] not in _RUNTIMES:
        problems.append(f"runtime is {value['runtime']!r}, expected one of {', '.join(_RUNTIMES)}")
    if value["log_level"] not in _LOG_LEVELS:
        problems.append(f"log_level is {value['log_level']!r}, expected one of {', '.join(_LOG_LEVELS)}")
    if value["log_retention_days"] not in LOG_RETENTION_DAYS:
        days = ", ".join(map(str, LOG_RETENTION_DAYS))
        problems.append(f"log_retention_days is {value['log_retention_days']}, expected one of {days}")
    if value["retry_after_s"] < value["timeout_s"]:
        problems.append(f"retry_after_s is {value['retry_after_s']}, below timeout_s: images would be inspected twice")
    if value["training_retry_after_s"] <= value["training_timeout_s"]:
        problems.append(
            f"training_retry_after_s is {value['training_retry_after_s']}, not above training_timeout_s: models would "
            "be trained twice at once"
        )
    if value["images_bucket"] and not _BUCKET_NAME.fullmatch(value["images_bucket"]):
        problems.append(
            f"images_bucket is {value['images_bucket']!r}, expected the name of an existing bucket alone: 3 to 63 "
            "lower-case letters, digits, dots and hyphens, such as factory-images"
        )
    problems += [
        f"data_buckets has {name!r}, expected names of existing buckets alone, separated by commas, such as "
        "line-7-datasets,line-8-datasets"
        for name in _names(value["data_buckets"])
        if not _OLD_BUCKET_NAME.fullmatch(name)
    ]
    if 0 < value["keep_records_days"] < _LEAST_RECORDS_DAYS:
        problems.append(
            f"keep_records_days is {value['keep_records_days']}, expected {_LEAST_RECORDS_DAYS} or more, or 0 for good"
        )
    endless = ("keep_normal_pictures_days", "keep_anomalous_pictures_days")
    problems += [
        f"{field} is {value[field]}, but images_bucket is yours: its own lifecycle rules say how long it keeps pictures"
        for field in endless
        if value[field] and value["images_bucket"]
    ]
    if (value["detector"] == DetectorKind.HOSTED) != (not value["remote_endpoint"]):
        problems.append("remote_endpoint is needed by the lookoutvision and sagemaker detectors, and by no other")
    return problems
