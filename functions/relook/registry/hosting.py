"""Hosting: TRAINED to STARTING_HOSTING, HOSTED, and back to TRAINED.

The project's item points to the version that inspects its uploads; pointer and state change in one transaction.
"""

from __future__ import annotations

from datetime import UTC, datetime

from relook.aws.table import ConditionCheck, Table, Update
from relook.registry.contention import beside_others
from relook.registry.models import ModelStatus, ModelVersion, change_model, describe_model, list_models, model_key
from relook.registry.projects import HostedModel, describe_project, project_key


@beside_others
def start_hosting(table: Table, project: str, version: str) -> ModelVersion:
    """TRAINED or HOSTING_FAILED -> STARTING_HOSTING; also STARTING_HOSTING, for whoever began may have died.

    Raises:
        ConflictError: it is in another state.
        ResourceNotFoundError: no such project or version.
        ThrottledError: other writers were always faster; nothing was done.
    """
    before = (ModelStatus.TRAINED, ModelStatus.HOSTING_FAILED, ModelStatus.STARTING_HOSTING)
    changes = {"starting_since": datetime.now(UTC).isoformat()}
    return change_model(
        table, project, version, before, ModelStatus.STARTING_HOSTING, "The model is starting.", changes
    )


@beside_others
def finish_hosting(
    table: Table, project: str, version: str, *, min_units: int = 1, max_units: int | None = None
) -> None:
    """STARTING_HOSTING -> HOSTED, and from now on it inspects the project's uploads.

    Args:
        min_units, max_units: inference units, recorded as asked for.
    Raises:
        ConflictError: it is not starting.
        ResourceNotFoundError: no such project or version.
        ThrottledError: other writers were always faster; it is still starting.
    """
    pointer = Update(project_key(project), {"hosted": _pointer(describe_model(table, project, version))})
    units = {"min_inference_units": min_units, "max_inference_units": max_units}
    before, after = (ModelStatus.STARTING_HOSTING,), ModelStatus.HOSTED
    change_model(table, project, version, before, after, "The model is running.", units, [pointer])


@beside_others
def fail_hosting(table: Table, project: str, version: str, message: str) -> ModelVersion:
    """STARTING_HOSTING -> HOSTING_FAILED, with the reason.

    Raises:
        ConflictError: it is not starting.
        ResourceNotFoundError: no such project or version.
        ThrottledError: other writers were always faster; it is still starting.
    """
    return change_model(table, project, version, (ModelStatus.STARTING_HOSTING,), ModelStatus.HOSTING_FAILED, message)


@beside_others
def stop_hosting(table: Table, project: str, version: str) -> None:
    """HOSTED -> TRAINED; the newest version still hosted, if any, takes the uploads over.

    Raises:
        ConflictError: it is not hosted.
        ResourceNotFoundError: no such project or version.
        ThrottledError: other writers were always faster; it is still hosted.
    """
    hosted = describe_project(table, project).hosted
    current = _pointer(hosted) if hosted else None
    after, checks = current, []
    if hosted and hosted.version == version:
        running = (each for each in list_models(table, project) if each.status is ModelStatus.HOSTED)
        successor = next((each for each in running if each.version != version), None)
        after = _pointer(successor) if successor else None
        if successor:  # it must still be hosted when the pointer moves to it
            checks = [ConditionCheck(model_key(project, successor.version), {"status": (ModelStatus.HOSTED,)})]
    pointer = Update(project_key(project), {"hosted": after}, expect={"hosted": (current,)})
    units = {"min_inference_units": None, "max_inference_units": None}
    change_model(
        table,
        project,
        version,
        (ModelStatus.HOSTED,),
        ModelStatus.TRAINED,
        "The model is trained.",
        units,
        [pointer, *checks],
    )


def _pointer(model: ModelVersion | HostedModel) -> dict[str, str | None]:
    return {"version": model.version, "package_sha256": model.package_sha256}
