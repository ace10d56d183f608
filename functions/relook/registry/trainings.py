"""Model versions in training: TRAINING, then TRAINED or TRAINING_FAILED.

Trainings at once are limited by slots: items of their own, each taken and freed in the transaction that begins or ends
a training.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime

from relook.aws.table import ConditionFailedError, Put, Table, Update, Write
from relook.errors import QuotaExceededError, ResourceNotFoundError, ResourceType, ThrottledError
from relook.quality.thresholds import Band
from relook.registry.contention import beside_others
from relook.registry.model_version import EvaluationFiles, ModelStatus, ModelVersion, OutputPlace, Performance, to_model
from relook.registry.models import SLOTS, change_model, describe_model, end_training, model_key, slot_key
from relook.registry.projects import describe_project, project_key

TRAINING_QUOTA = "ConcurrentTrainings"
"""Quota code of the error for one training too many. Those of the original service are not known."""


@beside_others
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
    # The counter only grows: a number is never given twice, not even after its version was deleted.
    before = describe_project(table, project).latest_version
    version = str(before + 1)
    slot = None if slots is None else random.choice(_free_slots(table, project, slots))
    item = {
        **model_key(project, version),
        "project": project,
        "version": version,
        "status": ModelStatus.TRAINING,
        "status_message": "The model is being trained.",
        "created_at": datetime.now(UTC).isoformat(),
        "description": description,
        "output": asdict(output) if output else None,
        "kms_key_id": kms_key_id,
        "tags": dict(tags or {}),
        "slot": slot,
    }
    writes: list[Write] = [
        Put(item),
        Update(project_key(project), {"latest_version": before + 1}, {"children": 1}, {"latest_version": (before,)}),
    ]
    if slot is not None:
        writes.append(Put({**slot_key(slot), "slot": slot, "project": project, "version": version}))
    try:
        table.write(*writes)
    except ConditionFailedError:
        raise ThrottledError(f"Other models of project {project} were registered at the same time; try again") from None
    return to_model(item)


@beside_others
def report_training(table: Table, project: str, version: str, message: str) -> None:
    """Say how far the training is, which is a sign of life too.

    Raises:
        ConflictError: it is not in training.
        ResourceNotFoundError: no such project or version.
        ThrottledError: other writers were always faster; nothing was said.
    """
    changes = {"sign_of_life_at": datetime.now(UTC).isoformat()}
    change_model(table, project, version, (ModelStatus.TRAINING,), ModelStatus.TRAINING, message, changes)


@beside_others
def finish_training(
    table: Table,
    project: str,
    version: str,
    package_sha256: str,
    performance: Performance | None,
    message: str,
    *,
    evaluation: EvaluationFiles | None = None,
    borderline: Band | None = None,
    regions_key: str | None = None,
    ended_at: datetime | None = None,
) -> ModelVersion:
    """TRAINING -> TRAINED.

    Args:
        borderline: probabilities so near the threshold that a person should look; None for none.
        regions_key: of the mask that it was trained with; None where nothing is ignored.
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
        "borderline": asdict(borderline) if borderline else None,
        "regions_key": regions_key,
        **({"training_ended_at": ended_at.isoformat()} if ended_at else {}),
    }
    return end_training(table, project, version, ModelStatus.TRAINED, message, changes)


@beside_others
def fail_training(table: Table, project: str, version: str, message: str) -> ModelVersion:
    """TRAINING -> TRAINING_FAILED, with the reason; raises as `finish_training`."""
    return end_training(table, project, version, ModelStatus.TRAINING_FAILED, message, {})


def _free_slots(table: Table, project: str, slots: int) -> list[int]:
    """Numbers of the slots that nobody has, at least one.

    Raises:
        QuotaExceededError: there are none.
    """
    taken = {}
    for item in list(table.query(("pk", SLOTS))):
        try:
            model = describe_model(table, item["project"], item["version"])
        except ResourceNotFoundError:
            continue  # deleted between the two readings, and its slot with it
        if model.status is ModelStatus.TRAINING:
            taken[item["slot"]] = model.name
    free = [slot for slot in range(1, slots + 1) if slot not in taken]
    if not free or len(taken) >= slots:
        names = ", ".join(sorted(taken.values()))
        message = (
            f"{len(taken)} model versions are being trained ({names}), and no more than {slots} may be at once; wait "
            "for one to end, or raise the stage's max_concurrent_trainings"
        )
        raise QuotaExceededError(TRAINING_QUOTA, ResourceType.MODEL, project, message)
    return free
