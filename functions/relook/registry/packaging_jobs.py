"""Packaging jobs: a model version made into something that runs on a device.

Jobs are a record of what was made, not something a project holds: they do not keep it from being deleted. Their key has
the time their project was created, so a later project of the same name never sees them, whatever became of the items.
A component's name and version are taken once and for all by the job that succeeds with them, since devices tell
components apart by them; a job that fails gives them back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from relook.aws.table import ConditionCheck, ConditionFailedError, Delete, Item, Put, Table, Update
from relook.errors import ConflictError, ResourceNotFoundError, ResourceType, ThrottledError
from relook.registry.contention import beside_others
from relook.registry.projects import Project, describe_project, project_key

ABANDONED_AFTER = timedelta(minutes=15)
"""No function runs longer, so a job that still runs by then was cut off."""


class JobStatus(StrEnum):
    """The life of a packaging job, as Lookout for Vision names it. None of ours waits in CREATED."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


@dataclass(frozen=True)
class PackagingJob:
    """One packaging job.

    Attributes:
        configuration: what was asked for, by the API's names; with a ComponentName and a ComponentVersion.
        component_arn: of what was made; None unless it succeeded.
        key: of its item.
    """

    project: str
    name: str
    version: str
    description: str | None
    status: JobStatus
    status_message: str
    configuration: Mapping[str, Any]
    component_arn: str | None
    created_at: datetime
    updated_at: datetime
    key: Mapping[str, str]


@beside_others
def create_job(
    table: Table, project: str, name: str, version: str, configuration: Mapping[str, Any], description: str | None
) -> PackagingJob:
    """Register a running job, and take the component's name and version.

    Raises:
        ResourceNotFoundError: no such project.
        ConflictError: the project has a job of this name, or the component's name and version are taken.
        ThrottledError: others were at the same items again and again.
    """
    owner = describe_project(table, project)
    now = datetime.now(UTC).isoformat()
    item = {
        **_key(owner, name),
        "project": project,
        "name": name,
        "version": version,
        "description": description,
        "status": JobStatus.RUNNING,
        "status_message": "The packaging job is running.",
        "configuration": configuration,
        "created_at": now,
        "updated_at": now,
    }
    taken = {**_component_key(configuration), "job": _key(owner, name)}
    same_owner = ConditionCheck(project_key(project), {"created_at": (owner.created_at.isoformat(),)})
    try:
        table.write(Put(item), Put(taken), same_owner)
    except ConditionFailedError:
        _refuse_taken(table, _job(item))
        message = f"Packaging job {project}/{name} could not be registered beside others; try again"
        raise ThrottledError(message) from None
    return _job(item)


def finish_job(table: Table, job: PackagingJob, component_arn: str, message: str) -> None:
    """RUNNING -> SUCCEEDED.

    Raises:
        ConflictError: it is not running.
    """
    changes = {"component_arn": component_arn, **_settled(JobStatus.SUCCEEDED, message)}
    try:
        table.write(Update(job.key, changes, expect={"status": (JobStatus.RUNNING,)}))
    except ConditionFailedError:
        raise _not_running(job) from None


def fail_job(table: Table, job: PackagingJob, message: str) -> None:
    """RUNNING -> FAILED, with the reason; the component's name and version are free again.

    Raises:
        ConflictError: it is not running.
    """
    change = Update(job.key, _settled(JobStatus.FAILED, message), expect={"status": (JobStatus.RUNNING,)})
    try:
        table.write(change, Delete(_component_key(job.configuration), expect={"job": (job.key,)}))
    except ConditionFailedError:
        raise _not_running(job) from None


def describe_job(table: Table, project: str, name: str) -> PackagingJob:
    """The job.

    Raises:
        ResourceNotFoundError: no such project or job.
    """
    job = _find(table, _key(describe_project(table, project), name))
    if job is None:
        raise ResourceNotFoundError(ResourceType.PACKAGING_JOB, f"{project}/{name}")
    return job


def list_jobs(table: Table, project: str) -> list[PackagingJob]:
    """The project's jobs, newest first.

    Raises:
        ResourceNotFoundError: no such project.
    """
    owner = describe_project(table, project)
    jobs = [_give_up_abandoned(table, _job(item)) for item in _items(table, owner)]
    return sorted(jobs, key=lambda job: (job.created_at, job.name), reverse=True)


def delete_jobs(table: Table, project: Project) -> None:
    """Forget the jobs of a project that was deleted; what they made stays where it is."""
    for item in list(_items(table, project)):
        with suppress(ConditionFailedError):  # somebody else forgot it
            table.write(Delete({"pk": item["pk"], "sk": item["sk"]}))


def _refuse_taken(table: Table, job: PackagingJob) -> None:
    """Say what is in the way; nothing, where it was an abandoned job or another writer."""
    resource_id = f"{job.project}/{job.name}"
    if table.get(job.key) is not None:
        message = f"Project {job.project} already has a packaging job {job.name}; give another JobName"
        raise ConflictError(ResourceType.PACKAGING_JOB, resource_id, message)
    taken = table.get(_component_key(job.configuration))
    if taken is None:
        return
    holder = _find(table, taken["job"])
    if holder is not None and holder.status is JobStatus.FAILED:  # just now, being abandoned
        return
    component = f"{job.configuration['ComponentName']} {job.configuration['ComponentVersion']}"
    message = f"Component {component} was made before; give another ComponentVersion or ComponentName"
    raise ConflictError(ResourceType.PACKAGING_JOB, resource_id, message)


def _find(table: Table, key: Mapping[str, str]) -> PackagingJob | None:
    item = table.get(key)
    return None if item is None else _give_up_abandoned(table, _job(item))


def _give_up_abandoned(table: Table, job: PackagingJob) -> PackagingJob:
    """The job as it is now; one whose function was cut off has failed."""
    if job.status is not JobStatus.RUNNING or datetime.now(UTC) - job.created_at < ABANDONED_AFTER:
        return job
    with suppress(ConflictError):  # settled by somebody else
        fail_job(table, job, "The packaging job was cut off before its end; start another.")
    item = table.get(job.key)
    return job if item is None else _job(item)


def _settled(status: JobStatus, message: str) -> dict[str, str]:
    return {"status": status, "status_message": message, "updated_at": datetime.now(UTC).isoformat()}


def _not_running(job: PackagingJob) -> ConflictError:
    resource_id = f"{job.project}/{job.name}"
    return ConflictError(ResourceType.PACKAGING_JOB, resource_id, f"Packaging job {resource_id} is not running")


def _items(table: Table, owner: Project) -> Iterator[Item]:
    key = _key(owner, "")
    return table.query(("pk", key["pk"]), sort_prefix=("sk", key["sk"]))


def _key(owner: Project, name: str) -> dict[str, str]:
    return {"pk": project_key(owner.name)["pk"], "sk": f"JOB#{owner.created_at.isoformat()}#{name}"}


def _component_key(configuration: Mapping[str, Any]) -> dict[str, str]:
    return {"pk": f"COMPONENT#{configuration['ComponentName']}", "sk": configuration["ComponentVersion"]}


def _job(item: Item) -> PackagingJob:
    return PackagingJob(
        project=item["project"],
        name=item["name"],
        version=item["version"],
        description=item.get("description"),
        status=JobStatus(item["status"]),
        status_message=item["status_message"],
        configuration=item["configuration"],
        component_arn=item.get("component_arn"),
        created_at=datetime.fromisoformat(item["created_at"]),
        updated_at=datetime.fromisoformat(item["updated_at"]),
        key={"pk": item["pk"], "sk": item["sk"]},
    )
