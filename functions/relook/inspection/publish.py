"""Step 5: tell the Relook event bus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from relook.events import DetailType, put_events, versioned_detail
from relook.quality.rates import percent
from relook.registry.inspections import Verdict, image_of, verdict_of

if TYPE_CHECKING:
    from types_boto3_events import EventBridgeClient

Record = Mapping[str, Any]


def publish(events: EventBridgeClient, bus: str, record: Record, *, every_inspection: bool) -> list[DetailType]:
    """Put the events that an inspection calls for.

    Args:
        record: of the Inspections table, as it is written or as it was read.
        every_inspection: also emit `Image Inspected`, whatever the verdict.
    Returns:
        The detail types that were published.
    Raises:
        AwsError: EventBridge did not answer, or refused them all.
        EventNotPublishedError: it took fewer entries than it was given; trying again repeats the others.
    """
    called_for = detail_types(record, every_inspection=every_inspection)
    if called_for:
        put_events(events, bus, called_for, event_detail(record))
    return called_for


def detail_types(record: Record, *, every_inspection: bool) -> list[DetailType]:
    """The events that an inspection calls for."""
    verdict = verdict_of(record)
    if verdict is Verdict.REJECTED:
        return [DetailType.IMAGE_REJECTED]
    asked = {
        DetailType.ANOMALY_DETECTED: verdict is Verdict.ANOMALOUS,
        DetailType.CHECK_FAILED: record.get("is_expected_met") is False,
        DetailType.IMAGE_INSPECTED: every_inspection,
    }
    return [detail_type for detail_type, applies in asked.items() if applies]


def event_detail(record: Record) -> dict[str, Any]:
    """The events' detail, as the schemas in `events/outbound` describe it."""
    uri, version = image_of(record)
    image = {"uri": str(uri), "bucket": uri.bucket, "key": uri.key, "object_version": version}
    return versioned_detail(
        **{name: record.get(name) for name in _FINDINGS},
        image=image | {name: record[name] for name in _OF_IMAGE if record.get(name) is not None},
        summary=summary(record),
        duration_ms=record["duration_ms"] if verdict_of(record) is not Verdict.REJECTED else None,
    )


def summary(record: Record) -> str:
    """One line for people: what was found on which image."""
    key, verdict = image_of(record)[0].key, verdict_of(record)
    if verdict is Verdict.REJECTED:
        return f"{key} was rejected: {record['message']}"
    line = f"{key} looks {verdict} ({record['confidence']:.1%} sure)"
    if record.get("is_expected_met") is False:
        line = f"Check failed: {line}, expected was {record['expected']}"
    anomalies = ", ".join(f"{anomaly['name']} {percent(anomaly['area_share'])}" for anomaly in record["anomalies"])
    return f"{line}: {anomalies} of the image" if anomalies else line


_FINDINGS = (
    "inspection_id",
    "project",
    "model_version",
    "is_anomalous",
    "confidence",
    "anomalies",
    "expected",
    "is_expected_met",
    "mask_uri",
    "heat_map_uri",
    "reason",
    "message",
    "inspected_at",
)
"""What the record and the events tell in the same words."""
_OF_IMAGE = ("width", "height", "size_bytes", "metadata")
