"""The stack as it was deployed: uploads in, records, pictures, events and dead letters out."""

from __future__ import annotations

import json
import time
from io import BytesIO

import boto3
import pytest
from PIL import Image

from relook.aws.table import Item
from relook.registry.history import list_history
from relook.registry.reviews import open_reviews
from relook.registry.thresholds import choose_threshold
from tests.integration.conftest import CLASSIFICATION, SEGMENTATION, Deployed, wait_for
from tests.unit.parts import HEIGHT, WIDTH, part_png, register_hosted, segmentation_package

pytestmark = pytest.mark.integration


def test_what_is_tried_in_vain_is_a_dead_letter_and_inspected_once_it_is_sent_back(
    deployed: Deployed, sent_in_vain: str, redriven: list[Item]
) -> None:
    assert redriven == []
    (record,) = deployed.records(sent_in_vain)
    assert record["is_anomalous"] is True


def test_anomalous_image_of_a_segmentation_model(deployed: Deployed) -> None:
    key = f"{SEGMENTATION}/happy/scratched.png"
    version = deployed.upload(key, part_png(3001, is_scratched=True), camera="7")

    (record,) = deployed.records(key)
    assert record["object_version"] == f"{version}#1"
    assert record["is_anomalous"] is True
    assert [each["name"] for each in record["anomalies"]] == ["scratch"]
    assert record["metadata"] == {"camera": "7"}
    bucket, _, mask_key = record["mask_uri"].removeprefix("s3://").partition("/")
    assert bucket == deployed.stack.outputs["ResultsBucket"]
    mask = Image.open(BytesIO(deployed.stack.clients.s3.get_object(Bucket=bucket, Key=mask_key)["Body"].read()))
    assert (mask.mode, mask.size) == ("RGB", (WIDTH, HEIGHT))
    (event,) = deployed.events_about(key)
    assert event["detail-type"] == "Anomaly Detected"
    assert event["detail"]["inspection_id"] == record["inspection_id"]


def test_normal_image_of_a_classification_model(deployed: Deployed) -> None:
    key = f"{CLASSIFICATION}/happy/normal.png"
    deployed.upload(key, part_png(3002))
    (record,) = deployed.records(key)
    assert record["is_anomalous"] is False
    assert "mask_uri" not in record
    assert "heat_map_uri" in record


@pytest.mark.parametrize(
    ("key", "data", "reason"),
    [
        (f"{SEGMENTATION}/refused/notes.jpg", b"no image at all", "UNSUPPORTED_FORMAT"),
        (f"{SEGMENTATION}/refused/half.png", part_png(1)[:3000], "CORRUPT"),
        ("gear/a.png", part_png(1), "UNKNOWN_PROJECT"),
        ("loose.png", part_png(1), "NO_PROJECT"),
    ],
    ids=["not an image", "truncated", "unknown project", "no project"],
)
def test_what_cannot_be_inspected(deployed: Deployed, key: str, data: bytes, reason: str) -> None:
    deployed.upload(key, data)
    (record,) = deployed.records(key)
    assert (record["status"], record["reason"]) == ("REJECTED", reason)
    (event,) = deployed.events_about(key)
    assert (event["detail-type"], event["detail"]["reason"]) == ("Image Rejected", reason)


@pytest.mark.parametrize("name", ["a b+c.png", "größe/é.png", "100%25.png", "plus+%2B & more.png"])
def test_keys_arrive_as_they_are(deployed: Deployed, name: str) -> None:
    key = f"{SEGMENTATION}/keys/{name}"
    deployed.upload(key, part_png(3002))
    (record,) = deployed.records(key)
    assert record["status"] == "INSPECTED"


def test_an_overwritten_object_keeps_two_records(deployed: Deployed) -> None:
    key = f"{SEGMENTATION}/twice.png"
    first = deployed.upload(key, part_png(3002))
    deployed.records(key)
    second = deployed.upload(key, part_png(3003, is_scratched=True))
    assert first != second
    records = {record["object_version"]: record for record in deployed.records(key, count=2)}
    assert records[f"{first}#1"]["is_anomalous"] is False
    assert records[f"{second}#1"]["is_anomalous"] is True


