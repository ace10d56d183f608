"""The one way to S3: bytes in and out, and the names of objects."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

from relook.aws.errors import translated
from relook.aws.metadata import decoded, encoded
from relook.errors import AwsError

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from types_boto3_s3 import S3Client

# Names of buckets from before 2018 may have capitals and underscores. A key is text that can be encoded: no half of a
# surrogate pair.
_URI = re.compile(r"s3://([0-9A-Za-z.\-_]{3,63})/([^\ud800-\udfff]+)")
_ETAG = re.compile(r"[0-9a-f]{32}(-\d+)?")
MAX_KEY_BYTES = 1024
"""S3's limit for a key in UTF-8."""
_RANGE_NOT_SATISFIABLE = 416  # HTTP status: an empty object has no first bytes


@dataclass(frozen=True)
class S3Uri:
    """The name of an object, or of what many keys begin with."""

    SCHEME = "s3://"

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{self.SCHEME}{self.bucket}/{self.key}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Raises:
            ValueError: it is no such name.
        """
        match = _URI.fullmatch(text)
        if match is None or len(match[2].encode()) > MAX_KEY_BYTES:
            raise ValueError(f"{text!r} is not the location of an object in S3, such as s3://bucket/key")
        return cls(match[1], match[2])


@dataclass(frozen=True)
class StoredObject:
    """An object whose headers have arrived, and whose content travels when it is read. Closed by `with`.

    Attributes:
        metadata: the user metadata (x-amz-meta-...), as its author wrote it.
    """

    metadata: Mapping[str, str]
    size_bytes: int
    body: StreamingBody

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.body.close()

    def read(self) -> bytes:
        """All of it.

        Raises:
            AwsUnavailableError: the connection broke.
        """
        with translated():
            data: bytes = self.body.read()
        return data

    def chunks(self, size_bytes: int) -> Iterator[bytes]:
        """The same in pieces of this size, and a last one that may be shorter.

        Raises:
            AwsUnavailableError: the connection broke.
        """
        with translated():
            yield from self.body.iter_chunks(size_bytes)


@dataclass(frozen=True)
class Bucket:
    """A bucket in S3. Every method raises the `AwsError` that S3's answer stands for."""

    client: S3Client
    name: str

    def uri(self, key: str) -> S3Uri:
        """Of one of its objects."""
        return S3Uri(self.name, key)

    def open(self, key: str, *, version_id: str | None = None, etag: str | None = None) -> StoredObject:
        """An object's headers, with its content to be read.

        Args:
            version_id: of the version that is wanted; the newest one unless given.
            etag: of the content that is wanted, whatever version has it.
        Raises:
            NoSuchObjectError: it is not there, or of other content.
            ObjectArchivedError: it is in a storage class that cannot be read at once.
        """
        which = _version(version_id)
        if etag:
            which["IfMatch"] = f'"{etag}"'
        with translated():
            answer = self.client.get_object(Bucket=self.name, Key=key, **which)
        return StoredObject(decoded(answer.get("Metadata", {})), answer["ContentLength"], answer["Body"])

    def read(self, key: str) -> bytes:
        """An object's content.

        Raises:
            NoSuchObjectError, ObjectArchivedError: as `open`.
        """
        with self.open(key) as stored:
            return stored.read()

    def read_version(self, key: str, version: str) -> bytes:
        """The very content that was written: by what `write` gave back, and S3's events tell.

        Raises:
            NoSuchObjectError: it was deleted or overwritten.
            ObjectArchivedError: as `open`.
        """
        # An etag is an MD5, and of an upload in parts the number of these behind it; no version id looks like one.
        which = {"etag": version} if _ETAG.fullmatch(version) else {"version_id": version}
        with self.open(key, **which) as stream:
            return stream.read()

    def read_start(self, key: str, count: int) -> tuple[bytes, int]:
        """An object's first bytes, so many at most, and how many it has in all.

        Raises:
            NoSuchObjectError, ObjectArchivedError: as `open`.
        """
        try:
            with translated():
                answer = self.client.get_object(Bucket=self.name, Key=key, Range=f"bytes=0-{count - 1}")
                return answer["Body"].read(), int(answer["ContentRange"].rpartition("/")[2])
        except AwsError as error:
            if error.status == _RANGE_NOT_SATISFIABLE:  # what is empty has no first byte
                return b"", 0
            raise

    def check_writable(self, key: str, *, kms_key_id: str | None = None) -> None:
        """Find out whether `write` would be allowed, by an upload that is begun and given up: it leaves no object."""
        more: dict[str, Any] = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key_id} if kms_key_id else {}
        with translated():
            begun = self.client.create_multipart_upload(Bucket=self.name, Key=key, **more)
        with suppress(AwsError), translated():
            self.client.abort_multipart_upload(Bucket=self.name, Key=key, UploadId=begun["UploadId"])

    def write(
        self,
        key: str,
        data: bytes,
        content_type: str = "application/octet-stream",
        *,
        metadata: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        kms_key_id: str | None = None,
    ) -> str:
        """Make the object, or replace it.

        Args:
            metadata: user metadata (x-amz-meta-...), of any characters.
            tags: for lifecycle rules; to give any is an action of its own (s3:PutObjectTagging).
            kms_key_id: encrypts it; the bucket's own encryption unless given.
        Returns:
            What tells this content from others under the same key: its version id, or its etag in a bucket without
            versions.
        """
        more: dict[str, Any] = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key_id} if kms_key_id else {}
        if tags:
            more["Tagging"] = urlencode(tags)
        with translated():
            answer = self.client.put_object(
                Bucket=self.name, Key=key, Body=data, ContentType=content_type, Metadata=encoded(metadata or {}), **more
            )
        return answer.get("VersionId") or answer["ETag"].strip('"')

    def tags(self, key: str, *, version_id: str | None = None) -> dict[str, str]:
        """An object's tags; of its newest version unless one is named.

        Raises:
            NoSuchObjectError: it is not there.
        """
        with translated():
            answer = self.client.get_object_tagging(Bucket=self.name, Key=key, **_version(version_id))
        return {each["Key"]: each["Value"] for each in answer["TagSet"]}

    def tag(self, key: str, tags: Mapping[str, str], *, version_id: str | None = None) -> None:
        """Give an object these tags, and no others; its newest version unless one is named.

        Raises:
            NoSuchObjectError: it is not there.
        """
        tag_set: list[Any] = [{"Key": name, "Value": value} for name, value in tags.items()]
        with translated():
            self.client.put_object_tagging(
                Bucket=self.name, Key=key, Tagging={"TagSet": tag_set}, **_version(version_id)
            )

    def create(self) -> None:
        """Make the bucket, unless it is there already and ours."""
        with translated(), suppress(self.client.exceptions.BucketAlreadyOwnedByYou):
            self.client.create_bucket(Bucket=self.name)

    def etags(self, prefix: str) -> dict[str, str]:
        """Key -> etag of every object whose key begins so."""
        return {each["Key"]: each["ETag"].strip('"') for page in self._pages(prefix) for each in page}

    def delete(self, key: str) -> None:
        """Remove the object; it need not be there."""
        with translated():
            self.client.delete_object(Bucket=self.name, Key=key)

    def delete_folder(self, prefix: str) -> None:
        """Remove every object whose key begins so."""
        for page in self._pages(prefix):
            with translated():
                self.client.delete_objects(
                    Bucket=self.name, Delete={"Objects": [{"Key": each["Key"]} for each in page], "Quiet": True}
                )

    def _pages(self, prefix: str) -> Iterator[list[Any]]:
        with translated():
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix):
                if objects := page.get("Contents"):
                    yield list(objects)


def _version(version_id: str | None) -> dict[str, Any]:
    return {"VersionId": version_id} if version_id else {}
