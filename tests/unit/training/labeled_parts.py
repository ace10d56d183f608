"""Datasets of the small made-up part, in S3 and in the registry, as CreateDataset leaves them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from typing import Any

from relook.aws.bucket import Bucket
from relook.aws.table import Table
from relook.registry.dataset_type import DatasetType
from relook.registry.datasets import DatasetStatus, ImageStats, StoredEntry, create_dataset, new_folder, save_entries
from relook.registry.manifest_entry import parse_entry
from tests.unit.parts import SCRATCH_COLOR, part, png

ADDED = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def put_dataset(
    registry: Table,
    s3: Any,
    normal: int,
    scratched: int = 0,
    *,
    kind: DatasetType = DatasetType.TRAIN,
    with_masks: bool = False,
    seed: int = 0,
    more: tuple[str, ...] = (),
) -> None:
    """A complete dataset of the project `bracket`, its images under `images/<kind>/` in the images bucket.

    Args:
        more: further lines, as they are.
    """
    for name, data in _objects(normal, scratched, with_masks, seed).items():
        s3.put_object(Bucket="images", Key=f"{kind}/{name}", Body=data)
    lines = [_line(kind, f"normal/{i}.png", False, None) for i in range(normal)]
    for i in range(scratched):
        mask = f"masks/{i}.png" if with_masks else None
        lines.append(_line(kind, f"anomaly/{i}.png", True, mask))
    register_dataset(registry, s3, [*lines, *more], kind=kind)


def register_dataset(registry: Table, s3: Any, lines: list[str], *, kind: DatasetType = DatasetType.TRAIN) -> None:
    """A complete dataset of these lines."""
    entries = [StoredEntry(line, ADDED, parse_entry(line)) for line in lines]
    labels = [each.entry.is_anomalous for each in entries]
    folder = new_folder("bracket", kind)
    create_dataset(
        registry,
        "bracket",
        kind,
        status=DatasetStatus.CREATE_COMPLETE,
        message="The dataset was created.",
        stats=ImageStats(len(labels), len(labels) - labels.count(None), labels.count(False), labels.count(True)),
        entries_key=save_entries(Bucket(s3, "datasets"), folder, entries),
        folder=folder,
    )


def unlabeled_line(key: str) -> str:
    """An entry that names a class which is neither normal nor anomalous."""
    return json.dumps(
        {
            "source-ref": f"s3://images/{key}",
            "state": 0,
            "state-metadata": {"class-name": "dunno", "type": "groundtruth/image-classification"},
        }
    )


def _line(kind: DatasetType, name: str, is_anomalous: bool, mask: str | None) -> str:
    fields: dict[str, Any] = {
        "source-ref": f"s3://images/{kind}/{name}",
        # As the lab notebook of the original labels: the number is the wrong way round, the name counts.
        "auto-label": int(not is_anomalous),
        "auto-label-metadata": {
            "class-name": "anomaly" if is_anomalous else "normal",
            "type": "groundtruth/image-classification",
            "human-annotated": "no",
            "job-name": "labelling-7",
        },
    }
    if mask:
        fields["anomaly-mask-ref"] = f"s3://images/{kind}/{mask}"
        fields["anomaly-mask-ref-metadata"] = {
            "internal-color-map": {"0": {"class-name": "scratch", "hex-color": SCRATCH_COLOR}},
            "type": "groundtruth/semantic-segmentation",
        }
    return json.dumps(fields)


@cache
def _objects(normal: int, scratched: int, with_masks: bool, seed: int) -> dict[str, bytes]:
    objects = {f"normal/{i}.png": png(part(seed + i)[0]) for i in range(normal)}
    for i in range(scratched):
        picture, mask = part(seed + 500 + i, is_scratched=True)
        objects[f"anomaly/{i}.png"] = png(picture)
        if with_masks:
            objects[f"masks/{i}.png"] = png(mask)
    return objects
