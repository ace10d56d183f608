"""Images, anomalies and rejections over time, what was found, and whether the process is in control."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cli.console import charts
from cli.console.pages import console_of, render
from cli.period import Period
from cli.report import Report
from cli.status import watch
from relook.registry.projects import list_projects

_DAYS = timedelta(days=14)
_MOST_TYPES = 20
"""Bars of types, the most frequent: as many as a mask has; those beyond are rare, and a sheet's table names them."""


def overview(request: Request) -> Response:
    """GET /overview: charts of one project, or of all."""
    console = console_of(request)
    projects = list(list_projects(console.stack.registry))
    if not projects:
        return render(request, "first_steps.html")
    names = [each.name for each in projects]
    asked = request.query_params
    project, by = asked.get("project") or "", asked.get("by") or ""
    period = Period.parse(asked.get("since") or f"{date.today() - _DAYS}", None)
    report = console.reports.read([project] if project else names, period, by or None)
    return render(
        request,
        "overview.html",
        names=names,
        project=project,
        since=f"{period.begin:%Y-%m-%d}",
        by=by,
        report=report,
        summary=report.summary,
        charts=draw(report),
        control=report.control,
        watched=[watch(console.stack, each) for each in projects if project in ("", each.name)],
    )


def draw(report: Report) -> dict[str, Any]:
    """A report's charts, by name; without those that have nothing to show."""
    summary, control = report.summary, report.control
    unit = "an hour" if report.period.is_hourly else "a day"
    labels = [_short(slot) for slot in summary.by_time]
    counts = list(summary.by_time.values())
    drawn: dict[str, Any] = {}
    if counts:
        stacks = [
            ("normal", [each.inspected - each.anomalous for each in counts]),
            ("anomalous", [each.anomalous for each in counts]),
            ("rejected", [each.rejected for each in counts]),
        ]
        drawn["images"] = charts.bars(labels, stacks, title=f"Images {unit}", unit="images")
        points = [point for point in control.points if point.rate.share is not None]
        if control.center is not None and len(points) > 1:
            drawn["control"] = charts.p_chart(
                [_short(point.name) for point in points],
                [point.rate.share or 0.0 for point in points],
                [(point.lower or 0.0, point.upper or 1.0) for point in points],
                control.center,
                [point.is_out_of_control for point in points],
                title=f"Share of anomalous images {unit}, with control limits",
            )
    if types := summary.types[:_MOST_TYPES]:
        drawn["types"] = charts.pareto(
            [each.name for each in types],
            [each.images for each in types],
            [report.colors.get(each.name, "#888888") for each in types],
            title="Types of anomalies",
        )
    histogram = summary.probabilities
    if sum(histogram.counts):
        edges = [0.0, *histogram.edges, 1.0]
        drawn["probabilities"] = charts.histogram(edges, [("images", histogram.counts)], title="Anomaly probabilities")
    return drawn


def _short(slot: str) -> str:
    """`2026-11-26` as `26.11.`, and `2026-11-26 14:00` as `14:00`."""
    return slot[11:] or f"{slot[8:]}.{slot[5:7]}."
