"""Buckets and tables: their keys, their protection, and how the images bucket announces uploads."""

from __future__ import annotations

from typing import Any

import pytest
from aws_cdk.assertions import Match, Template

from relook.registry.retention import EXPIRES_AT
from tests.infra.conftest import Synthesize


def tables(template: Template) -> dict[str, Any]:
    """Table properties by the start of their logical id."""
    resources = template.find_resources("AWS::DynamoDB::Table")
    return {name.removeprefix("Storage")[:-8]: resource["Properties"] for name, resource in resources.items()}


def keys(schema: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(key["AttributeName"], key["KeyType"]) for key in schema]


def test_the_images_bucket_announces_uploads_without_a_custom_resource(synthesize: Synthesize) -> None:
    template = synthesize()
    template.has_resource_properties(
        "AWS::S3::Bucket",
        {"NotificationConfiguration": {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}},
    )
    template.resource_count_is("Custom::S3BucketNotifications", 0)


def test_an_existing_images_bucket_is_switched_on_and_keeps_its_own_notifications(synthesize: Synthesize) -> None:
    template = synthesize(images_bucket="line-7-uploads")
    assert not [name for name in template.find_resources("AWS::S3::Bucket") if name.startswith("StorageImages")]
    template.has_resource_properties(
        "Custom::S3BucketNotifications",
        {
            "BucketName": "line-7-uploads",
            "NotificationConfiguration": {"EventBridgeConfiguration": {}},
            "Managed": False,  # the CDK's word for: merge with what is there
        },
    )
    template.has_output("ImagesBucket", {"Value": "line-7-uploads"})


def test_only_the_bucket_with_images_announces_anything(synthesize: Synthesize) -> None:
    buckets = synthesize().find_resources("AWS::S3::Bucket")
    announcing = [name for name, bucket in buckets.items() if "NotificationConfiguration" in bucket["Properties"]]
    assert [name[:-8] for name in announcing] == ["StorageImages"]


