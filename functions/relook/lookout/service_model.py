"""The contract as clients read it: a service model for botocore, which itself no longer has one, and a boto3 client."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from relook.aws.clients import Clients
from relook.lookout.contract import API_VERSION, OPERATIONS, Kind, Location, Member, Operation, Shape

SERVICE = "lookoutvision"
SIGNING_NAME = "lambda"
"""What the signature in front of a Lambda function URL must be made for."""


def client(clients: Clients, endpoint_url: str) -> Any:
    """A client for the server at `endpoint_url`, with requests signed as a Lambda function URL expects them."""
    return clients.of_model(SERVICE, _installed(), endpoint_url)


def write_models(folder: Path) -> Path:
    """Write the model where botocore looks for it when `folder` is on AWS_DATA_PATH; the folder with the files."""
    place = folder / SERVICE / API_VERSION
    place.mkdir(parents=True, exist_ok=True)
    for name, model in model_files().items():
        (place / name).write_text(json.dumps(model, indent=2) + "\n")
    return place


def model_files() -> dict[str, dict[str, Any]]:
    """File name -> content."""
    return {
        "service-2.json": service_model(),
        "paginators-1.json": {"pagination": _paginators()},
        "endpoint-rule-set-1.json": _ENDPOINT_RULES,
    }


def service_model() -> dict[str, Any]:
    """What `aws configure add-model` takes."""
    shapes = {shape.name: shape for operation in OPERATIONS.values() for shape in _shapes_of(operation)}
    return {
        "version": "2.0",
        "metadata": {
            "apiVersion": API_VERSION,
            "endpointPrefix": SERVICE,
            "jsonVersion": "1.1",
            "protocol": "rest-json",
            "protocols": ["rest-json"],
            "serviceFullName": "Amazon Lookout for Vision",
            "serviceId": "LookoutVision",
            "signatureVersion": "v4",
            "signingName": SIGNING_NAME,
            "uid": f"{SERVICE}-{API_VERSION}",
            "auth": ["aws.auth#sigv4"],
        },
        "operations": {name: _operation(operation) for name, operation in OPERATIONS.items()},
        "shapes": {name: _shape(shape) for name, shape in sorted(shapes.items())},
    }


@cache
def _installed() -> Path:
    folder = Path(mkdtemp(prefix="relook-models-"))
    write_models(folder)
    return folder


def _operation(operation: Operation) -> dict[str, Any]:
    return {
        "name": operation.name,
        "http": {
            "method": operation.method,
            "requestUri": f"/{API_VERSION}{operation.path}",
            "responseCode": operation.status,
        },
        "input": {"shape": operation.input.name},
        "output": {"shape": operation.output.name},
        "errors": [{"shape": error.name} for error in operation.errors],
    }


def _paginators() -> dict[str, Any]:
    return {
        name: {
            "input_token": "NextToken",
            "output_token": "NextToken",
            "limit_key": "MaxResults",
            "result_key": operation.result_key,
        }
        for name, operation in OPERATIONS.items()
        if operation.result_key
    }


def _shapes_of(operation: Operation) -> Iterator[Shape]:
    for shape in (operation.input, operation.output, *operation.errors):
        yield from _within(shape)


def _within(shape: Shape) -> Iterator[Shape]:
    yield shape
    if shape.item is not None:
        yield from _within(shape.item)
    for member in shape.members.values():
        yield from _within(member.shape)


def _shape(shape: Shape) -> dict[str, Any]:
    described: dict[str, Any] = {"type": shape.kind.value}
    if shape.kind is Kind.STRUCTURE:
        if shape.required:
            described["required"] = shape.required
        described["members"] = {name: _member(member) for name, member in shape.members.items()}
        payload = [name for name, member in shape.members.items() if member.location is Location.PAYLOAD]
        if payload:
            described["payload"] = payload[0]
    if shape.item is not None:
        described["member"] = {"shape": shape.item.name}
    limits: Mapping[str, Any] = {"max": shape.maximum, "min": shape.minimum, "pattern": shape.pattern}
    described |= {name: limit for name, limit in limits.items() if limit is not None}
    if shape.values:
        described["enum"] = list(shape.values)
    if shape.is_streaming:
        described |= {"requiresLength": True, "streaming": True}
    if shape.status is not None:
        described |= {"error": {"httpStatusCode": shape.status}, "exception": True}
        if shape.status >= 500:
            described["fault"] = True
    return described


def _member(member: Member) -> dict[str, Any]:
    described: dict[str, Any] = {"shape": member.shape.name}
    if member.is_token:
        described["idempotencyToken"] = True
    if member.wire_name:
        described |= {"location": member.location.value, "locationName": member.wire_name}
    return described


# Whoever wants this service says where it is: with endpoint_url, or with AWS_ENDPOINT_URL_LOOKOUTVISION.
_ENDPOINT_RULES: dict[str, Any] = {
    "version": "1.0",
    "parameters": {
        "Region": {"builtIn": "AWS::Region", "required": False, "documentation": "Signed for", "type": "String"},
        "Endpoint": {"builtIn": "SDK::Endpoint", "required": False, "documentation": "The server", "type": "String"},
    },
    "rules": [
        {
            "conditions": [{"fn": "isSet", "argv": [{"ref": "Endpoint"}]}],
            "endpoint": {"url": {"ref": "Endpoint"}, "properties": {}, "headers": {}},
            "type": "endpoint",
        },
        {
            "conditions": [],
            "error": "Name the server: endpoint_url, or AWS_ENDPOINT_URL_LOOKOUTVISION (see relook client-setup)",
            "type": "error",
        },
    ],
}
