"""DetectAnomalies' answer, in both directions. Neither AWS nor the contract is needed for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relook.detection.result import BACKGROUND, Anomaly, DetectAnomalyResult, is_background
from relook.float32 import exact_float32


def write_result(result: DetectAnomalyResult) -> dict[str, Any]:
    """The members of DetectAnomalyResult. A classification model answers neither Anomalies nor AnomalyMask."""
    members: dict[str, Any] = {
        "Source": {"Type": "direct"},
        "IsAnomalous": result.is_anomalous,
        "Confidence": result.confidence,
    }
    if result.anomalies is not None:
        members["Anomalies"] = [
            {"Name": each.name, "PixelAnomaly": {"TotalPercentageArea": each.area_share, "Color": each.color}}
            for each in result.anomalies
        ]
        members["AnomalyMask"] = result.mask_png
    return members


def read_result(members: Mapping[str, Any]) -> DetectAnomalyResult:
    """The result that another server's members stand for, `AnomalyMask` being bytes.

    Raises:
        LookupError, TypeError: they are none of a DetectAnomalyResult.
    """
    anomalies = members.get("Anomalies")
    is_anomalous, confidence = bool(members["IsAnomalous"]), exact_float32(members["Confidence"])
    return DetectAnomalyResult(
        is_anomalous=is_anomalous,
        confidence=confidence,
        anomaly_probability=confidence if is_anomalous else exact_float32(1 - confidence),
        anomalies=None if anomalies is None else tuple(_read_anomaly(each) for each in anomalies),
        mask_png=members.get("AnomalyMask"),
    )


def _read_anomaly(anomaly: Mapping[str, Any]) -> Anomaly:
    name, area = str(anomaly["Name"]), anomaly["PixelAnomaly"]
    return Anomaly(
        name=BACKGROUND if is_background(name) else name,
        area_share=exact_float32(area["TotalPercentageArea"]),
        color=str(area["Color"]),
    )
