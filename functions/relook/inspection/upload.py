"""What was uploaded, as the "Object Created" event tells it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relook.aws.bucket import S3Uri
from relook.errors import ImageRejectedError, MalformedMessageError, RejectionReason
from relook.events import OBJECT_CREATED, S3_SOURCE

NO_MODEL = "none"
"""Stands for the model version in the record of an image that no model could be chosen for."""


@dataclass(frozen=True)
class Upload:
    """One version of one object in the images bucket.

    Attributes:
        version_id: None in a bucket without versioning, where `etag` tells contents apart, but not uploads.
        sequencer: the event's own number for this upload to this key.
    """

    bucket: str
    key: str
    etag: str
    version_id: str | None
    size_bytes: int
    sequencer: str

    @property
    def is_folder(self) -> bool:
        """Whether it is what consoles make to show an empty folder, and no image."""
        return self.key.endswith("/") and not self.size_bytes

    @property
    def uri(self) -> str:
        """The image as records and events name it."""
        return str(S3Uri(self.bucket, self.key))

    @property
    def object_version(self) -> str:
        """Tells this upload from every other one to the same key."""
        return self.version_id or self.etag

    @property
    def project(self) -> str:
        """The first segment of the key.

        Raises:
            ImageRejectedError: the key has no first segment.
        """
        project, slash, path = self.key.partition("/")
        if not (project and slash and path):
            raise ImageRejectedError(
                RejectionReason.NO_PROJECT, f"Key {self.key!r} names no project; upload to <project>/<anything>"
            )
        return project

    def inspection_id(self, model_version: str) -> str:
        """32 hex digits: the same for every attempt at this inspection, different for every other inspection."""
        identity = json.dumps([self.bucket, self.key, self.object_version, model_version])
        return hashlib.sha256(identity.encode()).hexdigest()[:32]


def parse_upload(body: str) -> Upload:
    """Read a queue message that holds one "Object Created" event.

    Raises:
        MalformedMessageError: it holds something else.
    """
    try:
        event = json.loads(body)
        if (event["source"], event["detail-type"]) != (S3_SOURCE, OBJECT_CREATED):
            raise MalformedMessageError(f"Expected an {S3_SOURCE} {OBJECT_CREATED} event, got {event['source']!r}")
        return _upload(event["detail"])
    except (ValueError, LookupError, TypeError) as error:
        raise MalformedMessageError(f"Expected an {S3_SOURCE} {OBJECT_CREATED} event, got {body[:200]!r}") from error


def _upload(detail: Mapping[str, Any]) -> Upload:
    image = detail["object"]
    version_id = image.get("version-id")
    return Upload(
        bucket=str(detail["bucket"]["name"]),
        key=str(image["key"]),
        etag=str(image["etag"]).strip('"'),
        # S3 names the one version of an object in a bucket with suspended versioning "null"; its etag still tells.
        version_id=None if version_id in (None, "", "null") else str(version_id),
        size_bytes=int(image["size"]),
        sequencer=str(image.get("sequencer", "")),
    )
