"""Model versions and their life: TRAINING, TRAINED, STARTING_HOSTING, HOSTED, and back to TRAINED.

Nothing runs while a version is hosted, so stopping and deleting are done at once: STOPPING_HOSTING and DELETING are
names that clients of Lookout for Vision know, and no version stays in them.

Every change of state is a conditional write, so two writers at once cannot both win. The project's item points
to the version that inspects its uploads; pointer and state change in one transaction. Trainings at once are limited
by slots: items of their own, each taken and freed in the transaction that begins or ends a training.

Whoever trains or starts a version may die without a word. A version in such a state that gave no sign of life for
longer than anybody can live ends it when it is next described, listed or counted.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from relook.errors import ConflictError, QuotaExceededError, ResourceNotFoundError, ResourceType, ThrottledError
from relook.registry.projects import count_children, describe_project, project_key
from relook.registry.table import ConditionCheck, ConditionFailedError, Delete, Item, Put, Table, Update, Write


class ModelStatus(StrEnum):
    """The life of a model version, as Lookout for Vision names it."""

    TRAINING = "TRAINING"
    TRAINED = "TRAINED"
    TRAINING_FAILED = "TRAINING_FAILED"
    STARTING_HOSTING = "STARTING_HOSTING"
    HOSTED = "HOSTED"
    HOSTING_FAILED = "HOSTING_FAILED"
    STOPPING_HOSTING = "STOPPING_HOSTING"
    DELETING = "DELETING"


@dataclass(frozen=True)
class Performance:
    """How well the model did on images it was not fitted to; 0..1 each, positive class anomaly."""

    f1_score: float
    recall: float
    precision: float


@dataclass(frozen=True)
class OutputPlace:
    """Where training writes its evaluation; keys begin with `prefix`, as it is, without a slash of ours."""

    bucket: str
    prefix: str


@dataclass(frozen=True)
class EvaluationFiles:
    """Keys of what training wrote, in the bucket of the version's output."""

    manifest_key: str
    result_key: str
    report_key: str


@dataclass(frozen=True)
class ModelVersion:
    """One model version.

    Attributes:
        version: "1", "2", ... per project.
        package_sha256: of the package's files, checked whenever they are loaded; None until trained.
        performance: None until trained, or where there was nothing to measure it on.
        output: None for a version that was registered, not trained.
        kms_key_id: encrypts what is written to `output`.
        evaluation: None until trained, or where there is no output.
        sign_of_life_at: when the training last said how far it is.
        training_ended_at: well or not; None before.
        starting_since: when its last start began.
        min_inference_units, max_inference_units: as asked for when it was started; None while it is not hosted.
    """

    project: str
    version: str
    status: ModelStatus
    status_message: str
    created_at: datetime
    description: str | None = None
    package_sha256: str | None = None
    performance: Performance | None = None
    output: OutputPlace | None = None
    kms_key_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    evaluation: EvaluationFiles | None = None
    sign_of_life_at: datetime | None = None
    training_ended_at: datetime | None = None
    starting_since: datetime | None = None
    min_inference_units: int | None = None
    max_inference_units: int | None = None


TRAINING_QUOTA = "ConcurrentTrainings"
"""Quota code of the error for one training too many. Those of the original service are not known."""

# A function trains for at most 15 minutes and begins with a sign of life. If it dies, its message comes back one
# minute later at most; the rest is for a queue that is slow or a function that is throttled.
TRAINING_SILENCE = timedelta(hours=1)

# A start is one call of a function whose callers wait for it, so it takes seconds.
STARTING_SILENCE = timedelta(minutes=15)


def create_model(
    table: Table,
    project: str,
    *,
    description: str | None = None,
    output: OutputPlace | None = None,
    kms_key_id: str | None = None,
    tags: Mapping[str, str] | None = None,
    slots: int | None = None,
) -> ModelVersion:
    """Register the project's next model version, in training.

    Args:
        slots: model versions that may be in training at once, in all projects together; None for any number. Only
            those that were registered with a limit count.
    Raises:
        ResourceNotFoundError: no such project.
        QuotaExceededError: all slots are taken.
        ThrottledError: other writers were always faster; nothing was registered.
    """
    created_at = datetime.now(UTC).isoformat()
    for _ in _attempts():
        # The counter only grows: a number is never given twice, not even after its version was deleted.
        before = describe_project(table, project).latest_version
        version = str(before + 1)
        slot = None if slots is None else random.choice(_free_slots(table, project, slots))
        taken = [] if slot is None else [Put({**_slot_key(slot), "project": project, "version": version})]
        item = {
            **_key(project, version),
            "project": project,
            "version": version,
            "status": ModelStatus.TRAINING,
            "status_message": "The model is being trained.",
            "created_at": created_at,
            "description": description,
            "output": asdict(output) if output else None,
            "kms_key_id": kms_key_id,
            "tags": dict(tags or {}),
            "slot": slot,
        }
        counted = Update(
            project_key(project),
            {"latest_version": before + 1},
            {"children": 1},
            expect={"latest_version": (before,)},
        )
        try:
            table.write(Put(item), counted, *taken)
        except ConditionFailedError:
            continue
        return _model(item)
    raise _too_busy(project, version)


