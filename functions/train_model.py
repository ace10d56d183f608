"""Lambda: a queue of training requests in, trained model versions out."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from relook.aws.clients import Clients
from relook.observability import logger, tracer
from relook.settings import train_model_settings
from relook.training.request import parse_request
from relook.training.trainer import Trainer

# A message that fails is named, and the queue retries it.
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


@cache
def trainer() -> Trainer:
    """Made by the first invocation and kept for the next ones."""
    # More attempts than elsewhere: what is lost with the last one may be minutes of training.
    return Trainer(train_model_settings(), Clients(attempts=5))


def train_record(record: SQSRecord, lambda_context: LambdaContext) -> None:
    """Train the model version of one message; an exception sends the message back to the queue."""
    try:
        request = parse_request(record.body, record.attributes.approximate_receive_count or "1")
        trainer().train(request, lambda_context)
    except Exception:
        logger.exception("training not ended", message_id=record.message_id)
        raise


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False, capture_error=False)
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Answer with the messages that are to be tried again (partial batch response)."""
    return process_partial_response(event, record_handler=train_record, processor=processor, context=context)
