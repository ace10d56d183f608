"""`relook results`: the newest records, by index and never by scan."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from itertools import islice
from typing import Any

from cli.stack import Stack
from relook.registry.projects import list_projects


def newest(stack: Stack, project: str | None, *, anomalous: bool, limit: int) -> list[dict[str, Any]]:
    """The newest records, of one project or of all of them; images whose key names no project are in none."""
    names = [project] if project else [each.name for each in list_projects(stack.registry)]

    def of(name: str) -> Iterator[dict[str, Any]]:
        attribute = "anomalous_project" if anomalous else "project"
        index = "anomalies_by_project" if anomalous else "by_project"
        return stack.inspections.query((attribute, name), index=index, newest_first=True)

    in_order = merge(*(of(name) for name in names), key=lambda record: record["inspected_at"], reverse=True)
    return list(islice(in_order, limit))
