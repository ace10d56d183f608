"""The API's operations on AWS in this process (moto)."""

from __future__ import annotations

import pytest

from relook.aws.arns import FunctionArn
from relook.aws.clients import Clients
from relook.lookout.service import Service
from relook.settings import LookoutApiSettings
from tests.account import Cloud


@pytest.fixture
def service(cloud: Cloud) -> Service:
    """An empty account."""
    cloud.s3.create_bucket(Bucket="datasets")
    queue_url = cloud.sqs.create_queue(QueueName="training")["QueueUrl"]
    settings = LookoutApiSettings(
        registry_table="registry",
        idempotency_table="idempotency",
        models_bucket="models",
        datasets_bucket="datasets",
        training_queue_url=queue_url,
        event_bus="relook",
    )
    made = Service.of(settings, Clients(), FunctionArn("aws", "us-east-1", "123456789012", "lookout_api"))
    return made.on_behalf_of("arn:aws:iam::123456789012:user/tester")
