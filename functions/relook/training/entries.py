"""What a project's datasets hold when it is trained."""

from __future__ import annotations

from collections.abc import Mapping

from relook.aws.bucket import Bucket
from relook.aws.table import Table
from relook.errors import TrainingDataError
from relook.registry.contention import beside_others
from relook.registry.dataset_type import DatasetType
from relook.registry.datasets import Dataset, StoredEntry, list_datasets, read_entries


@beside_others
def training_entries(registry: Table, bucket: Bucket, project: str) -> dict[DatasetType, list[StoredEntry]]:
    """The entries of the project's datasets, by type.

    Args:
        bucket: where the entries of datasets are kept.
    Raises:
        TrainingDataError: there is no train dataset, or one is not complete.
        ThrottledError: they change faster than they can be read.
    """
    datasets = {each.type: each for each in list_datasets(registry, project)}
    _check(project, datasets)
    return {kind: read_entries(bucket, dataset) for kind, dataset in datasets.items()}


def _check(project: str, datasets: Mapping[DatasetType, Dataset]) -> None:
    if DatasetType.TRAIN not in datasets:
        raise TrainingDataError(f"Project {project} has no train dataset any more; create one, then train again")
    for kind, dataset in datasets.items():
        if not dataset.status.endswith("_COMPLETE"):
            raise TrainingDataError(f"The {kind} dataset of project {project} is {dataset.status}, not complete")
