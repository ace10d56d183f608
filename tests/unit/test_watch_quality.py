"""The clock's rounds, sample in to metrics and events out; records are written as the pipeline writes them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

import watch_quality
from relook import settings
from relook.aws.bucket import Bucket
from relook.detection.package import ModelPackage, NormalStatistic
from relook.errors import AwsAccessDeniedError, AwsUnavailableError, InvalidRequestError, MalformedMessageError
from relook.registry.checks import ask_for_checks, find_overdue, list_checks
from relook.registry.history import list_history
from relook.registry.inspections import stamp
from relook.registry.projects import create_project, describe_project
from relook.settings import WatchQualitySettings
from relook.watching.drift import hosted_drift
from tests.account import SETTINGS, Cloud
from tests.unit.parts import classification_package, hosted_package

pytestmark = pytest.mark.slow

EVENTS = Path(__file__).parents[2] / "events"
NOW = datetime(2026, 11, 26, 5, tzinfo=UTC)
WHO = "arn:aws:iam::123456789012:user/quality"
STATISTICS = ("score", "brightness", "contrast", "sharpness")


def sample(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / "inbound" / "watch_quality" / f"{name}.json").read_text())
    return event


@pytest.fixture
def watched(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """The function's settings, and version 1 of `bracket` hosted with what its 60 normals were like."""
    variables = WatchQualitySettings(
        registry_table=SETTINGS.registry_table,
        inspections_table=SETTINGS.inspections_table,
        models_bucket=SETTINGS.models_bucket,
        event_bus=SETTINGS.event_bus,
    ).to_env()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    hosted_package(cloud.registry, cloud.s3, "bracket", package())
    forget()
    yield cloud
    forget()


def forget() -> None:
    settings.watch_quality_settings.cache_clear()
    watch_quality.watch.cache_clear()


def package() -> ModelPackage:
    chance = random.Random(1)
    known = {
        name: NormalStatistic(0.0, 1.0, tuple(sorted(chance.gauss(0, 1) for _ in range(60)))) for name in STATISTICS
    }
    made = classification_package()
    return ModelPackage(made.graph, replace(made.manifest, statistics=known))


def record(number: int, at: datetime, **fields: Any) -> dict[str, Any]:
    chance = random.Random(number)
    return {
        "image_uri": f"s3://images/bracket/{number}.png",
        "object_version": "1#1",
        "project": "bracket",
        "model_version": "1",
        "status": "INSPECTED",
        "is_anomalous": False,
        "confidence": 0.9,
        "inspected_at": stamp(at),
        **{name: chance.gauss(0, 1) for name in STATISTICS},
        **fields,
    }


def fill(cloud: Cloud, count: int, *, first: int = 0, darker: float = 0.0, **fields: Any) -> None:
    """One image a minute, the last one just before NOW."""
    for number in range(first, first + count):
        item = record(number, NOW - timedelta(minutes=first + count - number), **fields)
        cloud.inspections.put({**item, "brightness": item["brightness"] - darker})


def look(cloud: Cloud, name: str) -> list[dict[str, Any]]:
    """Events of a round, each checked against its schema."""
    watch_quality.handler(sample(name), cloud.context)
    events = cloud.published()
    for event in events:
        folder = event["detail-type"].lower().replace(" ", "-")
        schema = json.loads((EVENTS / "outbound" / folder / "schema.json").read_text())
        jsonschema.validate(event["detail"], schema)
    return events


