"""Operations on datasets: entries come from manifests, whose lines are kept and given back as their owner wrote them.

Both writing operations do all their work before they answer, and answer as the original did while it worked: a client
that polls finds the dataset in its final state at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from relook.aws.bucket import S3Uri
from relook.aws.refusals import why_unreadable
from relook.errors import (
    AwsError,
    ConflictError,
    InvalidRequestError,
    ResourceNotFoundError,
    ResourceType,
    ThrottledError,
)
from relook.lookout.objects import Objects
from relook.lookout.service import Service, decode_token, is_number, page_of
from relook.observability import logger
from relook.registry import datasets
from relook.registry.contention import beside_others
from relook.registry.dataset_type import DatasetType
from relook.registry.datasets import Dataset, DatasetStatus, ImageStats, StoredEntry
from relook.registry.manifest import (
    CheckedLines,
    LineProblem,
    check_lines,
    first_problems,
    is_blank,
    lines_of,
)

_CREATING, _CREATED = "The dataset is creating.", "The dataset was created successfully."
_UPDATED = "The dataset was updated successfully."
_CHUNK_BYTES = 1_000_000  # of a manifest that is read line by line: 1 GB may not be in memory at once


class _UnusableError(Exception):
    """The lines as a whole make no dataset; the message is for its owner."""


@dataclass(frozen=True)
class _Imported:
    """What became of a manifest."""

    status: DatasetStatus = DatasetStatus.CREATE_COMPLETE
    message: str = _CREATED
    stats: ImageStats = ImageStats()  # noqa: RUF009  (frozen)
    entries_key: str | None = None


def create_dataset(service: Service, given: Mapping[str, Any]) -> dict[str, Any]:
    """A dataset, empty or of a manifest's entries. A manifest that cannot be used makes one that is CREATE_FAILED."""
    project, dataset_type = _named(given)
    datasets.refuse_existing(service.registry, project, dataset_type)  # before the work of reading the manifest
    folder = datasets.new_folder(project, dataset_type)
    source = given.get("DatasetSource", {}).get("GroundTruthManifest", {}).get("S3Object")
    imported = _import(service, folder, dataset_type, source) if source else _Imported()
    try:
        dataset = beside_others(datasets.create_dataset)(
            service.registry,
            project,
            dataset_type,
            status=imported.status,
            message=imported.message,
            stats=imported.stats,
            entries_key=imported.entries_key,
            folder=folder,
        )
    # Another call created it, or the project is gone; after a time-out, say, nobody knows whether the dataset is there.
    except (ConflictError, ResourceNotFoundError, ThrottledError):
        _empty(service, folder)
        raise
    answer = dataset_metadata(dataset)
    if source:
        answer |= {"Status": DatasetStatus.CREATE_IN_PROGRESS, "StatusMessage": _CREATING}
    return {"DatasetMetadata": answer}


def describe_dataset(service: Service, given: Mapping[str, Any]) -> dict[str, Any]:
    """The dataset's state and what its images are."""
    dataset = datasets.describe_dataset(service.registry, *_named(given))
    stats = dataset.stats
    return {
        "DatasetDescription": {
            "ProjectName": dataset.project,
            **dataset_metadata(dataset),
            "LastUpdatedTimestamp": dataset.updated_at,
            "ImageStats": {
                "Total": stats.total,
                "Labeled": stats.labeled,
                "Normal": stats.normal,
                "Anomaly": stats.anomaly,
            },
        }
    }


def delete_dataset(service: Service, given: Mapping[str, Any]) -> dict[str, Any]:
    """The dataset and its entries go at once; images and masks stay."""
    dataset = beside_others(datasets.delete_dataset)(service.registry, *_named(given))
    _empty(service, dataset.folder)
    return {}


def list_dataset_entries(service: Service, given: Mapping[str, Any]) -> dict[str, Any]:
    """The lines that pass all filters, as they came, in their order; both limits of time are exclusive."""
    project, dataset_type = _named(given)
    kind = f"entries/{project}/{dataset_type}"
    start = int(decode_token(kind, given.get("NextToken"), is_number) or 0)

    @beside_others
    def numbered() -> Iterator[tuple[int, StoredEntry]]:
        dataset = datasets.describe_dataset(service.registry, project, dataset_type)
        entries = datasets.iter_entries(service.datasets_bucket, dataset, start)
        return enumerate(entries, start + 1)

    passing = (numbered_entry for numbered_entry in numbered() if _passes(numbered_entry[1], given))
    page, token = page_of(kind, passing, given, lambda numbered_entry: str(numbered_entry[0]))
    return {"DatasetEntries": [entry.line for _, entry in page], "NextToken": token}


