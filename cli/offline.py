"""`relook detect`: a model package and some files, nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from PIL.Image import Image

from cli.files import short_names
from cli.output import UNREADABLE, CommandError, progress
from cli.pictures import overlay, save_picture
from relook.detection.model import Model
from relook.detection.package import ModelPackage
from relook.detection.result import BACKGROUND, DetectAnomalyResult
from relook.errors import ImageRejectedError
from relook.quality.records import InspectionStatus


def detect(package_folder: Path, paths: list[Path], pictures: Path) -> list[dict[str, Any]]:
    """Verdicts in the shape of inspection records, with the overlay's path in `overlay`.

    Raises:
        CommandError: there is no such folder.
        PackageError: the folder holds no usable package.
    """
    if not package_folder.is_dir():
        raise CommandError(f"{package_folder} is not a folder; make one with: relook train PROJECT FOLDER --output DIR")
    model = Model(ModelPackage.read_folder(package_folder))

    def draw(data: bytes, result: DetectAnomalyResult, _: str) -> Image:
        view = model.manifest.view
        return overlay(data, result.mask_png, result.heat_map_png, view.levels, view.regions)

    return inspect(model, paths, pictures, "overlay", draw)


def inspect(
    model: Model,
    paths: list[Path],
    pictures: Path,
    kind: str,
    draw: Callable[[bytes, DetectAnomalyResult, str], Image],
) -> list[dict[str, Any]]:
    """Verdicts in the shape of inspection records, with what a record has no room for.

    Args:
        kind: what the pictures are: part of their files' names, and where a record has its picture's path.
        draw: gives the picture of an encoded image, its verdict and its name.
    """
    records = []
    with progress() as bars:
        for path, name in bars.track(list(zip(paths, short_names(paths), strict=True)), description="inspecting"):
            record: dict[str, Any] = {
                "image_uri": path.resolve().as_uri(),
                "project": model.manifest.project,
                "model_version": model.manifest.version,
            }
            try:
                data = path.read_bytes()
                record["inspection_id"] = hashlib.sha256(data).hexdigest()[:32]
                result = model.detect(data)
            except OSError as error:
                records.append(
                    record | {"status": InspectionStatus.REJECTED, "reason": UNREADABLE, "message": str(error)}
                )
                continue
            except ImageRejectedError as error:
                records.append(
                    record | {"status": InspectionStatus.REJECTED, "reason": error.reason, "message": error.message}
                )
                continue
            record |= {"status": InspectionStatus.INSPECTED} | _verdict(model, result)
            if target := save_picture(pictures, name, kind, partial(draw, data, result, name)):
                record[kind] = str(target)
            records.append(record)
    return records


def _verdict(model: Model, result: DetectAnomalyResult) -> dict[str, Any]:
    return {
        "is_anomalous": result.is_anomalous,
        "confidence": result.confidence,
        "anomaly_probability": result.anomaly_probability,
        "threshold": model.manifest.threshold,
        "anomalies": [asdict(each) for each in result.anomalies or () if each.name != BACKGROUND],
        "nearest_normal": asdict(result.nearest_normal) if result.nearest_normal else None,
    }
