"""Every error Relook raises, in one tree. Standard library only.

Each class carries data (what was wrong, the value, what would be right) and says with `is_transient`
whether trying the same thing again may succeed.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class RejectionReason(StrEnum):
    """Why an image cannot be inspected, however often it is tried."""

    NO_PROJECT = "NO_PROJECT"
    UNKNOWN_PROJECT = "UNKNOWN_PROJECT"
    OBJECT_GONE = "OBJECT_GONE"
    OBJECT_ARCHIVED = "OBJECT_ARCHIVED"
    EMPTY = "EMPTY"
    TOO_LARGE = "TOO_LARGE"
    UNSUPPORTED_FORMAT = "UNSUPPORTED_FORMAT"
    BAD_DIMENSIONS = "BAD_DIMENSIONS"
    CORRUPT = "CORRUPT"
    SIZE_MISMATCH = "SIZE_MISMATCH"
    REFUSED_BY_DETECTOR = "REFUSED_BY_DETECTOR"


class ResourceType(StrEnum):
    """The kinds of thing the registry holds; values as the Lookout for Vision API spells them."""

    PROJECT = "PROJECT"
    DATASET = "DATASET"
    MODEL = "MODEL"
    PACKAGING_JOB = "MODEL_PACKAGE_JOB"


class RelookError(Exception):
    """Root of the tree."""

    is_transient: ClassVar[bool] = False


class ImageRejectedError(RelookError):
    """The image can never be inspected; `message` tells its owner what would be right."""

    def __init__(self, reason: RejectionReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class InvalidRequestError(RelookError):
    """A value breaks a rule; the message names the value and what would be right."""


class ResourceNotFoundError(RelookError):
    """No such project, dataset or model version."""

    def __init__(self, resource_type: ResourceType, resource_id: str) -> None:
        super().__init__(f"{resource_type.value.replace('_', ' ').capitalize()} {resource_id} does not exist")
        self.resource_type = resource_type
        self.resource_id = resource_id


class ConflictError(RelookError):
    """The resource is not in a state that allows this."""

    def __init__(self, resource_type: ResourceType, resource_id: str, message: str) -> None:
        super().__init__(message)
        self.resource_type = resource_type
        self.resource_id = resource_id


class ReviewedMeanwhileError(RelookError):
    """Somebody else reviewed the inspection since the reviewer looked; nothing was changed.

    Attributes:
        said: what they said: `right`, `wrong` or `unsure`, and what it is instead.
        who: their ARN.
        at: ISO-8601 UTC.
    """

    def __init__(self, image_uri: str, said: str, who: str, at: str) -> None:
        super().__init__(f"{who} reviewed {image_uri} as {said} at {at}; say it again to replace that")
        self.said = said
        self.who = who
        self.at = at


class QuotaExceededError(RelookError):
    """A limit of the account is reached; the message says which, and how it is raised."""

    def __init__(self, quota_code: str, resource_type: ResourceType, resource_id: str, message: str) -> None:
        super().__init__(message)
        self.quota_code = quota_code
        self.resource_type = resource_type
        self.resource_id = resource_id


class ThrottledError(RelookError):
    """Too much at once; try again in a moment."""

    is_transient = True


class UnknownOperationError(RelookError):
    """No operation has this method and path."""


class ModelNotHostedError(RelookError):
    """The project has no hosted model version yet; host one and the image can be inspected."""

    is_transient = True

    def __init__(self, project: str) -> None:
        super().__init__(f"Project {project} has no hosted model version; host one, then redrive the dead letters")
        self.project = project


class PackageError(RelookError):
    """A model package is damaged, incomplete, or of a format this version cannot read."""


class BackboneError(RelookError):
    """A feature ONNX cannot serve as a backbone; the message says what was found and what is expected."""


class TrainingDataError(RelookError):
    """The labelled images cannot train a model; the message says what is missing."""


class MalformedMessageError(RelookError):
    """A queue message that is not an S3 "Object Created" event; it belongs in the dead-letter queue."""


class DetectorUnavailableError(RelookError):
    """A remote detector throttled, failed or did not answer in time."""

    is_transient = True


class EventNotPublishedError(RelookError):
    """EventBridge took fewer entries than it was given."""

    is_transient = True

    def __init__(self, error_code: str, error_message: str) -> None:
        super().__init__(f"EventBridge refused the event: {error_code}: {error_message}")
        self.error_code = error_code


class AwsError(RelookError):
    """AWS did not do what was asked, and would not the next time either.

    Attributes:
        code: AWS's own; the name of botocore's exception where there was no answer.
        text: what is said about it.
        operation: as AWS names it, such as `GetObject`; empty where none was reached.
        status: HTTP status of the answer; 0 where there was none.
    """

    def __init__(self, code: str, text: str, *, operation: str = "", status: int = 0) -> None:
        super().__init__(": ".join(each for each in (operation, code, text) if each))
        self.code = code
        self.text = text
        self.operation = operation
        self.status = status


class AwsUnavailableError(AwsError):
    """It failed, or did not answer; another try may find it well."""

    is_transient = True


class AwsThrottledError(AwsUnavailableError):
    """It was asked too much at once."""


class AwsAccessDeniedError(AwsError):
    """A policy or a key forbids it."""


class NoSuchBucketError(AwsError):
    """There is no bucket of this name."""


class NoSuchObjectError(AwsError):
    """There is no object of this key, or not in the version or with the content that was asked for."""


class ObjectArchivedError(AwsError):
    """The object is in a storage class that cannot be read at once."""


class SettingsError(RelookError):
    """Environment variables are missing or malformed; `problems` names every one of them."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
