"""The charts' page tells the numbers that the functions behind it tell."""

from __future__ import annotations

import re

from relook.quality.summary import summarize
from relook.registry.inspections import newest
from tests.console.conftest import Seen


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
