"""Lambda: a queue of S3 "Object Created" events in, inspections out."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from relook.aws.clients import Clients
from relook.inspection.pipeline import Pipeline
from relook.inspection.upload import parse_upload
from relook.observability import logger, tracer
from relook.settings import inspect_image_settings

# A batch in which every message fails is answered like any other: the failures are named, the queue retries them.
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


@cache
def pipeline() -> Pipeline:
    """Made by the first invocation and kept for the next ones."""
    return Pipeline(inspect_image_settings(), Clients())


def inspect_record(record: SQSRecord, lambda_context: LambdaContext) -> None:
    """Inspect the upload of one message; an exception sends this message alone back to the queue."""
    try:
        pipeline().inspect(parse_upload(record.body), lambda_context)
    except Exception:
        logger.exception("inspection failed", message_id=record.message_id)
        raise


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False, capture_error=False)
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Answer with the messages that are to be tried again (partial batch response)."""
    return process_partial_response(event, record_handler=inspect_record, processor=processor, context=context)
