"""`relook explain`: what a verdict rests on, as a picture and in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL.Image import Image

from cli.conversion import reader
from cli.offline import inspect
from cli.output import CommandError, err, print_verdicts
from cli.pictures import explanation
from cli.stack import Stack
from relook.detection.model import Model
from relook.detection.package import MANIFEST_FILE, ModelPackage
from relook.detection.result import DetectAnomalyResult
from relook.registry.packages import load_package
from relook.registry.projects import is_project_name


def load_model(source: str, stack: Callable[[], Stack]) -> Model:
    """The model in a folder, or else the hosted one of a project.

    Args:
        stack: gives the deployed stack, asked for only when the source is no folder with a model.
    Raises:
        CommandError: it is neither, or the project hosts nothing.
        ResourceNotFoundError: there is no such project.
        PackageError: the package is not usable.
    """
    if (Path(source) / MANIFEST_FILE).is_file():
        return Model(ModelPackage.read_folder(Path(source)))
    if not is_project_name(source):
        raise CommandError(f"{source!r} is neither a folder that relook train --output wrote nor a project's name")
    account = stack()
    hosted = account.hosted_model(source)
    package = load_package(account.models, source, hosted.version, hosted.package_sha256)
    return Model(package.judging_by(hosted.threshold))


def explain(model: Model, paths: list[Path], pictures: Path, normals: Path | None) -> list[dict[str, Any]]:
    """Records as `detect` gives them, with the picture's path in `explanation`.

    Args:
        normals: the folder the model was trained on, to show the nearest normal image from.
    Raises:
        CommandError: there is no such folder.
    """
    if normals and not normals.is_dir():
        raise CommandError(f"{normals} is not a folder; give the one the model was trained on")

    def draw(data: bytes, result: DetectAnomalyResult, name: str) -> Image:
        nearest = None
        if normals and result.nearest_normal:
            file = _beneath(normals, result.nearest_normal.name)
            if file:
                nearest = reader(file)()
            else:
                err.print(f"{result.nearest_normal.name} is not in {normals}: it cannot be shown", markup=False)
        view = model.manifest.view
        return explanation(data, result, name, model.manifest.threshold, nearest, view.cut(data), view.levels)

    return inspect(model, paths, pictures, "explanation", draw)


def print_explanations(records: list[dict[str, Any]]) -> None:
    """The verdicts, what they rest on, and where their pictures are."""
    pictures = [Path(record["explanation"]) for record in records if "explanation" in record]
    more = {"anomaly probability": _score, "nearest normal": _nearest}
    print_verdicts(records, pictures, {name: [cell(record) for record in records] for name, cell in more.items()})


def _beneath(folder: Path, name: str) -> Path | None:
    """The image in a folder that went, under a longer name, into training."""
    parts = Path(name).parts
    candidates = (folder.joinpath(*parts[start:]) for start in range(len(parts)))
    return next((each for each in candidates if each.is_file()), None)


def _score(record: Mapping[str, Any]) -> str:
    if "threshold" not in record:
        return "-"
    return f"{record['anomaly_probability']:.3f} (threshold {record['threshold']:g})"


def _nearest(record: Mapping[str, Any]) -> str:
    nearest = record.get("nearest_normal")
    return f"{nearest['name']}, {nearest['distance']:.2f} away" if nearest else "-"
