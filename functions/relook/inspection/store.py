"""Step 3: the pictures of an inspection, into the results bucket."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from relook.aws.bucket import MAX_KEY_BYTES, Bucket
from relook.detection.result import DetectAnomalyResult
from relook.inspection.upload import Upload
from relook.registry.inspections import Verdict
from relook.registry.retention import Retention


@dataclass(frozen=True)
class PictureUris:
    """Where the pictures are; None for one that the model does not give."""

    mask: str | None
    heat_map: str | None


def store_pictures(
    results: Bucket, upload: Upload, model_version: str, result: DetectAnomalyResult, retention: Retention
) -> PictureUris:
    """Write the mask and the heat map, whichever there are.

    Args:
        results: never the images bucket, so no picture is ever inspected.
    """
    tags = retention.tags(Verdict.ANOMALOUS if result.is_anomalous else Verdict.NORMAL)

    def store(name: str, png: bytes | None) -> str | None:
        if png is None:
            return None
        key = picture_key(upload, model_version, name)
        results.write(key, png, "image/png", tags=tags)
        return str(results.uri(key))

    return PictureUris(mask=store("mask", result.mask_png), heat_map=store("heat_map", result.heat_map_png))


def picture_key(upload: Upload, model_version: str, name: str) -> str:
    """`<project>/<path>/<object version>/model-<n>/<name>.png`; a path too long for that gives way to its SHA-256."""
    project, _, path = upload.key.partition("/")
    key = f"{project}/{path}/{upload.object_version}/model-{model_version}/{name}.png"
    if len(key.encode()) > MAX_KEY_BYTES:
        path = hashlib.sha256(path.encode()).hexdigest()
        key = f"{project}/{path}/{upload.object_version}/model-{model_version}/{name}.png"
    return key
