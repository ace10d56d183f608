"""REST-JSON: an HTTP request to an operation and its input, and outputs and errors back, as the contract says.

Clients of this API check next to nothing themselves, so every limit of the contract is checked here.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import unquote
from xml.sax.saxutils import escape

from relook.errors import InvalidRequestError, UnknownOperationError
from relook.float32 import exact_float32
from relook.lookout.contract import API_VERSION, OPERATIONS, Kind, Location, Member, Operation, Shape
from relook.lookout.errors import error_shape

_RETRY_AFTER_S = 1  # throttling passes within the second that its limit counts
_HEADERS = {
    "strict-transport-security": "max-age=47304000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


@dataclass(frozen=True)
class Request:
    """An HTTP request.

    Attributes:
        path: as it came, percent-encoded or not.
        query: (name, value) in order, decoded; a name may come more than once.
        headers: by name in lower case.
        caller: ARN of whoever signed it; None where the front door does not say.
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes
    caller: str | None = None

    @property
    def signed_region(self) -> str:
        """Whom the caller believes to talk to; empty where the signature does not say."""
        return self._signed_for[0]

    @property
    def is_of_s3(self) -> bool:
        """Whether a client of S3 sent it, to the wrong endpoint."""
        return self._signed_for[1] == "s3"

    @property
    def _signed_for(self) -> tuple[str, str]:
        """Region and service."""
        scope = self.headers.get("authorization", "").partition("Credential=")[2].partition(",")[0].split("/")
        return (scope[2], scope[3]) if len(scope) == 5 else ("", "")


@dataclass(frozen=True)
class Response:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: str


def route(method: str, path: str) -> tuple[Operation, dict[str, str]]:
    """The operation that a request is for, and the members that its path holds.

    Raises:
        UnknownOperationError: no operation has this method and path.
    """
    for operation, pattern in _patterns():
        if operation.method == method and (match := pattern.fullmatch(path)):
            return operation, {name: unquote(value) for name, value in match.groupdict().items()}
    raise UnknownOperationError(f"{method} {path} is not an operation of Lookout for Vision ({API_VERSION})")


def read_input(operation: Operation, in_path: Mapping[str, str], request: Request) -> dict[str, Any]:
    """The operation's input, all of it valid.

    Raises:
        InvalidRequestError: names the first member that is missing or breaks a limit, and the limit.
    """
    members = operation.input.members
    query: dict[str, list[str]] = {}
    for name, value in request.query:
        query.setdefault(name, []).append(value)
    in_body = {name: member for name, member in members.items() if member.location is Location.BODY}
    body = _json_object(request.body) if in_body else {}
    given: dict[str, Any] = {}
    for name, member in members.items():
        value = _located(name, member, in_path, query, request, body)
        if value is not None:
            given[name] = value
        elif member.is_required:
            raise InvalidRequestError(f"{name} is missing; {operation.name} needs it")
    return given


def to_wire(operation: Operation, output: Mapping[str, Any]) -> dict[str, Any]:
    """The operation's output as JSON has it. Members that are None are left out."""
    wire: dict[str, Any] = _to_json(operation.output, output)
    return wire


def write_answer(operation: Operation, answer: Mapping[str, Any], request_id: str) -> Response:
    """What `to_wire` made, as an HTTP answer."""
    return Response(operation.status, _headers(request_id), json.dumps(answer, allow_nan=False))


def write_error(error: Exception, request_id: str, *, is_for_s3: bool = False) -> Response:
    """What a client sees of an exception; of one that is not ours, no more than that there was one.

    Args:
        is_for_s3: in XML, for clients of S3 show no other error's message.
    """
    shape, members = error_shape(error)
    headers = {**_headers(request_id), "x-amzn-errortype": shape.name}
    if "RetryAfterSeconds" in shape.members:
        headers["Retry-After"] = str(_RETRY_AFTER_S)
    body = json.dumps(members)
    if is_for_s3:
        headers["Content-Type"] = "application/xml"
        body = f"<Error><Code>{shape.name}</Code><Message>{escape(members['Message'])}</Message></Error>"
    return Response(shape.status or 500, headers, body)


def check(shape: Shape, value: Any, name: str) -> None:
    """
    Raises:
        InvalidRequestError: the value breaks a limit of the shape.
    """
    unit = {Kind.STRING: " characters", Kind.BLOB: " bytes", Kind.LIST: " entries"}.get(shape.kind, "")
    size = value if shape.kind is Kind.INTEGER else len(value) if unit else None
    if size is not None:
        low, high = shape.minimum, shape.maximum
        if low is not None and size < low:
            raise InvalidRequestError(f"{name} {_shown(value)} is below its minimum of {low}{unit}")
        if high is not None and size > high:
            raise InvalidRequestError(f"{name} {_shown(value)} is above its maximum of {high}{unit}")
    if shape.pattern is not None and not _pattern(shape.pattern).fullmatch(value):
        raise InvalidRequestError(f"{name} {_shown(value)} does not match the pattern {shape.pattern}")
    if shape.values and value not in shape.values:
        raise InvalidRequestError(f"{name} {_shown(value)} is not one of {', '.join(shape.values)}")


@cache
def _patterns() -> list[tuple[Operation, re.Pattern[str]]]:
    return [(operation, re.compile(_path_pattern(operation))) for operation in OPERATIONS.values()]


