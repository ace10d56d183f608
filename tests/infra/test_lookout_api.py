"""The API's front door: who may come in, and exactly what the function behind it may do."""

from __future__ import annotations

from tests.infra.conftest import Synthesize
from tests.infra.test_inspection import allowed, plain

ROLE = "LookoutApiLookoutApiRole"
KEYS = "arn:<AWS::Partition>:kms:<AWS::Region>:<AWS::AccountId>:key/*"
REGISTRY, INDEX = "<StorageRegistry.Arn>", "<StorageRegistry.Arn>/index/by_kind"
LEAST = {
    ("logs:CreateLogStream", "<LookoutApiLookoutApiLogs.Arn>"),
    ("logs:PutLogEvents", "<LookoutApiLookoutApiLogs.Arn>"),
    ("xray:PutTelemetryRecords", "*"),
    ("xray:PutTraceSegments", "*"),
    *((f"dynamodb:{action}", REGISTRY) for action in ("GetItem", "PutItem", "UpdateItem", "DeleteItem")),
    ("dynamodb:ConditionCheckItem", REGISTRY),
    ("dynamodb:Query", REGISTRY),
    ("dynamodb:Query", INDEX),
    *(
        (f"dynamodb:{action}", "<StorageIdempotency.Arn>")
        for action in ("GetItem", "PutItem", "UpdateItem", "DeleteItem")
    ),
    ("s3:GetObject", "<StorageModels.Arn>/*"),
    ("s3:DeleteObject", "<StorageModels.Arn>/*"),
    ("s3:ListBucket", "<StorageModels.Arn>"),
    *(
        (f"s3:{action}", "<StorageDatasets.Arn>/*")
        for action in ("GetObject", "GetObjectVersion", "PutObject", "AbortMultipartUpload", "DeleteObject")
    ),
    ("s3:ListBucket", "<StorageDatasets.Arn>"),
    ("s3:GetObject", "<StorageImages.Arn>/*"),
    ("s3:GetObjectVersion", "<StorageImages.Arn>/*"),
    ("s3:ListBucket", "<StorageImages.Arn>"),
    ("sqs:SendMessage", "<TrainingQueue.Arn>"),
    ("events:PutEvents", "<InspectionBus.Arn>"),
    ("kms:Decrypt", KEYS),
    ("kms:GenerateDataKey", KEYS),
}


def test_the_function_may_do_what_its_code_calls_and_nothing_else(synthesize: Synthesize) -> None:
    for stage in ("local", "dev", "prod"):
        assert allowed(synthesize(stage), ROLE) == LEAST


def test_only_callers_with_aws_credentials_come_in(synthesize: Synthesize) -> None:
    (url,) = synthesize("prod").find_resources("AWS::Lambda::Url").values()
    assert url["Properties"]["AuthType"] == "AWS_IAM"
    permissions = synthesize("prod").find_resources("AWS::Lambda::Permission").values()
    assert not [each for each in permissions if each["Properties"]["Principal"] == "*"]


def test_buckets_that_users_keep_datasets_in_are_read_and_written(synthesize: Synthesize) -> None:
    bucket = "arn:<AWS::Partition>:s3:::line-7"
    actions = ("GetObject", "GetObjectVersion", "PutObject", "AbortMultipartUpload")
    more = {(f"s3:{action}", f"{bucket}/*") for action in actions}
    assert allowed(synthesize(data_buckets="line-7"), ROLE) == LEAST | more | {("s3:ListBucket", bucket)}


def test_inference_units_become_provisioned_concurrency_where_a_stage_says_so(synthesize: Synthesize) -> None:
    template = synthesize(provisions_inference_units=True)
    ((name, _),) = template.find_resources("AWS::Lambda::Alias").items()
    (url,) = template.find_resources("AWS::Lambda::Url").values()
    assert url["Properties"]["Qualifier"] == "live"
    policies = template.find_resources("AWS::IAM::Policy").values()
    statements = [s for policy in policies for s in policy["Properties"]["PolicyDocument"]["Statement"]]
    (provisioning,) = (s for s in statements if "lambda:PutProvisionedConcurrencyConfig" in s["Action"])
    assert provisioning["Resource"] == {"Ref": name}
    (function,) = template.find_resources(
        "AWS::Lambda::Function", {"Properties": {"Handler": "lookout_api.handler"}}
    ).values()
    assert function["Properties"]["Environment"]["Variables"]["PROVISIONED_ALIAS"] == "live"
    assert not synthesize().find_resources("AWS::Lambda::Alias")


def test_datasets_are_told_which_bucket_s_pictures_end(synthesize: Synthesize) -> None:
    def told(**fields: int) -> object:
        template = synthesize(**fields)
        handler = {"Properties": {"Handler": "lookout_api.handler"}}
        (function,) = template.find_resources("AWS::Lambda::Function", handler).values()
        return plain(function["Properties"]["Environment"]["Variables"]["EXPIRING_BUCKET"])

    assert told(keep_normal_pictures_days=30) == "<StorageImages>"
    assert told() == told(keep_records_days=90) == ""
