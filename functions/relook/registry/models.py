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
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from relook.aws.table import ConditionFailedError, Delete, Expected, Item, Table, Update, Write
from relook.errors import ConflictError, ResourceNotFoundError, ResourceType, ThrottledError
from relook.quality.thresholds import Band
from relook.registry.contention import beside_others
from relook.registry.projects import HostedModel, count_children, describe_project, project_key


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
class Threshold:
    """A threshold that was chosen for a model version.

    Attributes:
        value: anomaly probability, 0..1, from which an image is anomalous.
        how: how it was chosen, for people.
        who: the caller's ARN.
        borderline: probabilities so near it that a person should look; None where nothing is known of them.
    """

    value: float
    how: str
    who: str
    at: datetime
    borderline: Band | None = None


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
        own_borderline: of the threshold that it was trained with; None where nothing is known of it.
        thresholds: the last ones chosen, the one in force last; none where it judges by its own.
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
    own_borderline: Band | None = None
    thresholds: tuple[Threshold, ...] = ()

    @property
    def threshold(self) -> float | None:
        """The one that was chosen for it; None where it judges by its own."""
        return self.thresholds[-1].value if self.thresholds else None

    def as_hosted(self) -> HostedModel:
        """What inspects a project's uploads when this version does.

        Raises:
            ConflictError: it has no package.
        """
        if self.package_sha256 is None:
            name = f"{self.project}/{self.version}"
            raise ConflictError(ResourceType.MODEL, name, f"Model {name} has no package; train it again")
        borderline = self.thresholds[-1].borderline if self.thresholds else self.own_borderline
        return HostedModel(self.project, self.version, self.package_sha256, self.threshold, borderline)


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
    """As `describe_model`, but the state as it is written."""
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


def threshold_items(thresholds: Sequence[Threshold]) -> list[dict[str, Any]] | None:
    """What a model version's item keeps of them."""
    items = [
        {
            "value": each.value,
            "how": each.how,
            "who": each.who,
            "at": each.at.isoformat(),
            **({"borderline": asdict(each.borderline)} if each.borderline else {}),
        }
        for each in thresholds
    ]
    return items or None


def foiled(project: str, version: str) -> ThrottledError:
    """What to raise when another writer of the version was faster."""
    return ThrottledError(f"Model {project}/{version} was being changed by others at the same time; try again")


def to_model(item: Item) -> ModelVersion:
    """A model version of its item."""
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
        own_borderline=Band(**item["borderline"]) if item.get("borderline") else None,
        thresholds=tuple(_threshold(each) for each in item.get("thresholds", ())),
    )


def _threshold(item: Mapping[str, Any]) -> Threshold:
    borderline = Band(**item["borderline"]) if "borderline" in item else None
    return Threshold(item["value"], item["how"], item["who"], datetime.fromisoformat(item["at"]), borderline)


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
    resource_id = f"{model.project}/{model.version}"
    message = f"Model {resource_id} {_obstacle(model.status, before, after)} (it is {model.status})"
    return ConflictError(ResourceType.MODEL, resource_id, message)


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


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
