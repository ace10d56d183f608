"""What a function URL refuses before the function sees it, here as in AWS."""

from __future__ import annotations

from typing import Any

import pytest

from local.cloud import LocalCloud
from local.front_door import MAX_EVENT_BYTES, is_too_large
from relook.aws.clients import Clients
from relook.errors import AwsError
from relook.lookout import service_model
from tests.contract.front_door import FrontDoor

pytestmark = pytest.mark.slow

IMAGE = {"ProjectName": "none", "ModelVersion": "1", "ContentType": "image/png"}
DATASET = {"ProjectName": "none", "DatasetType": "train"}


def answered(endpoint: str, operation: str, **members: Any) -> tuple[str, int]:
    """The error's code and HTTP status."""
    client = service_model.client(Clients.of_emulator(endpoint, "us-east-1"), endpoint)
    with pytest.raises(AwsError) as caught:
        getattr(client, operation)(**members)
    return caught.value.code, caught.value.status


def test_requests_over_6_mb_are_refused_in_this_process(door: FrontDoor) -> None:
    refuses(door.endpoint)


@pytest.mark.integration
def test_requests_over_6_mb_are_refused_by_the_local_cloud(cloud: LocalCloud) -> None:
    refuses(cloud.status().outputs["LookoutEndpoint"])


def refuses(endpoint: str) -> None:
    """Images are counted after base64, the entries of a dataset, which are base64 already, as they are."""
    missing, too_large = ("ResourceNotFoundException", 404), ("RequestEntityTooLargeException", 413)
    assert answered(endpoint, "detect_anomalies", **IMAGE, Body=bytes(4_700_000)) == missing
    assert answered(endpoint, "detect_anomalies", **IMAGE, Body=bytes(4_720_000)) == too_large
    lines = b'{"source-ref": "s3://a/b.png"}\n'
    assert answered(endpoint, "update_dataset_entries", **DATASET, Changes=lines * 150_000) == missing
    assert answered(endpoint, "update_dataset_entries", **DATASET, Changes=lines * 160_000) == too_large


def test_lambda_counts_the_whole_event() -> None:
    around = len('{"body":""}')
    assert not is_too_large({"body": "a" * (MAX_EVENT_BYTES - around - 1)})
    assert is_too_large({"body": "a" * (MAX_EVENT_BYTES - around)})
    assert is_too_large({"body": "ü" * (MAX_EVENT_BYTES // 2)})
