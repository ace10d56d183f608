"""The asset: built from what is pinned, the same each time, small enough, and complete by itself."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from infra import asset as asset_module
from infra.asset import Asset, AssetError, Contents, build_asset
from infra.config import Stage, StageConfig
from relook.learning.backbone import weights
from relook.settings import DetectorKind, InspectImageSettings, TrainModelSettings
from tests.infra.conftest import CONTEXT, ROOT

pytestmark = pytest.mark.slow

LOCAL = StageConfig.from_context({**CONTEXT, "stage": "local"}.get)
CLOUD = StageConfig(stage=Stage.DEV)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Sources of a function that needs nothing but itself."""
    folder = tmp_path / "functions"
    for name, text in {
        "requirements.txt": "# nothing\n",
        "training-requirements.txt": "-r requirements.txt\n",
        "inspect_image.py": "from relook.word import WORD\n",
        "relook/__init__.py": "",
        "relook/word.py": "WORD = 'anomaly'\n",
        "relook/lookout/models/service-2.json": "{}\n",
        "relook/__pycache__/word.cpython-38.pyc": "old",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def names(asset: Asset) -> set[str]:
    with zipfile.ZipFile(asset.path) as file:
        return set(file.namelist())


def test_an_asset_holds_code_and_data_files_but_nobody_s_old_bytecode(sources: Path, tmp_path: Path) -> None:
    packed = names(build_asset(CLOUD, sources=sources, build=tmp_path / "build"))
    assert {name for name in packed if "__pycache__" not in name} == {
        "inspect_image.py",
        "relook/__init__.py",
        "relook/word.py",
        "relook/lookout/models/service-2.json",
    }
    assert not any("cpython-38" in name for name in packed)


def test_bytecode_is_added_when_the_runtime_is_the_one_that_builds(sources: Path, tmp_path: Path) -> None:
    tag = sys.implementation.cache_tag
    asset = build_asset(LOCAL, sources=sources, build=tmp_path / "build")
    assert f"relook/__pycache__/word.{tag}.pyc" in names(asset)
    with zipfile.ZipFile(asset.path) as file:
        flags = file.read(f"relook/__pycache__/word.{tag}.pyc")[4:8]
    assert flags == b"\x01\x00\x00\x00"  # by hash, unchecked (PEP 552): unzipping changes the files' times


def test_the_same_sources_give_the_same_bytes(sources: Path, tmp_path: Path) -> None:
    first = build_asset(LOCAL, sources=sources, build=tmp_path / "one")
    second = build_asset(LOCAL, sources=sources, build=tmp_path / "two")
    assert first.hash == second.hash
    assert first.path.read_bytes() == second.path.read_bytes()
    with zipfile.ZipFile(first.path) as file:
        assert {entry.date_time for entry in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}  # no clock


def test_a_changed_source_or_target_is_another_asset_and_an_older_one_is_removed(sources: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    first, cloud = (build_asset(config, sources=sources, build=build) for config in (LOCAL, CLOUD))
    (sources / "relook" / "word.py").write_text("WORD = 'mask'\n")
    second = build_asset(LOCAL, sources=sources, build=build)
    assert len({first.hash, cloud.hash, second.hash}) == 3
    assert sorted(build.glob("functions-*")) == sorted([cloud.path, second.path])


def test_dependencies_are_installed_once(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_asset(LOCAL, sources=sources, build=tmp_path)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("pip was asked again"))
    (sources / "relook" / "word.py").write_text("WORD = 'mask'\n")
    build_asset(LOCAL, sources=sources, build=tmp_path)


def test_the_training_asset_follows_the_lock_file_that_it_includes(sources: Path, tmp_path: Path) -> None:
    first, functions = (
        build_asset(LOCAL, contents, sources=sources, build=tmp_path) for contents in reversed(Contents)
    )
    assert first.path.exists() and functions.path.exists()
    (sources / "requirements.txt").write_text("# still nothing\n")
    second = build_asset(LOCAL, Contents.TRAINING, sources=sources, build=tmp_path)
    assert len({first.hash, second.hash, functions.hash}) == 3


def test_dependencies_that_cannot_be_installed_are_one_clear_error(sources: Path, tmp_path: Path) -> None:
    (sources / "requirements.txt").write_text("not a requirement\n")
    with pytest.raises(AssetError, match=r"cannot install requirements.txt for python3.13 on arm64: ERROR: Invalid"):
        build_asset(CLOUD, sources=sources, build=tmp_path / "build")
    assert list((tmp_path / "build").iterdir()) == []


def test_an_asset_above_the_limit_is_refused(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asset_module, "SIZE_LIMIT_MB", 0)
    with pytest.raises(AssetError, match="above the limit of 0 MB"):
        build_asset(CLOUD, sources=sources, build=tmp_path / "build")


@pytest.mark.parametrize("config", [LOCAL, CLOUD], ids=["local", "cloud"])
def test_the_real_asset_is_small_and_ships_nothing_for_training(config: StageConfig) -> None:
    asset = build_asset(config)
    assert 50 < asset.size_mb < 200
    folders = {name.partition("/")[0] for name in names(asset)}
    assert {"relook", "onnxruntime", "numpy", "PIL", "boto3", "aws_lambda_powertools", "aws_xray_sdk"} <= folders
    assert not folders & {"onnx", weights.PACKAGE, "scipy", "aws_cdk", "moto", "pip", "tests"}


@pytest.mark.parametrize("config", [LOCAL, CLOUD], ids=["local", "cloud"])
def test_the_real_training_asset_writes_onnx_has_the_backbone_and_is_small_enough(config: StageConfig) -> None:
    asset = build_asset(config, Contents.TRAINING)
    assert asset.size_mb < 200
    packed = names(asset)
    folders = {name.partition("/")[0] for name in packed}
    assert {"relook", "train_model.py", "onnx", "ml_dtypes", "onnxruntime", "boto3"} <= folders
    assert f"{weights.PACKAGE}/{weights.FILE}" in packed
    assert not folders & {"torch", "scipy", "aws_cdk", "moto", "pip", "tests"}
    assert not any(name.startswith("onnx/backend/test/") for name in packed)


@pytest.mark.parametrize("contents", Contents)
def test_the_cloud_s_assets_hold_that_processor_s_machine_code_only(contents: Contents) -> None:
    with zipfile.ZipFile(build_asset(CLOUD, contents).path) as file:
        libraries = [name for name in file.namelist() if ".so" in Path(name).name]
        # ELF header, e_machine: 183 is AArch64.
        machines = {int.from_bytes(file.open(name).read(20)[18:20], "little") for name in libraries}
    assert machines == {183}
    assert all("cpython-313-aarch64" in name for name in libraries if "cpython-" in name)


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("task")
    with zipfile.ZipFile(build_asset(LOCAL).path) as file:
        file.extractall(folder)
    return folder


ISOLATED = """
import os, sys
task = sys.argv[1]
sys.path.insert(0, task)
import inspect_image
inspect_image.pipeline()
inside = (task + os.sep, os.path.dirname(os.__file__) + os.sep)
files = [module.__file__ for module in sys.modules.values() if getattr(module, "__file__", None)]
assert files, "nothing was imported"
print([file for file in files if not file.startswith(inside)])
"""


@pytest.mark.skipif(not (ROOT / "functions" / "inspect_image.py").exists(), reason="the function is not written yet")
@pytest.mark.parametrize("detector", DetectorKind)
def test_the_function_starts_from_the_asset_alone(unpacked: Path, detector: DetectorKind) -> None:
    settings = InspectImageSettings(
        results_bucket="results",
        models_bucket="models",
        inspections_table="inspections",
        registry_table="registry",
        idempotency_table="idempotency",
        event_bus="bus",
        detector=detector,
        remote_endpoint="" if detector is DetectorKind.HOSTED else "https://inspect.example.com",
    )
    started = subprocess.run(
        # Isolated, and without site-packages: a dependency missing in the asset cannot be found elsewhere.
        [sys.executable, "-I", "-S", "-c", ISOLATED, str(unpacked)],
        env={**settings.to_env(), "AWS_DEFAULT_REGION": "eu-west-1", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert started.stderr == ""
    assert started.stdout == "[]\n"


TRAINING_ALONE = """
import os, sys
task = sys.argv[1]
sys.path.insert(0, task)
import train_model
train_model.trainer()
from relook.learning import training
from relook.learning.backbone.efficientnet_lite import pretrained
from relook.learning.backbone.imported import ImportedBackbone
from relook.learning.estimators.looks import FeatureExtractor
from relook.learning.extraction import features_session
from relook.training import evaluation, labeled_objects
import onnx.checker, onnx.compose, onnx.helper, onnx.inliner, onnx.numpy_helper
features_session(FeatureExtractor(pretrained(), (64, 64), 1))
inside = (task + os.sep, os.path.dirname(os.__file__) + os.sep)
files = [module.__file__ for module in sys.modules.values() if getattr(module, "__file__", None)]
assert any(file.startswith(os.path.join(task, "onnx", "")) for file in files), "onnx was not imported"
print([file for file in files if not file.startswith(inside)])
"""


def test_the_training_function_starts_from_its_asset_alone(tmp_path: Path) -> None:
    with zipfile.ZipFile(build_asset(LOCAL, Contents.TRAINING).path) as file:
        file.extractall(tmp_path)
    settings = TrainModelSettings(
        registry_table="registry", models_bucket="models", datasets_bucket="datasets", event_bus="bus"
    )
    started = subprocess.run(
        [sys.executable, "-I", "-S", "-c", TRAINING_ALONE, str(tmp_path)],
        env={**settings.to_env(), "AWS_DEFAULT_REGION": "eu-west-1", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert started.stderr == ""
    assert started.stdout == "[]\n"
