"""Reviews from the page of an inspection and from the queue."""

from __future__ import annotations

import re
from typing import Any

import pytest

from relook.aws.table import Item
from relook.registry.history import list_history
from relook.registry.inspections import RecordId
from relook.registry.reviews import waiting
from tests.console.conftest import Seen


def judged(seen: Seen, name: str, minute: int, probability: float, **more: Any) -> Item:
    """An inspection near its threshold, which waits for a review."""
    facts = {"anomaly_probability": probability, "threshold": 0.5, "is_anomalous": probability >= 0.5, **more}
    record = seen.record(name, minute, **facts)
    seen.stack.inspections.put(record | waiting(record))
    return record


def say(browser: Seen, record: Item, said: str, **fields: str) -> Any:
    return browser.change(f"/inspections/{RecordId.of(record)}/review", data={"said": said, **fields})


def stored(seen: Seen, record: Item) -> Item:
    item = seen.stack.inspections.get(RecordId.of(record).key)
    assert item is not None
    return item


def test_the_queue_begins_with_what_is_nearest_to_its_threshold(seen: Seen) -> None:
    judged(seen, "far.png", 1, 0.7)
    near = judged(seen, "near.png", 2, 0.51)
    page = seen.browser.get("/review").text
    assert "near.png" in page
    assert "2 waiting" in page
    assert "anomaly probability 0.51, threshold 0.5" in page
    following = re.search(r'href="([^"]+)" rel="next"', page)
    assert following
    assert "far.png" in seen.browser.get(following[1].replace("&amp;", "&")).text
    say(seen, near, "right")
    assert "far.png" in seen.browser.get("/review").text


@pytest.mark.parametrize(
    ("said", "fields", "expected"),
    [
        ("right", {}, ("right", None)),
        ("unsure", {"note": "a shadow?"}, ("unsure", None)),
        ("wrong:normal", {}, ("wrong", "normal")),
        ("wrong:scratch", {}, ("wrong", "scratch")),
        ("wrong", {"label": "Öl fleck"}, ("wrong", "Öl fleck")),
    ],
)
def test_what_was_said_is_kept_with_who_and_in_the_history(
    seen: Seen, said: str, fields: dict[str, str], expected: tuple[str, str | None]
) -> None:
    record = judged(seen, "a.png", 1, 0.51, anomalies=[{"name": "dent", "area_share": 0.01, "color": "#F5A623"}])
    assert say(seen, record, said, **fields).status_code == 303
    item = stored(seen, record)
    assert (item["review"], item.get("review_label")) == expected
    assert item.get("review_note") == fields.get("note")
    assert item["reviewed_by"].startswith("arn:aws:")
    assert "to_review" not in item
    (entry,) = list_history(seen.stack.registry, "bracket")
    assert entry.subject == record["image_uri"]


def test_a_missed_check_says_so_where_it_is_reviewed(seen: Seen) -> None:
    judged(seen, "golden.png", 1, 0.02, expected="anomaly", is_expected_met=False)
    judged(seen, "near.png", 2, 0.51)
    page = seen.browser.get("/review").text
    assert "golden.png" in page and "● missed" in page
    assert "missed checks first" in page


def test_after_the_queue_comes_the_next_one(seen: Seen) -> None:
    record = judged(seen, "a.png", 1, 0.51)
    page = seen.browser.get("/review").text
    following = re.search(r'name="following" value="([^"]*)"', page)
    assert following
    answer = say(seen, record, "right", following=following[1].replace("&amp;", "&"))
    assert answer.headers["location"].startswith("/review?project=bracket")


@pytest.mark.parametrize("following", ["https://evil.example/", "//evil.example/review?", "javascript:alert(1)"])
def test_only_our_own_page_comes_next(seen: Seen, following: str) -> None:
    record = judged(seen, "a.png", 1, 0.51)
    answer = say(seen, record, "right", following=following)
    assert answer.headers["location"] == f"/inspections/{RecordId.of(record)}"


def test_of_two_reviewers_the_later_one_is_told(seen: Seen) -> None:
    record = judged(seen, "a.png", 1, 0.51)
    say(seen, record, "right")
    answer = say(seen, record, "wrong:normal", seen="")
    assert answer.status_code == 400
    assert "right" in answer.text
    assert stored(seen, record)["review"] == "right"
    again = say(seen, record, "wrong:normal", seen=stored(seen, record)["reviewed_at"])
    assert again.status_code == 303
    assert stored(seen, record)["review_label"] == "normal"


@pytest.mark.parametrize("said", ["", "perfect", "wrong", "wrong:anomaly"])
def test_a_review_that_makes_no_sense_gets_a_sentence(seen: Seen, said: str) -> None:
    record = judged(seen, "a.png", 1, 0.51)
    assert say(seen, record, said).status_code == 400
    assert "review" not in stored(seen, record)


def test_a_rejected_image_has_no_form(seen: Seen) -> None:
    record = seen.record("a.png", 1, status="REJECTED", reason="EMPTY", message="It is empty.")
    assert "data-review" not in seen.browser.get(f"/inspections/{RecordId.of(record)}").text
    assert say(seen, record, "right").status_code == 400


def test_nothing_waits(seen: Seen) -> None:
    assert "Nothing waits for a review" in seen.browser.get("/review").text


def test_the_probability_is_drawn_against_its_threshold(seen: Seen) -> None:
    record = judged(seen, "a.png", 1, 0.51)
    assert "anomaly probability 0.51, threshold 0.5" in seen.browser.get(f"/inspections/{RecordId.of(record)}").text
