"""A backbone and a model that others made, through the `relook` command, with AWS in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import cli.main
import cli.models
from cli import training
from cli.output import CommandError
from cli.stack import Stack
from relook.aws.clients import Clients
from relook.errors import BackboneError, PackageError, TrainingDataError
from relook.registry.model_version import ModelStatus
from relook.registry.models import describe_model, list_models
from relook.registry.projects import describe_project, list_projects
from tests.account import SETTINGS, Cloud, forget_process_state
from tests.contract.front_door import opened
from tests.unit.foreign import anomalib_metadata, anomalib_model, anomalib_onnx, feature_onnx, with_outside_weights
from tests.unit.parts import part_png

pytestmark = pytest.mark.slow


def relook(*arguments: object) -> Any:
    """Run the command; what it printed as JSON."""
    result = run(*arguments, "--json")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in (0, 3), result.output
    return json.loads(result.stdout)


def run(*arguments: object) -> Any:
    return CliRunner().invoke(cli.main.app, [str(each) for each in arguments])


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """The command finds this process's AWS, and the API in front of it."""
    for name, value in SETTINGS.to_env().items():
        monkeypatch.setenv(name, value)
    with opened() as door:
        forget_process_state()
        outputs = {"ModelsBucket": "models", "RegistryTable": "registry", "LookoutEndpoint": door.endpoint}
        monkeypatch.setattr(cli.models, "connect", lambda stage: Stack(outputs, Clients()))
        yield door.cloud
    forget_process_state()


@pytest.fixture
def resnet(tmp_path: Path) -> Path:
    path = tmp_path / "resnet.onnx"
    path.write_bytes(feature_onnx(64))
    return path


def test_a_backbone_is_imported_shown_and_removed(stack: Cloud, resnet: Path) -> None:
    answer = relook("backbone", "import", "cup", resnet)
    cost = answer.pop("cost_ms")
    assert set(cost) == {"1", "2"} and all(ms > 0 for ms in cost.values())
    assert (answer["project"], answer["side_px"], answer["channels"]) == ("cup", 64, 20)
    assert answer["maps"] == [[8, 16, 16], [12, 8, 8]]
    assert describe_project(stack.registry, "cup").backbone_sha256 == answer["sha256"]
    assert relook("backbone", "show", "cup") | {"cost_ms": cost} == answer | {"cost_ms": cost}
    assert "64 x 64 pixels" in run("backbone", "show", "cup").output
    assert relook("backbone", "remove", "cup") == {"project": "cup", "was_removed": True}
    assert relook("backbone", "remove", "cup") == {"project": "cup", "was_removed": False}
    assert relook("backbone", "show", "cup") is None
    assert "has no backbone of its own" in run("backbone", "show", "cup").output


def test_what_is_no_backbone_leaves_no_trace(stack: Cloud, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(anomalib_onnx())
    with pytest.raises(BackboneError, match="pred_label as bool"):
        relook("backbone", "import", "cup", path)
    assert not list(list_projects(stack.registry))
    path.write_bytes(feature_onnx(64))
    with pytest.raises(CommandError, match="cannot name a project"):
        relook("backbone", "import", "a/b", path)


def test_training_without_a_cloud_takes_a_backbone_and_with_one_the_projects(
    stack: Cloud, resnet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def stop_before_training(images: Any, *, backbone: Any, **rest: Any) -> None:
        seen.append(backbone and backbone.side)
        raise TrainingDataError("enough is known")

    monkeypatch.setattr(training, "train", stop_before_training)
    photos = tmp_path / "photos"
    (photos / "normal").mkdir(parents=True)
    (photos / "normal" / "0.png").write_bytes(part_png(0))

    for options in ([], ["--backbone", resnet]):
        with pytest.raises(TrainingDataError):
            relook("train", "cup", photos, "--output", tmp_path / "out", *options)
    assert seen == [None, 64]
    refused = run("train", "cup", photos, "--backbone", resnet)
    assert refused.exit_code == 2
    assert "relook backbone import cup" in " ".join(refused.output.split())


@pytest.mark.parametrize("keeps_weights_outside", [False, True])
def test_an_anomalib_export_inspects_uploads(stack: Cloud, tmp_path: Path, keeps_weights_outside: bool) -> None:
    path = tmp_path / "model.onnx"
    model = anomalib_model(size=None, batch=2, opset=18)
    path.write_bytes(with_outside_weights(model, path) if keeps_weights_outside else model.SerializeToString())

    assert relook("register", "cup", path) == {"model": "cup/1", "is_hosted": True}

    version = describe_model(stack.registry, "cup", "1")
    assert (version.status, version.performance) == (ModelStatus.HOSTED, None)
    messages = [
        stack.upload("cup/good.png", part_png(1000)),
        stack.upload("cup/bad.png", part_png(1001, is_scratched=True)),
    ]
    for message in messages:
        assert stack.deliver(message) == []
    by_image = {record["image_uri"]: record for record in stack.records()}
    good, bad = by_image["s3://images/cup/good.png"], by_image["s3://images/cup/bad.png"]
    assert (good["is_anomalous"], bad["is_anomalous"]) == (False, True)
    assert float(bad["confidence"]) == pytest.approx(0.81, abs=0.02)
    assert "heat_map_uri" in bad and "mask_uri" not in bad


def test_an_export_of_anomalib_1_brings_its_metadata(stack: Cloud, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(anomalib_onnx(major=1))
    with pytest.raises(PackageError, match=r"metadata\.json"):
        relook("register", "cup", path)
    (failed,) = list_models(stack.registry, "cup")
    assert failed.status is ModelStatus.TRAINING_FAILED
    path.with_name("metadata.json").write_bytes(anomalib_metadata())
    assert relook("register", "cup", path, "--no-host") == {"model": "cup/2", "is_hosted": False}


def test_an_export_works_without_a_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.models, "connect", lambda stage: pytest.fail("no cloud is needed"))
    path, image, folder = (tmp_path / name for name in ("model.onnx", "bad.png", "package"))
    path.write_bytes(anomalib_onnx())
    image.write_bytes(part_png(1001, is_scratched=True))
    assert relook("register", "cup", path, "--output", folder)["model"] == str(folder)
    record = relook("detect", folder, image, "--pictures", tmp_path / "pictures")
    assert (record["is_anomalous"], Path(record["overlay"]).exists()) == (True, True)


def test_weights_that_are_nowhere_are_named(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(with_outside_weights(anomalib_model()))
    with pytest.raises(CommandError, match="keeps its weights in another file that cannot be read"):
        relook("register", "cup", path, "--output", tmp_path / "package")
