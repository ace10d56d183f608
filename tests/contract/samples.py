"""Datasets as users of Lookout for Vision have them: labelled parts in a bucket, and manifests that name them."""

from __future__ import annotations

import json
from typing import Any

from tests.unit.parts import SCRATCH_COLOR, part, png

CREATION_DATE = "2021-03-01T12:00:00.000000"


def classification_line(source_ref: str, *, is_anomalous: bool) -> str:
    """A line of a manifest, as Ground Truth writes it."""
    return json.dumps(_classified(source_ref, is_anomalous=is_anomalous))


def segmentation_line(source_ref: str, mask_ref: str) -> str:
    """The same of an image with a scratch, with its mask."""
    line = _classified(source_ref, is_anomalous=True)
    line["anomaly-mask-ref"] = mask_ref
    line["anomaly-mask-ref-metadata"] = {
        "internal-color-map": {
            "0": {"class-name": "BACKGROUND", "hex-color": "#ffffff", "confidence": 0.0},
            "1": {"class-name": "scratch", "hex-color": SCRATCH_COLOR, "confidence": 0.0},
        },
        "type": "groundtruth/semantic-segmentation",
        "human-annotated": "yes",
        "creation-date": CREATION_DATE,
        "job-name": "labeling-job/parts-mask",
    }
    return json.dumps(line)


def upload_parts(s3: Any, bucket: str, prefix: str, normal: int, scratched: int) -> str:
    """Put parts, their masks and the manifest into a bucket; the manifest's key."""
    lines = []
    for seed in range(normal):
        key = f"{prefix}/normal/{seed}.png"
        s3.put_object(Bucket=bucket, Key=key, Body=png(part(seed)[0]))
        lines.append(classification_line(f"s3://{bucket}/{key}", is_anomalous=False))
    for seed in range(500, 500 + scratched):
        key, mask_key = f"{prefix}/anomaly/{seed}.png", f"{prefix}/masks/{seed}.png"
        picture, mask = part(seed, is_scratched=True)
        s3.put_object(Bucket=bucket, Key=key, Body=png(picture))
        s3.put_object(Bucket=bucket, Key=mask_key, Body=png(mask))
        lines.append(segmentation_line(f"s3://{bucket}/{key}", f"s3://{bucket}/{mask_key}"))
    s3.put_object(Bucket=bucket, Key=f"{prefix}/train.manifest", Body="\n".join(lines).encode())
    return f"{prefix}/train.manifest"


def _classified(source_ref: str, *, is_anomalous: bool) -> dict[str, Any]:
    return {
        "source-ref": source_ref,
        "anomaly-label": int(is_anomalous),
        "anomaly-label-metadata": {
            "class-name": "anomaly" if is_anomalous else "normal",
            "type": "groundtruth/image-classification",
            "human-annotated": "yes",
            "confidence": 1,
            "creation-date": CREATION_DATE,
            "job-name": "labeling-job/parts",
        },
    }
