"""Datasets: a project's labelled images for training (`train`) and testing (`test`).

An item in the registry names the dataset, and one object in S3, its snapshot, holds the entries: the lines as their
owner wrote them. A snapshot is never changed; new entries are a new snapshot, and the item then points to that one if
it still points to the one that they were made from.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import uuid4

from relook.aws.bucket import Bucket
from relook.aws.table import ConditionFailedError, Delete, Expected, Item, Put, Table, Update
from relook.errors import ConflictError, NoSuchObjectError, ResourceNotFoundError, ResourceType, ThrottledError
from relook.registry.dataset_type import DatasetType
from relook.registry.manifest_entry import ManifestEntry, parse_entry
from relook.registry.projects import count_children, describe_project, project_key


class DatasetStatus(StrEnum):
    """The life of a dataset, as Lookout for Vision names it. Ours is never stored in a state that ends by itself."""

    CREATE_IN_PROGRESS = "CREATE_IN_PROGRESS"
    CREATE_COMPLETE = "CREATE_COMPLETE"
    CREATE_FAILED = "CREATE_FAILED"
    UPDATE_IN_PROGRESS = "UPDATE_IN_PROGRESS"
    UPDATE_COMPLETE = "UPDATE_COMPLETE"
    UPDATE_FAILED_ROLLBACK_COMPLETE = "UPDATE_FAILED_ROLLBACK_COMPLETE"


@dataclass(frozen=True)
class ImageStats:
    """How many images a dataset has, and how many carry which label."""

    total: int = 0
    labeled: int = 0
    normal: int = 0
    anomaly: int = 0


@dataclass(frozen=True)
class Dataset:
    """One dataset of one project.

    Attributes:
        entries_key: the snapshot's, in the datasets bucket; None while there are no entries.
        revision: how many times the entries were replaced.
        folder: in the datasets bucket, ending in "/"; of this dataset alone, and not of one of the same name that
            was or will be.
    """

    project: str
    type: DatasetType
    status: DatasetStatus
    status_message: str
    stats: ImageStats
    created_at: datetime
    updated_at: datetime
    entries_key: str | None
    revision: int
    folder: str


@dataclass(frozen=True)
class StoredEntry:
    """One entry of a dataset.

    Attributes:
        line: as its owner wrote it.
        added: when it came into the dataset, or last changed.
    """

    line: str
    added: datetime
    entry: ManifestEntry


def create_dataset(
    table: Table,
    project: str,
    dataset_type: DatasetType,
    *,
    status: DatasetStatus,
    message: str,
    stats: ImageStats,
    entries_key: str | None,
    folder: str | None = None,
) -> Dataset:
    """Register a dataset.

    Args:
        folder: where its snapshot already is; a new one where there is none yet.
    Raises:
        ResourceNotFoundError: no such project.
        ConflictError: the project has a dataset of this type.
        ThrottledError: the project is being changed by others; nothing was done.
    """
    describe_project(table, project)
    now = datetime.now(UTC).isoformat()
    item = {
        **_key(project, dataset_type),
        "project": project,
        "type": dataset_type,
        "status": status,
        "status_message": message,
        "stats": asdict(stats),
        "created_at": now,
        "updated_at": now,
        "entries_key": entries_key,
        "revision": 0,
        "folder": folder or new_folder(project, dataset_type),
    }
    try:
        table.write(Put(item), count_children(project, +1))
    except ConditionFailedError:
        refuse_existing(table, project, dataset_type)
        raise _changed_meanwhile(project, dataset_type) from None
    return _dataset(item)


def refuse_existing(table: Table, project: str, dataset_type: DatasetType) -> None:
    """
    Raises:
        ResourceNotFoundError: no such project.
        ConflictError: the project has a dataset of this type.
    """
    describe_project(table, project)
    if table.get(_key(project, dataset_type)) is not None:
        message = (
            f"Project {project} already has a {dataset_type} dataset; change it with UpdateDatasetEntries, or delete it"
            " first"
        )
        raise ConflictError(ResourceType.DATASET, _id(project, dataset_type), message)


def replace_entries(table: Table, dataset: Dataset, entries_key: str, stats: ImageStats, message: str) -> Dataset:
    """Have the dataset point to another snapshot, made from the one that `dataset` points to.

    Raises:
        ThrottledError: another writer was faster, so that the snapshot lacks what that one wrote; nothing was done.
    """
    expect = {**_same(dataset), "entries_key": (dataset.entries_key,)}
    changes = {**_status(DatasetStatus.UPDATE_COMPLETE, message), "entries_key": entries_key, "stats": asdict(stats)}
    try:
        return _dataset(table.update(Update(_key_of(dataset), changes, add={"revision": 1}, expect=expect)))
    except ConditionFailedError:
        # The client repeats a write whose answer was lost on the way, and then meets its own result.
        item = table.get(_key_of(dataset))
        if item is not None and item.get("entries_key") == entries_key:
            return _dataset(item)
        raise _changed_meanwhile(dataset.project, dataset.type) from None


def settle_dataset(table: Table, dataset: Dataset, status: DatasetStatus, message: str) -> Dataset:
    """Record how something ended that left the entries as they are.

    Raises:
        ThrottledError: the dataset was deleted or changed meanwhile; nothing was done.
    """
    try:
        return _dataset(table.update(Update(_key_of(dataset), _status(status, message), expect=_same(dataset))))
    except ConditionFailedError:
        raise _changed_meanwhile(dataset.project, dataset.type) from None


def describe_dataset(table: Table, project: str, dataset_type: DatasetType) -> Dataset:
    """The dataset.

    Raises:
        ResourceNotFoundError: no such project or dataset.
    """
    describe_project(table, project)
    item = table.get(_key(project, dataset_type))
    if item is None:
        raise ResourceNotFoundError(ResourceType.DATASET, _id(project, dataset_type))
    return _dataset(item)


def list_datasets(table: Table, project: str) -> Iterator[Dataset]:
    """The project's datasets; at most one of each type."""
    partition = ("pk", project_key(project)["pk"])
    return (_dataset(item) for item in table.query(partition, sort_prefix=("sk", "DATASET#")))


