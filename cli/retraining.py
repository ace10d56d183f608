"""`relook retrain`: a candidate from the grown datasets, held against the hosted version on the same images.

Each version is judged on images that it did not learn from. With a test dataset these are the test images, which the
hosted version looks at anew. Without one they are the training images: each version's evaluation has what models that
did not see an image said of it, and the hosted version looks at those that came after its own training.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.text import Text

from cli.output import out, rate_text, table
from cli.stack import Stack
from cli.training import train_version
from relook.detection.model import Model
from relook.detection.regions import Regions
from relook.errors import InvalidRequestError
from relook.learning.validation.evaluation import TEST_PROTOCOL, evaluate_on
from relook.quality.comparison import Comparison, compare
from relook.quality.rates import percent
from relook.quality.thresholds import OperatingPoint, Outcome
from relook.registry.dataset_type import DatasetType
from relook.registry.datasets import StoredEntry
from relook.registry.model_version import ModelVersion
from relook.registry.models import describe_model
from relook.registry.packages import load_manifest, load_package
from relook.registry.projects import describe_project
from relook.training.entries import training_entries
from relook.training.evaluation import read_outcomes
from relook.training.labeled_objects import labeled_images

OnStep = Callable[[str], None]
"""Told in a sentence how far it is."""


@dataclass(frozen=True)
class VersionComparison:
    """A candidate against the hosted version.

    Attributes:
        hosted, candidate: model versions.
        judged_on: which images, in a sentence.
        left_out: images that the candidate was judged on, and the hosted version may have learned from.
        ious: type -> IoU 0..1 of the hosted version and of the candidate; None where a version does not know the type.
        are_ious_of_same_images: otherwise each is of its version's own evaluation.
    """

    project: str
    hosted: str
    candidate: str
    verdicts: Comparison
    judged_on: str
    left_out: int
    ious: Mapping[str, tuple[float | None, float | None]]
    are_ious_of_same_images: bool

    @property
    def images(self) -> int:
        """How many both were judged on."""
        confusion = self.verdicts.hosted.confusion
        return confusion.recall.total + confusion.false_alarm_rate.total

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        verdicts = asdict(self.verdicts)
        for name, point in (("hosted", self.verdicts.hosted), ("candidate", self.verdicts.candidate)):
            verdicts[name] |= {"f1": point.confusion.f1}
        ious = {name: dict(zip(("hosted", "candidate"), pair, strict=True)) for name, pair in self.ious.items()}
        return {**asdict(self), "verdicts": verdicts, "ious": ious}


def retrain(stack: Stack, project: str, on_step: OnStep) -> tuple[str, VersionComparison | None]:
    """Train on the datasets as they are, and compare; the new version, and None where nothing was hosted before.

    Raises:
        CommandError: the training failed; says why.
        InvalidRequestError, AwsError: as the API refuses it; or as `compare_versions`, once the version is trained.
    """
    hosted = describe_project(stack.registry, project).hosted
    candidate = train_version(stack, project, on_step)
    return candidate, compare_versions(stack, project, hosted.version, candidate, on_step) if hosted else None


def compare_versions(stack: Stack, project: str, hosted: str, candidate: str, on_step: OnStep) -> VersionComparison:
    """
    Raises:
        InvalidRequestError: there is no image that both versions can be judged on; says why.
        TrainingDataError: an image that the hosted version is to look at cannot be read; names it.
        ResourceNotFoundError: no such version.
    """
    old, new = (_read(stack, project, version) for version in (hosted, candidate))
    if not new.outcomes:
        raise InvalidRequestError(f"Model {project}/{candidate} has no evaluation; train one: relook retrain {project}")
    entries = training_entries(stack.registry, stack.datasets, project)
    dataset = DatasetType.TEST if new.is_tested else DatasetType.TRAIN
    there = {each.entry.source_ref: each for each in entries.get(dataset, [])}
    judge = _on_test_images if new.is_tested else _on_training_images
    judged = judge(stack, old, new, there, on_step)
    same = [outcome for name, outcome in new.outcomes.items() if name in judged.outcomes]
    if not same:
        raise InvalidRequestError(
            f"Models {project}/{hosted} and {project}/{candidate} have no image in common that neither learned from"
        )
    # The label is the one of today: a review may have corrected it since the hosted version was trained.
    before = [Outcome(each.name, each.is_anomalous, judged.outcomes[each.name]) for each in same]
    names = sorted({*judged.ious, *new.ious})
    return VersionComparison(
        project=project,
        hosted=hosted,
        candidate=candidate,
        verdicts=compare(before, same, hosted_threshold=old.threshold, candidate_threshold=new.threshold),
        judged_on=f"{judged.judged_on}{_of_regions(old.regions, new.regions)}",
        left_out=len(new.outcomes) - len(same),
        ious={name: (judged.ious.get(name), new.ious.get(name)) for name in names},
        are_ious_of_same_images=judged.has_same_ious and len(same) == len(new.outcomes),
    )


def _of_regions(hosted: Regions | None, candidate: Regions | None) -> str:
    """A sentence where they are not the same."""
    if hosted == candidate:
        return ""
    before, after = (f"{percent(each.share)} of the image" if each else "nothing" for each in (hosted, candidate))
    what = "images with all their defects where the candidate ignores them do not count"
    return f" The hosted version ignores {before}, the candidate {after}: each judges what it looks at, and {what}."


def comparison_rows(comparison: VersionComparison) -> list[tuple[str, str, str]]:
    """What is compared, of the hosted version, and of the candidate; for people."""
    points = (comparison.verdicts.hosted, comparison.verdicts.candidate)
    rows = [(title, cell(points[0]), cell(points[1])) for title, cell in _ROWS.items()]
    whose = "" if comparison.are_ious_of_same_images else " (each on its own evaluation)"
    return rows + [(f"IoU {kind}{whose}", _number(old), _number(new)) for kind, (old, new) in comparison.ious.items()]


def print_comparison(comparison: VersionComparison) -> None:
    """Both versions side by side, on which images, and those on which they disagree."""
    versions = {"hosted": comparison.hosted, "candidate": comparison.candidate}
    columns = [f"{name}: {comparison.project}/{version}" for name, version in versions.items()]
    compared = table("", *columns, right=columns)
    for title, hosted, candidate in comparison_rows(comparison):
        compared.add_row(Text(title), hosted, candidate)
    out.print(compared)
    judged_on = f"{comparison.images} images. {comparison.judged_on}"
    out.print(Text("judged on", "bold"), judged_on, markup=False, soft_wrap=True)
    if comparison.left_out:
        out.print(
            f"{comparison.left_out} more are left out: the hosted version may have learned from them", markup=False
        )
    out.print(Text("reading", "bold"), comparison.verdicts.reading, markup=False, soft_wrap=True)
    for each in comparison.verdicts.disagreements:
        word = "anomalous" if each.is_anomalous else "normal"
        right = "candidate" if each.is_candidate_right else "hosted version"
        line = f"{each.name} is {word}: {each.hosted_probability:.3f} -> {each.candidate_probability:.3f}"
        out.print(Text("disagree", "dim"), f"{line}, the {right} is right", markup=False, soft_wrap=True)


_ROWS: Mapping[str, Callable[[OperatingPoint], str]] = {
    "anomalies found": lambda point: rate_text(point.confusion.recall, "images"),
    "false alarms": lambda point: rate_text(point.confusion.false_alarm_rate, "images"),
    "F1": lambda point: _number(point.confusion.f1),
    "threshold": lambda point: f"{point.threshold:.3f}",
}


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


@dataclass(frozen=True)
class _Version:
    """What training wrote of a version; nothing of one that was registered, not trained here.

    Attributes:
        is_tested: whether it was evaluated on a test dataset, so that nothing tells which images it learned from.
    """

    model: ModelVersion
    threshold: float
    regions: Regions | None
    outcomes: Mapping[str, Outcome]
    is_tested: bool
    ious: Mapping[str, float | None]


@dataclass(frozen=True)
class _Judged:
    """What the hosted version says of the candidate's images: probabilities by image."""

    outcomes: Mapping[str, float]
    judged_on: str
    ious: Mapping[str, float | None]
    has_same_ious: bool


