"""From a verdict to a better model: reviews, a dataset that grows, a candidate, and which version inspects."""

from __future__ import annotations

from pathlib import Path

import pytest

from relook.aws.table import Update
from relook.registry.history import list_history
from relook.registry.inspections import RecordId
from relook.registry.projects import describe_project
from relook.registry.reviews import waiting
from tests.integration.conftest import Deployed, Relook, json_lines
from tests.unit.parts import part, part_png

pytestmark = pytest.mark.integration

PROJECT = "reviewed"


def test_reviews_retrain_a_model_that_is_compared_and_hosted(
    relook: Relook, deployed: Deployed, tmp_path: Path
) -> None:
    stack = deployed.stack
    (tmp_path / "labelled" / "normal").mkdir(parents=True)
    for i in range(12):
        part(i)[0].save(tmp_path / "labelled" / "normal" / f"{i}.png")
    trained = relook("train", PROJECT, "labelled")
    assert trained.returncode == 0, trained.stderr
    (tmp_path / "good.png").write_bytes(part_png(3010))
    (tmp_path / "bad.png").write_bytes(part_png(3011, is_scratched=True))
    good, bad = json_lines(relook("drop", PROJECT, "good.png", "bad.png", "--json").stdout)

    # As the borderline ones wait by themselves: neither of these two is one.
    unsure = {"anomaly_probability": 0.45, "threshold": 0.5}
    stack.inspections.update(Update(RecordId.of(good).key, waiting(good | unsure)))
    (case,) = json_lines(relook("review", PROJECT, "--json").stdout)
    assert case["image_uri"] == good["image_uri"]
    asked = relook("review", PROJECT, typed="w\nscratch\nfaint\ny\n")
    assert asked.returncode == 0, asked.stderr
    assert "1 images: 0 right, 1 wrong, 0 unsure" in asked.stdout
    assert (tmp_path / "relook-pictures" / PROJECT / "good.png.overlay.jpg").exists()
    assert relook("review", PROJECT, "--json").stdout == ""

    (said,) = json_lines(relook("review", PROJECT, bad["image_uri"], "--right", "--add", "train", "--json").stdout)
    assert (said["review"], said["dataset_entry"]["dataset"]) == ("right", "train")
    (left,) = json_lines(relook("review", PROJECT, bad["image_uri"], "--leave", "--json").stdout)
    assert "dataset_entry" not in left
    described = stack.lookout.describe_dataset(ProjectName=PROJECT, DatasetType="train")["DatasetDescription"]
    assert described["ImageStats"] == {"Total": 14, "Labeled": 13, "Normal": 12, "Anomaly": 1}

    retrained = relook("retrain", PROJECT, "--json")
    assert retrained.returncode == 0, retrained.stderr
    (report,) = json_lines(retrained.stdout)
    assert (report["model"], report["is_hosted"]) == (f"{PROJECT}/2", False)
    assert (report["comparison"]["hosted"], report["comparison"]["candidate"]) == ("1", "2")
    assert "12 are of both trainings" in report["comparison"]["judged_on"]
    confusion = report["comparison"]["verdicts"]["candidate"]["confusion"]
    assert sum(confusion.values()) == 13

    for version in ("2", "1"):
        assert relook("host", PROJECT, version).returncode == 0
        hosted = describe_project(stack.registry, PROJECT).hosted
        assert hosted is not None and hosted.version == version
    told = [str(entry.what) for entry in list_history(stack.registry, PROJECT)]
    assert (told.count("Inspection Reviewed"), told.count("Dataset Changed")) == (2, 3)
    assert {entry.who for entry in list_history(stack.registry, PROJECT) if entry.what == "Inspection Reviewed"} == {
        stack.clients.caller
    }


def test_what_makes_no_sense_is_said_in_a_line(relook: Relook) -> None:
    for arguments, message in (
        (("review", PROJECT, "nothing.png", "--right"), "was not inspected for"),
        (("review", PROJECT, "nothing.png", "--right", "--unsure"), "Say one of"),
        (("review", PROJECT, "nothing.png", "--note", "x"), "--note and --add go with"),
        (("host", "nothing-at-all", "1"), "does not exist"),
        (("retrain", "nothing-at-all"), "does not exist"),
    ):
        failed = relook(*arguments)
        assert failed.returncode == 1, arguments
        assert message in failed.stderr
        assert len(failed.stderr.strip().splitlines()) == 1
