"""What the clock asks for: `watch_quality` looks for drift daily and for overdue checks hourly."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.config import StageConfig
from infra.function import Function
from infra.nag import acknowledge, acknowledge_resource
from infra.storage import Storage
from relook.settings import WatchQualitySettings
from relook.watching.watch import Subject

_TIMEOUT_S = 300  # some tenths of a second for each project
_MEMORY_MB = 512  # two thousand records at a time, and no model


class Watching(Construct):
    """The schedules, the function and the dead letters.

    Attributes:
        dead_letters: rounds that failed however often they were tried; the next one looks at the same.
        function: `watch_quality`.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        config: StageConfig,
        storage: Storage,
        bus: events.IEventBus,
        code: lambda_.Code,
    ) -> None:
        super().__init__(scope, id)
        settings = WatchQualitySettings(
            registry_table=storage.registry.table_name,
            inspections_table=storage.inspections.table_name,
            models_bucket=storage.models.bucket_name,
            event_bus=bus.event_bus_name,
            drift_every_hours=config.drift_every_hours,
        )
        self.dead_letters = sqs.Queue(self, "DeadLetters", enforce_ssl=True, retention_period=Duration.days(14))
        acknowledge(self.dead_letters, "SQS3", reason="It is the dead letters of the clock and of the function.")
        self.function = Function(
            self,
            "WatchQuality",
            module="watch_quality",
            code=code,
            config=config,
            environment=settings.to_env(),
            timeout_s=_TIMEOUT_S,
            memory_mb=_MEMORY_MB,
        )
        self.function.configure_async_invoke(on_failure=destinations.SqsDestination(self.dead_letters))
        self._grant(storage, bus)
        self._clock = iam.Role(self, "ClockRole", assumed_by=iam.ServicePrincipal("scheduler.amazonaws.com"))
        self._schedule("Drift", Subject.DRIFT, Duration.hours(config.drift_every_hours))
        self._schedule("Checks", Subject.CHECKS, Duration.hours(1))  # the shortest interval that can be asked for
        acknowledge_resource(
            self._clock, f"{self.function.function_arn}:*", reason="Any version, but of this one function."
        )

    def _schedule(self, id: str, subject: Subject, every: Duration) -> None:
        asked = {"look_for": str(subject), "at": scheduler.ContextAttribute.scheduled_time}
        scheduler.Schedule(
            self,
            id,
            schedule=scheduler.ScheduleExpression.rate(every),
            target=targets.LambdaInvoke(
                self.function,
                input=scheduler.ScheduleTargetInput.from_object(asked),
                dead_letter_queue=self.dead_letters,
                role=self._clock,
            ),
            description=f"Has watch_quality look for {subject}",
        )

    def _grant(self, storage: Storage, bus: events.IEventBus) -> None:
        """Each action that the code calls, on the thing it calls it on."""
        self.function.allow(["dynamodb:Query"], f"{storage.registry.table_arn}/index/by_kind")
        # Notes which overdue checks were told.
        self.function.allow(["dynamodb:UpdateItem"], storage.registry.table_arn)
        for index in ("by_project", "checks_by_project"):
            self.function.allow(["dynamodb:Query"], f"{storage.inspections.table_arn}/index/{index}")
        self.function.allow_objects(storage.models, ["s3:GetObject"])
        self.function.allow(["events:PutEvents"], bus.event_bus_arn)
