"""Labelled images as users keep them: a folder, or a Ground Truth manifest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cli.output import CommandError
from relook.learning.data.samples import LabeledImage
from relook.registry.manifest import Manifest, parse_manifest

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png"}
DEFAULT_COLORS = {"anomaly": "#000000"}
"""What a black-and-white mask without a colors.json means: one type, painted black."""


def read_dataset(path: Path, s3: Callable[[], Any]) -> list[LabeledImage]:
    """The labelled images of a folder or a manifest.

    Args:
        s3: gives a boto3 S3 client, asked for only when a manifest names objects in S3.
    Raises:
        CommandError: nothing usable is there; says what was expected.
    """
    if path.is_dir():
        return read_folder(path)
    if path.is_file():
        return read_manifest(path, s3)
    raise CommandError(f"{path} does not exist; give a folder with normal/ and anomaly/, or a manifest")


def read_folder(folder: Path) -> list[LabeledImage]:
    """`normal/`, optional `anomaly/`, optional `masks/<stem>.png` with `masks/colors.json`."""
    normal = list_images(folder / "normal")
    if not normal:
        raise CommandError(f"{folder / 'normal'} has no .jpg or .png images; put images of normal parts there")
    masks = {path.stem: path for path in sorted((folder / "masks").glob("*.png"))}
    colors = _read_colors(folder / "masks" / "colors.json") if masks else {}
    anomalous = list_images(folder / "anomaly")
    return [LabeledImage(str(path.relative_to(folder)), path.read_bytes, False) for path in normal] + [
        LabeledImage(
            str(path.relative_to(folder)),
            path.read_bytes,
            True,
            masks[path.stem].read_bytes if path.stem in masks else None,
            colors if path.stem in masks else {},
        )
        for path in anomalous
    ]


def read_manifest(path: Path, s3: Callable[[], Any]) -> list[LabeledImage]:
    """Images and masks at `s3://...`, or at paths relative to the manifest."""
    try:
        manifest: Manifest = parse_manifest(path.read_text("utf-8").splitlines())
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is not a manifest: it is not UTF-8 text") from error
    if manifest.problems:
        shown = "; ".join(str(problem) for problem in manifest.problems[:3])
        raise CommandError(f"{path} has {len(manifest.problems)} bad lines: {shown}")
    labeled = [entry for entry in manifest.entries if entry.is_anomalous is not None]
    if not labeled:
        raise CommandError(f"{path} labels no image as normal or anomaly")

    def reader(reference: str) -> Callable[[], bytes]:
        if not reference.startswith("s3://"):
            return (path.parent / reference).read_bytes
        bucket, _, key = reference.removeprefix("s3://").partition("/")
        return lambda: bytes(s3().get_object(Bucket=bucket, Key=key)["Body"].read())

    return [
        LabeledImage(
            entry.source_ref,
            reader(entry.source_ref),
            bool(entry.is_anomalous),
            reader(entry.mask_ref) if entry.mask_ref and entry.is_anomalous else None,
            entry.colors,
        )
        for entry in labeled
    ]


def list_images(path: Path) -> list[Path]:
    """The images in a folder and below it, by name; a file stands for itself."""
    if path.is_file():
        return [path]
    return sorted(each for each in path.rglob("*") if each.suffix.lower() in IMAGE_SUFFIXES)


def short_names(paths: list[Path]) -> list[str]:
    """File names; files of one name keep as much of their folders as tells them apart."""
    resolved = [path.resolve() for path in paths]
    depth = 1
    while len({path.parts[-depth:] for path in resolved}) < len(set(resolved)):
        depth += 1
    return ["/".join(path.parts[-depth:]) for path in resolved]


def _read_colors(path: Path) -> dict[str, str]:
    if not path.exists():
        return DEFAULT_COLORS
    try:
        return {str(name): str(color) for name, color in json.loads(path.read_text()).items()}
    except (ValueError, AttributeError) as error:
        raise CommandError(f'{path} must look like {{"scratch": "#7ED321"}}: {error}') from error
