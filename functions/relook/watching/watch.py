"""One round of the clock over all projects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from relook.aws.bucket import Bucket
from relook.aws.clients import Clients
from relook.aws.table import Table
from relook.errors import InvalidRequestError, MalformedMessageError, PackageError, RelookError
from relook.events import DetailType, put_events
from relook.observability import emit_drift_index, emit_overdue_checks, logger
from relook.quality.stability import Reading
from relook.registry.checks import due_text, find_overdue, mark_told
from relook.registry.inspections import stamp
from relook.registry.projects import Project, list_projects
from relook.settings import WatchQualitySettings
from relook.watching.drift import REACH, hosted_drift
from relook.watching.event import drift_detail, overdue_detail


class Subject(StrEnum):
    """What a round looks for."""

    DRIFT = "drift"
    CHECKS = "checks"


@dataclass(frozen=True)
class Round:
    """What the clock asks for.

    Attributes:
        at: the time it was scheduled for: the same however often the round is tried.
    """

    subject: Subject
    at: datetime

    @classmethod
    def parse(cls, event: Mapping[str, Any]) -> Self:
        """
        Raises:
            MalformedMessageError: it is no such request.
        """
        try:
            at = datetime.fromisoformat(event["at"]).astimezone(UTC)
            return cls(Subject(event["look_for"]), at)
        except (ValueError, LookupError, TypeError) as error:
            raise MalformedMessageError(
                f'Expected {{"look_for": "drift" or "checks", "at": an ISO-8601 time}}, got {str(event)[:200]}'
            ) from error


class Watch:
    """Looks at every project. One per process: it keeps clients between invocations."""

    def __init__(self, settings: WatchQualitySettings, clients: Clients) -> None:
        self._events, self._bus = clients.events, settings.event_bus
        self._registry = Table(clients.dynamodb, settings.registry_table)
        self._inspections = Table(clients.dynamodb, settings.inspections_table)
        self._models = Bucket(clients.s3, settings.models_bucket)
        self._drift_every = timedelta(hours=settings.drift_every_hours)

    def look(self, round_: Round) -> None:
        """Look at every project; one that fails keeps no other from being looked at.

        Raises:
            RelookError: of the first project that failed for another reason than its own model.
        """
        if round_.subject is Subject.DRIFT:
            self._of_each(lambda project: self._look_for_drift(project, round_.at))
        else:
            asked, overdue = 0, 0

            def count(project: Project) -> None:
                nonlocal asked, overdue
                asked += project.checks is not None
                overdue += self._look_for_check(project, round_.at)

            self._of_each(count)
            if asked:
                emit_overdue_checks(overdue)

    def _of_each(self, look: Callable[[Project], None]) -> None:
        failed: list[RelookError] = []
        for project in list_projects(self._registry):
            try:
                look(project)
            except (InvalidRequestError, PackageError) as error:  # until it is trained again, another try is no use
                logger.warning("a project cannot be looked at", project=project.name, reason=str(error))
            except RelookError as error:
                logger.exception("a project could not be looked at", project=project.name)
                failed.append(error)
        # Also where another try is no use: a function cannot ask for the dead letters, which ring an alarm, without the
        # repeats before them. These cost a query a project, and tell the bus nothing that has not the same id.
        if failed:
            raise failed[0]

    def _look_for_drift(self, project: Project, at: datetime) -> None:
        hosted = project.hosted
        if hosted is None:
            return
        streams = hosted_drift(self._inspections, self._models, hosted, since=at - REACH, until=at)
        if not streams or streams[0].last_at < stamp(at - self._drift_every):
            return  # nothing new since the last round
        (stream,) = streams
        for name, each in stream.statistics.items():
            if each.reading is not Reading.TOO_FEW_IMAGES:
                emit_drift_index(project.name, name, each.index)
        logger.info("drift", project=project.name, images=stream.images, drifted=list(stream.drifted))
        if stream.drifted:
            put_events(self._events, self._bus, [DetailType.DRIFT_DETECTED], drift_detail(hosted, stream, at))

    def _look_for_check(self, project: Project, at: datetime) -> bool:
        """Whether one is overdue."""
        overdue = find_overdue(self._inspections, project, at)
        if overdue is None or project.checks is None:
            return False
        if project.checks.told != due_text(overdue):
            put_events(self._events, self._bus, [DetailType.CHECK_OVERDUE], overdue_detail(overdue, at))
            mark_told(self._registry, overdue)
        return True