def _read(stack: Stack, project: str, version: str) -> _Version:
    model = describe_model(stack.registry, project, version)
    if model.package_sha256 is None:
        raise InvalidRequestError(f"Model {project}/{version} is {model.status}; only trained ones can be compared")
    manifest = load_manifest(stack.models, project, version)
    threshold = model.threshold_in_force(manifest.threshold)
    if model.output is None or model.evaluation is None:
        return _Version(model, threshold, manifest.view.regions, {}, False, {})
    bucket = stack.bucket(model.output.bucket)
    report = json.loads(bucket.read(model.evaluation.report_key))
    metrics = json.loads(bucket.read(model.evaluation.result_key))["AggregatedEvaluationResults"]["Metrics"]
    return _Version(
        model=model,
        threshold=threshold,
        regions=manifest.view.regions,
        outcomes={each.name: each for each in read_outcomes(bucket.read(model.evaluation.manifest_key))},
        is_tested=report["evaluation"]["protocol"] == TEST_PROTOCOL,
        ious={each["ClassName"]: each["AIOU"] for each in metrics.get("PixelAnomalyClassMetrics", [])},
    )


def _on_test_images(
    stack: Stack, old: _Version, new: _Version, there: Mapping[str, StoredEntry], on_step: OnStep
) -> _Judged:
    def is_unseen(name: str) -> bool:
        if name in old.outcomes:
            return old.is_tested  # else it was a training image
        # An evaluation without a test dataset names all that was learned from. Beside one, a test image may have been
        # a training image, unless it came later.
        return not old.is_tested or there[name].added > old.model.created_at

    names = [name for name in new.outcomes if name in there and is_unseen(name)]
    if all(new.outcomes[name].is_anomalous for name in names):
        return _Judged({}, "", {}, False)
    images = labeled_images(stack.clients.s3, (there[name].entry for name in names))
    evaluation = evaluate_on(_model(stack, old.model), images, _told(on_step), new.regions)
    return _Judged(
        outcomes={each.name: each.anomaly_probability for each in evaluation.outcomes},
        judged_on="All are of the test dataset; both versions looked at them once they were trained.",
        ious={each.name: each.iou for each in evaluation.types},
        has_same_ious=True,
    )