def metrics(capsys: pytest.CaptureFixture[str], name: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    return [line for line in lines if name in line]


# --- drift


def test_a_stream_that_became_darker_is_told_and_measured(watched: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    fill(watched, 120, darker=3)

    (event,) = look(watched, "drift")

    assert event["detail-type"] == "Drift Detected"
    (statistic,) = event["detail"]["statistics"]
    assert statistic["name"] == "brightness"
    assert statistic["index"] > 1
    assert statistic["shift"] == pytest.approx(-3, abs=0.4)
    assert "brightness" in event["detail"]["summary"] and "lower" in event["detail"]["summary"]
    assert (event["detail"]["images"], event["detail"]["model_version"]) == (120, "1")
    emitted = {each["Statistic"]: each["DriftIndex"][0] for each in metrics(capsys, "DriftIndex")}
    assert emitted.keys() == set(STATISTICS)
    assert emitted["brightness"] == pytest.approx(statistic["index"], abs=1e-3)
    assert emitted["score"] < 0.25


def test_an_unchanged_stream_is_not(watched: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    fill(watched, 500)
    assert look(watched, "drift") == []
    assert all(each["DriftIndex"][0] < 0.1 for each in metrics(capsys, "DriftIndex"))


def test_a_round_that_is_tried_again_tells_the_same_finding(watched: Cloud) -> None:
    fill(watched, 100, darker=3)
    first, second = look(watched, "drift") + look(watched, "drift")
    assert first["detail"] == second["detail"]


@pytest.mark.parametrize(
    "fields",
    [
        {"model_version": "2"},
        {"expected": "normal"},
        {"status": "REJECTED"},
    ],
    ids=["another version's", "checks", "rejected"],
)
def test_what_is_no_production_of_the_hosted_version_does_not_count(watched: Cloud, fields: dict[str, Any]) -> None:
    fill(watched, 120, darker=3, **fields)
    assert look(watched, "drift") == []


def test_of_fewer_than_a_hundred_images_nothing_is_said(watched: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    fill(watched, 99, darker=3)
    assert look(watched, "drift") == []
    assert metrics(capsys, "DriftIndex") == []


def test_a_project_without_a_new_image_is_left_out(watched: Cloud) -> None:
    for number in range(120):
        item = record(number, NOW - timedelta(hours=25, minutes=number))
        watched.inspections.put({**item, "brightness": -3.0})
    assert look(watched, "drift") == []


def test_each_camera_is_held_against_the_normals_alone(watched: Cloud) -> None:
    fill(watched, 100, metadata={"camera": "1"})
    fill(watched, 120, first=100, darker=3, metadata={"camera": "2"})
    hosted = describe_project(watched.registry, "bracket").hosted
    assert hosted is not None

    second, first = hosted_drift(
        watched.inspections,
        Bucket(watched.s3, "models"),
        hosted,
        since=NOW - timedelta(days=7),
        until=NOW,
        by="camera",
    )

    assert (second.name, second.images, list(second.drifted)) == ("2", 120, ["brightness"])
    assert (first.name, first.images, list(first.drifted)) == ("1", 100, [])


def test_the_newest_five_hundred_decide(watched: Cloud) -> None:
    fill(watched, 120, darker=3)
    for number in range(200, 700):
        watched.inspections.put(record(number, NOW - timedelta(seconds=700 - number)))
    assert look(watched, "drift") == []


def test_a_project_that_cannot_be_looked_at_keeps_no_other_from_it(watched: Cloud) -> None:
    create_project(watched.registry, "aaa")
    hosted_package(watched.registry, watched.s3, "anvil", classification_package())  # nothing known of its normals
    watched.inspections.put(record(1000, NOW - timedelta(minutes=1), project="anvil"))
    fill(watched, 100, darker=3)
    assert [event["detail"]["project"] for event in look(watched, "drift")] == ["bracket"]


def test_a_round_that_met_a_passing_failure_is_to_be_tried_again(
    watched: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(watched, 100, darker=3)
    original = BaseClient._make_api_call

    def call(self: BaseClient, name: str, arguments: dict[str, Any]) -> Any:
        if name == "GetObject":
            raise ConnectionResetError("injected")
        return original(self, name, arguments)

    with monkeypatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", call)
        with pytest.raises((AwsUnavailableError, ConnectionResetError)):
            look(watched, "drift")
    assert len(look(watched, "drift")) == 1


def test_a_failure_that_stays_keeps_no_other_project_from_it_and_goes_to_the_dead_letters(
    watched: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosted_package(watched.registry, watched.s3, "anvil", package())
    fill(watched, 100, darker=3)
    original = BaseClient._make_api_call

    def call(self: BaseClient, name: str, arguments: dict[str, Any]) -> Any:
        if name == "GetObject" and arguments["Key"].startswith("anvil/"):
            raise ClientError({"Error": {"Code": "AccessDenied"}}, name)
        return original(self, name, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    with pytest.raises(AwsAccessDeniedError):
        look(watched, "drift")
    assert [event["detail"]["project"] for event in watched.published()] == ["bracket"]


def test_without_a_project_only_projects_are_listed(cloud: Cloud, watched: Cloud) -> None:
    for item in cloud.dynamodb.scan(TableName=SETTINGS.registry_table)["Items"]:
        cloud.dynamodb.delete_item(TableName=SETTINGS.registry_table, Key={"pk": item["pk"], "sk": item["sk"]})
    calls: list[str] = []
    original = BaseClient._make_api_call

    def call(self: BaseClient, name: str, arguments: dict[str, Any]) -> Any:
        calls.append(name)
        return original(self, name, arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", call)
        for name in ("drift", "checks"):
            watch_quality.handler(sample(name), cloud.context)
    assert calls == ["Query", "Query"]


@pytest.mark.parametrize(
    "event", [{}, {"look_for": "gold", "at": "2026-11-26T05:00:00Z"}, {"look_for": "drift", "at": 5}]
)
def test_what_is_no_round_is_refused(watched: Cloud, event: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessageError, match="look_for"):
        watch_quality.handler(event, watched.context)


# --- checks


def ask(cloud: Cloud, every: timedelta | None, at: datetime = NOW - timedelta(hours=20)) -> None:
    """As if it had been asked for then."""
    ask_for_checks(cloud.registry, "bracket", every, who=WHO)
    if every:
        key = {"pk": {"S": "PROJECT#bracket"}, "sk": {"S": "PROJECT"}}
        cloud.dynamodb.update_item(
            TableName=SETTINGS.registry_table,
            Key=key,
            UpdateExpression="SET checks.#since = :at",
            ExpressionAttributeNames={"#since": "since"},
            ExpressionAttributeValues={":at": {"S": at.isoformat()}},
        )


def check(number: int, at: datetime, **fields: Any) -> dict[str, Any]:
    return record(number, at, expected="normal", is_expected_met=True, checked_project="bracket", **fields)


def test_a_check_that_did_not_come_is_told_once_for_every_time_it_was_due(
    watched: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    ask(watched, timedelta(hours=8))

    (event,) = look(watched, "checks")

    assert (event["detail-type"], event["detail"]["due_at"]) == ("Check Overdue", "2026-11-26T01:00:00.000Z")
    assert (event["detail"]["every_s"], "last_at" in event["detail"]) == (28800, False)
    assert look(watched, "checks") == []
    later = {"look_for": "checks", "at": stamp(NOW + timedelta(hours=4))}
    watch_quality.handler(later, watched.context)
    (event,) = watched.published()
    assert event["detail"]["due_at"] == "2026-11-26T09:00:00.000Z"
    assert [each["OverdueChecks"] for each in metrics(capsys, "OverdueChecks")] == [[1.0]] * 3


def test_a_check_in_time_is_enough_met_or_missed(watched: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    ask(watched, timedelta(hours=8))
    watched.inspections.put({**check(1, NOW - timedelta(hours=7)), "is_expected_met": False})
    assert look(watched, "checks") == []
    assert [each["OverdueChecks"] for each in metrics(capsys, "OverdueChecks")] == [[0.0]]


def test_an_event_that_could_not_be_noted_is_told_again_as_the_same(watched: Cloud) -> None:
    ask(watched, timedelta(hours=8))
    original, told = BaseClient._make_api_call, []

    def call(self: BaseClient, name: str, arguments: dict[str, Any]) -> Any:
        if name == "UpdateItem":
            told.append(name)
            raise RuntimeError("the container went away")
        return original(self, name, arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", call)
        with pytest.raises(RuntimeError):
            look(watched, "checks")
    first, second = watched.published() + look(watched, "checks")
    assert told and first["detail"] == second["detail"]


def test_a_project_that_asks_for_none_is_never_overdue(watched: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    assert look(watched, "checks") == []
    assert metrics(capsys, "OverdueChecks") == []
    ask(watched, timedelta(hours=8))
    ask(watched, None)
    assert look(watched, "checks") == []


def test_asking_is_kept_with_its_history(watched: Cloud) -> None:
    ask_for_checks(watched.registry, "bracket", timedelta(hours=8), who=WHO)
    asked = describe_project(watched.registry, "bracket").checks
    assert asked is not None and asked.every == timedelta(hours=8)
    entry = ask_for_checks(watched.registry, "bracket", timedelta(days=1), who=WHO)
    assert (entry.before, entry.after) == ({"every_s": 28800}, {"every_s": 86400})
    ask_for_checks(watched.registry, "bracket", None, who=WHO)
    assert describe_project(watched.registry, "bracket").checks is None
    history = [each for each in list_history(watched.registry, "bracket") if each.what == "Checks Changed"]
    assert [(each.who, each.after) for each in history] == [
        (WHO, None),
        (WHO, {"every_s": 86400}),
        (WHO, {"every_s": 28800}),
    ]


@pytest.mark.parametrize("every", [timedelta(minutes=59), timedelta(days=32)])
def test_an_interval_that_cannot_be_watched_is_refused(watched: Cloud, every: timedelta) -> None:
    with pytest.raises(InvalidRequestError, match="expected one hour to 31 days"):
        ask_for_checks(watched.registry, "bracket", every, who=WHO)


def test_checks_are_found_among_any_number_of_images(watched: Cloud) -> None:
    fill(watched, 50)
    for number, hours in ((1001, 30), (1002, 2)):
        watched.inspections.put(check(number, NOW - timedelta(hours=hours)))
    names = [each["image_uri"][-8:-4] for each in list_checks(watched.inspections, "bracket")]
    assert names == ["1002", "1001"]
    ask(watched, timedelta(hours=1))
    overdue = find_overdue(watched.inspections, describe_project(watched.registry, "bracket"), NOW)
    assert overdue is not None and overdue.due_at == NOW
    assert overdue.last_at == NOW - timedelta(hours=2)
