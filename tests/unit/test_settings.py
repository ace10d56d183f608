"""Settings survive the way through the environment; mistakes are all named at once."""

from __future__ import annotations

import dataclasses

import pytest

from relook.errors import SettingsError
from relook.settings import DetectorKind, InspectImageSettings
from tests.account import SETTINGS

REMOTE = dataclasses.replace(
    SETTINGS, detector=DetectorKind.SAGEMAKER, remote_endpoint="defects", publish_every_inspection=True
)


@pytest.mark.parametrize("settings", [SETTINGS, REMOTE], ids=["hosted", "remote"])
def test_round_trip(settings: InspectImageSettings) -> None:
    assert InspectImageSettings.from_env(settings.to_env()) == settings


def test_every_problem_is_named_at_once() -> None:
    env = {**SETTINGS.to_env(), "DETECTOR": "magic", "PUBLISH_EVERY_INSPECTION": "yes", "EVENT_BUS": ""}
    with pytest.raises(SettingsError) as caught:
        InspectImageSettings.from_env(env)
    assert caught.value.problems == [
        "EVENT_BUS is not set",
        "DETECTOR is 'magic': expected one of hosted, lookoutvision, sagemaker",
        "PUBLISH_EVERY_INSPECTION is 'yes': expected true or false",
    ]


@pytest.mark.parametrize("kind", ["lookoutvision", "sagemaker"])
def test_a_remote_detector_needs_its_endpoint(kind: str) -> None:
    with pytest.raises(SettingsError, match="REMOTE_ENDPOINT is not set"):
        InspectImageSettings.from_env({**SETTINGS.to_env(), "DETECTOR": kind})
