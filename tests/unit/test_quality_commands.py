"""What `relook checks` and `relook drift` print and change, over tables in process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import typer

from cli import checks, drift
from cli.arguments import parse_duration
from cli.output import print_verdicts
from cli.stack import Stack
from relook.aws.clients import Clients
from relook.registry.projects import describe_project
from tests.account import SETTINGS, Cloud
from tests.unit.parts import hosted_package
from tests.unit.test_watch_quality import package, record


@pytest.fixture
def stack(cloud: Cloud) -> Stack:
    hosted_package(cloud.registry, cloud.s3, "bracket", package())
    names = {
        "RegistryTable": SETTINGS.registry_table,
        "InspectionsTable": SETTINGS.inspections_table,
        "ModelsBucket": SETTINGS.models_bucket,
        "EventBus": SETTINGS.event_bus,
    }
    return Stack(names, Clients())


def put(cloud: Cloud, number: int, **fields: Any) -> None:
    item = record(number, datetime.now(UTC) - timedelta(minutes=number + 1), **fields)
    cloud.inspections.put(item)


def test_checks_are_asked_for_listed_and_counted_by_camera(
    stack: Stack, cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, (camera, is_met) in enumerate([("1", True), ("1", False), ("2", None)]):
        metadata = {"camera": camera, "expected": "anomaly"}
        put(cloud, number, metadata=metadata, expected="anomaly", is_expected_met=is_met, checked_project="bracket")

    assert checks.ask(stack, "bracket", parse_duration("8h")) is not None
    checked = checks.find(stack, "bracket", limit=50)
    checks.print_checks("bracket", checked, "camera")

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["bracket", "asks", "for", "a", "check", "every", "8h"]
    assert ["1", "1", "1", "0"] in lines
    assert ["2", "0", "0", "1"] in lines
    assert [line[2] for line in lines[4:] if line[1:2] == ["anomaly"]] == ["met", "MISSED", "not"]
    assert (checked.to_json()["every_s"], checked.overdue_since, len(checked.records)) == (28800, None, 3)
    (event,) = cloud.published()
    assert (event["detail-type"], event["detail"]["after"]) == ("Checks Changed", {"every_s": 28800})
    assert checks.ask(stack, "bracket", None) is not None
    assert checks.ask(stack, "bracket", None) is None
    assert describe_project(stack.registry, "bracket").checks is None


def test_verdicts_tell_of_golden_parts_whether_they_met_what_was_expected(capsys: pytest.CaptureFixture[str]) -> None:
    seen = {"status": "INSPECTED", "is_anomalous": False, "confidence": 0.9, "anomalies": [], "model_version": "1"}
    part = seen | {"image_uri": "s3://images/bracket/part.jpg"}
    golden = seen | {"image_uri": "s3://images/bracket/golden.jpg", "expected": "anomaly", "is_expected_met": False}

    print_verdicts([part, golden])
    header, first, second = (line.split() for line in capsys.readouterr().out.splitlines())
    assert header[-2:] == ["check", "model"]
    assert (first[-2:], second[-2:]) == (["-", "1"], ["MISSED", "1"])
    print_verdicts([part])
    assert "check" not in capsys.readouterr().out


def test_a_bar_for_each_statistic_says_how_far_it_went(
    stack: Stack, cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(110):
        put(cloud, number, brightness=-3.0)

    (stream,) = drift.measure(stack, "bracket", timedelta(days=7), None)
    drift.print_drift("bracket", [stream], None)

    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "DRIFT" in rows["brightness"] and "lower" in rows["brightness"]
    assert "stable" in rows["contrast"]
    assert rows["brightness"].count("█") == 32  # as long as a bar can be
    assert drift.to_json(stream)["statistics"]["brightness"]["reading"] == "DRIFT"
    assert drift.measure(stack, "bracket", timedelta(seconds=1), None) == ()


@pytest.mark.parametrize(
    ("text", "length"), [("90m", timedelta(minutes=90)), ("8h", timedelta(hours=8)), ("7d", timedelta(days=7))]
)
def test_durations(text: str, length: timedelta) -> None:
    assert parse_duration(text) == length


@pytest.mark.parametrize("text", ["8", "0h", "h", "1.5d", "-1d"])
def test_what_is_no_duration_is_named(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="expected minutes, hours or days"):
        parse_duration(text)


def test_of_few_images_drift_says_that_they_are_too_few(
    stack: Stack, cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(5):
        put(cloud, number, metadata={"camera": "7"})
    drift.print_drift("bracket", drift.measure(stack, "bracket", timedelta(days=7), "camera"), "camera")
    text = capsys.readouterr().out
    assert "bracket, camera 7 5 images" in text
    assert text.count("too few images") == 4
