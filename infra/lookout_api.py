"""The Lookout for Vision API: a function behind a URL that takes AWS credentials."""

from __future__ import annotations

from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.config import StageConfig
from infra.function import Function
from infra.storage import Storage
from relook.settings import LookoutApiSettings

_ALIAS = "live"


class LookoutApi(Construct):
    """`lookout_api` and its function URL.

    Attributes:
        function: answers requests.
        url: where; callers need `lambda:InvokeFunctionUrl` and `lambda:InvokeFunction` on the function.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        config: StageConfig,
        storage: Storage,
        training_queue: sqs.IQueue,
        bus: events.IEventBus,
        code: lambda_.Code,
    ) -> None:
        super().__init__(scope, id)
        settings = LookoutApiSettings(
            registry_table=storage.registry.table_name,
            idempotency_table=storage.idempotency.table_name,
            models_bucket=storage.models.bucket_name,
            datasets_bucket=storage.datasets.bucket_name,
            training_queue_url=training_queue.queue_url,
            event_bus=bus.event_bus_name,
            max_concurrent_trainings=config.max_concurrent_trainings,
            provisioned_alias=_ALIAS if config.provisions_inference_units else "",
            expiring_bucket=storage.images.bucket_name if config.retention.pictures_days else "",
        )
        self.function = Function(
            self,
            "LookoutApi",
            module="lookout_api",
            code=code,
            config=config,
            environment=settings.to_env(),
            timeout_s=config.api_timeout_s,
        )
        self._grant(storage, training_queue, bus)
        self.url = self._url(config).url

    def _url(self, config: StageConfig) -> lambda_.FunctionUrl:
        if not config.provisions_inference_units:
            return self.function.add_function_url(auth_type=lambda_.FunctionUrlAuthType.AWS_IAM)
        alias = lambda_.Alias(self, "Live", alias_name=_ALIAS, version=self.function.current_version)
        # A policy of its own: one of the role's would have to exist before the function that it names.
        policy = iam.Policy(
            self,
            "Provisioning",
            statements=[
                iam.PolicyStatement(
                    actions=[
                        "lambda:PutProvisionedConcurrencyConfig",
                        "lambda:DeleteProvisionedConcurrencyConfig",
                    ],
                    resources=[alias.function_arn],
                )
            ],
        )
        policy.attach_to_role(self.function.own_role)
        return alias.add_function_url(auth_type=lambda_.FunctionUrlAuthType.AWS_IAM)

    def _grant(self, storage: Storage, training_queue: sqs.IQueue, bus: events.IEventBus) -> None:
        """Each action that the code calls, on the thing it calls it on."""
        table = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"]
        read = ["s3:GetObject", "s3:GetObjectVersion"]
        write = ["s3:PutObject", "s3:AbortMultipartUpload"]  # begun and given up, an upload tells if one may write
        allow = self.function.allow
        allow([*table, "dynamodb:ConditionCheckItem", "dynamodb:Query"], storage.registry.table_arn)
        allow(["dynamodb:Query"], f"{storage.registry.table_arn}/index/by_kind")
        allow(table, storage.idempotency.table_arn)
        allow(["sqs:SendMessage"], training_queue.queue_arn)
        allow(["events:PutEvents"], bus.event_bus_arn)
        self.function.allow_objects(storage.models, ["s3:GetObject", "s3:DeleteObject"])
        # Listed too: a dataset's files are deleted by their prefix.
        self.function.allow_objects(storage.datasets, [*read, *write, "s3:DeleteObject"])
        self.function.allow_objects(storage.images, read)
        for bucket in storage.data_buckets:
            self.function.allow_objects(bucket, [*read, *write])
        self.function.use_keys_through_s3()  # of manifests, and of what a packaging job writes
