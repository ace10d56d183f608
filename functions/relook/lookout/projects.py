"""Operations on projects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relook.lookout.datasets import dataset_metadata
from relook.lookout.service import Service, decode_token, page_of
from relook.registry import projects
from relook.registry.datasets import list_datasets
from relook.registry.packaging_jobs import delete_jobs
from relook.registry.projects import Project
from relook.registry.regions import delete_masks

_LIST = "projects"


def create_project(service: Service, given: Mapping[str, Any]) -> dict[str, Any]:
    """An empty project."""
    return {"ProjectMetadata": _metadata(service, projects.create_project(service.registry, given["ProjectName"]))}


def describe_project(service: Service, given: Mapping[str, Any]) -> dict[str, Any]:
    """A project and its datasets."""
    project = projects.describe_project(service.registry, given["ProjectName"])
    datasets = [dataset_metadata(dataset) for dataset in list_datasets(service.registry, project.name)]
    return {"ProjectDescription": {**_metadata(service, project), "Datasets": datasets}}


def list_projects(service: Service, given: Mapping[str, Any]) -> dict[str, Any]:
    """All projects, by name."""
    after = decode_token(_LIST, given.get("NextToken"), projects.is_project_name)
    later = projects.list_projects(service.registry, after=after)
    page, token = page_of(_LIST, later, given, lambda project: project.name)
    return {"Projects": [_metadata(service, project) for project in page], "NextToken": token}


def delete_project(service: Service, given: Mapping[str, Any]) -> dict[str, Any]:
    """An empty project goes; images and inspections stay."""
    project = projects.describe_project(service.registry, given["ProjectName"])
    projects.delete_project(service.registry, project.name)
    delete_jobs(service.registry, project)
    delete_masks(service.datasets_bucket, project)
    return {"ProjectArn": service.function.project(given["ProjectName"])}


def _metadata(service: Service, project: Project) -> dict[str, Any]:
    return {
        "ProjectArn": service.function.project(project.name),
        "ProjectName": project.name,
        "CreationTimestamp": project.created_at,
    }
