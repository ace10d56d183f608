"""The emulator with function URLs as strict as AWS's, and queries as thrifty: `python -m local.front_door` is
ministack, a limit and an order.

A program that passes here must not fail after deployment, and ministack takes requests of any size.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from local import ordered_queries

MAX_EVENT_BYTES = 6 * 1024 * 1024
"""Lambda's limit on what a synchronous invocation is called with, headers and base64 included."""

TOO_LARGE_HEADERS = {"Content-Type": "application/json", "x-amzn-ErrorType": "RequestEntityTooLargeException"}
TOO_LARGE_BODY = json.dumps(
    {"Message": f"Request must be smaller than {MAX_EVENT_BYTES} bytes for the InvokeFunction operation"}
)


def is_too_large(event: Mapping[str, Any]) -> bool:
    """Whether Lambda would refuse this event of a function URL. It counts the event's JSON, so an image is counted
    after base64: 4.7 million bytes of one are too many."""
    return len(json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()) >= MAX_EVENT_BYTES


def main() -> None:
    """Run ministack, until it is told to stop."""
    from ministack.app import main as ministack
    from ministack.services import lambda_svc

    ordered_queries.install()
    build_event, answer = lambda_svc._build_function_url_event, lambda_svc.handle_function_url_request

    def build_small_event(*args: Any, **options: Any) -> dict[str, Any]:
        event: dict[str, Any] = build_event(*args, **options)
        if is_too_large(event):
            raise _TooLargeError
        return event

    async def answer_small(*args: Any, **options: Any) -> tuple[Any, ...]:
        try:
            answered: tuple[Any, ...] = await answer(*args, **options)
        except _TooLargeError:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE.value, dict(TOO_LARGE_HEADERS), TOO_LARGE_BODY.encode()
        return answered

    lambda_svc._build_function_url_event, lambda_svc.handle_function_url_request = build_small_event, answer_small
    ministack()


class _TooLargeError(Exception):
    """From where ministack makes the event to where it answers."""


if __name__ == "__main__":
    main()
