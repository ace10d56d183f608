"""What every function of ours shares, decided once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.config import StageConfig
from infra.nag import acknowledge, acknowledge_resource


class Function(lambda_.Function):
    """A function with its own role, its own log group, tracing, and nothing else until it is granted.

    The file `functions/<module>.py` holds `handler`; `environment` comes from its settings' `to_env`.
    Time and memory are the stage's own, unless others are given.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        module: str,
        code: lambda_.Code,
        config: StageConfig,
        environment: Mapping[str, str],
        timeout_s: int | None = None,
        memory_mb: int | None = None,
    ) -> None:
        self.own_role = iam.Role(scope, f"{id}Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        log_group = logs.LogGroup(
            scope,
            f"{id}Logs",
            retention=_RETENTION[config.log_retention_days],
            removal_policy=RemovalPolicy.RETAIN if config.protects_data else RemovalPolicy.DESTROY,
        )
        log_group.grant_write(self.own_role)
        super().__init__(
            scope,
            id,
            handler=f"{module}.handler",
            code=code,
            runtime=lambda_.Runtime(config.runtime, lambda_.RuntimeFamily.PYTHON),
            architecture=lambda_.Architecture.custom(config.architecture),
            memory_size=memory_mb or config.memory_mb,
            timeout=Duration.seconds(timeout_s or config.timeout_s),
            tracing=lambda_.Tracing.ACTIVE,
            role=self.own_role,
            log_group=log_group,
            environment={**environment, "POWERTOOLS_LOG_LEVEL": config.log_level},
        )
        acknowledge(
            self.own_role,
            "IAM5[Resource::*]",
            reason="Writing traces, and calling a function URL, name no resource that a policy could.",
        )
        acknowledge(self, "L1", reason="The runtime is the stage's choice: the asset holds wheels built for it.")

    def allow(self, actions: Sequence[str], resource: str, conditions: Mapping[str, object] | None = None) -> None:
        """Let it do these things to this resource, which an ARN names."""
        self.add_to_role_policy(iam.PolicyStatement(actions=list(actions), resources=[resource], conditions=conditions))

    def allow_objects(self, bucket: s3.IBucket, actions: Sequence[str], *, tells_missing: bool = True) -> None:
        """Let it do these things to any object of this one bucket.

        Args:
            tells_missing: whether it may list the bucket too, without which S3 answers 403 for what is not there, as
                if it were forbidden to read it.
        """
        objects = bucket.arn_for_objects("*")
        self.allow(actions, objects)
        if tells_missing:
            self.allow(["s3:ListBucket"], bucket.bucket_arn)
        acknowledge_resource(self.own_role, objects, reason="Any object, but of this one bucket.")

    def use_keys_through_s3(self) -> None:
        """Let it read and write objects that are encrypted with keys of the account's users."""
        stack = Stack.of(self)
        keys = stack.format_arn(service="kms", resource="key", resource_name="*")
        through_s3 = {"StringEquals": {"kms:ViaService": f"s3.{stack.region}.{stack.url_suffix}"}}
        self.allow(["kms:Decrypt", "kms:GenerateDataKey"], keys, through_s3)
        acknowledge_resource(
            self.own_role,
            keys,
            reason="Callers name keys and encrypted buckets; each key's own policy decides, and S3 alone may use it.",
        )


_RETENTION = {
    1: logs.RetentionDays.ONE_DAY,
    7: logs.RetentionDays.ONE_WEEK,
    30: logs.RetentionDays.ONE_MONTH,
    90: logs.RetentionDays.THREE_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
}
