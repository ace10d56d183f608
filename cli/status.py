"""`relook status`, and where a project stands: what it did today, what waits for a person, golden parts and drift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from rich.text import Text

from cli import checks, drift
from cli.checks import Checks
from cli.output import CommandError, out, printable, rate_text, result_text, table
from cli.stack import Stack
from infra.names import stack_name
from relook.errors import AwsError, InvalidRequestError, PackageError
from relook.quality.drift import StreamDrift
from relook.quality.rates import percent
from relook.quality.stability import Reading
from relook.quality.summary import OUTCOME, Counts, summarize
from relook.registry.inspections import Wanted, newest
from relook.registry.packages import load_manifest
from relook.registry.projects import Project, list_projects
from relook.registry.retention import Retention
from relook.registry.reviews import open_reviews
from relook.watching.drift import REACH
from relook.watching.event import duration

MOST_TODAY = 5_000
"""Records of today that are counted: a second's work; more are told as "5,000 and more"."""
MOST_REVIEWS = 100
"""Open reviews that are counted: more than anybody goes through at once; more are told as "100 and more"."""
_CHECKS = 10  # the last ones, which fit a screen


@dataclass(frozen=True)
class Watched:
    """What is watched of one project, now.

    Attributes:
        checks: the newest ten.
        drift: of the hosted version's newest images; None where there is none to tell of.
        no_drift: why there is none.
    """

    project: Project
    checks: Checks
    drift: StreamDrift | None
    no_drift: str | None


@dataclass(frozen=True)
class Standing:
    """Where one project stands, now.

    Attributes:
        today: of the images of today, in UTC; `is_more` where only the newest `MOST_TODAY` were counted.
        open_reviews: at most `MOST_REVIEWS`.
    """

    project: Project
    today: Counts
    is_more: bool
    open_reviews: int
    watched: Watched

    @property
    def counted_today(self) -> str:
        """How many were inspected today, for people."""
        return f"{self.today.inspected}{' and more' if self.is_more else ''}"

    @property
    def counted_reviews(self) -> str:
        """How many are open, for people."""
        return f"{MOST_REVIEWS} and more" if self.open_reviews == MOST_REVIEWS else str(self.open_reviews)


def standing(stack: Stack, project: Project) -> Standing:
    """What it did today, what waits for a person, and what is watched."""
    wanted = Wanted(since=datetime.now(UTC).date().isoformat())
    records = newest(stack.inspections, [project.name], wanted, attributes=OUTCOME)
    waiting = open_reviews(stack.inspections, project.name, page_size=MOST_REVIEWS, attributes=["review_order"])
    today = summarize(islice(records, MOST_TODAY), worst=0).total
    return Standing(
        project=project,
        today=today,
        is_more=next(records, None) is not None,
        open_reviews=sum(1 for _ in islice(waiting, MOST_REVIEWS)),
        watched=watch(stack, project),
    )


def watch(stack: Stack, project: Project) -> Watched:
    """Its golden parts as `relook checks`, and its drift as `relook drift` tells them."""
    return Watched(project, checks.find(stack, project.name, limit=_CHECKS), *_drift(stack, project.name))


def _drift(stack: Stack, project: str) -> tuple[StreamDrift | None, str | None]:
    try:
        streams = drift.measure(stack, project, REACH, None)
    except (CommandError, InvalidRequestError, PackageError) as error:
        return None, str(error)
    if not streams:
        return None, f"No image was inspected by its hosted model in the last {REACH.days} days"
    return streams[0], None


@dataclass(frozen=True)
class Status:
    """Of one stage.

    Attributes:
        outputs: of its stack.
        alarms: name -> what to do, of those that ring; None where nobody may ask, or nobody can tell.
        projects: with the threshold that each judges by; None where no version is hosted.
    """

    stage: str
    outputs: Mapping[str, str]
    retention: Retention
    alarms: Mapping[str, str] | None
    projects: tuple[tuple[Standing, float | None], ...]


