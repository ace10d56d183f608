"""Requests as raw HTTP, made from the contract: a valid one of every operation, and every way to break one limit."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import strategies as st

from relook.lookout.contract import API_VERSION, OPERATIONS, Kind, Location, Member, Operation, Shape
from tests.contract.front_door import Answer, FrontDoor

# A valid value of every shape whose pattern or limits a general one would break.
_SAMPLES: Mapping[str, Any] = {
    "ProjectName": "any",
    "DatasetType": "train",
    "ModelVersion": "1",
    "ModelVersionNoLatest": "1",
    "AnomalyClassFilter": "normal",
    "S3BucketName": "data",
    "ComponentVersion": "1.0.0",
    "TagArn": "arn:aws:lookoutvision:us-east-1:123456789012:model/any/1",
    "ContentType": "image/png",
    "PaginationToken": "",
}
# Members that do not go together with the others.
_LEFT_OUT = {"CompilerOptions", "TargetDevice", "Accelerator"}


@dataclass(frozen=True)
class Case:
    """One limit of one member, and values that break it.

    Attributes:
        place: the member's name, with the names of those around it: what the answer has to name.
        broken: values of the outermost member; None stands for its absence.
    """

    operation: Operation
    place: str
    limit: str
    broken: st.SearchStrategy[Any]

    @property
    def member(self) -> str:
        """The outermost member."""
        return re.split(r"[.\[]", self.place)[0]

    def __str__(self) -> str:
        return f"{self.operation.name}-{self.place}-{self.limit}"


def send(door: FrontDoor, operation: Operation, values: Mapping[str, Any]) -> Answer:
    """Ask with these members; text where the path, the query or a header holds them, JSON values in the body."""
    path, query, headers, body = f"/{API_VERSION}{operation.path}", [], {}, None
    in_body = {}
    for name, member in operation.input.members.items():
        if (value := values.get(name)) is None:
            continue
        wire_name = member.wire_name or name
        match member.location:
            case Location.PATH:
                path = path.replace("{" + wire_name + "}", quote(value, safe=""))
            case Location.QUERY:
                query += [(wire_name, each) for each in (value if isinstance(value, list) else [value])]
            case Location.HEADER:
                headers[wire_name] = value
            case Location.PAYLOAD:
                body = value
            case Location.BODY:
                in_body[name] = value
    if any(member.location is Location.BODY for member in operation.input.members.values()):
        body = json.dumps(in_body).encode()
        headers["Content-Type"] = "application/json"
    return door.send(operation.method, path + (f"?{urlencode(query)}" if query else ""), body, headers)


def valid(operation: Operation) -> dict[str, Any]:
    """Every member that the operation takes, each as it should be."""
    return {name: _valid_member(member) for name, member in operation.input.members.items()}


def cases() -> Iterator[Case]:
    """All of them."""
    for operation in OPERATIONS.values():
        for name, member in operation.input.members.items():
            is_text = member.location not in (Location.BODY, Location.PAYLOAD)
            if member.is_required and member.location not in (Location.PATH, Location.PAYLOAD):
                yield Case(operation, name, "missing", st.none())
            for place, limit, broken in _ways(member.shape, name, is_text=is_text):
                if not (member.location is Location.PATH and limit == "too short"):  # then it is another path
                    yield Case(operation, place, limit, broken.filter(_fits(member.location)))


def _valid_member(member: Member) -> Any:
    value = _valid(member.shape)
    in_text = member.location in (Location.PATH, Location.QUERY, Location.HEADER)
    return json.dumps(value) if in_text and isinstance(value, bool | int) else value


def _valid(shape: Shape) -> Any:
    if shape.name in _SAMPLES:
        return _SAMPLES[shape.name]
    match shape.kind:
        case Kind.INTEGER:
            return shape.minimum or 1
        case Kind.BOOLEAN:
            return True
        case Kind.TIMESTAMP:
            return "2020-06-23T00:00:00Z"
        case Kind.BLOB:
            return b"\x89PNG" if shape.is_streaming else base64.b64encode(b"{}").decode()
        case Kind.LIST:
            assert shape.item is not None
            return [_valid(shape.item)]
        case Kind.STRUCTURE:
            return {name: _valid(member.shape) for name, member in shape.members.items() if name not in _LEFT_OUT}
    return shape.values[0] if shape.values else "abc"


def _ways(shape: Shape, place: str, *, is_text: bool) -> Iterator[tuple[str, str, st.SearchStrategy[Any]]]:
    """(where, which limit, values that break it) of a value and of all that is within it."""
    wrong = _WRONG_TEXT.get(shape.kind) if is_text else _WRONG_JSON[shape.kind]
    if wrong is not None and not shape.is_streaming:
        yield place, "wrong type", wrong
    yield from ((place, limit, broken) for limit, broken in _beyond_limits(shape, is_text=is_text))
    if shape.kind is Kind.STRING and shape.pattern and shape.pattern != ".*":
        low, high = shape.minimum or 0, min(shape.maximum or 30, max(30, (shape.minimum or 0) + 1))
        matches = re.compile(shape.pattern.replace(r"\p{L}\p{Z}\p{N}", r"\w\s")).fullmatch
        yield place, "pattern", _any_text(low, high).filter(lambda text: not matches(text))
    if shape.values:
        yield place, "not of the choices", _any_text(1, 20).filter(lambda text: text not in shape.values)
    if shape.item is not None:
        for where, limit, broken in _ways(shape.item, f"{place}[0]", is_text=is_text):
            yield where, limit, broken.map(lambda value: [value])
    whole = _valid(shape) if shape.kind is Kind.STRUCTURE else {}
    for name, member in shape.members.items():
        if member.is_required:
            yield f"{place}.{name}", "missing", st.just({k: v for k, v in whole.items() if k != name})
            yield f"{place}.{name}", "null", st.just({**whole, name: None})
        for where, limit, broken in _ways(member.shape, f"{place}.{name}", is_text=False):
            yield where, limit, broken.map(lambda value, name=name: {**whole, name: value})  # type: ignore[misc]


def _beyond_limits(shape: Shape, *, is_text: bool) -> Iterator[tuple[str, st.SearchStrategy[Any]]]:
    low, high = shape.minimum, shape.maximum
    match shape.kind:
        case Kind.INTEGER:
            as_sent = str if is_text else int
            if low is not None:
                yield "too small", st.integers(max_value=low - 1, min_value=-(10**15)).map(as_sent)
            if high is not None:
                yield "too large", st.integers(min_value=high + 1, max_value=10**15).map(as_sent)
        case Kind.STRING:
            if low:
                yield "too short", st.integers(0, low - 1).map(lambda size: "a" * size)
            if high is not None:
                yield "too long", st.integers(high + 1, high + 9).map(lambda size: "1" * size)
        case Kind.LIST:
            assert shape.item is not None
            item = _valid(shape.item)
            if high is not None:
                yield "too many", st.integers(high + 1, high + 3).map(lambda size: [item] * size)
        case Kind.BLOB if low and not shape.is_streaming:
            yield "too short", st.just("")


def _any_text(low: int, high: int) -> st.SearchStrategy[str]:
    # Mostly what is nearly right.
    near = st.text(st.sampled_from(" !#/\\{}\"'\n\t%&?;,|<>éß_-.:aZ9"), min_size=low, max_size=high)
    return near | st.text(min_size=low, max_size=high)


_JSON: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(0.1, 0.9) | st.just("text") | st.just([1]) | st.just({})
)
_WRONG_JSON: Mapping[Kind, st.SearchStrategy[Any]] = {
    Kind.STRING: _JSON.filter(lambda value: value is not None and not isinstance(value, str)),
    Kind.INTEGER: _JSON.filter(lambda value: value is not None and type(value) is not int),
    Kind.LIST: _JSON.filter(lambda value: value is not None and not isinstance(value, list)),
    Kind.STRUCTURE: _JSON.filter(lambda value: value is not None and not isinstance(value, dict)),
    Kind.BLOB: st.sampled_from([7, True, [], {}, "not base64", "abc", "ab=c", "é"]),
}
_WRONG_TEXT: Mapping[Kind, st.SearchStrategy[str]] = {
    Kind.INTEGER: st.sampled_from(["ten", "1.5", "", "1e1", "0x1", "٣", "9" * 30, "true", "--1", " 1"]),
    Kind.BOOLEAN: st.sampled_from(["yes", "1", "", "None", "tru", "[]"]),
    Kind.TIMESTAMP: st.sampled_from(["tuesday", "", "nan", "inf", "1e300", "2020-13-01", "2020-06-23T25:00:00Z"]),
}


def _fits(location: Location) -> Any:
    """Whether HTTP can carry a value there."""

    def fits(value: Any) -> bool:
        texts = [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)]
        match location:
            case Location.HEADER:
                return all(text.isascii() and text.isprintable() and text == text.strip() for text in texts)
            case Location.PATH:
                return all(text and "/" not in text and _is_utf8(text) for text in texts)
            case Location.QUERY:
                return all(_is_utf8(text) for text in texts)
        return True

    return fits


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
