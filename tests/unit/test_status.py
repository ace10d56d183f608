"""`relook status`: a stage on one screen, over tables in process."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner

import cli.main
import cli.quality
from cli import checks, status
from cli.stack import Stack
from relook.aws.clients import Clients
from relook.aws.table import Update
from relook.errors import AwsAccessDeniedError
from relook.registry.projects import create_project, list_projects, project_key
from relook.registry.reviews import waiting
from tests.account import Cloud
from tests.unit.parts import hosted_package
from tests.unit.test_watch_quality import package, record

OUTPUTS = {
    "RegistryTable": "registry",
    "InspectionsTable": "inspections",
    "ImagesBucket": "line-images",
    "ResultsBucket": "line-results",
    "ModelsBucket": "models",
    "EventBus": "relook",
    "LookoutEndpoint": "https://lookout.example/",
    "KeepNormalPicturesDays": "30",
}


@pytest.fixture
def stack(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """`bracket` with 110 dark images, a missed check and two open reviews; `empty` with nothing."""
    stack = Stack(OUTPUTS, Clients())
    hosted_package(cloud.registry, cloud.s3, "bracket", package())
    create_project(cloud.registry, "empty")
    now = datetime.now(UTC)
    for number in range(110):
        item = record(number, now - timedelta(milliseconds=number), brightness=-3.0, is_anomalous=number < 11)
        if number < 2:
            near = {"anomaly_probability": 0.49, "threshold": 0.5, "inspection_id": f"{number:032x}"}
            item |= waiting({**item, **near})
        cloud.inspections.put(item)
    golden = {"expected": "normal", "is_expected_met": False, "checked_project": "bracket"}
    cloud.inspections.put(record(200, now, **golden))
    checks.ask(stack, "bracket", timedelta(hours=8))
    regions = {"key": "k", "share": 0.25, "who": "arn", "at": now.isoformat()}
    cloud.registry.update(Update(project_key("bracket"), {"regions": regions}))
    monkeypatch.setattr(cli.quality, "connect", lambda stage: stack)
    return stack


def run(*arguments: str) -> str:
    result = CliRunner().invoke(cli.main.app, ["status", "--stage", "dev", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def alarm(name: str, state: str) -> None:
    cloudwatch = boto3.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        AlarmDescription="Remove the cause.",
        MetricName="Errors",
        Namespace="Relook",
        Statistic="Sum",
        Period=300,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
    )
    cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="tested")


def test_a_stage_on_one_screen(stack: Stack) -> None:
    lines = [line.split() for line in run().splitlines()]
    assert ["stage", "dev"] in lines
    assert ["images", "s3://line-images"] in lines
    assert ["endpoint", "https://lookout.example/"] in lines
    (kept,) = (line for line in lines if line[0] == "kept")
    assert " ".join(kept[1:]) == "records for good; pictures of normal images 30 days, of anomalous ones for good"
    assert ["alarms", "none", "ringing"] in lines
    (bracket,) = (line for line in lines if line[0] == "bracket")
    expected = "bracket 1 0.5 110 11, 10.0% (5.7% to 17.0%) 0 2 MISSED, every 8h DRIFT, brightness 25.00%"
    assert " ".join(bracket) == expected
    (empty,) = (line for line in lines if line[0] == "empty")
    assert empty == ["empty", "none", "hosted", "-", "0", "-", "0", "0", "-", "-", "-"]
    assert len(lines) <= 24


def test_scripts_get_the_same_numbers_as_the_console_s_page(stack: Stack) -> None:
    told = json.loads(run("--json"))
    assert told["retention"] == {"records_days": 0, "normal_pictures_days": 30, "anomalous_pictures_days": 0}
    assert told["outputs"]["ImagesBucket"] == "line-images"
    assert told["alarms"] == {}
    for project, each in zip(list_projects(stack.registry), told["projects"], strict=True):
        page = status.standing(stack, project)
        assert each["project"] == project.name
        today = {name: each["today"][name] for name in ("inspected", "anomalous", "rejected", "is_more")}
        assert today == {
            "inspected": page.today.inspected,
            "anomalous": page.today.anomalous,
            "rejected": page.today.rejected,
            "is_more": page.is_more,
        }
        assert each["open_reviews"] == page.open_reviews
        assert each["checks"]["every_s"] == (8 * 3600 if project.name == "bracket" else None)
        assert (each["drift"] is None) == (page.watched.drift is None)
    assert told["projects"][0]["drift"]["statistics"]["brightness"]["reading"] == "DRIFT"
    assert (told["projects"][0]["threshold"], told["projects"][0]["ignored_share"]) == (0.5, 0.25)


def test_a_moved_threshold_is_the_one_that_is_shown(stack: Stack) -> None:
    item = stack.registry.get(project_key("bracket")) or {}
    stack.registry.update(Update(project_key("bracket"), {"hosted": {**item["hosted"], "threshold": 0.25}}))
    assert json.loads(run("--json"))["projects"][0]["threshold"] == 0.25


def test_alarms_of_this_stage_that_ring_say_what_to_do(stack: Stack) -> None:
    for name, state in (("Relook-dev-A", "ALARM"), ("Relook-dev-B", "OK"), ("Relook-prod-A", "ALARM")):
        alarm(name, state)
    text = run()
    assert "1 ringing" in text
    assert "Relook-dev-A Remove the cause." in text
    assert json.loads(run("--json"))["alarms"] == {"Relook-dev-A": "Remove the cause."}


def test_whoever_may_not_ask_for_alarms_sees_the_rest(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AwsAccessDeniedError("AccessDenied", "No.")

    monkeypatch.setattr(Clients, "ringing_alarms", refuse)
    text = run()
    assert "alarms    unknown" in text
    assert "bracket" in text


def test_a_stage_without_projects_says_what_to_do_first(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.quality, "connect", lambda stage: Stack(OUTPUTS, Clients()))
    cloud.dynamodb.delete_item(TableName="registry", Key={"pk": {"S": "PROJECT#bracket"}, "sk": {"S": "PROJECT"}})
    assert "No project yet; train one: relook train PROJECT FOLDER" in run()
