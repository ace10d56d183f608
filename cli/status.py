"""Where a project stands: what it did today, what waits for a person, its golden parts and its drift."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from cli import checks, drift
from cli.checks import Checks
from cli.output import CommandError
from cli.reviewing import waiting_reviews
from cli.stack import Stack
from relook.errors import InvalidRequestError, PackageError
from relook.quality.drift import StreamDrift
from relook.quality.summary import Counts, summarize
from relook.registry.inspections import Wanted, newest
from relook.registry.projects import Project
from relook.watching.drift import REACH

MOST_TODAY = 5_000
"""Records of today that are counted: a second's work; more are told as "5,000 and more"."""
MOST_REVIEWS = 100
"""Open reviews that are counted: more than anybody goes through at once; more are told as "100 and more"."""
_CHECKS = 10


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
    def counted_reviews(self) -> str:
        """How many are open, for people."""
        return f"{MOST_REVIEWS} and more" if self.open_reviews == MOST_REVIEWS else str(self.open_reviews)


def standing(stack: Stack, project: Project) -> Standing:
    """What it did today, what waits for a person, and what is watched."""
    records = newest(stack.inspections, [project.name], Wanted(since=datetime.now(UTC).date().isoformat()))
    today = summarize(islice(records, MOST_TODAY), worst=0).total
    return Standing(
        project=project,
        today=today,
        is_more=next(records, None) is not None,
        open_reviews=len(waiting_reviews(stack, project.name, MOST_REVIEWS)),
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
