"""Labelled images as users keep them: a folder, or a Ground Truth manifest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cli.conversion import reader
from cli.folders import LabeledImages, read_folder
from cli.output import CommandError
from relook.aws.bucket import Bucket, S3Uri
from relook.learning.data.samples import LabeledImage
from relook.registry.manifest import check_lines, first_problems, lines_of

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

__all__ = ["LabeledImages", "read_dataset", "read_folder", "read_manifest"]


def read_dataset(path: Path, s3: Callable[[], S3Client]) -> LabeledImages:
    """The labelled images of a folder or a manifest.

    Args:
        s3: gives the client, asked for only when a manifest names objects in S3.
    Raises:
        CommandError: nothing usable is there; says what was expected.
    """
    if path.is_dir():
        return read_folder(path)
    if path.is_file():
        return read_manifest(path, s3)
    raise CommandError(f"{path} does not exist; give a folder with normal/ and anomaly/, or a manifest")


def read_manifest(
    path: Path, s3: Callable[[], S3Client], local: Callable[[str], Callable[[], bytes]] | None = None
) -> LabeledImages:
    """Images and masks at `s3://...`, or at paths relative to the manifest.

    Args:
        local: gives the reader of a reference; where they are by themselves unless given.
    Raises:
        CommandError: it is no UTF-8, a line cannot be used, or none has a label.
    """
    try:
        checked = check_lines(lines_of([path.read_bytes()]), None, may_repeat=False, may_be_local=True)
    except UnicodeError as error:
        raise CommandError(f"{path} is not a manifest: {error}") from error
    if checked.problems:
        count = f"{len(checked.problems):,} of {checked.count:,} lines"
        raise CommandError(f"{path} has {count} that cannot be used: {first_problems(checked.problems)}")
    labeled = [each.entry for each in checked.usable.values() if each.entry.is_anomalous is not None]
    notes = []
    if checked.unlabeled:
        count = f"{len(checked.unlabeled):,} of {checked.count:,} lines of {path}"
        notes.append(f"{count} are not trained with: {first_problems(checked.unlabeled)}")
    if not labeled:
        raise CommandError("; ".join([f"{path} labels no image as normal or anomaly", *notes]))

    def read(reference: str) -> Callable[[], bytes]:
        if local is not None:
            return local(reference)
        if not reference.startswith(S3Uri.SCHEME):
            return reader(path.parent / reference)
        uri = S3Uri.parse(reference)
        return lambda: Bucket(s3(), uri.bucket).read(uri.key)

    images = [
        LabeledImage(
            entry.source_ref,
            read(entry.source_ref),
            bool(entry.is_anomalous),
            read(entry.mask_ref) if entry.mask_ref and entry.is_anomalous else None,
            entry.colors,
        )
        for entry in labeled
    ]
    return LabeledImages(images, notes)
