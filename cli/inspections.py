"""`relook results`: the newest records."""

from __future__ import annotations

from itertools import islice

from cli.stack import Stack
from relook.aws.table import Item
from relook.registry.inspections import Verdict, Wanted
from relook.registry.inspections import newest as newest_records
from relook.registry.projects import list_projects


def newest(stack: Stack, project: str | None, *, anomalous: bool, limit: int) -> list[Item]:
    """The newest records, of one project or of all of them; images whose key names no project are in none."""
    names = [project] if project else [each.name for each in list_projects(stack.registry)]
    wanted = Wanted(verdict=Verdict.ANOMALOUS if anomalous else None)
    return list(islice(newest_records(stack.inspections, names, wanted, page_size=limit), limit))
