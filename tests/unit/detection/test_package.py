"""Model packages: two files that vouch for each other."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest

from relook.detection.model import Model
from relook.detection.package import (
    FORMAT_VERSION,
    GRAPH_FILE,
    MANIFEST_FILE,
    AnomalyClass,
    BackboneIdentity,
    Calibration,
    Choice,
    HeatMapRange,
    ModelManifest,
    ModelPackage,
    NormalStatistic,
)
from relook.detection.view import View
from relook.errors import PackageError
from relook.learning.training import TrainedModel

GRAPH = b"not really a graph"
MANIFEST = ModelManifest(
    project="plate",
    version="7",
    view=View((480, 640), (40.5, 20.0, 400.0, 300.0), (192, 256)),
    image_size=(480, 640),
    threshold=0.4375,
    calibration=(Calibration(1.25, 0.5), Calibration(-3.0, 2.0)),
    classes=(AnomalyClass("scratch", "#7ED321", 0.55),),
    heat_map=HeatMapRange(1.0, 9.5),
    graph_sha256=hashlib.sha256(GRAPH).hexdigest(),
    backbone=BackboneIdentity("own", "ab" * 32),
    normals=("normal/0.png", "normal/1.png"),
    statistics={
        name: NormalStatistic(120.5, 2.25, (-1.5, 0.0, 0.75))
        for name in ("score", "brightness", "contrast", "sharpness")
    },
    choices=(Choice("parts lie", "as they are", "mean correlation", {"as they are": 0.75, "turned": 0.9375}),),
    training={"normal_images": 12},
    libraries={"numpy": "2"},
)
PACKAGE = ModelPackage(GRAPH, MANIFEST)
VIEW = MANIFEST.view.to_json()
STATISTICS = json.loads(MANIFEST.to_json())["statistics"]


def test_files_read_back_into_an_equal_package() -> None:
    assert set(PACKAGE.files()) == {"graph.onnx", "model.json"}
    assert ModelPackage.from_files(PACKAGE.files()) == PACKAGE
    mixed = ModelPackage(GRAPH, dataclasses.replace(MANIFEST, image_size=None, classes=(), backbone=None))
    assert ModelPackage.from_files({**mixed.files(), "README.md": b""}) == mixed


def test_a_package_of_before_there_were_statistics_is_read() -> None:
    old = ModelPackage.from_files(with_manifest(statistics=...))
    assert old.manifest == dataclasses.replace(MANIFEST, statistics={})


def test_folders_read_back_into_an_equal_package(tmp_path: Path) -> None:
    PACKAGE.write_folder(tmp_path / "models" / "7")
    assert ModelPackage.read_folder(tmp_path / "models" / "7") == PACKAGE


def test_the_manifest_says_what_is_needed_without_our_code() -> None:
    fields = json.loads(PACKAGE.files()[MANIFEST_FILE])
    assert fields["format_version"] == FORMAT_VERSION == 3
    assert fields["image_size"] == [480, 640]
    assert fields["view"]["rectangle"] == [40.5, 20.0, 400.0, 300.0]
    assert fields["view"]["canvas"] == [192, 256]
    assert fields["classes"] == [{"name": "scratch", "color": "#7ED321", "threshold": 0.55}]
    assert fields["calibration"][0] == {"center": 1.25, "scale": 0.5}
    assert fields["normals"] == ["normal/0.png", "normal/1.png"]
    assert fields["statistics"]["score"] == {"center": 120.5, "spread": 2.25, "normals": [-1.5, 0.0, 0.75]}
    assert fields["choices"][0]["scores"] == {"as they are": 0.75, "turned": 0.9375}


def with_manifest(**changes: object) -> dict[str, bytes]:
    fields = {**json.loads(PACKAGE.files()[MANIFEST_FILE]), **changes}
    fields = {name: value for name, value in fields.items() if value is not ...}
    return {GRAPH_FILE: GRAPH, MANIFEST_FILE: json.dumps(fields).encode()}


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "graph.onnx and model.json"),
        ({GRAPH_FILE: GRAPH}, "model.json"),
        ({**PACKAGE.files(), GRAPH_FILE: GRAPH + b"!"}, hashlib.sha256(GRAPH + b"!").hexdigest()),
        (with_manifest(graph_sha256="0" * 64), "0" * 64),
        (with_manifest(format_version=2), "format version 2; this Relook reads 3: train or register the model again"),
        (with_manifest(format_version=...), "format_version"),
        (with_manifest(threshold=...), "threshold"),
        (with_manifest(threshold="high"), "high"),
        (with_manifest(view=...), "view"),
        (with_manifest(view={**VIEW, "canvas": [256]}), "garbles a value"),
        (with_manifest(view={**VIEW, "rectangle": None}), "garbles a value"),
        (with_manifest(calibration=[{"center": 0, "scale": 0}]), "scale 0"),
        (with_manifest(classes=[{"name": "scratch"}]), "color"),
        (with_manifest(backbone=...), "backbone"),
        (with_manifest(backbone={"name": "own"}), "sha256"),
        (with_manifest(normals=...), "normals"),
        (with_manifest(normals=7), MANIFEST_FILE),
        (with_manifest(statistics={"score": {"center": 1, "spread": 1, "normals": []}}), "['brightness', 'contrast'"),
        (with_manifest(statistics={**STATISTICS, "score": {"center": 1, "spread": 0, "normals": []}}), "spread 0"),
        (with_manifest(statistics={**STATISTICS, "score": {"center": 1, "spread": 1}}), "normals"),
        (with_manifest(choices=...), "choices"),
        (with_manifest(choices=[{"name": "parts lie"}]), "chosen"),
        ({GRAPH_FILE: GRAPH, MANIFEST_FILE: b"\xff\xfe"}, MANIFEST_FILE),
        ({GRAPH_FILE: GRAPH, MANIFEST_FILE: b"[]"}, MANIFEST_FILE),
    ],
)
def test_what_is_missing_or_tampered_with_is_named(files: dict[str, bytes], says: str) -> None:
    with pytest.raises(PackageError) as caught:
        ModelPackage.from_files(files)
    assert says in str(caught.value)


def test_an_empty_folder_is_no_package(tmp_path: Path) -> None:
    with pytest.raises(PackageError):
        ModelPackage.read_folder(tmp_path)


def test_a_graph_that_is_none_cannot_be_loaded() -> None:
    with pytest.raises(PackageError):
        Model(PACKAGE)


@pytest.mark.parametrize(
    "changes",
    [
        {"view": View((112, 160), (0.0, 0.0, 160.0, 112.0), (128, 96))},
        {"view": View((112, 160), (0.0, 0.0, 160.0, 112.0), (512, 512))},
        {"calibration": (Calibration(0, 1),) * 5},
        {"classes": (AnomalyClass("scratch", "#7ED321", 0.5),)},
    ],
)
def test_a_graph_of_another_shape_than_the_manifest_says_is_refused(
    from_normals: TrainedModel, changes: dict[str, object]
) -> None:
    package = from_normals.package
    with pytest.raises(PackageError):
        Model(ModelPackage(package.graph, dataclasses.replace(package.manifest, **changes)))  # type: ignore[arg-type]
