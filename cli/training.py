"""`relook train` and `relook register`: from labelled images, or another's model, to a model version that answers.

Everything goes through the Lookout for Vision API, as any of its clients would do it; only what that API has no
operation for, another's model, is written into the registry.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import Progress, TaskID
from rich.text import Text

from cli.files import read_onnx
from cli.output import CommandError, facts, out, progress
from cli.stack import Stack
from relook.aws.bucket import S3Uri
from relook.aws.table import Table
from relook.detection.package import ModelPackage
from relook.detection.regions import Regions
from relook.errors import AwsError
from relook.learning.backbone.protocol import Backbone
from relook.learning.data.mask_colors import settle_colors
from relook.learning.data.samples import LabeledImage
from relook.learning.foreign.anomalib import package_export
from relook.learning.training import train
from relook.registry import packages, projects, trainings
from relook.registry.manifest_entry import ManifestEntry, entry_line
from relook.training.report import training_report

_POLL_S = 0.5  # a training tells how far it is every two seconds


@dataclass(frozen=True)
class Report:
    """What training came to.

    Attributes:
        place: where the model is: `<project>/<version>`, or a folder.
        findings: what `training_report` found.
    """

    place: str
    is_hosted: bool
    findings: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        return {"model": self.place, "is_hosted": self.is_hosted, **self.findings}


def train_to_folder(
    project: str,
    images: list[LabeledImage],
    folder: Path,
    *,
    backbone: Backbone | None = None,
    regions: Regions | None = None,
) -> Report:
    """Train and write the package to a folder; no cloud is involved."""
    refuse_name(project)
    with progress() as bars:
        tasks: dict[str, TaskID] = {}

        def show(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done, total=total)

        trained = train(images, project=project, version="1", backbone=backbone, regions=regions, on_progress=show)
    trained.package.write_folder(folder)
    return Report(str(folder), False, training_report(trained))


def train_in_cloud(stack: Stack, project: str, images: list[LabeledImage], *, host: bool) -> Report:
    """Train the project's next model version where the stack is; the project is made if need be.

    The images are put into the datasets bucket, beside their manifest, and become the project's training dataset.

    Raises:
        CommandError: the dataset or the training failed; says why.
    """
    refuse_name(project)
    images, notes = settle_colors(images)
    ensure_project(stack, project)
    with progress() as bars:
        manifest = _upload(stack, project, images, bars)
        _replace_dataset(stack, project, manifest)
        task = bars.add_task("training", total=None)
        version = train_version(stack, project, lambda text: bars.update(task, description=text))
    if host:
        host_version(stack, project, version)
    described = stack.lookout.describe_model(ProjectName=project, ModelVersion=version)["ModelDescription"]
    bucket = stack.bucket(described["EvaluationResult"]["Bucket"])
    findings = json.loads(bucket.read(f"{_evaluations(project)}TrainingReport-{project}-{version}.json"))
    findings["notes"] = [*notes, *findings["notes"]]
    return Report(f"{project}/{version}", host, findings)


def package_file(project: str, path: Path, version: str) -> ModelPackage:
    """An anomalib export, with the `metadata.json` beside it, if any, as a model package."""
    refuse_name(project)
    metadata = path.with_name("metadata.json")
    return package_export(
        read_onnx(path),
        project=project,
        version=version,
        metadata=metadata.read_bytes() if metadata.is_file() else None,
    )


def register_file(stack: Stack, project: str, path: Path, *, host: bool) -> str:
    """An anomalib export as the project's next model version, which is given back; the project is made if need be."""
    refuse_name(project)
    ensure_project(stack, project)
    with _new_version(stack.registry, project) as version:
        package = package_file(project, path, version)
        sha256 = packages.save_package(stack.models, project, version, package)
    message = f"The model was registered from {path.name}; how good it is was not measured here."
    trainings.finish_training(stack.registry, project, version, sha256, None, message)
    if host:
        host_version(stack, project, version)
    return version


def print_report(report: Report) -> None:
    """What was chosen and how good it is as a table, then what its owner should know."""
    findings = report.findings
    measured = findings["evaluation"]
    told = facts()
    told.add_row("model", report.place + (" (hosted)" if report.is_hosted else ""))
    trained_on = findings["trained_on"]
    counted = f"{trained_on['normal_images']} normal and {trained_on['anomalous_images']} anomalous images"
    told.add_row("trained on", counted)
    if backbone := findings["backbone"]:
        told.add_row("backbone", f"{backbone['name']}, SHA-256 {backbone['sha256'][:12]}…")
    for choice in findings["choices"]:
        scores = ", ".join(f"{option} {score:.2f}" for option, score in choice["scores"].items())
        told.add_row(choice["name"], f"{choice['chosen']} ({choice['measure']}: {scores})")
    if measured["f1"] is not None:
        shares = f"precision {measured['precision']:.2f}, recall {measured['recall']:.2f}"
        ranks = f"AUROC {measured['roc_auc']:.2f}, AUPR {measured['average_precision']:.2f}"
        told.add_row("verdicts", f"F1 {measured['f1']:.2f} ({shares}), {ranks}")
    told.add_row("false alarms", f"{measured['false_alarm_share']:.1%} of the normal images")
    error = f"off by {measured['calibration_error']:.1%} on average (expected calibration error)"
    told.add_row("confidence", error)
    for kind in measured["types"]:
        shares = f"precision {kind['precision']:.2f}, recall {kind['recall']:.2f}"
        told.add_row(kind["name"], f"IoU {kind['iou']:.2f} ({shares})")
    told.add_row("measured", measured["protocol"])
    out.print(told)
    for note in findings["notes"]:
        out.print(Text("note", "yellow"), note, markup=False)


