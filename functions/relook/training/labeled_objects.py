"""The entries of a dataset as labelled images whose bytes are read from S3 when training wants them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from relook.aws.bucket import Bucket, S3Uri
from relook.aws.refusals import why_unreadable
from relook.detection.image import check_size
from relook.errors import AwsError, ImageRejectedError, TrainingDataError
from relook.registry.manifest_entry import ManifestEntry

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

    from relook.learning.data.samples import LabeledImage


def labeled_images(s3: S3Client, entries: Iterable[ManifestEntry]) -> list[LabeledImage]:
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


def read_object(s3: S3Client, uri: str) -> bytes:
    """An image's or a mask's bytes.

    Raises:
        TrainingDataError: there is no such object, it may not be read, or it is too large; names it.
    """
    try:
        place = S3Uri.parse(uri)
    except ValueError as error:
        raise TrainingDataError(f"{uri!r} is no location in S3; expected s3://bucket/key") from error
    try:
        with Bucket(s3, place.bucket).open(place.key) as stored:
            check_size(stored.size_bytes)
            return stored.read()
    except AwsError as error:
        if error.is_transient:
            raise
        raise TrainingDataError(why_unreadable(place, error)) from error
    except ImageRejectedError as error:
        raise TrainingDataError(f"{uri} cannot be used: {error.message}") from error