def _path_pattern(operation: Operation) -> str:
    wire_names = {m.wire_name: name for name, m in operation.input.members.items() if m.location is Location.PATH}

    def group(match: re.Match[str]) -> str:
        name = wire_names[match[1]]
        # An ARN holds slashes; some servers in between decode them, some do not.
        return f"(?P<{name}>{'.+' if name == 'ResourceArn' else '[^/]+'})"

    return f"/{API_VERSION}" + re.sub(r"\{(\w+)\}", group, operation.path)


def _located(
    name: str,
    member: Member,
    in_path: Mapping[str, str],
    query: Mapping[str, list[str]],
    request: Request,
    body: Mapping[str, Any],
) -> Any:
    """The member's value, checked; None where the request has none."""
    wire_name = member.wire_name or name
    match member.location:
        case Location.BODY:
            value = body.get(name)
            return None if value is None else _from_json(member.shape, value, name)
        case Location.PAYLOAD:
            return request.body
        case Location.PATH:
            return _from_text(member.shape, in_path[name], name)
        case Location.HEADER:
            text = request.headers.get(wire_name.lower())
            return None if text is None else _from_text(member.shape, text, name)
        case Location.QUERY:
            texts = query.get(wire_name)
            if texts is None:
                return None
            if member.shape.item is not None:
                check(member.shape, texts, name)
                return [_from_text(member.shape.item, text, f"{name}[{i}]") for i, text in enumerate(texts)]
            return _from_text(member.shape, texts[-1], name)


def _from_text(shape: Shape, text: str, name: str) -> Any:
    """A value of the path, the query or a header."""
    value: Any = text
    match shape.kind:
        case Kind.INTEGER:
            if not re.fullmatch(r"-?[0-9]{1,18}", text):
                raise InvalidRequestError(f"{name} {_shown(text)} is not a whole number")
            value = int(text)
        case Kind.BOOLEAN:
            if text.lower() not in ("true", "false"):
                raise InvalidRequestError(f"{name} {_shown(text)} is neither true nor false")
            value = text.lower() == "true"
        case Kind.TIMESTAMP:
            value = _timestamp(text, name)
    check(shape, value, name)
    return value


def _timestamp(text: str, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except ValueError:
        pass
    try:
        return datetime.fromtimestamp(float(text), UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidRequestError(f"{name} {_shown(text)} is not a time such as 2020-06-23T00:00:00Z") from None


def _json_object(body: bytes) -> Mapping[str, Any]:
    if not body.strip():
        return {}
    try:
        members = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"The request's body is not JSON: {error}") from None
    if not isinstance(members, dict):
        raise InvalidRequestError(f"The request's body is {_shown(members)}; expected a JSON object")
    return members


_JSON_TYPES: Mapping[Kind, tuple[type[Any], str]] = {
    Kind.STRING: (str, "text"),
    Kind.INTEGER: (int, "a whole number"),
    Kind.BOOLEAN: (bool, "true or false"),
    Kind.BLOB: (str, "base64 text"),
    Kind.LIST: (list, "a list"),
    Kind.STRUCTURE: (dict, "an object"),
}


def _from_json(shape: Shape, value: Any, name: str) -> Any:
    """A value of the body."""
    expected, words = _JSON_TYPES[shape.kind]
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        raise InvalidRequestError(f"{name} {_shown(value)} is not {words}")
    if shape.kind is Kind.BLOB:
        try:
            value = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise InvalidRequestError(f"{name} is not base64 text") from None
    if shape.kind is Kind.STRING and not _is_unicode(value):
        raise InvalidRequestError(f"{name} {_shown(value)} has half a character, a surrogate without its other half")
    check(shape, value, name)
    if shape.item is not None:
        return [_from_json(shape.item, each, f"{name}[{i}]") for i, each in enumerate(value)]
    if shape.kind is Kind.STRUCTURE:
        missing = [each for each in shape.required if value.get(each) is None]
        if missing:
            raise InvalidRequestError(f"{name}.{missing[0]} is missing; it is required")
        return {
            each: _from_json(member.shape, value[each], f"{name}.{each}")
            for each, member in shape.members.items()
            if value.get(each) is not None
        }
    return value


def _is_unicode(text: str) -> bool:
    """JSON may escape what no UTF-8 text can hold, and nothing behind us stores it."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _to_json(shape: Shape, value: Any) -> Any:
    match shape.kind:
        case Kind.TIMESTAMP:
            return round(value.timestamp(), 3)
        case Kind.BLOB:
            return base64.b64encode(value).decode()
        case Kind.FLOAT:
            if not math.isfinite(value):
                raise ValueError(f"{shape.name} is {value}")
            return exact_float32(value)
        case Kind.LIST:
            assert shape.item is not None
            return [_to_json(shape.item, each) for each in value]
        case Kind.STRUCTURE:
            return {name: _to_json(shape.members[name].shape, each) for name, each in value.items() if each is not None}
    return value


def _headers(request_id: str) -> dict[str, str]:
    return {"Content-Type": "application/json", "x-amzn-requestid": request_id, **_HEADERS}


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    # Python's expressions do not know Unicode's categories; \w is letters and numbers, and "_", which tags may hold.
    return re.compile(pattern.replace(r"\p{L}\p{Z}\p{N}", r"\w" + _SPACES), re.DOTALL if pattern == ".*" else 0)


_SPACES = " \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}…"


def coverage() -> Iterator[str]:
    """The table of operations in docs/lookout.md, line by line, in Markdown."""
    yield "| operation | request | answer | beyond the name |"
    yield "| --- | --- | --- | --- |"
    for operation in OPERATIONS.values():
        request = f"`{operation.method} {operation.path}`"
        yield f"| {operation.name} | {request} | {operation.status} | {operation.note} |".replace("|  |", "| |")
