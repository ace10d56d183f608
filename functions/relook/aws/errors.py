"""botocore's exceptions as errors of ours: the one place that decides which AWS code is what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as NoConnectionError

from relook.errors import (
    AwsAccessDeniedError,
    AwsError,
    AwsThrottledError,
    AwsUnavailableError,
    NoSuchBucketError,
    NoSuchObjectError,
    ObjectArchivedError,
)

_BY_CODE: dict[str, type[AwsError]] = {
    **dict.fromkeys(
        (
            "ProvisionedThroughputExceeded",
            "ProvisionedThroughputExceededException",
            "RequestLimitExceeded",
            "SlowDown",
            "Throttling",
            "ThrottlingError",
            "ThrottlingException",
            "TooManyRequestsException",
        ),
        AwsThrottledError,
    ),
    # A HEAD request and some emulators have no code but the status. A delete marker answers MethodNotAllowed to who
    # asks for it by version; PreconditionFailed is another content than the one that was asked for.
    **dict.fromkeys(
        ("NoSuchKey", "NoSuchVersion", "MethodNotAllowed", "PreconditionFailed", "404", "412"), NoSuchObjectError
    ),
    "NoSuchBucket": NoSuchBucketError,
    "InvalidObjectState": ObjectArchivedError,
    **dict.fromkeys(
        ("AccessDenied", "AccessDeniedException", "AllAccessDisabled", "KMS.DisabledException", "403"),
        AwsAccessDeniedError,
    ),
    # Of status 400 or 403, or without one; all are about the moment and not about the request.
    **dict.fromkeys(
        (
            "ExpiredToken",
            "ExpiredTokenException",
            "InternalError",
            "InternalServerError",
            "RequestTimeout",
            "RequestTimeTooSkewed",
            "ServiceUnavailable",
            "TransactionInProgressException",
        ),
        AwsUnavailableError,
    ),
}


@contextmanager
def translated() -> Iterator[None]:
    """Raise errors of ours for botocore's.

    Raises:
        AwsError: of the class that its code stands for.
    """
    try:
        yield
    except ClientError as error:
        raise _refusal(error) from error
    except BotoCoreError as error:
        has_no_answer = isinstance(error, (HTTPClientError, NoConnectionError, IncompleteReadError))
        kind = AwsUnavailableError if has_no_answer else AwsError
        raise kind(type(error).__name__, str(error)) from error


def _refusal(error: ClientError) -> AwsError:
    answer = error.response
    code, text = answer["Error"].get("Code", ""), answer["Error"].get("Message", "")
    # SageMaker passes the model's own status on: a 4xx is about the image, a 5xx about the container.
    status = int(answer.get("OriginalStatusCode") or answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    # A transaction has no code but those of its writes.
    codes = [code, *(reason.get("Code", "") for reason in answer.get("CancellationReasons", []))]
    kind = next((_BY_CODE[each] for each in codes if each in _BY_CODE), None) or _by_status(status)
    return kind(code, text, operation=error.operation_name, status=status)


def _by_status(status: int) -> type[AwsError]:
    if status == 403:
        return AwsAccessDeniedError
    if status == 429:
        return AwsThrottledError
    return AwsUnavailableError if status >= 500 or status == 408 else AwsError