def delete_dataset(table: Table, project: str, dataset_type: DatasetType) -> Dataset:
    """Forget the dataset, which is given back; its images stay where they are, its folder is for the caller to empty.

    Raises:
        ResourceNotFoundError: no such project or dataset.
        ThrottledError: it is being changed by others; nothing was done.
    """
    dataset = describe_dataset(table, project, dataset_type)
    try:
        table.write(Delete(_key_of(dataset), expect=_same(dataset)), count_children(project, -1))
    except ConditionFailedError:
        raise _changed_meanwhile(project, dataset_type) from None
    return dataset


def new_folder(project: str, dataset_type: DatasetType) -> str:
    """A folder in the datasets bucket that nothing else uses."""
    return f"datasets/{project}/{dataset_type}/{uuid4().hex}/"


def new_report_key(folder: str) -> str:
    """Where a report on lines that could not be used goes, beside the snapshots."""
    return f"{folder}{uuid4().hex}.report.json"


def save_entries(bucket: Bucket, folder: str, entries: Iterable[StoredEntry]) -> str:
    """Store a snapshot; its key."""
    key = f"{folder}{uuid4().hex}.jsonl"
    lines = (
        json.dumps({"entry": each.line, "added": each.added.isoformat()}, ensure_ascii=False) + "\n" for each in entries
    )
    bucket.write(key, "".join(lines).encode(), "application/jsonl")
    return key


def read_entries(bucket: Bucket, dataset: Dataset) -> list[StoredEntry]:
    """All entries of the dataset, in order.

    Raises:
        ThrottledError: they were replaced or deleted since `dataset` was read; read it again.
    """
    return list(iter_entries(bucket, dataset))


def iter_entries(bucket: Bucket, dataset: Dataset, start: int = 0) -> Iterator[StoredEntry]:
    """The entries from number `start` on. The snapshot is read at once, an entry is parsed when its turn comes.

    Raises:
        ThrottledError: as `read_entries`.
    """
    if dataset.entries_key is None:
        return iter(())
    try:
        data = bucket.read(dataset.entries_key)
    except NoSuchObjectError:
        raise _changed_meanwhile(dataset.project, dataset.type) from None
    lines = data.decode().split("\n")[:-1]  # not splitlines, which knows more ends of lines than JSON escapes
    return (_stored(line) for line in lines[start:])


def image_stats(entries: Iterable[ManifestEntry]) -> ImageStats:
    """How many of the entries carry which label."""
    labels = [entry.is_anomalous for entry in entries]
    normal, anomaly = labels.count(False), labels.count(True)
    return ImageStats(len(labels), normal + anomaly, normal, anomaly)


def _changed_meanwhile(project: str, dataset_type: DatasetType) -> ThrottledError:
    return ThrottledError(f"The {dataset_type} dataset of project {project} is being changed by others; try again")


def _status(status: DatasetStatus, message: str) -> dict[str, Any]:
    return {"status": status, "status_message": message, "updated_at": datetime.now(UTC).isoformat()}


def _same(dataset: Dataset) -> Expected:
    """What tells the dataset from one of the same name that was created after it was deleted."""
    return {"created_at": (dataset.created_at.isoformat(),)}


def _key_of(dataset: Dataset) -> dict[str, str]:
    return _key(dataset.project, dataset.type)


def _key(project: str, dataset_type: DatasetType) -> dict[str, str]:
    return {"pk": project_key(project)["pk"], "sk": f"DATASET#{dataset_type}"}


def _id(project: str, dataset_type: DatasetType) -> str:
    return f"{project}/{dataset_type}"


def _stored(line: str) -> StoredEntry:
    fields = json.loads(line)
    line = fields["entry"]
    try:
        entry = parse_entry(line)
    except ValueError:  # of a dataset that was created when manifests were read less strictly
        entry = ManifestEntry(json.loads(line)["source-ref"], None)
    return StoredEntry(line, datetime.fromisoformat(fields["added"]), entry)


def _dataset(item: Item) -> Dataset:
    project, dataset_type = item["project"], DatasetType(item["type"])
    return Dataset(
        project=project,
        type=dataset_type,
        status=DatasetStatus(item["status"]),
        status_message=item["status_message"],
        stats=ImageStats(**item["stats"]),
        created_at=datetime.fromisoformat(item["created_at"]),
        updated_at=datetime.fromisoformat(item["updated_at"]),
        entries_key=item.get("entries_key"),
        # Absent in items that were written before datasets kept their entries
        revision=item.get("revision", 0),
        folder=item.get("folder", f"datasets/{project}/{dataset_type}/first/"),
    )
