"""A person's word on a verdict, kept with the inspection; and which inspections wait for one.

A review and its history item are one transaction over both tables. It holds only if the inspection's review is still
the one that the reviewer saw: of two at once one is told what the other said, and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

from relook.aws.table import ConditionFailedError, Item, Table, Update, write_all
from relook.detection.result import is_type_name
from relook.errors import InvalidRequestError, ReviewedMeanwhileError, ThrottledError
from relook.events import DetailType
from relook.quality.records import InspectionStatus
from relook.quality.thresholds import distance_from_threshold
from relook.registry.contention import beside_others
from relook.registry.history import HistoryEntry, State, entry_of, list_history, record_change
from relook.registry.inspections import RecordId, Verdict, verdict_of
from relook.registry.manifest_entry import ANOMALY, NORMAL

_MAX_NOTE_CHARS = 1_000  # a few sentences, which a terminal and a card still show


class ReviewVerdict(StrEnum):
    """What a person says of a verdict."""

    RIGHT = "right"
    WRONG = "wrong"
    UNSURE = "unsure"


@dataclass(frozen=True)
class Review:
    """What somebody said of an inspection.

    Attributes:
        label: what it is instead of the verdict: `normal`, `anomaly`, or an anomaly type; None unless that is wrong.
        who: their ARN.
        at: ISO-8601 UTC; tells this review from every other one of the inspection.
    """

    verdict: ReviewVerdict
    label: str | None
    note: str | None
    who: str
    at: str

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self | None:
        """A record's; None while nobody has said anything."""
        if "review" not in record:
            return None
        return cls(
            ReviewVerdict(record["review"]),
            record.get("review_label"),
            record.get("review_note"),
            str(record["reviewed_by"]),
            str(record["reviewed_at"]),
        )

    @property
    def said(self) -> str:
        """In a few words, such as `wrong (scratch)`."""
        return f"{self.verdict} ({self.label})" if self.label else str(self.verdict)


@beside_others
def review(
    inspections: Table,
    registry: Table,
    record: Mapping[str, Any],
    verdict: ReviewVerdict,
    *,
    label: str | None = None,
    note: str | None = None,
    who: str,
) -> tuple[Item, HistoryEntry | None]:
    """Keep what a person says of an inspection, in place of what was said before.

    Args:
        record: as the reviewer saw it. Only its key, its verdict and its review matter.
        label: what it is: `normal`, `anomaly` or an anomaly type; with `wrong`, and with nothing else.
        who: the caller's ARN.
    Returns:
        The record after it, and what is to be told; None where they had said the same before.
    Raises:
        InvalidRequestError: it makes no sense of this verdict, or there is no verdict.
        ReviewedMeanwhileError: somebody said something else since; nothing was changed.
        ThrottledError: other writers were always faster; nothing was changed.
    """
    note = (note or "").strip() or None
    _check(record, verdict, label, note)
    seen, key = Review.of(record), RecordId.of(record).key
    said = Review(verdict, label, note, who, datetime.now(UTC).isoformat(timespec="microseconds"))
    change = Update(
        key,
        {
            "review": verdict,
            "review_label": label,
            "review_note": note,
            "reviewed_by": who,
            "reviewed_at": said.at,
            "to_review": None,
            "review_order": None,
        },
        expect={"reviewed_at": (seen and seen.at,), "status": (InspectionStatus.INSPECTED,)},
    )
    entry = record_change(
        record["project"],
        who=who,
        what=DetailType.INSPECTION_REVIEWED,
        subject=record["image_uri"],
        before=_state(record, seen),
        after=_state(record, said),
    )
    if seen is None or not _is_same(seen, said):
        try:
            write_all((inspections, change), (registry, entry))
        except ConditionFailedError:
            _check_meanwhile(Review.of(current_record(inspections, record)), seen, said, record)
        else:
            return current_record(inspections, record), entry_of(entry.item)
    return current_record(inspections, record), None


def open_reviews(
    inspections: Table,
    project: str,
    *,
    after: str | None = None,
    page_size: int | None = None,
    attributes: Sequence[str] = (),
) -> Iterator[Item]:
    """Inspections that wait for a review, nearest to the threshold first.

    Args:
        after: `review_order` of the record behind which to go on; it may have been reviewed since.
        page_size, attributes: as of `Table.query`.
    """
    beyond = ("review_order", after) if after else None
    return inspections.query(
        ("to_review", project), index="to_review", after=beyond, page_size=page_size, attributes=attributes
    )


