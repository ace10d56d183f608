"""What was inspected: the records of the Inspections table, read by index and never by a scan."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from heapq import merge
from itertools import islice
from typing import Any, Self

from relook.aws.bucket import S3Uri
from relook.aws.table import Item, Table
from relook.errors import InvalidRequestError
from relook.quality.records import InspectionStatus

_LOOKED_AT = 500
"""Records a page looks at before it says how far it came: a quarter of a second on the local cloud."""
_LISTED = (
    "image_uri",
    "object_version",
    "inspected_at",
    "project",
    "status",
    "is_anomalous",
    "confidence",
    "anomalies",
    "metadata",
    "reason",
    "review",
)
_LATEST = "9"
"""Later than any time that is written with its year first."""


class Verdict(StrEnum):
    """How an inspection ended, in one word."""

    ANOMALOUS = "anomalous"
    NORMAL = "normal"
    REJECTED = "rejected"


def verdict_of(record: Mapping[str, Any]) -> Verdict:
    """Of a record."""
    if record["status"] == InspectionStatus.REJECTED:
        return Verdict.REJECTED
    return Verdict.ANOMALOUS if record["is_anomalous"] else Verdict.NORMAL


def stamp(time: datetime) -> str:
    """As records and events are dated: UTC, in milliseconds.

    Args:
        time: in UTC.
    """
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def image_of(record: Mapping[str, Any]) -> tuple[S3Uri, str]:
    """Which image a record is about: its place, and the version id or etag of what was inspected there."""
    return S3Uri.parse(record["image_uri"]), str(record["object_version"]).rpartition("#")[0]


def image_digest(record: Mapping[str, Any]) -> str:
    """64 hex digits of that image: the same whatever model versions looked at it."""
    uri, version = image_of(record)
    return hashlib.sha256(f"{uri}\n{version}".encode()).hexdigest()


@dataclass(frozen=True)
class RecordId:
    """Which record: its primary key, and its place in the order of time.

    Attributes:
        inspected_at: ISO-8601 UTC, as in the record.
    """

    image_uri: str
    object_version: str
    inspected_at: str

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """A record's."""
        return cls(str(record["image_uri"]), str(record["object_version"]), str(record["inspected_at"]))

    @property
    def key(self) -> dict[str, str]:
        """The table's primary key."""
        return {"image_uri": self.image_uri, "object_version": self.object_version}

    def __str__(self) -> str:
        """Letters, digits, `-` and `_`; what an address can hold."""
        text = json.dumps([self.image_uri, self.object_version, self.inspected_at], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of `str`.

        Raises:
            InvalidRequestError: it was not made by it.
        """
        try:
            fields = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            image_uri, object_version, inspected_at = fields
        except (ValueError, TypeError, RecursionError) as error:
            raise InvalidRequestError(f"{text[:80]!r} names no inspection") from error
        return cls(str(image_uri), str(object_version), str(inspected_at))


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which inspections are looked for; None for any.

    Attributes:
        since, until: ISO-8601 UTC, inclusive; a day alone stands for its beginning.
        min_confidence, max_confidence: of the verdict, 0..1.
        metadata: `name=value`, or a value of any name, of the upload's user metadata.
        is_reviewed: whether a person has said what it is.
    """

    project: str | None = None
    verdict: Verdict | None = None
    anomaly_type: str | None = None
    since: str | None = None
    until: str | None = None
    min_confidence: float | None = None
    max_confidence: float | None = None
    metadata: str | None = None
    is_reviewed: bool | None = None

    @property
    def is_indexed(self) -> bool:
        """Whether an index holds just these: any project, any time, and of verdicts the anomalous one."""
        others = (self.anomaly_type, self.min_confidence, self.max_confidence, self.metadata, self.is_reviewed)
        return self.verdict in (None, Verdict.ANOMALOUS) and all(each is None for each in others)

    def matches(self, record: Mapping[str, Any]) -> bool:
        """Whether a record of the right project and time is one of them."""
        confidence = float(record.get("confidence", -1))
        return (
            (self.verdict is None or verdict_of(record) is self.verdict)
            and (self.anomaly_type is None or self.anomaly_type in types_of(record))
            and (self.min_confidence is None or confidence >= self.min_confidence)
            and (self.max_confidence is None or 0 <= confidence <= self.max_confidence)
            and (self.metadata is None or _has_metadata(record, self.metadata))
            and (self.is_reviewed is None or ("review" in record) is self.is_reviewed)
        )


def types_of(record: Mapping[str, Any]) -> list[str]:
    """Names of the anomaly types that were found, without the background."""
    return [str(each["name"]) for each in record.get("anomalies") or ()]


def newest(
    inspections: Table,
    projects: Sequence[str],
    wanted: Wanted = Wanted(),
    *,
    after: RecordId | None = None,
    page_size: int | None = None,
    attributes: Sequence[str] = (),
) -> Iterator[Item]:
    """Records of these projects, newest first; of what is wanted, time and whether it is anomalous are looked at.

    Args:
        after: go on behind this record.
        page_size, attributes: as of `Table.query`; of attributes `inspected_at` comes in any case.
    """
    # Sparse: it holds the anomalous ones only, so that a rare anomaly is found at once among many normal images.
    anomalous = wanted.verdict is Verdict.ANOMALOUS or wanted.anomaly_type is not None
    index, attribute = ("anomalies_by_project", "anomalous_project") if anomalous else ("by_project", "project")

    def of(project: str) -> Iterator[Item]:
        start = {attribute: project, "inspected_at": after.inspected_at, **after.key} if after else None
        return inspections.query(
            (attribute, project),
            index=index,
            between=("inspected_at", wanted.since or "0", wanted.until or _LATEST),
            start=start,
            newest_first=True,
            page_size=page_size,
            attributes=sorted({*attributes, "inspected_at"}) if attributes else (),
        )

    return merge(*(of(each) for each in projects), key=lambda record: str(record["inspected_at"]), reverse=True)


def around(inspections: Table, record: Mapping[str, Any], count: int) -> tuple[list[Item], list[Item]]:
    """What was inspected of the same project just after a record and just before it: so many each, nearest first."""
    start = {"project": record["project"], "inspected_at": record["inspected_at"], **RecordId.of(record).key}

    def beside(*, newest_first: bool) -> list[Item]:
        records = inspections.query(
            ("project", record["project"]),
            index="by_project",
            start=start,
            newest_first=newest_first,
            page_size=count,
        )
        return list(islice(records, count))

    return beside(newest_first=False), beside(newest_first=True)


@dataclass(frozen=True)
class Page:
    """Some of the records that were looked for.

    Attributes:
        looked_at: how many records were read for it.
        more: where the next page goes on; None at the end.
    """

    records: list[Item]
    looked_at: int
    more: RecordId | None


def page(
    inspections: Table, projects: Sequence[str], wanted: Wanted, *, size: int, after: RecordId | None = None
) -> Page:
    """The next records that are wanted, newest first; fewer than `size` where they are rare, which `more` tells.

    They have what a list shows of them, and no more.
    """
    records: list[Item] = []
    last, looked_at = None, 0
    page_size = size + 1 if wanted.is_indexed else _LOOKED_AT // 4
    for record in newest(inspections, projects, wanted, after=after, page_size=page_size, attributes=_LISTED):
        if len(records) == size or looked_at == _LOOKED_AT:
            return Page(records, looked_at, last)
        looked_at += 1
        last = RecordId.of(record)
        if wanted.matches(record):
            records.append(record)
    return Page(records, looked_at, None)


def _has_metadata(record: Mapping[str, Any], text: str) -> bool:
    name, equals, value = text.partition("=")
    metadata = record.get("metadata") or {}
    return str(metadata.get(name)) == value if equals else text in map(str, metadata.values())
