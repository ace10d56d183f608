"""What records come to, counted by hand."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from relook.quality.rates import Confusion
from relook.quality.records import UNKNOWN
from relook.quality.summary import COUNTED, OTHERS, OUTCOME, Checks, Counts, summarize


def record(number: int, day: int = 1, probability: str | None = None, **more: Any) -> dict[str, Any]:
    """An inspected image as DynamoDB gives it; anomalous from .5."""
    known = {} if probability is None else {"anomaly_probability": Decimal(probability), "threshold": Decimal("0.5")}
    return {
        "image_uri": f"s3://images/bracket/{number}.jpg",
        "object_version": f"etag{number}#1",
        "inspection_id": f"id{number}",
        "project": "bracket",
        "status": "INSPECTED",
        "is_anomalous": probability is not None and Decimal(probability) >= Decimal("0.5"),
        "confidence": Decimal("0.75"),
        "anomalies": [],
        "inspected_at": f"2026-11-{day:02}T08:30:00.000Z",
        "metadata": {},
        **known,
        **more,
    }


def rejected(number: int, day: int = 1, reason: str = "CORRUPT", **more: Any) -> dict[str, Any]:
    whole = record(number, day, status="REJECTED", reason=reason, **more)
    return {name: value for name, value in whole.items() if name not in {"is_anomalous", "confidence", "anomalies"}}


def types_shown(*types: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"name": name, "area_share": Decimal(share), "color": "#FF0000"} for name, share in types]


def test_the_attributes_that_it_names_are_all_that_it_reads() -> None:
    pictures = {"mask_uri": "s3://results/mask.png", "heat_map_uri": "s3://results/heat_map.png"}
    records = [
        record(
            1,
            2,
            "0.9",
            metadata={"camera": "left"},
            anomalies=types_shown(("dent", "0.25")),
            score=Decimal(4),
            **pictures,
        ),
        record(2, 2, "0.1", metadata={"camera": "left"}, review="wrong", review_label="dent"),
        record(3, 1, "0.7", expected="normal", is_expected_met=False),
        rejected(4, 1, metadata={"camera": "right"}),
    ]

    def only(names: tuple[str, ...]) -> list[dict[str, Any]]:
        return [{name: each[name] for name in names if name in each} for each in records]

    whole = summarize(records, group_by="camera")
    assert summarize(only(COUNTED), group_by="camera") == whole
    assert summarize(only(OUTCOME), worst=0).total == whole.total


def test_counts_by_day_and_by_camera() -> None:
    records = [
        record(1, 2, "0.9", metadata={"camera": "left"}),
        record(2, 2, "0.1", metadata={"camera": "left"}),
        record(3, 1, "0.2", metadata={"camera": "right"}),
        rejected(4, 1, metadata={"camera": "left"}),
        rejected(5, 1, "EMPTY"),
        rejected(6, 2),
    ]
    summary = summarize(iter(records), group_by="camera")
    assert summary.total == Counts(inspected=3, anomalous=1, rejected=3)
    assert list(summary.by_time.items()) == [("2026-11-01", Counts(1, 0, 2)), ("2026-11-02", Counts(2, 1, 1))]
    assert summary.by_group == {"left": Counts(2, 1, 1), UNKNOWN: Counts(0, 0, 2), "right": Counts(1, 0, 0)}
    assert list(summary.by_group) == ["left", UNKNOWN, "right"]
    assert summary.rejections == {"CORRUPT": 2, "EMPTY": 1}
    assert (summary.total.anomaly_rate.hits, summary.total.anomaly_rate.total) == (1, 3)
    assert summarize(records).by_group == {}


def test_types_by_how_often_they_are_found() -> None:
    summary = summarize(
        [
            record(1, probability="0.9", anomalies=types_shown(("scratch", "0.02"), ("dent", "0.5"))),
            record(2, probability="0.8", anomalies=types_shown(("scratch", "0.04"))),
            record(3, probability="0.7", anomalies=types_shown(("scratch", "0.06"))),
        ]
    )
    scratch, dent = summary.types
    assert (scratch.name, scratch.images, scratch.cumulative_share) == ("scratch", 3, 0.75)
    assert scratch.mean_area_share == pytest.approx(0.04)
    assert (dent.name, dent.images, dent.mean_area_share, dent.cumulative_share) == ("dent", 1, 0.5, 1.0)


def test_checks_are_no_production() -> None:
    summary = summarize(
        [
            record(1, probability="0.9", expected="anomaly", is_expected_met=True),
            record(2, probability="0.9", expected="normal", is_expected_met=False, review="wrong"),
            rejected(3, expected="normal"),
            record(4, probability="0.1"),
        ]
    )
    assert summary.checks == Checks(met=1, missed=1, unknown=1)
    assert (summary.checks.met_rate.hits, summary.checks.met_rate.total) == (1, 2)
    assert summary.total == Counts(1, 0, 0)
    assert [picture.inspection_id for picture in summary.worst] == ["id4"]
    assert summary.reviews.wrong == 0


def test_reviews_tell_precision_and_false_alarms() -> None:
    summary = summarize(
        [
            record(1, probability="0.9", review="right"),
            record(2, probability="0.9", review="wrong", review_label="normal"),
            record(3, probability="0.9", review="wrong"),
            record(
                4, probability="0.9", review="wrong", review_label="dent"
            ),  # the wrong type, an anomaly all the same
            record(5, probability="0.1", review="right"),
            record(6, probability="0.1", review="right"),
            record(7, probability="0.1", review="wrong", review_label="dent"),
            record(8, probability="0.5", review="unsure"),
            record(9, probability="0.9"),
        ]
    )
    reviews = summary.reviews
    assert (reviews.right, reviews.wrong, reviews.unsure) == (3, 4, 1)
    assert reviews.confusion == Confusion(true_positives=2, false_positives=2, false_negatives=1, true_negatives=2)
    assert (reviews.confusion.precision.share, reviews.confusion.precision.total) == (0.5, 4)
    assert (reviews.confusion.false_alarm_rate.share, reviews.confusion.false_alarm_rate.total) == (0.5, 4)


def test_histograms_count_what_is_known() -> None:
    summary = summarize(
        [
            record(1, probability="0", score=Decimal("-3.2")),
            record(2, probability="0.05", score=Decimal("0.25")),
            record(3, probability="0.0499", score=Decimal("99")),
            record(4, probability="1"),
            record(5),
        ]
    )
    assert summary.probabilities.counts == (2, 1, *[0] * 17, 1)
    assert (len(summary.probabilities.edges), summary.probabilities.unknown) == (19, 1)
    scores = summary.scores
    bins = {place: count for place, count in enumerate(scores.counts) if count}
    assert bins == {0: 1, scores.edges.index(0.5): 1, len(scores.edges): 1}
    assert scores.unknown == 2


def test_the_worst_pictures_come_first_and_equals_in_their_order() -> None:
    records = [record(number, probability=p) for number, p in enumerate(["0.3", "0.9", "0.9", "0.1", "0.95"])]
    records[1] |= {"mask_uri": "s3://results/mask.png", "anomalies": types_shown(("dent", "0.1"))}
    summary = summarize([*records, record(9)], worst=3)
    assert [picture.inspection_id for picture in summary.worst] == ["id4", "id1", "id2"]
    picture = summary.worst[1]
    assert (picture.mask_uri, picture.heat_map_uri, picture.types) == ("s3://results/mask.png", None, ("dent",))
    assert (picture.anomaly_probability, picture.is_anomalous) == (0.9, True)
    assert picture.image_uri == "s3://images/bracket/1.jpg"
    assert summarize(records, worst=0).worst == ()


def test_older_records_are_counted_and_nothing_is_made_up() -> None:
    old = {name: value for name, value in record(1).items() if name not in {"metadata", "anomalies"}}
    summary = summarize([old], group_by="line")
    assert summary.total == Counts(1, 0, 0)
    assert summary.by_group == {UNKNOWN: Counts(1, 0, 0)}
    assert (summary.probabilities.unknown, summary.scores.unknown, summary.worst) == (1, 1, ())
    assert summary.reviews.confusion.precision.share is None


def test_memory_does_not_grow_with_the_groups() -> None:
    def records() -> Iterator[dict[str, Any]]:
        for number in range(500):
            yield record(number, probability="0.2", metadata={"serial": str(number)})

    groups = summarize(records(), group_by="serial").by_group
    assert len(groups) == 51
    assert next(iter(groups.items())) == (OTHERS, Counts(450, 0, 0))


def test_nothing_comes_to_nothing() -> None:
    summary = summarize([])
    assert (summary.total, summary.types, summary.by_time) == (Counts(0, 0, 0), (), {})
    assert summary.total.anomaly_rate.share is None
