"""Times as people name them become times as records are dated."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from cli.period import Period
from relook.errors import InvalidRequestError


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        ("2026-11-26", "2026-11-26", ("2026-11-25T23:00:00.000Z", "2026-11-26T22:59:59.999Z")),
        ("2026-07-01", "2026-07-01", ("2026-06-30T22:00:00.000Z", "2026-07-01T21:59:59.999Z")),
        ("2026-11-26T06:00", "2026-11-26 14:00", ("2026-11-26T05:00:00.000Z", "2026-11-26T12:59:59.999Z")),
        ("2026-11-26T06:00Z", "2026-11-26T08:00+02:00:00", None),
        ("2026-11-26T06:00Z", "2026-11-26T14:00-05:00", ("2026-11-26T06:00:00.000Z", "2026-11-26T18:59:59.999Z")),
        ("2026-10-24", None, ("2026-10-23T22:00:00.000Z", None)),
    ],
)
def test_dates_and_times_are_this_machine_s_unless_they_name_a_zone(
    since: str, until: str | None, expected: tuple[str, str | None] | None
) -> None:
    if expected is None:
        with pytest.raises(InvalidRequestError, match="the end must come after the beginning"):
            Period.parse(since, until)
    else:
        period = Period.parse(since, until)
        assert (period.since, period.until) == expected


@pytest.mark.parametrize("text", ["8h", "8h ago", " 8h "])
def test_so_long_ago(text: str) -> None:
    period = Period.parse(text, None)
    assert period.begin == period.asked_at - timedelta(hours=8)
    assert (period.end, period.until) == (None, None)
    assert Period.parse("7d", "2h").end is not None


@pytest.mark.parametrize("text", ["yesterday", "26.11.2026", "8", "2026-13-01", "9999-12-31", "0001-01-01"])
def test_what_is_no_time_is_named_with_what_would_be(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="expected a date such as 2026-11-26, a time such as"):
        Period.parse("2026-01-01", text)


def test_a_shift_is_told_by_the_hour_and_a_week_by_the_day() -> None:
    shift = Period.parse("2026-11-26T06:00", "2026-11-26T14:00")
    assert shift.slot("2026-11-26T05:10:00.123Z") == "2026-11-26 06:00"
    week = Period.parse("2026-11-20", "2026-11-26")
    assert week.slot("2026-11-25T23:10:00.123Z") == "2026-11-26"
    assert Period.parse("2026-11-25", "2026-11-26").is_hourly


def test_people_read_the_zone_too() -> None:
    shift = Period.parse("2026-11-26T06:00", "2026-11-26T14:00")
    assert str(shift) == "26 Nov 2026 06:00 to 26 Nov 2026 14:00 (CET, UTC+01:00)"
    autumn = Period.parse("2026-10-24", "2026-10-26")
    assert str(autumn) == "24 Oct 2026 00:00 to 27 Oct 2026 00:00 (CEST, UTC+02:00, then CET, UTC+01:00)"
    open_end = Period(datetime.fromisoformat("2026-11-26T06:00Z"), None, datetime.fromisoformat("2026-11-26T07:30Z"))
    assert str(open_end) == "26 Nov 2026 06:00 to 26 Nov 2026 07:30 (UTC)"
