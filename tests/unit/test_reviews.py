"""What people say of verdicts: kept once, told once, and never lost to one another."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from relook.aws.table import Item, Table
from relook.errors import AwsError, InvalidRequestError, ReviewedMeanwhileError
from relook.registry.history import event_detail, list_history
from relook.registry.inspections import RecordId
from relook.registry.reviews import Review, ReviewVerdict, open_reviews, review, waiting
from tests.account import SETTINGS, Cloud
from tests.unit.cutting import ProcessKilled, failing_call, soft_error
from tests.unit.parts import part_png

RIGHT, WRONG, UNSURE = ReviewVerdict.RIGHT, ReviewVerdict.WRONG, ReviewVerdict.UNSURE
JO, KIM = "arn:aws:iam::123456789012:user/jo", "arn:aws:iam::123456789012:user/kim"


def inspections_of(cloud: Cloud) -> Table:
    return Table(cloud.dynamodb, SETTINGS.inspections_table)


def inspected(cloud: Cloud, number: int, probability: float = 0.45, **more: Any) -> Item:
    """A record that waits for a review; anomalous from .5."""
    item = {
        "image_uri": f"s3://images/bracket/{number}.png",
        "object_version": f"version{number}#1",
        "inspection_id": f"{number:032x}",
        "project": "bracket",
        "model_version": "1",
        "status": "INSPECTED",
        "is_anomalous": probability >= 0.5,
        "anomaly_probability": probability,
        "threshold": 0.5,
        "inspected_at": f"2026-11-26T09:{number:02}:00.000Z",
        **more,
    }
    inspections_of(cloud).put(item | waiting(item))
    return item


def said(cloud: Cloud, record: Item) -> Review | None:
    item = inspections_of(cloud).get(RecordId.of(record).key)
    assert item is not None
    return Review.of(item)


def waits(cloud: Cloud, **more: Any) -> list[str]:
    return [record["image_uri"][-5] for record in open_reviews(inspections_of(cloud), "bracket", **more)]


def say(cloud: Cloud, record: Item, verdict: ReviewVerdict, **more: Any) -> Item:
    return review(inspections_of(cloud), cloud.registry, record, verdict, **{"who": JO, **more})[0]


def test_the_nearest_to_the_threshold_waits_first_and_a_missed_check_before_it(cloud: Cloud) -> None:
    inspected(cloud, 1, 0.9)
    inspected(cloud, 2, 0.45)
    middle = inspected(cloud, 3, 0.6)
    inspected(cloud, 4, 0.02)
    inspected(cloud, 5, 0.0001, expected="anomaly", is_expected_met=False)
    inspected(cloud, 6, 0.55, project="board")
    assert waits(cloud) == ["5", "2", "3", "1", "4"]
    after = waiting(middle)["review_order"]
    say(cloud, middle, RIGHT)
    assert waits(cloud) == ["5", "2", "1", "4"]
    assert waits(cloud, after=after) == ["1", "4"], "also behind one that was reviewed meanwhile"


def test_a_review_is_kept_with_its_history_and_leaves_the_queue(cloud: Cloud) -> None:
    record = inspected(cloud, 1)
    after, entry = review(
        inspections_of(cloud), cloud.registry, record, WRONG, label="scratch", note=" at the edge ", who=JO
    )
    assert Review.of(after) == said(cloud, record)
    assert (after["review"], after["review_label"], after["review_note"]) == ("wrong", "scratch", "at the edge")
    assert after["reviewed_by"] == JO
    assert not {"to_review", "review_order"} & after.keys()
    assert entry is not None
    assert [entry] == list(list_history(cloud.registry, "bracket"))
    schema = Path(__file__).parents[2] / "events" / "outbound" / "inspection-reviewed" / "schema.json"
    Draft202012Validator(json.loads(schema.read_text())).validate(event_detail(entry))
    assert entry.after is not None and entry.before is None
    assert entry.after["inspection_id"] == record["inspection_id"]


def test_of_two_reviewers_at_once_one_is_told_what_the_other_said(cloud: Cloud) -> None:
    record = inspected(cloud, 1)
    say(cloud, record, WRONG, label="scratch", who=KIM)
    with pytest.raises(ReviewedMeanwhileError) as refusal:
        say(cloud, record, RIGHT)
    assert (refusal.value.who, refusal.value.said) == (KIM, "wrong (scratch)")
    kept = said(cloud, record)
    assert kept is not None and kept.who == KIM
    seen = inspections_of(cloud).get(RecordId.of(record).key)
    assert seen is not None
    say(cloud, seen, RIGHT)
    latest, first = list_history(cloud.registry, "bracket")
    assert (latest.who, latest.before) == (JO, first.after)


def test_saying_the_same_again_changes_nothing(cloud: Cloud) -> None:
    record = inspected(cloud, 1)
    first = say(cloud, record, UNSURE, note="blurred")
    assert say(cloud, record, UNSURE, note="blurred") == say(cloud, first, UNSURE, note="blurred") == first
    assert len(list(list_history(cloud.registry, "bracket"))) == 1


@pytest.mark.parametrize(
    ("probability", "verdict", "label", "message"),
    [
        (0.45, WRONG, None, "needs what the image is"),
        (0.45, WRONG, "a\nb", "needs what the image is"),
        (0.45, WRONG, "normal", "is normal already"),
        (0.55, WRONG, "anomaly", "is anomalous already"),
        (0.55, RIGHT, "scratch", "goes with wrong"),
        (0.55, UNSURE, "normal", "goes with wrong"),
    ],
)
def test_what_makes_no_sense_is_refused(
    cloud: Cloud, probability: float, verdict: ReviewVerdict, label: str | None, message: str
) -> None:
    record = inspected(cloud, 1, probability)
    with pytest.raises(InvalidRequestError, match=message):
        say(cloud, record, verdict, label=label)
    assert waits(cloud) == ["1"]
    assert list(list_history(cloud.registry, "bracket")) == []


def test_a_rejected_image_and_a_novel_of_a_note_are_refused(cloud: Cloud) -> None:
    with pytest.raises(InvalidRequestError, match="was rejected"):
        say(cloud, inspected(cloud, 1, status="REJECTED"), RIGHT)
    with pytest.raises(InvalidRequestError, match="1,001 characters"):
        say(cloud, inspected(cloud, 2), RIGHT, note="x" * 1001)


def test_an_event_that_comes_again_does_not_undo_a_review(hosted: Cloud) -> None:
    """Not even after it is forgotten that the image was inspected."""
    upload = hosted.upload("bracket/a.png", part_png(2001, is_scratched=True))
    assert hosted.deliver(upload) == []
    (record,) = hosted.records()
    after = say(hosted, record, RIGHT)
    for item in hosted.dynamodb.scan(TableName=SETTINGS.idempotency_table)["Items"]:
        hosted.dynamodb.delete_item(TableName=SETTINGS.idempotency_table, Key={"id": item["id"]})
    assert hosted.deliver(upload) == []
    assert hosted.records() == [after]


@pytest.mark.parametrize("error", [soft_error, ProcessKilled], ids=["error", "killed"])
@pytest.mark.parametrize("after", [False, True], ids=["before it took effect", "after it took effect"])
def test_a_review_cut_off_anywhere_is_whole_or_not_there(
    cloud: Cloud, error: Callable[[], BaseException], after: bool
) -> None:
    """And saying it again ends in one review with one history item."""
    for fail_at in (1, 2, 0):
        record = inspected(cloud, 10 + fail_at)
        with failing_call(fail_at, error, after=after) as names:
            if fail_at:
                with pytest.raises((ProcessKilled, AwsError)):
                    say(cloud, record, WRONG, label="scratch")
            else:
                say(cloud, record, WRONG, label="scratch")
        told = [entry for entry in list_history(cloud.registry, "bracket") if entry.subject == record["image_uri"]]
        assert (said(cloud, record) is None) == (not told)
        say(cloud, record, WRONG, label="scratch")
        entries = [entry for entry in list_history(cloud.registry, "bracket") if entry.subject == record["image_uri"]]
        assert len(entries) == 1
    assert names == ["TransactWriteItems", "GetItem"], "every call was cut off once"
