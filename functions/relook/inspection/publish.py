"""Step 5: tell the Relook event bus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relook.events import SCHEMA_VERSION, DetailType, put_events
from relook.inspection.record import Inspection

if TYPE_CHECKING:
    from types_boto3_events import EventBridgeClient


def publish(events: EventBridgeClient, bus: str, inspection: Inspection, *, every_inspection: bool) -> list[DetailType]:
    """Put the events this inspection calls for.

    Args:
        every_inspection: also emit `Image Inspected`, whatever the verdict.
    Returns:
        The detail types that were published.
    Raises:
        AwsError: EventBridge did not answer, or refused them all.
        EventNotPublishedError: it took fewer entries than it was given; trying again repeats the others.
    """
    detail_types = _detail_types(inspection, every_inspection)
    if detail_types:
        put_events(events, bus, detail_types, event_detail(inspection))
    return detail_types


def event_detail(inspection: Inspection) -> dict[str, Any]:
    """The event's detail, as the schemas in `events/outbound` describe it."""
    upload = inspection.upload
    image = {
        "uri": upload.uri,
        "bucket": upload.bucket,
        "key": upload.key,
        "object_version": upload.object_version,
        **inspection.image_facts(),
    }
    detail = {
        "schema_version": SCHEMA_VERSION,
        **inspection.findings(),
        "duration_ms": inspection.duration_ms if inspection.outcome.verdict else None,
        "image": _applying(image),
        "summary": summary(inspection),
    }
    return _applying(detail)


def summary(inspection: Inspection) -> str:
    """One line for people: what was found on which image."""
    verdict, rejection = inspection.outcome.verdict, inspection.outcome.rejection
    if verdict is None:
        return f"{inspection.upload.key} was rejected: {rejection}"
    word = "anomalous" if verdict.is_anomalous else "normal"
    line = f"{inspection.upload.key} looks {word} ({verdict.confidence:.1%} sure)"
    if inspection.is_expected_met is False:
        line = f"Check failed: {line}, expected was {inspection.expected}"
    anomalies = ", ".join(f"{anomaly['name']} {percent(anomaly['area_share'])}" for anomaly in inspection.anomalies)
    return f"{line}: {anomalies} of the image" if anomalies else line


def percent(share: float) -> str:
    """A share of 0..1 as people read it, without making a small one look like nothing."""
    return f"{share:.2%}" if share >= 0.001 else f"{share * 100:.1g}%"


def _detail_types(inspection: Inspection, every_inspection: bool) -> list[DetailType]:
    if inspection.outcome.rejection:
        return [DetailType.IMAGE_REJECTED]
    asked = {
        DetailType.ANOMALY_DETECTED: inspection.is_anomalous,
        DetailType.CHECK_FAILED: inspection.is_expected_met is False,
        DetailType.IMAGE_INSPECTED: every_inspection,
    }
    return [detail_type for detail_type, applies in asked.items() if applies]


def _applying(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
