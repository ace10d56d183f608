"""Model versions and their life: TRAINING, TRAINED, STARTING_HOSTING, HOSTED, and back to TRAINED.

Nothing runs while a version is hosted, so stopping and deleting are done at once: STOPPING_HOSTING and DELETING are
names that clients of Lookout for Vision know, and no version stays in them.

Every change of state is a conditional write, so two writers at once cannot both win. The ways from state to state are
in `trainings` and `hosting`; what they share is here.

Whoever trains or starts a version may die without a word. A version in such a state that gave no sign of life for
longer than anybody can live ends it when it is next described, listed or counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from relook.aws.table import ConditionFailedError, Delete, Expected, Table, Update, Write
from relook.errors import ConflictError, ResourceNotFoundError, ResourceType, ThrottledError
from relook.registry.contention import beside_others
from relook.registry.model_version import ModelStatus, ModelVersion, to_model
from relook.registry.projects import count_children, describe_project, project_key

# A function trains for at most 15 minutes and begins with a sign of life. If it dies, its message comes back one
# minute later at most; the rest is for a queue that is slow or a function that is throttled.
TRAINING_SILENCE = timedelta(hours=1)

# A start is one call of a function whose callers wait for it, so it takes seconds.
STARTING_SILENCE = timedelta(minutes=15)

SLOTS = "TRAININGS"
"""Partition of the items that stand for trainings that may run at once."""


def describe_model(table: Table, project: str, version: str) -> ModelVersion:
    """The model version.

    Raises:
        ResourceNotFoundError: no such project or version.
    """
    return _without_the_dead(table, read_model(table, project, version))


def list_models(table: Table, project: str) -> Iterator[ModelVersion]:
    """The project's model versions, newest first."""
    partition = ("pk", project_key(project)["pk"])
    items = table.query(partition, sort_prefix=("sk", "MODEL#"), newest_first=True)
    return (_without_the_dead(table, to_model(item)) for item in items)


@beside_others
def change_tags(
    table: Table, project: str, version: str, change: Callable[[dict[str, str]], dict[str, str]]
) -> ModelVersion:
    """Replace the tags by what `change` makes of them; two changes at once both take effect.

    Raises:
        ResourceNotFoundError: no such project or version.
        ThrottledError: other writers were always faster; nothing was changed.
    """
    before = read_model(table, project, version)
    # None where a version of an earlier release has no tags yet.
    expect = {"tags": (dict(before.tags), *((None,) if not before.tags else ()))}
    after = change(dict(before.tags))
    try:
        return to_model(table.update(Update(model_key(project, version), {"tags": after}, expect=expect)))
    except ConditionFailedError:
        raise foiled(project, version) from None


@beside_others
def delete_model(table: Table, project: str, version: str) -> None:
    """Forget a model version that is neither in training nor hosted.

    Raises:
        ResourceNotFoundError: no such project or version.
        ConflictError: it is in use.
        ThrottledError: other writers were always faster; nothing was deleted.
    """
    idle = (ModelStatus.TRAINED, ModelStatus.TRAINING_FAILED, ModelStatus.HOSTING_FAILED)
    model = describe_model(table, project, version)
    if model.status not in idle:
        raise _wrong_state(model, idle, ModelStatus.DELETING)
    try:
        table.write(Delete(model_key(project, version), expect={"status": idle}), count_children(project, -1))
    except ConditionFailedError:
        raise foiled(project, version) from None


def change_model(
    table: Table,
    project: str,
    version: str,
    before: tuple[ModelStatus, ...],
    after: ModelStatus,
    message: str,
    changes: Mapping[str, Any] | None = None,
    others: Sequence[Write] | None = None,
    expect: Expected | None = None,
) -> ModelVersion:
    """From one of the states `before` to `after`, in one attempt.

    Args:
        others: writes that take effect together with this one, or not at all.
        expect: what else of the version must be as it was read.
    Raises:
        ConflictError: it is in another state.
        ResourceNotFoundError: no such project or version.
        ThrottledError: another writer was faster; nothing was done.
    """
    change = Update(
        model_key(project, version),
        {"status": after, "status_message": message, **(changes or {})},
        expect={"status": before, **(expect or {})},
    )
    try:
        if others is None:
            return to_model(table.update(change))
        table.write(change, *others)
    except ConditionFailedError:
        model = read_model(table, project, version)
        if model.status not in before:
            raise _wrong_state(model, before, after) from None
        raise foiled(project, version) from None
    return read_model(table, project, version)


