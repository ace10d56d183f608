"""The `relook` command as a user runs it, against the local cloud."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from relook.registry.projects import describe_project
from tests.integration.conftest import SEGMENTATION, Deployed, Relook, json_lines
from tests.unit.parts import part, part_png

pytestmark = pytest.mark.integration


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Labelled images as a user keeps them."""
    root = tmp_path / "labelled"
    for name in ("normal", "anomaly"):
        (root / name).mkdir(parents=True)
    for i in range(12):
        part(i)[0].save(root / "normal" / f"{i}.png")
    return root


def test_train_drop_and_results(relook: Relook, deployed: Deployed, folder: Path, tmp_path: Path) -> None:
    trained = relook("train", "fromfolder", str(folder), "--json")
    assert trained.returncode == 0, trained.stderr
    (report,) = json_lines(trained.stdout)
    assert (report["model"], report["is_hosted"]) == ("fromfolder/1", True)
    hosted = describe_project(deployed.stack.registry, "fromfolder").hosted
    assert hosted is not None and hosted.version == "1"

    (tmp_path / "good.png").write_bytes(part_png(3010))
    (tmp_path / "bad.png").write_bytes(part_png(3011, is_scratched=True))
    dropped = relook(
        "drop", "fromfolder", "good.png", "bad.png", "--json", "--metadata", "line=2", "--metadata", "operator=Jürgen"
    )
    assert dropped.returncode == 3, dropped.stderr
    good, bad = json_lines(dropped.stdout)
    assert (good["is_anomalous"], bad["is_anomalous"]) == (False, True)
    assert bad["metadata"] == {"line": "2", "operator": "Jürgen"}
    with Image.open(tmp_path / bad["overlay"]) as overlay:
        assert overlay.width == 2 * 160  # the mask, if any, and beside it the heat map

    listed = json_lines(relook("results", "--project", "fromfolder", "--json").stdout)
    assert {record["image_uri"] for record in listed} == {good["image_uri"], bad["image_uri"]}
    anomalous = json_lines(relook("results", "--anomalous", "--project", "fromfolder", "--json").stdout)
    assert [record["image_uri"] for record in anomalous] == [bad["image_uri"]]


def test_a_second_training_takes_over(relook: Relook, deployed: Deployed, folder: Path, tmp_path: Path) -> None:
    """And `drop` waits for its verdict, not for an older one on the same content."""
    (tmp_path / "good.png").write_bytes(part_png(3010))
    (early,) = json_lines(relook("drop", "again", "good.png", "--json").stdout)
    assert early["reason"] == "UNKNOWN_PROJECT"
    for version in ("1", "2"):
        assert relook("train", "again", str(folder)).returncode == 0
        hosted = describe_project(deployed.stack.registry, "again").hosted
        assert hosted is not None and hosted.version == version
        (record,) = json_lines(relook("drop", "again", "good.png", "good.png", "--json").stdout)
        assert record["model_version"] == version


