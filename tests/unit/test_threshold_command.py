"""`relook threshold` and `relook history`: what a choice would have done, asked before it is taken, and who took it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import cli.main
import cli.quality
from cli import threshold
from cli.stack import Stack
from relook.aws.bucket import Bucket
from relook.aws.clients import Clients
from relook.learning.validation.evaluation import ImageOutcome, evaluate
from relook.quality.thresholds import Band, Outcome, borderline_band
from relook.registry.datasets import StoredEntry
from relook.registry.hosting import finish_hosting, start_hosting
from relook.registry.manifest_entry import ManifestEntry
from relook.registry.model_version import EvaluationFiles, OutputPlace
from relook.registry.models import describe_model
from relook.registry.packages import save_package
from relook.registry.projects import create_project, describe_project
from relook.registry.thresholds import list_thresholds
from relook.registry.trainings import create_model, finish_training
from relook.training.evaluation import evaluation_manifest, read_outcomes
from tests.account import Cloud
from tests.unit.parts import WHO, classification_package

NORMALS, ANOMALIES = 40, 20
OUTCOMES = [
    *(ImageOutcome(f"s3://line/normal/{i}.png", False, i / 64 >= 0.5, i / 64, 0.0) for i in range(NORMALS)),
    *(ImageOutcome(f"s3://line/anomaly/{i}.png", True, i >= 6, (8 + i) / 28, 0.0) for i in range(ANOMALIES)),
]


def manifest() -> bytes:
    """As a training writes it."""
    evaluation = evaluate("By hand.", OUTCOMES, np.array([each.anomaly_probability for each in OUTCOMES]), [])
    now = datetime.now(UTC)
    entries = [StoredEntry("", now, ManifestEntry(each.name, each.is_anomalous)) for each in OUTCOMES]
    return evaluation_manifest(evaluation, entries, "arn", "bracket", "1", now)


@pytest.fixture
def line(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """Version 1 of `bracket` is hosted and evaluated."""
    create_project(cloud.registry, "bracket")
    create_model(cloud.registry, "bracket", output=OutputPlace("results", "evaluations/"))
    sha256 = save_package(Bucket(cloud.s3, "models"), "bracket", "1", classification_package())
    files = EvaluationFiles("evaluations/manifest.json", "evaluations/result.json", "evaluations/report.json")
    cloud.s3.put_object(Bucket="results", Key=files.manifest_key, Body=manifest())
    finish_training(cloud.registry, "bracket", "1", sha256, None, "Trained.", evaluation=files)
    start_hosting(cloud.registry, "bracket", "1")
    finish_hosting(cloud.registry, "bracket", "1", who=WHO)
    outputs = {"RegistryTable": "registry", "ModelsBucket": "models", "EventBus": "relook"}
    monkeypatch.setattr(cli.quality, "connect", lambda stage: Stack(outputs, Clients()))
    return cloud


def relook(*arguments: str, types: str = "") -> Any:
    return CliRunner().invoke(cli.main.app, list(arguments), input=types)


def answered(*arguments: str) -> dict[str, Any]:
    result = relook(*arguments, "--json")
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_the_evaluation_s_manifest_gives_the_probabilities_back() -> None:
    read = read_outcomes(manifest())
    assert [(each.name, each.is_anomalous) for each in read] == [(each.name, each.is_anomalous) for each in OUTCOMES]
    assert [each.anomaly_probability for each in read] == pytest.approx(
        [e.anomaly_probability for e in OUTCOMES], abs=1e-7
    )


def test_a_value_is_shown_with_what_it_does_and_taken(line: Cloud) -> None:
    document = answered("threshold", "bracket", "--value", "0.375", "--yes")
    before, after = document["before"], document["after"]
    assert (before["threshold"], after["threshold"]) == (0.5, 0.375)
    assert (before["true_positives"], before["false_positives"]) == (14, 8)  # 14 / 28 and 32 / 64 are the first
    assert (after["true_positives"], after["false_positives"]) == (17, 16)  # 11 / 28 and 24 / 64
    assert after["recall"] == {"hits": 17, "total": 20, "share": 0.85, "low": pytest.approx(0.64, abs=0.01),
                               "high": pytest.approx(0.948, abs=0.001)}  # fmt: skip
    changed = [each["name"] for each in document["changed"]]
    assert len(changed) == 11 and changed[0] == "s3://line/normal/24.png"
    assert {f"s3://line/anomaly/{i}.png" for i in (3, 4, 5)} <= set(changed)
    assert document["is_taken"] is True

    hosted = describe_project(line.registry, "bracket").hosted
    assert hosted and hosted.threshold == 0.375
    expected = borderline_band([Outcome(e.name, e.is_anomalous, e.anomaly_probability) for e in OUTCOMES], 0.375)
    assert hosted.borderline == Band(pytest.approx(expected.low), pytest.approx(expected.high))  # type: ignore[arg-type]
    (event,) = line.published()
    assert event["detail"]["after"] == {"threshold": 0.375, "how": "value 0.375"}
    assert event["detail"]["changed_by"].startswith("arn:aws:")


def test_people_see_rates_and_images_and_are_asked(line: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = relook("threshold", "bracket", "--value", "0.45")
    assert refused.exit_code == 1 and "add --yes" in str(refused.exception)
    assert list_thresholds(line.registry, "bracket", "1") == ()

    for answer, is_taken in (("n\n", False), ("y\n", True)):
        monkeypatch.setattr(threshold, "is_terminal", lambda: True)
        asked = relook("threshold", "bracket", "--value", "0.45", types=answer)
        assert asked.exit_code == 0, asked.output
        assert "75.0%, 15 of 20" in asked.stdout and "labelled anomaly" in asked.stdout
        assert bool(list_thresholds(line.registry, "bracket", "1")) is is_taken


def test_shares_choose_and_are_remembered(line: Cloud) -> None:
    recall = answered("threshold", "bracket", "--recall", "90%", "--yes")
    assert recall["after"]["recall"]["hits"] == 18
    alarms = answered("threshold", "bracket", "--false-alarms", "5%", "--yes")
    assert alarms["after"]["false_alarm_rate"]["share"] <= 0.05
    assert alarms["before"]["threshold"] == recall["after"]["threshold"]
    assert [each.how for each in list_thresholds(line.registry, "bracket", "1")] == ["false alarms 5%", "recall 90%"]
    shown = answered("threshold", "bracket", "--show")
    assert [each["how"] for each in shown["choices"]] == [
        "false alarms 5% (in force)", "recall 90%", "as it was trained", "false alarms 1%", "recall 99%",
    ]  # fmt: skip
    assert "false alarms 5% (in force)" in relook("threshold", "bracket").stdout


def test_it_can_be_revoked_step_by_step(line: Cloud) -> None:
    answered("threshold", "bracket", "--value", "0.25", "--yes")
    answered("threshold", "bracket", "--value", "0.75", "--yes")
    back = answered("threshold", "bracket", "--revoke", "--yes")
    assert (back["before"]["threshold"], back["after"]["threshold"]) == (0.75, 0.25)
    assert answered("threshold", "bracket", "--revoke", "--yes")["after"]["threshold"] == 0.5
    assert describe_model(line.registry, "bracket", "1").threshold is None
    nothing = relook("threshold", "bracket", "--revoke", "--yes")
    assert "judges by its own threshold, 0.5" in str(nothing.exception)

    entries = [json.loads(text) for text in relook("history", "bracket", "--json").stdout.splitlines()]
    assert [each["what"] for each in entries] == ["Threshold Changed"] * 4 + ["Model Hosted"]
    assert "after" not in entries[0]
    table = relook("history", "bracket").stdout
    assert "threshold 0.75, how value 0.75" in table and "model_version 1" in table


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--value", "1.5"], "lies between 0 and 1"),
        (["--value", "0.5", "--recall", "99%"], "Give one of"),
        (["--recall", "often"], "is no share"),
        (["--model-version", "7"], "bracket/7"),
    ],
)
def test_what_makes_no_sense_is_said(line: Cloud, arguments: list[str], says: str) -> None:
    result = relook("threshold", "bracket", *arguments, "--yes")
    assert result.exit_code != 0
    assert says in result.output + str(result.exception)


def test_a_version_that_was_not_evaluated_takes_a_value_alone(line: Cloud) -> None:
    create_model(line.registry, "bracket")
    sha256 = save_package(Bucket(line.s3, "models"), "bracket", "2", classification_package())
    finish_training(line.registry, "bracket", "2", sha256, None, "Registered.")
    asked = relook("threshold", "bracket", "--model-version", "2", "--recall", "99%", "--yes")
    assert "was not evaluated" in str(asked.exception)
    assert answered("threshold", "bracket", "--model-version", "2", "--value", "0.7", "--yes")["changed"] == []
    assert describe_model(line.registry, "bracket", "2").threshold == pytest.approx(0.7)
