"""The whole stack: names that must not change, what prod protects, what users are told, and cdk-nag's opinion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Stack, Validations
from aws_cdk import aws_s3 as s3
from cdk_nag import AwsSolutionsChecks

from tests.infra.conftest import MakeStack, Synthesize

# Renaming one of these would replace it, and what it holds would be gone.
STATEFUL = {
    "StorageImagesCFC0E004": "AWS::S3::Bucket",
    "StorageResultsB2A4FB2E": "AWS::S3::Bucket",
    "StorageModels44005BB0": "AWS::S3::Bucket",
    "StorageDatasets615E7AC1": "AWS::S3::Bucket",
    "StorageInspectionsCD1E1D72": "AWS::DynamoDB::Table",
    "StorageRegistry5365D477": "AWS::DynamoDB::Table",
    "StorageIdempotency5C96D584": "AWS::DynamoDB::Table",
    "InspectionQueue0F46366A": "AWS::SQS::Queue",
    "InspectionDeadLetters180210B3": "AWS::SQS::Queue",
    "TrainingQueueCFB9BA02": "AWS::SQS::Queue",
    "TrainingDeadLetters4C77B089": "AWS::SQS::Queue",
    "InspectionBusFE8E11ED": "AWS::Events::EventBus",
    "WatchingDeadLetters6BF70FA9": "AWS::SQS::Queue",
    "AlertsTopicCF7C81C9": "AWS::SNS::Topic",
}


@pytest.mark.parametrize("stage", ["local", "dev", "prod"])
def test_logical_ids_of_what_holds_data_are_frozen(synthesize: Synthesize, stage: str) -> None:
    resources = synthesize(stage).to_json()["Resources"]
    kinds = set(STATEFUL.values())
    assert {name: each["Type"] for name, each in resources.items() if each["Type"] in kinds} == STATEFUL


def holding_data(synthesize: Synthesize, stage: str) -> dict[str, Any]:
    """The resources nobody could make again: all buckets, and the tables that do not expire by themselves."""
    resources = synthesize(stage).to_json()["Resources"]
    return {
        name: each
        for name, each in resources.items()
        if each["Type"] in ("AWS::S3::Bucket", "AWS::DynamoDB::Table") and not name.startswith("StorageIdempotency")
    }


def test_prod_survives_the_stack_and_refuses_deletion(synthesize: Synthesize, make_stack: MakeStack) -> None:
    for resource in holding_data(synthesize, "prod").values():
        assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"
        if resource["Type"] == "AWS::DynamoDB::Table":
            assert resource["Properties"]["DeletionProtectionEnabled"] is True
            assert resource["Properties"]["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
        else:
            assert resource["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}
    assert make_stack("prod").termination_protection is True


@pytest.mark.parametrize("stage", ["local", "dev"])
def test_other_stages_can_be_thrown_away(synthesize: Synthesize, make_stack: MakeStack, stage: str) -> None:
    for resource in holding_data(synthesize, stage).values():
        assert resource["DeletionPolicy"] == "Delete"
        assert resource["Properties"].get("DeletionProtectionEnabled", False) is False
    assert not make_stack(stage).termination_protection


def test_the_outputs_name_what_users_need(synthesize: Synthesize) -> None:
    assert synthesize().to_json()["Outputs"].keys() == {
        "ImagesBucket",
        "ResultsBucket",
        "ModelsBucket",
        "DatasetsBucket",
        "InspectionsTable",
        "RegistryTable",
        "EventBus",
        "InspectionQueueUrl",
        "DeadLetterQueueUrl",
        "TrainingQueueUrl",
        "TrainingDeadLetterQueueUrl",
        "AlertTopic",
        "InspectImageFunction",
        "TrainModelFunction",
        "WatchQualityFunction",
        "LookoutApiFunction",
        "LookoutEndpoint",
        "Dashboard",
    }


def test_a_stage_s_template_names_no_account_and_no_region(synthesize: Synthesize) -> None:
    template = json.dumps(synthesize("prod").to_json())
    assert "000000000000" not in template
    assert "us-east-1" not in template


def findings(stack: Stack) -> set[str]:
    """What cdk-nag reports and nobody acknowledged: rule @ construct."""
    app = stack.node.root
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    try:
        outdir = app.synth().directory  # type: ignore[attr-defined]  # the root of a stack is its App
    except RuntimeError as error:
        outdir = str(error).partition("found in: ")[2].removesuffix("/validation-report.json")
    reports = json.loads((Path(outdir) / "validation-report.json").read_text())["pluginReports"]
    return {
        f"{violation['ruleName']} @ {occurrence['constructPath']}"
        for report in reports
        for violation in report["violations"]
        for occurrence in violation["violatingConstructs"]
    }


@pytest.mark.parametrize(
    ("stage", "fields"),
    [
        ("local", {}),
        ("dev", {}),
        ("prod", {}),
        ("prod", {"images_bucket": "line-7-uploads", "alert_email": "quality@example.com"}),
        ("prod", {"data_buckets": "line-7,line-8"}),
        ("dev", {"detector": "lookoutvision", "remote_endpoint": "https://inspect.example.com"}),
        ("dev", {"detector": "sagemaker", "remote_endpoint": "brackets"}),
    ],
)
def test_cdk_nag_finds_nothing(make_stack: MakeStack, stage: str, fields: dict[str, str]) -> None:
    assert findings(make_stack(stage, **fields)) == set()


def test_cdk_nag_would_find_a_bad_bucket(make_stack: MakeStack) -> None:
    stack = make_stack("dev")
    s3.Bucket(stack, "Careless")
    rules = {finding.partition(" @ ")[0] for finding in findings(stack)}
    assert rules == {"AwsSolutions-S1", "AwsSolutions-S10"}