def latest_reviews(registry: Table, project: str) -> Iterator[dict[str, Any]]:
    """What was last said of each inspection, as records that `quality.summary.summarize` counts.

    Of the project's history: as many items as people made changes, and not as many as there are inspections.
    """
    seen = set()
    for entry in list_history(registry, project):
        if entry.what is not DetailType.INSPECTION_REVIEWED or entry.after is None:
            continue
        if (said := entry.after)["inspection_id"] in seen:
            continue
        seen.add(said["inspection_id"])
        yield {
            "inspection_id": said["inspection_id"],
            "image_uri": entry.subject,
            "status": InspectionStatus.INSPECTED,
            "is_anomalous": said["verdict"] == Verdict.ANOMALOUS,
            "inspected_at": entry.at.isoformat(),
            "expected": said.get("expected"),
            "review": said["review"],
            "review_label": said.get("label"),
        }


def waiting(record: Mapping[str, Any]) -> dict[str, str]:
    """Attributes by which a new record, with its verdict, probability and threshold, waits for a review.

    A missed check comes first, whatever its probability.
    """
    distance = 0.0
    if record.get("is_expected_met") is not False:
        distance = distance_from_threshold(float(record["anomaly_probability"]), float(record["threshold"]))
    # Of fixed width, since the index sorts text; log-odds differ by 28 at most. No two records have the same order.
    order = f"{distance:09.6f}#{record['inspected_at']}#{record['inspection_id']}"
    return {"to_review": str(record["project"]), "review_order": order}


def _check(record: Mapping[str, Any], verdict: ReviewVerdict, label: str | None, note: str | None) -> None:
    image, said = record["image_uri"], verdict_of(record)
    if said is Verdict.REJECTED:
        raise InvalidRequestError(f"{image} was rejected; there is no verdict to be right or wrong")
    if note is not None and len(note) > _MAX_NOTE_CHARS:
        raise InvalidRequestError(f"A note of {len(note):,} characters is too long; up to {_MAX_NOTE_CHARS:,} are kept")
    if verdict is not ReviewVerdict.WRONG:
        if label is not None:
            raise InvalidRequestError(f"A verdict that is {verdict} takes no label; {label!r} goes with wrong")
        return
    if label is None or not is_type_name(label):
        raise InvalidRequestError(
            f"A wrong verdict needs what the image is: {NORMAL}, {ANOMALY}, or a type of 1 to 256 characters;"
            f" got {label!r}"
        )
    if label == (NORMAL if said is Verdict.NORMAL else ANOMALY):
        raise InvalidRequestError(f"The verdict on {image} is {said} already; as {label!r} it would be right")


def _check_meanwhile(present: Review | None, seen: Review | None, said: Review, record: Mapping[str, Any]) -> None:
    """
    Raises:
        ReviewedMeanwhileError: the present one is neither what was seen nor what was to be said.
        ThrottledError: nobody has reviewed it; the record was being changed otherwise.
    """
    if present == seen:
        raise ThrottledError(f"The record of {record['image_uri']} is being changed by others; try again")
    if present is not None and not _is_same(present, said):
        raise ReviewedMeanwhileError(record["image_uri"], present.said, present.who, present.at)


def _is_same(one: Review, other: Review) -> bool:
    return (one.verdict, one.label, one.note, one.who) == (other.verdict, other.label, other.note, other.who)


def current_record(inspections: Table, record: Mapping[str, Any]) -> Item:
    """The record as it is now.

    Raises:
        InvalidRequestError: it is gone.
    """
    current = inspections.get(RecordId.of(record).key)
    if current is None:
        raise InvalidRequestError(f"{record['image_uri']} has no record of this inspection any more")
    return current


def _state(record: Mapping[str, Any], said: Review | None) -> State | None:
    if said is None:
        return None
    return {
        "review": said.verdict,
        "label": said.label,
        "note": said.note,
        "verdict": verdict_of(record),
        "inspection_id": record["inspection_id"],
        "expected": record.get("expected"),
    }
