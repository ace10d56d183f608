"""Checks: golden parts that a project wants to see every so often, and whether they came.

A check is a record whose upload said what to expect. The sparse index `checks_by_project` holds them and nothing else,
so the last one is found at once among any number of images, and no inspection writes to the registry.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from relook.aws.table import ConditionFailedError, Item, Table, Update
from relook.errors import ConflictError, InvalidRequestError, ResourceType, ThrottledError
from relook.events import DetailType
from relook.registry.contention import beside_others
from relook.registry.history import HistoryEntry, State, entry_of, record_change
from relook.registry.inspections import stamp
from relook.registry.projects import AskedChecks, Project, describe_project, project_key

SHORTEST, LONGEST = timedelta(hours=1), timedelta(days=31)
"""Between two checks: it is looked for overdue ones every hour."""


@dataclass(frozen=True)
class Overdue:
    """A check that did not come.

    Attributes:
        due_at: the latest time one was due: a further one for every interval without any.
        last_at: of the last check; None where there never was one.
    """

    project: str
    every: timedelta
    due_at: datetime
    last_at: datetime | None


@beside_others
def ask_for_checks(table: Table, project: str, every: timedelta | None, *, who: str) -> HistoryEntry:
    """From now on the project wants a check every so often; None for no more.

    Args:
        who: the caller's ARN.
    Raises:
        InvalidRequestError: shorter than an hour, or longer than 31 days.
        ConflictError: it is to stop, and asks for none.
        ResourceNotFoundError: no such project.
        ThrottledError: other writers were always faster; nothing was changed.
    """
    if every is not None and not SHORTEST <= every <= LONGEST:
        raise InvalidRequestError(f"Checks every {every} cannot be asked for; expected one hour to 31 days")
    current = describe_project(table, project).checks
    if every is None and current is None:
        raise ConflictError(ResourceType.PROJECT, project, f"Project {project} asks for no checks")
    after = AskedChecks(every, datetime.now(UTC)) if every else None
    change = Update(
        project_key(project), {"checks": _item(after), "checks_told": None}, expect={"checks": (_item(current),)}
    )
    record = record_change(
        project,
        who=who,
        what=DetailType.CHECKS_CHANGED,
        subject=project,
        before=_state(current),
        after=_state(after),
    )
    try:
        table.write(change, record)
    except ConditionFailedError:
        raise ThrottledError(f"The checks of project {project} are being changed by others; try again") from None
    return entry_of(record.item)


def list_checks(inspections: Table, project: str, *, page_size: int | None = None) -> Iterator[Item]:
    """Records of the project's checks, newest first.

    Args:
        page_size: as of `Table.query`.
    """
    return inspections.query(
        ("checked_project", project), index="checks_by_project", newest_first=True, page_size=page_size
    )


def find_overdue(inspections: Table, project: Project, now: datetime) -> Overdue | None:
    """Whether a check should have come; None where it came in time, or none is asked for."""
    asked = project.checks
    if asked is None:
        return None
    last = next(list_checks(inspections, project.name, page_size=1), None)
    last_at = datetime.fromisoformat(last["inspected_at"]) if last else None
    begun = max(asked.since, last_at) if last_at else asked.since
    missed = (now - begun) // asked.every
    return Overdue(project.name, asked.every, begun + missed * asked.every, last_at) if missed > 0 else None


def mark_told(table: Table, overdue: Overdue) -> None:
    """Note that the event bus knows, so that it is told of this due time once."""
    try:
        table.update(Update(project_key(overdue.project), {"checks_told": due_text(overdue)}))
    except ConditionFailedError:
        return  # the project is gone, and with it the question


def due_text(overdue: Overdue) -> str:
    """The due time as it is noted and told."""
    return stamp(overdue.due_at)


def _item(asked: AskedChecks | None) -> State | None:
    return {"every_s": int(asked.every.total_seconds()), "since": asked.since.isoformat()} if asked else None


def _state(asked: AskedChecks | None) -> State | None:
    return {"every_s": int(asked.every.total_seconds())} if asked else None
