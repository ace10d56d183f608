"""What training and `relook explain` tell people: why a verdict, how sure, and which labels to look at again."""

from __future__ import annotations

import dataclasses
import json
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image, ImageColor
from typer.testing import CliRunner

import cli.main
from cli import offline, output, training
from cli.files import find_images
from cli.output import CommandError, exit_code, print_verdicts
from cli.pictures import explanation, overlay
from cli.stack import Stack
from relook.aws.clients import Clients
from relook.detection.levels import Levels
from relook.detection.model import Model
from relook.detection.package import ModelManifest
from relook.detection.regions import Regions
from relook.detection.result import Anomaly, DetectAnomalyResult, NearestNormal
from relook.detection.view import View
from relook.errors import ResourceNotFoundError
from relook.learning.backbone import weights
from relook.learning.backbone.efficientnet_lite import pretrained
from relook.learning.foreign.anomalib import package_export
from relook.learning.training import TrainedModel
from relook.learning.validation.assessment import suspicious_images
from relook.learning.validation.evaluation import Evaluation, ImageOutcome, TypeMetrics, evaluate
from relook.registry.projects import create_project
from relook.training.report import training_report
from tests.account import Cloud
from tests.unit.foreign import anomalib_onnx, quick_backbone
from tests.unit.parts import (
    OUTDATED,
    SCRATCH_COLOR,
    classification_package,
    labeled_parts,
    outdated_package,
    part,
    part_png,
    png,
    segmentation_package,
)

pytestmark = pytest.mark.slow


def explain(*arguments: object) -> list[dict[str, Any]]:
    """Run the command; the records it printed."""
    result = CliRunner().invoke(cli.main.app, ["explain", *map(str, arguments), "--json"])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return [json.loads(line) for line in result.stdout.splitlines()]


def width_px(record: dict[str, Any]) -> int:
    """Of the picture that explains."""
    with Image.open(record["explanation"]) as sheet:
        return sheet.width


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    segmentation_package().write_folder(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """The normal images that the model was trained on."""
    for image in labeled_parts(16, 0, with_masks=False):
        (tmp_path / "dataset" / image.name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "dataset" / image.name).write_bytes(image.read())
    return tmp_path / "dataset"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "bad.png").write_bytes(part_png(1001, is_scratched=True))
    (tmp_path / "new" / "good.png").write_bytes(part_png(1000))
    return tmp_path / "new"


def test_pictures_show_deep_images_in_the_models_range() -> None:
    grey = np.full((64, 64), 1600, np.uint16)
    deep = png(Image.fromarray(grey))
    assert overlay(deep, None, None, Levels(0, 12)).getpixel((0, 0)) == (100, 100, 100)
    assert overlay(deep, None, None).getpixel((0, 0)) == (128, 128, 128), "by its own, a window about them"


def test_a_verdict_is_explained_from_a_folder(model_folder: Path, dataset: Path, images: Path, tmp_path: Path) -> None:
    (images / "broken.png").write_bytes(b"no image")
    pictures = tmp_path / "pictures"
    bad, broken, good = explain(model_folder, images, "--normals", dataset, "--pictures", pictures)
    assert (bad["is_anomalous"], good["is_anomalous"], broken["status"]) == (True, False, "REJECTED")
    assert bad["anomaly_probability"] == bad["confidence"] >= bad["threshold"] > good["anomaly_probability"]
    assert good["nearest_normal"]["name"] in segmentation_package().manifest.normals
    assert 0 < good["nearest_normal"]["distance"] < bad["nearest_normal"]["distance"]
    width = width_px(bad)
    assert Path(bad["explanation"]) == pictures / "bad.png.explanation.jpg"

    (bad, _, _) = explain(model_folder, images, "--pictures", pictures)
    assert width_px(bad) < width


def test_a_training_image_is_its_own_nearest_normal() -> None:
    result = Model(segmentation_package()).detect(part_png(3))
    assert result.nearest_normal is not None
    assert result.nearest_normal.name == "normal/3.png"
    assert result.nearest_normal.distance == pytest.approx(0, abs=1e-3)


def test_a_foreign_model_has_no_nearest_normal(images: Path, tmp_path: Path) -> None:
    package_export(anomalib_onnx(), project="cup", version="1").write_folder(tmp_path / "model")
    bad, _ = explain(tmp_path / "model", images, "--pictures", tmp_path)
    assert (bad["nearest_normal"], Path(bad["explanation"]).exists()) == (None, True)


