"""An AWS account in this process (moto) with the stack's resources, and what a user or a consumer would see of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext
from moto import mock_aws
from moto.core.config import DefaultConfig

import inspect_image
from relook import settings
from relook.aws.clients import Clients
from relook.aws.table import Item, Table, from_attributes
from relook.settings import InspectImageSettings

ONE_SESSION: DefaultConfig = {"core": {"reset_boto3_session": False}}
"""boto3 keeps the service models it has read from test to test; to read them takes longer than most tests."""

SETTINGS = InspectImageSettings(
    results_bucket="results",
    models_bucket="models",
    inspections_table="inspections",
    registry_table="registry",
    idempotency_table="idempotency",
    event_bus="relook",
)


class Context(LambdaContext):
    """What a Lambda context tells the function."""

    _function_name = "inspect_image"
    _memory_limit_in_mb = 1769
    _invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:inspect_image"
    _aws_request_id = "request"
    remaining_ms = 30_000

    def get_remaining_time_in_millis(self) -> int:  # type: ignore[override]
        return self.remaining_ms


@dataclass
class Cloud:
    """The stack's resources, and what a user or a consumer would see of them."""

    s3: Any
    dynamodb: Any
    events: Any
    sqs: Any
    queue_url: str
    context: Context = field(default_factory=Context)

    @property
    def registry(self) -> Table:
        return Table(self.dynamodb, SETTINGS.registry_table)

    @property
    def inspections(self) -> Table:
        return Table(self.dynamodb, SETTINGS.inspections_table)

    def upload(self, key: str, data: bytes, bucket: str = "images", **metadata: str) -> dict[str, Any]:
        """Put an object; the queue message that S3 and EventBridge would make of it."""
        answer = self.s3.put_object(Bucket=bucket, Key=key, Body=data, Metadata=metadata)
        described = {
            "key": key,
            "size": len(data),
            "etag": answer["ETag"].strip('"'),
            "sequencer": "0062E99A88DC407460",
        }
        if "VersionId" in answer:
            described["version-id"] = answer["VersionId"]
        return message({"bucket": {"name": bucket}, "object": described})

    def deliver(self, *messages: dict[str, Any]) -> list[str]:
        """Invoke the function with a batch; the ids of the messages it wants to see again."""
        answer = inspect_image.handler({"Records": list(messages)}, self.context)
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def records(self) -> list[Item]:
        items = self.dynamodb.scan(TableName=SETTINGS.inspections_table)["Items"]
        return sorted((from_attributes(item) for item in items), key=lambda item: item["object_version"])

    def pictures(self) -> list[str]:
        return [each["Key"] for each in self.s3.list_objects_v2(Bucket="results").get("Contents", [])]

    def published(self) -> list[dict[str, Any]]:
        """Every event on the bus since the last call."""
        bodies = []
        while messages := self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get("Messages"):
            for each in messages:
                bodies.append(json.loads(each["Body"]))
                self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=each["ReceiptHandle"])
        return bodies


def message(detail: dict[str, Any], message_id: str = "message-1") -> dict[str, Any]:
    """A queue message that holds an "Object Created" event."""
    body = {"version": "0", "id": "1", "detail-type": "Object Created", "source": "aws.s3", "detail": detail}
    return {"messageId": message_id, "body": json.dumps(body), "eventSource": "aws:sqs"}


_made, _kept = Clients._made, dict[str, Any]()


def _made_once(clients: Clients, service: str, **options: str) -> Any:
    """A client that is there already: what it talks to is new for each test all the same, and to make one takes longer
    than most tests."""
    if options:  # of an API and a model of its own
        return _made(clients, service, **options)
    made_with = repr((service, clients._options, sorted(vars(clients._config).items())))
    if made_with not in _kept:
        _kept[made_with] = _made(clients, service)
    return _kept[made_with]


@contextmanager
def account(**variables: str) -> Iterator[Cloud]:
    """A new account for whoever runs within, who finds its credentials, and these variables, in the environment."""
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as patch, mock_aws(config=ONE_SESSION):
        for name, value in {**credentials, **variables}.items():
            patch.setenv(name, value)
        patch.setattr(Clients, "_made", _made_once)
        forget_process_state()
        yield make_cloud()
        forget_process_state()


def forget_process_state() -> None:
    """What a new Lambda container would not know."""
    settings.inspect_image_settings.cache_clear()
    inspect_image.pipeline.cache_clear()


def make_cloud() -> Cloud:
    clients = Clients()
    s3, dynamodb, events, sqs = clients.s3, clients.dynamodb, clients.events, clients.sqs
    for bucket in ("images", "unversioned", "results", "models"):
        s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket="images", VersioningConfiguration={"Status": "Enabled"})
    indexes = {
        "by_project": ("project", "inspected_at"),
        "anomalies_by_project": ("anomalous_project", "inspected_at"),
        "to_review": ("to_review", "review_order"),
        "checks_by_project": ("checked_project", "inspected_at"),
    }
    make_table(dynamodb, SETTINGS.inspections_table, "image_uri", "object_version", **indexes)
    make_table(dynamodb, SETTINGS.idempotency_table, "id")
    make_table(dynamodb, SETTINGS.registry_table, "pk", "sk", by_kind=("kind", "project"))
    events.create_event_bus(Name=SETTINGS.event_bus)
    queue_url = sqs.create_queue(QueueName="consumer")["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="all", EventBusName="relook", EventPattern=json.dumps({"source": ["relook"]}))
    events.put_targets(Rule="all", EventBusName="relook", Targets=[{"Id": "consumer", "Arn": queue_arn}])
    return Cloud(s3, dynamodb, events, sqs, queue_url)


def make_table(dynamodb: Any, name: str, *keys: str, **indexes: tuple[str, str]) -> None:
    def schema(names: tuple[str, ...]) -> list[dict[str, str]]:
        return [{"AttributeName": key, "KeyType": kind} for key, kind in zip(names, ("HASH", "RANGE"), strict=False)]

    attributes = {*keys, *(name for pair in indexes.values() for name in pair)}
    secondary = [
        {"IndexName": index, "KeySchema": schema(pair), "Projection": {"ProjectionType": "ALL"}}
        for index, pair in indexes.items()
    ]
    dynamodb.create_table(
        TableName=name,
        KeySchema=schema(keys),
        AttributeDefinitions=[{"AttributeName": each, "AttributeType": "S"} for each in sorted(attributes)],
        BillingMode="PAY_PER_REQUEST",
        **({"GlobalSecondaryIndexes": secondary} if secondary else {}),
    )
