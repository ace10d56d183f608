"""What people are told: a topic, and the Relook events that reach it as sentences."""

from __future__ import annotations

from aws_cdk import Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.config import StageConfig


class Alerts(Construct):
    """The alert topic.

    Attributes:
        topic: anomalies, rejected images and alarms; a mail address is subscribed if the stage names one.
    """

    def __init__(self, scope: Construct, id: str, *, config: StageConfig, bus: events.IEventBus) -> None:
        super().__init__(scope, id)
        self.topic = sns.Topic(self, "Topic", display_name="Relook", enforce_ssl=True)
        self._allow_alarms()
        if config.alert_email:
            self.topic.add_subscription(subscriptions.EmailSubscription(config.alert_email))
        events.Rule(
            self,
            "Rule",
            description="Anomalous and rejected images, told to people",
            event_bus=bus,
            event_pattern=events.EventPattern(source=["relook"], detail_type=["Anomaly Detected", "Image Rejected"]),
            targets=[targets.SnsTopic(self.topic, message=_message())],
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


def _message() -> events.RuleTargetInput:
    field = events.EventField.from_path
    return events.RuleTargetInput.from_multiline_text(
        f"{events.EventField.detail_type}: {field('$.detail.summary')}\n"
        f"Project: {field('$.detail.project')}\n"
        f"Image: {field('$.detail.image.uri')}"
    )
