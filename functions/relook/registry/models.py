"""Model versions and their life: TRAINING, TRAINED, STARTING_HOSTING, HOSTED, and back to TRAINED.

Nothing runs while a version is hosted, so stopping and deleting are done at once: STOPPING_HOSTING and DELETING are
names that clients of Lookout for Vision know, and no version stays in them.

Every change of state is a conditional write, so two writers at once cannot both win. The project's item points
to the version that inspects its uploads; pointer and state change in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from relook.errors import ConflictError, ResourceNotFoundError, ResourceType
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
class ModelVersion:
    """One model version.

    Attributes:
        version: "1", "2", ... per project.
        package_sha256: of the package's files, checked whenever they are loaded; None until trained.
        performance: None until trained, or where there was nothing to measure it on.
    """

    project: str
    version: str
    status: ModelStatus
    status_message: str
    created_at: datetime
    description: str | None
    package_sha256: str | None
    performance: Performance | None


def create_model(table: Table, project: str, description: str | None = None) -> ModelVersion:
    """Register the project's next model version, in training.

    Raises:
        ResourceNotFoundError: no such project.
    """
    describe_project(table, project)
    # The counter only grows: a number is never given twice, not even after its version was deleted.
    try:
        latest = table.update(Update(project_key(project), add={"latest_version": 1}))["latest_version"]
    except ConditionFailedError:  # deleted just now
        raise ResourceNotFoundError(ResourceType.PROJECT, project) from None
    item = {
        **_key(project, str(latest)),
        "project": project,
        "version": str(latest),
        "status": ModelStatus.TRAINING,
        "status_message": "The model is being trained.",
        "created_at": datetime.now(UTC).isoformat(),
        "description": description,
    }
    try:
        table.write(Put(item), count_children(project, +1))
    except ConditionFailedError:
        raise ResourceNotFoundError(ResourceType.PROJECT, project) from None
    return _model(item)


def finish_training(
    table: Table, project: str, version: str, package_sha256: str, performance: Performance | None, message: str
) -> ModelVersion:
    """TRAINING -> TRAINED.

    Raises:
        ConflictError: it is not in training.
    """
    scores = None if performance is None else performance.__dict__
    changes = {"package_sha256": package_sha256, "performance": scores}
    return _change(table, project, version, {ModelStatus.TRAINING}, ModelStatus.TRAINED, message, changes)


def fail_training(table: Table, project: str, version: str, message: str) -> ModelVersion:
    """TRAINING -> TRAINING_FAILED, with the reason.

    Raises:
        ConflictError: it is not in training.
    """
    return _change(table, project, version, {ModelStatus.TRAINING}, ModelStatus.TRAINING_FAILED, message)


def start_hosting(table: Table, project: str, version: str) -> ModelVersion:
    """TRAINED or HOSTING_FAILED -> STARTING_HOSTING.

    Raises:
        ConflictError: it is in another state.
    """
    return _change(
        table,
        project,
        version,
        {ModelStatus.TRAINED, ModelStatus.HOSTING_FAILED},
        ModelStatus.STARTING_HOSTING,
        "The model is starting.",
    )


def finish_hosting(table: Table, project: str, version: str) -> None:
    """STARTING_HOSTING -> HOSTED, and from now on it inspects the project's uploads.

    Raises:
        ConflictError: it is not starting.
    """
    pointer = Update(project_key(project), {"hosted": _pointer(describe_model(table, project, version))})
    _change_with_project(
        table, project, version, ModelStatus.STARTING_HOSTING, ModelStatus.HOSTED, "The model is running.", pointer
    )


def fail_hosting(table: Table, project: str, version: str, message: str) -> ModelVersion:
    """STARTING_HOSTING -> HOSTING_FAILED, with the reason.

    Raises:
        ConflictError: it is not starting.
    """
    return _change(table, project, version, {ModelStatus.STARTING_HOSTING}, ModelStatus.HOSTING_FAILED, message)


def stop_hosting(table: Table, project: str, version: str) -> None:
    """HOSTED -> TRAINED; the newest version still hosted, if any, takes the uploads over.

    Raises:
        ConflictError: it is not hosted, or the project's hosting changed at the same time.
    """
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
    _change_with_project(
        table, project, version, ModelStatus.HOSTED, ModelStatus.TRAINED, "The model is trained.", pointer, *checks
    )


def describe_model(table: Table, project: str, version: str) -> ModelVersion:
    """The model version.

    Raises:
        ResourceNotFoundError: no such project or version.
    """
    describe_project(table, project)
    item = table.get(_key(project, version)) if version.isdecimal() else None
    if item is None:
        raise ResourceNotFoundError(ResourceType.MODEL, f"{project}/{version}")
    return _model(item)


def list_models(table: Table, project: str) -> Iterator[ModelVersion]:
    """The project's model versions, newest first."""
    partition = ("pk", project_key(project)["pk"])
    return (_model(item) for item in table.query(partition, sort_prefix=("sk", "MODEL#"), newest_first=True))


def delete_model(table: Table, project: str, version: str) -> None:
    """Forget a model version that is neither in training nor hosted.

    Raises:
        ResourceNotFoundError: no such project or version.
        ConflictError: it is in use.
    """
    model = describe_model(table, project, version)
    idle = (ModelStatus.TRAINED, ModelStatus.TRAINING_FAILED, ModelStatus.HOSTING_FAILED)
    try:
        table.write(Delete(_key(project, version), expect={"status": idle}), count_children(project, -1))
    except ConditionFailedError:
        raise _wrong_state(model, ModelStatus.DELETING, idle) from None


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
    try:
        return _model(table.update(update))
    except ConditionFailedError:
        raise _wrong_state(describe_model(table, project, version), after, tuple(sorted(before))) from None


def _change_with_project(
    table: Table, project: str, version: str, before: ModelStatus, after: ModelStatus, message: str, *others: Write
) -> None:
    change = Update(_key(project, version), {"status": after, "status_message": message}, expect={"status": (before,)})
    try:
        table.write(change, *others)
    except ConditionFailedError:
        model = describe_model(table, project, version)
        if model.status is not before:
            raise _wrong_state(model, after, (before,)) from None
        resource_id = f"{project}/{version}"
        text = f"Another model version of project {project} was started or stopped at the same time; try again"
        raise ConflictError(ResourceType.MODEL, resource_id, text) from None


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
    performance = item.get("performance")
    return ModelVersion(
        project=item["project"],
        version=item["version"],
        status=ModelStatus(item["status"]),
        status_message=item["status_message"],
        created_at=datetime.fromisoformat(item["created_at"]),
        description=item.get("description"),
        package_sha256=item.get("package_sha256"),
        performance=Performance(**performance) if performance else None,
    )
