"""`relook drift`: whether the newest images still look like what the hosted model was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.bar import Bar
from rich.table import Table as RichTable
from rich.text import Text

from cli.output import out, printable
from cli.stack import Stack
from relook.quality.drift import StreamDrift
from relook.quality.stability import DRIFT, MIN_IMAGES, WATCH, Reading
from relook.watching.drift import hosted_drift
from relook.watching.event import shifted

_FULL = 2 * DRIFT
"""The index that fills a bar: drift begins in its middle."""
_WIDTH = 32  # characters: a sixteenth of the index at which drift begins each
STYLES = {
    Reading.STABLE: "green",
    Reading.WATCH: "yellow",
    Reading.DRIFT: "bold red",
    Reading.TOO_FEW_IMAGES: "dim",
}
READINGS = {
    Reading.STABLE: "stable",
    Reading.WATCH: "watch",
    Reading.DRIFT: "DRIFT",
    Reading.TOO_FEW_IMAGES: "too few images",
}


def measure(stack: Stack, project: str, since: timedelta, by: str | None) -> tuple[StreamDrift, ...]:
    """The same as the scheduled function measures, of now.

    Raises:
        CommandError: the project has no hosted model version.
        ResourceNotFoundError: no such project.
        InvalidRequestError: the model keeps nothing of its training normals.
    """
    now = datetime.now(UTC)
    hosted = stack.hosted_model(project)
    return hosted_drift(stack.inspections, stack.models, hosted, since=now - since, until=now, by=by)


def to_json(stream: StreamDrift) -> dict[str, Any]:
    """For scripts; each index with its reading."""
    indices = {name: {**asdict(each), "reading": each.reading} for name, each in stream.statistics.items()}
    return {**asdict(stream), "statistics": indices}


def print_drift(project: str, streams: Sequence[StreamDrift], by: str | None) -> None:
    """For people: a bar for each statistic, and what its length means."""
    if not streams:
        out.print(f"No image of {project} was inspected by its hosted model in that time.", markup=False)
        return
    for stream in streams:
        name = f"{project}, {by} {stream.name}" if by else project
        seen = f"{stream.images} images, {stream.first_at} to {stream.last_at}"
        out.print(Text(printable(name), "bold"), Text(seen, "dim"))
        table = RichTable(box=None, show_header=False, pad_edge=False)
        for statistic, each in stream.statistics.items():
            reading = each.reading
            bar: Bar | Text = Text()
            index, way = "-", ""
            if reading is not Reading.TOO_FEW_IMAGES:
                color = STYLES[reading].split()[-1]
                bar = Bar(_FULL, 0, min(each.index, _FULL), width=_WIDTH, color=color)
                index = f"{each.index:.2f}"
                way = shifted(each) if each.index >= WATCH else ""
            table.add_row(f"  {statistic}", bar, index, Text(READINGS[reading], STYLES[reading]), way)
        out.print(table)
    limits = f"Population stability index: below {WATCH} stable, above {DRIFT} drift, of {MIN_IMAGES} images or more."
    out.print(Text(limits, "dim"))
