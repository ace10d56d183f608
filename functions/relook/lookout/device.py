"""One model on a device, without AWS: DetectAnomalies over HTTP, as the service itself answers it.

`python -m relook.lookout.device --model model` is what a packaging job's component runs. Nothing is signed and nothing
is checked about who asks, so it listens to the device itself unless told otherwise. Neither this module nor what it
imports may need boto3.
"""

from __future__ import annotations

import argparse
import sys
import traceback
import uuid
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from relook.aws.arns import FunctionArn
from relook.detection.image import MAX_IMAGE_BYTES
from relook.detection.model import Model
from relook.detection.package import ModelPackage
from relook.errors import (
    InvalidRequestError,
    PackageError,
    RelookError,
    ResourceNotFoundError,
    ResourceType,
    UnknownOperationError,
)
from relook.lookout.detect import check_content_type
from relook.lookout.result import write_result
from relook.lookout.wire import Request, Response, read_input, route, to_wire, write_answer, write_error

_IDLE_S = 60  # a client that asks once a minute keeps its connection
_NOWHERE = FunctionArn("aws", region="", account="", name="")


class Device:
    """Answers for one model, which is always hosted."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._operations = {"DetectAnomalies": self._detect_anomalies, "DescribeModel": self._describe_model}

    def answer(self, request: Request) -> Response:
        """What the service would answer; errors too."""
        request_id = str(uuid.uuid4())
        try:
            operation, in_path = route(request.method, request.path)
            if operation.name not in self._operations:
                known = " and ".join(self._operations)
                raise UnknownOperationError(f"{operation.name} is not for a device, which answers {known}")
            given = read_input(operation, in_path, request)
            output = self._operations[operation.name](given)
            return write_answer(operation, to_wire(operation, output), request_id)
        except Exception as error:  # whatever it is, the client gets an answer
            if not isinstance(error, RelookError):
                traceback.print_exception(error, file=sys.stderr)
            return write_error(error, request_id)

    def _detect_anomalies(self, given: Mapping[str, Any]) -> dict[str, Any]:
        self._refuse_others(given)
        check_content_type(given["ContentType"])
        return {"DetectAnomalyResult": write_result(self._model.detect(given["Body"]))}

    def _describe_model(self, given: Mapping[str, Any]) -> dict[str, Any]:
        self._refuse_others(given)
        project, version = self._model.manifest.project, self._model.manifest.version
        description = {
            "ModelVersion": version,
            "ModelArn": _NOWHERE.model(project, version),
            "Status": "HOSTED",
            "StatusMessage": "The model is running.",
        }
        return {"ModelDescription": description}

    def _refuse_others(self, given: Mapping[str, Any]) -> None:
        project, version = given["ProjectName"], given["ModelVersion"]
        if project != self._model.manifest.project:
            raise ResourceNotFoundError(ResourceType.PROJECT, project)
        if version not in (self._model.manifest.version, "latest"):
            raise ResourceNotFoundError(ResourceType.MODEL, f"{project}/{version}")


def serve(device: Device, host: str, port: int) -> ThreadingHTTPServer:
    """A server that listens already; `serve_forever` answers. Port 0 takes a free one."""
    return _Server((host, port), type("Handler", (_Handler,), {"device": device}))


class _Server(ThreadingHTTPServer):
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S
    disable_nagle_algorithm = True  # headers and body are two writes, and the second would wait for the client
    device: Device

    def _answer(self) -> None:
        try:
            body = self._read_body()
        except InvalidRequestError as error:
            self.close_connection = True  # what is left of the body must not be read as the next request
            response = write_error(error, str(uuid.uuid4()))
        else:
            path, _, query = self.path.partition("?")
            headers = {name.lower(): value for name, value in self.headers.items()}
            pairs = parse_qsl(query, keep_blank_values=True)
            response = self.device.answer(Request(self.command, path, pairs, headers, body))
        data = response.body.encode()
        self.send_response(response.status)
        for name, value in {**response.headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815

    def _read_body(self) -> bytes:
        if "Transfer-Encoding" in self.headers:
            raise InvalidRequestError("The body came in chunks; send it with its Content-Length")
        text = self.headers.get("Content-Length", "0")
        if not (text.isascii() and text.isdecimal()):
            raise InvalidRequestError(f"Content-Length {text[:100]!r} is not a number of bytes")
        size_bytes = int(text[:20])
        if size_bytes > MAX_IMAGE_BYTES:
            raise InvalidRequestError(f"The body has {size_bytes:,} bytes; at most {MAX_IMAGE_BYTES:,} are accepted")
        return self.rfile.read(size_bytes)


def main() -> None:
    """Serve the model that the command line names, until stopped."""
    parser = argparse.ArgumentParser(prog="python -m relook.lookout.device", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="folder of graph.onnx and model.json")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; 0.0.0.0 lets other machines ask")
    parser.add_argument("--port", type=int, default=8080)
    arguments = parser.parse_args()
    try:
        device = Device(Model(ModelPackage.read_folder(arguments.model)))
    except PackageError as error:
        sys.exit(f"{arguments.model}: {error}")
    with serve(device, arguments.host, arguments.port) as server:
        host, port = server.server_address[:2]
        print(f"Listening at http://{host!s}:{port}", flush=True)
        with suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
