"""`relook drop` waits for the verdict of its own upload, over tables and buckets in process."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from cli import dropping
from cli.stack import Stack
from relook.aws.clients import Clients
from tests.account import SETTINGS, Cloud
from tests.unit.parts import hosted_package, png
from tests.unit.test_watch_quality import package


@pytest.mark.parametrize("is_hosted", [True, False])
def test_the_same_picture_dropped_again_gets_its_new_verdict(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_hosted: bool
) -> None:
    if is_hosted:
        hosted_package(cloud.registry, cloud.s3, "bracket", package())
    names = {
        "ImagesBucket": "unversioned",
        "InspectionsTable": SETTINGS.inspections_table,
        "ModelsBucket": SETTINGS.models_bucket,
        "RegistryTable": SETTINGS.registry_table,
    }
    stack = Stack(names, Clients())
    stack.images.create()
    picture = tmp_path / "golden.png"
    picture.write_bytes(png(Image.new("RGB", (96, 72), "#888888")))
    record = {
        "image_uri": "s3://unversioned/bracket/golden.png",
        "object_version": f"{stack.images.write('bracket/golden.png', picture.read_bytes())}#1",
        "project": "bracket",
        "status": "INSPECTED",
        "inspected_at": "2026-11-26T09:00:00.000Z",
        "confidence": 0.6,
    }
    stack.inspections.put(record)
    # What the pipeline does meanwhile: the content is the same, and so is the record's key.
    monkeypatch.setattr(
        "time.sleep",
        lambda _: stack.inspections.put(record | {"inspected_at": "2026-11-26T17:00:00.000Z", "confidence": 0.9}),
    )

    (drop,) = dropping.drop(stack, "bracket", [picture], {}, timeout_s=5, pictures=tmp_path)

    assert float(drop.record["confidence"]) == pytest.approx(0.9)
