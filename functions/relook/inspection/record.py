"""Step 4: what one inspection found, as the Inspections table and the events tell it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from relook.detection.result import BACKGROUND, DetectAnomalyResult
from relook.errors import ImageRejectedError
from relook.inspection.store import PictureUris
from relook.inspection.upload import Upload


class InspectionStatus(StrEnum):
    """How an inspection ended."""

    INSPECTED = "INSPECTED"
    REJECTED = "REJECTED"


@dataclass(frozen=True)
class Inspection:
    """One image looked at by one model version, or refused.

    Attributes:
        project: None where the key names none.
        model_version: None where no model was chosen.
        verdict, pictures, width, height: None where the image was rejected.
        rejection: None where it was inspected.
        metadata: the object's user metadata; empty where the object is gone.
    """

    upload: Upload
    inspection_id: str
    project: str | None
    model_version: str | None
    inspected_at: datetime
    duration_ms: int
    metadata: Mapping[str, str] = field(default_factory=dict)
    verdict: DetectAnomalyResult | None = None
    pictures: PictureUris | None = None
    width: int | None = None
    height: int | None = None
    rejection: ImageRejectedError | None = None

    @property
    def is_anomalous(self) -> bool:
        """Whether the verdict is anomalous; a rejected image has no verdict."""
        return self.verdict is not None and self.verdict.is_anomalous

    @property
    def anomalies(self) -> list[dict[str, Any]]:
        """The types found, as name, area_share (0..1) and color, without the background."""
        found = self.verdict.anomalies or () if self.verdict else ()
        return [asdict(anomaly) for anomaly in found if anomaly.name != BACKGROUND]

    @property
    def inspected_at_text(self) -> str:
        """ISO-8601 in UTC, to the millisecond."""
        return self.inspected_at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{self.inspected_at.microsecond // 1000:03d}Z"


def record_item(inspection: Inspection, object_version_key: str) -> dict[str, Any]:
    """The item of the Inspections table; attributes that do not apply are None and left out."""
    verdict, pictures, rejection = inspection.verdict, inspection.pictures, inspection.rejection
    return {
        "image_uri": inspection.upload.uri,
        "object_version": object_version_key,
        "inspection_id": inspection.inspection_id,
        "project": inspection.project,
        # Only anomalous inspections have this attribute, so the index on it holds only them.
        "anomalous_project": inspection.project if inspection.is_anomalous else None,
        "model_version": inspection.model_version,
        "status": InspectionStatus.REJECTED if rejection else InspectionStatus.INSPECTED,
        "reason": rejection.reason if rejection else None,
        "message": rejection.message if rejection else None,
        "is_anomalous": verdict.is_anomalous if verdict else None,
        "confidence": verdict.confidence if verdict else None,
        "anomalies": inspection.anomalies if verdict else None,
        "mask_uri": pictures.mask if pictures else None,
        "heat_map_uri": pictures.heat_map if pictures else None,
        "inspected_at": inspection.inspected_at_text,
        "duration_ms": inspection.duration_ms,
        "width": inspection.width,
        "height": inspection.height,
        "size_bytes": inspection.upload.size_bytes,
        "metadata": dict(inspection.metadata),
    }
