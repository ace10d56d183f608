"""The way an image goes, and exactly what the function on it may do."""

from __future__ import annotations

import re
from typing import Any

import pytest
from aws_cdk.assertions import Match, Template

from relook.settings import DetectorKind, InspectImageSettings
from tests.infra.conftest import Synthesize

ROLE = "InspectionInspectImageRole"


def plain(value: Any) -> Any:
    """A template's value with its references as text, without the hash that the CDK appends to names."""
    match value:
        case {"Fn::Join": [separator, parts]}:
            return separator.join(map(plain, parts))
        case {"Fn::GetAtt": [resource, attribute]}:
            return f"<{re.sub('[0-9A-F]{8}$', '', resource)}.{attribute}>"
        case {"Ref": name}:
            return f"<{re.sub('[0-9A-F]{8}$', '', name)}>"
    return value


def allowed(template: Template, role_name: str = ROLE) -> set[tuple[str, str]]:
    """(action, resource) of everything a function's role may do."""
    (role,) = (name for name in template.find_resources("AWS::IAM::Role") if name.startswith(role_name))
    policies = template.find_resources("AWS::IAM::Policy", {"Properties": {"Roles": [{"Ref": role}]}})
    (policy,) = policies.values()
    grants = set()
    for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
        assert statement["Effect"] == "Allow"
        for action in listed(statement["Action"]):
            grants |= {(action, plain(resource)) for resource in listed(statement["Resource"])}
    return grants


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


LEAST = {
    ("logs:CreateLogStream", "<InspectionInspectImageLogs.Arn>"),
    ("logs:PutLogEvents", "<InspectionInspectImageLogs.Arn>"),
    ("xray:PutTelemetryRecords", "*"),
    ("xray:PutTraceSegments", "*"),
    ("sqs:ChangeMessageVisibility", "<InspectionQueue.Arn>"),
    ("sqs:DeleteMessage", "<InspectionQueue.Arn>"),
    ("sqs:GetQueueAttributes", "<InspectionQueue.Arn>"),
    ("sqs:GetQueueUrl", "<InspectionQueue.Arn>"),
    ("sqs:ReceiveMessage", "<InspectionQueue.Arn>"),
    ("s3:GetObject", "<StorageImages.Arn>/*"),
    ("s3:GetObjectVersion", "<StorageImages.Arn>/*"),
    ("s3:ListBucket", "<StorageImages.Arn>"),
    ("s3:PutObject", "<StorageResults.Arn>/*"),
    ("s3:GetObject", "<StorageModels.Arn>/*"),
    ("dynamodb:PutItem", "<StorageInspections.Arn>"),
    ("dynamodb:GetItem", "<StorageRegistry.Arn>"),
    ("dynamodb:GetItem", "<StorageIdempotency.Arn>"),
    ("dynamodb:PutItem", "<StorageIdempotency.Arn>"),
    ("dynamodb:UpdateItem", "<StorageIdempotency.Arn>"),
    ("dynamodb:DeleteItem", "<StorageIdempotency.Arn>"),
    ("events:PutEvents", "<InspectionBus.Arn>"),
}


@pytest.mark.parametrize("stage", ["local", "dev", "prod"])
def test_the_function_may_do_what_its_code_calls_and_nothing_else(synthesize: Synthesize, stage: str) -> None:
    assert allowed(synthesize(stage)) == LEAST


def test_no_managed_policy_widens_the_function_s_role(synthesize: Synthesize) -> None:
    roles = synthesize().find_resources("AWS::IAM::Role")
    (role,) = (role for name, role in roles.items() if name.startswith(ROLE))
    assert role["Properties"].keys() == {"AssumeRolePolicyDocument"}
    (trust,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}


@pytest.mark.parametrize("setting", ["keep_normal_pictures_days", "keep_anomalous_pictures_days"])
def test_pictures_may_be_tagged_where_they_end_and_nowhere_else(synthesize: Synthesize, setting: str) -> None:
    template = synthesize(**{setting: 30})
    actions = ("GetObjectTagging", "GetObjectVersionTagging", "PutObjectTagging", "PutObjectVersionTagging")
    more = {(f"s3:{action}", "<StorageImages.Arn>/*") for action in actions}
    assert allowed(template) - LEAST == more | {("s3:PutObjectTagging", "<StorageResults.Arn>/*")}
    assert allowed(synthesize(keep_records_days=90)) == LEAST


def test_an_existing_images_bucket_is_read_by_its_name(synthesize: Synthesize) -> None:
    renamed = {
        (action, resource.replace("<StorageImages.Arn>", "arn:<AWS::Partition>:s3:::line-7"))
        for action, resource in LEAST
    }
    assert allowed(synthesize(images_bucket="line-7")) == renamed


def test_a_sagemaker_detector_may_invoke_that_endpoint(synthesize: Synthesize) -> None:
    template = synthesize(detector="sagemaker", remote_endpoint="Brackets-V2")
    arn = "arn:<AWS::Partition>:sagemaker:<AWS::Region>:<AWS::AccountId>:endpoint/brackets-v2"
    assert allowed(template) - LEAST == {("sagemaker:InvokeEndpoint", arn)}


def test_a_lookoutvision_detector_may_call_function_urls_and_functions_by_url_only(synthesize: Synthesize) -> None:
    template = synthesize(detector="lookoutvision", remote_endpoint="https://inspect.example.com")
    assert allowed(template) - LEAST == {("lambda:InvokeFunctionUrl", "*"), ("lambda:InvokeFunction", "*")}
    template.has_resource_properties(
        "AWS::IAM::Policy",
        {
            "PolicyDocument": {
                "Statement": Match.array_with(
                    [
                        Match.object_like(
                            {
                                "Action": "lambda:InvokeFunctionUrl",
                                "Condition": {"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}},
                            }
                        ),
                        Match.object_like(
                            {
                                "Action": "lambda:InvokeFunction",
                                "Condition": {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}},
                            }
                        ),
                    ]
                )
            }
        },
    )


