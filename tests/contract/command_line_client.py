"""Drives the AWS command line for the contract tests: reads calls as JSON lines, answers each with one JSON line.

    python -I -S command_line_client.py FOLDER

FOLDER holds the awscli. Each call is a run of the whole command, but in one process: each start takes a second.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import sys
import tempfile
from datetime import datetime, timezone
from typing import Any

sys.path[:0] = sys.argv[1:]

import awscli  # type: ignore[import-not-found]  # noqa: E402
import awscli.clidriver  # type: ignore[import-not-found]  # noqa: E402
from botocore import xform_name  # noqa: E402


def main() -> None:
    print(json.dumps({"ready": awscli.__version__}), flush=True)
    for line in sys.stdin:
        call = json.loads(line, object_hook=_tagged)
        os.environ["AWS_MAX_ATTEMPTS"] = str(call["attempts"])
        with tempfile.NamedTemporaryFile() as body:
            arguments = ["--endpoint-url", call["endpoint"], "lookoutvision", xform_name(call["operation"], "-")]
            if call["page_size"]:
                arguments += ["--page-size", str(call["page_size"])]
            elif call["operation"].startswith("List"):
                arguments += ["--no-paginate"]
            given = call["input"]
            if "Body" in given:  # a file, as for every operation that streams
                body.write(given.pop("Body"))
                body.flush()
                arguments += ["--body", body.name]
            code, out, err = _run([*arguments, "--cli-input-json", json.dumps(given, default=_plain)])
        print(json.dumps(_answer(call, code, out, err)), flush=True)


def _run(arguments: list[str]) -> tuple[int, str, str]:
    streams = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = streams
    try:
        code = awscli.clidriver.create_clidriver().main(arguments)
    except SystemExit as ended:
        code = ended.code
    finally:
        sys.stdout, sys.stderr = before
    for stream in streams:
        stream.flush()
    out, err = (stream.buffer.getvalue().decode() for stream in streams)
    return code, out, err


def _answer(call: dict[str, Any], code: int, out: str, err: str) -> dict[str, Any]:
    if code == 0:
        output = json.loads(out) if out.strip() else {}
        return {"pages": [output]} if call["page_size"] else {"output": output}
    match = re.search(r"An error occurred \((\w+)\) when calling the (\w+) operation[^:]*: (.*)", err, re.DOTALL)
    if match is None or match[2] != call["operation"]:
        return {"unexpected": f"exit code {code}: {err}"}
    return {"error": {"code": match[1], "message": match[3].rstrip("\n")}}


def _tagged(value: dict[str, Any]) -> Any:
    if "$bytes" in value:
        return base64.b64decode(value["$bytes"])
    if "$time" in value:
        return datetime.fromtimestamp(value["$time"], timezone.utc).isoformat()  # noqa: UP017
    return value


def _plain(value: bytes) -> str:
    return value.decode()


main()
