"""The way a training goes: CreateModel -> queue -> `train_model` -> a model package, an evaluation and an event."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as event_sources
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.config import StageConfig
from infra.function import Function
from infra.storage import Storage
from relook.settings import TrainModelSettings

# A message that came back more often than the function tries ends its training; a few more times, for the case that
# the registry or the bus cannot be reached just then.
_LAST_TRIES = 3

# What SQS asks for at least.
_LEAST_CONCURRENCY = 2


class Training(Construct):
    """The queue, its dead letters and the function.

    Attributes:
        queue: one model version to train per message.
        dead_letters: requests that could not be read, and endings that could not be told.
        function: `train_model`.
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
        settings = TrainModelSettings(
            registry_table=storage.registry.table_name,
            models_bucket=storage.models.bucket_name,
            datasets_bucket=storage.datasets.bucket_name,
            event_bus=bus.event_bus_name,
        )
        self.dead_letters = sqs.Queue(self, "DeadLetters", enforce_ssl=True, retention_period=Duration.days(14))
        self.queue = sqs.Queue(
            self,
            "Queue",
            enforce_ssl=True,
            retention_period=Duration.days(4),
            visibility_timeout=Duration.seconds(config.training_retry_after_s),
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=self.dead_letters, max_receive_count=settings.max_attempts + _LAST_TRIES
            ),
        )
        self.function = Function(
            self,
            "TrainModel",
            module="train_model",
            code=code,
            config=config,
            environment=settings.to_env(),
            timeout_s=config.training_timeout_s,
            memory_mb=config.training_memory_mb,
        )
        self.function.add_event_source(
            event_sources.SqsEventSource(
                self.queue,
                batch_size=1,
                max_concurrency=max(config.max_concurrent_trainings, _LEAST_CONCURRENCY),
                report_batch_item_failures=True,
            )
        )
        self._grant(storage, bus)

    def _grant(self, storage: Storage, bus: events.IEventBus) -> None:
        """Each action that the code calls, on the thing it calls it on. The queue is granted by its event source."""
        registry = [
            "dynamodb:GetItem",
            "dynamodb:Query",
            "dynamodb:UpdateItem",
            # Frees the training's slot, in one transaction with its end.
            "dynamodb:DeleteItem",
        ]
        self.function.allow(registry, storage.registry.table_arn)
        self.function.allow(["events:PutEvents"], bus.event_bus_arn)
        self.function.allow_objects(storage.images, ["s3:GetObject"])
        # Packages are written; a project's own backbone is read.
        for bucket in (storage.models, storage.datasets, *storage.data_buckets):
            self.function.allow_objects(bucket, ["s3:GetObject", "s3:PutObject"])
        self.function.use_keys_through_s3()
