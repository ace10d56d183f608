"""Step 2: DetectAnomalies, in the three ways it can be answered. One interface, chosen by a setting."""

from __future__ import annotations

import base64
import json
from typing import Protocol

from relook.aws.bucket import Bucket
from relook.aws.clients import Clients
from relook.aws.errors import translated
from relook.aws.table import Table
from relook.detection.result import DetectAnomalyResult
from relook.errors import (
    AwsError,
    DetectorUnavailableError,
    ImageRejectedError,
    ModelNotHostedError,
    RejectionReason,
    RelookError,
    ResourceNotFoundError,
    ResourceType,
)
from relook.lookout.result import read_result
from relook.registry.packages import LoadedModels
from relook.registry.projects import HostedModel, describe_project, is_project_name
from relook.settings import DetectorKind, InspectImageSettings


class Detector(Protocol):
    """Answers DetectAnomalies for the pipeline."""

    def choose_model(self, project: str) -> HostedModel:
        """The model version that inspects the project's uploads now.

        Raises:
            ResourceNotFoundError: no such project.
            ModelNotHostedError: it has no hosted model version.
        """

    def detect(self, model: HostedModel, image: bytes, content_type: str) -> DetectAnomalyResult:
        """The verdict on one encoded image (`image/png` or `image/jpeg`).

        Raises:
            ImageRejectedError: the model cannot take this image.
            ResourceNotFoundError: a remote detector has no such project.
            ModelNotHostedError: a remote detector has the model, but not ready.
            DetectorUnavailableError: a remote detector failed; try again later.
        """


def create_detector(settings: InspectImageSettings, models: Bucket, registry: Table) -> Detector:
    """The detector the settings ask for."""
    match settings.detector:
        case DetectorKind.HOSTED:
            return HostedDetector(registry, models)
        case DetectorKind.LOOKOUTVISION:
            return LookoutVisionDetector(settings.remote_endpoint, settings.remote_model_version)
        case DetectorKind.SAGEMAKER:
            return SageMakerDetector(settings.remote_endpoint, settings.remote_model_version)


class HostedDetector:
    """Runs the project's model package inside this process, and keeps it loaded between invocations."""

    def __init__(self, registry: Table, models: Bucket) -> None:
        self._registry = registry
        self._models = LoadedModels(models)

    def choose_model(self, project: str) -> HostedModel:
        """See `Detector`."""
        hosted = describe_project(self._registry, project).hosted
        if hosted is None:
            raise ModelNotHostedError(project)
        return hosted

    def detect(self, model: HostedModel, image: bytes, content_type: str) -> DetectAnomalyResult:
        """See `Detector`."""
        return self._models.get(model.project, model.version, model.package_sha256).detect(image, model.threshold)


class LookoutVisionDetector:
    """Asks a server that speaks the Lookout for Vision API: another account's Relook, a box on the premises."""

    def __init__(self, endpoint_url: str, model_version: str) -> None:
        from relook.lookout import service_model  # builds the whole contract, which only this detector needs

        self._model_version = model_version
        self._client = service_model.client(_clients(), endpoint_url)

    def choose_model(self, project: str) -> HostedModel:
        """See `Detector`; the server is only asked when it is needed."""
        return _remote_model(project, self._model_version)

    def detect(self, model: HostedModel, image: bytes, content_type: str) -> DetectAnomalyResult:
        """See `Detector`."""
        try:
            answer = self._client.detect_anomalies(
                ProjectName=model.project, ModelVersion=model.version, ContentType=content_type, Body=image
            )
        except AwsError as error:
            raise _translate(error, model) from error
        try:
            return read_result(answer["DetectAnomalyResult"])
        except (LookupError, TypeError) as error:
            raise DetectorUnavailableError("The remote detector answered no DetectAnomalyResult") from error


class SageMakerDetector:
    """Asks a SageMaker endpoint of AWS's defect detection model, whose answer is the bare result as JSON."""

    def __init__(self, endpoint_name: str, model_version: str) -> None:
        self._endpoint_name = endpoint_name
        self._model_version = model_version
        self._client = _clients().sagemaker_runtime

    def choose_model(self, project: str) -> HostedModel:
        """See `Detector`; one endpoint serves every project."""
        return _remote_model(project, self._model_version)

    def detect(self, model: HostedModel, image: bytes, content_type: str) -> DetectAnomalyResult:
        """See `Detector`."""
        try:
            answer = self._client.invoke_endpoint(
                EndpointName=self._endpoint_name, ContentType=content_type, Accept="application/json", Body=image
            )
            with translated():
                body = answer["Body"].read()
        except AwsError as error:
            raise _translate(error, model) from error
        try:
            result = json.loads(body)
            # base64 text on this wire; the lookoutvision client decodes it by itself.
            mask = base64.b64decode(result["AnomalyMask"]) if result.get("AnomalyMask") else None
            return read_result({**result, "AnomalyMask": mask})
        except (ValueError, LookupError, TypeError) as error:
            raise DetectorUnavailableError(
                f"SageMaker endpoint {self._endpoint_name} answered no DetectAnomalyResult: {body[:200]!r}"
            ) from error


def _remote_model(project: str, version: str) -> HostedModel:
    if not is_project_name(project):
        raise ResourceNotFoundError(ResourceType.PROJECT, project)
    return HostedModel(project, version, package_sha256="")


def _clients() -> Clients:
    # One attempt: the queue tries again, and meanwhile the other images of the batch go on. A server that must load
    # its model first takes longer than AWS's own services do.
    return Clients(attempts=1, read_timeout_s=20)


def _translate(error: AwsError, model: HostedModel) -> RelookError:
    text, status = error.text, error.status
    match error.code:
        case _ if not status:
            return DetectorUnavailableError(f"The remote detector did not answer: {text}")
        # 413: a Lambda function URL takes 6 MB, some 4.5 MB of image.
        case _ if status == 413:
            return ImageRejectedError(
                RejectionReason.REFUSED_BY_DETECTOR, f"The image is too large for the remote detector: {text}"
            )
        case "ValidationException" | "ModelError" if not error.is_transient:
            return ImageRejectedError(RejectionReason.REFUSED_BY_DETECTOR, f"The remote detector refused it: {text}")
        case "ResourceNotFoundException":
            return ResourceNotFoundError(ResourceType.PROJECT, model.project)
        case "ConflictException":
            return ModelNotHostedError(model.project)
        case code:
            return DetectorUnavailableError(f"The remote detector answered {code}: {text}")
