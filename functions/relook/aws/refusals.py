"""What people are told when S3 does not give or take an object for good: which it is, and what would be right."""

from __future__ import annotations

from relook.aws.bucket import S3Uri
from relook.errors import AwsAccessDeniedError, AwsError, NoSuchBucketError, NoSuchObjectError, ObjectArchivedError


def why_unreadable(place: S3Uri, error: AwsError) -> str:
    """A sentence without its full stop."""
    match error:
        case ObjectArchivedError():
            return f"{place} is in an archive storage class; restore it, or copy it to one that can be read at once"
        case NoSuchBucketError() | NoSuchObjectError():
            return f"{place} does not exist ({error.code}); upload it, or take out what names it"
        case AwsAccessDeniedError():
            return f"{place} may not be read ({_said(error)}); {_allow(place)}"
        case _:
            return f"{place} cannot be read ({_said(error)})"


def why_unwritable(place: S3Uri, error: AwsError) -> str:
    """A sentence without its full stop."""
    match error:
        case NoSuchBucketError():
            return f"{place} cannot be written: there is no bucket {place.bucket}; make it, and {_allow(place)}"
        case AwsAccessDeniedError():
            return f"{place} may not be written ({_said(error)}); {_allow(place)}"
        case _:
            return f"{place} cannot be written ({_said(error)})"


def _said(error: AwsError) -> str:
    return f"{error.code}: {error.text}"


def _allow(place: S3Uri) -> str:
    return f"name {place.bucket} in the stage's data_buckets, and let its own policy and the key, if any, allow it"