def _on_training_images(
    stack: Stack, old: _Version, new: _Version, there: Mapping[str, StoredEntry], on_step: OnStep
) -> _Judged:
    shared = {name: old.outcomes[name].anomaly_probability for name in new.outcomes if name in old.outcomes}
    # Of a version that had a test dataset nobody knows what it learned from.
    added = [] if old.is_tested else [name for name in new.outcomes if name not in shared and name in there]
    fresh: dict[str, float] = {}
    if added:
        model = _model(stack, old.model)
        for index, image in enumerate(labeled_images(stack.clients.s3, (there[name].entry for name in added)), 1):
            fresh[image.name] = model.detect(image.read()).anomaly_probability
            _told(on_step)("looking at new images", index, len(added))
    shares = f"{len(shared)} are of both trainings, each judged by models that did not see it"
    return _Judged(
        outcomes=shared | fresh,
        judged_on=f"{shares}; {len(fresh)} are new: the hosted version looked at them, and never learned from them.",
        ious=old.ious,
        has_same_ious=not fresh and old.outcomes.keys() == new.outcomes.keys() and old.regions == new.regions,
    )


def _model(stack: Stack, version: ModelVersion) -> Model:
    assert version.package_sha256 is not None  # of what was read above
    return Model(load_package(stack.models, version.project, version.version, version.package_sha256))


def _told(on_step: OnStep) -> Callable[[str, int, int], None]:
    return lambda step, done, total: on_step(f"The hosted version is {step}, {done} of {total}.")
