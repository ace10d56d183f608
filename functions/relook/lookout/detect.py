"""DetectAnomalies. What a device needs of it too, without AWS, is importable without boto3."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from relook.detection.result import DetectAnomalyResult
from relook.errors import ConflictError, ImageRejectedError, InvalidRequestError, PackageError, ResourceType
from relook.lookout.result import write_result

if TYPE_CHECKING:
    from relook.lookout.service import Service

_CONTENT_TYPES = ("image/jpeg", "image/png")


def detect_anomalies(service: Service, given: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict on one image by a hosted model version.

    Raises:
        InvalidRequestError: the content type is that of no image.
        ImageRejectedError: the image is damaged, or not one that the model takes.
        ConflictError: the version is not hosted, or its package cannot be used.
        ResourceNotFoundError: no such project or version.
    """
    from relook.lookout.models import resolve_version
    from relook.observability import emit_inspection_metrics
    from relook.registry.model_version import ModelStatus
    from relook.registry.models import describe_model

    started = time.perf_counter()

    project = given["ProjectName"]
    version = resolve_version(service, project, given["ModelVersion"])
    model = describe_model(service.registry, project, version)
    check_content_type(given["ContentType"])
    if model.status is not ModelStatus.HOSTED or model.package_sha256 is None:
        message = (
            f"Model {project}/{version} is not hosted, so it detects nothing; it is {model.status}, and StartModel"
            " hosts what is trained"
        )
        raise ConflictError(ResourceType.MODEL, f"{project}/{version}", message)
    try:
        loaded = service.models.get(project, version, model.package_sha256)
    except PackageError as error:  # hosted by an older Relook, or damaged since: asking again would not help
        message = f"Model {project}/{version} cannot be asked any more: {error}"
        raise ConflictError(ResourceType.MODEL, f"{project}/{version}", message) from error

    def measure(result: DetectAnomalyResult | None) -> None:
        emit_inspection_metrics(
            project,
            version,
            is_rejected=result is None,
            is_anomalous=result is not None and result.is_anomalous,
            duration_ms=round((time.perf_counter() - started) * 1000),
        )

    try:
        result = loaded.detect(given["Body"], model.threshold)
    except ImageRejectedError:
        measure(None)
        raise
    measure(result)
    return {"DetectAnomalyResult": write_result(result)}


def check_content_type(content_type: str) -> None:
    """
    Raises:
        InvalidRequestError: neither JPEG nor PNG; the text is the original service's, which programs look for.
    """
    if content_type.split(";")[0].strip().lower() not in _CONTENT_TYPES:
        raise InvalidRequestError(f"content-type must be one of the following. {', '.join(_CONTENT_TYPES)}")
