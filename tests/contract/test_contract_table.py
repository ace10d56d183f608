"""The contract table says what the model inside the last botocore that had the service says."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from relook.lookout.service_model import SIGNING_NAME, model_files, service_model
from tests.contract.clients import released_models

_PROSE = ("documentation", "documentationUrl", "idempotent")


@pytest.fixture(scope="module")
def models() -> Path:
    return released_models()


@pytest.fixture(scope="module")
def theirs(models: Path) -> dict[str, Any]:
    model: dict[str, Any] = without_prose(json.loads(gzip.decompress((models / "service-2.json.gz").read_bytes())))
    return model


OURS = service_model()


def without_prose(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_prose(each) for name, each in value.items() if name not in _PROSE}
    return [without_prose(each) for each in value] if isinstance(value, list) else value


def as_set(shape: dict[str, Any]) -> dict[str, Any]:
    return {**shape, "required": set(shape.get("required", ()))}


def test_the_shapes_are_the_same(theirs: dict[str, Any]) -> None:
    # `documentation` is no member's name, so nothing but prose was taken out of the members.
    assert {name: as_set(shape) for name, shape in OURS["shapes"].items()} == {
        name: as_set(shape) for name, shape in theirs["shapes"].items()
    }


def test_the_operations_are_the_same(theirs: dict[str, Any]) -> None:
    def comparable(operations: dict[str, Any]) -> dict[str, Any]:
        return {
            name: {
                **operation,
                "http": {"responseCode": 200, **operation["http"]},
                "errors": {error["shape"] for error in operation["errors"]},
            }
            for name, operation in operations.items()
        }

    assert len(OURS["operations"]) == 22
    assert comparable(OURS["operations"]) == comparable(theirs["operations"])


def test_the_paginators_are_the_same(models: Path) -> None:
    assert model_files()["paginators-1.json"] == json.loads((models / "paginators-1.json").read_text())


def test_only_the_signing_name_differs(theirs: dict[str, Any]) -> None:
    differing = {
        name
        for name in {*OURS["metadata"], *theirs["metadata"]}
        if OURS["metadata"].get(name) != theirs["metadata"].get(name)
    }
    assert differing == {"signingName"}
    assert (theirs["metadata"]["signingName"], OURS["metadata"]["signingName"]) == ("lookoutvision", SIGNING_NAME)
