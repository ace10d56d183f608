"""What is kept: images, results and model packages in buckets; inspections and the registry in tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.config import StageConfig
from infra.nag import acknowledge
from relook.registry.retention import EXPIRES_AT, VERDICT_TAG


class Storage(Construct):
    """Buckets and tables.

    Attributes:
        images: uploads, `<project>/<path>`; announced on the account's default event bus.
        results: masks and heat maps. Never the images bucket: no recursion.
        models: model packages.
        datasets: entries of datasets, and the images that `relook train` uploads.
        data_buckets: existing ones that users keep datasets and evaluations in.
        inspections: one record per image version and model version.
        registry: projects, datasets and model versions.
        idempotency: what has been inspected already; expires by itself.
    """

    def __init__(self, scope: Construct, id: str, *, config: StageConfig) -> None:
        super().__init__(scope, id)
        self._config = config
        self.images = self._existing_images() if config.images_bucket else self._new_images()
        rules = self._picture_rules(is_versioned=config.protects_data)
        self.results = self._bucket("Results", is_versioned=config.protects_data, more_rules=rules)
        self.models = self._bucket("Models", is_versioned=config.protects_data)
        self.datasets = self._bucket("Datasets", is_versioned=config.protects_data)
        self.data_buckets = [
            s3.Bucket.from_bucket_name(self, f"Data{number}", name)
            for number, name in enumerate(config.data_bucket_names, start=1)
        ]
        self.inspections = self._inspections()
        self.registry = self._registry()
        self.idempotency = self._idempotency()

    def _new_images(self) -> s3.IBucket:
        is_versioned = self._config.versions_images
        rules = self._picture_rules(is_versioned=is_versioned)
        bucket = self._bucket("Images", is_versioned=is_versioned, more_rules=rules)
        # The property itself, because the CDK's own `event_bridge_enabled` sets it through a custom resource.
        resource = cast(s3.CfnBucket, bucket.node.default_child)
        resource.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
            event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(event_bridge_enabled=True)
        )
        return bucket

    def _existing_images(self) -> s3.IBucket:
        bucket = s3.Bucket.from_bucket_name(self, "Images", self._config.images_bucket)
        # A custom resource after all: it adds the switch and keeps the notifications that the bucket has.
        bucket.enable_event_bridge_notification()
        handler = Stack.of(self).node.find_child(_NOTIFICATIONS_HANDLER)
        acknowledge(
            handler,
            "IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole]",
            reason="The CDK's own function, run at deployment only.",
        )
        return bucket

    def _picture_rules(self, *, is_versioned: bool) -> list[s3.LifecycleRule]:
        """The ends of pictures, by the verdict that `inspect_image` tags them with; none where they are kept for good.

        Where there are versions, a picture that has ended can be brought back for as long again, thirty days at most.
        """
        rules = [
            s3.LifecycleRule(
                tag_filters={VERDICT_TAG: verdict},
                expiration=Duration.days(days),
                noncurrent_version_expiration=Duration.days(days) if is_versioned else None,
            )
            for verdict, days in self._config.retention.pictures_days.items()
        ]
        if rules and is_versioned:  # what is left of a picture when all its versions have gone
            rules.append(s3.LifecycleRule(expired_object_delete_marker=True))
        return rules

    def _bucket(self, id: str, *, is_versioned: bool, more_rules: Sequence[s3.LifecycleRule] = ()) -> s3.Bucket:
        protected = self._config.protects_data
        bucket = s3.Bucket(
            self,
            id,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            versioned=is_versioned,
            removal_policy=RemovalPolicy.RETAIN if protected else RemovalPolicy.DESTROY,
            lifecycle_rules=[
                s3.LifecycleRule(
                    abort_incomplete_multipart_upload_after=Duration.days(3),
                    noncurrent_version_expiration=Duration.days(30) if is_versioned else None,
                ),
                *more_rules,
            ],
        )
        acknowledge(
            bucket,
            "S1",
            reason="Who read which image is the account's CloudTrail data events to say, not one bucket's access logs.",
        )
        return bucket

    def _inspections(self) -> dynamodb.Table:
        expires_at = EXPIRES_AT if self._config.retention.records_days else None
        table = self._table(
            "Inspections", partition_key="image_uri", sort_key="object_version", time_to_live_attribute=expires_at
        )
        _index(table, "by_project", partition_key="project", sort_key="inspected_at")
        # Sparse: only anomalous records carry `anomalous_project`.
        _index(table, "anomalies_by_project", partition_key="anomalous_project", sort_key="inspected_at")
        # Sparse: only records that wait for a review carry `to_review`; the nearest to the threshold come first.
        _index(table, "to_review", partition_key="to_review", sort_key="review_order")
        # Sparse: only checks carry `checked_project`.
        _index(table, "checks_by_project", partition_key="checked_project", sort_key="inspected_at")
        return table

    def _registry(self) -> dynamodb.Table:
        table = self._table("Registry", partition_key="pk", sort_key="sk")
        # Sparse: only the items that are listed by their kind carry `kind`.
        _index(table, "by_kind", partition_key="kind", sort_key="project")
        return table

    def _idempotency(self) -> dynamodb.Table:
        table = dynamodb.Table(
            self,
            "Idempotency",
            partition_key=_text("id"),
            time_to_live_attribute="expiration",
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            removal_policy=RemovalPolicy.DESTROY,
        )
        acknowledge(
            table, "DDB3", reason="Holds for two weeks what the Inspections table keeps; nobody would restore it."
        )
        return table

    def _table(
        self, id: str, *, partition_key: str, sort_key: str, time_to_live_attribute: str | None = None
    ) -> dynamodb.Table:
        protected = self._config.protects_data
        return dynamodb.Table(
            self,
            id,
            partition_key=_text(partition_key),
            sort_key=_text(sort_key),
            time_to_live_attribute=time_to_live_attribute,
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=protected,
            removal_policy=RemovalPolicy.RETAIN if protected else RemovalPolicy.DESTROY,
        )


# The CDK's name for the function behind its custom resource for bucket notifications.
_NOTIFICATIONS_HANDLER = "BucketNotificationsHandler050a0587b7544547bf325f094a3db834"


def _text(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)


def _index(table: dynamodb.Table, name: str, *, partition_key: str, sort_key: str) -> None:
    table.add_global_secondary_index(index_name=name, partition_key=_text(partition_key), sort_key=_text(sort_key))
