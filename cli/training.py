"""`relook train` and `relook register`: from labelled images, or another's model, to a model version that answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table as RichTable
from rich.text import Text

from cli.files import read_onnx
from cli.output import CommandError, out, progress
from cli.stack import Stack
from relook.detection.anomalib import package_export
from relook.detection.backbone import Backbone
from relook.detection.evaluation import Evaluation
from relook.detection.model import Model
from relook.detection.package import ModelPackage
from relook.detection.samples import LabeledImage
from relook.detection.training import TrainedModel, train
from relook.errors import ConflictError, ResourceNotFoundError
from relook.registry import backbones, datasets, models, packages, projects
from relook.registry.datasets import DatasetType, ImageStats
from relook.registry.table import Table


@dataclass(frozen=True)
class Report:
    """What training came to.

    Attributes:
        place: where the model is: `<project>/<version>`, or a folder.
    """

    place: str
    is_hosted: bool
    trained: TrainedModel

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        manifest = self.trained.package.manifest
        return {
            "model": self.place,
            "is_hosted": self.is_hosted,
            "backbone": asdict(manifest.backbone) if manifest.backbone else None,
            "choices": [asdict(choice) for choice in manifest.choices],
            "evaluation": _metrics(self.trained.evaluation),
            "notes": list(self.trained.notes),
        }


def train_to_folder(
    project: str, images: list[LabeledImage], folder: Path, *, backbone: Backbone | None = None
) -> Report:
    """Train and write the package to a folder; no cloud is involved."""
    refuse_name(project)
    trained = _train(images, project, "1", backbone)
    trained.package.write_folder(folder)
    return Report(str(folder), False, trained)


def train_and_register(
    stack: Stack, project: str, images: list[LabeledImage], *, host: bool, backbone: Backbone | None = None
) -> Report:
    """Train the project's next model version, with the project's own backbone unless another one is given.

    The project is made if need be.
    """
    registry = stack.registry
    ensure_project(registry, project)
    if backbone is None:
        backbone = backbones.load_backbone(registry, stack.s3, stack.outputs["ModelsBucket"], project)
    _register_dataset(stack, project, images)
    with _new_version(stack, project) as version:
        trained = _train(images, project, version, backbone)
        sha256 = packages.save_package(stack.s3, stack.outputs["ModelsBucket"], project, version, trained.package)
    models.finish_training(registry, project, version, sha256, _performance(trained), _message(trained))
    if host:
        _host(stack, project, version, sha256)
    return Report(f"{project}/{version}", host, trained)


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
    registry = stack.registry
    refuse_name(project)
    ensure_project(registry, project)
    with _new_version(stack, project) as version:
        package = package_file(project, path, version)
        sha256 = packages.save_package(stack.s3, stack.outputs["ModelsBucket"], project, version, package)
    message = f"The model was registered from {path.name}; how good it is was not measured here."
    models.finish_training(registry, project, version, sha256, None, message)
    if host:
        _host(stack, project, version, sha256)
    return version


def print_report(report: Report) -> None:
    """What was chosen and how good it is as a table, then what its owner should know."""
    found, manifest = report.trained.evaluation, report.trained.package.manifest
    table = RichTable(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    table.add_row("model", report.place + (" (hosted)" if report.is_hosted else ""))
    table.add_row("trained on", f"{found.normal_images} normal and {found.anomalous_images} anomalous images")
    if manifest.backbone:
        table.add_row("backbone", f"{manifest.backbone.name}, SHA-256 {manifest.backbone.sha256[:12]}…")
    for choice in manifest.choices:
        scores = ", ".join(f"{option} {score:.2f}" for option, score in choice.scores.items())
        table.add_row(choice.name, f"{choice.chosen} ({choice.measure}: {scores})")
    if found.f1 is not None:
        shares = f"precision {found.precision:.2f}, recall {found.recall:.2f}"
        table.add_row(
            "verdicts", f"F1 {found.f1:.2f} ({shares}), AUROC {found.roc_auc:.2f}, AUPR {found.average_precision:.2f}"
        )
    table.add_row("false alarms", f"{found.false_alarm_share:.1%} of the normal images")
    table.add_row("confidence", f"off by {found.calibration_error:.1%} on average (expected calibration error)")
    for kind in found.types:
        table.add_row(kind.name, f"IoU {kind.iou:.2f} (precision {kind.precision:.2f}, recall {kind.recall:.2f})")
    table.add_row("measured", found.protocol)
    out.print(table)
    for note in report.trained.notes:
        out.print(Text("note", "yellow"), note, markup=False)


def refuse_name(project: str) -> None:
    """
    Raises:
        CommandError: no project may be called this.
    """
    if not projects.is_project_name(project):
        raise CommandError(f"{project!r} cannot name a project; use letters, digits, '_' and '-'")


def ensure_project(registry: Table, project: str) -> None:
    """Make the project unless it exists."""
    try:
        projects.describe_project(registry, project)
    except ResourceNotFoundError:
        projects.create_project(registry, project)


@contextmanager
def _new_version(stack: Stack, project: str) -> Iterator[str]:
    """The project's next model version; what goes wrong inside is noted with it."""
    version = models.create_model(stack.registry, project).version
    try:
        yield version
    except BaseException as error:  # also Ctrl-C: a version must not stay in training for ever
        models.fail_training(stack.registry, project, version, f"{type(error).__name__}: {error}")
        raise


def _train(images: list[LabeledImage], project: str, version: str, backbone: Backbone | None) -> TrainedModel:
    with progress() as bars:
        tasks: dict[str, Any] = {}

        def show(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done, total=total)

        return train(images, project=project, version=version, backbone=backbone, on_progress=show)


def _host(stack: Stack, project: str, version: str, sha256: str) -> None:
    registry = stack.registry
    before = projects.describe_project(registry, project).hosted
    models.start_hosting(registry, project, version)
    try:
        Model(packages.load_package(stack.s3, stack.outputs["ModelsBucket"], project, version, sha256))
    except BaseException as error:  # also Ctrl-C: a version must not stay in between for ever
        models.fail_hosting(registry, project, version, f"{type(error).__name__}: {error}")
        raise
    models.finish_hosting(registry, project, version)
    if before:
        models.stop_hosting(registry, project, before.version)


def _register_dataset(stack: Stack, project: str, images: list[LabeledImage]) -> None:
    anomaly = sum(image.is_anomalous for image in images)
    stats = ImageStats(total=len(images), labeled=len(images), normal=len(images) - anomaly, anomaly=anomaly)
    try:
        datasets.create_dataset(stack.registry, project, DatasetType.TRAIN)
    except ConflictError:
        datasets.delete_dataset(stack.registry, project, DatasetType.TRAIN)
        datasets.create_dataset(stack.registry, project, DatasetType.TRAIN)
    datasets.finish_dataset(stack.registry, project, DatasetType.TRAIN, stats)


def _performance(trained: TrainedModel) -> models.Performance | None:
    evaluation = trained.evaluation
    if evaluation.f1 is None or evaluation.recall is None or evaluation.precision is None:
        return None
    return models.Performance(evaluation.f1, evaluation.recall, evaluation.precision)


def _message(trained: TrainedModel) -> str:
    return " ".join(["The model is trained.", *trained.notes])


def _metrics(evaluation: Evaluation) -> dict[str, Any]:
    """All but the single images' outcomes, of which there may be thousands."""
    return {name: value for name, value in asdict(evaluation).items() if name != "outcomes"}
