"""Moving the threshold of a model version, and back.

It is kept with the version. Where the version is hosted, the project's item carries it too, so that the pipeline reads
one item; both change in one transaction, together with the history.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from relook.aws.table import ConditionCheck, ConditionFailedError, Table, Update, Write
from relook.errors import ConflictError, InvalidRequestError, ResourceType
from relook.events import DetailType
from relook.quality.thresholds import Band
from relook.registry.contention import beside_others
from relook.registry.history import HistoryEntry, State, entry_of, record_change
from relook.registry.model_version import ModelVersion, Threshold, threshold_items
from relook.registry.models import describe_model, foiled, model_key
from relook.registry.projects import describe_project, hosted_item, project_key

KEPT = 10
"""Thresholds of a version that can still be gone back to."""


@beside_others
def choose_threshold(
    table: Table, project: str, version: str, value: float, *, how: str, who: str, borderline: Band | None = None
) -> HistoryEntry:
    """From now on the version judges by this threshold, in the pipeline as in DetectAnomalies.

    Args:
        value: anomaly probability, 0..1, from which an image is anomalous.
        how: how it was chosen, for people.
        who: the caller's ARN.
        borderline: probabilities so near it that a person should look; None for none.
    Raises:
        InvalidRequestError: the value is no probability.
        ConflictError: the version is not trained.
        ResourceNotFoundError: no such project or version.
        ThrottledError: other writers were always faster; nothing was changed.
    """
    if not 0 <= value <= 1:
        raise InvalidRequestError(f"A threshold of {value:g} is no probability; it lies between 0 and 1")
    model = describe_model(table, project, version)
    chosen = Threshold(value, how, who, datetime.now(UTC), borderline)
    return _change(table, model, (*model.thresholds, chosen)[-KEPT:], who)


@beside_others
def revoke_threshold(table: Table, project: str, version: str, *, who: str) -> HistoryEntry:
    """Back to the threshold that was chosen before, of the last ten; to the model's own when there is none.

    Raises:
        ConflictError: it judges by the model's own threshold, or is not trained.
        ResourceNotFoundError: no such project or version.
        ThrottledError: other writers were always faster; nothing was changed.
    """
    model = describe_model(table, project, version)
    if not model.thresholds:
        raise _conflict(model, "judges by its own threshold; there is none to revoke")
    return _change(table, model, model.thresholds[:-1], who)


def list_thresholds(table: Table, project: str, version: str) -> tuple[Threshold, ...]:
    """The last ten that were chosen and not revoked, newest first; the first is in force.

    Raises:
        ResourceNotFoundError: no such project or version.
    """
    return tuple(reversed(describe_model(table, project, version).thresholds))


def _change(table: Table, model: ModelVersion, thresholds: tuple[Threshold, ...], who: str) -> HistoryEntry:
    if model.package_sha256 is None:
        raise _conflict(model, f"is {model.status}; a threshold can be moved once it is trained")
    project, version = model.project, model.version
    hosted = describe_project(table, project).hosted
    expect = {"hosted": (hosted and hosted_item(hosted),)}
    pointer: Write = ConditionCheck(project_key(project), expect)
    if hosted and hosted.version == version:
        moved = hosted_item(replace(model, thresholds=thresholds).as_hosted())
        pointer = Update(project_key(project), {"hosted": moved}, expect=expect)
    before, after = threshold_items(model.thresholds), threshold_items(thresholds)
    change = Update(model_key(project, version), {"thresholds": after}, expect={"thresholds": (before,)})
    record = record_change(
        project,
        who=who,
        what=DetailType.THRESHOLD_CHANGED,
        subject=f"{project}/{version}",
        before=_state(model.thresholds),
        after=_state(thresholds),
    )
    try:
        table.write(change, pointer, record)
    except ConditionFailedError:
        raise foiled(project, version) from None
    return entry_of(record.item)


def _state(thresholds: tuple[Threshold, ...]) -> State | None:
    return {"threshold": thresholds[-1].value, "how": thresholds[-1].how} if thresholds else None


def _conflict(model: ModelVersion, message: str) -> ConflictError:
    return ConflictError(ResourceType.MODEL, model.name, f"Model {model.name} {message}")
