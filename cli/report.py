"""`relook report`: what a period came to. The command, its files and the console's pages show these numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table as RichTable
from rich.text import Text

from cli.output import out, printable, rate_text, table
from cli.period import Period
from cli.reviewing import print_production
from cli.stack import Stack
from relook.aws.table import Item
from relook.quality.rates import ControlChart, control_chart
from relook.quality.summary import COUNTED, Counts, Summarizer, Summary
from relook.registry.inspections import Wanted, newest


@dataclass(frozen=True)
class Report:
    """What was inspected in a period.

    Attributes:
        projects: by name; all their images together.
        by: the name in the uploads' metadata that the summary is grouped by.
        control: p-chart of the anomaly rate, a point an hour or a day.
        colors: type -> `#RRGGBB`.
    """

    projects: tuple[str, ...]
    period: Period
    by: str | None
    summary: Summary
    control: ControlChart
    colors: Mapping[str, str]

    @property
    def is_empty(self) -> bool:
        """Whether nothing came, not even a check."""
        total, checks = self.summary.total, self.summary.checks
        return not (total.inspected or total.rejected or checks.met or checks.missed or checks.unknown)


def read(
    stack: Stack,
    projects: Sequence[str],
    period: Period,
    by: str | None,
    *,
    each: Callable[[Item], object] | None = None,
) -> Report:
    """Of these projects, in one pass over their records, page by page.

    Args:
        each: is given every record, newest first, as it is counted.
    """
    counting = Counting(period, by)
    wanted = Wanted(since=period.since, until=period.until)
    for record in newest(stack.inspections, projects, wanted, attributes=() if each else COUNTED):
        counting.add(record)
        if each is not None:
            each(record)
    return counting.report(projects, period)


class Counting:
    """Records on their way to becoming a report."""

    def __init__(self, period: Period, by: str | None) -> None:
        self._by, self._colors = by, dict[str, str]()
        self._summarizer = Summarizer(group_by=by, slot=period.slot)

    def add(self, record: Item) -> None:
        """Count one more of the period."""
        for anomaly in record.get("anomalies") or ():
            self._colors.setdefault(str(anomaly["name"]), str(anomaly["color"]))
        self._summarizer.add(record)

    def report(self, projects: Sequence[str], period: Period) -> Report:
        """Of those so far."""
        summary = self._summarizer.summary()
        control = control_chart({slot: counts.anomaly_rate for slot, counts in summary.by_time.items()})
        return Report(tuple(projects), period, self._by, summary, control, dict(self._colors))


def to_json(report: Report) -> dict[str, Any]:
    """For scripts; a rate has its 95 % interval."""
    summary, reviews, end = report.summary, report.summary.reviews, report.period.end
    confusion = reviews.confusion
    return {
        "projects": report.projects,
        "from": report.period.begin.isoformat(),
        "to": end.isoformat() if end else None,
        **_counts_json(summary.total),
        "by_time": [
            {
                "time": point.name,
                **_counts_json(summary.by_time[point.name]),
                "is_out_of_control": point.is_out_of_control,
            }
            for point in report.control.points
        ],
        "by": report.by,
        "by_group": {name: _counts_json(counts) for name, counts in summary.by_group.items()},
        "types": [asdict(each) for each in summary.types],
        "rejections": summary.rejections,
        "checks": {**asdict(summary.checks), "met_rate": asdict(summary.checks.met_rate)},
        "reviews": {
            "right": reviews.right,
            "wrong": reviews.wrong,
            "unsure": reviews.unsure,
            "precision": asdict(confusion.precision),
            "false_alarm_rate": asdict(confusion.false_alarm_rate),
        },
        "worst": [asdict(each) for each in summary.worst],
    }


def print_report(report: Report) -> None:
    """For people: the figures, then what they are made of."""
    summary = report.summary
    out.print(Text(", ".join(report.projects), "bold"), str(report.period), markup=False)
    if report.is_empty:
        out.print("Nothing was inspected in that time.")
        return
    total, checks = summary.total, summary.checks
    figures = f"{total.inspected} images, {total.anomalous} anomalous: {rate_text(total.anomaly_rate)}"
    out.print(Text("inspected", "bold"), f"{figures}; {total.rejected} rejected", markup=False)
    met = f"{checks.met} met, {checks.missed} missed, {checks.unknown} not judged"
    out.print(Text("checks", "bold"), met, markup=False)
    print_production(summary.reviews)
    out_of_control = {point.name: "out of control" for point in report.control.points if point.is_out_of_control}
    unit = "hour" if report.period.is_hourly else "day"
    out.print(_counts_table(unit, summary.by_time.items(), out_of_control))
    if report.by:
        out.print(_counts_table(report.by, summary.by_group.items(), {}))
    if summary.types:
        types = table("type", "images", "mean area", right=["images", "mean area"])
        for kind in summary.types:
            types.add_row(Text(kind.name), str(kind.images), f"{kind.mean_area_share:.2%}")
        out.print(types)
    if summary.rejections:
        reasons = table("rejected because", "images", right=["images"])
        for reason, images in summary.rejections.items():
            reasons.add_row(reason, str(images))
        out.print(reasons)


def _counts_json(counts: Counts) -> dict[str, Any]:
    return {**asdict(counts), "anomaly_rate": asdict(counts.anomaly_rate)}


def _counts_table(unit: str, rows: Iterable[tuple[str, Counts]], notes: Mapping[str, str]) -> RichTable:
    columns = ("inspected", "anomalous", "share, 95 % interval", "rejected", "")
    counted = table(unit, *columns, right=columns)
    for name, counts in rows:
        numbers = (str(counts.inspected), str(counts.anomalous), rate_text(counts.anomaly_rate), str(counts.rejected))
        counted.add_row(Text(printable(name)), *numbers, Text(notes.get(name, ""), "bold red"))
    return counted
