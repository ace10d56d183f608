"""The way a training goes, and exactly what the function on it may do."""

from __future__ import annotations

from typing import Any

import pytest
from aws_cdk.assertions import Match, Template

from relook.registry.models import TRAINING_SILENCE
from relook.settings import TrainModelSettings
from tests.infra.conftest import Synthesize
from tests.infra.test_inspection import allowed, listed, plain

ROLE = "TrainingTrainModelRole"
KEYS = "arn:<AWS::Partition>:kms:<AWS::Region>:<AWS::AccountId>:key/*"
LEAST = {
    ("logs:CreateLogStream", "<TrainingTrainModelLogs.Arn>"),
    ("logs:PutLogEvents", "<TrainingTrainModelLogs.Arn>"),
    ("xray:PutTelemetryRecords", "*"),
    ("xray:PutTraceSegments", "*"),
    ("sqs:ChangeMessageVisibility", "<TrainingQueue.Arn>"),
    ("sqs:DeleteMessage", "<TrainingQueue.Arn>"),
    ("sqs:GetQueueAttributes", "<TrainingQueue.Arn>"),
    ("sqs:GetQueueUrl", "<TrainingQueue.Arn>"),
    ("sqs:ReceiveMessage", "<TrainingQueue.Arn>"),
    ("dynamodb:GetItem", "<StorageRegistry.Arn>"),
    ("dynamodb:Query", "<StorageRegistry.Arn>"),
    ("dynamodb:UpdateItem", "<StorageRegistry.Arn>"),
    ("dynamodb:DeleteItem", "<StorageRegistry.Arn>"),
    ("s3:GetObject", "<StorageModels.Arn>/*"),
    ("s3:PutObject", "<StorageModels.Arn>/*"),
    ("s3:ListBucket", "<StorageModels.Arn>"),
    ("s3:GetObject", "<StorageDatasets.Arn>/*"),
    ("s3:PutObject", "<StorageDatasets.Arn>/*"),
    ("s3:ListBucket", "<StorageDatasets.Arn>"),
    ("s3:GetObject", "<StorageImages.Arn>/*"),
    ("s3:ListBucket", "<StorageImages.Arn>"),
    ("events:PutEvents", "<InspectionBus.Arn>"),
    ("kms:Decrypt", KEYS),
    ("kms:GenerateDataKey", KEYS),
}


def statements(template: Template) -> list[dict[str, Any]]:
    (role,) = (name for name in template.find_resources("AWS::IAM::Role") if name.startswith(ROLE))
    (policy,) = template.find_resources("AWS::IAM::Policy", {"Properties": {"Roles": [{"Ref": role}]}}).values()
    listed: list[dict[str, Any]] = policy["Properties"]["PolicyDocument"]["Statement"]
    return listed


def function(template: Template) -> dict[str, Any]:
    resources = template.find_resources("AWS::Lambda::Function", {"Properties": {"Handler": "train_model.handler"}})
    (only,) = resources.values()
    properties: dict[str, Any] = only["Properties"]
    return properties


def queues(template: Template) -> dict[str, Any]:
    return {name[:-8]: each["Properties"] for name, each in template.find_resources("AWS::SQS::Queue").items()}


@pytest.mark.parametrize("stage", ["local", "dev", "prod"])
def test_the_function_may_do_what_its_code_calls_and_nothing_else(synthesize: Synthesize, stage: str) -> None:
    assert allowed(synthesize(stage), ROLE) == LEAST


def test_buckets_that_users_keep_datasets_in_are_read_and_written(synthesize: Synthesize) -> None:
    template = synthesize(data_buckets="line-7, line-8")
    expected = {
        (action, f"arn:<AWS::Partition>:s3:::{name}{objects}")
        for name in ("line-7", "line-8")
        for action, objects in (("s3:GetObject", "/*"), ("s3:PutObject", "/*"), ("s3:ListBucket", ""))
    }
    assert allowed(template, ROLE) - LEAST == expected


def test_keys_are_used_by_s3_alone(synthesize: Synthesize) -> None:
    (statement,) = (each for each in statements(synthesize()) if "kms:Decrypt" in listed(each["Action"]))
    service = plain(statement["Condition"]["StringEquals"]["kms:ViaService"])
    assert service == "s3.<AWS::Region>.<AWS::URLSuffix>"


@pytest.mark.parametrize(
    ("stage", "timeout_s", "retry_after_s"), [("local", 300, 310), ("dev", 900, 960), ("prod", 900, 960)]
)
def test_a_training_that_died_comes_back_after_its_time_and_often_enough_to_end_it(
    synthesize: Synthesize, stage: str, timeout_s: int, retry_after_s: int
) -> None:
    template = synthesize(stage)
    queue = queues(template)["TrainingQueue"]
    assert function(template)["Timeout"] == timeout_s < queue["VisibilityTimeout"] == retry_after_s
    settings = settings_of(template)
    assert queue["RedrivePolicy"]["maxReceiveCount"] > settings.max_attempts + 1
    assert plain(queue["RedrivePolicy"]["deadLetterTargetArn"]) == "<TrainingDeadLetters.Arn>"
    assert queues(template)["TrainingDeadLetters"]["MessageRetentionPeriod"] == 14 * 24 * 3600
    # Two attempts without a word, then the message about them: all before it would be given up for lost
    assert (settings.max_attempts + 1) * retry_after_s < TRAINING_SILENCE.total_seconds()


@pytest.mark.parametrize(("slots", "concurrency"), [(1, 2), (2, 2), (5, 5)])
def test_one_version_at_a_time_and_as_many_functions_as_trainings(
    synthesize: Synthesize, slots: int, concurrency: int
) -> None:
    synthesize(max_concurrent_trainings=slots).has_resource_properties(
        "AWS::Lambda::EventSourceMapping",
        {
            "EventSourceArn": {"Fn::GetAtt": [Match.string_like_regexp("^TrainingQueue"), "Arn"]},
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "BatchSize": 1,
            "ScalingConfig": {"MaximumConcurrency": concurrency},
        },
    )


def test_the_function_is_sized_by_its_own_settings(synthesize: Synthesize) -> None:
    assert function(synthesize())["MemorySize"] == 3008
    assert function(synthesize(training_memory_mb="8192"))["MemorySize"] == 8192


def settings_of(template: Template) -> TrainModelSettings:
    variables = function(template)["Environment"]["Variables"]
    return TrainModelSettings.from_env({name: plain(value) for name, value in variables.items()})


def test_the_function_s_settings_name_the_stack_s_own_resources(synthesize: Synthesize) -> None:
    assert settings_of(synthesize()) == TrainModelSettings(
        registry_table="<StorageRegistry>",
        models_bucket="<StorageModels>",
        datasets_bucket="<StorageDatasets>",
        event_bus="<InspectionBus>",
    )


def test_both_queues_refuse_plain_http_and_nobody_else_is_let_in(synthesize: Synthesize) -> None:
    policies = {
        plain(policy["Properties"]["Queues"][0]): policy["Properties"]["PolicyDocument"]["Statement"]
        for policy in synthesize().find_resources("AWS::SQS::QueuePolicy").values()
    }
    for queue in ("<TrainingQueue>", "<TrainingDeadLetters>"):
        (refuse,) = policies[queue]
        assert (refuse["Effect"], refuse["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
