"""Drives a boto3 for the contract tests: reads calls as JSON lines, answers each with one JSON line.

    python -I python_client.py [FOLDER]

FOLDER holds the boto3 to drive; without one it is this interpreter's own. Nothing of Relook is imported.
"""

from __future__ import annotations

import base64
import json
import sys
from datetime import datetime, timezone
from typing import Any

sys.path[:0] = sys.argv[1:]

import boto3  # noqa: E402
from botocore import xform_name  # noqa: E402
from botocore.config import Config  # noqa: E402
from botocore.exceptions import ClientError  # noqa: E402


def main() -> None:
    clients: dict[tuple[str, int], Any] = {}
    print(json.dumps({"ready": boto3.__version__}), flush=True)
    for line in sys.stdin:
        call = json.loads(line, object_hook=_tagged)
        key = call["endpoint"], call["attempts"]
        if key not in clients:
            config = Config(retries={"total_max_attempts": call["attempts"]})
            clients[key] = boto3.client("lookoutvision", endpoint_url=call["endpoint"], config=config)
        print(json.dumps(_answer(clients[key], call), default=_plain), flush=True)


def _answer(client: Any, call: dict[str, Any]) -> dict[str, Any]:
    name = xform_name(call["operation"])
    try:
        if call["page_size"]:
            pages = client.get_paginator(name).paginate(
                PaginationConfig={"PageSize": call["page_size"]}, **call["input"]
            )
            return {"pages": [_without_metadata(page) for page in pages]}
        return {"output": _without_metadata(getattr(client, name)(**call["input"]))}
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        # The class a program names in `except client.exceptions.ConflictException`.
        is_modeled = hasattr(client.exceptions, code) and isinstance(error, getattr(client.exceptions, code))
        members = {k: v for k, v in error.response.items() if k not in ("Error", "ResponseMetadata")}
        metadata = error.response["ResponseMetadata"]
        return {
            "error": {
                "code": code,
                "message": message,
                "is_modeled": is_modeled,
                "status": metadata["HTTPStatusCode"],
                "members": members,
            }
        }


def _without_metadata(output: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in output.items() if name != "ResponseMetadata"}


def _tagged(value: dict[str, Any]) -> Any:
    if "$bytes" in value:
        return base64.b64decode(value["$bytes"])
    if "$time" in value:
        return datetime.fromtimestamp(value["$time"], timezone.utc)  # noqa: UP017
    return value


def _plain(value: Any) -> Any:
    return value.timestamp() if isinstance(value, datetime) else base64.b64encode(value).decode()


main()