def end_training(
    table: Table, project: str, version: str, after: ModelStatus, message: str, changes: Mapping[str, Any]
) -> ModelVersion:
    """Out of TRAINING, and the slot is free again; in one attempt, which raises as `change_model`."""
    slot = (table.get(model_key(project, version)) or {}).get("slot")
    holder = {"project": (project,), "version": (version,)}
    freed = [] if slot is None else [Delete(slot_key(slot), expect=holder)]
    changes = {"slot": None, "training_ended_at": datetime.now(UTC).isoformat(), **changes}
    return change_model(table, project, version, (ModelStatus.TRAINING,), after, message, changes, freed)


def read_model(table: Table, project: str, version: str) -> ModelVersion:
    """As `describe_model`, but the state as it is written.

    Raises:
        ResourceNotFoundError: no such project or version.
    """
    item = table.get(model_key(project, version)) if version.isdecimal() else None
    if item is None:
        describe_project(table, project)  # which may be what is missing; no project is gone while it has versions
        raise ResourceNotFoundError(ResourceType.MODEL, f"{project}/{version}")
    return to_model(item)


def model_key(project: str, version: str) -> dict[str, str]:
    """Primary key of a model version's item, zero-padded so that the sort key's order is the numbers' order."""
    return {"pk": project_key(project)["pk"], "sk": f"MODEL#{int(version):010d}"}


def slot_key(slot: int) -> dict[str, str]:
    """Primary key of a training slot's item."""
    return {"pk": SLOTS, "sk": f"SLOT#{slot}"}


def foiled(project: str, version: str) -> ThrottledError:
    """What to raise when another writer of the version was faster."""
    return ThrottledError(f"Model {project}/{version} was being changed by others at the same time; try again")


def _without_the_dead(table: Table, model: ModelVersion) -> ModelVersion:
    """The version; one whose training or start ended without a word has failed."""
    is_training = model.status is ModelStatus.TRAINING
    if not is_training and model.status is not ModelStatus.STARTING_HOSTING:
        return model
    since = (model.sign_of_life_at if is_training else model.starting_since) or model.created_at
    limit = TRAINING_SILENCE if is_training else STARTING_SILENCE
    if datetime.now(UTC) - since < limit:
        return model
    which = (table, model.project, model.version)
    try:
        if is_training:
            message = (
                f"The training gave no sign of life for {limit.total_seconds() / 60:.0f} minutes. Look at the log of "
                "train_model and at the dead letters of the training queue, then create a new model version."
            )
            return end_training(*which, ModelStatus.TRAINING_FAILED, message, {})
        message = "The start ended without a word; start it again."
        return change_model(*which, (ModelStatus.STARTING_HOSTING,), ModelStatus.HOSTING_FAILED, message)
    except (ConflictError, ThrottledError):  # somebody was faster
        return read_model(*which)


def _wrong_state(model: ModelVersion, before: tuple[ModelStatus, ...], after: ModelStatus) -> ConflictError:
    message = f"Model {model.name} {_obstacle(model.status, before, after)} (it is {model.status})"
    return ConflictError(ResourceType.MODEL, model.name, message)


def _obstacle(status: ModelStatus, before: tuple[ModelStatus, ...], after: ModelStatus) -> str:
    """What is in the way of a change, and what would be right."""
    match before:
        case (ModelStatus.HOSTED,):
            return "is not hosted, so there is nothing to stop"
        case (ModelStatus.TRAINING,):
            return "is not being trained any more"
        case (ModelStatus.STARTING_HOSTING,):
            return "is not being started any more"
    match status:
        case ModelStatus.TRAINING:
            return "is being trained; wait until that has ended"
        case ModelStatus.TRAINING_FAILED:
            return "could not be trained, so there is nothing to start; train a new version"
        case ModelStatus.HOSTED if after is ModelStatus.STARTING_HOSTING:
            return "is hosted already; stop it first to start it with other inference units"
    return "is in use; stop it before it is deleted"
