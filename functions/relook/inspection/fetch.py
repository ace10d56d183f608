"""Step 1: read the image from S3, the very version the event speaks of."""

from __future__ import annotations

from dataclasses import dataclass

from relook.aws.bucket import Bucket, StoredObject
from relook.detection.image import ImageHeader, check_size, read_header
from relook.errors import ImageRejectedError, NoSuchObjectError, ObjectArchivedError, RejectionReason
from relook.inspection.upload import Upload


@dataclass(frozen=True)
class FetchedImage:
    """An image's bytes, checked by size and header but not decoded."""

    data: bytes
    header: ImageHeader


def open_object(images: Bucket, upload: Upload) -> StoredObject:
    """Ask for the object; only its headers travel until `read_image`.

    Raises:
        ImageRejectedError: it was deleted, archived, or overwritten in a bucket that keeps no versions.
    """
    which = {"version_id": upload.version_id} if upload.version_id else {"etag": upload.etag}
    try:
        return images.open(upload.key, **which)
    except ObjectArchivedError as error:
        message = f"{upload.uri} is in an archive storage class; upload it to one that can be read at once"
        raise ImageRejectedError(RejectionReason.OBJECT_ARCHIVED, message) from error
    except NoSuchObjectError as error:
        raise ImageRejectedError(
            RejectionReason.OBJECT_GONE,
            f"{upload.uri} version {upload.object_version} was deleted or overwritten before it was inspected;"
            " turn on the bucket's versioning to keep every upload",
        ) from error


def read_image(stored: StoredObject) -> FetchedImage:
    """Download the object, unless its size already rules it out, and check its header.

    Raises:
        ImageRejectedError: it is not an image that can be inspected.
    """
    with stored:
        check_size(stored.size_bytes)
        data = stored.read()
    return FetchedImage(data, read_header(data))
