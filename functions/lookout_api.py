"""Lambda: requests to a function URL in, what Lookout for Vision would answer out."""

from __future__ import annotations

import base64
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from aws_lambda_powertools.utilities.data_classes import LambdaFunctionUrlEvent
from aws_lambda_powertools.utilities.typing import LambdaContext

from relook.aws.arns import FunctionArn
from relook.aws.clients import Clients
from relook.lookout.api import answer
from relook.lookout.service import Service
from relook.lookout.wire import Request
from relook.observability import logger, tracer
from relook.settings import lookout_api_settings


@cache
def service(function_arn: str) -> Service:
    """Made by the first invocation and kept for the next ones."""
    return Service.of(lookout_api_settings(), Clients(), FunctionArn.parse(function_arn))


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False, capture_error=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """One request, one answer, in the function URL's own format."""
    response = answer(service(context.invoked_function_arn), _request(LambdaFunctionUrlEvent(event)), context)
    return {"statusCode": response.status, "headers": dict(response.headers), "body": response.body}


def _request(event: LambdaFunctionUrlEvent) -> Request:
    body = event.body or ""
    return Request(
        method=event.http_method,
        path=event.raw_path,
        query=parse_qsl(event.raw_query_string, keep_blank_values=True),
        headers={name.lower(): value for name, value in event.headers.items()},
        body=base64.b64decode(body) if event.is_base64_encoded else body.encode(),
        caller=_caller(event),
    )


def _caller(event: LambdaFunctionUrlEvent) -> str | None:
    """Whose credentials signed the request, as the function URL saw; the local cloud's does not look."""
    signed = event.raw_event["requestContext"].get("authorizer", {}).get("iam", {})
    arn: str | None = signed.get("userArn")
    return arn
