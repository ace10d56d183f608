"""How good a trained model is, written down as Lookout for Vision did."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from relook.errors import InvalidRequestError
from relook.float32 import exact_float32
from relook.quality.thresholds import Outcome
from relook.registry.datasets import StoredEntry
from relook.registry.manifest_entry import CLASSIFICATION, class_name

if TYPE_CHECKING:
    from relook.learning.training import TrainedModel
    from relook.learning.validation.evaluation import Evaluation

_JOB = "training-job/anomaly-detection"


def evaluation_result(trained: TrainedModel, evaluation: Evaluation, arn: str, ended_at: datetime) -> bytes:
    """EvaluationResult: null where there was no anomalous image to measure on; no types for a classification model.

    With a single dataset every image is judged by a model that did not see it, so all are training and testing images.
    """
    metrics: dict[str, Any] = {
        "ROCAUC": evaluation.roc_auc,
        "AveragePrecision": evaluation.average_precision,
        "Precision": evaluation.precision,
        "Recall": evaluation.recall,
        "F1Score": evaluation.f1,
    }
    if trained.package.manifest.classes:
        metrics["PixelAnomalyClassMetrics"] = [
            {
                "Precision": each.precision,
                "Recall": each.recall,
                "F1Score": each.f1,
                "AIOU": each.iou,
                "ClassName": each.name,
            }
            for each in evaluation.types
        ]
    result = json.dumps(
        {
            "Version": 1,
            "EvaluationDetails": {
                "ModelArn": arn,
                "EvaluationEndTimestamp": _time(ended_at),
                "NumberOfTrainingImages": len(trained.evaluation.outcomes),
                "NumberOfTestingImages": len(evaluation.outcomes),
            },
            "AggregatedEvaluationResults": {"Metrics": metrics},
        },
        indent=2,
        allow_nan=False,
    )
    return result.encode() + b"\n"


def evaluation_manifest(
    evaluation: Evaluation, entries: Iterable[StoredEntry], arn: str, project: str, version: str, ended_at: datetime
) -> bytes:
    """EvaluationManifest, JSON Lines: what each image is labelled, and what a model that did not see it says."""
    stored = {each.entry.source_ref: each for each in entries}
    lines = [
        {
            "source-ref": outcome.name,
            "source-ref-metadata": {"creation-date": _time(stored[outcome.name].added)},
            "anomaly-label": int(outcome.is_anomalous),
            "anomaly-label-metadata": {
                "type": CLASSIFICATION,
                "human-annotated": "yes",
                "confidence": 1,
                "creation-date": _time(stored[outcome.name].added),
                **stored[outcome.name].entry.label_metadata,
                "class-name": class_name(outcome.is_anomalous),
            },
            "anomaly-label-detected": int(outcome.is_detected),
            "anomaly-label-detected-metadata": {
                "class-name": class_name(outcome.is_detected),
                "confidence": outcome.confidence,
                "type": CLASSIFICATION,
                "human-annotated": "no",
                "creation-date": _time(ended_at),
                "job-name": _JOB,
                "model-arn": arn,
                "project-name": project,
                "model-version": version,
            },
        }
        for outcome in evaluation.outcomes
    ]
    # Half a surrogate pair, which a user's line may escape, is escaped again.
    texts = (json.dumps(line, ensure_ascii=False) for line in lines)
    return b"".join(text.encode(errors="backslashreplace") + b"\n" for text in texts)


def image_outcomes(evaluation: Evaluation) -> list[Outcome]:
    """What thresholds are chosen by."""
    return [Outcome(each.name, each.is_anomalous, each.anomaly_probability) for each in evaluation.outcomes]


def read_outcomes(manifest: bytes) -> list[Outcome]:
    """The same of an EvaluationManifest: a model is evaluated with a threshold of .5, which shifts no confidence.

    Raises:
        InvalidRequestError: it is none.
    """
    try:
        return [_outcome(json.loads(line)) for line in manifest.splitlines()]
    except (ValueError, LookupError, TypeError) as error:
        raise InvalidRequestError(f"The evaluation's manifest cannot be read: {error!r}") from error


def _outcome(line: Mapping[str, Any]) -> Outcome:
    confidence = float(line["anomaly-label-detected-metadata"]["confidence"])
    probability = confidence if line["anomaly-label-detected"] else exact_float32(1 - confidence)
    return Outcome(str(line["source-ref"]), bool(line["anomaly-label"]), probability)


def _time(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
