"""`relook drop`: upload images, wait for their records, fetch their pictures."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.files import short_names
from cli.output import PENDING, UNREADABLE, CommandError, progress
from cli.pictures import overlay, save_picture
from cli.regions import regions_of_version
from cli.stack import Stack
from relook.aws.bucket import S3Uri
from relook.errors import AwsError, ResourceNotFoundError
from relook.quality.records import InspectionStatus
from relook.registry.projects import is_project_name

_POLL_S = 0.2  # a verdict takes about a second
_NAME = re.compile(r"[A-Za-z0-9._-]+")  # it becomes a part of a header's name, unlike the value


@dataclass(frozen=True)
class Drop:
    """One image's record, and where its overlay was written."""

    record: Mapping[str, Any]
    overlay: Path | None


def drop(
    stack: Stack,
    project: str,
    paths: list[Path],
    metadata: Mapping[str, str],
    *,
    timeout_s: float,
    pictures: Path,
) -> list[Drop]:
    """Inspect files by way of the images bucket, in the order they were given.

    A file that cannot be uploaded is REJECTED, one whose record did not come in time is PENDING: the others have their
    verdicts all the same.

    Raises:
        CommandError: the project cannot inspect anything yet, or nothing could be uploaded.
    """
    model_version = _hosted_version(stack, project)
    uploads: dict[Path, _Uploaded] = {}
    records: dict[Path, Mapping[str, Any]] = {}
    with progress() as bars:
        uploading = bars.add_task("uploading", total=len(paths))
        for path, name in zip(paths, short_names(paths), strict=True):
            try:
                uploads[path] = _upload(stack, path, f"{project}/{name}", metadata)
            except (OSError, UnicodeError, AwsError) as error:
                records[path] = _without_verdict(
                    path, project, InspectionStatus.REJECTED, reason=UNREADABLE, message=str(error)
                )
            bars.advance(uploading)
        if not uploads:
            raise CommandError(f"Nothing could be uploaded: {records[paths[0]]['message']}")
        inspecting = bars.add_task("waiting for verdicts", total=len(paths), completed=len(records))
        deadline = time.monotonic() + timeout_s
        while (missing := [path for path in paths if path not in records]) and time.monotonic() < deadline:
            for path in missing:
                if record := _find_record(stack, uploads[path], model_version):
                    records[path] = record
                    bars.advance(inspecting)
            time.sleep(_POLL_S if len(records) < len(paths) else 0)
    for path in missing:
        message = f"no verdict after {timeout_s:g} s; see the function's log, or the dead-letter queue"
        records[path] = _without_verdict(path, project, PENDING, message=message)
    return [Drop(records[path], save_overlay(stack, records[path], path.read_bytes, pictures)) for path in paths]


def parse_metadata(texts: list[str]) -> dict[str, str]:
    """NAME=VALUE texts as a mapping.

    Raises:
        CommandError: one of them has no `=`, or a name that S3 does not take.
    """
    pairs = [text.partition("=") for text in texts]
    wrong = [f"{name}{equals}{value}" for name, equals, value in pairs if not (equals and _NAME.fullmatch(name))]
    if wrong:
        raise CommandError(f"--metadata {wrong[0]!r} must look like camera=7, with a name of a-z, 0-9, '.', '_', '-'")
    return {name: value for name, _, value in pairs}


def save_overlay(
    stack: Stack, record: Mapping[str, Any], read_image: Callable[[], bytes], pictures: Path
) -> Path | None:
    """Write the image with what was found painted on it below a folder; where it is, or None without anything found."""
    if "heat_map_uri" not in record and "mask_uri" not in record:
        return None
    uris = (record.get(name) for name in ("mask_uri", "heat_map_uri"))
    mask, heat_map = (stack.read(S3Uri.parse(uri)) if uri else None for uri in uris)
    name = S3Uri.parse(record["image_uri"]).key
    regions = regions_of_version(stack, str(record["project"]), str(record["model_version"]))
    return save_picture(pictures, name, "overlay", lambda: overlay(read_image(), mask, heat_map, regions=regions))


@dataclass(frozen=True)
class _Uploaded:
    """What was uploaded.

    Attributes:
        known: when what the image already had records of was inspected, by record; in a bucket without versions, the
            same content has one record, which a new inspection replaces.
    """

    uri: str
    object_version: str
    known: Mapping[str, str]


def _hosted_version(stack: Stack, project: str) -> str | None:
    """The version whose verdict to wait for; None for a project the registry does not know, such as a remote one."""
    if not is_project_name(project):
        raise CommandError(f"{project!r} cannot name a project; use letters, digits, '_' and '-'")
    try:
        return stack.hosted_model(project).version
    except ResourceNotFoundError:
        return None


def _upload(stack: Stack, path: Path, key: str, metadata: Mapping[str, str]) -> _Uploaded:
    uri = str(stack.images.uri(key))
    records = stack.inspections.query(("image_uri", uri), attributes=["object_version", "inspected_at"])
    known = {str(record["object_version"]): str(record["inspected_at"]) for record in records}
    return _Uploaded(uri, stack.images.write(key, path.read_bytes(), metadata=metadata), known)


def _find_record(stack: Stack, upload: _Uploaded, model_version: str | None) -> Mapping[str, Any] | None:
    # Where uploads of equal content have one version, older models may have left records of their own.
    if model_version:
        record = stack.inspections.get(
            {"image_uri": upload.uri, "object_version": f"{upload.object_version}#{model_version}"}
        )
        records = [record] if record else []
    else:
        records = list(
            stack.inspections.query(
                ("image_uri", upload.uri), sort_prefix=("object_version", f"{upload.object_version}#")
            )
        )
    fresh = (each for each in records if upload.known.get(str(each["object_version"])) != each["inspected_at"])
    return max(fresh, key=lambda each: str(each["inspected_at"]), default=None)


def _without_verdict(path: Path, project: str, status: str, **why: str) -> dict[str, Any]:
    return {"image_uri": path.absolute().as_uri(), "project": project, "status": status, **why}
