"""`relook drop`: upload images, wait for their records, fetch their pictures."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.output import CommandError, progress
from cli.pictures import overlay
from cli.stack import Stack

_POLL_S = 0.2


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

    Raises:
        CommandError: some records did not come in time; their images are named.
    """
    with progress() as bars:
        uploading = bars.add_task("uploading", total=len(paths))
        waiting = {}
        for path, key in zip(paths, object_keys(project, paths), strict=True):
            waiting[path] = _upload(stack, path, key, metadata)
            bars.advance(uploading)
        inspecting = bars.add_task("waiting for verdicts", total=len(paths))
        records: dict[Path, Mapping[str, Any]] = {}
        deadline = time.monotonic() + timeout_s
        while len(records) < len(paths) and time.monotonic() < deadline:
            for path in [each for each in paths if each not in records]:
                found = list(
                    stack.inspections.query(
                        ("image_uri", waiting[path].uri),
                        sort_prefix=("object_version", f"{waiting[path].object_version}#"),
                        newest_first=True,
                    )
                )
                if found:
                    records[path] = found[0]
                    bars.advance(inspecting)
            time.sleep(0 if len(records) == len(paths) else _POLL_S)
    missing = [path for path in paths if path not in records]
    if missing:
        raise CommandError(
            f"{len(missing)} of {len(paths)} images have no verdict after {timeout_s:g} s, such as {missing[0]};"
            f" is a model of project {project} hosted? (relook train {project} FOLDER)"
        )
    return [Drop(records[path], _overlay(stack, path, records[path], pictures)) for path in paths]


@dataclass(frozen=True)
class _Uploaded:
    uri: str
    object_version: str


def _upload(stack: Stack, path: Path, key: str, metadata: Mapping[str, str]) -> _Uploaded:
    bucket = stack.outputs["ImagesBucket"]
    answer = stack.s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes(), Metadata=dict(metadata))
    return _Uploaded(f"s3://{bucket}/{key}", answer.get("VersionId") or answer["ETag"].strip('"'))


def object_keys(project: str, paths: list[Path]) -> list[str]:
    """`<project>/<file name>`; files of one name keep as much of their folders as tells them apart."""
    depth = 1
    while len({path.resolve().parts[-depth:] for path in paths}) < len({path.resolve() for path in paths}):
        depth += 1
    return ["/".join([project, *path.resolve().parts[-depth:]]) for path in paths]


def _overlay(stack: Stack, path: Path, record: Mapping[str, Any], pictures: Path) -> Path | None:
    if "heat_map_uri" not in record and "mask_uri" not in record:
        return None
    mask, heat_map = (_fetch(stack, record.get(name)) for name in ("mask_uri", "heat_map_uri"))
    target = pictures / f"{record['image_uri'].split('/', 3)[3]}.overlay.jpg"
    target.parent.mkdir(parents=True, exist_ok=True)
    overlay(path.read_bytes(), mask, heat_map).save(target, quality=90)
    return target


def _fetch(stack: Stack, uri: str | None) -> bytes | None:
    if uri is None:
        return None
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bytes(stack.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
