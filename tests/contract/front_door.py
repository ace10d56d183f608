"""The API behind a socket, in this process: what a Lambda function URL does, in front of the handler, on moto.

For what the local cloud cannot be made to do: fail, throttle, deny, or be asked a thousand things in a second.
"""

from __future__ import annotations

import base64
import http.client
import json
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote, urlsplit

from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.client import BaseClient
from botocore.exceptions import ClientError

import lookout_api
from cli.stack import Stack
from local.front_door import TOO_LARGE_BODY, TOO_LARGE_HEADERS, is_too_large
from relook import settings
from relook.aws.clients import FRONT_DOOR_S, Clients
from relook.aws.table import Table
from relook.lookout.service_model import SERVICE
from relook.settings import LookoutApiSettings
from tests.account import Cloud, account

SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=test"}
_TEXT_TYPES = ("application/json", "application/xml", "application/javascript")
_FUNCTION_ARN = "arn:aws:lambda:us-east-1:123456789012:function:lookout_api"


class _Context(LambdaContext):
    _function_name = "lookout_api"
    _memory_limit_in_mb = 1769
    _invoked_function_arn = _FUNCTION_ARN

    def __init__(self) -> None:
        self._aws_request_id = str(uuid.uuid4())

    def get_remaining_time_in_millis(self) -> int:  # type: ignore[override]
        return 30_000


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def error(self) -> str:
        """The error's name; empty where it is none."""
        return self.headers.get("x-amzn-errortype", "")


@dataclass
class FrontDoor:
    """The running API, and what a test can do to it.

    Attributes:
        failures: names of errors; each call of the handler to AWS takes one and fails with it.
        requests: the time of every request, monotonic seconds.
        signed: what every request was signed for: date, region, service and the like.
        decodes_paths: percent-decode paths before the function sees them, as some servers do.
        denies: answer as AWS does to callers without permission.
    """

    cloud: Cloud
    settings: LookoutApiSettings
    endpoint: str = ""
    failures: list[str] = field(default_factory=list)
    requests: list[float] = field(default_factory=list)
    signed: list[str] = field(default_factory=list)
    decodes_paths: bool = False
    denies: bool = False

    @property
    def registry(self) -> Table:
        return self.cloud.registry

    def stack(self) -> Stack:
        """As a command or the console finds it."""
        outputs = {
            "LookoutEndpoint": self.endpoint,
            "ImagesBucket": "images",
            "ResultsBucket": "results",
            "DatasetsBucket": self.settings.datasets_bucket,
            "ModelsBucket": self.settings.models_bucket,
            "InspectionsTable": "inspections",
            "RegistryTable": self.settings.registry_table,
            "EventBus": self.settings.event_bus,
        }
        return Stack(outputs, Clients(read_timeout_s=FRONT_DOOR_S))  # as `connect` makes them, none of the API's

    def training_requests(self) -> list[dict[str, Any]]:
        """What was sent to be trained since the last call."""
        bodies = []
        sqs, url = self.cloud.sqs, self.settings.training_queue_url
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for each in messages:
                bodies.append(json.loads(each["Body"]))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
        return bodies

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """A request as it is, which clients would refuse to send."""
        address = urlsplit(self.endpoint)
        assert address.hostname is not None
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
        try:
            connection.request(method, path, body, {**SIGNED, **(headers or {})})
            answer = connection.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, told, json.loads(answer.read()))
        finally:
            connection.close()


CALLER = "arn:aws:iam::123456789012:user/tester"


@contextmanager
def opened() -> Iterator[FrontDoor]:
    """The API on an account of its own."""
    made = LookoutApiSettings(
        registry_table="registry",
        idempotency_table="idempotency",
        models_bucket="models",
        datasets_bucket="datasets",
        training_queue_url="https://sqs.us-east-1.amazonaws.com/123456789012/training",
        event_bus="relook",
    )
    with account(**made.to_env()) as cloud:
        _forget_process_state()
        for bucket in ("datasets", "data"):
            cloud.s3.create_bucket(Bucket=bucket)
        cloud.sqs.create_queue(QueueName="training")
        door = FrontDoor(cloud, made)
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(door))
        door.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        with _calls_to_aws(door), server:
            thread.start()
            try:
                yield door
            finally:
                server.shutdown()
                thread.join()
        _forget_process_state()


def _forget_process_state() -> None:
    settings.lookout_api_settings.cache_clear()
    lookout_api.service.cache_clear()


@contextmanager
def _calls_to_aws(door: FrontDoor) -> Iterator[None]:
    """One at a time, since moto is not made for threads (AWS applies each call as a whole too); or failing."""
    lock, call = threading.Lock(), BaseClient._make_api_call

    def one_call(client: Any, operation: str, parameters: Mapping[str, Any]) -> Any:
        if client.meta.service_model.service_name == SERVICE:  # a client of ours, whose request this door answers
            return call(client, operation, parameters)
        with lock:
            if door.failures:
                raise ClientError({"Error": {"Code": door.failures.pop(0), "Message": "so it was asked"}}, operation)
            return call(client, operation, parameters)

    with patch.object(BaseClient, "_make_api_call", one_call):
        yield


def _handler_of(door: FrontDoor) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            door.requests.append(time.monotonic())
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            door.signed.append(headers.get("authorization", "").partition("Credential=")[2].partition(",")[0])
            if door.denies or not headers.get("authorization", "").startswith("AWS4-HMAC-SHA256"):
                answer: dict[str, Any] = {
                    "statusCode": 403,
                    "headers": {"Content-Type": "application/json", "x-amzn-ErrorType": "AccessDeniedException"},
                    "body": '{"Message":"Forbidden"}',
                }
            elif is_too_large(event := _event(door, self.command, self.path, headers, body)):
                answer = {"statusCode": 413, "headers": TOO_LARGE_HEADERS, "body": TOO_LARGE_BODY}
            else:
                answer = lookout_api.handler(event, _Context())
            data = answer["body"].encode()
            self.send_response(answer["statusCode"])
            for name, value in {**answer["headers"], "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = answer  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: tests say what went wrong."""

    return Handler


def _event(door: FrontDoor, method: str, target: str, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Payload format 2.0."""
    path, _, query = target.partition("?")
    if door.decodes_paths:
        path = unquote(path)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": dict(headers),
        "requestContext": {
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1"},
            "stage": "$default",
            "authorizer": {"iam": {"userArn": CALLER}},
        },
        "isBase64Encoded": False,
    }
    if body:
        content_type = headers.get("content-type", "").split(";")[0].strip().lower()
        is_text = content_type.startswith("text/") or content_type in _TEXT_TYPES
        event["isBase64Encoded"] = not is_text
        event["body"] = body.decode(errors="replace") if is_text else base64.b64encode(body).decode()
    return event
