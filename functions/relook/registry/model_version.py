"""What a model version is, and how its item in the registry holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from relook.aws.table import Item
from relook.errors import ConflictError, ResourceType
from relook.quality.thresholds import Band
from relook.registry.projects import HostedModel


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
        regions_key: of the mask that it was trained with, in the datasets bucket; None where nothing is ignored.
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
    regions_key: str | None = None

    @property
    def name(self) -> str:
        """Such as `bracket/3`."""
        return f"{self.project}/{self.version}"

    @property
    def threshold(self) -> float | None:
        """The one that was chosen for it; None where it judges by its own."""
        return self.thresholds[-1].value if self.thresholds else None

    def threshold_in_force(self, own: float) -> float:
        """The one that it judges by, its own being the one that it was trained with."""
        return own if self.threshold is None else self.threshold

    def as_hosted(self) -> HostedModel:
        """What inspects a project's uploads when this version does.

        Raises:
            ConflictError: it has no package.
        """
        if self.package_sha256 is None:
            message = f"Model {self.name} has no package; train it again"
            raise ConflictError(ResourceType.MODEL, self.name, message)
        borderline = self.thresholds[-1].borderline if self.thresholds else self.own_borderline
        return HostedModel(self.project, self.version, self.package_sha256, self.threshold, borderline)


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
        regions_key=item.get("regions_key"),
    )


def _threshold(item: Mapping[str, Any]) -> Threshold:
    borderline = Band(**item["borderline"]) if "borderline" in item else None
    return Threshold(item["value"], item["how"], item["who"], datetime.fromisoformat(item["at"]), borderline)


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
