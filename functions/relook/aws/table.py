"""The one way to DynamoDB: plain values in and out, conditional writes, queries and never scans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from relook.aws.errors import translated
from relook.float32 import exact_float32

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize

Item = dict[str, Any]


class ConditionFailedError(Exception):
    """A conditional write found the item otherwise; the caller says what that means."""


Expected = Mapping[str, tuple[Any, ...]]
"""Attribute -> the values it may have now; None among them means absent."""


@dataclass(frozen=True)
class Put:
    """Write a new item; fails if its key exists."""

    item: Mapping[str, Any]


@dataclass(frozen=True)
class Update:
    """Change an existing item; fails if it is missing or not as expected.

    Attributes:
        set: attributes to set; a value of None removes the attribute.
        add: attributes to add a number to.
    """

    key: Mapping[str, str]
    set: Mapping[str, Any] = field(default_factory=dict)
    add: Mapping[str, int] = field(default_factory=dict)
    expect: Expected = field(default_factory=dict)


@dataclass(frozen=True)
class Delete:
    """Remove an existing item; fails if it is missing or not as expected."""

    key: Mapping[str, str]
    expect: Expected = field(default_factory=dict)


@dataclass(frozen=True)
class ConditionCheck:
    """Leave an item as it is; fails if it is missing or not as expected."""

    key: Mapping[str, str]
    expect: Expected = field(default_factory=dict)


Write = Put | Update | Delete | ConditionCheck


class Table:
    """A DynamoDB table. Every method raises the `AwsError` that DynamoDB's answer stands for."""

    def __init__(self, client: DynamoDBClient, name: str) -> None:
        self._client = client
        self.name = name

    def get(self, key: Mapping[str, str]) -> Item | None:
        """The item, read consistently, or None."""
        with translated():
            answer = self._client.get_item(TableName=self.name, Key=to_attributes(key), ConsistentRead=True)
        return from_attributes(answer["Item"]) if "Item" in answer else None

    def put(self, item: Mapping[str, Any], *, unless: str | None = None) -> None:
        """Write the item, replacing one with the same key.

        Args:
            unless: an attribute that the one to be replaced must not have.
        Raises:
            ConditionFailedError: it has it; nothing was written.
        """
        expression = _Expression()
        if unless:
            expression.require_absent(unless)
        with translated(), _condition_errors():
            self._client.put_item(
                TableName=self.name, Item=to_attributes(item), **(expression.arguments() if unless else {})
            )

    def update(self, update: Update) -> Item:
        """Apply one update and return the whole item after it.

        Raises:
            ConditionFailedError: the item is missing, or not as expected.
        """
        with translated(), _condition_errors():
            answer = self._client.update_item(ReturnValues="ALL_NEW", **self._request(update))
        return from_attributes(answer["Attributes"])

    def write(self, *writes: Write) -> None:
        """Apply all writes or none.

        Raises:
            ConditionFailedError: one of them found its item otherwise, or another writer was at it; none took effect.
        """
        write_all(*((self, write) for write in writes))

    def query(
        self,
        partition: tuple[str, str],
        *,
        sort_prefix: tuple[str, str] | None = None,
        after: tuple[str, str] | None = None,
        between: tuple[str, str, str] | None = None,
        start: Mapping[str, str] | None = None,
        index: str | None = None,
        newest_first: bool = False,
        page_size: int | None = None,
        attributes: Sequence[str] = (),
    ) -> Iterator[Item]:
        """Every item of one partition, in sort-key order, page by page.

        Args:
            partition: (attribute, value) of the partition key.
            sort_prefix: (attribute, value) the sort key begins with.
            after: (attribute, value) the sort key is greater than; not together with sort_prefix.
            between: (attribute, low, high) the sort key lies in, both included; not together with either. Nothing lies
                between where low is above high, which DynamoDB refuses to be asked.
            start: key attributes, of table and index, of the item to go on behind.
            index: a global secondary index to ask instead of the table.
            page_size: items that are asked for at once, by whoever wants few: a page has a megabyte unless given, and
                its thousand items take a sixth of a second to read.
            attributes: what is wanted of the items; all of it unless given.
        """
        if between and between[1] > between[2]:
            return
        expression = _Expression()
        condition = f"{expression.name(partition[0])} = {expression.value(partition[1])}"
        if sort_prefix:
            condition += f" AND begins_with({expression.name(sort_prefix[0])}, {expression.value(sort_prefix[1])})"
        if after:
            condition += f" AND {expression.name(after[0])} > {expression.value(after[1])}"
        if between:
            name, low, high = between
            condition += f" AND {expression.name(name)} BETWEEN {expression.value(low)} AND {expression.value(high)}"
        projection = ", ".join(expression.name(each) for each in attributes)
        arguments: dict[str, Any] = {
            "TableName": self.name,
            "KeyConditionExpression": condition,
            **({"ProjectionExpression": projection} if projection else {}),
            **({"Limit": page_size} if page_size else {}),
            "ScanIndexForward": not newest_first,
            **({"IndexName": index} if index else {"ConsistentRead": True}),
            **expression.arguments(),
        }
        if start:
            arguments["ExclusiveStartKey"] = to_attributes(start)
        with translated():
            for page in self._client.get_paginator("query").paginate(**arguments):
                yield from (from_attributes(item) for item in page["Items"])

    def _request(self, write: Write) -> dict[str, Any]:
        expression = _Expression()
        match write:
            case Put(item):
                request: dict[str, Any] = {"Item": to_attributes(item)}
                expression.require_absent("pk")
            case Update(key, sets, adds, expect):
                expression.require(key, expect)
                request = {"Key": to_attributes(key), "UpdateExpression": expression.update(sets, adds)}
            case Delete(key, expect) | ConditionCheck(key, expect):
                expression.require(key, expect)
                request = {"Key": to_attributes(key)}
        return {"TableName": self.name, **request, **expression.arguments()}