def test_uploads_reach_the_queue_but_the_console_s_folders_do_not(synthesize: Synthesize) -> None:
    template = synthesize()
    (rule,) = (
        each["Properties"]
        for each in template.find_resources("AWS::Events::Rule").values()
        if each["Properties"]["EventPattern"]["source"] == ["aws.s3"]
    )
    assert "EventBusName" not in rule  # the default bus, the only one S3 announces on
    detail = rule["EventPattern"]["detail"]
    assert rule["EventPattern"]["detail-type"] == ["Object Created"]
    assert [plain(name) for name in detail["bucket"]["name"]] == ["<StorageImages>"]
    assert detail["object"] == {"key": [{"anything-but": {"suffix": "/"}}]}
    (target,) = rule["Targets"]
    assert plain(target["Arn"]) == "<InspectionQueue.Arn>"
    assert plain(target["DeadLetterConfig"]["Arn"]) == "<InspectionDeadLetters.Arn>"


def test_only_that_rule_may_send_and_all_queues_refuse_plain_http(synthesize: Synthesize) -> None:
    policies = {
        plain(policy["Properties"]["Queues"][0]): policy["Properties"]["PolicyDocument"]["Statement"]
        for policy in synthesize().find_resources("AWS::SQS::QueuePolicy").values()
    }
    for queue in ("<InspectionQueue>", "<InspectionDeadLetters>"):
        statements = policies[queue]
        assert statements[0]["Effect"] == "Deny"
        assert statements[0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        (send,) = statements[1:]
        assert (send["Effect"], send["Principal"]) == ("Allow", {"Service": "events.amazonaws.com"})
        assert plain(send["Condition"]["ArnEquals"]["aws:SourceArn"]) == "<InspectionUploads.Arn>"


@pytest.mark.parametrize(("stage", "retry_after_s", "receives"), [("local", 10, 3), ("dev", 360, 5), ("prod", 360, 5)])
def test_a_failing_image_is_retried_and_then_kept_as_a_dead_letter(
    synthesize: Synthesize, stage: str, retry_after_s: int, receives: int
) -> None:
    queues = {
        name[:-8]: queue["Properties"] for name, queue in synthesize(stage).find_resources("AWS::SQS::Queue").items()
    }
    queue = queues["InspectionQueue"]
    assert queue["VisibilityTimeout"] == retry_after_s
    assert queue["RedrivePolicy"]["maxReceiveCount"] == receives
    assert plain(queue["RedrivePolicy"]["deadLetterTargetArn"]) == "<InspectionDeadLetters.Arn>"
    assert queues["InspectionDeadLetters"]["MessageRetentionPeriod"] == 14 * 24 * 3600


def test_the_function_answers_for_each_message_and_takes_a_bounded_share_of_the_account(synthesize: Synthesize) -> None:
    template = synthesize(batch_size="7", max_concurrency="12")
    template.has_resource_properties(
        "AWS::Lambda::EventSourceMapping",
        {
            "EventSourceArn": {"Fn::GetAtt": [Match.string_like_regexp("^InspectionQueue"), "Arn"]},
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "BatchSize": 7,
            "ScalingConfig": {"MaximumConcurrency": 12},
        },
    )


def test_the_function_is_sized_by_its_stage_traced_and_logs_to_its_own_group(synthesize: Synthesize) -> None:
    template = synthesize("prod")
    template.has_resource_properties(
        "AWS::Lambda::Function",
        {
            "Handler": "inspect_image.handler",
            "Runtime": "python3.13",
            "Architectures": ["arm64"],
            "MemorySize": 1769,
            "Timeout": 60,
            "TracingConfig": {"Mode": "Active"},
            "LoggingConfig": {"LogGroup": {"Ref": Match.string_like_regexp("^InspectionInspectImageLogs")}},
        },
    )
    template.has_resource_properties("AWS::Logs::LogGroup", {"RetentionInDays": 365})


def environment(template: Template) -> dict[str, str]:
    handler = {"Properties": {"Handler": "inspect_image.handler"}}
    (function,) = template.find_resources("AWS::Lambda::Function", handler).values()
    variables = function["Properties"]["Environment"]["Variables"]
    return {name: plain(value) for name, value in variables.items()}


def test_the_function_s_settings_name_the_stack_s_own_resources(synthesize: Synthesize) -> None:
    assert InspectImageSettings.from_env(environment(synthesize())) == InspectImageSettings(
        results_bucket="<StorageResults>",
        models_bucket="<StorageModels>",
        inspections_table="<StorageInspections>",
        registry_table="<StorageRegistry>",
        idempotency_table="<StorageIdempotency>",
        event_bus="<InspectionBus>",
    )


def test_the_function_s_settings_follow_the_stage_s_choices(synthesize: Synthesize) -> None:
    template = synthesize(
        detector="sagemaker",
        remote_endpoint="brackets",
        remote_model_version="7",
        publish_every_inspection="true",
        log_level="DEBUG",
    )
    settings = InspectImageSettings.from_env(environment(template))
    assert (settings.detector, settings.remote_endpoint) == (DetectorKind.SAGEMAKER, "brackets")
    assert (settings.remote_model_version, settings.publish_every_inspection) == ("7", True)
    assert environment(template)["POWERTOOLS_LOG_LEVEL"] == "DEBUG"
