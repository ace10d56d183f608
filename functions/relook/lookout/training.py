"""The training of one model version, from a queue's message to TRAINED or TRAINING_FAILED, and the event about it.

Whatever happens on the way, it ends in one of the two: what is wrong with the data is said at once, what may pass is
tried again, and a function that died is recognised by its message coming back.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from relook.errors import (
    BackboneError,
    ConflictError,
    ImageRejectedError,
    InvalidRequestError,
    MalformedMessageError,
    PackageError,
    ResourceNotFoundError,
    ThrottledError,
    TrainingDataError,
)
from relook.events import SCHEMA_VERSION, put_events
from relook.observability import logger
from relook.registry import backbones, models, packages
from relook.registry.datasets import Dataset, DatasetType, StoredEntry, list_datasets, read_entries
from relook.registry.models import EvaluationFiles, ModelStatus, ModelVersion, Performance
from relook.registry.table import Table
from relook.settings import TrainModelSettings

if TYPE_CHECKING:
    from relook.learning.training import TrainedModel
    from relook.learning.validation.evaluation import Evaluation

MODEL_TRAINED = "Model Trained"
MODEL_TRAINING_FAILED = "Model Training Failed"

_LAST_WORDS_S = 20
_TELL_EVERY_S = 2
_SHOWN_NOTES = 5
_READINGS = 3
_NOT_WRITABLE = {
    "AccessDenied",
    "AllAccessDisabled",
    "InvalidArgument",
    "InvalidBucketName",
    "KeyTooLongError",
    "NoSuchBucket",
    "403",
    "404",
}

# The same data would end in the same way again.
_FINAL = (BackboneError, ImageRejectedError, InvalidRequestError, PackageError, TrainingDataError)


class _OutOfTimeError(Exception):
    """The function is about to be stopped."""


@dataclass(frozen=True)
class TrainingRequest:
    """A message of the training queue.

    Attributes:
        attempt: how often the message was received, this time included.
    """

    project: str
    version: str
    attempt: int


@dataclass(frozen=True)
class Surroundings:
    """Of one invocation.

    Attributes:
        function_arn: of the running function, whose account and region are those of the model's ARN.
        remaining_s: gives the seconds until the function is stopped.
    """

    function_arn: str
    remaining_s: Callable[[], float]

    def model_arn(self, project: str, version: str) -> str:
        """As the API gives it."""
        _, partition, _, region, account = self.function_arn.split(":")[:5]
        return f"arn:{partition}:lookoutvision:{region}:{account}:model/{project}/{version}"


def parse_request(body: str, receive_count: str) -> TrainingRequest:
    """
    Raises:
        MalformedMessageError: no request of ours.
    """
    try:
        fields = json.loads(body)
        return TrainingRequest(str(fields["project"]), str(fields["version"]), int(receive_count))
    except (ValueError, TypeError, KeyError) as error:
        raise MalformedMessageError(f'Expected {{"project": ..., "version": ...}}, got {body[:200]!r}') from error


class Trainer:
    """Trains model versions. One per process: it keeps clients warm between invocations.

    Args:
        s3, events: boto3 clients.
    """

    def __init__(self, settings: TrainModelSettings, registry: Table, s3: Any, events: Any) -> None:
        self._settings = settings
        self._registry = registry
        self._s3 = s3
        self._events = events

    def train(self, request: TrainingRequest, around: Surroundings) -> None:
        """See to it that the version is trained, or has failed, and that this was told.

        Raises:
            Exception: of any kind, when that could not be done now; the same request is then to be given again.
        """
        try:
            model = models.describe_model(self._registry, request.project, request.version)
            if model.status is ModelStatus.TRAINING:
                model = self._attempt(model, request.attempt, around)
        except ResourceNotFoundError:
            logger.info("model version is gone", project=request.project, model_version=request.version)
            return
        # Also when it had ended before: whoever did that may have died before telling.
        self._tell(model, around)

    def _attempt(self, model: ModelVersion, attempt: int, around: Surroundings) -> ModelVersion:
        limit = self._settings.max_attempts
        if attempt > limit:
            message = (
                f"The training function crashed {attempt - 1} times, probably for want of memory or time. Train with "
                "fewer images, or raise the stage's training_memory_mb."
            )
            return self._fail(model, message)
        try:
            return self._train(model, around)
        except ConflictError:  # it ended meanwhile
            return models.describe_model(self._registry, model.project, model.version)
        except _FINAL as error:
            return self._fail(model, str(error))
        except _OutOfTimeError:
            message = (
                "The training was stopped shortly before its time was over. Train with fewer images, or raise the "
                "stage's training_memory_mb, which brings a faster processor too."
            )
            return self._fail(model, message)
        except ResourceNotFoundError:
            raise
        except Exception as error:
            if attempt < limit:
                raise
            logger.exception("training failed", project=model.project, model_version=model.version)
            return self._fail(model, f"The training failed {attempt} times, at last with {_described(error)}.")

    def _train(self, model: ModelVersion, around: Surroundings) -> ModelVersion:
        # They bring onnx, which only a training needs, and a message about one that has ended does not.
        from relook.detection.model import Model
        from relook.learning.backbone.imported import ImportedBackbone
        from relook.learning.training import train
        from relook.learning.validation.evaluation import evaluate_on
        from relook.lookout.labeled_objects import labeled_images

        progress = _Progress(self._registry, model, around)
        progress("reading the datasets", 1, 1)
        entries = self._entries(model.project)
        own = backbones.load_backbone(self._registry, self._s3, self._settings.models_bucket, model.project)
        trained = train(
            labeled_images(self._s3, (each.entry for each in entries[DatasetType.TRAIN])),
            project=model.project,
            version=model.version,
            backbone=ImportedBackbone.from_bytes(own) if own is not None else None,
            on_progress=progress,
        )
        evaluation, looked_at = trained.evaluation, entries[DatasetType.TRAIN]
        if DatasetType.TEST in entries:
            looked_at = entries[DatasetType.TEST]
            images = labeled_images(self._s3, (each.entry for each in looked_at))
            evaluation = evaluate_on(Model(trained.package), images, progress)
        ended_at = datetime.now(UTC)
        # A queue may give a message twice: whoever comes second must not overwrite the package of the first.
        models.report_training(self._registry, model.project, model.version, "The model is being stored.")
        files = self._write_evaluation(model, trained, evaluation, looked_at, ended_at, around)
        sha256 = packages.save_package(
            self._s3, self._settings.models_bucket, model.project, model.version, trained.package
        )
        return models.finish_training(
            self._registry,
            model.project,
            model.version,
            sha256,
            _performance(evaluation),
            _message(evaluation, trained.notes),
            evaluation=files,
            ended_at=ended_at,
        )

    def _entries(self, project: str) -> dict[DatasetType, list[StoredEntry]]:
        """The entries of the datasets, by type.

        Raises:
            TrainingDataError: there is no train dataset, or one is not complete.
        """
        for _ in range(_READINGS):
            found = {each.type: each for each in list_datasets(self._registry, project)}
            self._check(project, found)
            bucket = self._settings.datasets_bucket
            try:
                return {kind: read_entries(self._s3, bucket, dataset) for kind, dataset in found.items()}
            except ThrottledError:  # entries were added between the two readings
                continue
        raise ThrottledError(f"The datasets of project {project} change faster than they can be read")

    def _check(self, project: str, found: Mapping[DatasetType, Dataset]) -> None:
        if DatasetType.TRAIN not in found:
            raise TrainingDataError(f"Project {project} has no train dataset any more; create one, then train again")
        for kind, dataset in found.items():
            if not dataset.status.endswith("_COMPLETE"):
                raise TrainingDataError(f"The {kind} dataset of project {project} is {dataset.status}, not complete")

    def _write_evaluation(
        self,
        model: ModelVersion,
        trained: TrainedModel,
        evaluation: Evaluation,
        entries: Sequence[StoredEntry],
        ended_at: datetime,
        around: Surroundings,
    ) -> EvaluationFiles | None:
        from relook.lookout.evaluation import evaluation_manifest, evaluation_result

        if model.output is None:
            return None
        project, version = model.project, model.version
        arn, place = around.model_arn(project, version), f"{project}-{version}.json"
        files = EvaluationFiles(
            manifest_key=f"{model.output.prefix}EvaluationManifest-{place}",
            result_key=f"{model.output.prefix}EvaluationResult-{place}",
            report_key=f"{model.output.prefix}TrainingReport-{place}",
        )
        report = {"model": f"{project}/{version}", **training_report(trained, evaluation)}
        contents = {
            files.manifest_key: evaluation_manifest(evaluation, entries, arn, project, version, ended_at),
            files.result_key: evaluation_result(trained, evaluation, arn, ended_at),
            files.report_key: json.dumps(report, indent=2, allow_nan=False).encode() + b"\n",
        }
        for key, data in contents.items():
            self._write(model, model.output.bucket, key, data)
        return files

    def _write(self, model: ModelVersion, bucket: str, key: str, data: bytes) -> None:
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": model.kms_key_id} if model.kms_key_id else {}
        try:
            self._s3.put_object(Bucket=bucket, Key=key, Body=data, ContentType="application/json", **encryption)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code not in _NOT_WRITABLE and not code.startswith("KMS."):
                raise
            raise InvalidRequestError(
                f"The evaluation cannot be written to s3://{bucket}/{key} ({_described(error)}). Name the bucket in "
                "the stage's data_buckets, and let its own policy and the key, if any, allow it"
            ) from error

    def _fail(self, model: ModelVersion, message: str) -> ModelVersion:
        logger.info("training failed", project=model.project, model_version=model.version, reason=message)
        try:
            return models.fail_training(self._registry, model.project, model.version, message)
        except ConflictError:  # it ended meanwhile
            return models.describe_model(self._registry, model.project, model.version)

    def _tell(self, model: ModelVersion, around: Surroundings) -> None:
        """
        Raises:
            EventNotPublishedError: the bus did not take it.
        """
        detail_type = MODEL_TRAINING_FAILED if model.status is ModelStatus.TRAINING_FAILED else MODEL_TRAINED
        detail = event_detail(model, around.model_arn(model.project, model.version))
        put_events(self._events, self._settings.event_bus, [detail_type], detail)
        logger.info("training ended", project=model.project, model_version=model.version, detail_type=detail_type)


def training_report(trained: TrainedModel, evaluation: Evaluation | None = None) -> dict[str, Any]:
    """What training chose, how good the model became and what its owner should know.

    Args:
        evaluation: on a test dataset; training's own unless given.
    """
    manifest, measured = trained.package.manifest, asdict(evaluation or trained.evaluation)
    del measured["outcomes"]  # of single images, of which there may be thousands
    return {
        "trained_on": {
            "normal_images": trained.evaluation.normal_images,
            "anomalous_images": trained.evaluation.anomalous_images,
        },
        "backbone": asdict(manifest.backbone) if manifest.backbone else None,
        "choices": [asdict(choice) for choice in manifest.choices],
        "evaluation": measured,
        "notes": list(trained.notes),
    }


def event_detail(model: ModelVersion, arn: str) -> dict[str, Any]:
    """The event's detail, as the schemas in `events/outbound` describe it; of the registry alone, so that it can be
    told again."""
    has_failed = model.status is ModelStatus.TRAINING_FAILED
    ended_at = (model.training_ended_at or model.created_at).astimezone(UTC)
    detail = {
        "schema_version": SCHEMA_VERSION,
        "training_id": training_id(model),
        "project": model.project,
        "model_version": model.version,
        "model_arn": arn,
        "ended_at": ended_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "message": model.status_message if has_failed else None,
        "performance": asdict(model.performance) if model.performance else None,
        "evaluation": _uris(model) if not has_failed else None,
        "summary": _summary(model, has_failed),
    }
    return {name: value for name, value in detail.items() if value is not None}


def training_id(model: ModelVersion) -> str:
    """The same for every telling of this training; a project may be made anew under its name, and count from 1."""
    identity = f"{model.project}/{model.version}@{model.created_at.isoformat()}"
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


class _Progress:
    """Tells how far a training is, not too often, and ends it before the function is ended."""

    def __init__(self, registry: Table, model: ModelVersion, around: Surroundings) -> None:
        self._registry = registry
        self._model = model
        self._around = around
        self._told_at = -float(_TELL_EVERY_S)

    def __call__(self, step: str, done: int, total: int) -> None:
        """
        Raises:
            ConflictError, ResourceNotFoundError: nobody waits for this training any more.
        """
        if self._around.remaining_s() < _LAST_WORDS_S:
            raise _OutOfTimeError
        if time.monotonic() - self._told_at < _TELL_EVERY_S:
            return
        self._told_at = time.monotonic()
        message = f"The model is being trained: {step}, {done} of {total}."
        models.report_training(self._registry, self._model.project, self._model.version, message)


def _performance(evaluation: Evaluation) -> Performance | None:
    if evaluation.f1 is None or evaluation.recall is None or evaluation.precision is None:
        return None
    return Performance(evaluation.f1, evaluation.recall, evaluation.precision)


def _message(evaluation: Evaluation, notes: Sequence[str]) -> str:
    sentences = ["The model is trained."]
    if evaluation.f1 is None:
        sentences.append("Without anomalous images, how well it finds them could not be measured.")
    sentences += [f"{note}." for note in notes[:_SHOWN_NOTES]]
    if len(notes) > _SHOWN_NOTES:
        sentences.append(f"The training report has {len(notes) - _SHOWN_NOTES} more notes.")
    return " ".join(sentences)


def _uris(model: ModelVersion) -> dict[str, str] | None:
    if model.output is None or model.evaluation is None:
        return None
    place = f"s3://{model.output.bucket}"
    return {
        "manifest_uri": f"{place}/{model.evaluation.manifest_key}",
        "result_uri": f"{place}/{model.evaluation.result_key}",
        "report_uri": f"{place}/{model.evaluation.report_key}",
    }


def _summary(model: ModelVersion, has_failed: bool) -> str:
    name = f"Model {model.project}/{model.version}"
    if has_failed:
        return f"{name} could not be trained: {model.status_message}"
    if model.performance is None:
        return f"{name} is trained; without anomalous images, how well it finds them could not be measured"
    found = model.performance
    return f"{name} is trained: F1 {found.f1_score:.2f}, precision {found.precision:.2f}, recall {found.recall:.2f}"


def _described(error: Exception) -> str:
    if isinstance(error, ClientError):
        found = error.response["Error"]
        return f"{error.operation_name}: {found['Code']}: {found.get('Message', '')}"
    return f"{type(error).__name__}: {error}"
