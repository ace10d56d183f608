"""Images become entries of the project's datasets, by way of the Lookout for Vision API, and stop being it: with the
label and the mask that a person gave them.

That API knows no way to delete an entry. What leaves a dataset stays there as an image without a label, which a dataset
may hold and no model is trained with or measured on: one call, that needs no dataset made anew while others use it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from cli.stack import Stack
from cli.training import unless
from relook.aws.bucket import Bucket, S3Uri
from relook.errors import ConflictError, InvalidRequestError, ResourceType
from relook.events import DetailType
from relook.registry.contention import beside_others
from relook.registry.dataset_type import DatasetType
from relook.registry.datasets import list_datasets, read_entries
from relook.registry.history import list_history
from relook.registry.inspections import image_digest, image_of
from relook.registry.manifest_entry import ManifestEntry, entry_line, parse_entry
from relook.registry.reviewed_entries import (
    ReviewedEntry,
    note_joined,
    note_labeled,
    note_left,
    refuse_elsewhere,
    reviewed_label,
)


@dataclass(frozen=True)
class Mask:
    """A mask that is stored.

    Attributes:
        ref: its `s3://` location.
        colors: type name -> `#RRGGBB`.
    """

    ref: str
    colors: Mapping[str, str]


def join_dataset(
    stack: Stack,
    record: Mapping[str, Any],
    dataset: DatasetType,
    *,
    mask: Mask | None = None,
) -> ReviewedEntry:
    """Have a reviewed image train or test the project's next model, labelled as its reviewer says.

    The image is copied beside the dataset's others, since an upload may expire; where these are uploads themselves, it
    is there already, and a copy would be inspected as one more. Saying it again, with another review or mask, replaces
    the entry.

    Args:
        record: of the inspection, as it is shown.
        mask: what of the image is anomalous.
    Raises:
        InvalidRequestError: nobody knows what it is, a mask came with a normal image, another image lies there by now,
            or the dataset refuses it.
        ConflictError: it is in the other dataset.
        NoSuchObjectError: the upload is gone.
        ReviewedMeanwhileError: it was reviewed anew meanwhile; say it again.
    """
    is_anomalous = reviewed_label(record)
    refuse_elsewhere(record, dataset)
    _refuse_mask(record["image_uri"], is_anomalous, mask)
    bucket = _bucket_of(stack, record["project"], dataset)
    key = _key(record)
    _refuse_in_other(stack, record, dataset)
    image, (upload, _) = stack.read_upload(record), image_of(record)
    if bucket.name != upload.bucket:
        bucket.write(key, image)
    elif bucket.read(key := upload.key) != image:
        raise InvalidRequestError(f"{upload} is another image by now, and the {dataset} dataset names images there")
    entry = _label(stack, record["project"], dataset, str(bucket.uri(key)), is_anomalous, mask)
    try:
        stack.tell(note_joined(stack.inspections, stack.registry, record, entry, who=stack.clients.caller))
    except ConflictError:  # somebody put it into the other dataset meanwhile, and no image may be in both
        _update(stack, record["project"], dataset, ManifestEntry(entry.source_ref, None))
        raise
    return entry


def label_entry(
    stack: Stack,
    project: str,
    dataset: DatasetType,
    entry: ManifestEntry,
    *,
    is_anomalous: bool,
    mask: Mask | None = None,
) -> ReviewedEntry:
    """Label an image that is in the dataset and came of no inspection, in place of what the dataset says of it.

    Args:
        entry: as it is.
        mask: what of the image is anomalous.
    Raises:
        InvalidRequestError: a mask came with a normal image, or the dataset refuses it.
    """
    _refuse_mask(entry.source_ref, is_anomalous, mask)
    after = _label(stack, project, dataset, entry.source_ref, is_anomalous, mask)
    before = ReviewedEntry.labeled(dataset, entry)
    stack.tell(note_labeled(stack.registry, project, before, after, who=stack.clients.caller))
    return after


def store_mask(stack: Stack, project: str, mask_png: bytes, colors: Mapping[str, str]) -> Mask:
    """Keep a mask beside the project's images, under the name of its content: the same one is the same object.

    Args:
        colors: type name -> `#RRGGBB`, of those that are painted.
    """
    key = f"images/{project}/painted/{hashlib.sha256(mask_png).hexdigest()[:32]}.png"
    stack.datasets.write(key, mask_png, "image/png")
    return Mask(str(stack.datasets.uri(key)), colors)


def inspection_of(stack: Stack, project: str, source_ref: str) -> dict[str, Any] | None:
    """The inspection whose image was copied to this place, or lies there and joined; None for one of a manifest."""
    for record in stack.inspections.query(("image_uri", source_ref)):
        entry = ReviewedEntry.of(record)
        if entry is not None and entry.source_ref == source_ref:
            return record
    key = S3Uri.parse(source_ref).key
    if not key.startswith(_copies(project)):
        return None
    # In the history are those that joined, which are fewer than were inspected.
    for subject in dict.fromkeys(
        each.subject for each in list_history(stack.registry, project) if each.what is DetailType.DATASET_CHANGED
    ):
        records = [each for each in stack.inspections.query(("image_uri", subject)) if _key(each) == key]
        if records:  # of several model versions: the one that is noted to be in a dataset, or else the newest
            return max(records, key=lambda each: ("dataset_entry" in each, str(each["inspected_at"])))
    return None


def leave_dataset(stack: Stack, record: Mapping[str, Any]) -> dict[str, Any]:
    """Have an image neither train nor test any more; its record, whose review stays.

    Raises:
        InvalidRequestError: it is in no dataset, or the dataset refuses the change.
    """
    entry = ReviewedEntry.of(record)
    if entry is None:
        raise InvalidRequestError(f"{record['image_uri']} is in no dataset")
    with unless("ResourceNotFoundException"):  # whoever deletes a dataset has taken everything out
        _update(stack, record["project"], entry.dataset, ManifestEntry(entry.source_ref, None))
    stack.tell(note_left(stack.inspections, stack.registry, record, who=stack.clients.caller))
    return {name: value for name, value in record.items() if name != "dataset_entry"}


def _bucket_of(stack: Stack, project: str, dataset: DatasetType) -> Bucket:
    """Where the images of the dataset lie, which is made if there is none; all of one dataset lie in one bucket."""
    which = {"ProjectName": project, "DatasetType": dataset}
    with unless("ConflictException"):
        stack.lookout.create_dataset(**which)
    first = stack.lookout.list_dataset_entries(**which, MaxResults=1)["DatasetEntries"]
    return stack.bucket(S3Uri.parse(parse_entry(first[0]).source_ref).bucket) if first else stack.datasets


def _key(record: Mapping[str, Any]) -> str:
    """Of the copy: the same for one upload, whatever model versions looked at it."""
    suffix = PurePosixPath(image_of(record)[0].key).suffix
    return f"{_copies(record['project'])}{image_digest(record)[:32]}{suffix}"


def _copies(project: str) -> str:
    """What the keys of all copies begin with."""
    return f"images/{project}/reviewed/"


@beside_others
def _refuse_in_other(stack: Stack, record: Mapping[str, Any], dataset: DatasetType) -> None:
    """
    Raises:
        ConflictError: the upload is in the other dataset all the same: by its manifest, as another model version
            inspected it, or since somebody was cut off before that was noted.
    """
    places = (f"/{_key(record)}", record["image_uri"])
    for other in list_datasets(stack.registry, record["project"]):
        entries = (each.entry for each in read_entries(stack.datasets, other)) if other.type is not dataset else ()
        if any(each.source_ref.endswith(places) and each.is_anomalous is not None for each in entries):
            raise ConflictError(
                ResourceType.DATASET,
                f"{record['project']}/{other.type}",
                f"{record['image_uri']} is in the {other.type} dataset; join that one, or take it out of there first",
            )


def _refuse_mask(image: str, is_anomalous: bool, mask: Mask | None) -> None:
    if mask is not None and not is_anomalous:
        raise InvalidRequestError(f"{image} is normal, so that no mask goes with it")


def _label(
    stack: Stack, project: str, dataset: DatasetType, source_ref: str, is_anomalous: bool, mask: Mask | None
) -> ReviewedEntry:
    mask_ref, colors = (mask.ref, mask.colors) if mask else (None, {})
    _update(stack, project, dataset, ManifestEntry(source_ref, is_anomalous, mask_ref, colors))
    return ReviewedEntry(dataset, source_ref, is_anomalous, mask is not None, mask_ref)


def _update(stack: Stack, project: str, dataset: DatasetType, entry: ManifestEntry) -> None:
    """
    Raises:
        InvalidRequestError: the dataset refused the entry; says why.
    """
    which = {"ProjectName": project, "DatasetType": dataset}
    stack.lookout.update_dataset_entries(**which, Changes=entry_line(entry))
    described = stack.lookout.describe_dataset(**which)["DatasetDescription"]
    # Another's change may have ended since, and its end is not ours: what counts is whether the entry is there.
    if described["Status"] != "UPDATE_COMPLETE" and not _has(stack, which, entry):
        raise InvalidRequestError(f"The {dataset} dataset of {project} refused it: {described['StatusMessage']}")


def _has(stack: Stack, which: Mapping[str, str], entry: ManifestEntry) -> bool:
    pages = stack.lookout.get_paginator("list_dataset_entries").paginate(
        **which, SourceRefContains=S3Uri.parse(entry.source_ref).key
    )
    return any(parse_entry(line) == entry for page in pages for line in page["DatasetEntries"])
