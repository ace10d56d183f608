"""Reports that grow: two weeks are read once, and after that what came since."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timedelta
from threading import Lock

from cli.period import Period
from cli.report import Counting, Report
from cli.stack import Stack
from relook.quality.summary import COUNTED
from relook.registry.inspections import RecordId, Wanted, newest, stamp

_KEPT = 8
"""Reports: a few projects, grouped or not; each is some kilobytes."""
_FRESH_S = 600
"""So long others' reviews of what was counted may be missing; then it is read anew. Those made here are never."""
_LATE = timedelta(minutes=1)
"""A record is dated before it is written, and an index shows it a moment later: so far back is looked again."""


class RunningReports:
    """Reports of periods that have no end."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._lock = Lock()
        self._running: OrderedDict[tuple[object, ...], _Running] = OrderedDict()

    def read(self, projects: Sequence[str], period: Period, by: str | None) -> Report:
        """As `cli.report.read`."""
        key = (*projects, period.since, period.is_hourly, by)
        with self._lock:
            running = self._running.pop(key, None)
            if running is None or running.is_old:
                running = _Running(period, by)
            running.catch_up(self._stack, projects)
            self._running[key] = running
            if len(self._running) > _KEPT:
                self._running.popitem(last=False)
            return running.counting.report(projects, period)

    def forget(self) -> None:
        """Read all anew: what was counted has changed."""
        with self._lock:
            self._running.clear()


class _Running:
    def __init__(self, period: Period, by: str | None) -> None:
        self.counting = Counting(period, by)
        self._since, self._known = period.since, set[RecordId]()
        self._begun_s = time.monotonic()

    @property
    def is_old(self) -> bool:
        return time.monotonic() - self._begun_s > _FRESH_S

    def catch_up(self, stack: Stack, projects: Sequence[str]) -> None:
        """Count what is not counted yet."""
        since, recent = self._since, set[RecordId]()
        for record in newest(stack.inspections, projects, Wanted(since=self._since), attributes=COUNTED):
            record_id = RecordId.of(record)
            if not recent:
                since = max(since, stamp(datetime.fromisoformat(record_id.inspected_at) - _LATE))
            if record_id.inspected_at >= since:
                recent.add(record_id)
            if record_id not in self._known:
                self.counting.add(record)
        self._since, self._known = since, recent
