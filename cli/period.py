"""A stretch of time as people name it: in this machine's own zone, unless they name another."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Self

import typer

from cli.arguments import parse_duration
from relook.errors import InvalidRequestError
from relook.registry.inspections import stamp

_HOURLY = timedelta(hours=48)
"""A period as long as that, or shorter, is told by the hour: a shift has eight points then, and two days have 48."""

_FIRST_YEAR = 1970
"""Earlier ones are slips of the finger, and times of the first of all cannot be told in every zone."""


@dataclass(frozen=True)
class Period:
    """From a time on, and up to another.

    Attributes:
        begin: inclusive, in this machine's zone.
        end: exclusive, in this machine's zone; None for whatever comes.
        asked_at: now, when it was asked for.
    """

    begin: datetime
    end: datetime | None
    asked_at: datetime

    @classmethod
    def parse(cls, since: str, until: str | None) -> Self:
        """Each is a date, an ISO-8601 time, or how long ago, such as `8h`; a date as `until` includes that day.

        Raises:
            InvalidRequestError: one of them is none of these, or the period ends before it begins.
        """
        now = datetime.now().astimezone()
        begin = _parse_time(since, now, is_end=False)
        end = _parse_time(until, now, is_end=True) if until else None
        if end is not None and end <= begin:
            raise InvalidRequestError(
                f"From {_written(begin)} to {_written(end)} is no time at all; the end must come after the beginning"
            )
        return cls(begin, end, now)

    @property
    def since(self) -> str:
        """As records are dated."""
        return stamp(self.begin.astimezone(UTC))

    @property
    def until(self) -> str | None:
        """The last millisecond, as records are dated; None for whatever comes."""
        return stamp((self.end - timedelta(milliseconds=1)).astimezone(UTC)) if self.end else None

    @property
    def is_hourly(self) -> bool:
        """Whether it is so short that it is told by the hour, and not by the day."""
        return (self.end or self.asked_at) - self.begin <= _HOURLY

    def slot(self, inspected_at: str) -> str:
        """The hour or the day that a record belongs to, as `2026-11-26 14:00` or `2026-11-26`."""
        local = datetime.fromisoformat(inspected_at).astimezone()
        return f"{local:%Y-%m-%d %H:00}" if self.is_hourly else f"{local:%Y-%m-%d}"

    def __str__(self) -> str:
        """For people, such as `26 Nov 2026 06:00 to 26 Nov 2026 14:00 (CET, UTC+01:00)`."""
        times = (self.begin, self.end or self.asked_at)
        zones = dict.fromkeys(map(_zone, times))
        return f"{' to '.join(map(_written, times))} ({', then '.join(zones)})"


def _parse_time(text: str, now: datetime, *, is_end: bool) -> datetime:
    try:
        return now - parse_duration(text.removesuffix("ago"))
    except typer.BadParameter:
        pass
    try:
        try:
            day = date.fromisoformat(text)
        except ValueError:
            at = datetime.fromisoformat(text)
        else:
            at = datetime.combine(day + timedelta(days=is_end), time.min)
        if at.year < _FIRST_YEAR:
            raise ValueError
        return at.astimezone()
    except (ValueError, OverflowError):
        raise InvalidRequestError(
            f"{text!r} is no time; expected a date such as 2026-11-26, a time such as 2026-11-26T06:00, or how long "
            "ago, such as 8h or 7d"
        ) from None


def _written(at: datetime) -> str:
    return f"{at:%d %b %Y %H:%M}"


def _zone(at: datetime) -> str:
    offset = at.isoformat()[-len("+01:00") :]
    return f"{at:%Z}, UTC{offset}" if at.utcoffset() else "UTC"