def read(stack: Stack, stage: str) -> Status:
    """The stage as it is now; of projects what the console's page of projects tells."""
    projects = tuple((standing(stack, each), _threshold(stack, each)) for each in list_projects(stack.registry))
    try:
        alarms = stack.clients.ringing_alarms(f"{stack_name(stage)}-")
    except AwsError:  # beside the point for whoever wants to know the rest
        alarms = None
    return Status(stage, stack.outputs, stack.retention, alarms, projects)


def to_json(status: Status) -> dict[str, Any]:
    """For scripts."""
    return {
        "stage": status.stage,
        "outputs": dict(status.outputs),
        "retention": asdict(status.retention),
        "alarms": status.alarms,
        "projects": [_project_json(*each) for each in status.projects],
    }


def print_status(status: Status) -> None:
    """For people, on one screen."""
    facts = {
        "stage": status.stage,
        "images": f"s3://{status.outputs['ImagesBucket']}",
        "results": f"s3://{status.outputs['ResultsBucket']}",
        "endpoint": status.outputs["LookoutEndpoint"],
        "kept": _kept(status.retention),
        "alarms": "unknown" if status.alarms is None else f"{len(status.alarms) or 'none'} ringing",
    }
    for name, fact in facts.items():
        out.print(Text(f"{name:9}", "bold"), fact, markup=False, soft_wrap=True)
    for name, todo in (status.alarms or {}).items():
        out.print(Text(name, "bold red"), todo, markup=False, soft_wrap=True)
    if not status.projects:
        out.print("No project yet; train one: relook train PROJECT FOLDER")
        return
    numbers = ("threshold", "today", "anomalous", "rejected", "to review")
    projects = table("project", "model", *numbers, "checks", "drift", "ignored", right=numbers)
    for each, threshold in status.projects:
        hosted, regions, today = each.project.hosted, each.project.regions, each.today
        projects.add_row(
            Text(printable(each.project.name)),
            hosted.version if hosted else "none hosted",
            "-" if threshold is None else f"{threshold:g}",
            each.counted_today,
            f"{today.anomalous}, {rate_text(today.anomaly_rate)}" if today.inspected else "-",
            str(today.rejected),
            each.counted_reviews,
            _checks(each.watched.checks),
            _drift_text(each.watched.drift),
            percent(regions.share) if regions else "-",
        )
    out.print(projects)


def _threshold(stack: Stack, project: Project) -> float | None:
    hosted = project.hosted
    if hosted is None:
        return None
    if hosted.threshold is not None:
        return hosted.threshold
    try:
        return load_manifest(stack.models, hosted.project, hosted.version).threshold
    except PackageError:
        return None


def _project_json(each: Standing, threshold: float | None) -> dict[str, Any]:
    project, today, known = each.project, each.today, each.watched.checks
    return {
        "project": project.name,
        "hosted_version": project.hosted.version if project.hosted else None,
        "threshold": threshold,
        "today": {**asdict(today), "anomaly_rate": asdict(today.anomaly_rate), "is_more": each.is_more},
        "open_reviews": each.open_reviews,
        "checks": {**known.to_json(), "checks": len(known.records)},
        "drift": drift.to_json(each.watched.drift) if each.watched.drift else None,
        "no_drift": each.watched.no_drift,
        "ignored_share": project.regions.share if project.regions else None,
    }


def _kept(retention: Retention) -> str:
    def told(days: int) -> str:
        return f"{days} days" if days else "for good"

    return (
        f"records {told(retention.records_days)}; pictures of normal images {told(retention.normal_pictures_days)}, "
        f"of anomalous ones {told(retention.anomalous_pictures_days)}"
    )


def _checks(known: Checks) -> Text:
    """Whether the last one was met, and how often they are asked for."""
    if known.overdue_since:
        text = Text("OVERDUE", "bold red")
    else:
        text = result_text(known.records[0]) if known.records else Text("-")
    return text + Text(f", every {duration(known.every)}") if known.every else text


def _drift_text(stream: StreamDrift | None) -> Text:
    if stream is None:
        return Text("-")
    name, worst = stream.worst
    is_odd = worst.reading in (Reading.WATCH, Reading.DRIFT)
    return Text(f"{drift.READINGS[worst.reading]}{f', {name}' if is_odd else ''}", drift.STYLES[worst.reading])
