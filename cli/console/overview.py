"""Images, anomalies and rejections over time, what was found, and whether the process is in control."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cli.console import charts
from cli.console.pages import console_of, render
from cli.status import watch
from relook.aws.table import Item
from relook.quality.rates import ControlChart, control_chart
from relook.quality.summary import Summary, summarize
from relook.registry.inspections import Wanted, newest
from relook.registry.projects import list_projects

_DAYS = 14
_TYPE_COLORS = 2_000
"""Newest records that are asked which colour a type has."""


def overview(request: Request) -> Response:
    """GET /overview: charts of one project, or of all."""
    console = console_of(request)
    projects = list(list_projects(console.stack.registry))
    if not projects:
        return render(request, "first_steps.html")
    names = [each.name for each in projects]
    asked = request.query_params
    project = asked.get("project") or ""
    since = asked.get("since") or (datetime.now(UTC) - timedelta(days=_DAYS)).date().isoformat()
    by = asked.get("by") or ""
    wanted = Wanted(project=project or None, since=since)
    colors: dict[str, str] = {}
    records = newest(console.stack.inspections, [project] if project else names, wanted)
    summary = summarize(_noting_colors(records, colors), group_by=by or None)
    control = control_chart({day: counts.anomaly_rate for day, counts in summary.by_day.items()})
    return render(
        request,
        "overview.html",
        names=names,
        project=project,
        since=since,
        by=by,
        summary=summary,
        charts=draw(summary, control, colors),
        control=control,
        watched=[watch(console.stack, each) for each in projects if project in ("", each.name)],
    )


def draw(summary: Summary, control: ControlChart, colors: Mapping[str, str]) -> dict[str, Any]:
    """The page's charts, by name; without those that have nothing to show."""
    labels = [_short(day) for day in summary.by_day]
    counts = list(summary.by_day.values())
    drawn: dict[str, Any] = {}
    if counts:
        stacks = [
            ("normal", [each.inspected - each.anomalous for each in counts]),
            ("anomalous", [each.anomalous for each in counts]),
            ("rejected", [each.rejected for each in counts]),
        ]
        drawn["images"] = charts.bars(labels, stacks, title="Images a day", unit="images")
        points = [point for point in control.points if point.rate.share is not None]
        if control.center is not None and len(points) > 1:
            drawn["control"] = charts.p_chart(
                [_short(point.name) for point in points],
                [point.rate.share or 0.0 for point in points],
                [(point.lower or 0.0, point.upper or 1.0) for point in points],
                control.center,
                [point.is_out_of_control for point in points],
                title="Share of anomalous images a day, with control limits",
            )
    if summary.types:
        drawn["types"] = charts.pareto(
            [each.name for each in summary.types],
            [each.images for each in summary.types],
            [colors.get(each.name, "#888888") for each in summary.types],
            title="Types of anomalies",
        )
    histogram = summary.probabilities
    if sum(histogram.counts):
        edges = [0.0, *histogram.edges, 1.0]
        drawn["probabilities"] = charts.histogram(edges, [("images", histogram.counts)], title="Anomaly probabilities")
    return drawn


def _short(day: str) -> str:
    """`2026-11-26` as `26.11.`"""
    return f"{day[8:]}.{day[5:7]}."


def _noting_colors(records: Iterable[Item], colors: dict[str, str]) -> Iterator[Item]:
    for number, record in enumerate(records):
        if number < _TYPE_COLORS:
            for each in record.get("anomalies") or ():
                colors.setdefault(str(each["name"]), str(each["color"]))
        yield record
