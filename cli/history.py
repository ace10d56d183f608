"""`relook history`: who changed what of a project."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from rich.table import Table as RichTable
from rich.text import Text

from cli.output import out, printable
from cli.stack import Stack
from relook.registry.history import HistoryEntry, described, event_detail, list_history


def read(stack: Stack, project: str, limit: int) -> list[HistoryEntry]:
    """The newest entries; of a deleted project too."""
    return list(islice(list_history(stack.registry, project), limit))


def to_json(entry: HistoryEntry) -> dict[str, Any]:
    """For scripts: what its event tells."""
    return {"what": entry.what, **event_detail(entry)}


def print_history(entries: Iterable[HistoryEntry]) -> None:
    """For people."""
    table = RichTable(box=None, header_style="bold", pad_edge=False)
    for column in ("when", "what", "of", "before", "after", "who"):
        table.add_column(column, overflow="fold")
    for each in entries:
        texts = (each.subject, described(each.before), described(each.after), each.who)
        table.add_row(f"{each.at:%Y-%m-%d %H:%M:%S}Z", each.what, *(Text(printable(text)) for text in texts))
    out.print(table)
