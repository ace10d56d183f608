"""The parts of the `relook` command that need no cloud."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cli import training
from cli.datasets import read_dataset
from cli.files import short_names
from cli.main import app
from cli.output import CommandError, exit_code
from cli.pictures import overlay
from cli.training import Report
from relook.detection.regions import Regions
from relook.quality.rates import percent
from tests.unit.parts import SCRATCH_COLOR, part, png

NORMAL: dict[str, Any] = {"status": "INSPECTED", "is_anomalous": False}
ANOMALOUS: dict[str, Any] = {"status": "INSPECTED", "is_anomalous": True}
REJECTED: dict[str, Any] = {"status": "REJECTED"}
LINE = "#656D76"


def no_s3() -> Any:
    raise AssertionError("S3 is not needed for local files")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("normal", "anomaly", "masks"):
        (tmp_path / name).mkdir()
    for i in range(3):
        part(i)[0].save(tmp_path / "normal" / f"{i}.png")
    picture, mask = part(9, is_scratched=True)
    picture.save(tmp_path / "anomaly" / "9.JPG", "JPEG")
    mask.save(tmp_path / "masks" / "9.png")
    (tmp_path / "masks" / "colors.json").write_text(json.dumps({"scratch": SCRATCH_COLOR}))
    picture.save(tmp_path / "anomaly" / "unmasked.png")
    return tmp_path


def test_a_folder_is_read(folder: Path) -> None:
    images = read_dataset(folder, no_s3)
    assert [(image.name, image.is_anomalous, image.read_mask is not None) for image in images] == [
        ("normal/0.png", False, False),
        ("normal/1.png", False, False),
        ("normal/2.png", False, False),
        ("anomaly/9.JPG", True, True),
        ("anomaly/unmasked.png", True, False),
    ]
    assert images[3].colors == {"scratch": SCRATCH_COLOR}
    assert images[0].read() == (folder / "normal" / "0.png").read_bytes()


def test_a_manifest_beside_its_images_is_read(folder: Path) -> None:
    def line(path: str, label: str, **rest: Any) -> str:
        return json.dumps({"source-ref": path, "l": 0, "l-metadata": {"class-name": label}, **rest})

    mask = {
        "m-ref": "masks/9.png",
        "m-ref-metadata": {"internal-color-map": {"0": {"class-name": "scratch", "hex-color": SCRATCH_COLOR}}},
    }
    manifest = folder / "train.manifest"
    lines = [line("normal/0.png", "normal"), line("anomaly/9.JPG", "anomaly", **mask), line("x.png", "unsure")]
    manifest.write_text("\n".join(lines))
    normal, anomalous = read_dataset(manifest, no_s3)
    assert (normal.is_anomalous, anomalous.is_anomalous) == (False, True)
    assert anomalous.read_mask is not None
    assert anomalous.read_mask() == (folder / "masks" / "9.png").read_bytes()
    assert anomalous.colors == {"scratch": SCRATCH_COLOR}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, r"has no folders, none of normal images; name them normal/ \(or good"),
        ({"normal/a.gif": b""}, "normal has no images in PNG, JPEG, BMP or TIFF"),
        ({"normal/a.png": b"", "anomaly/b.png": b"", "masks/b.png": b"", "masks/colors.json": b"[]"}, "must look like"),
        ({"m": b"{}\n{"}, "has 2 of 2 lines that cannot be used: line 1: source-ref is missing; line 2: not JSON"),
        ({"m": b"\xff\xfe"}, "not UTF-8"),
        ({"m": b""}, "labels no image"),
    ],
    ids=["empty", "no images", "colors", "bad lines", "binary", "nothing"],
)
def test_what_cannot_be_read_says_why(tmp_path: Path, content: dict[str, bytes], message: str) -> None:
    for name, data in content.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    with pytest.raises(CommandError, match=message):
        read_dataset(tmp_path / "m" if "m" in content else tmp_path, no_s3)


def test_files_of_one_name_keep_apart() -> None:
    paths = [Path("/a/left/1.png"), Path("/a/right/1.png")]
    assert short_names(paths) == ["left/1.png", "right/1.png"]
    assert short_names(paths[:1]) == ["1.png"]


@pytest.mark.parametrize(
    ("records", "code"),
    [([NORMAL], 0), ([NORMAL, ANOMALOUS], 3), ([ANOMALOUS, REJECTED], 4), ([], 0)],
)
def test_exit_codes(records: list[dict[str, Any]], code: int) -> None:
    assert exit_code(records) == code


@pytest.mark.parametrize(
    ("share", "text"), [(0.0123, "1.23%"), (0.0004, "0.04%"), (0.00002, "0.002%"), (0.0, "0%"), (1.0, "100.00%")]
)
def test_small_shares_do_not_look_like_nothing(share: float, text: str) -> None:
    assert percent(share) == text


def test_the_overlay_paints_what_was_found_and_leaves_the_rest() -> None:
    image, mask = part(9, is_scratched=True)
    painted = np.asarray(overlay(png(image), png(mask), None)).astype(int)
    before, where = np.asarray(image).astype(int), (np.asarray(mask) != 255).any(axis=2)
    assert (painted[where] != before[where]).any(axis=1).mean() > 0.9
    # Beyond the line that is drawn around each area, nothing changes.
    grown = np.asarray(Image.fromarray(where).resize(image.size))
    for shift in range(-3, 4):
        grown = grown | np.roll(where, shift, axis=0)
    assert (painted[~grown] == before[~grown]).all()


def test_the_overlay_hatches_what_is_ignored_on_every_panel() -> None:
    image, mask = part(9)
    regions = Regions.from_mask(png(Image.fromarray(np.arange(160)[None].repeat(120, axis=0) < 60)))
    heat = png(Image.new("RGB", (64, 48)))
    plain = np.asarray(overlay(png(image), png(mask), heat)).astype(int)
    marked = np.asarray(overlay(png(image), png(mask), heat, regions=regions)).astype(int)
    assert marked.shape == plain.shape == (120, 320, 3)
    for left in (0, 160):
        before, after = plain[:, left : left + 160], marked[:, left : left + 160]
        assert (after[:, 63:] == before[:, 63:]).all()
        changed = (after != before).any(axis=2)
        assert changed[:, :60].mean() > 0.95
        lines = (after[:, :60] == tuple(bytes.fromhex(LINE[1:]))).all(axis=2)
        assert 0.1 < lines.mean() < 0.3, "hatched"
        assert (after[:, 60:62] == tuple(bytes.fromhex(LINE[1:]))).all(), "with a line around it"


def test_the_overlay_has_the_heat_map_beside_the_image() -> None:
    image, mask = part(9, is_scratched=True)
    stream = BytesIO()
    Image.new("RGB", (64, 48), "red").save(stream, "PNG")
    assert overlay(png(image), png(mask), stream.getvalue()).size == (2 * image.width, image.height)


def test_training_without_a_cloud_ignores_what_a_png_says(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Regions | None] = []

    def train_to_folder(*_: Any, regions: Regions | None, **__: Any) -> Report:
        given.append(regions)
        return Report("cup-model", False, {"notes": []})

    monkeypatch.setattr(training, "train_to_folder", train_to_folder)
    painted = png(Image.fromarray(np.arange(160)[None].repeat(120, axis=0) < 60))
    (tmp_path / "mask.png").write_bytes(painted)
    arguments = ["train", "cup", str(folder), "--json", "--regions", str(tmp_path / "mask.png")]
    assert CliRunner().invoke(app, [*arguments, "--output", str(tmp_path / "model")]).exit_code == 0
    assert given == [Regions.from_mask(painted)]
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 2
    assert "relook regions cup" in refused.output
