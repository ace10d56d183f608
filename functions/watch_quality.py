"""Lambda: the clock in, drift and overdue checks out."""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from relook.aws.clients import Clients
from relook.observability import logger, tracer
from relook.settings import watch_quality_settings
from relook.watching.watch import Round, Watch


@cache
def watch() -> Watch:
    """Made by the first invocation and kept for the next ones."""
    return Watch(watch_quality_settings(), Clients())


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False, capture_error=False)
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Look at every project; an exception has Lambda try the round again, and at last put it to the dead letters."""
    watch().look(Round.parse(event))
