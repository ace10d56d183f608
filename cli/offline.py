"""`relook detect`: a model package and some files, nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cli.datasets import short_names
from cli.output import CommandError, progress
from cli.pictures import overlay
from relook.detection.model import Model
from relook.detection.package import ModelPackage
from relook.detection.result import BACKGROUND
from relook.errors import ImageRejectedError


def detect(package_folder: Path, paths: list[Path], pictures: Path) -> list[dict[str, Any]]:
    """Verdicts in the shape of inspection records, with the overlay's path in `overlay`.

    Raises:
        CommandError: there is no such folder.
        PackageError: the folder holds no usable package.
    """
    if not package_folder.is_dir():
        raise CommandError(f"{package_folder} is not a folder; make one with: relook train PROJECT FOLDER --output DIR")
    package = ModelPackage.read_folder(package_folder)
    model = Model(package)
    records = []
    with progress() as bars:
        for path, name in bars.track(list(zip(paths, short_names(paths), strict=True)), description="inspecting"):
            data = path.read_bytes()
            record: dict[str, Any] = {
                "image_uri": path.resolve().as_uri(),
                "inspection_id": hashlib.sha256(data).hexdigest()[:32],
                "project": package.manifest.project,
                "model_version": package.manifest.version,
            }
            try:
                result = model.detect(data)
            except ImageRejectedError as error:
                records.append(record | {"status": "REJECTED", "reason": error.reason, "message": error.message})
                continue
            target = pictures / f"{name}.overlay.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            overlay(data, result.mask_png, result.heat_map_png).save(target, quality=90)
            found = [asdict(each) for each in result.anomalies or () if each.name != BACKGROUND]
            verdict = {"is_anomalous": result.is_anomalous, "confidence": result.confidence, "anomalies": found}
            records.append(record | {"status": "INSPECTED", "overlay": str(target)} | verdict)
    return records