def update_dataset_entries(service: Service, given: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the entries of images that the dataset has and add those of new images: all lines or none.

    An image may stand in several lines: they count in their order, so that the last one stays.

    Raises:
        InvalidRequestError: the changes hold no lines of text at all.
        ConflictError: the dataset was not created.
        ResourceNotFoundError: no such project or dataset.
        ThrottledError: other writers were always faster; nothing was changed.
    """
    project, dataset_type = _named(given)
    changes: bytes = given["Changes"]

    objects = Objects(service.s3, service.settings.expiring_bucket)

    @beside_others
    def update() -> None:
        dataset = datasets.describe_dataset(service.registry, project, dataset_type)
        if dataset.status is DatasetStatus.CREATE_FAILED:
            raise ConflictError(
                ResourceType.DATASET,
                f"{project}/{dataset_type}",
                f"The {dataset_type} dataset of project {project} is CREATE_FAILED; delete it and create it anew",
            )
        _update(service, dataset, changes, objects)

    update()
    return {"Status": DatasetStatus.UPDATE_IN_PROGRESS}


def dataset_metadata(dataset: Dataset) -> dict[str, Any]:
    """The members of DatasetMetadata."""
    return {
        "DatasetType": dataset.type,
        "CreationTimestamp": dataset.created_at,
        "Status": dataset.status,
        "StatusMessage": dataset.status_message,
    }


def _import(service: Service, folder: str, dataset_type: DatasetType, source: Mapping[str, str]) -> _Imported:
    place = S3Uri(source["Bucket"], source["Key"])
    limit = _max_images(service, dataset_type)
    try:
        lines = _limited(_manifest_lines(service, place, source.get("VersionId")), limit, place, dataset_type)
        checked = check_lines(lines, None, may_repeat=False)
        if not checked.count:
            raise _UnusableError(f"{place} is empty; expected one JSON object in a line for each image")
        _refuse_problems(service, folder, checked, checked.problems, place)
        seen = Objects(service.s3, service.settings.expiring_bucket).look(checked.usable.values())
        _refuse_problems(service, folder, checked, seen.problems, place)
    except UnicodeError as error:
        return _Imported(DatasetStatus.CREATE_FAILED, f"{place}: {error}; save the manifest as UTF-8")
    except _UnusableError as error:
        return _Imported(DatasetStatus.CREATE_FAILED, str(error))
    entries = list(_new_entries(checked).values())
    key = datasets.save_entries(service.datasets_bucket, folder, entries)
    return _Imported(message=_CREATED + _left_out(checked) + seen.left_out, stats=_stats(entries), entries_key=key)


def _manifest_lines(service: Service, place: S3Uri, version_id: str | None) -> Iterator[str]:
    max_mb = service.settings.max_manifest_mb
    try:
        stored = service.bucket(place.bucket).open(place.key, version_id=version_id)
    except AwsError as error:
        if error.is_transient:
            raise
        raise _UnusableError(why_unreadable(place, error)) from error
    with stored:
        if stored.size_bytes > max_mb * 1_000_000:
            raise _UnusableError(f"{place} has {stored.size_bytes:,} bytes; a manifest may have {max_mb:,} MB at most")
        yield from lines_of(stored.chunks(_CHUNK_BYTES))


def _limited(lines: Iterable[str], limit: int, place: S3Uri, dataset_type: DatasetType) -> Iterator[str]:
    """The same lines; every one of them that is not empty counts, usable or not, so that reading them has an end."""
    count = 0
    for line in lines:
        count += not is_blank(line)
        if count > limit:
            raise _UnusableError(
                f"{place} has more than {limit:,} lines; a {dataset_type} dataset may have {limit:,} images at most"
            )
        yield line


def _update(service: Service, dataset: Dataset, changes: bytes, objects: Objects) -> None:
    """
    Raises:
        InvalidRequestError: the changes hold no lines of text at all.
        ThrottledError: another writer was faster; nothing was done.
    """
    bucket = service.datasets_bucket
    entries = {each.entry.source_ref: each for each in datasets.iter_entries(bucket, dataset)}
    images_bucket = S3Uri.parse(next(iter(entries))).bucket if entries else None
    try:
        checked = check_lines(lines_of([changes]), images_bucket, may_repeat=True)
    except UnicodeError as error:
        raise InvalidRequestError(f"Changes are not JSON Lines: {error}") from None
    if not checked.count:
        raise InvalidRequestError("Changes hold no lines; expected one JSON object in a line for each image")
    try:
        _refuse_problems(service, dataset.folder, checked, checked.problems, None)
        seen = objects.look(checked.usable.values())
        _refuse_problems(service, dataset.folder, checked, seen.problems, None)
        entries |= _new_entries(checked)  # a known image keeps its place, new ones come last
        limit = _max_images(service, dataset.type)
        if len(entries) > limit:
            raise _UnusableError(
                f"Nothing was changed: the dataset would have {len(entries):,} images;"
                f" a {dataset.type} dataset may have {limit:,} at most"
            )
    except _UnusableError as error:
        status = DatasetStatus.UPDATE_FAILED_ROLLBACK_COMPLETE
        datasets.settle_dataset(service.registry, dataset, status, str(error))
        return
    key = datasets.save_entries(bucket, dataset.folder, entries.values())
    try:
        message = _UPDATED + _left_out(checked) + seen.left_out
        datasets.replace_entries(service.registry, dataset, key, _stats(entries.values()), message)
    except ThrottledError:  # and no other: after a time-out, say, nobody knows whether the dataset points to it
        _delete_object(service, key)
        raise
    if dataset.entries_key is not None:
        _delete_object(service, dataset.entries_key)


def _left_out(checked: CheckedLines) -> str:
    """A sentence on the lines that no model is trained with, if there are any."""
    if not checked.unlabeled:
        return ""
    count = f"{len(checked.unlabeled):,} of {checked.count:,} lines"
    return f" {count} are not trained with: {first_problems(checked.unlabeled)}"


def _refuse_problems(
    service: Service, folder: str, checked: CheckedLines, refused: Sequence[LineProblem], manifest: S3Uri | None
) -> None:
    """
    Raises:
        _UnusableError: there are bad lines; names the first ones, and the report of all.
    """
    if not refused:
        return
    bucket, key = service.datasets_bucket, datasets.new_report_key(folder)
    problems = [{"line": problem.line, "message": problem.message} for problem in refused]
    report = {"manifest": str(manifest) if manifest else None, "lines": checked.count, "problems": problems}
    bucket.write(key, json.dumps(report, indent=1).encode(), "application/json")
    start, end = ("Nothing was changed: ", "") if manifest is None else ("", f" of {manifest}")
    count = f"{len({each.line for each in refused}):,} of {checked.count:,} lines"
    raise _UnusableError(
        f"{start}{count}{end} cannot be used; {first_problems(refused)}; all problems: {bucket.uri(key)}"
    )


def _new_entries(checked: CheckedLines) -> dict[str, StoredEntry]:
    now = datetime.now(UTC)
    return {name: StoredEntry(usable.line, now, usable.entry) for name, usable in checked.usable.items()}


def _passes(entry: StoredEntry, given: Mapping[str, Any]) -> bool:
    label, wanted = entry.entry.is_anomalous, given.get("AnomalyClass")
    return (
        ("Labeled" not in given or given["Labeled"] == (label is not None))
        and (wanted is None or label is (wanted == "anomaly"))
        and ("BeforeCreationDate" not in given or entry.added < given["BeforeCreationDate"])
        and ("AfterCreationDate" not in given or entry.added > given["AfterCreationDate"])
        and given.get("SourceRefContains", "") in entry.entry.source_ref
    )


def _stats(entries: Iterable[StoredEntry]) -> ImageStats:
    return datasets.image_stats(each.entry for each in entries)


def _max_images(service: Service, dataset_type: DatasetType) -> int:
    settings = service.settings
    return settings.max_train_images if dataset_type is DatasetType.TRAIN else settings.max_test_images


def _named(given: Mapping[str, Any]) -> tuple[str, DatasetType]:
    return given["ProjectName"], DatasetType(given["DatasetType"])


def _empty(service: Service, folder: str) -> None:
    """What stays behind where this fails costs storage, and misleads nobody: nothing points to it."""
    try:
        service.datasets_bucket.delete_folder(folder)
    except AwsError as error:
        logger.warning("Files of a deleted dataset remain", folder=folder, error=str(error))


def _delete_object(service: Service, key: str) -> None:
    """As `_empty`."""
    try:
        service.datasets_bucket.delete(key)
    except AwsError as error:
        logger.warning("An unused snapshot remains", key=key, error=str(error))