def report_training(table: Table, project: str, version: str, message: str) -> None:
    """Say how far the training is, which is a sign of life too.

    Raises:
        ConflictError: it is not in training.
        ResourceNotFoundError: no such project or version.
    """
    changes = {"sign_of_life_at": datetime.now(UTC).isoformat()}
    _change(table, project, version, {ModelStatus.TRAINING}, ModelStatus.TRAINING, message, changes)


def finish_training(
    table: Table,
    project: str,
    version: str,
    package_sha256: str,
    performance: Performance | None,
    message: str,
    *,
    evaluation: EvaluationFiles | None = None,
    ended_at: datetime | None = None,
) -> ModelVersion:
    """TRAINING -> TRAINED.

    Args:
        ended_at: now unless given.
    Raises:
        ConflictError: it is not in training.
        ResourceNotFoundError: no such project or version.
        ThrottledError: other writers were always faster; it is still in training.
    """
    changes = {
        "package_sha256": package_sha256,
        "performance": asdict(performance) if performance else None,
        "evaluation": asdict(evaluation) if evaluation else None,
        "training_ended_at": (ended_at or datetime.now(UTC)).isoformat(),
    }
    return _end_training(table, project, version, ModelStatus.TRAINED, message, changes)


def fail_training(table: Table, project: str, version: str, message: str) -> ModelVersion:
    """TRAINING -> TRAINING_FAILED, with the reason.

    Raises:
        ConflictError: it is not in training.
        ResourceNotFoundError: no such project or version.
        ThrottledError: other writers were always faster; it is still in training.
    """
    changes = {"training_ended_at": datetime.now(UTC).isoformat()}
    return _end_training(table, project, version, ModelStatus.TRAINING_FAILED, message, changes)


def start_hosting(table: Table, project: str, version: str) -> ModelVersion:
    """TRAINED or HOSTING_FAILED -> STARTING_HOSTING; also STARTING_HOSTING, for whoever began may have died.

    Raises:
        ConflictError: it is in another state.
    """
    return _change(
        table,
        project,
        version,
        {ModelStatus.TRAINED, ModelStatus.HOSTING_FAILED, ModelStatus.STARTING_HOSTING},
        ModelStatus.STARTING_HOSTING,
        "The model is starting.",
        {"starting_since": datetime.now(UTC).isoformat()},
    )


def finish_hosting(
    table: Table, project: str, version: str, *, min_units: int = 1, max_units: int | None = None
) -> None:
    """STARTING_HOSTING -> HOSTED, and from now on it inspects the project's uploads.

    Args:
        min_units, max_units: inference units, recorded as asked for.
    Raises:
        ConflictError: it is not starting.
        ThrottledError: other writers were always faster; it is still starting.
    """
    units = {"min_inference_units": min_units, "max_inference_units": max_units}
    for _ in _attempts():
        pointer = Update(project_key(project), {"hosted": _pointer(describe_model(table, project, version))})
        if _change_with_project(
            table,
            project,
            version,
            (ModelStatus.STARTING_HOSTING, ModelStatus.HOSTED),
            "The model is running.",
            pointer,
            changes=units,
        ):
            return
    raise _too_busy(project, version)


def fail_hosting(table: Table, project: str, version: str, message: str) -> ModelVersion:
    """STARTING_HOSTING -> HOSTING_FAILED, with the reason.

    Raises:
        ConflictError: it is not starting.
    """
    return _change(table, project, version, {ModelStatus.STARTING_HOSTING}, ModelStatus.HOSTING_FAILED, message)


def stop_hosting(table: Table, project: str, version: str) -> None:
    """HOSTED -> TRAINED; the newest version still hosted, if any, takes the uploads over.

    Raises:
        ConflictError: it is not hosted.
        ThrottledError: other writers were always faster; it is still hosted.
    """
    for _ in _attempts():
        if _stop_hosting(table, project, version):
            return
    raise _too_busy(project, version)


