"""The stack: constructs handed to each other, and the names its users need."""

from __future__ import annotations

from typing import Any

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.alerts import Alerts
from infra.config import StageConfig
from infra.inspection import Inspection
from infra.lookout_api import LookoutApi
from infra.monitoring import Monitoring
from infra.storage import Storage
from infra.training import Training
from infra.watching import Watching


class RelookStack(Stack):
    """All of Relook, for one stage, in whatever account and region it is deployed to."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        config: StageConfig,
        code: lambda_.Code,
        training_code: lambda_.Code,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            scope,
            id,
            description="Visual inspection as a serverless, event-driven function",
            termination_protection=config.protects_data,
            **kwargs,
        )
        storage = Storage(self, "Storage", config=config)
        inspection = Inspection(self, "Inspection", config=config, storage=storage, code=code)
        training = Training(self, "Training", config=config, storage=storage, bus=inspection.bus, code=training_code)
        api = LookoutApi(
            self,
            "LookoutApi",
            config=config,
            storage=storage,
            training_queue=training.queue,
            bus=inspection.bus,
            code=code,
        )
        watching = Watching(self, "Watching", config=config, storage=storage, bus=inspection.bus, code=code)
        alerts = Alerts(self, "Alerts", config=config, bus=inspection.bus)
        monitoring = Monitoring(
            self, "Monitoring", inspection=inspection, training=training, watching=watching, alerts=alerts
        )
        outputs = {
            "ImagesBucket": storage.images.bucket_name,
            "ResultsBucket": storage.results.bucket_name,
            "ModelsBucket": storage.models.bucket_name,
            "DatasetsBucket": storage.datasets.bucket_name,
            "InspectionsTable": storage.inspections.table_name,
            "RegistryTable": storage.registry.table_name,
            "EventBus": inspection.bus.event_bus_name,
            "InspectionQueueUrl": inspection.queue.queue_url,
            "DeadLetterQueueUrl": inspection.dead_letters.queue_url,
            "TrainingQueueUrl": training.queue.queue_url,
            "TrainingDeadLetterQueueUrl": training.dead_letters.queue_url,
            "AlertTopic": alerts.topic.topic_arn,
            "InspectImageFunction": inspection.function.function_name,
            "TrainModelFunction": training.function.function_name,
            "WatchQualityFunction": watching.function.function_name,
            "LookoutApiFunction": api.function.function_name,
            "LookoutEndpoint": api.url,
            "Dashboard": monitoring.dashboard.dashboard_name,
        }
        for name, value in (outputs | config.retention.to_outputs()).items():
            CfnOutput(self, name, value=value)