def refuse_name(project: str) -> None:
    """
    Raises:
        CommandError: no project may be called this.
    """
    if not projects.is_project_name(project):
        raise CommandError(f"{project!r} cannot name a project; use letters, digits, '_' and '-'")


def ensure_project(stack: Stack, project: str) -> None:
    """Make the project unless it exists."""
    with unless("ConflictException"):
        stack.lookout.create_project(ProjectName=project)


def _upload(stack: Stack, project: str, images: Sequence[LabeledImage], bars: Progress) -> str:
    """Put images, masks and a manifest that names them into the datasets bucket; the manifest's key. What lies there
    already is not sent again."""
    bucket, folder = stack.datasets, f"images/{project}"
    there = bucket.etags(f"{folder}/")

    def put(key: str, data: bytes) -> str:
        if there.get(key) != hashlib.md5(data, usedforsecurity=False).hexdigest():
            bucket.write(key, data)
        return str(bucket.uri(key))

    task = bars.add_task("uploading", total=len(images))
    lines = []
    for image in images:
        name = image.name.removeprefix(S3Uri.SCHEME)
        source_ref = put(f"{folder}/{name}", image.read())
        mask_ref = put(f"{folder}/masks/{name}.png", image.read_mask()) if image.read_mask else None
        lines.append(entry_line(ManifestEntry(source_ref, image.is_anomalous, mask_ref, image.colors)))
        bars.advance(task)
    key = f"manifests/{project}-{time.time_ns()}.manifest"
    bucket.write(key, "".join(f"{line}\n" for line in lines).encode())
    return key


def _replace_dataset(stack: Stack, project: str, manifest: str) -> None:
    which = {"ProjectName": project, "DatasetType": "train"}
    with unless("ResourceNotFoundException"):
        stack.lookout.delete_dataset(**which)
    place = {"Bucket": stack.outputs["DatasetsBucket"], "Key": manifest}
    stack.lookout.create_dataset(**which, DatasetSource={"GroundTruthManifest": {"S3Object": place}})
    while True:
        dataset = stack.lookout.describe_dataset(**which)["DatasetDescription"]
        if dataset["Status"] == "CREATE_COMPLETE":
            return
        if dataset["Status"] != "CREATE_IN_PROGRESS":
            raise CommandError(f"The dataset of {project} cannot be used: {dataset['StatusMessage']}")
        time.sleep(_POLL_S)


def _evaluations(project: str) -> str:
    """What the keys of a project's evaluations begin with."""
    return f"evaluations/{project}/"


def start_training(stack: Stack, project: str) -> str:
    """Have the project's next model version trained on its datasets as they are; the version, whose item in the
    registry tells how far it is.

    Raises:
        AwsError: it cannot be trained; says why.
    """
    place = {"Bucket": stack.outputs["DatasetsBucket"], "Prefix": _evaluations(project)}
    started = stack.lookout.create_model(ProjectName=project, OutputConfig={"S3Location": place})
    return str(started["ModelMetadata"]["ModelVersion"])


def train_version(stack: Stack, project: str, on_step: Callable[[str], None]) -> str:
    """The project's next model version, trained on its datasets as they are.

    Args:
        on_step: told in a sentence how far it is, every now and then.
    Raises:
        CommandError: it failed; says why.
        AwsError: as `start_training`.
    """
    version = start_training(stack, project)
    while True:
        model = stack.lookout.describe_model(ProjectName=project, ModelVersion=version)["ModelDescription"]
        if model["Status"] == "TRAINING":
            on_step(model["StatusMessage"])
            time.sleep(_POLL_S)
        elif model["Status"] == "TRAINING_FAILED":
            raise CommandError(model["StatusMessage"])
        else:
            return version


def host_version(stack: Stack, project: str, version: str) -> None:
    """Have this version, and no other, inspect the project's uploads.

    It is started before the others are stopped, so that there is always one that answers. Whoever is cut off in between
    says it again: what was done already is passed over.

    Raises:
        CommandError: it cannot be started; says why. What was hosted still is.
        AwsError: ResourceNotFoundException or ConflictException: there is no such version, or it is not trained.
    """
    pages = list(stack.lookout.get_paginator("list_models").paginate(ProjectName=project))
    models = [model for page in pages for model in page["Models"]]
    _start(stack, project, version)
    for model in models:
        if model["Status"] == "HOSTED" and model["ModelVersion"] != version:
            with unless("ConflictException"):  # somebody else has stopped it
                stack.lookout.stop_model(ProjectName=project, ModelVersion=model["ModelVersion"])
    # Whoever hosts another one at the same time may have stopped this one: two of them must not leave none.
    _start(stack, project, version)


def _start(stack: Stack, project: str, version: str) -> None:
    which = {"ProjectName": project, "ModelVersion": version}
    if stack.lookout.describe_model(**which)["ModelDescription"]["Status"] == "HOSTED":
        return
    stack.lookout.start_model(**which, MinInferenceUnits=1)
    model = stack.lookout.describe_model(**which)["ModelDescription"]
    if model["Status"] != "HOSTED":
        raise CommandError(model["StatusMessage"])


@contextmanager
def unless(code: str) -> Iterator[None]:
    """Pass over this one error of the API."""
    try:
        yield
    except AwsError as error:
        if error.code != code:
            raise


@contextmanager
def _new_version(registry: Table, project: str) -> Iterator[str]:
    """The project's next model version; what goes wrong inside is noted with it."""
    version = trainings.create_model(registry, project).version
    try:
        yield version
    except BaseException as error:  # also Ctrl-C: a version must not stay in training for ever
        trainings.fail_training(registry, project, version, f"{type(error).__name__}: {error}")
        raise
