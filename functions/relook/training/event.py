"""The event that tells of a training's end, as the schemas in `events/outbound` describe it."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from datetime import UTC
from typing import Any

from relook.aws.bucket import S3Uri
from relook.events import versioned_detail
from relook.registry.inspections import stamp
from relook.registry.model_version import ModelStatus, ModelVersion


def event_detail(model: ModelVersion, arn: str) -> dict[str, Any]:
    """The event's detail, as the schemas in `events/outbound` describe it; of the registry alone, so that it can be
    told again."""
    has_failed = model.status is ModelStatus.TRAINING_FAILED
    ended_at = (model.training_ended_at or model.created_at).astimezone(UTC)
    return versioned_detail(
        training_id=training_id(model),
        project=model.project,
        model_version=model.version,
        model_arn=arn,
        ended_at=stamp(ended_at),
        message=model.status_message if has_failed else None,
        performance=asdict(model.performance) if model.performance else None,
        evaluation=_uris(model) if not has_failed else None,
        summary=_summary(model, has_failed),
    )


def training_id(model: ModelVersion) -> str:
    """The same for every telling of this training; a project may be made anew under its name, and count from 1."""
    identity = f"{model.name}@{model.created_at.isoformat()}"
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def _uris(model: ModelVersion) -> dict[str, str] | None:
    if model.output is None or model.evaluation is None:
        return None
    keys = {
        "manifest_uri": model.evaluation.manifest_key,
        "result_uri": model.evaluation.result_key,
        "report_uri": model.evaluation.report_key,
    }
    return {name: str(S3Uri(model.output.bucket, key)) for name, key in keys.items()}


def _summary(model: ModelVersion, has_failed: bool) -> str:
    name = f"Model {model.name}"
    if has_failed:
        return f"{name} could not be trained: {model.status_message}"
    if model.performance is None:
        return f"{name} is trained; without anomalous images, how well it finds them could not be measured"
    f1, precision, recall = model.performance.f1_score, model.performance.precision, model.performance.recall
    return f"{name} is trained: F1 {f1:.2f}, precision {precision:.2f}, recall {recall:.2f}"
