"""The training of one model version, from a queue's message to TRAINED or TRAINING_FAILED, and the event about it.

Whatever happens on the way, it ends in one of the two: what is wrong with the data is said at once, what may pass is
tried again, and a function that died is recognised by its message coming back.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aws_lambda_powertools.utilities.typing import LambdaContext

from relook.aws.arns import FunctionArn
from relook.aws.bucket import Bucket
from relook.aws.clients import Clients
from relook.aws.refusals import why_unwritable
from relook.aws.table import Table
from relook.errors import (
    AwsError,
    ConflictError,
    InvalidRequestError,
    RelookError,
    ResourceNotFoundError,
)
from relook.events import DetailType, put_events
from relook.observability import logger
from relook.quality.thresholds import borderline_band
from relook.registry import backbones, models, packages, trainings
from relook.registry.dataset_type import DatasetType
from relook.registry.datasets import StoredEntry
from relook.registry.model_version import EvaluationFiles, ModelStatus, ModelVersion
from relook.registry.projects import describe_project
from relook.registry.regions import read_regions
from relook.settings import TrainModelSettings
from relook.training.entries import training_entries
from relook.training.evaluation import evaluation_manifest, evaluation_result, image_outcomes
from relook.training.event import event_detail
from relook.training.labeled_objects import labeled_images
from relook.training.report import performance, status_message, training_report
from relook.training.request import TrainingRequest

if TYPE_CHECKING:
    from relook.learning.training import TrainedModel
    from relook.learning.validation.evaluation import Evaluation

_LAST_WORDS_S = 20  # to write the failure and its event, with every attempt that a client makes
_TELL_EVERY_S = 2  # as often as people who wait look again; each telling is a write


class _OutOfTimeError(Exception):
    """The function is about to be stopped."""


class Trainer:
    """Trains model versions. One per process: it keeps clients warm between invocations."""

    def __init__(self, settings: TrainModelSettings, clients: Clients) -> None:
        self._settings = settings
        self._registry = Table(clients.dynamodb, settings.registry_table)
        self._s3, self._events = clients.s3, clients.events
        self._models = Bucket(clients.s3, settings.models_bucket)
        self._datasets = Bucket(clients.s3, settings.datasets_bucket)

    def train(self, request: TrainingRequest, context: LambdaContext) -> None:
        """See to it that the version is trained, or has failed, and that this was told.

        Raises:
            Exception: of any kind, when that could not be done now; the same request is then to be given again.
        """
        try:
            model = models.describe_model(self._registry, request.project, request.version)
            if model.status is ModelStatus.TRAINING:
                model = self._attempt(model, request.attempt, context)
        except ResourceNotFoundError:
            logger.info("model version is gone", project=request.project, model_version=request.version)
            return
        # Also when it had ended before: whoever did that may have died before telling.
        self._tell(model, context)

    def _attempt(self, model: ModelVersion, attempt: int, context: LambdaContext) -> ModelVersion:
        limit = self._settings.max_attempts
        if attempt > limit:
            message = (
                f"The training function crashed {attempt - 1} times, probably for want of memory or time. Train with "
                "fewer images, or raise the stage's training_memory_mb."
            )
            return self._fail(model, message)
        try:
            return self._train(model, context)
        except ConflictError:  # it ended meanwhile
            return models.describe_model(self._registry, model.project, model.version)
        except _OutOfTimeError:
            message = (
                "The training was stopped shortly before its time was over. Train with fewer images, or raise the "
                "stage's training_memory_mb, which brings a faster processor too."
            )
            return self._fail(model, message)
        except ResourceNotFoundError:
            raise
        except Exception as error:
            if isinstance(error, RelookError) and not error.is_transient:  # the same data would end in the same way
                return self._fail(model, str(error))
            if attempt < limit:
                raise
            logger.exception("training failed", project=model.project, model_version=model.version)
            return self._fail(model, f"The training failed {attempt} times, at last with {_described(error)}.")

    def _train(self, model: ModelVersion, context: LambdaContext) -> ModelVersion:
        # They bring onnx, which only a training needs, and a message about one that has ended does not.
        from relook.detection.model import Model
        from relook.learning.backbone.imported import ImportedBackbone
        from relook.learning.training import train
        from relook.learning.validation.evaluation import evaluate_on

        progress = _Progress(self._registry, model, context)
        progress("reading the datasets", 1, 1)
        entries = training_entries(self._registry, self._datasets, model.project)
        painted = describe_project(self._registry, model.project).regions
        regions = read_regions(self._datasets, painted.key) if painted else None
        own = backbones.load_backbone(self._registry, self._models, model.project)
        trained = train(
            labeled_images(self._s3, (each.entry for each in entries[DatasetType.TRAIN])),
            project=model.project,
            version=model.version,
            backbone=ImportedBackbone.from_bytes(own) if own is not None else None,
            regions=regions,
            on_progress=progress,
        )
        evaluation, looked_at = trained.evaluation, entries[DatasetType.TRAIN]
        if DatasetType.TEST in entries:
            looked_at = entries[DatasetType.TEST]
            images = labeled_images(self._s3, (each.entry for each in looked_at))
            evaluation = evaluate_on(Model(trained.package), images, progress, regions)
        ended_at = datetime.now(UTC)
        # A queue may give a message twice: whoever comes second must not overwrite the package of the first.
        trainings.report_training(self._registry, model.project, model.version, "The model is being stored.")
        files = self._write_evaluation(model, trained, evaluation, looked_at, ended_at, context)
        sha256 = packages.save_package(self._models, model.project, model.version, trained.package)
        return trainings.finish_training(
            self._registry,
            model.project,
            model.version,
            sha256,
            performance(evaluation),
            status_message(trained.notes),
            evaluation=files,
            borderline=borderline_band(image_outcomes(evaluation), trained.package.manifest.threshold),
            regions_key=painted.key if painted else None,
            ended_at=ended_at,
        )

    def _write_evaluation(
        self,
        model: ModelVersion,
        trained: TrainedModel,
        evaluation: Evaluation,
        entries: Sequence[StoredEntry],
        ended_at: datetime,
        context: LambdaContext,
    ) -> EvaluationFiles | None:
        if model.output is None:
            return None
        project, version = model.project, model.version
        arn, place = _arn(model, context), f"{project}-{version}.json"
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
        place = Bucket(self._s3, bucket)
        try:
            place.write(key, data, "application/json", kms_key_id=model.kms_key_id)
        except AwsError as error:
            if error.is_transient:
                raise
            message = f"There is no place for the evaluation: {why_unwritable(place.uri(key), error)}"
            raise InvalidRequestError(message) from error

    def _fail(self, model: ModelVersion, message: str) -> ModelVersion:
        logger.info("training failed", project=model.project, model_version=model.version, reason=message)
        try:
            return trainings.fail_training(self._registry, model.project, model.version, message)
        except ConflictError:  # it ended meanwhile
            return models.describe_model(self._registry, model.project, model.version)

    def _tell(self, model: ModelVersion, context: LambdaContext) -> None:
        """
        Raises:
            EventNotPublishedError: the bus did not take it.
        """
        has_failed = model.status is ModelStatus.TRAINING_FAILED
        detail_type = DetailType.MODEL_TRAINING_FAILED if has_failed else DetailType.MODEL_TRAINED
        detail = event_detail(model, _arn(model, context))
        put_events(self._events, self._settings.event_bus, [detail_type], detail)
        logger.info("training ended", project=model.project, model_version=model.version, detail_type=detail_type)


class _Progress:
    """Tells how far a training is, not too often, and ends it before the function is ended."""

    def __init__(self, registry: Table, model: ModelVersion, context: LambdaContext) -> None:
        self._registry = registry
        self._model = model
        self._context = context
        self._told_at = -float(_TELL_EVERY_S)

    def __call__(self, step: str, done: int, total: int) -> None:
        """
        Raises:
            ConflictError, ResourceNotFoundError: nobody waits for this training any more.
        """
        if self._context.get_remaining_time_in_millis() < 1000 * _LAST_WORDS_S:
            raise _OutOfTimeError
        if time.monotonic() - self._told_at < _TELL_EVERY_S:
            return
        self._told_at = time.monotonic()
        message = f"The model is being trained: {step}, {done} of {total}."
        trainings.report_training(self._registry, self._model.project, self._model.version, message)


def _arn(model: ModelVersion, context: LambdaContext) -> str:
    return FunctionArn.parse(context.invoked_function_arn).model(model.project, model.version)


def _described(error: Exception) -> str:
    return str(error) if isinstance(error, AwsError) else f"{type(error).__name__}: {error}"