def test_drop_tells_people_in_a_table(relook: Relook, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(part_png(3012, is_scratched=True))
    dropped = relook("drop", SEGMENTATION, "bad.png")
    assert dropped.returncode == 3
    assert "ANOMALOUS" in dropped.stdout
    assert "scratch" in dropped.stdout


def test_names_are_never_taken_for_markup(relook: Relook, deployed: Deployed, tmp_path: Path) -> None:
    (tmp_path / "part [red].png").write_bytes(part_png(3012, is_scratched=True))
    assert "part [red].png" in relook("drop", SEGMENTATION, "part [red].png").stdout
    missing = relook("drop", SEGMENTATION, "missing [/x].png")
    assert (missing.returncode, "missing [/x].png does not exist" in missing.stderr) == (1, True)
    key = f"{SEGMENTATION}/[/nope].png"
    deployed.upload(key, part_png(3012, is_scratched=True))
    deployed.records(key)
    assert key in relook("results", "--project", SEGMENTATION, "--limit", "5").stdout


def test_rejected_images_have_their_exit_code(relook: Relook, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("not an image")
    dropped = relook("drop", SEGMENTATION, "notes.jpg", "--json")
    assert dropped.returncode == 4
    assert json_lines(dropped.stdout)[0]["reason"] == "UNSUPPORTED_FORMAT"


def test_train_and_detect_without_a_cloud(relook: Relook, folder: Path, tmp_path: Path) -> None:
    trained = relook("train", "offline", str(folder), "--output", "model")
    assert trained.returncode == 0, trained.stderr
    (tmp_path / "bad.png").write_bytes(part_png(3013, is_scratched=True))
    (tmp_path / "broken.png").write_bytes(part_png(3013)[:2000])
    answer = relook("detect", "model", "bad.png", "broken.png", "--json")
    assert answer.returncode == 4, answer.stderr
    assert "is not a folder" in relook("detect", "nothing", "bad.png").stderr
    assert "cannot name a project" in relook("drop", "a/b", "bad.png").stderr
    assert "CORRUPT" in relook("detect", "model", "bad.png", "broken.png").stdout
    bad, broken = json_lines(answer.stdout)
    assert bad["is_anomalous"] is True
    assert broken["reason"] == "CORRUPT"
    assert (tmp_path / bad["overlay"]).exists()


def test_events_tail(deployed: Deployed, tmp_path: Path, relook: Relook) -> None:
    from threading import Thread

    stop = False

    def keep_uploading() -> None:
        number = 0
        while not stop and number < 60:
            deployed.upload(f"{SEGMENTATION}/tail/{number}.png", part_png(3014, is_scratched=True))
            number += 1
            import time

            time.sleep(0.5)

    uploading = Thread(target=keep_uploading)
    uploading.start()
    try:
        tailed = relook("events", "tail", "--count", "1", "--json")
    finally:
        stop = True
        uploading.join()
    (event,) = json_lines(tailed.stdout)
    assert (event["source"], event["detail-type"]) == ("relook", "Anomaly Detected")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("drop", SEGMENTATION, "missing.png"), "missing.png does not exist"),
        (("train", SEGMENTATION, "missing"), "missing does not exist"),
        (("detect", "nothing", "missing.png"), "does not exist"),
        (("drop", SEGMENTATION, ".", "--metadata", "x"), "must look like camera=7"),
        (("drop", SEGMENTATION, ".", "--metadata", "Prüfer=7"), "must look like camera=7, with a name of a-z"),
        (("results", "--stage", "prod"), "No AWS region is set"),
    ],
)
def test_errors_are_one_line(relook: Relook, arguments: tuple[str, ...], message: str) -> None:
    failed = relook(*arguments)
    assert failed.returncode == 1
    assert message in failed.stderr
    assert "Traceback" not in failed.stderr
    assert len(failed.stderr.strip().splitlines()) == 1


def test_a_stage_on_one_screen_and_a_sheet_of_a_project(relook: Relook, deployed: Deployed, tmp_path: Path) -> None:
    deployed.upload(f"{SEGMENTATION}/sheet.png", part_png(3013, is_scratched=True), line="2")
    deployed.records(f"{SEGMENTATION}/sheet.png")
    (status,) = json_lines(relook("status", "--json").stdout)
    assert status["outputs"]["ImagesBucket"] == deployed.stack.images.name
    assert status["retention"] == {"records_days": 0, "normal_pictures_days": 0, "anomalous_pictures_days": 0}
    (project,) = (each for each in status["projects"] if each["project"] == SEGMENTATION)
    assert project["hosted_version"] == "1" and project["today"]["anomalous"] >= 1
    written = relook("report", SEGMENTATION, "--from", "8h", "--by", "line", "--output", "shift.html")
    assert written.returncode == 0, written.stderr
    assert "data:image/jpeg;base64," in (tmp_path / "shift.html").read_text("utf-8")


def test_status(relook: Relook) -> None:
    status = relook("local", "status", "--json")
    assert status.returncode == 0
    assert json_lines(status.stdout)[0]["is_running"] is True