def test_a_hosted_model_is_explained(
    hosted: Cloud, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = {"ModelsBucket": "models", "RegistryTable": "registry"}
    monkeypatch.setattr(cli.main, "connect", lambda stage: Stack(outputs, Clients()))
    bad, good = explain("bracket", images, "--pictures", tmp_path)
    assert (bad["is_anomalous"], good["is_anomalous"], bad["model_version"]) == (True, False, "1")
    create_project(hosted.registry, "empty")
    with pytest.raises(CommandError, match="empty has no hosted model version"):
        explain("empty", images)
    with pytest.raises(ResourceNotFoundError):
        explain("nobody", images)


def test_what_cannot_explain_says_why(model_folder: Path, images: Path) -> None:
    with pytest.raises(CommandError, match="neither a folder"):
        explain(images, images)
    with pytest.raises(CommandError, match="give the one the model was trained on"):
        explain(model_folder, images, "--normals", images / "good.png")


@pytest.mark.parametrize("command", ["explain", "detect"])
def test_a_model_of_an_older_relook_asks_to_be_trained_again(
    images: Path, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outdated_package().write_folder(tmp_path / "old")
    monkeypatch.setattr("sys.argv", ["relook", command, str(tmp_path / "old"), str(images)])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        cli.main.run()
    assert ended.value.code == 1
    assert capsys.readouterr().err == f"error: {OUTDATED}\n"


def test_people_get_a_table(model_folder: Path, images: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.main.app, ["explain", str(model_folder), str(images), "--pictures", str(tmp_path)])
    assert result.exit_code == output.EXIT_ANOMALOUS
    for word in ("ANOMALOUS", "(threshold 0.5)", "nearest normal", "good.png.explanation.jpg"):
        assert word in result.stdout


@pytest.mark.parametrize("size", [(160, 120), (64, 1024), (1024, 64)])
def test_the_sheet_names_each_type_in_its_colour(size: tuple[int, int]) -> None:
    image, mask = (each.resize(size, Image.Resampling.NEAREST) for each in part(9, is_scratched=True))
    heat = BytesIO()
    Image.new("P", (8, 8)).save(heat, "PNG")
    anomalies = (Anomaly("background", 0.9, "#FFFFFF"), Anomaly("scratch", 0.1, SCRATCH_COLOR))
    known = NearestNormal("normal/" + "long" * 50 + ".png", 0.5)
    result = DetectAnomalyResult(True, 0.9, 0.9, 0.5, anomalies, png(mask), heat.getvalue(), known)
    sheet = explanation(png(image), result, "9.png", 0.5, part_png(3))
    captions = np.asarray(sheet)[-100:]
    assert (captions == ImageColor.getrgb(SCRATCH_COLOR)).all(axis=2).sum() > 100

    nothing = dataclasses.replace(result, is_anomalous=False, anomalies=anomalies[:1])
    captions = np.asarray(explanation(png(image), nothing, "9.png", 0.5, part_png(3)))[-100:]
    assert not (captions == ImageColor.getrgb(SCRATCH_COLOR)).all(axis=2).any()


def test_what_is_not_looked_at_is_shown_paler() -> None:
    image, result = png(part(9)[0].resize((480, 360))), DetectAnomalyResult(False, 0.9, 0.1)
    whole, left_out = (
        np.asarray(explanation(image, result, "9.png", 0.5, None, view.cut(image)))[116:476, 32:512].mean(axis=2)
        for view in (View.stretched(64, 64), View((120, 160), (40, 30, 80, 60), (64, 64)))
    )
    middle = (slice(100, 260), slice(130, 350))
    np.testing.assert_array_equal(whole[middle], left_out[middle])
    assert (left_out[:80] > whole[:80] + 30).all() and (left_out[:, 380:] > whole[:, 380:] + 30).all()


def test_what_is_ignored_is_marked_on_every_panel() -> None:
    image = png(part(9)[0].resize((480, 360)))
    regions = Regions.from_mask(png(Image.fromarray(np.arange(48)[None].repeat(36, axis=0) < 24)))
    result = DetectAnomalyResult(True, 0.9, 0.9, 0.5, (), png(Image.new("RGB", (480, 360), "white")), None)
    plain, marked = (
        np.asarray(explanation(image, result, "9.png", 0.5, None, view.cut(image)))[116:476].astype(int)
        for view in (View.stretched(64, 64), dataclasses.replace(View.stretched(64, 64), regions=regions))
    )
    assert plain.shape == marked.shape
    for left in (32, 32 + 480 + 24):
        changed = (plain[:, left : left + 480] != marked[:, left : left + 480]).any(axis=2)
        assert changed[:, :240].mean() > 0.95
        assert not changed[:, 243:].any()


def outcome(name: str, is_anomalous: bool, probability: float, oddness: float = 0.0) -> ImageOutcome:
    return ImageOutcome(name, is_anomalous, probability >= 0.5, probability, oddness)


def evaluation(*outcomes: ImageOutcome) -> Evaluation:
    probabilities = np.array([each.anomaly_probability for each in outcomes])
    return evaluate("By hand.", outcomes, probabilities, [TypeMetrics("scratch", 3, 0.8, 0.7, 0.75, 0.6)])


def test_images_that_look_mislabelled_are_named() -> None:
    normals = [outcome(f"normal/{i}.png", False, 0.02 + 0.01 * i) for i in range(10)]
    odd = outcome("normal/odd.png", False, 0.4, oddness=7.5)
    anomalies = [outcome(f"anomaly/{i}.png", True, 0.2 + 0.07 * i) for i in range(10)]
    unseen = [outcome(f"anomaly/unseen{i}.png", True, 0.04 - 0.001 * i) for i in range(7)]
    named = [sentence.split()[0] for sentence in suspicious_images(evaluation(*normals, odd, *anomalies, *unseen))]
    assert named == ["normal/odd.png", *(f"anomaly/unseen{i}.png" for i in (6, 5, 4, 3, 2))]
    assert suspicious_images(evaluation(*normals, *anomalies)) == []


def test_training_tells_what_was_chosen_and_how_good_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    package = segmentation_package()
    checked = evaluation(outcome("normal/0.png", False, 0.1), outcome("anomaly/0.png", True, 0.8))
    report = training.Report("bracket/1", True, training_report(TrainedModel(package, checked, ("Look at [this].",))))
    training.print_report(report)
    printed = capsys.readouterr().out
    for choice in package.manifest.choices:
        assert choice.name in printed and f"{choice.chosen} ({choice.measure}" in printed
    for words in (
        "efficientnet-lite0, SHA-256",
        "AUROC 1.00, AUPR 1.00",
        "off by 15.0% on average",
        "IoU 0.60",
        "Look at [this].",
    ):
        assert words in printed
    fields = json.loads(json.dumps(report.to_json()))
    assert fields["backbone"] == {"name": "efficientnet-lite0", "sha256": weights.SHA256}
    assert [each["name"] for each in fields["choices"]] == [each.name for each in package.manifest.choices]
    assert fields["evaluation"]["calibration_error"] == pytest.approx(0.15)


def test_the_manifest_keeps_the_backbone() -> None:
    manifest = segmentation_package().manifest
    assert manifest.backbone == pretrained().identity
    assert ModelManifest.from_json(manifest.to_json()) == manifest
    assert classification_package().manifest.backbone == quick_backbone().identity
    assert quick_backbone().identity.name == "own"


def test_one_bad_file_costs_no_other_its_verdict(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    good = png(part(2001)[0])
    long = "ü" * 120 + ".png"
    for name, data in {"a.png": good, "b.png": b"GIF89a", long: good, "c.bmp": b"BM" + bytes(60)}.items():
        (folder / name).write_bytes(data)
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    (folder / "notes.txt").write_text("not an image")
    (folder / "d.png").mkdir()
    (tmp_path / "taken").write_text("a file where a folder is wanted")
    missing = tmp_path / "missing.png"
    paths = find_images([folder, missing])
    assert "1 file is not read, for their names are not those of images: notes.txt" in capsys.readouterr().err

    records = offline.detect(model_folder, paths, tmp_path / "pictures")
    by_name = {unquote(record["image_uri"]).rsplit("/", 1)[1]: record for record in records}
    assert {name: record.get("reason") for name, record in by_name.items()} == {
        "a.png": None,
        "b.png": "UNSUPPORTED_FORMAT",
        "c.bmp": "UNSUPPORTED_FORMAT",
        "nowhere.png": "UNREADABLE",
        long: None,
        "missing.png": "UNREADABLE",
    }
    assert "Save it as PNG" in by_name["c.bmp"]["message"]
    assert exit_code(records) == 4
    for name in ("a.png", long):
        assert Path(by_name[name]["overlay"]).is_file()

    (record,) = offline.detect(model_folder, [folder / "a.png"], tmp_path / "taken")
    assert record["status"] == "INSPECTED" and "overlay" not in record
    assert "could not be written" in capsys.readouterr().err
    print_verdicts(records)
    with pytest.raises(CommandError, match="does not exist"):
        find_images([missing])
