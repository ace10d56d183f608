"""The catalogue in `events/` is complete, valid, and says what the code says."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from aws_cdk import App
from aws_cdk.assertions import Match, Template
from jsonschema import Draft202012Validator

from relook.detection.result import is_type_name
from relook.errors import ImageRejectedError, MalformedMessageError, RejectionReason
from relook.events import SCHEMA_VERSION, SOURCE, DetailType
from relook.inspection.upload import parse_upload
from relook.training.request import parse_request
from relook.watching.watch import Round, Subject

EVENTS = Path(__file__).parents[2] / "events"
README = (EVENTS / "README.md").read_text()
OUTBOUND = sorted(path.name for path in (EVENTS / "outbound").iterdir())
INBOUND = sorted(path.stem for path in (EVENTS / "inbound" / "inspect_image").iterdir())
ROUNDS = sorted(path.stem for path in (EVENTS / "inbound" / "watch_quality").iterdir())
TRAININGS = sorted(path.stem for path in (EVENTS / "inbound" / "train_model").iterdir())


def load(path: str) -> Any:
    return json.loads((EVENTS / path).read_text())


def identity(schema: Any) -> str:
    """What consumers deduplicate on."""
    name: str
    (name,) = {"inspection_id", "training_id", "change_id", "watch_id"} & schema["properties"].keys()
    return name


def bodies(sample: str) -> list[str]:
    return [record["body"] for record in load(f"inbound/inspect_image/{sample}.json")["Records"]]


# --- outbound


@pytest.mark.parametrize("folder", OUTBOUND)
def test_the_example_is_a_whole_event_whose_detail_validates(folder: str) -> None:
    event, schema = load(f"outbound/{folder}/example.json"), load(f"outbound/{folder}/schema.json")

    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(event["detail"])
    assert event.keys() == {
        "version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail",
    }  # fmt: skip
    assert event["source"] == SOURCE
    assert event["detail-type"] == schema["title"]
    assert event["detail-type"].lower().replace(" ", "-") == folder
    assert event["detail"]["schema_version"] == SCHEMA_VERSION


@pytest.mark.parametrize("folder", OUTBOUND)
def test_a_schema_is_strict_and_describes_every_field(folder: str) -> None:
    detail, schema = load(f"outbound/{folder}/example.json")["detail"], load(f"outbound/{folder}/schema.json")
    validator = Draft202012Validator(schema)

    assert not validator.is_valid({**detail, "surprise": 1})
    objects = {name: field["properties"] for name, field in schema["properties"].items() if "properties" in field}
    for name in objects:
        assert not validator.is_valid({**detail, name: {**detail[name], "surprise": 1}}), name
    assert not validator.is_valid({**detail, identity(schema): detail[identity(schema)].upper()})
    for name in schema["required"]:
        assert not validator.is_valid({key: value for key, value in detail.items() if key != name}), name
    for properties in (schema["properties"], *objects.values()):
        for name, field in properties.items():
            assert field["description"], name


def test_there_is_a_folder_for_every_event_the_code_sends_and_the_catalogue_lists_them() -> None:
    rows = re.findall(r"^\| `([A-Z][\w ]+)` \|.*\(outbound/([\w-]+)/schema.json\).*\(outbound/([\w-]+)/example.json\)",
                      README, re.M)  # fmt: skip

    assert sorted(detail_type for detail_type, _, _ in rows) == sorted(DetailType)
    assert sorted(folder for _, folder, _ in rows) == sorted(folder for _, _, folder in rows) == OUTBOUND
    for detail_type, folder, _ in rows:
        assert load(f"outbound/{folder}/schema.json")["title"] == detail_type


def test_a_detected_anomaly_is_always_anomalous() -> None:
    detail = load("outbound/anomaly-detected/example.json")["detail"]

    assert not Draft202012Validator(load("outbound/anomaly-detected/schema.json")).is_valid(
        {**detail, "is_anomalous": False}
    )


@pytest.mark.parametrize(
    ("name", "is_valid"),
    [("deep scratch", True), ("broken_large", True), ("Öl-Fleck", True), ("傷", True), ("", False), ("a\nb", False)],
)
def test_a_type_is_called_as_it_was_labelled(name: str, is_valid: bool) -> None:
    for folder in ("anomaly-detected", "image-inspected"):
        schema = load(f"outbound/{folder}/schema.json")
        kind = schema["properties"]["anomalies"]["items"]["properties"]["name"]
        assert Draft202012Validator(kind).is_valid(name) is is_valid
        assert is_type_name(name) is is_valid


def test_the_reasons_are_those_of_the_code() -> None:
    schema = load("outbound/image-rejected/schema.json")

    assert schema["properties"]["reason"]["enum"] == list(RejectionReason)


# --- consumers


def test_the_cdk_rule_synthesizes_with_its_queue_policy() -> None:
    code = re.findall(r"```python\n(.*?)```", README, re.S)[0]
    names: dict[str, Any] = {}
    exec(code, names)

    template = Template.from_stack(names["AnomalyConsumer"](App(), "Consumer", event_bus="the-bus"))

    template.has_resource_properties(
        "AWS::Events::Rule",
        {
            "EventBusName": "the-bus",
            "EventPattern": {
                "source": [SOURCE],
                "detail-type": [DetailType.ANOMALY_DETECTED],
                "detail": {"project": ["bracket"]},
            },
        },
    )
    statement = Match.object_like(
        {"Action": Match.array_with(["sqs:SendMessage"]), "Principal": {"Service": "events.amazonaws.com"}}
    )
    template.has_resource_properties(
        "AWS::SQS::QueuePolicy", {"PolicyDocument": {"Statement": Match.array_with([statement])}}
    )


def test_the_cloudformation_rule_is_the_same_one_and_may_send_to_its_queue() -> None:
    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        """Reads !Ref and !GetAtt as the text after them."""

    Loader.add_multi_constructor("!", lambda loader, tag, node: f"{tag} {node.value}")
    template = yaml.load(re.findall(r"```yaml\n(.*?)```", README, re.S)[0], Loader)

    rule = template["Resources"]["AnomalyDetected"]["Properties"]
    assert rule["EventBusName"] == "Ref EventBus"
    assert rule["EventPattern"] == {
        "source": [SOURCE],
        "detail-type": [DetailType.ANOMALY_DETECTED],
        "detail": {"project": ["bracket"]},
    }
    assert [target["Arn"] for target in rule["Targets"]] == ["GetAtt Anomalies.Arn"]
    policy = template["Resources"]["AnomaliesPolicy"]["Properties"]
    assert policy["Queues"] == ["Ref Anomalies"]
    assert policy["PolicyDocument"]["Statement"] == [
        {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": "GetAtt Anomalies.Arn",
            "Condition": {"ArnEquals": {"aws:SourceArn": "GetAtt AnomalyDetected.Arn"}},
        }
    ]


# --- inbound


def test_the_catalogue_lists_the_inbound_samples() -> None:
    assert sorted(re.findall(r"\(inbound/inspect_image/(\w+)\.json\)", README)) == INBOUND
    assert sorted(re.findall(r"\(inbound/train_model/(\w+)\.json\)", README)) == TRAININGS
    assert sorted(re.findall(r"\(inbound/watch_quality/(\w+)\.json\)", README)) == ROUNDS


@pytest.mark.parametrize(
    "sample", [*(f"inspect_image/{each}" for each in INBOUND), *(f"train_model/{each}" for each in TRAININGS)]
)
def test_a_sample_is_a_batch_as_lambda_gets_it_from_sqs(sample: str) -> None:
    records = load(f"inbound/{sample}.json")["Records"]

    for record in records:
        assert record["eventSource"] == "aws:sqs"
        assert record["md5OfBody"] == hashlib.md5(record["body"].encode(), usedforsecurity=False).hexdigest()
        assert {"ApproximateReceiveCount", "SentTimestamp"} <= record["attributes"].keys()
    assert len({record["messageId"] for record in records}) == len(records)


@pytest.mark.parametrize("sample", [sample for sample in INBOUND if sample != "malformed_body"])
def test_a_body_is_a_whole_object_created_event(sample: str) -> None:
    for body in bodies(sample):
        event = json.loads(body)
        detail, upload = event["detail"], parse_upload(body)
        assert (event["source"], event["detail-type"]) == ("aws.s3", "Object Created")
        assert event.keys() == load("outbound/image-rejected/example.json").keys()
        assert event["resources"] == [f"arn:aws:s3:::{detail['bucket']['name']}"]
        assert detail.keys() == {
            "version", "event-version", "bucket", "object", "request-id", "requester", "source-ip-address", "reason",
        }  # fmt: skip
        assert detail["object"].keys() - {"version-id"} == {"key", "size", "etag", "sequencer"}
        assert (upload.bucket, upload.key) == (detail["bucket"]["name"], detail["object"]["key"])
        assert upload.version_id == detail["object"].get("version-id")


def test_the_batch_holds_several_images_of_two_projects() -> None:
    uploads = [parse_upload(body) for body in bodies("batch")]

    assert [upload.project for upload in uploads] == ["bracket", "board", "bracket"]
    assert len({upload.inspection_id("1") for upload in uploads}) == 3


def test_the_unusual_key_holds_what_url_decoding_would_spoil() -> None:
    (upload,) = map(parse_upload, bodies("unusual_key"))

    assert upload.uri == "s3://relook-images/bracket/line 2/50% + ünïcode 検査 (1).jpg"


def test_the_unversioned_upload_is_told_apart_by_its_etag() -> None:
    (upload,) = map(parse_upload, bodies("unversioned_bucket"))

    assert upload.version_id is None
    assert upload.object_version == upload.etag


def test_the_key_without_project_is_rejected() -> None:
    (upload,) = map(parse_upload, bodies("key_without_project"))

    with pytest.raises(ImageRejectedError) as refusal:
        _ = upload.project
    assert refusal.value.reason is RejectionReason.NO_PROJECT


def test_of_the_malformed_bodies_only_the_last_can_be_read() -> None:
    *broken, sound = bodies("malformed_body")

    assert len(broken) == 2
    for body in broken:
        with pytest.raises(MalformedMessageError):
            parse_upload(body)
    assert parse_upload(sound).project == "bracket"


@pytest.mark.parametrize(("sample", "attempt"), [("one_version", 1), ("crashed_before", 3)])
def test_a_request_names_the_model_version_to_train(sample: str, attempt: int) -> None:
    (record,) = load(f"inbound/train_model/{sample}.json")["Records"]

    request = parse_request(record["body"], record["attributes"]["ApproximateReceiveCount"])

    assert (request.project, request.version, request.attempt) == ("bracket", "3", attempt)


def test_a_malformed_request_cannot_be_read() -> None:
    (record,) = load("inbound/train_model/malformed_body.json")["Records"]

    with pytest.raises(MalformedMessageError, match="not JSON"):
        parse_request(record["body"], "1")


@pytest.mark.parametrize("subject", Subject)
def test_there_is_a_sample_of_every_round(subject: Subject) -> None:
    parsed = Round.parse(load(f"inbound/watch_quality/{subject}.json"))

    assert parsed == Round(subject, datetime(2026, 11, 26, 5, tzinfo=UTC))
