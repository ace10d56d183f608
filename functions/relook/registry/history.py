"""Who changed what of a project, and when: items that are only ever added, each in the transaction of its change.

A change stands once its transaction does. Whoever made it then tells the event bus; if they die before that, the event
is missing and the history is not.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from relook.aws.table import Item, Put, Table
from relook.events import DetailType, put_events, versioned_detail
from relook.registry.inspections import stamp
from relook.registry.projects import project_key

if TYPE_CHECKING:
    from types_boto3_events import EventBridgeClient

State = Mapping[str, Any]
"""Of what was changed: plain values by name."""


@dataclass(frozen=True)
class HistoryEntry:
    """One change.

    Attributes:
        who: the caller's ARN.
        what: the event that tells of it.
        subject: what was changed, such as `bracket/3`.
        before, after: None where there was, or is, nothing of its kind.
        id: 32 hex digits, of this change alone.
    """

    at: datetime
    who: str
    what: DetailType
    subject: str
    before: State | None
    after: State | None
    id: str
    project: str

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"{self.what}: {self.subject}, {described(self.before)} -> {described(self.after)}"


def record_change(
    project: str, *, who: str, what: DetailType, subject: str, before: State | None, after: State | None
) -> Put:
    """The write that goes into the change's transaction; `entry_of` its item is the entry."""
    at, change_id = datetime.now(UTC), uuid.uuid4().hex
    text = at.isoformat(timespec="microseconds")  # of one length, so that the sort key's order is that of time
    return Put(
        {
            "pk": project_key(project)["pk"],
            "sk": f"{_PREFIX}{text}#{change_id}",
            "project": project,
            "at": text,
            "who": who,
            "what": what,
            "subject": subject,
            "before": _known(before),
            "after": _known(after),
            "id": change_id,
        }
    )


def entry_of(item: Mapping[str, Any]) -> HistoryEntry:
    """An entry of its item."""
    return HistoryEntry(
        at=datetime.fromisoformat(item["at"]),
        who=item["who"],
        what=DetailType(item["what"]),
        subject=item["subject"],
        before=item.get("before"),
        after=item.get("after"),
        id=item["id"],
        project=item["project"],
    )


def list_history(table: Table, project: str, *, page_size: int | None = None) -> Iterator[HistoryEntry]:
    """Every change of the project, newest first; also those of one that was deleted under this name.

    Args:
        page_size: as of `Table.query`.
    """
    items: Iterator[Item] = table.query(
        ("pk", project_key(project)["pk"]), sort_prefix=("sk", _PREFIX), newest_first=True, page_size=page_size
    )
    return (entry_of(item) for item in items)


def tell_change(events: EventBridgeClient, bus: str, entry: HistoryEntry) -> None:
    """Put the event about a change that stands.

    Raises:
        AwsError, EventNotPublishedError: the bus did not take it.
    """
    put_events(events, bus, [entry.what], event_detail(entry))


def event_detail(entry: HistoryEntry) -> dict[str, Any]:
    """The event's detail, as the schemas in `events/outbound` describe it."""
    return versioned_detail(
        change_id=entry.id,
        project=entry.project,
        subject=entry.subject,
        changed_by=entry.who,
        changed_at=stamp(entry.at),
        before=entry.before,
        after=entry.after,
        summary=entry.summary,
    )


def described(state: State | None) -> str:
    """A state as people read it."""
    if not state:
        return "none"
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in state.items()
    )


_PREFIX = "HISTORY#"


def _known(state: State | None) -> State | None:
    return None if state is None else {name: value for name, value in state.items() if value is not None}
