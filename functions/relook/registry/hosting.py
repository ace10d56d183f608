"""Hosting: TRAINED to STARTING_HOSTING, HOSTED, and back to TRAINED.

The project's item points to the version that inspects its uploads; pointer and state change in one transaction.
"""

from __future__ import annotations

from datetime import UTC, datetime

from relook.aws.table import ConditionCheck, Put, Table, Update, Write
from relook.events import DetailType
from relook.registry.contention import beside_others
from relook.registry.history import HistoryEntry, State, entry_of, record_change
from relook.registry.model_version import ModelStatus, ModelVersion, threshold_items
from relook.registry.models import change_model, describe_model, list_models, model_key
from relook.registry.projects import HostedModel, describe_project, hosted_item, project_key


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
    table: Table, project: str, version: str, *, who: str, min_units: int = 1, max_units: int | None = None
) -> HistoryEntry:
    """STARTING_HOSTING -> HOSTED, and from now on it inspects the project's uploads.

    Args:
        who: the caller's ARN.
        min_units, max_units: inference units, recorded as asked for.
    Raises:
        ConflictError: it is not starting, or has no package.
        ResourceNotFoundError: no such project or version.
        ThrottledError: other writers were always faster; it is still starting.
    """
    model, current = describe_model(table, project, version), describe_project(table, project).hosted
    pointer, record = _point(project, current, model.as_hosted(), who)
    units = {"min_inference_units": min_units, "max_inference_units": max_units}
    before, after = (ModelStatus.STARTING_HOSTING,), ModelStatus.HOSTED
    # The pointer carries the threshold, which must not be moved meanwhile.
    expect = {"thresholds": (threshold_items(model.thresholds),)}
    change_model(table, project, version, before, after, "The model is running.", units, [pointer, record], expect)
    return entry_of(record.item)


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
def stop_hosting(table: Table, project: str, version: str, *, who: str) -> HistoryEntry | None:
    """HOSTED -> TRAINED; the newest version still hosted, if any, takes the uploads over.

    Args:
        who: the caller's ARN.
    Returns:
        What changed for the project's uploads; None where another version inspects them anyway.
    Raises:
        ConflictError: it is not hosted.
        ResourceNotFoundError: no such project or version.
        ThrottledError: other writers were always faster; it is still hosted.
    """
    current = describe_project(table, project).hosted
    others: list[Write] = []
    record = None
    if current and current.version == version:
        running = (each for each in list_models(table, project) if each.status is ModelStatus.HOSTED)
        successor = next((each for each in running if each.version != version), None)
        pointer, record = _point(project, current, successor.as_hosted() if successor else None, who)
        others = [pointer, record]
        if successor:  # it must still be hosted, and judge as it does, when the pointer moves to it
            expect = {"status": (ModelStatus.HOSTED,), "thresholds": (threshold_items(successor.thresholds),)}
            others.append(ConditionCheck(model_key(project, successor.version), expect))
    else:
        others = [ConditionCheck(project_key(project), {"hosted": (current and hosted_item(current),)})]
    units = {"min_inference_units": None, "max_inference_units": None}
    before, after = (ModelStatus.HOSTED,), ModelStatus.TRAINED
    change_model(table, project, version, before, after, "The model is trained.", units, others)
    return entry_of(record.item) if record else None


def _point(project: str, current: HostedModel | None, after: HostedModel | None, who: str) -> tuple[Update, Put]:
    """Let another version inspect the uploads, if still `current` does; and what the history says of it."""
    expect = {"hosted": (current and hosted_item(current),)}
    pointer = Update(project_key(project), {"hosted": after and hosted_item(after)}, expect=expect)
    record = record_change(
        project, who=who, what=DetailType.MODEL_HOSTED, subject=project, before=_state(current), after=_state(after)
    )
    return pointer, record


def _state(hosted: HostedModel | None) -> State | None:
    return {"model_version": hosted.version} if hosted else None
