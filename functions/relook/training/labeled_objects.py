"""The entries of a dataset as labelled images whose bytes are read from S3 when training wants them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, ParamValidationError

from relook.detection.image import check_size
from relook.errors import ImageRejectedError, TrainingDataError
from relook.registry.manifest import ManifestEntry, split_location

if TYPE_CHECKING:
    from relook.learning.data.samples import LabeledImage

_MISSING = {"NoSuchKey", "NoSuchBucket", "404"}
_FORBIDDEN = {"AccessDenied", "AllAccessDisabled", "InvalidObjectState", "KMS.DisabledException", "403"}


def labeled_images(s3: Any, entries: Iterable[ManifestEntry]) -> list[LabeledImage]:
    """Those that are labelled, named by their location."""
    from relook.learning.data.samples import LabeledImage  # a training's, and only a training comes here

    return [
        LabeledImage(
            entry.source_ref,
            partial(read_object, s3, entry.source_ref),
            entry.is_anomalous,
            partial(read_object, s3, entry.mask_ref) if entry.mask_ref else None,
            entry.colors,
        )
        for entry in entries
        if entry.is_anomalous is not None
    ]


def read_object(s3: Any, uri: str) -> bytes:
    """An image's or a mask's bytes.

    Raises:
        TrainingDataError: there is no such object, it may not be read, or it is too large; names it.
    """
    try:
        bucket, key = split_location(uri)
    except ValueError as error:
        raise TrainingDataError(f"{uri!r} is no location in S3; expected s3://bucket/key") from error
    try:
        answer = s3.get_object(Bucket=bucket, Key=key)
        check_size(answer["ContentLength"])
        data: bytes = answer["Body"].read()
    except ClientError as error:
        raise _translated(error, uri, bucket) from error
    except ParamValidationError as error:
        raise TrainingDataError(f"{uri!r} is no location in S3: {error}") from error
    except ImageRejectedError as error:
        raise TrainingDataError(f"{uri} cannot be used: {error.message}") from error
    return data


def _translated(error: ClientError, uri: str, bucket: str) -> Exception:
    found = error.response["Error"]
    code, message = found["Code"], found.get("Message", "")
    if code in _MISSING:
        return TrainingDataError(f"{uri} does not exist ({code}); upload it, or take it out of the dataset")
    if code in _FORBIDDEN:
        return TrainingDataError(
            f"{uri} may not be read ({code}: {message}). Name {bucket} in the stage's data_buckets, and let its own "
            "policy and key allow it"
        )
    original: Exception = error
    return original
