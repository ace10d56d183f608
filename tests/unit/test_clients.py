"""boto3's clients as ours are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from relook.aws.clients import Clients
from relook.errors import AwsError
from relook.lookout import service_model
from tests.account import Cloud

CALLS: dict[str, Callable[[Clients], Any]] = {
    "NonExistentQueue": lambda clients: clients.sqs.get_queue_url(QueueName="none"),
    "ResourceNotFoundException": lambda clients: list(
        clients.lambda_.get_paginator("list_aliases").paginate(FunctionName="none")
    ),
    "ParamValidationError": lambda clients: clients.events.put_rule(),  # type: ignore[call-arg]
    "EndpointConnectionError": lambda clients: list(
        service_model.client(clients, "http://127.0.0.1:9").get_paginator("list_projects").paginate()
    ),
}


@pytest.mark.parametrize("code", CALLS)
def test_calls_and_pages_raise_errors_of_ours(code: str, cloud: Cloud) -> None:
    with pytest.raises(AwsError) as caught:
        CALLS[code](Clients(attempts=1))
    assert code in caught.value.code


def test_a_second_client_of_a_model_raises_them_too(cloud: Cloud) -> None:
    clients = Clients(attempts=1)
    for _ in range(2):
        with pytest.raises(AwsError):
            service_model.client(clients, "http://127.0.0.1:9").list_projects()
