"""The charts' page tells the numbers that the functions behind it tell."""

from __future__ import annotations

import re

from cli.period import Period
from relook.quality.summary import summarize
from relook.registry.inspections import RecordId, newest
from tests.console.conftest import Seen
from tests.console.test_large_tables import items_read


def test_the_page_and_the_summary_tell_the_same(seen: Seen) -> None:
    for minute in range(7):
        dent = [{"name": "dent", "area_share": 0.01, "color": "#F5A623"}] if minute < 3 else []
        seen.record(
            f"{minute}.png", minute, is_anomalous=minute < 3, anomalies=dent, metadata={"line": str(minute % 2)}
        )
    summary = summarize(newest(seen.stack.inspections, ["bracket"]), group_by="line")
    text = seen.browser.get("/overview?since=2026-11-01&by=line").text
    figures = [int(each) for each in re.findall(r"<b>(\d+)</b>", text)]
    assert figures[:3] == [summary.total.inspected, summary.total.anomalous, summary.total.rejected] == [7, 3, 0]
    assert ">dent<" in text
    assert text.count("<tr><td>0</td>") == text.count("<tr><td>1</td>") == 1


def test_nothing_in_that_time(seen: Seen) -> None:
    seen.record("a.png", 1)
    assert "Nothing was inspected since 2026-11-27" in seen.browser.get("/overview?since=2026-11-27").text


def test_what_was_counted_is_not_read_again_and_what_came_since_is_counted(seen: Seen) -> None:
    def shown() -> tuple[list[int], int]:
        with items_read(seen) as count:
            text = seen.browser.get("/overview?since=2026-11-01&project=bracket").text
            return [int(each) for each in re.findall(r"<b>(\d+)</b>", text)[:3]], count()

    for minute in range(0, 50, 2):
        seen.record(f"{minute}.png", minute, is_anomalous=minute < 6)
    first, read_at_first = shown()
    again, read_again = shown()
    assert first == again == [25, 3, 0]
    assert read_at_first - read_again == 24, "all but the newest, beside which another may have been written meanwhile"
    seen.record("late.png", 48)
    seen.record("new.png", 55, is_anomalous=True)
    assert shown()[0] == [27, 4, 0]


def test_of_many_types_the_most_frequent_are_drawn_and_all_are_named(seen: Seen) -> None:
    types = [{"name": f"type{number}", "area_share": 0.01, "color": "#F5A623"} for number in range(30)]
    seen.record("a.png", 1, is_anomalous=True, anomalies=types)
    seen.record("b.png", 2, is_anomalous=True, anomalies=types[29:])
    text = seen.browser.get("/overview?since=2026-11-01").text
    assert len(re.findall(r'class="label" x="22"[^>]*>type', text)) == 20
    assert text.index(">type29<") < text.index(">type0<")
    assert all(f"<td>type{number}</td>" in text for number in range(30))


def test_a_review_of_what_was_counted_is_counted_at_once(seen: Seen) -> None:
    record = seen.record("a.png", 1, is_anomalous=True, anomaly_probability=0.75, threshold=0.5)
    before = reviews_in(seen)
    seen.change(f"/inspections/{RecordId.of(record)}/review", data={"said": "right"})
    assert reviews_in(seen) == before + 1


def reviews_in(seen: Seen) -> int:
    period = Period.parse("2026-11-01", None)
    reviews = seen.browser.app.state.console.reports.read(["bracket"], period, None).summary.reviews  # type: ignore[attr-defined]
    return int(reviews.right)
