"""The way an image goes: Object Created -> queue -> `inspect_image` -> the Relook event bus."""

from __future__ import annotations

from aws_cdk import Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as event_sources
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.config import StageConfig
from infra.function import Function
from infra.storage import Storage
from relook.events import OBJECT_CREATED, S3_SOURCE
from relook.settings import DetectorKind, InspectImageSettings


class Inspection(Construct):
    """The queue, its dead letters, the function and the event bus.

    Attributes:
        queue: one "Object Created" event per message.
        dead_letters: images that could not be inspected, to be redriven when the cause is gone.
        function: `inspect_image`.
        bus: where Relook's own events appear.
    """

    def __init__(self, scope: Construct, id: str, *, config: StageConfig, storage: Storage, code: lambda_.Code) -> None:
        super().__init__(scope, id)
        self.bus = events.EventBus(self, "Bus", description="What Relook found, for whoever wants to know")
        self.dead_letters = sqs.Queue(self, "DeadLetters", enforce_ssl=True, retention_period=Duration.days(14))
        self.queue = sqs.Queue(
            self,
            "Queue",
            enforce_ssl=True,
            retention_period=Duration.days(4),
            visibility_timeout=Duration.seconds(config.retry_after_s),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=config.max_receives),
        )
        self._uploads_to_queue(storage)
        self.function = self._inspect_image(config, storage, code)

    def _uploads_to_queue(self, storage: Storage) -> None:
        events.Rule(
            self,
            "Uploads",
            description="Uploaded images, to be inspected",
            event_pattern=events.EventPattern(
                source=[S3_SOURCE],
                detail_type=[OBJECT_CREATED],
                detail={
                    "bucket": {"name": [storage.images.bucket_name]},
                    # The S3 console makes a "folder" as an empty object with such a key.
                    "object": {"key": events.Match.anything_but_suffix("/")},
                },
            ),
            # What EventBridge cannot deliver for a day must not vanish either.
            targets=[targets.SqsQueue(self.queue, dead_letter_queue=self.dead_letters)],
        )

    def _inspect_image(self, config: StageConfig, storage: Storage, code: lambda_.Code) -> Function:
        settings = InspectImageSettings(
            results_bucket=storage.results.bucket_name,
            models_bucket=storage.models.bucket_name,
            inspections_table=storage.inspections.table_name,
            registry_table=storage.registry.table_name,
            idempotency_table=storage.idempotency.table_name,
            event_bus=self.bus.event_bus_name,
            detector=config.detector,
            remote_endpoint=config.remote_endpoint,
            remote_model_version=config.remote_model_version,
            publish_every_inspection=config.publish_every_inspection,
            keep_records_days=config.keep_records_days,
            keep_normal_pictures_days=config.keep_normal_pictures_days,
            keep_anomalous_pictures_days=config.keep_anomalous_pictures_days,
        )
        function = Function(
            self, "InspectImage", module="inspect_image", code=code, config=config, environment=settings.to_env()
        )
        function.add_event_source(
            event_sources.SqsEventSource(
                self.queue,
                batch_size=config.batch_size,
                max_concurrency=config.max_concurrency,
                report_batch_item_failures=True,
            )
        )
        self._grant(function, config, storage)
        return function

    def _grant(self, function: Function, config: StageConfig, storage: Storage) -> None:
        """Each action that the code calls, on the thing it calls it on. The queue is granted by its event source."""
        function.allow_objects(storage.images, ["s3:GetObject", "s3:GetObjectVersion"])
        function.allow_objects(storage.results, ["s3:PutObject"], tells_missing=False)
        if config.retention.pictures_days:
            kinds = ("Object", "ObjectVersion")
            tagging = [f"s3:{verb}{kind}Tagging" for verb in ("Get", "Put") for kind in kinds]
            function.allow_objects(storage.images, tagging)
            function.allow_objects(storage.results, ["s3:PutObjectTagging"], tells_missing=False)
        function.allow_objects(storage.models, ["s3:GetObject"], tells_missing=False)
        function.allow(["dynamodb:PutItem"], storage.inspections.table_arn)
        function.allow(["dynamodb:GetItem"], storage.registry.table_arn)
        function.allow(
            ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"],
            storage.idempotency.table_arn,
        )
        function.allow(["events:PutEvents"], self.bus.event_bus_arn)
        self._grant_detector(function, config)

    def _grant_detector(self, function: Function, config: StageConfig) -> None:
        if config.detector is DetectorKind.SAGEMAKER:
            endpoint = Stack.of(self).format_arn(
                service="sagemaker",
                resource="endpoint",
                resource_name=config.remote_endpoint.lower(),  # as SageMaker does in its ARNs
            )
            function.allow(["sagemaker:InvokeEndpoint"], endpoint)
        elif config.detector is DetectorKind.LOOKOUTVISION:
            # A function URL takes both actions, and does not tell its function's ARN.
            for action, condition in (
                ("lambda:InvokeFunctionUrl", {"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}}),
                ("lambda:InvokeFunction", {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}),
            ):
                function.allow([action], "*", condition)
