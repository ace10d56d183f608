"""Events on the Relook bus, as `events/` describes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from relook.errors import EventNotPublishedError

if TYPE_CHECKING:
    from types_boto3_events import EventBridgeClient

SOURCE = "relook"
SCHEMA_VERSION = "1"
S3_SOURCE, OBJECT_CREATED = "aws.s3", "Object Created"
"""Of the events that S3 tells uploads by, on the account's default bus."""


class DetailType(StrEnum):
    """What Relook tells of; each has its schema in `events/outbound`."""

    ANOMALY_DETECTED = "Anomaly Detected"
    CHECK_FAILED = "Check Failed"
    CHECK_OVERDUE = "Check Overdue"
    CHECKS_CHANGED = "Checks Changed"
    DRIFT_DETECTED = "Drift Detected"
    DATASET_CHANGED = "Dataset Changed"
    IMAGE_INSPECTED = "Image Inspected"
    IMAGE_REJECTED = "Image Rejected"
    INSPECTION_REVIEWED = "Inspection Reviewed"
    MODEL_HOSTED = "Model Hosted"
    MODEL_TRAINED = "Model Trained"
    MODEL_TRAINING_FAILED = "Model Training Failed"
    REGIONS_CHANGED = "Regions Changed"
    THRESHOLD_CHANGED = "Threshold Changed"


def versioned_detail(**members: Any) -> dict[str, Any]:
    """A detail as its schema begins, with those of its members that are not None."""
    return {"schema_version": SCHEMA_VERSION, **{name: each for name, each in members.items() if each is not None}}


def put_events(
    events: EventBridgeClient, bus: str, detail_types: Sequence[DetailType], detail: Mapping[str, Any]
) -> None:
    """Put the same detail under each detail type.

    Raises:
        AwsError: EventBridge did not answer, or refused them all.
        EventNotPublishedError: EventBridge took fewer entries than it was given; trying again repeats the others.
    """
    text = json.dumps(detail, ensure_ascii=False)
    answer = events.put_events(
        Entries=[
            {"EventBusName": bus, "Source": SOURCE, "DetailType": detail_type, "Detail": text}
            for detail_type in detail_types
        ]
    )
    if answer["FailedEntryCount"]:
        failed = next(entry for entry in answer["Entries"] if "ErrorCode" in entry)
        raise EventNotPublishedError(failed["ErrorCode"], failed.get("ErrorMessage", ""))