@pytest.mark.parametrize("stage", ["local", "dev", "prod"])
def test_every_bucket_is_private_encrypted_and_reached_by_tls_only(synthesize: Synthesize, stage: str) -> None:
    template = synthesize(stage)
    template.all_resources_properties(
        "AWS::S3::Bucket",
        {
            "PublicAccessBlockConfiguration": {
                "BlockPublicAcls": True,
                "BlockPublicPolicy": True,
                "IgnorePublicAcls": True,
                "RestrictPublicBuckets": True,
            },
            "BucketEncryption": Match.object_like({}),
            "LifecycleConfiguration": {
                "Rules": [Match.object_like({"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 3}})]
            },
        },
    )
    buckets = template.find_resources("AWS::S3::Bucket")
    policies = template.find_resources("AWS::S3::BucketPolicy")
    refusals = {
        policy["Properties"]["Bucket"]["Ref"]
        for policy in policies.values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny" and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    }
    assert refusals == buckets.keys()


def test_prod_keeps_older_versions_of_objects_for_thirty_days(synthesize: Synthesize) -> None:
    synthesize("prod").all_resources_properties(
        "AWS::S3::Bucket",
        {
            "VersioningConfiguration": {"Status": "Enabled"},
            "LifecycleConfiguration": {
                "Rules": [Match.object_like({"NoncurrentVersionExpiration": {"NoncurrentDays": 30}})]
            },
        },
    )


def test_uploads_to_the_same_key_are_kept_apart_in_aws_and_not_by_the_emulator(synthesize: Synthesize) -> None:
    enabled = {"VersioningConfiguration": {"Status": "Enabled"}}
    (images,) = synthesize("dev").find_resources("AWS::S3::Bucket", {"Properties": enabled}).values()
    assert "NotificationConfiguration" in images["Properties"]
    assert synthesize("local").find_resources("AWS::S3::Bucket", {"Properties": enabled}) == {}


def test_records_are_found_by_image_by_project_and_by_project_with_anomalies(synthesize: Synthesize) -> None:
    table = tables(synthesize())["Inspections"]
    assert keys(table["KeySchema"]) == [("image_uri", "HASH"), ("object_version", "RANGE")]
    assert {index["IndexName"]: keys(index["KeySchema"]) for index in table["GlobalSecondaryIndexes"]} == {
        "by_project": [("project", "HASH"), ("inspected_at", "RANGE")],
        "anomalies_by_project": [("anomalous_project", "HASH"), ("inspected_at", "RANGE")],
        "to_review": [("to_review", "HASH"), ("review_order", "RANGE")],
        "checks_by_project": [("checked_project", "HASH"), ("inspected_at", "RANGE")],
    }


def test_the_registry_lists_its_items_by_kind(synthesize: Synthesize) -> None:
    table = tables(synthesize())["Registry"]
    assert keys(table["KeySchema"]) == [("pk", "HASH"), ("sk", "RANGE")]
    assert {index["IndexName"]: keys(index["KeySchema"]) for index in table["GlobalSecondaryIndexes"]} == {
        "by_kind": [("kind", "HASH"), ("project", "RANGE")]
    }


def test_idempotency_expires_by_itself(synthesize: Synthesize) -> None:
    table = tables(synthesize())["Idempotency"]
    assert keys(table["KeySchema"]) == [("id", "HASH")]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expiration", "Enabled": True}


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_tables_that_hold_data_can_be_restored_to_any_point_in_time(synthesize: Synthesize, stage: str) -> None:
    by_name = tables(synthesize(stage))
    for name in ("Inspections", "Registry"):
        assert by_name[name]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert {table["BillingMode"] for table in by_name.values()} == {"PAY_PER_REQUEST"}


def rules(template: Template, name: str) -> list[dict[str, Any]]:
    """Lifecycle rules of the bucket whose logical id begins so, but for the first one, which every bucket has."""
    buckets = template.find_resources("AWS::S3::Bucket").items()
    (bucket,) = (each for id, each in buckets if id.startswith(f"Storage{name}"))
    listed: list[dict[str, Any]] = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    return listed[1:]


def test_nothing_ends_unless_a_stage_says_so(synthesize: Synthesize) -> None:
    template = synthesize("prod")
    for name in ("Images", "Results", "Models", "Datasets"):
        assert rules(template, name) == []
    assert "TimeToLiveSpecification" not in tables(template)["Inspections"]
    assert not [name for name in template.to_json()["Outputs"] if name.startswith("Keep")]


def test_records_end_by_the_time_that_is_noted_on_them(synthesize: Synthesize) -> None:
    template = synthesize(keep_records_days=90)
    assert tables(template)["Inspections"]["TimeToLiveSpecification"] == {"AttributeName": EXPIRES_AT, "Enabled": True}
    assert "TimeToLiveSpecification" not in tables(template)["Registry"]
    assert rules(template, "Images") == []
    template.has_output("KeepRecordsDays", {"Value": "90"})


def test_pictures_end_by_their_verdict_and_training_images_do_not(synthesize: Synthesize) -> None:
    template = synthesize("prod", keep_normal_pictures_days=7, keep_anomalous_pictures_days=365)
    for name in ("Images", "Results"):
        normal, anomalous, markers = rules(template, name)
        for rule, verdict, days in ((normal, "normal", 7), (anomalous, "anomalous", 365)):
            assert rule["TagFilters"] == [{"Key": "relook-verdict", "Value": verdict}]
            assert rule["ExpirationInDays"] == days
            assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": days}
        assert markers == {"ExpiredObjectDeleteMarker": True, "Status": "Enabled"}
    for name in ("Models", "Datasets"):
        assert rules(template, name) == []
    template.has_output("KeepNormalPicturesDays", {"Value": "7"})
    template.has_output("KeepAnomalousPicturesDays", {"Value": "365"})


def test_one_verdict_may_end_alone_and_buckets_without_versions_leave_no_markers(synthesize: Synthesize) -> None:
    (only,) = rules(synthesize("local", keep_normal_pictures_days=7), "Images")
    assert only == {
        "ExpirationInDays": 7,
        "Status": "Enabled",
        "TagFilters": [{"Key": "relook-verdict", "Value": "normal"}],
    }