def _stop_hosting(table: Table, project: str, version: str) -> bool:
    """As `_change_with_project`."""
    hosted = describe_project(table, project).hosted
    current = {"version": hosted.version, "package_sha256": hosted.package_sha256} if hosted else None
    others = [
        model
        for model in list_models(table, project)
        if model.status is ModelStatus.HOSTED and model.version != version
    ]
    is_leading = hosted is not None and hosted.version == version
    heir = others[0] if others and is_leading else None
    pointer = Update(
        project_key(project),
        {"hosted": (_pointer(heir) if heir else None) if is_leading else current},
        expect={"hosted": (current,)},
    )
    # The heir must still be hosted when the pointer moves to it.
    checks = [ConditionCheck(_key(project, heir.version), {"status": (ModelStatus.HOSTED,)})] if heir else []
    return _change_with_project(
        table,
        project,
        version,
        (ModelStatus.HOSTED, ModelStatus.TRAINED),
        "The model is trained.",
        pointer,
        *checks,
        changes={"min_inference_units": None, "max_inference_units": None},
    )


def describe_model(table: Table, project: str, version: str) -> ModelVersion:
    """The model version.

    Raises:
        ResourceNotFoundError: no such project or version.
    """
    return _without_the_dead(table, _read(table, project, version))


def list_models(table: Table, project: str) -> Iterator[ModelVersion]:
    """The project's model versions, newest first."""
    partition = ("pk", project_key(project)["pk"])
    items = table.query(partition, sort_prefix=("sk", "MODEL#"), newest_first=True)
    return (_without_the_dead(table, _model(item)) for item in items)


def change_tags(
    table: Table, project: str, version: str, change: Callable[[dict[str, str]], dict[str, str]]
) -> ModelVersion:
    """Replace the tags by what `change` makes of them; two changes at once both take effect.

    Raises:
        ResourceNotFoundError: no such project or version.
        ThrottledError: other writers were always faster; nothing was changed.
    """
    for _ in _attempts():
        before = _read(table, project, version)
        # None where a version of an earlier release has no tags yet.
        expect = {"tags": (dict(before.tags), *((None,) if not before.tags else ()))}
        try:
            after = change(dict(before.tags))
            return _model(table.update(Update(_key(project, version), {"tags": after}, expect=expect)))
        except ConditionFailedError:
            continue
    raise _too_busy(project, version)


def delete_model(table: Table, project: str, version: str) -> None:
    """Forget a model version that is neither in training nor hosted.

    Raises:
        ResourceNotFoundError: no such project or version.
        ConflictError: it is in use.
        ThrottledError: other writers were always faster; nothing was deleted.
    """
    idle = (ModelStatus.TRAINED, ModelStatus.TRAINING_FAILED, ModelStatus.HOSTING_FAILED)
    for _ in _attempts():
        model = describe_model(table, project, version)
        if model.status not in idle:
            raise _wrong_state(model, ModelStatus.DELETING, idle)
        try:
            table.write(Delete(_key(project, version), expect={"status": idle}), count_children(project, -1))
        except ConditionFailedError:
            continue
        return
    raise _too_busy(project, version)


def _end_training(
    table: Table, project: str, version: str, after: ModelStatus, message: str, changes: Mapping[str, Any]
) -> ModelVersion:
    """State and slot in one transaction."""
    key = _key(project, version)
    for _ in _attempts():
        item = table.get(key)
        if item is None or item["status"] != ModelStatus.TRAINING:
            raise _wrong_state(_read(table, project, version), after, (ModelStatus.TRAINING,))
        change = Update(
            key,
            {"status": after, "status_message": message, "slot": None, **changes},
            expect={"status": (ModelStatus.TRAINING,)},
        )
        taken = [_freeing(item["slot"], project, version)] if "slot" in item else []
        try:
            table.write(change, *taken)
        except ConditionFailedError:
            continue
        return _read(table, project, version)
    raise _too_busy(project, version)


def _free_slots(table: Table, project: str, slots: int) -> list[int]:
    """Numbers of the slots that nobody has, at least one.

    Raises:
        QuotaExceededError: there are none.
    """
    taken = {}
    for item in list(table.query(("pk", _SLOTS))):
        try:
            model = describe_model(table, item["project"], item["version"])
        except ResourceNotFoundError:
            continue  # deleted between the two readings, and its slot with it
        if model.status is ModelStatus.TRAINING:
            taken[item["slot"]] = f"{model.project}/{model.version}"
    free = [slot for slot in range(1, slots + 1) if slot not in taken]
    if not free or len(taken) >= slots:
        names = ", ".join(sorted(taken.values()))
        message = (
            f"{len(taken)} model versions are being trained ({names}), and no more than {slots} may be at once; wait "
            "for one to end, or raise the stage's max_concurrent_trainings"
        )
        raise QuotaExceededError(TRAINING_QUOTA, ResourceType.MODEL, project, message)
    return free


