"""What the clock asks for, and exactly what the function on it may do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_cdk.assertions import Template

from relook.settings import WatchQualitySettings
from relook.watching.watch import Subject
from tests.infra.conftest import Synthesize
from tests.infra.test_inspection import allowed, plain

ROLE = "WatchingWatchQualityRole"
LEAST = {
    ("logs:CreateLogStream", "<WatchingWatchQualityLogs.Arn>"),
    ("logs:PutLogEvents", "<WatchingWatchQualityLogs.Arn>"),
    ("xray:PutTelemetryRecords", "*"),
    ("xray:PutTraceSegments", "*"),
    ("dynamodb:Query", "<StorageRegistry.Arn>/index/by_kind"),
    ("dynamodb:UpdateItem", "<StorageRegistry.Arn>"),
    ("dynamodb:Query", "<StorageInspections.Arn>/index/by_project"),
    ("dynamodb:Query", "<StorageInspections.Arn>/index/checks_by_project"),
    ("s3:GetObject", "<StorageModels.Arn>/*"),
    ("s3:ListBucket", "<StorageModels.Arn>"),
    ("events:PutEvents", "<InspectionBus.Arn>"),
    # What a round that failed is put with
    ("sqs:SendMessage", "<WatchingDeadLetters.Arn>"),
    ("sqs:GetQueueAttributes", "<WatchingDeadLetters.Arn>"),
    ("sqs:GetQueueUrl", "<WatchingDeadLetters.Arn>"),
}


def schedules(template: Template) -> dict[str, Any]:
    """Schedules by what is looked for."""
    resources = [each["Properties"] for each in template.find_resources("AWS::Scheduler::Schedule").values()]
    return {json.loads(each["Target"]["Input"])["look_for"]: each for each in resources}


@pytest.mark.parametrize("stage", ["local", "dev", "prod"])
def test_the_function_may_do_what_its_code_calls_and_nothing_else(synthesize: Synthesize, stage: str) -> None:
    assert allowed(synthesize(stage), ROLE) == LEAST


def test_drift_is_looked_for_daily_and_overdue_checks_hourly(synthesize: Synthesize) -> None:
    by_subject = schedules(synthesize())
    assert by_subject.keys() == set(Subject)
    rates = {subject: each["ScheduleExpression"] for subject, each in by_subject.items()}
    assert rates == {"drift": "rate(1 day)", "checks": "rate(1 hour)"}
    for each in by_subject.values():
        # The scheduled time stays the same however often a round is tried
        assert json.loads(each["Target"]["Input"])["at"] == "<aws.scheduler.scheduled-time>"
        assert plain(each["Target"]["Arn"]) == "<WatchingWatchQuality.Arn>"
        assert plain(each["Target"]["DeadLetterConfig"]["Arn"]) == "<WatchingDeadLetters.Arn>"


def test_the_clock_may_invoke_this_one_function(synthesize: Synthesize) -> None:
    invoke = {each for each in allowed(synthesize(), "WatchingClockRole") if each[0].startswith("lambda:")}
    assert invoke == {
        ("lambda:InvokeFunction", "<WatchingWatchQuality.Arn>"),
        ("lambda:InvokeFunction", "<WatchingWatchQuality.Arn>:*"),
    }


def test_a_round_that_fails_is_tried_again_and_kept(synthesize: Synthesize) -> None:
    (config,) = synthesize().find_resources("AWS::Lambda::EventInvokeConfig").values()
    destination = config["Properties"]["DestinationConfig"]["OnFailure"]["Destination"]
    assert plain(destination) == "<WatchingDeadLetters.Arn>"


def test_the_function_s_settings_name_the_stack_s_own_resources(synthesize: Synthesize) -> None:
    template = synthesize(drift_every_hours="12")
    (function,) = template.find_resources(
        "AWS::Lambda::Function", {"Properties": {"Handler": "watch_quality.handler"}}
    ).values()
    variables = function["Properties"]["Environment"]["Variables"]
    assert WatchQualitySettings.from_env({name: plain(value) for name, value in variables.items()}) == (
        WatchQualitySettings(
            registry_table="<StorageRegistry>",
            inspections_table="<StorageInspections>",
            models_bucket="<StorageModels>",
            event_bus="<InspectionBus>",
            drift_every_hours=12,
        )
    )
    assert schedules(template)["drift"]["ScheduleExpression"] == "rate(12 hours)"
