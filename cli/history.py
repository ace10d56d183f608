"""`relook history`: who changed what of a project."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from rich.text import Text

from cli.output import out, printable, table
from cli.stack import Stack
from relook.events import DetailType
from relook.registry.history import HistoryEntry, described, event_detail, list_history

_LOOKED_AT = 1_000
"""Entries, the newest: one answer of the table. Behind more changes than that, going back is no step back."""


def read(stack: Stack, project: str, limit: int) -> list[HistoryEntry]:
    """The newest entries; of a deleted project too."""
    return list(islice(list_history(stack.registry, project, page_size=limit), limit))


def hosted_before(stack: Stack, project: str, version: str) -> str | None:
    """The model version that inspected the project's uploads before this one does; None where it is not known."""
    newest = islice(list_history(stack.registry, project), _LOOKED_AT)
    hosting = next((entry for entry in newest if entry.what is DetailType.MODEL_HOSTED), None)
    if hosting is None or not hosting.before or not hosting.after or hosting.after["model_version"] != version:
        return None
    return str(hosting.before["model_version"])


def to_json(entry: HistoryEntry) -> dict[str, Any]:
    """For scripts: what its event tells."""
    return {"what": entry.what, **event_detail(entry)}


def print_history(entries: Iterable[HistoryEntry]) -> None:
    """For people."""
    changes = table("when", "what", "of", "before", "after", "who")
    for each in entries:
        texts = (each.subject, described(each.before), described(each.after), each.who)
        changes.add_row(f"{each.at:%Y-%m-%d %H:%M:%S}Z", each.what, *(Text(printable(text)) for text in texts))
    out.print(changes)
