"""Whoever looks at a few records reads a few, however many there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cli import checks, history, inspections, reviewing
from relook.aws.table import Item, to_attributes
from relook.events import DetailType
from relook.registry.history import record_change
from relook.registry.inspections import RecordId
from relook.registry.reviews import waiting
from tests.console.conftest import Seen
from tests.unit.parts import WHO

COUNT, BATCH = 150, 25
"""Of records; and of those that DynamoDB takes at once."""


@pytest.fixture
def full(seen: Seen) -> Seen:
    """Every inspection is anomalous, a missed check, waits for a review and had a change made beside it."""
    records = [record(number) for number in range(COUNT)]
    changes = [
        record_change(
            "bracket", who=WHO, what=DetailType.DATASET_CHANGED, subject=each["image_uri"], before=None, after=None
        ).item
        for each in records
    ]
    for table, items in ((seen.stack.inspections, records), (seen.stack.registry, changes)):
        for start in range(0, COUNT, BATCH):
            puts: Any = [{"PutRequest": {"Item": to_attributes(each)}} for each in items[start : start + BATCH]]
            seen.stack.clients.dynamodb.batch_write_item(RequestItems={table.name: puts})
    return seen


def record(number: int) -> Item:
    item = {
        "image_uri": f"s3://images/bracket/{number}.png",
        "object_version": "version#1",
        "project": "bracket",
        "anomalous_project": "bracket",
        "checked_project": "bracket",
        "expected": "normal",
        "is_expected_met": False,
        "model_version": "1",
        "status": "INSPECTED",
        "is_anomalous": True,
        "confidence": 0.75,
        "anomaly_probability": 0.75,
        "threshold": 0.5,
        "anomalies": [{"name": "dent", "area_share": 0.25, "color": "#F5A623"}],
        "inspected_at": f"2026-11-26T{number // 60:02d}:{number % 60:02d}:00.000Z",
        "duration_ms": 30,
        "inspection_id": f"{number:032x}",
        "width": 96,
        "height": 72,
        "size_bytes": 300,
        "metadata": {"line": "2"},
    }
    return item | waiting(item)


@contextmanager
def items_read(seen: Seen) -> Iterator[Callable[[], int]]:
    """How many items all queries so far have looked at."""
    counts = []

    def note(parsed: dict[str, Any], **_: Any) -> None:
        counts.append(parsed.get("ScannedCount", 0))

    events = seen.stack.clients.dynamodb.meta.events
    events.register("after-call.dynamodb.Query", note)
    yield lambda: sum(counts)
    events.unregister("after-call.dynamodb.Query", note)


@pytest.mark.parametrize(
    "ask",
    [
        lambda stack: inspections.newest(stack, "bracket", anomalous=False, limit=10),
        lambda stack: inspections.newest(stack, "bracket", anomalous=True, limit=10),
        lambda stack: reviewing.waiting_reviews(stack, "bracket", 10),
        lambda stack: checks.find(stack, "bracket", limit=10).records,
        lambda stack: history.read(stack, "bracket", 10),
    ],
    ids=["results", "results --anomalous", "review", "checks", "history"],
)
def test_a_command_reads_what_it_lists(full: Seen, ask: Callable[[Any], list[Any]]) -> None:
    with items_read(full) as count:
        assert len(ask(full.stack)) == 10
        assert count() <= 11


@pytest.mark.parametrize(
    ("address", "most"),
    [("/inspections", 61 + 1), ("/inspections?verdict=anomalous", 61 + 1), ("/review", 100 + 100 + 1)],
)
def test_a_page_of_the_console_reads_what_it_shows(full: Seen, address: str, most: int) -> None:
    with items_read(full) as count:
        assert full.browser.get(address).status_code == 200
        assert 0 < count() <= most + 1  # the projects


def test_the_page_of_an_inspection_reads_its_neighbours_and_some_types(full: Seen) -> None:
    with items_read(full) as count:
        assert full.browser.get(f"/inspections/{RecordId.of(record(75))}").status_code == 200
        assert 0 < count() <= 2 + 2 + 1 + 100 + 1


def test_a_list_has_what_it_shows_and_no_more(full: Seen) -> None:
    text = full.browser.get("/inspections").text
    for part in ("dent", "25.00%", "line 2", "149.png", "● anomalous", "75.0%"):
        assert part in text
