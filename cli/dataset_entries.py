"""Reviewed images become entries of the project's datasets, by way of the Lookout for Vision API, and stop being it.

That API knows no way to delete an entry. What leaves a dataset stays there as an image without a label, which a dataset
may hold and no model is trained with or measured on: one call, that needs no dataset made anew while others use it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from cli.stack import Stack
from cli.training import unless
from relook.aws.bucket import Bucket, S3Uri
from relook.aws.errors import translated
from relook.errors import ConflictError, InvalidRequestError
from relook.registry.datasets import DatasetType
from relook.registry.history import HistoryEntry
from relook.registry.inspections import image_of
from relook.registry.manifest_entry import ManifestEntry, entry_line, parse_entry
from relook.registry.reviewed_entries import (
    ReviewedEntry,
    note_joined,
    note_left,
    refuse_elsewhere,
    reviewed_label,
)


def join_dataset(
    stack: Stack,
    record: Mapping[str, Any],
    dataset: DatasetType,
    *,
    mask_png: bytes | None = None,
    colors: Mapping[str, str] | None = None,
) -> ReviewedEntry:
    """Have a reviewed image train or test the project's next model, labelled as its reviewer says.

    The image is copied beside the dataset's others, since an upload may expire. Saying it again, with another review or
    mask, replaces the entry.

    Args:
        record: of the inspection, as it is shown.
        mask_png: what of the image is anomalous, in the colours of the types.
        colors: type name -> `#RRGGBB`, of the mask.
    Raises:
        InvalidRequestError: nobody knows what it is, a mask came with a normal image, or the dataset refuses it.
        ConflictError: it is in the other dataset.
        NoSuchObjectError: the upload is gone.
        ReviewedMeanwhileError: it was reviewed anew meanwhile; say it again.
    """
    is_anomalous = reviewed_label(record)
    refuse_elsewhere(record, dataset)
    if mask_png is not None and not is_anomalous:
        raise InvalidRequestError(f"{record['image_uri']} is normal, so that no mask goes with it")
    bucket = _bucket_of(stack, record["project"], dataset)
    key = _key(record)
    bucket.write(key, stack.read_upload(record))
    mask_ref = None
    if mask_png is not None:
        bucket.write(f"{key}.mask.png", mask_png, "image/png")
        mask_ref = str(bucket.uri(f"{key}.mask.png"))
    line = ManifestEntry(str(bucket.uri(key)), is_anomalous, mask_ref, colors or {})
    _update(stack, record["project"], dataset, line)
    entry = ReviewedEntry(dataset, line.source_ref, is_anomalous, mask_png is not None)
    try:
        _tell(stack, note_joined(stack.inspections, stack.registry, record, entry, who=stack.clients.caller))
    except ConflictError:  # somebody put it into the other dataset meanwhile, and no image may be in both
        _update(stack, record["project"], dataset, ManifestEntry(entry.source_ref, None))
        raise
    return entry


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
    _tell(stack, note_left(stack.inspections, stack.registry, record, who=stack.clients.caller))
    return {name: value for name, value in record.items() if name != "dataset_entry"}


def _bucket_of(stack: Stack, project: str, dataset: DatasetType) -> Bucket:
    """Where the images of the dataset lie, which is made if there is none; all of one dataset lie in one bucket."""
    which = {"ProjectName": project, "DatasetType": dataset}
    with unless("ConflictException"):
        stack.lookout.create_dataset(**which)
    with translated():
        first = stack.lookout.list_dataset_entries(**which, MaxResults=1)["DatasetEntries"]
    return stack.bucket(S3Uri.parse(parse_entry(first[0]).source_ref).bucket) if first else stack.datasets


def _key(record: Mapping[str, Any]) -> str:
    """Of the copy: the same for one upload, whatever model versions looked at it."""
    upload, version = image_of(record)
    name = hashlib.sha256(f"{upload}\n{version}".encode()).hexdigest()[:32]
    return f"images/{record['project']}/reviewed/{name}{PurePosixPath(upload.key).suffix}"


def _update(stack: Stack, project: str, dataset: DatasetType, entry: ManifestEntry) -> None:
    """
    Raises:
        InvalidRequestError: the dataset refused the entry; says why.
    """
    which = {"ProjectName": project, "DatasetType": dataset}
    with translated():
        stack.lookout.update_dataset_entries(**which, Changes=entry_line(entry))
        described = stack.lookout.describe_dataset(**which)["DatasetDescription"]
    # Another's change may have ended since, and its end is not ours: what counts is whether the entry is there.
    if described["Status"] != "UPDATE_COMPLETE" and not _has(stack, which, entry):
        raise InvalidRequestError(f"The {dataset} dataset of {project} refused it: {described['StatusMessage']}")


def _has(stack: Stack, which: Mapping[str, str], entry: ManifestEntry) -> bool:
    with translated():
        pages = stack.lookout.get_paginator("list_dataset_entries").paginate(
            **which, SourceRefContains=S3Uri.parse(entry.source_ref).key
        )
        return any(parse_entry(line) == entry for page in pages for line in page["DatasetEntries"])


def _tell(stack: Stack, change: HistoryEntry | None) -> None:
    if change is not None:
        stack.tell(change)
