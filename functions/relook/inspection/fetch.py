"""Step 1: read the image from S3, the very version the event speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from relook.detection.image import ImageHeader, check_size, read_header
from relook.errors import ImageRejectedError, RejectionReason
from relook.inspection.upload import Upload

_GONE = {"NoSuchKey", "NoSuchVersion", "PreconditionFailed", "MethodNotAllowed", "404", "412"}


@dataclass(frozen=True)
class StoredObject:
    """An object in S3 whose content is not read yet.

    Attributes:
        metadata: the user metadata (x-amz-meta-...).
    """

    metadata: Mapping[str, str]
    size_bytes: int
    body: Any


@dataclass(frozen=True)
class FetchedImage:
    """An image's bytes, checked by size and header but not decoded."""

    data: bytes
    header: ImageHeader


def open_object(s3: Any, upload: Upload) -> StoredObject:
    """Ask for the object; only its headers travel until `read_image`.

    Raises:
        ImageRejectedError: it was deleted, archived, or overwritten in a bucket that keeps no versions.
    """
    which = {"VersionId": upload.version_id} if upload.version_id else {"IfMatch": f'"{upload.etag}"'}
    try:
        answer = s3.get_object(Bucket=upload.bucket, Key=upload.key, **which)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "InvalidObjectState":
            message = f"{upload.uri} is in an archive storage class; upload it to one that can be read at once"
            raise ImageRejectedError(RejectionReason.OBJECT_ARCHIVED, message) from error
        if code not in _GONE:
            raise
        raise ImageRejectedError(
            RejectionReason.OBJECT_GONE,
            f"{upload.uri} version {upload.object_version} was deleted or overwritten before it was inspected;"
            " turn on the bucket's versioning to keep every upload",
        ) from error
    return StoredObject(answer["Metadata"], answer["ContentLength"], answer["Body"])


def read_image(stored: StoredObject) -> FetchedImage:
    """Download the object, unless its size already rules it out, and check its header.

    Raises:
        ImageRejectedError: it is not an image that can be inspected.
    """
    try:
        check_size(stored.size_bytes)
        data = stored.body.read()
    finally:
        stored.body.close()
    return FetchedImage(data, read_header(data))
