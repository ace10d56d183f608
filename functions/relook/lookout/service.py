"""What operations work with: clients, names, and the tokens that pages of a list are asked for with."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Self, TypeVar

from relook.aws.arns import FunctionArn
from relook.aws.bucket import Bucket
from relook.aws.clients import Clients
from relook.aws.idempotency import IdempotencyStore
from relook.aws.table import Table
from relook.errors import InvalidRequestError
from relook.registry.packages import LoadedModels
from relook.settings import LookoutApiSettings

if TYPE_CHECKING:
    from types_boto3_events import EventBridgeClient
    from types_boto3_lambda import LambdaClient
    from types_boto3_s3 import S3Client
    from types_boto3_sqs import SQSClient

T = TypeVar("T")

PAGE = 100  # entries of a list where the caller names no MaxResults: the most that MaxResults may be


@dataclass(frozen=True)
class Service:
    """One deployment.

    Attributes:
        idempotency: what was answered to which ClientToken.
        function: that answers.
        caller: ARN of whoever asks, for one request.
        models: loaded model packages.
    """

    settings: LookoutApiSettings
    registry: Table
    s3: S3Client
    sqs: SQSClient
    lambda_: LambdaClient
    events: EventBridgeClient
    idempotency: IdempotencyStore
    function: FunctionArn
    caller: str = ""
    models: LoadedModels = field(init=False)

    @classmethod
    def of(cls, settings: LookoutApiSettings, clients: Clients, function: FunctionArn) -> Self:
        """What the settings name, reached by these clients."""
        return cls(
            settings=settings,
            registry=Table(clients.dynamodb, settings.registry_table),
            s3=clients.s3,
            sqs=clients.sqs,
            lambda_=clients.lambda_,
            events=clients.events,
            idempotency=IdempotencyStore(clients.dynamodb, settings.idempotency_table),
            function=function,
        )

    def __post_init__(self) -> None:
        object.__setattr__(self, "models", LoadedModels(self.models_bucket))

    def on_behalf_of(self, caller: str | None) -> Self:
        """The same for one request; loaded models are shared. Where nobody says who asks, it is the account."""
        one = copy(self)
        object.__setattr__(one, "caller", caller or self.function.root)
        return one

    @property
    def models_bucket(self) -> Bucket:
        """Of model packages."""
        return self.bucket(self.settings.models_bucket)

    @property
    def datasets_bucket(self) -> Bucket:
        """Of the entries of datasets."""
        return self.bucket(self.settings.datasets_bucket)

    def bucket(self, name: str) -> Bucket:
        """One that a request names."""
        return Bucket(self.s3, name)


Operate = Callable[[Service, Mapping[str, Any]], dict[str, Any]]
"""What answers an operation: its checked input, by member name, to its output."""


def encode_token(kind: str, position: str) -> str:
    """A page's token: where the next page of this kind of list begins."""
    return base64.b64encode(f"{kind}\n{position}".encode()).decode()


def page_of(
    kind: str, items: Iterable[T], given: Mapping[str, Any], position: Callable[[T], str]
) -> tuple[list[T], str | None]:
    """The first items, as many as a caller asks for, and the next page's token; None where there is none.

    Args:
        items: from where the page begins.
        position: of the item that the next page goes on behind.
    """
    size = given.get("MaxResults", PAGE)
    page = list(islice(items, size + 1))  # one more tells whether there is a next page
    return page[:size], encode_token(kind, position(page[size - 1])) if len(page) > size else None


def is_number(position: str) -> bool:
    """Whether it can be that of something counted: a version, a line."""
    return position.isascii() and position.isdecimal() and len(position) < 10


def decode_token(kind: str, token: str | None, is_position: Callable[[str], bool] = bool) -> str | None:
    """The position behind which a page is asked for; None for the first page.

    Args:
        is_position: whether such a list can have given this one.
    Raises:
        InvalidRequestError: no token of such a list.
    """
    if not token:
        return None
    try:
        list_kind, _, position = base64.b64decode(token, validate=True).decode().partition("\n")
    except (binascii.Error, ValueError):
        list_kind, position = "", ""
    if list_kind != kind or not is_position(position):
        raise InvalidRequestError(f"NextToken {token[:100]!r} is not one that this list has given")
    return position