def _without_the_dead(table: Table, model: ModelVersion) -> ModelVersion:
    """The version; one whose training or start ended without a word has failed."""
    now = datetime.now(UTC)
    training = model.status is ModelStatus.TRAINING
    since = (model.sign_of_life_at if training else model.starting_since) or model.created_at
    limit = TRAINING_SILENCE if training else STARTING_SILENCE
    if (not training and model.status is not ModelStatus.STARTING_HOSTING) or now - since < limit:
        return model
    try:
        if training:
            message = (
                f"The training gave no sign of life for {limit.total_seconds() / 60:.0f} minutes. Look at the log of "
                "train_model and at the dead letters of the training queue, then create a new model version."
            )
            return fail_training(table, model.project, model.version, message)
        return fail_hosting(table, model.project, model.version, "The start ended without a word; start it again.")
    except ConflictError:  # somebody was faster
        return _read(table, model.project, model.version)


def _change(
    table: Table,
    project: str,
    version: str,
    before: set[ModelStatus],
    after: ModelStatus,
    message: str,
    changes: Mapping[str, Any] | None = None,
) -> ModelVersion:
    update = Update(
        _key(project, version),
        {"status": after, "status_message": message, **(changes or {})},
        expect={"status": tuple(sorted(before))},
    )
    for _ in _attempts():
        try:
            return _model(table.update(update))
        except ConditionFailedError:
            model = _read(table, project, version)
            if model.status not in before:
                raise _wrong_state(model, after, tuple(sorted(before))) from None
    raise _too_busy(project, version)


def _change_with_project(
    table: Table,
    project: str,
    version: str,
    states: tuple[ModelStatus, ModelStatus],
    message: str,
    *others: Write,
    changes: Mapping[str, Any],
) -> bool:
    """Whether it was done; if not, another writer changed the project, and all of it is to be looked at again.

    Raises:
        ConflictError: it is in another state.
    """
    before, after = states
    change = Update(
        _key(project, version),
        {"status": after, "status_message": message, **changes},
        expect={"status": (before,)},
    )
    try:
        table.write(change, *others)
    except ConditionFailedError:
        model = _read(table, project, version)
        if model.status is not before:
            raise _wrong_state(model, after, (before,)) from None
        return False
    return True


_SLOTS = "TRAININGS"
_ATTEMPTS = 8
_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 0.5


def _attempts() -> Iterator[int]:
    """For writes that another writer may have foiled: a few more tries, further and further apart."""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(random.uniform(0, min(_PAUSE_S * 2**attempt, _LONGEST_PAUSE_S)))
        yield attempt


def _slot_key(slot: int) -> dict[str, Any]:
    return {"pk": _SLOTS, "sk": f"SLOT#{slot}", "slot": slot}


def _freeing(slot: int, project: str, version: str) -> Delete:
    key = {"pk": _SLOTS, "sk": f"SLOT#{slot}"}
    return Delete(key, expect={"project": (project,), "version": (version,)})


def _too_busy(project: str, version: str) -> ThrottledError:
    return ThrottledError(f"Model {project}/{version} was being changed by others at the same time; try again")


def _read(table: Table, project: str, version: str) -> ModelVersion:
    """As `describe_model`, but the state as it is written."""
    item = table.get(_key(project, version)) if version.isdecimal() else None
    if item is None:
        describe_project(table, project)  # which may be what is missing; no project is gone while it has versions
        raise ResourceNotFoundError(ResourceType.MODEL, f"{project}/{version}")
    return _model(item)


def _pointer(model: ModelVersion) -> dict[str, str | None]:
    return {"version": model.version, "package_sha256": model.package_sha256}


def _wrong_state(model: ModelVersion, after: ModelStatus, before: tuple[ModelStatus, ...]) -> ConflictError:
    resource_id = f"{model.project}/{model.version}"
    message = f"Model {resource_id} is {model.status}; it can become {after} only from {' or '.join(before)}"
    return ConflictError(ResourceType.MODEL, resource_id, message)


def _key(project: str, version: str) -> dict[str, str]:
    # Zero-padded, so that the sort key's order is the numbers' order.
    return {"pk": project_key(project)["pk"], "sk": f"MODEL#{int(version):010d}"}


def _model(item: Item) -> ModelVersion:
    return ModelVersion(
        project=item["project"],
        version=item["version"],
        status=ModelStatus(item["status"]),
        status_message=item["status_message"],
        created_at=datetime.fromisoformat(item["created_at"]),
        description=item.get("description"),
        package_sha256=item.get("package_sha256"),
        performance=Performance(**item["performance"]) if item.get("performance") else None,
        output=OutputPlace(**item["output"]) if item.get("output") else None,
        kms_key_id=item.get("kms_key_id"),
        tags=item.get("tags", {}),
        evaluation=EvaluationFiles(**item["evaluation"]) if item.get("evaluation") else None,
        sign_of_life_at=_time(item.get("sign_of_life_at")),
        training_ended_at=_time(item.get("training_ended_at")),
        starting_since=_time(item.get("starting_since")),
        min_inference_units=item.get("min_inference_units"),
        max_inference_units=item.get("max_inference_units"),
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
