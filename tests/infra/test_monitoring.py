"""Alarms name what to do, and the dashboard shows metrics that exist."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from relook.observability import emit_drift_index, emit_inspection_metrics, emit_overdue_checks
from tests.infra.conftest import Synthesize
from tests.infra.test_inspection import plain


def alarms(synthesize: Synthesize) -> dict[str, Any]:
    resources = synthesize().find_resources("AWS::CloudWatch::Alarm")
    return {name.removeprefix("Monitoring")[:-8]: alarm["Properties"] for name, alarm in resources.items()}


@pytest.mark.parametrize(
    ("alarm", "metric", "statistic", "on", "threshold"),
    [
        ("DeadLetters", "ApproximateNumberOfMessagesVisible", "Maximum", "<InspectionDeadLetters.QueueName>", 0),
        ("OldestMessage", "ApproximateAgeOfOldestMessage", "Maximum", "<InspectionQueue.QueueName>", 900),
        ("Errors", "Errors", "Sum", "<InspectionInspectImage>", 0),
        ("Throttles", "Throttles", "Sum", "<InspectionInspectImage>", 0),
        (
            "TrainingDeadLetters",
            "ApproximateNumberOfMessagesVisible",
            "Maximum",
            "<TrainingDeadLetters.QueueName>",
            0,
        ),
        ("TrainingErrors", "Errors", "Sum", "<TrainingTrainModel>", 0),
        (
            "WatchingDeadLetters",
            "ApproximateNumberOfMessagesVisible",
            "Maximum",
            "<WatchingDeadLetters.QueueName>",
            0,
        ),
        ("OverdueChecks", "OverdueChecks", "Maximum", "watch_quality", 0),
    ],
)
def test_an_alarm_watches_its_metric_and_tells_the_topic(
    synthesize: Synthesize, alarm: str, metric: str, statistic: str, on: str, threshold: int
) -> None:
    properties = alarms(synthesize)[alarm]
    assert (properties["MetricName"], properties["Statistic"], properties["Threshold"]) == (
        metric,
        statistic,
        threshold,
    )
    assert [plain(dimension["Value"]) for dimension in properties["Dimensions"]] == [on]
    assert properties["ComparisonOperator"] == "GreaterThanThreshold"
    assert properties["TreatMissingData"] == "notBreaching"
    assert [plain(action) for action in properties["AlarmActions"]] == ["<AlertsTopic>"]


def test_the_alarm_on_overdue_checks_watches_what_the_function_emits(
    synthesize: Synthesize, capsys: pytest.CaptureFixture[str]
) -> None:
    emit_overdue_checks(1)
    emitted = json.loads(capsys.readouterr().out)
    (metrics,) = emitted["_aws"]["CloudWatchMetrics"]
    properties = alarms(synthesize)["OverdueChecks"]
    assert (metrics["Namespace"], metrics["Metrics"][0]["Name"]) == (properties["Namespace"], properties["MetricName"])
    assert [[each["Name"] for each in properties["Dimensions"]]] == metrics["Dimensions"]
    assert [each["Value"] for each in properties["Dimensions"]] == [emitted["Function"]]


def test_every_alarm_says_what_to_do(synthesize: Synthesize) -> None:
    by_name = alarms(synthesize)
    assert by_name.keys() == {
        "DeadLetters", "OldestMessage", "Errors", "Throttles", "TrainingDeadLetters", "TrainingErrors",
        "WatchingDeadLetters", "OverdueChecks",
    }  # fmt: skip
    for alarm in by_name.values():
        assert re.search(r"(?i)\b(redrive|raise|read)\b", alarm["AlarmDescription"])


def dashboard(synthesize: Synthesize) -> dict[str, Any]:
    (resource,) = synthesize().find_resources("AWS::CloudWatch::Dashboard").values()
    body: dict[str, Any] = json.loads(plain(resource["Properties"]["DashboardBody"]))
    return body


def test_the_dashboard_searches_for_the_metrics_that_the_function_emits(
    synthesize: Synthesize, capsys: pytest.CaptureFixture[str]
) -> None:
    emit_inspection_metrics("bracket", "1", is_rejected=False, is_anomalous=True, duration_ms=40)
    emit_drift_index("bracket", "brightness", 0.3)
    lines = capsys.readouterr().out.splitlines()
    emitted = [each for line in lines for each in json.loads(line)["_aws"]["CloudWatchMetrics"]]
    searches = [
        metric
        for widget in dashboard(synthesize)["widgets"]
        for (metric, *_) in widget["properties"]["metrics"]
        if isinstance(metric, dict)
    ]
    searched = {re.findall(r'="(\w+)"', search["expression"])[1]: search for search in searches}
    assert searched.keys() == {metric["Name"] for each in emitted for metric in each["Metrics"]}
    for each in emitted:
        for metric in each["Metrics"]:
            search = searched[metric["Name"]]
            assert f'Namespace="{each["Namespace"]}"' in search["expression"]
            assert {*re.findall(r"Dim\.(\w+)", search["label"])} == {*each["Dimensions"][0]}


def test_the_dashboard_shows_the_queues_and_the_function(synthesize: Synthesize) -> None:
    text = json.dumps(dashboard(synthesize))
    for name in ("InspectionQueue.QueueName", "InspectionDeadLetters.QueueName", "InspectionInspectImage"):
        assert f"<{name}>" in text
