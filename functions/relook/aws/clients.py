"""boto3's clients, typed, made at first use and kept; with one Config."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import boto3
from botocore.config import Config
from botocore.loaders import Loader
from botocore.session import Session

from relook.aws.errors import translated
from relook.errors import AwsError

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_events import EventBridgeClient
    from types_boto3_lambda import LambdaClient
    from types_boto3_s3 import S3Client
    from types_boto3_sagemaker_runtime import SageMakerRuntimeClient
    from types_boto3_sqs import SQSClient
    from types_boto3_ssm import SSMClient


# Three attempts of at most 3 + 10 s, with the waits between them, end within the minute that an invocation has.
_ATTEMPTS, _CONNECT_TIMEOUT_S, _READ_TIMEOUT_S = 3, 3, 10
_TRANSLATED_ELSEWHERE = ("dynamodb", "s3")
"""Services whose exceptions `Table`, `Bucket` and Powertools look into before they become errors of ours."""
FRONT_DOOR_S = 60
"""Within which the API has answered, for its clients to wait: a manifest is read, or a model loaded, meanwhile."""


class Clients:
    """The clients of one account in one region. What services within AWS answer at all, they answer within a second:
    the three attempts, and the waits between them, end within the minute that an invocation has.

    Their calls, and those of their paginators, raise errors of ours; for DynamoDB and S3, `Table` and `Bucket` do.

    Args:
        session: botocore's; the environment's unless given.
        attempts: of one call, the first included.
        read_timeout_s: for an answer to begin.
        proxies: by scheme; the environment's unless given.
        options: of every client, such as its endpoint_url.
    """

    def __init__(
        self,
        session: Session | None = None,
        *,
        attempts: int = _ATTEMPTS,
        read_timeout_s: float = _READ_TIMEOUT_S,
        proxies: Mapping[str, str] | None = None,
        **options: str,
    ) -> None:
        self._session = session or Session()
        self._session.register("creating-client-class", _raise_errors_of_ours, unique_id="relook-errors")
        with translated():
            self._boto3 = boto3.Session(botocore_session=self._session)  # one: it adds its methods to the session's
        self._options = options
        self._config = Config(
            retries={"mode": "standard", "total_max_attempts": attempts},
            connect_timeout=_CONNECT_TIMEOUT_S,
            read_timeout=read_timeout_s,
            proxies=None if proxies is None else dict(proxies),
            # botocore composes its own user agent twice a request: a tenth of the handler's time beyond detection.
            user_agent="relook",
        )

    @classmethod
    def of_emulator(cls, endpoint_url: str, region: str) -> Self:
        """Of an AWS on this machine, whatever account, profile, region and proxy the environment is set up for."""
        nobodys = {"profile": None, "config_file": os.devnull, "credentials_file": os.devnull}
        session = Session(session_vars={name: (None, None, value, None) for name, value in nobodys.items()})
        return cls(
            session,
            read_timeout_s=FRONT_DOOR_S,
            proxies={},
            endpoint_url=endpoint_url,
            region_name=region,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    @property
    def region(self) -> str | None:
        """Where they are; None where nobody said."""
        region: str | None = self._options.get("region_name") or self._session.get_config_variable("region")
        return region

    @cached_property
    def cloudformation(self) -> CloudFormationClient:
        """Of AWS CloudFormation; likewise below."""
        return self._made("cloudformation")

    @cached_property
    def dynamodb(self) -> DynamoDBClient:
        """Tables."""
        return self._made("dynamodb")

    @cached_property
    def events(self) -> EventBridgeClient:
        """Buses and rules."""
        return self._made("events")

    @cached_property
    def lambda_(self) -> LambdaClient:
        """Functions."""
        return self._made("lambda")

    @cached_property
    def s3(self) -> S3Client:
        """Buckets."""
        return self._made("s3")

    @cached_property
    def sagemaker_runtime(self) -> SageMakerRuntimeClient:
        """Model endpoints."""
        return self._made("sagemaker-runtime")

    @cached_property
    def sqs(self) -> SQSClient:
        """Queues."""
        return self._made("sqs")

    @cached_property
    def ssm(self) -> SSMClient:
        """Parameters."""
        return self._made("ssm")

    @cached_property
    def caller(self) -> str:
        """ARN of whoever's credentials these are, as AWS knows them; for the history of what they change."""
        return str(self._made("sts").get_caller_identity()["Arn"])

    def ringing_alarms(self, prefix: str) -> dict[str, str]:
        """Name -> description of the CloudWatch alarms that ring now, of those whose names begin so."""
        pages = self._made("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=prefix)
        alarms = [alarm for page in pages for alarm in page["MetricAlarms"] if alarm["StateValue"] == "ALARM"]
        return {alarm["AlarmName"]: alarm.get("AlarmDescription", "") for alarm in alarms}

    def of_model(self, service: str, models: Path, endpoint_url: str) -> Any:
        """A client of a service that botocore does not know by itself.

        Args:
            models: a folder as AWS_DATA_PATH names them, with the service's model.
        """
        # A loader keeps what it has found: one that has looked already would not see the folder.
        self._session.register_component("data_loader", Loader(extra_search_paths=[str(models)]))
        return self._made(service, endpoint_url=endpoint_url)

    def _made(self, service: str, **options: str) -> Any:
        try:
            with translated():
                return self._boto3.client(service, config=self._config, **{**self._options, **options})
        except ValueError as error:  # an endpoint_url that is no URL; it has no class of its own
            raise AwsError("InvalidEndpoint", str(error)) from error


class _ErrorsOfOurs:
    """What goes before botocore's class of a client, in boto3's way to extend one."""

    def _make_api_call(self, operation_name: str, api_params: Mapping[str, Any]) -> Any:
        with translated():
            return super()._make_api_call(operation_name, api_params)  # type: ignore[misc]


def _raise_errors_of_ours(base_classes: list[type], event_name: str, **_: Any) -> None:
    if event_name.rpartition(".")[2] not in _TRANSLATED_ELSEWHERE:
        base_classes.insert(0, _ErrorsOfOurs)


def known_profiles() -> list[str]:
    """Names in this machine's AWS configuration, for AWS_PROFILE to be one of."""
    return sorted(Session().available_profiles)


def known_endpoints() -> dict[str, Any]:
    """What botocore itself knows of partitions, their regions and the services there: its endpoints.json."""
    loader = Loader([Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    endpoints: dict[str, Any] = loader.load_data("endpoints")
    return endpoints
