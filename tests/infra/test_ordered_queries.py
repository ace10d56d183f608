"""The emulator's queries read less with our order, and answer the same."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from ministack.services import dynamodb

from local import ordered_queries

ITEMS = 60
INDEXES = {"by_project": ("project", "inspected_at"), "to_review": ("to_review", "review_order")}
PROJECTS, TIMES = ("board", "bracket"), [f"2026-11-{day:02d}" for day in range(1, 29)]  # fewer than items: many tie

CONDITIONS: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    (" AND #s BETWEEN :low AND :high", {":low": {"S": "2026-11-05"}, ":high": {"S": "2026-11-20"}}),
    (" AND #s BETWEEN :low AND :high", {":low": {"S": "0"}, ":high": {"S": "9"}}),
    (" AND #s > :low", {":low": {"S": "0.4"}}),
    (" AND begins_with(#s, :low)", {":low": {"S": "2026-11-1"}}),
]

Ask = Callable[..., Any]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    """Requests of a table of its own, in this process, whose changes to the emulator end with the test."""
    for name in ("_query", "_index_members", "_index_item"):
        monkeypatch.setattr(dynamodb, name, getattr(dynamodb, name))

    def request(operation: str, **body: Any) -> Any:
        headers = {"x-amz-target": f"DynamoDB_20120810.{operation}"}
        data = json.dumps({"TableName": "ordered-queries", **body}).encode()
        status, _, answer = asyncio.run(dynamodb.handle_request("POST", "/", headers, data, {}))
        assert status == 200, answer
        return json.loads(answer)

    keys = {"image_uri", "object_version"} | {name for pair in INDEXES.values() for name in pair}
    request(
        "CreateTable",
        KeySchema=schema("image_uri", "object_version"),
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in sorted(keys)],
        BillingMode="PAY_PER_REQUEST",
        GlobalSecondaryIndexes=[
            {"IndexName": name, "KeySchema": schema(*pair), "Projection": {"ProjectionType": "ALL"}}
            for name, pair in INDEXES.items()
        ],
    )
    for number in range(ITEMS):
        request("PutItem", Item=item(number))
    yield request
    request("DeleteTable")


def schema(partition: str, sort: str) -> list[dict[str, str]]:
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]


def item(number: int, **more: str) -> dict[str, Any]:
    random = np.random.default_rng(number)
    values = {
        "image_uri": f"s3://images/{number:03d}.png",
        "object_version": f"{number}#1",
        "project": str(random.choice(PROJECTS)),
        "inspected_at": str(random.choice(TIMES)),
        "note": "x" * 60_000,  # so that a page of a megabyte ends before the partition does
        **more,
    }
    if number % 7 == 0:
        values |= {"to_review": values["project"], "review_order": f"{random.random():.6f}"}
    return {name: {"S": value} for name, value in values.items()}


def queries() -> list[dict[str, Any]]:
    answers = []
    for index, (partition, sort) in INDEXES.items():
        for number, (condition, values) in enumerate(CONDITIONS):
            names = {"#p": partition} | ({"#s": sort} if condition else {})
            answers += [
                {
                    "IndexName": index,
                    "KeyConditionExpression": f"#p = :p{condition}",
                    "ExpressionAttributeNames": names,
                    "ExpressionAttributeValues": {":p": {"S": PROJECTS[number % 2]}, **values},
                    "ScanIndexForward": forward,
                    **limit,
                }
                for forward in (True, False)
                for limit in ({}, {"Limit": 7})
            ]
    return answers


def pages(ask: Ask, query: dict[str, Any]) -> list[Any]:
    """All of them, from start key to start key."""
    answers = [ask("Query", **query)]
    while start := answers[-1].get("LastEvaluatedKey"):
        answers.append(ask("Query", **query, ExclusiveStartKey=start))
    return answers


def test_every_query_answers_as_before_while_items_come_change_and_go(ask: Ask) -> None:
    def answers() -> list[list[Any]]:
        return [pages(ask, each) for each in queries()]

    def change() -> None:
        ask("PutItem", Item=item(ITEMS))
        ask("PutItem", Item=item(3, inspected_at="2026-11-30"))
        ask("PutItem", Item=item(14, project="board", to_review="board"))
        ask("DeleteItem", Key={name: item(21)[name] for name in ("image_uri", "object_version")})

    def undo() -> None:
        ask("DeleteItem", Key={name: item(ITEMS)[name] for name in ("image_uri", "object_version")})
        for number in (3, 14, 21):
            ask("PutItem", Item=item(number))

    before = answers()
    change()
    after = answers()
    undo()
    assert before != after
    assert max(len(answer) for answer, each in zip(before, queries(), strict=True) if "Limit" not in each) > 1
    ordered_queries.install()
    assert answers() == before
    change()
    assert answers() == after


def test_a_query_looks_at_what_it_answers_with_and_little_more(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    ordered_queries.install()
    looked_at: list[Any] = []
    evaluate = dynamodb._evaluate_condition

    def noted(condition: str, candidate: Any, *arguments: Any, **options: Any) -> Any:
        looked_at.append(candidate)
        return evaluate(condition, candidate, *arguments, **options)

    monkeypatch.setattr(dynamodb, "_evaluate_condition", noted)
    query = next(each for each in queries() if each.get("Limit") == 7 and "BETWEEN" in each["KeyConditionExpression"])
    first = ask("Query", **query)
    assert first["Count"] == 7
    assert len(looked_at) <= 9
    looked_at.clear()
    ask("Query", **query, ExclusiveStartKey=first["LastEvaluatedKey"])
    assert len(looked_at) <= 9
