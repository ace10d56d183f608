"""The function, message in to record, pictures and event out; one test a row of the failure table and more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from aws_lambda_powertools.utilities.idempotency.exceptions import IdempotencyAlreadyInProgressError
from botocore.exceptions import ClientError
from PIL import Image

from relook.detection.calibration import confidence
from relook.detection.model import Model
from relook.inspection.pipeline import Pipeline
from relook.inspection.publish import detail_types, event_detail
from relook.inspection.upload import parse_upload
from relook.observability import logger
from relook.quality.thresholds import Band
from relook.registry.checks import list_checks
from relook.registry.hosting import stop_hosting
from relook.registry.reviews import open_reviews
from relook.registry.thresholds import choose_threshold
from tests.account import SETTINGS, Cloud, forget_process_state, message
from tests.unit.parts import (
    HEIGHT,
    OUTDATED,
    SCRATCH_COLOR,
    WHO,
    WIDTH,
    classification_package,
    hosted_package,
    outdated_package,
    part_png,
    png,
    segmentation_package,
)

EVENTS = Path(__file__).parents[2] / "events"


@pytest.fixture
def published(cloud: Cloud) -> Iterator[list[dict[str, Any]]]:
    """Fills with the events of the test when it calls `cloud.published()`; each is checked against its schema."""
    messages: list[dict[str, Any]] = []
    original = cloud.published

    def checked() -> list[dict[str, Any]]:
        new = original()
        for event in new:
            folder = event["detail-type"].lower().replace(" ", "-")
            schema = json.loads((EVENTS / "outbound" / folder / "schema.json").read_text())
            jsonschema.validate(event["detail"], schema)
        messages.extend(new)
        return new

    cloud.published = checked  # type: ignore[method-assign]
    yield messages
    cloud.published()


def test_anomalous_image_gets_record_pictures_and_event(hosted: Cloud, published: list[dict[str, Any]]) -> None:
    data = part_png(2001, is_scratched=True)
    upload = hosted.upload("bracket/line 1/a.png", data, camera="7", operator="=?UTF-8?B?SsO8cmdlbg==?=")

    assert hosted.deliver(upload) == []

    (record,) = hosted.records()
    version = json.loads(upload["body"])["detail"]["object"]["version-id"]
    assert record["image_uri"] == "s3://images/bracket/line 1/a.png"
    assert record["object_version"] == f"{version}#1"
    assert (record["project"], record["model_version"], record["status"]) == ("bracket", "1", "INSPECTED")
    assert record["is_anomalous"] is True
    assert 0.5 < record["confidence"] <= 1
    assert [each["name"] for each in record["anomalies"]] == ["scratch"]
    assert record["anomalies"][0]["color"] == SCRATCH_COLOR
    assert (record["width"], record["height"], record["size_bytes"]) == (WIDTH, HEIGHT, len(data))
    assert record["metadata"] == {"camera": "7", "operator": "Jürgen"}
    assert record["mask_uri"] == f"s3://results/bracket/line 1/a.png/{version}/model-1/mask.png"
    assert record["heat_map_uri"] == f"s3://results/bracket/line 1/a.png/{version}/model-1/heat_map.png"
    for uri in (record["mask_uri"], record["heat_map_uri"]):
        stored = hosted.s3.get_object(Bucket="results", Key=uri.removeprefix("s3://results/"))
        assert stored["ContentType"] == "image/png"
        Image.open(stored["Body"]).verify()

    (event,) = hosted.published()
    detail = event["detail"]
    assert (event["source"], event["detail-type"]) == ("relook", "Anomaly Detected")
    assert detail["inspection_id"] == record["inspection_id"]
    assert detail["image"]["metadata"] == record["metadata"]
    assert detail["anomalies"] == record["anomalies"]
    assert detail["confidence"] == record["confidence"]
    assert "bracket/line 1/a.png looks anomalous" in detail["summary"]
    assert detail == event_detail(record), "who reads the record can tell what was sent"


def test_normal_image_gets_a_record_and_no_event(hosted: Cloud) -> None:
    assert hosted.deliver(hosted.upload("bracket/a.png", part_png(2002))) == []

    (record,) = hosted.records()
    assert record["is_anomalous"] is False
    assert record["anomalies"] == []
    assert "anomalous_project" not in record
    assert hosted.published() == []


def test_the_record_says_what_was_judged_by_what_and_how_unusual_the_image_is(hosted: Cloud) -> None:
    hosted.deliver(hosted.upload("bracket/a.png", part_png(2001, is_scratched=True)))
    (record,) = hosted.records()
    assert record["anomaly_probability"] == record["confidence"] > record["threshold"] == 0.5
    expected = Model(segmentation_package()).detect(part_png(2001, is_scratched=True))
    assert expected.statistics and expected.score is not None
    assert record["score"] == pytest.approx(expected.score) and record["score"] > 3
    for name in ("brightness", "contrast", "sharpness"):
        assert record[name] == pytest.approx(getattr(expected.statistics, name), rel=1e-5)
    assert "to_review" not in record, "version 1 says nothing of what is borderline"


def test_a_moved_threshold_judges_the_next_upload(hosted: Cloud, published: list[dict[str, Any]]) -> None:
    data = part_png(2002)
    hosted.deliver(hosted.upload("bracket/a.png", data))
    usual = hosted.records()[0]
    p = usual["anomaly_probability"]
    assert 0 < p < 0.5 and usual["confidence"] == pytest.approx(1 - p)

    move(hosted, p / 2, Band(p / 4, 0.5))
    hosted.deliver(hosted.upload("bracket/b.png", data))
    (record,) = (each for each in hosted.records() if each["image_uri"].endswith("b.png"))
    assert record["is_anomalous"] is True
    assert (record["anomaly_probability"], record["threshold"]) == (p, pytest.approx(p / 2))
    assert record["confidence"] == pytest.approx(confidence(p, p / 2), abs=1e-6)
    assert [each["object_version"] for each in open_reviews(hosted.inspections, "bracket")] == [
        record["object_version"]
    ]
    assert [event["detail-type"] for event in hosted.published()] == ["Anomaly Detected"]

    move(hosted, p / 2, Band(p / 4, p))
    hosted.deliver(hosted.upload("bracket/c.png", data))
    assert len(list(open_reviews(hosted.inspections, "bracket"))) == 1, "it is beyond the band now"


def move(hosted: Cloud, value: float, borderline: Band) -> None:
    choose_threshold(hosted.registry, "bracket", "1", value, how="by hand", who=WHO, borderline=borderline)


@pytest.mark.parametrize(("expected", "is_met"), [("normal", False), ("anomaly", True), (" Anomaly", True)])
def test_a_golden_part_is_a_check(hosted: Cloud, published: list[dict[str, Any]], expected: str, is_met: bool) -> None:
    move(hosted, 0.5, Band(0.0, 1.0))
    data = part_png(2001, is_scratched=True)
    hosted.deliver(hosted.upload("bracket/golden.png", data, expected=expected, camera="7"))
    (record,) = hosted.records()
    assert (record["expected"], record["is_expected_met"]) == (expected.strip().lower(), is_met)
    assert list(list_checks(hosted.inspections, "bracket")) == [record]
    assert list(open_reviews(hosted.inspections, "bracket")) == [record] * (not is_met), "a missed one waits always"
    told = {event["detail-type"]: event["detail"] for event in hosted.published()}
    assert told.keys() == {"Anomaly Detected"} | (set() if is_met else {"Check Failed"})
    assert told["Anomaly Detected"]["is_expected_met"] is is_met
    assert all(detail == event_detail(record) for detail in told.values())
    assert detail_types(record, every_inspection=False) == sorted(told)
    if not is_met:
        assert "expected was normal" in told["Check Failed"]["summary"]


def test_a_check_that_cannot_be_read_is_neither_met_nor_missed(hosted: Cloud, published: list[dict[str, Any]]) -> None:
    hosted.deliver(hosted.upload("bracket/golden.png", b"no image", expected="normal"))
    (record,) = hosted.records()
    assert record["expected"] == "normal" and "is_expected_met" not in record and "to_review" not in record
    (event,) = hosted.published()
    assert event["detail-type"] == "Image Rejected" == detail_types(record, every_inspection=True)[0]
    assert event["detail"] == event_detail(record)


def test_other_words_expect_nothing(hosted: Cloud) -> None:
    hosted.deliver(hosted.upload("bracket/a.png", part_png(2002), expected="fine"))
    (record,) = hosted.records()
    assert record["metadata"] == {"expected": "fine"}
    assert "expected" not in record and "checked_project" not in record


def test_every_inspection_is_published_when_switched_on(
    hosted: Cloud, monkeypatch: pytest.MonkeyPatch, published: list[dict[str, Any]]
) -> None:
    monkeypatch.setenv("PUBLISH_EVERY_INSPECTION", "true")
    forget_process_state()
    hosted.deliver(hosted.upload("bracket/a.png", part_png(2002)))
    assert [event["detail-type"] for event in hosted.published()] == ["Image Inspected"]
    hosted.deliver(hosted.upload("bracket/b.png", part_png(2001, is_scratched=True)))
    assert {event["detail-type"] for event in hosted.published()} == {"Image Inspected", "Anomaly Detected"}


def test_classification_model_stores_a_heat_map_and_no_mask(cloud: Cloud) -> None:
    hosted_package(cloud.registry, cloud.s3, "bracket", classification_package())
    cloud.deliver(cloud.upload("bracket/a.png", part_png(2001, is_scratched=True)))
    (record,) = cloud.records()
    assert record["is_anomalous"] is True
    assert "mask_uri" not in record
    assert record["heat_map_uri"].endswith("heat_map.png")


REJECTED = {
    "empty": ("bracket/a.png", b"", "EMPTY"),
    "text": ("bracket/a.jpg", b"this is not an image", "UNSUPPORTED_FORMAT"),
    "truncated": ("bracket/a.png", part_png(1)[:2000], "CORRUPT"),
    "too large": ("bracket/a.png", part_png(1) + bytes(8 * 1024 * 1024), "TOO_LARGE"),
    "unlike the model's size": ("bracket/a.png", None, "SIZE_MISMATCH"),
    "unknown project": ("gear/a.png", part_png(1), "UNKNOWN_PROJECT"),
    "a name no project can have": ("my gear/a.png", part_png(1), "UNKNOWN_PROJECT"),
    "no project": ("a.png", part_png(1), "NO_PROJECT"),
    "empty project": ("/a.png", part_png(1), "NO_PROJECT"),
}


@pytest.mark.parametrize(("key", "data", "reason"), REJECTED.values(), ids=REJECTED.keys())
def test_what_cannot_be_inspected_is_recorded_and_announced(
    hosted: Cloud, published: list[dict[str, Any]], key: str, data: bytes | None, reason: str
) -> None:
    if data is None:
        data = png(Image.new("RGB", (WIDTH, HEIGHT + 8), "grey"))

    assert hosted.deliver(hosted.upload(key, data, line="2")) == []

    (record,) = hosted.records()
    assert (record["status"], record["reason"]) == ("REJECTED", reason)
    assert record["message"]
    assert "is_anomalous" not in record
    assert hosted.pictures() == []
    (event,) = hosted.published()
    assert event["detail-type"] == "Image Rejected"
    assert event["detail"]["reason"] == reason
    assert event["detail"]["message"] in event["detail"]["summary"]
    if record.get("model_version"):
        assert record["metadata"] == {"line": "2"}


def test_an_object_too_large_is_not_downloaded(hosted: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.response import StreamingBody

    upload = hosted.upload("bracket/a.png", bytes(8 * 1024 * 1024 + 1))

    def read(*_: object) -> bytes:
        raise AssertionError("the body was read")

    monkeypatch.setattr(StreamingBody, "read", read)
    assert hosted.deliver(upload) == []
    assert hosted.records()[0]["reason"] == "TOO_LARGE"


def test_deleted_version_is_rejected(hosted: Cloud, published: list[dict[str, Any]]) -> None:
    upload = hosted.upload("bracket/a.png", part_png(1))
    hosted.s3.delete_object(
        Bucket="images", Key="bracket/a.png", VersionId=json.loads(upload["body"])["detail"]["object"]["version-id"]
    )
    assert hosted.deliver(upload) == []
    assert hosted.records()[0]["reason"] == "OBJECT_GONE"
    assert len(hosted.published()) == 1


def test_overwritten_versions_keep_a_record_each(hosted: Cloud) -> None:
    first = hosted.upload("bracket/a.png", part_png(2002))
    second = hosted.upload("bracket/a.png", part_png(2001, is_scratched=True))
    assert hosted.deliver(first, {**second, "messageId": "message-2"}) == []
    assert sorted(record["is_anomalous"] for record in hosted.records()) == [False, True]


def test_without_versioning_only_the_current_content_can_be_inspected(hosted: Cloud) -> None:
    first = hosted.upload("bracket/a.png", part_png(2002), bucket="unversioned")
    second = hosted.upload("bracket/a.png", part_png(2001, is_scratched=True), bucket="unversioned")
    assert hosted.deliver(first, {**second, "messageId": "message-2"}) == []
    by_status = {record["status"]: record for record in hosted.records()}
    assert by_status["REJECTED"]["reason"] == "OBJECT_GONE"
    assert by_status["INSPECTED"]["is_anomalous"] is True


@pytest.mark.parametrize("name", ["a b+c.png", "größe/éà.png", "100%25.png", "plus+%2B.png", "ends with space .png"])
def test_keys_are_taken_as_they_are(hosted: Cloud, name: str) -> None:
    hosted.deliver(hosted.upload(f"bracket/{name}", part_png(2002)))
    (record,) = hosted.records()
    assert record["image_uri"] == f"s3://images/bracket/{name}"
    assert record["heat_map_uri"].removeprefix("s3://results/") in hosted.pictures()


def test_a_key_of_the_longest_length_still_has_pictures(hosted: Cloud) -> None:
    key = "bracket/" + "x" * (1024 - len("bracket/"))
    assert hosted.deliver(hosted.upload(key, part_png(2002))) == []
    (record,) = hosted.records()
    assert record["heat_map_uri"].removeprefix("s3://results/") in hosted.pictures()


def test_a_project_without_hosted_model_is_tried_again(hosted: Cloud) -> None:
    stop_hosting(hosted.registry, "bracket", "1", who=WHO)
    upload = hosted.upload("bracket/a.png", part_png(2002))
    assert hosted.deliver(upload) == ["message-1"]
    assert hosted.records() == []
    hosted_package(hosted.registry, hosted.s3, "bracket")
    assert hosted.deliver(upload) == []
    assert hosted.records()[0]["model_version"] == "2"


def test_only_the_failing_message_is_tried_again(hosted: Cloud) -> None:
    good = {**hosted.upload("bracket/a.png", part_png(2002)), "messageId": "good"}
    poison = {"messageId": "poison", "body": "{]", "eventSource": "aws:sqs"}
    other = {**message({}), "messageId": "incomplete"}
    assert hosted.deliver(poison, good, other) == ["poison", "incomplete"]
    assert len(hosted.records()) == 1


def test_the_same_event_twice_is_one_inspection(hosted: Cloud) -> None:
    upload = hosted.upload("bracket/a.png", part_png(2001, is_scratched=True))
    assert hosted.deliver(upload, {**upload, "messageId": "message-2"}) == []
    assert hosted.deliver(upload) == []
    assert len(hosted.records()) == 1
    assert len(hosted.published()) == 1


def test_an_inspection_under_way_elsewhere_is_left_alone(hosted: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = hosted.upload("bracket/a.png", part_png(2001, is_scratched=True))
    original, refused = Pipeline._look, []

    def look_while_a_duplicate_arrives(self: Pipeline, *arguments: Any) -> Any:
        with pytest.raises(IdempotencyAlreadyInProgressError) as caught:
            self.inspect(parse_upload(upload["body"]), hosted.context)
        refused.append(caught.value)
        return original(self, *arguments)

    monkeypatch.setattr(Pipeline, "_look", look_while_a_duplicate_arrives)
    assert hosted.deliver(upload) == []
    assert len(refused) == 1
    assert len(hosted.published()) == 1
    assert hosted.deliver({**upload, "messageId": "duplicate"}) == []
    assert hosted.published() == []


def test_a_new_model_version_inspects_anew(hosted: Cloud) -> None:
    upload = hosted.upload("bracket/a.png", part_png(2002))
    hosted.deliver(upload)
    hosted_package(hosted.registry, hosted.s3, "bracket")
    hosted.deliver(upload)
    assert [record["model_version"] for record in hosted.records()] == ["1", "2"]


def test_a_project_made_anew_does_not_meet_its_old_model(hosted: Cloud) -> None:
    hosted.deliver(hosted.upload("bracket/a.png", part_png(2001, is_scratched=True)))
    for item in hosted.dynamodb.scan(TableName=SETTINGS.registry_table)["Items"]:
        hosted.dynamodb.delete_item(TableName=SETTINGS.registry_table, Key={k: item[k] for k in ("pk", "sk")})
    hosted_package(hosted.registry, hosted.s3, "bracket", classification_package())
    hosted.deliver(hosted.upload("bracket/b.png", part_png(2001, is_scratched=True)))
    assert [("mask_uri" in record) for record in hosted.records()].count(True) == 1


def test_partial_put_events_is_tried_again(hosted: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = hosted.upload("bracket/a.png", part_png(2001, is_scratched=True))
    refuse_events(monkeypatch)
    assert hosted.deliver(upload) == ["message-1"]
    monkeypatch.undo()
    for name, value in {**SETTINGS.to_env(), "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    assert hosted.deliver(upload) == []
    assert len(hosted.published()) == 1


def refuse_events(monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.client import BaseClient

    original = BaseClient._make_api_call

    def call(self: BaseClient, name: str, arguments: dict[str, Any]) -> Any:
        if name == "PutEvents":
            failed = {"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"}
            return {"FailedEntryCount": 1, "Entries": [failed]}
        return original(self, name, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)


def test_throttling_of_the_table_is_tried_again(hosted: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.client import BaseClient

    upload = hosted.upload("bracket/a.png", part_png(2002))
    original = BaseClient._make_api_call

    def call(self: BaseClient, name: str, arguments: dict[str, Any]) -> Any:
        if name == "PutItem" and arguments["TableName"] == SETTINGS.inspections_table:
            raise ClientError({"Error": {"Code": "ProvisionedThroughputExceededException", "Message": ""}}, name)
        return original(self, name, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    assert hosted.deliver(upload) == ["message-1"]


def test_a_damaged_package_is_no_verdict(hosted: Cloud) -> None:
    hosted.s3.put_object(Bucket="models", Key="bracket/1/graph.onnx", Body=b"tampered")
    assert hosted.deliver(hosted.upload("bracket/a.png", part_png(2002))) == ["message-1"]
    assert hosted.records() == []


def test_a_model_of_an_older_relook_is_no_verdict_and_the_log_says_what_to_do(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosted_package(cloud.registry, cloud.s3, "bracket", outdated_package())
    upload = cloud.upload("bracket/a.png", part_png(2002))
    stream = StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", stream)
    assert cloud.deliver(upload) == ["message-1"]
    (log,) = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (log["message"], log["exception_name"]) == ("inspection failed", "PackageError")
    assert OUTDATED in log["exception"]
    assert (cloud.records(), cloud.pictures(), cloud.published()) == ([], [], [])

    hosted_package(cloud.registry, cloud.s3, "bracket", classification_package())  # trained again
    assert cloud.deliver(upload) == []
    assert [record["model_version"] for record in cloud.records()] == ["2"]


def test_one_log_line_and_the_published_metrics(
    hosted: Cloud, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", stream)
    hosted.deliver(hosted.upload("bracket/a.png", part_png(2001, is_scratched=True)))

    (log,) = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert log["message"] == "inspection"
    assert log["is_anomalous"] is True
    assert log["published"] == ["Anomaly Detected"]
    (metrics,) = metrics_lines(capsys)
    (described,) = metrics["_aws"]["CloudWatchMetrics"]
    assert described["Namespace"] == "Relook"
    assert described["Dimensions"] == [["ProjectName", "ModelVersion"]]
    assert (metrics["ProjectName"], metrics["ModelVersion"]) == ("bracket", "1")
    assert (metrics["ProcessedImageCount"], metrics["DetectedAnomalyCount"]) == ([1], [1])


def metrics_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line for line in lines if "_aws" in line]


def test_made_up_projects_make_no_metrics_of_their_own(hosted: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    hosted.deliver(hosted.upload("made-up-1/a.png", part_png(2001)))
    (metrics,) = metrics_lines(capsys)
    assert metrics["ProjectName"] == "unknown"
    assert metrics["InvalidImageCount"] == [1]


@pytest.mark.parametrize(
    "path", sorted((EVENTS / "inbound" / "inspect_image").glob("*.json")), ids=lambda path: path.stem
)
def test_the_inbound_samples_drive_the_function(hosted: Cloud, path: Path) -> None:
    """With the objects they speak of in place, every sample ends in records, except for the malformed one."""
    batch = json.loads(path.read_text())
    expected_failures = []
    for sample in batch["Records"]:
        try:
            event = json.loads(sample["body"])
            described = event["detail"]["object"]
        except (ValueError, LookupError, TypeError):
            expected_failures.append(sample["messageId"])
            continue
        bucket = "images" if "version-id" in described else "unversioned"
        uploaded = json.loads(hosted.upload(described["key"], part_png(2002), bucket=bucket)["body"])["detail"]
        event["detail"]["bucket"] = uploaded["bucket"]
        event["detail"]["object"] = {**described, **uploaded["object"]}
        sample["body"] = json.dumps(event)
    assert hosted.deliver(*batch["Records"]) == expected_failures
    assert len(hosted.records()) == len(batch["Records"]) - len(expected_failures)


def test_the_same_content_uploaded_again_is_inspected_again(hosted: Cloud) -> None:
    """In a bucket without versions: overwritten before it was looked at, then put back."""
    scratched, other = part_png(2001, is_scratched=True), part_png(2002)
    messages = [
        numbered(hosted.upload("bracket/a.png", data, bucket="unversioned"), number)
        for number, data in enumerate((scratched, other))
    ]
    assert hosted.deliver(*messages) == []
    assert {record["status"] for record in hosted.records()} == {"INSPECTED", "REJECTED"}
    again = numbered(hosted.upload("bracket/a.png", scratched, bucket="unversioned"), 2)
    assert hosted.deliver(again) == []
    assert {record["status"] for record in hosted.records()} == {"INSPECTED"}
    assert [event["detail-type"] for event in hosted.published()] == ["Image Rejected", "Anomaly Detected"]
    assert hosted.deliver(again) == []
    assert hosted.published() == []


def numbered(upload: dict[str, Any], number: int) -> dict[str, Any]:
    body = json.loads(upload["body"])
    body["detail"]["object"]["sequencer"] = f"{number:016X}"
    return {**upload, "body": json.dumps(body), "messageId": str(number)}


def test_an_archived_object_is_rejected(hosted: Cloud, published: list[dict[str, Any]]) -> None:
    upload = hosted.upload("bracket/a.png", part_png(2002))
    hosted.s3.copy_object(
        Bucket="images",
        Key="bracket/a.png",
        CopySource={"Bucket": "images", "Key": "bracket/a.png"},
        StorageClass="GLACIER",
    )
    body = json.loads(upload["body"])
    body["detail"]["object"]["version-id"] = hosted.s3.head_object(Bucket="images", Key="bracket/a.png")["VersionId"]
    assert hosted.deliver({**upload, "body": json.dumps(body)}) == []
    assert hosted.records()[0]["reason"] == "OBJECT_ARCHIVED"


def test_an_empty_object_that_shows_a_folder_is_no_image(hosted: Cloud, published: list[dict[str, Any]]) -> None:
    assert hosted.deliver(hosted.upload("bracket/line 1/", b"")) == []
    assert hosted.records() == []
    assert hosted.published() == []
    assert hosted.deliver(hosted.upload("bracket/line 1/", b"x")) == []  # which is no image either, but is something
    assert [record["reason"] for record in hosted.records()] == ["UNSUPPORTED_FORMAT"]
