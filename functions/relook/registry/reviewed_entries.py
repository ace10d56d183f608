"""Which inspections became entries of a dataset: noted with the inspection, so that each does once; and which entries
that came with a manifest a person has labelled anew.

The entry itself is written first and by way of the API; this note comes after it. Whoever is cut off in between says it
again: the entry is the same one, since its image's place tells it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from relook.aws.table import ConditionFailedError, Put, Table, Update, write_all
from relook.errors import ConflictError, InvalidRequestError, ResourceType, ReviewedMeanwhileError, ThrottledError
from relook.events import DetailType
from relook.quality.summary import is_truly_anomalous
from relook.registry.contention import beside_others
from relook.registry.dataset_type import DatasetType
from relook.registry.history import HistoryEntry, entry_of, list_history, record_change
from relook.registry.inspections import RecordId
from relook.registry.manifest_entry import ManifestEntry
from relook.registry.reviews import Review, ReviewVerdict, current_record


@dataclass(frozen=True)
class ReviewedEntry:
    """The entry of an image that a person has labelled.

    Attributes:
        source_ref: where the image lies, of an inspection its copy; the entry's identity.
        is_anomalous: its label.
        has_mask: whether a mask goes with it.
        mask_ref: where that is; None also for what was noted before this was kept.
    """

    dataset: DatasetType
    source_ref: str
    is_anomalous: bool
    has_mask: bool
    mask_ref: str | None = None

    @classmethod
    def labeled(cls, dataset: DatasetType, entry: ManifestEntry) -> Self | None:
        """What a dataset says of an image; None where it has no label."""
        if entry.is_anomalous is None:
            return None
        return cls(dataset, entry.source_ref, entry.is_anomalous, entry.mask_ref is not None, entry.mask_ref)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self | None:
        """A record's; None where it is in no dataset."""
        entry = record.get("dataset_entry")
        return cls(**{**entry, "dataset": DatasetType(entry["dataset"])}) if entry else None


def reviewed_label(record: Mapping[str, Any]) -> bool:
    """Whether the image is anomalous, as its reviewer says.

    Raises:
        InvalidRequestError: nobody said so, or they were unsure.
    """
    review = Review.of(record)
    if review is None or review.verdict is ReviewVerdict.UNSURE:
        state = "nobody has reviewed it" if review is None else f"{review.who} is unsure"
        raise InvalidRequestError(f"No dataset can take {record['image_uri']}: {state}; say first what it is")
    return is_truly_anomalous(record)


def refuse_elsewhere(record: Mapping[str, Any], dataset: DatasetType) -> None:
    """
    Raises:
        ConflictError: the inspection is in the other dataset, and no image may train a model and test it.
    """
    entry = ReviewedEntry.of(record)
    if entry is not None and entry.dataset is not dataset:
        raise ConflictError(
            ResourceType.DATASET,
            f"{record['project']}/{entry.dataset}",
            f"{record['image_uri']} is in the {entry.dataset} dataset; take it out of there first",
        )


@beside_others
def note_joined(
    inspections: Table, registry: Table, record: Mapping[str, Any], entry: ReviewedEntry, *, who: str
) -> HistoryEntry | None:
    """Note that the inspection has become this entry.

    Args:
        record: as it was when the entry was made.
    Returns:
        What is to be told; None where it was noted before.
    Raises:
        ConflictError: it became one of the other dataset meanwhile.
        ReviewedMeanwhileError: it was reviewed anew meanwhile, so that the entry's label may be wrong.
        ThrottledError: other writers were always faster; nothing was noted.
    """
    current = current_record(inspections, record)
    refuse_elsewhere(current, entry.dataset)
    review = Review.of(current)
    if review is not None and review != Review.of(record):
        raise ReviewedMeanwhileError(record["image_uri"], review.said, review.who, review.at)
    return _note(inspections, registry, current, entry, who)


@beside_others
def note_left(inspections: Table, registry: Table, record: Mapping[str, Any], *, who: str) -> HistoryEntry | None:
    """Note that the inspection is in no dataset any more; None where it was noted before.

    Raises:
        ThrottledError: other writers were always faster; nothing was noted.
    """
    return _note(inspections, registry, current_record(inspections, record), None, who)


def note_labeled(
    registry: Table, project: str, before: ReviewedEntry | None, after: ReviewedEntry, *, who: str
) -> HistoryEntry | None:
    """Note that a person has labelled an entry that no inspection became.

    Args:
        before: what the dataset said until then; None where it had no label.
    Returns:
        What is to be told; None where it was noted before.
    """
    changes = (
        each
        for each in list_history(registry, project)
        if each.what is DetailType.DATASET_CHANGED and each.subject == after.source_ref
    )
    last = next(changes, None)
    # The same as before, too, unless it is known to be noted: somebody may have been cut off once it was written.
    if before == after and last is not None and last.after == _state(after):
        return None
    record = _change(project, after.source_ref, before, after, who)
    registry.write(record)
    return entry_of(record.item)


def _note(
    inspections: Table, registry: Table, current: Mapping[str, Any], after: ReviewedEntry | None, who: str
) -> HistoryEntry | None:
    before = ReviewedEntry.of(current)
    if before == after:
        return None
    change = Update(
        RecordId.of(current).key,
        {"dataset_entry": _state(after)},
        expect={"dataset_entry": (current.get("dataset_entry"),), "reviewed_at": (current.get("reviewed_at"),)},
    )
    record = _change(current["project"], current["image_uri"], before, after, who)
    try:
        write_all((inspections, change), (registry, record))
    except ConditionFailedError:
        raise ThrottledError(f"The record of {current['image_uri']} is being changed by others; try again") from None
    return entry_of(record.item)


def _change(project: str, subject: str, before: ReviewedEntry | None, after: ReviewedEntry | None, who: str) -> Put:
    return record_change(
        project,
        who=who,
        what=DetailType.DATASET_CHANGED,
        subject=subject,
        before=_state(before),
        after=_state(after),
    )


def _state(entry: ReviewedEntry | None) -> dict[str, Any] | None:
    """As it is kept and told."""
    return None if entry is None else {name: value for name, value in asdict(entry).items() if value is not None}
