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


@dataclass(frozen=True, kw_only=True)
class InspectImageSettings:
    """Settings of the `inspect_image` function.

    Attributes:
        remote_endpoint: URL of the `lookoutvision` server, or name of the SageMaker endpoint; empty for `hosted`.
        remote_model_version: the model version asked of a remote detector, and written into its records.
        publish_every_inspection: also emit `Image Inspected`, for normal images too.
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

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read every attribute from `env`.

        Raises:
            SettingsError: names every missing or malformed variable at once.
        """
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
        settings = cls(**values)
        if settings.detector is not DetectorKind.HOSTED and not settings.remote_endpoint:
            raise SettingsError([f"REMOTE_ENDPOINT is not set, but DETECTOR is {settings.detector.value!r}"])
        return settings

    def to_env(self) -> dict[str, str]:
        """The variables that `from_env` reads back into an equal object."""
        return {field.name.upper(): _format(getattr(self, field.name)) for field in dataclasses.fields(self)}


@cache
def inspect_image_settings() -> InspectImageSettings:
    """The running function's settings, read at first use."""
    return InspectImageSettings.from_env(os.environ)


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
