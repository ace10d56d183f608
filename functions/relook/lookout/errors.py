"""What a client sees of an error: one table, by class."""

from __future__ import annotations

from collections.abc import Mapping

from relook.errors import (
    AwsError,
    ConflictError,
    ImageRejectedError,
    InvalidRequestError,
    QuotaExceededError,
    RelookError,
    ResourceNotFoundError,
    ThrottledError,
    TrainingDataError,
    UnknownOperationError,
)
from relook.lookout import contract
from relook.lookout.contract import Kind, Shape

_SHAPES: Mapping[type[BaseException], Shape] = {
    UnknownOperationError: Shape("UnknownOperationException", Kind.STRUCTURE, status=404),
    ResourceNotFoundError: contract.NOT_FOUND,
    ConflictError: contract.CONFLICT,
    QuotaExceededError: contract.QUOTA_EXCEEDED,
    ThrottledError: contract.THROTTLED,
    InvalidRequestError: contract.VALIDATION,
    ImageRejectedError: contract.VALIDATION,
    TrainingDataError: contract.VALIDATION,
    Exception: contract.INTERNAL,
}


def error_shape(error: Exception) -> tuple[Shape, dict[str, str]]:
    """The contract's error for the class of `error`, or the nearest class above it, and the members it has in JSON."""
    shape = next(_SHAPES[each] for each in type(error).__mro__ if each in _SHAPES)
    # What AWS says is about our account, and what anything else says about our code.
    is_ours = isinstance(error, RelookError) and not isinstance(error, AwsError)
    members = {
        "Message": str(error) if is_ours else "The service failed; its log says why. Try again.",
        "ResourceId": getattr(error, "resource_id", None),
        "ResourceType": getattr(error, "resource_type", None),
        "QuotaCode": getattr(error, "quota_code", None),
        "ServiceCode": "lookoutvision",
    }
    named = {"Message", *shape.members}
    return shape, {name: value for name, value in members.items() if name in named and value is not None}
