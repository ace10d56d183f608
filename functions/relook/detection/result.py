"""What a detection answers, whichever detector gave it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relook.detection.statistics import PictureStatistics

BACKGROUND = "background"
BACKGROUND_COLOR = "#FFFFFF"
_TYPE_NAME = re.compile(r"(?=.*\S)[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,256}")


def is_background(type_name: str) -> bool:
    """Manifests and the guide's prose write BACKGROUND, answers background."""
    return type_name.casefold() == BACKGROUND


def is_type_name(text: str) -> bool:
    """Whether an anomaly type may be called this: 1 to 256 characters of any script, without control characters.

    The original's model has letters and digits only, but none of its clients checks what an answer holds.
    """
    return _TYPE_NAME.fullmatch(text) is not None


@dataclass(frozen=True)
class Anomaly:
    """One anomaly type found on an image.

    Attributes:
        name: the type, as it was labelled; `background` for what is not anomalous.
        area_share: 0..1 of the image's pixels, a float32 value widened exactly.
        color: `#RRGGBB`, the type's colour in the mask.
    """

    name: str
    area_share: float
    color: str


@dataclass(frozen=True)
class NearestNormal:
    """The normal training image that looks most like an image; distance 0 for the same features."""

    name: str
    distance: float


@dataclass(frozen=True)
class DetectAnomalyResult:
    """Verdict on one image.

    Attributes:
        is_anomalous: the verdict.
        confidence: probability of the verdict, .5..1, after the shift that `calibration.confidence` describes; a
            float32 value widened exactly, as are the next two.
        anomaly_probability: 0..1, whatever the verdict and without a shift: what was held against the threshold. Of a
            remote detector, which does not tell its threshold, what its confidence says.
        threshold: the anomaly probability from which it is anomalous, 0..1; None where the detector does not tell.
        anomalies: background first, then only the types found; shares sum to 1. None for a classification model.
        mask_png: RGB PNG of the image's own size, each type in its colour on white, at most 5 MiB. None for a
            classification model.
        heat_map_png: PNG of the anomaly map in the image's proportions. None where the detector gives none.
        nearest_normal: None where the model remembers none.
        score: how odd the image is to the model of normal images alone, in robust spreads of the training normals from
            their median. None, as `statistics`, where the model keeps nothing of its normals.
        statistics: of what the model looked at, in such spreads too.
    """

    is_anomalous: bool
    confidence: float
    anomaly_probability: float
    threshold: float | None = None
    anomalies: tuple[Anomaly, ...] | None = None
    mask_png: bytes | None = None
    heat_map_png: bytes | None = None
    nearest_normal: NearestNormal | None = None
    score: float | None = None
    statistics: PictureStatistics | None = None