def test_the_same_event_many_times_at_once_is_one_inspection(deployed: Deployed) -> None:
    # From a bucket whose uploads nobody announces, so that only our own events speak of it.
    s3, bucket, key = deployed.stack.clients.s3, "unannounced", f"{SEGMENTATION}/duplicate.png"
    s3.create_bucket(Bucket=bucket)
    data = part_png(3004, is_scratched=True)
    etag = s3.put_object(Bucket=bucket, Key=key, Body=data)["ETag"].strip('"')
    described = {"key": key, "size": len(data), "etag": etag, "sequencer": "1"}
    detail = {"bucket": {"name": bucket}, "object": described}
    body = json.dumps({"source": "aws.s3", "detail-type": "Object Created", "detail": detail})
    deployed.stack.clients.sqs.send_message_batch(
        QueueUrl=deployed.stack.outputs["InspectionQueueUrl"],
        Entries=[{"Id": str(i), "MessageBody": body} for i in range(10)],
    )
    assert len(deployed.events_about(key)) == 1
    sentinel = f"{SEGMENTATION}/after-duplicate.png"
    deployed.upload(sentinel, data)
    deployed.events_about(sentinel)
    assert len(deployed.events_about(key)) == 1
    assert len(list(deployed.stack.inspections.query(("image_uri", f"s3://{bucket}/{key}")))) == 1


def test_alerts_are_readable_and_none_is_about_a_golden_part_that_met_its_check(deployed: Deployed) -> None:
    sqs = deployed.stack.clients.sqs
    sns = boto3.client(
        "sns",
        endpoint_url=sqs.meta.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    queue_url = sqs.create_queue(QueueName="alert-reader")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=deployed.stack.outputs["AlertTopic"], Protocol="sqs", Endpoint=arn)
    golden, key = f"{SEGMENTATION}/golden.png", f"{SEGMENTATION}/alerting.png"
    deployed.upload(golden, part_png(3006, is_scratched=True), expected="anomaly")
    assert deployed.events_about(golden)[0]["detail-type"] == "Anomaly Detected"
    deployed.upload(key, part_png(3006, is_scratched=True))
    texts: list[str] = []

    def alert() -> str | None:
        messages = sqs.receive_message(QueueUrl=queue_url, WaitTimeSeconds=1, MaxNumberOfMessages=10).get(
            "Messages", []
        )
        texts.extend(str(json.loads(message["Body"])["Message"]) for message in messages)
        return next((text for text in texts if key in text), None)

    text = wait_for(alert, "alert", limit_s=30)
    assert "Anomaly Detected" in text
    assert f"{key} looks anomalous" in text
    assert "{" not in text
    assert not any(golden in each for each in texts)


def test_a_hundred_uploads_all_arrive(deployed: Deployed) -> None:
    started = time.monotonic()
    keys = [f"{SEGMENTATION}/many/{i}.png" for i in range(100)]
    for i, key in enumerate(keys):
        deployed.upload(key, part_png(4000 + i % 5))
    for key in keys:
        (record,) = deployed.records(key)
        assert record["status"] == "INSPECTED"
    assert time.monotonic() - started < 60


def test_poison_sent_back_is_a_dead_letter_again_and_only_it(deployed: Deployed, redriven: list[Item]) -> None:
    wait_for(lambda: deployed.dead_letters() == 1 or None, "poison among the dead letters", limit_s=120)


def test_a_threshold_moves_and_the_next_upload_is_judged_by_it(deployed: Deployed) -> None:
    """And a golden part that is missed thereby is told of, and waits for a person."""
    stack, project = deployed.stack, "moved"
    register_hosted(stack.registry, stack.clients.s3, stack.outputs["ModelsBucket"], project, segmentation_package())
    data = part_png(3002)
    deployed.upload(f"{project}/before.png", data)
    (before,) = deployed.records(f"{project}/before.png")
    assert before["is_anomalous"] is False

    below = before["anomaly_probability"] / 2
    entry = choose_threshold(stack.registry, project, "1", below, how="by hand", who=stack.clients.caller)
    stack.tell(entry)
    key = f"{project}/after.png"
    deployed.upload(key, data, expected="normal")

    (after,) = deployed.records(key)
    assert (after["is_anomalous"], after["is_expected_met"]) == (True, False)
    assert after["anomaly_probability"] == before["anomaly_probability"] > after["threshold"] == pytest.approx(below)
    assert {event["detail-type"] for event in deployed.events_about(key, 2)} == {"Anomaly Detected", "Check Failed"}
    assert [each["image_uri"] for each in open_reviews(stack.inspections, project)] == [deployed.uri(key)]
    assert [each.what for each in list_history(stack.registry, project)] == ["Threshold Changed", "Model Hosted"]