def write_all(*writes: tuple[Table, Write]) -> None:
    """Apply all writes, each in its table, or none; the tables are of one account and region.

    Raises:
        ConditionFailedError, AwsError: as `Table.write`.
    """
    requests: list[Any] = [{type(write).__name__: table._request(write)} for table, write in writes]
    with translated(), _condition_errors():
        writes[0][0]._client.transact_write_items(TransactItems=requests)


def to_attributes(item: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values as DynamoDB attributes; None is left out, a float becomes its nearest float32."""
    return {name: _serialize(_to_decimal(value)) for name, value in item.items() if value is not None}


def from_attributes(attributes: Mapping[str, Any]) -> Item:
    """DynamoDB attributes as plain values: int where whole, float otherwise."""
    return {name: _from_decimal(_deserialize(value)) for name, value in attributes.items()}


def _to_decimal(value: Any) -> Any:
    if isinstance(value, float):
        return Decimal(exact_float32(value))
    if isinstance(value, Mapping):
        return {name: _to_decimal(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_to_decimal(each) for each in value]
    return value


def _from_decimal(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _from_decimal(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_from_decimal(each) for each in value]
    return value


# A single write that meets a transaction is refused with an exception; a transaction that does, with a reason.
_LOST = {
    "ConditionalCheckFailedException",
    "ConditionalCheckFailed",
    "TransactionConflict",
    "TransactionConflictException",
}


@contextmanager
def _condition_errors() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
        if {error.response["Error"]["Code"], *reasons} & _LOST:
            raise ConditionFailedError from error
        raise


class _Expression:
    """Collects the placeholders of one DynamoDB request."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, Any] = {}
        self._conditions: list[str] = []

    def name(self, attribute: str) -> str:
        self._names[f"#{attribute}"] = attribute
        return f"#{attribute}"

    def value(self, value: Any) -> str:
        placeholder = f":v{len(self._values)}"
        self._values[placeholder] = _serialize(_to_decimal(value))
        return placeholder

    def require_absent(self, key_attribute: str) -> None:
        self._conditions.append(f"attribute_not_exists({self.name(key_attribute)})")

    def require(self, key: Mapping[str, str], expect: Expected) -> None:
        self._conditions.append(f"attribute_exists({self.name(next(iter(key)))})")
        for attribute, allowed in expect.items():
            either = [
                f"attribute_not_exists({self.name(attribute)})"
                if value is None
                else f"{self.name(attribute)} = {self.value(value)}"
                for value in allowed
            ]
            self._conditions.append(f"({' OR '.join(either)})")

    def update(self, sets: Mapping[str, Any], adds: Mapping[str, int]) -> str:
        clauses = {
            "SET": [f"{self.name(name)} = {self.value(each)}" for name, each in sets.items() if each is not None],
            "REMOVE": [self.name(name) for name, each in sets.items() if each is None],
            "ADD": [f"{self.name(name)} {self.value(number)}" for name, number in adds.items()],
        }
        return " ".join(f"{verb} {', '.join(parts)}" for verb, parts in clauses.items() if parts)

    def arguments(self) -> dict[str, Any]:
        arguments: dict[str, Any] = {"ExpressionAttributeNames": self._names}
        if self._values:
            arguments["ExpressionAttributeValues"] = self._values
        if self._conditions:
            arguments["ConditionExpression"] = " AND ".join(self._conditions)
        return arguments
