"""Step 4: what one inspection found, as the Inspections table keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from relook.detection.image import ImageHeader
from relook.detection.result import BACKGROUND, DetectAnomalyResult
from relook.errors import ImageRejectedError
from relook.inspection.store import PictureUris
from relook.inspection.upload import NO_MODEL, Upload
from relook.quality.records import InspectionStatus
from relook.quality.thresholds import Band
from relook.registry.inspections import stamp
from relook.registry.retention import EXPIRES_AT, Retention
from relook.registry.reviews import waiting


@dataclass(frozen=True)
class Outcome:
    """What looking at an image came to: a verdict with its pictures, or a rejection.

    Attributes:
        metadata: the object's user metadata, as far as it was read.
        header, verdict, pictures: None where the image was rejected.
    """

    metadata: Mapping[str, str] = field(default_factory=dict)
    header: ImageHeader | None = None
    verdict: DetectAnomalyResult | None = None
    pictures: PictureUris | None = None
    rejection: ImageRejectedError | None = None


@dataclass(frozen=True)
class Inspection:
    """One image looked at by one model version, or refused.

    Attributes:
        project: None where the key names none.
        model_version: None where no model was chosen.
        borderline: anomaly probabilities so near the threshold that a person should look; None for none.
    """

    upload: Upload
    project: str | None
    model_version: str | None
    borderline: Band | None
    inspected_at: datetime
    duration_ms: int
    outcome: Outcome

    @property
    def inspection_id(self) -> str:
        """The same for every attempt at this inspection, different for every other inspection."""
        return self.upload.inspection_id(self.model_version or NO_MODEL)

    @property
    def is_anomalous(self) -> bool:
        """Whether the verdict is anomalous; a rejected image has no verdict."""
        return self.outcome.verdict is not None and self.outcome.verdict.is_anomalous

    @property
    def expected(self) -> str | None:
        """Of a check, `normal` or `anomaly`, as the upload's metadata says; None for any other image."""
        said = self.outcome.metadata.get("expected", "").strip().lower()
        return said if said in _EXPECTABLE else None

    @property
    def is_expected_met(self) -> bool | None:
        """Whether a check has the verdict that it should have; None where there is no check, or no verdict."""
        if self.expected is None or self.outcome.verdict is None:
            return None
        return self.expected == _EXPECTABLE[self.is_anomalous]

    @property
    def waits_for_review(self) -> bool:
        """Whether a person should look: at a missed check, or at a verdict that is not sure; not at a check as such."""
        verdict = self.outcome.verdict
        if self.expected is not None or verdict is None:
            return self.is_expected_met is False
        return self.borderline is not None and self.borderline.holds(verdict.anomaly_probability)

    @property
    def anomalies(self) -> list[dict[str, Any]]:
        """The types found, as name, area_share (0..1) and color, without the background."""
        anomalies = self.outcome.verdict.anomalies or () if self.outcome.verdict else ()
        return [asdict(anomaly) for anomaly in anomalies if anomaly.name != BACKGROUND]


def record_item(inspection: Inspection, retention: Retention) -> dict[str, Any]:
    """The item of the Inspections table; attributes that do not apply are None and left out."""
    upload, outcome = inspection.upload, inspection.outcome
    verdict, pictures, rejection, header = outcome.verdict, outcome.pictures, outcome.rejection, outcome.header
    record = {
        "image_uri": upload.uri,
        "object_version": f"{upload.object_version}#{inspection.model_version or NO_MODEL}",
        # Only anomalous inspections have this attribute, so the index on it holds only them.
        "anomalous_project": inspection.project if inspection.is_anomalous else None,
        # Only checks have this one; it has an index too.
        "checked_project": inspection.project if inspection.expected else None,
        "inspection_id": inspection.inspection_id,
        "project": inspection.project,
        "model_version": inspection.model_version,
        "status": InspectionStatus.REJECTED if rejection else InspectionStatus.INSPECTED,
        "inspected_at": stamp(inspection.inspected_at),
        EXPIRES_AT: retention.expires_at(inspection.inspected_at),
        "duration_ms": inspection.duration_ms,
        "is_anomalous": verdict.is_anomalous if verdict else None,
        "confidence": verdict.confidence if verdict else None,
        "anomalies": inspection.anomalies if verdict else None,
        "expected": inspection.expected,
        "is_expected_met": inspection.is_expected_met,
        "mask_uri": pictures.mask if pictures else None,
        "heat_map_uri": pictures.heat_map if pictures else None,
        "reason": rejection.reason if rejection else None,
        "message": rejection.message if rejection else None,
        # Pixels as displayed, and the uploader's own words
        "width": header.width if header else None,
        "height": header.height if header else None,
        "size_bytes": upload.size_bytes,
        "metadata": dict(outcome.metadata),
        "anomaly_probability": verdict.anomaly_probability if verdict else None,
        "threshold": verdict.threshold if verdict else None,
        "score": verdict.score if verdict else None,
        **(asdict(verdict.statistics) if verdict and verdict.statistics else {}),
    }
    return record | waiting(record) if inspection.waits_for_review else record


_EXPECTABLE = ("normal", "anomaly")
"""By whether the verdict is anomalous."""
