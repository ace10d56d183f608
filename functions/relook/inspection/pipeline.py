"""The steps in their order, once per upload and model version."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.typing import LambdaContext

from relook.aws.bucket import Bucket
from relook.aws.clients import Clients
from relook.aws.idempotency import IdempotencyStore
from relook.aws.table import ConditionFailedError, Table
from relook.errors import ImageRejectedError, RejectionReason, ResourceNotFoundError
from relook.inspection.detect import create_detector
from relook.inspection.fetch import open_object, read_image
from relook.inspection.publish import publish
from relook.inspection.record import Inspection, Outcome, record_item
from relook.inspection.store import store_pictures
from relook.inspection.upload import NO_MODEL, Upload
from relook.observability import emit_inspection_metrics, logger, tracer
from relook.registry.inspections import verdict_of
from relook.registry.projects import HostedModel
from relook.registry.retention import Retention
from relook.settings import InspectImageSettings

# As long as a dead letter can wait for its redrive: it is still recognised as the same inspection.
_REMEMBERED_S = 14 * 24 * 3600


class Pipeline:
    """Inspects uploads. One per process: it keeps clients and models warm between invocations."""

    def __init__(self, settings: InspectImageSettings, clients: Clients) -> None:
        self._settings = settings
        self._s3, self._events = clients.s3, clients.events
        self._results = Bucket(clients.s3, settings.results_bucket)
        self._inspections = Table(clients.dynamodb, settings.inspections_table)
        registry = Table(clients.dynamodb, settings.registry_table)
        self._retention = Retention(
            settings.keep_records_days, settings.keep_normal_pictures_days, settings.keep_anomalous_pictures_days
        )
        self._detector = create_detector(settings, Bucket(clients.s3, settings.models_bucket), registry)
        self._idempotency = IdempotencyConfig(expires_after_seconds=_REMEMBERED_S)
        self._inspect_once = idempotent_function(
            self._inspect,
            data_keyword_argument="identity",
            persistence_store=IdempotencyStore(clients.dynamodb, settings.idempotency_table),
            config=self._idempotency,
            key_prefix="inspection",
        )

    def inspect(self, upload: Upload, context: LambdaContext) -> None:
        """See to it that this upload has its record, its pictures and its event for the project's hosted model.

        Raises:
            Exception: of any kind, when it could not be done now; the same upload is then to be given again.
        """
        if upload.is_folder:
            logger.info("a folder and no image", image_uri=upload.uri)
            return
        # Powertools asks the context how long a crashed attempt may go on blocking the next one.
        self._idempotency.register_lambda_context(context)
        model, rejection = None, None
        try:
            model = self._detector.choose_model(upload.project)
        except ImageRejectedError as error:
            rejection = error
        except ResourceNotFoundError as error:
            rejection = _unknown_project(error)
        identity = {
            "bucket": upload.bucket,
            "key": upload.key,
            "object_version": upload.object_version,
            "model_version": model.version if model else NO_MODEL,
            # The same content uploaded again, where nothing else tells it from the first time.
            "sequencer": "" if upload.version_id else upload.sequencer,
        }
        self._inspect_once(identity=identity, upload=upload, model=model, rejection=rejection)

    def _inspect(
        self,
        *,
        identity: Mapping[str, str],
        upload: Upload,
        model: HostedModel | None,
        rejection: ImageRejectedError | None,
    ) -> dict[str, str]:
        started = time.perf_counter()
        outcome = self._look(upload, model) if model else Outcome(rejection=rejection)
        inspection = Inspection(
            upload=upload,
            project=_project(upload),
            model_version=model.version if model else None,
            borderline=model.borderline if model else None,
            inspected_at=datetime.now(UTC),
            duration_ms=round((time.perf_counter() - started) * 1000),
            outcome=outcome,
        )
        record = record_item(inspection, self._retention)
        # Before the record: an image whose record says that it was inspected has its tag.
        with tracer.provider.in_subsegment("## tag"):
            self._retention.tag_upload(
                Bucket(self._s3, upload.bucket), upload.key, upload.version_id, verdict_of(record)
            )
        # An event that comes once more, after whatever time, does not undo what a person has said meanwhile.
        with tracer.provider.in_subsegment("## record"), suppress(ConditionFailedError):
            self._inspections.put(record, unless="reviewed_at")
        with tracer.provider.in_subsegment("## publish"):
            every_inspection = self._settings.publish_every_inspection
            published = publish(self._events, self._settings.event_bus, record, every_inspection=every_inspection)
        _observe(inspection, record, published)
        return {"inspection_id": inspection.inspection_id}

    def _look(self, upload: Upload, model: HostedModel) -> Outcome:
        metadata: Mapping[str, str] = {}
        try:
            with tracer.provider.in_subsegment("## fetch"):
                stored = open_object(Bucket(self._s3, upload.bucket), upload)
                metadata = stored.metadata
                image = read_image(stored)
            with tracer.provider.in_subsegment("## detect"):
                verdict = self._detector.detect(model, image.data, image.header.content_type)
        except ImageRejectedError as error:
            return Outcome(metadata, rejection=error)
        except ResourceNotFoundError as error:
            return Outcome(metadata, rejection=_unknown_project(error))
        with tracer.provider.in_subsegment("## store"):
            pictures = store_pictures(self._results, upload, model.version, verdict, self._retention)
        return Outcome(metadata, image.header, verdict, pictures)


def _unknown_project(error: ResourceNotFoundError) -> ImageRejectedError:
    return ImageRejectedError(
        RejectionReason.UNKNOWN_PROJECT,
        f"There is no project {error.resource_id!r}; train one of that name, or upload below an existing one",
    )


def _project(upload: Upload) -> str | None:
    try:
        return upload.project
    except ImageRejectedError:
        return None


def _observe(inspection: Inspection, record: Mapping[str, Any], published: Sequence[str]) -> None:
    rejection = inspection.outcome.rejection
    is_known = rejection is None or rejection.reason not in (
        RejectionReason.UNKNOWN_PROJECT,
        RejectionReason.NO_PROJECT,
    )
    emit_inspection_metrics(
        # An uploader can make up any number of project names; a metric for each would cost money.
        (inspection.project or "unknown") if is_known else "unknown",
        inspection.model_version or NO_MODEL,
        is_rejected=rejection is not None,
        is_anomalous=inspection.is_anomalous,
        duration_ms=inspection.duration_ms,
    )
    logger.info("inspection", published=published, **{name: record[name] for name in _LOGGED})


_LOGGED = (
    "image_uri",
    "object_version",
    "inspection_id",
    "project",
    "model_version",
    "is_anomalous",
    "confidence",
    "reason",
    "duration_ms",
)
