"""Datasets: a project's labelled images for training (`train`) and testing (`test`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum

from relook.errors import ConflictError, ResourceNotFoundError, ResourceType
from relook.registry.projects import count_children, describe_project
from relook.registry.table import ConditionFailedError, Delete, Item, Put, Table, Update


class DatasetType(StrEnum):
    """What a dataset is for."""

    TRAIN = "train"
    TEST = "test"


class DatasetStatus(StrEnum):
    """The life of a dataset, as Lookout for Vision names it."""

    CREATE_IN_PROGRESS = "CREATE_IN_PROGRESS"
    CREATE_COMPLETE = "CREATE_COMPLETE"
    CREATE_FAILED = "CREATE_FAILED"


@dataclass(frozen=True)
class ImageStats:
    """How many images a dataset has, and how many carry which label."""

    total: int = 0
    labeled: int = 0
    normal: int = 0
    anomaly: int = 0


@dataclass(frozen=True)
class Dataset:
    """One dataset of one project."""

    project: str
    type: DatasetType
    status: DatasetStatus
    status_message: str
    stats: ImageStats
    created_at: datetime
    updated_at: datetime


def create_dataset(table: Table, project: str, dataset_type: DatasetType) -> Dataset:
    """Register a dataset whose images are being read.

    Raises:
        ResourceNotFoundError: no such project.
        ConflictError: the project has a dataset of this type.
    """
    describe_project(table, project)
    now = datetime.now(UTC).isoformat()
    item = {
        **_key(project, dataset_type),
        "project": project,
        "type": dataset_type,
        "status": DatasetStatus.CREATE_IN_PROGRESS,
        "status_message": "The dataset is creating.",
        "stats": asdict(ImageStats()),
        "created_at": now,
        "updated_at": now,
    }
    try:
        table.write(Put(item), count_children(project, +1))
    except ConditionFailedError:
        message = f"Project {project} already has a {dataset_type} dataset"
        raise ConflictError(ResourceType.DATASET, _id(project, dataset_type), message) from None
    return _dataset(item)


def finish_dataset(table: Table, project: str, dataset_type: DatasetType, stats: ImageStats) -> Dataset:
    """Record that all images were read.

    Raises:
        ConflictError: the dataset is not being created.
    """
    return _settle(table, project, dataset_type, DatasetStatus.CREATE_COMPLETE, "The dataset was created.", stats)


def fail_dataset(table: Table, project: str, dataset_type: DatasetType, message: str) -> Dataset:
    """Record why the images could not be read.

    Raises:
        ConflictError: the dataset is not being created.
    """
    return _settle(table, project, dataset_type, DatasetStatus.CREATE_FAILED, message, ImageStats())


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
    partition = ("pk", _key(project, DatasetType.TRAIN)["pk"])
    return (_dataset(item) for item in table.query(partition, sort_prefix=("sk", "DATASET#")))


def delete_dataset(table: Table, project: str, dataset_type: DatasetType) -> None:
    """Forget the dataset; its images stay where they are.

    Raises:
        ResourceNotFoundError: no such project or dataset.
    """
    describe_dataset(table, project, dataset_type)
    try:
        table.write(Delete(_key(project, dataset_type)), count_children(project, -1))
    except ConditionFailedError:
        raise ResourceNotFoundError(ResourceType.DATASET, _id(project, dataset_type)) from None


def _settle(
    table: Table, project: str, dataset_type: DatasetType, status: DatasetStatus, message: str, stats: ImageStats
) -> Dataset:
    changes = {
        "status": status,
        "status_message": message,
        "stats": asdict(stats),
        "updated_at": datetime.now(UTC).isoformat(),
    }
    expect = {"status": (DatasetStatus.CREATE_IN_PROGRESS,)}
    try:
        return _dataset(table.update(Update(_key(project, dataset_type), changes, expect=expect)))
    except ConditionFailedError:
        text = f"The {dataset_type} dataset of project {project} is not being created"
        raise ConflictError(ResourceType.DATASET, _id(project, dataset_type), text) from None


def _key(project: str, dataset_type: DatasetType) -> dict[str, str]:
    return {"pk": f"PROJECT#{project}", "sk": f"DATASET#{dataset_type}"}


def _id(project: str, dataset_type: DatasetType) -> str:
    return f"{project}/{dataset_type}"


def _dataset(item: Item) -> Dataset:
    return Dataset(
        project=item["project"],
        type=DatasetType(item["type"]),
        status=DatasetStatus(item["status"]),
        status_message=item["status_message"],
        stats=ImageStats(**item["stats"]),
        created_at=datetime.fromisoformat(item["created_at"]),
        updated_at=datetime.fromisoformat(item["updated_at"]),
    )
