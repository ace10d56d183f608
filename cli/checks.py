"""`relook checks`: golden parts that came, and how often they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from rich.table import Table as RichTable
from rich.text import Text

from cli.output import out, printable, result_text, table
from cli.stack import Stack
from relook.errors import ConflictError
from relook.quality.records import group_of, image_key
from relook.registry.checks import ask_for_checks, due_text, find_overdue, list_checks
from relook.registry.history import HistoryEntry
from relook.registry.projects import describe_project
from relook.watching.event import duration


@dataclass(frozen=True)
class Checks:
    """A project's checks.

    Attributes:
        every: how often they are asked for; None for not.
        overdue_since: ISO-8601 UTC, when one was due that did not come; None where none is overdue.
        records: the newest first.
    """

    every: timedelta | None
    overdue_since: str | None
    records: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        every_s = int(self.every.total_seconds()) if self.every else None
        return {"every_s": every_s, "overdue_since": self.overdue_since, "checks": self.records}


def ask(stack: Stack, project: str, every: timedelta | None) -> HistoryEntry | None:
    """Have checks asked for every so often, or no more; None where none were asked for anyway."""
    try:
        entry = ask_for_checks(stack.registry, project, every, who=stack.clients.caller)
    except ConflictError:
        return None
    stack.tell(entry)
    return entry


def find(stack: Stack, project: str, *, limit: int) -> Checks:
    """The newest checks, by their index.

    Raises:
        ResourceNotFoundError: no such project.
    """
    described = describe_project(stack.registry, project)
    overdue = find_overdue(stack.inspections, described, datetime.now(UTC))
    records = list(islice(list_checks(stack.inspections, project, page_size=limit), limit))
    every = described.checks.every if described.checks else None
    return Checks(every, due_text(overdue) if overdue else None, records)


def print_checks(project: str, checks: Checks, by: str | None) -> None:
    """For people: what is asked for, what came, and by camera or line how many were met."""
    asked = f"asks for a check every {duration(checks.every)}" if checks.every else "asks for no checks"
    out.print(Text(project, "bold"), asked, markup=False)
    if checks.overdue_since:
        out.print(Text("overdue", "bold red"), f"one was due at {checks.overdue_since}", markup=False)
    if not checks.records:
        out.print("No check yet: upload a golden part with the metadata expected=normal or expected=anomaly.")
        return
    if by:
        out.print(_by_group(checks, by))
    listed = table("inspected at", "expected", "result", "image", "metadata")
    for record in checks.records:
        metadata = {name: value for name, value in (record.get("metadata") or {}).items() if name != "expected"}
        listed.add_row(
            str(record["inspected_at"]),
            str(record["expected"]),
            result_text(record),
            Text(printable(image_key(record))),
            Text(printable(", ".join(f"{name} {value}" for name, value in metadata.items()))),
        )
    out.print(listed)


def _by_group(checks: Checks, by: str) -> RichTable:
    groups: dict[str, list[bool | None]] = {}
    for record in checks.records:
        groups.setdefault(group_of(record, by), []).append(record.get("is_expected_met"))
    numbers = ("met", "missed", "unknown")
    grouped = table(by, *numbers, right=numbers)
    for group, results in sorted(groups.items()):
        grouped.add_row(Text(printable(group)), *(str(results.count(each)) for each in (True, False, None)))
    return grouped
