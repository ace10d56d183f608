"""What people are told: a topic, and the Relook events that reach it as sentences."""

from __future__ import annotations

from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.config import StageConfig
from relook.events import SOURCE, DetailType


class Alerts(Construct):
    """The alert topic.

    Attributes:
        topic: anomalies of production, rejected images, failed trainings, drift, failed or overdue checks, alarms; a
            mail address is subscribed if the stage names one.
    """

    def __init__(self, scope: Construct, id: str, *, config: StageConfig, bus: events.IEventBus) -> None:
        super().__init__(scope, id)
        self.topic = sns.Topic(self, "Topic", display_name="Relook", enforce_ssl=True)
        self._allow_alarms()
        if config.alert_email:
            self.topic.add_subscription(subscriptions.EmailSubscription(config.alert_email))
        self._tell("Rule", bus, [DetailType.CHECK_FAILED, DetailType.IMAGE_REJECTED], "Image", "image.uri")
        # A golden part that is anomalous as expected is no news, and one that should be normal is told as Check Failed.
        production = {"expected": [{"exists": False}]}
        self._tell("Anomalies", bus, [DetailType.ANOMALY_DETECTED], "Image", "image.uri", production)
        self._tell("Trainings", bus, [DetailType.MODEL_TRAINING_FAILED], "Model version", "model_version")
        self._tell("Watching", bus, [DetailType.DRIFT_DETECTED, DetailType.CHECK_OVERDUE], "Seen at", "observed_at")

    def _tell(
        self,
        id: str,
        bus: events.IEventBus,
        detail_types: list[DetailType],
        subject: str,
        path: str,
        detail: dict[str, Any] | None = None,
    ) -> None:
        """Three lines for each of these events, the last of which says what it is about.

        Args:
            detail: the pattern that the events' details match; any do unless given.
        """

        def field(path: str) -> str:
            return events.EventField.from_path(f"$.detail.{path}")

        message = events.RuleTargetInput.from_multiline_text(
            f"{events.EventField.detail_type}: {field('summary')}\n"
            f"Project: {field('project')}\n"
            f"{subject}: {field(path)}"
        )
        events.Rule(
            self,
            id,
            description=f"Told to people: {', '.join(detail_types)}",
            event_bus=bus,
            event_pattern=events.EventPattern(source=[SOURCE], detail_type=[*map(str, detail_types)], detail=detail),
            targets=[targets.SnsTopic(self.topic, message=message)],
        )

    def _allow_alarms(self) -> None:
        """Say what a topic without a policy allows by default: alarms of this account may publish."""
        account = Stack.of(self).account
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="Alarms",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": account}},
            )
        )
