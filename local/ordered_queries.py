"""Queries of an index that read what they answer with, as DynamoDB's do.

For each of them ministack sorts the whole partition and holds the condition against every item of it: a second where a
project has 50,000 inspections. Here the keys of a partition are kept in order, and such a query is given those in its
range, behind its start key, as many as its page can hold. All else it does itself, as before.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Key: TypeAlias = tuple[str, str, str]
"""Sort key of the index, then the table's own two, which tell equals apart: the order of an index."""

PAGE_BYTES = 1024 * 1024  # DynamoDB's, of one query
_ORDERS = "orders of local.ordered_queries"  # beside ministack's own sets of keys, with which it is dropped
_CONDITION = re.compile(r"\S+ = (?P<partition>:\w+)(?: AND (?P<range>.+))?")
_BETWEEN, _ABOVE = re.compile(r"\S+ BETWEEN (:\w+) AND (:\w+)"), re.compile(r"\S+ > (:\w+)")


def install() -> None:
    """Have ministack's DynamoDB do so, from now on."""
    from ministack.services import dynamodb

    query, members_of, index_item = dynamodb._query, dynamodb._index_members, dynamodb._index_item
    asked: list[Mapping[str, Any]] = []  # of the query that runs: ministack runs one at a time

    def narrow_query(request: Mapping[str, Any]) -> Any:
        asked.append(request)
        try:
            return query(request)
        finally:
            asked.pop()

    def narrow_members(table: dict[str, Any]) -> dict[str, Any]:
        members: dict[str, Any] = members_of(table)
        return members if not asked else _narrowed(dynamodb, table, members, asked[-1])

    def ordered_item(table: dict[str, Any], pk: str, sk: str, item: Mapping[str, Any], add: bool) -> None:
        index_item(table, pk, sk, item, add)
        orders = (table.get(dynamodb._INDEX_MEMBERS) or {}).get(_ORDERS, {})
        for (name, partition), order in orders.items():
            hashes, ranges = dynamodb._index_key_lists(dynamodb._index_def(table, name))
            if dynamodb._index_partition(item, hashes, ranges) == partition:
                key = item[ranges[0]]["S"], pk, sk
                place = bisect_left(order, key)
                if order[place : place + 1] == [key]:
                    del order[place]
                if add:
                    insort(order, key)

    dynamodb._query, dynamodb._index_members, dynamodb._index_item = narrow_query, narrow_members, ordered_item


def _places(order: Sequence[Key], condition: str, values: Mapping[str, Any]) -> range | None:
    """Where in an order the keys lie that fulfil a condition on the sort key.

    Args:
        condition: what follows the partition's own in a KeyConditionExpression; empty for none.
        values: placeholder -> DynamoDB's `{"S": text}`.
    Returns:
        None for a condition of another form than `relook.aws.table` writes.
    """
    first, last = 0, len(order)
    if between := _BETWEEN.fullmatch(condition):
        low, high = (values[name]["S"] for name in between.groups())
        first, last = bisect_left(order, low, key=lambda key: key[0]), bisect_right(order, high, key=lambda key: key[0])
    elif above := _ABOVE.fullmatch(condition):
        first = bisect_right(order, values[above[1]]["S"], key=lambda key: key[0])
    elif condition:
        return None
    return range(first, max(first, last))


def _narrowed(
    dynamodb: Any, table: dict[str, Any], members: dict[str, Any], request: Mapping[str, Any]
) -> dict[str, Any]:
    """The keys of the query's index partition that its answer can come from; all of them where that is not known."""
    name, start = request["IndexName"], request.get("ExclusiveStartKey")
    index = dynamodb._index_def(table, name)
    hashes, ranges = dynamodb._index_key_lists(index)
    names = [*ranges, table["pk_name"], table["sk_name"]]
    condition = _CONDITION.fullmatch(request.get("KeyConditionExpression", ""))
    is_plain = len(hashes) == len(ranges) == 1 and index["Projection"]["ProjectionType"] == "ALL"
    if not (condition and is_plain and all(each and dynamodb._get_attr_type(table, each) == "S" for each in names)):
        return members
    values = request["ExpressionAttributeValues"]
    partition = values[condition["partition"]]["S"]
    order = members.setdefault(_ORDERS, {}).get((name, partition))
    if order is None:
        keys = members.get(name, {}).get(partition, ())
        order = sorted((table["items"][pk][sk][ranges[0]]["S"], pk, sk) for pk, sk in keys)
        members[_ORDERS][name, partition] = order
    places = _places(order, condition["range"] or "", values)
    if places is None:
        return members
    is_forward = request.get("ScanIndexForward", True)
    if start:
        cursor = tuple(start[each]["S"] for each in names)
        if is_forward:
            places = range(max(places.start, bisect_right(order, cursor)), places.stop)
        else:
            places = range(places.start, min(places.stop, bisect_left(order, cursor)))
    wanted, size_bytes, limit = [], 0, request.get("Limit")
    for place in places if is_forward else reversed(places):
        _, pk, sk = order[place]
        wanted.append((pk, sk))
        if limit is None:
            size_bytes += dynamodb._item_size_bytes(table["items"][pk][sk])
        if size_bytes > PAGE_BYTES or (limit and len(wanted) > limit):
            break
    return {name: {partition: wanted}}
