"""Step 5: tell the Relook event bus."""

from __future__ import annotations

import json
from typing import Any

from relook.errors import EventNotPublishedError
from relook.inspection.record import Inspection

SOURCE = "relook"
SCHEMA_VERSION = "1"
ANOMALY_DETECTED = "Anomaly Detected"
IMAGE_REJECTED = "Image Rejected"
IMAGE_INSPECTED = "Image Inspected"


def publish(events: Any, bus: str, inspection: Inspection, *, every_inspection: bool) -> list[str]:
    """Put the events this inspection calls for.

    Args:
        events: a boto3 EventBridge client.
        every_inspection: also emit `Image Inspected`, whatever the verdict.
    Returns:
        The detail types that were published.
    Raises:
        EventNotPublishedError: EventBridge took fewer entries than it was given; trying again repeats the others.
    """
    detail_types = _detail_types(inspection, every_inspection)
    if not detail_types:
        return []
    detail = json.dumps(event_detail(inspection), ensure_ascii=False)
    answer = events.put_events(
        Entries=[
            {"EventBusName": bus, "Source": SOURCE, "DetailType": detail_type, "Detail": detail}
            for detail_type in detail_types
        ]
    )
    if answer["FailedEntryCount"]:
        failed = next(entry for entry in answer["Entries"] if "ErrorCode" in entry)
        raise EventNotPublishedError(failed["ErrorCode"], failed.get("ErrorMessage", ""))
    return detail_types


def event_detail(inspection: Inspection) -> dict[str, Any]:
    """The event's detail, as the schemas in `events/outbound` describe it."""
    upload, verdict, pictures, rejection = (
        inspection.upload,
        inspection.verdict,
        inspection.pictures,
        inspection.rejection,
    )
    image = {
        "uri": upload.uri,
        "bucket": upload.bucket,
        "key": upload.key,
        "object_version": upload.object_version,
        "width": inspection.width,
        "height": inspection.height,
        "size_bytes": upload.size_bytes,
        "metadata": dict(inspection.metadata),
    }
    detail = {
        "schema_version": SCHEMA_VERSION,
        "inspection_id": inspection.inspection_id,
        "project": inspection.project,
        "model_version": inspection.model_version,
        "image": {name: value for name, value in image.items() if value is not None},
        "is_anomalous": verdict.is_anomalous if verdict else None,
        "confidence": verdict.confidence if verdict else None,
        "anomalies": inspection.anomalies if verdict else None,
        "mask_uri": pictures.mask if pictures else None,
        "heat_map_uri": pictures.heat_map if pictures else None,
        "reason": rejection.reason if rejection else None,
        "message": rejection.message if rejection else None,
        "inspected_at": inspection.inspected_at_text,
        "duration_ms": inspection.duration_ms if verdict else None,
        "summary": summary(inspection),
    }
    return {name: value for name, value in detail.items() if value is not None}


def summary(inspection: Inspection) -> str:
    """One line for people: what was found on which image."""
    if inspection.rejection:
        return f"{inspection.upload.key} was rejected: {inspection.rejection.message}"
    if inspection.verdict is None:
        raise ValueError("An inspection has a verdict or a rejection")
    verdict = "anomalous" if inspection.is_anomalous else "normal"
    line = f"{inspection.upload.key} looks {verdict} ({inspection.verdict.confidence:.1%} sure)"
    found = ", ".join(f"{anomaly['name']} {percent(anomaly['area_share'])}" for anomaly in inspection.anomalies)
    return f"{line}: {found} of the image" if found else line


def percent(share: float) -> str:
    """A share of 0..1 as people read it, without making a small one look like nothing."""
    return f"{share:.2%}" if share >= 0.001 else f"{share * 100:.1g}%"


def _detail_types(inspection: Inspection, every_inspection: bool) -> list[str]:
    if inspection.rejection:
        return [IMAGE_REJECTED]
    return [ANOMALY_DETECTED] * inspection.is_anomalous + [IMAGE_INSPECTED] * every_inspection
