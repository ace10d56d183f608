"""A table with as many inspections as a few lines leave in a season, for whatever asks it.

The records are what the pipeline's own functions make of made-up verdicts; they are written in batches, past it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from bench.pipeline import PORT
from bench.printing import tracked
from cli.datasets import read_folder
from cli.stack import Stack
from cli.training import ensure_project, train_in_cloud
from local.cloud import LocalCloud
from local.products import PRODUCTS, write_dataset
from relook.aws.table import Table, to_attributes
from relook.detection.image import ImageHeader
from relook.detection.result import Anomaly, DetectAnomalyResult
from relook.detection.statistics import PictureStatistics
from relook.errors import ImageRejectedError, RejectionReason
from relook.events import DetailType
from relook.float32 import exact_float32
from relook.inspection.record import Inspection, Outcome, record_item
from relook.inspection.store import PictureUris
from relook.inspection.upload import Upload
from relook.quality.records import InspectionStatus
from relook.quality.thresholds import Band
from relook.registry.checks import ask_for_checks
from relook.registry.history import record_change
from relook.registry.retention import Retention
from relook.registry.reviews import ReviewVerdict

LARGEST, SHARES = "bracket", {"bracket": 0.5, "board": 0.25, "tile": 0.15, "screw": 0.1}
"""Of the records; only the first project has a model, which drift and thresholds are asked of."""
SEASON = timedelta(days=90)
_CAMERAS, _LINES = 4, 3
_ANOMALOUS, _REJECTED, _CHECKS, _BORDERLINE, _REVIEWED = 0.06, 0.01, 0.005, 0.02, 0.02
_THRESHOLD, _BAND = 0.5, Band(0.35, 0.65)
_BATCH = 25  # items; as many as BatchWriteItem takes


@contextmanager
def filled_cloud(count: int) -> Iterator[tuple[LocalCloud, Stack]]:
    """A local AWS with the stack and so many records, for the length of a `with` block."""
    with LocalCloud(PORT).running() as cloud:
        stack = Stack(cloud.deploy(), cloud.clients)
        fill(stack, count)
        yield cloud, stack


def fill(stack: Stack, count: int) -> None:
    """Train and host a model of the largest project, and put so many records into the table, with what people said."""
    with tempfile.TemporaryDirectory() as scratch:
        write_dataset(Path(scratch), LARGEST, normal=40, anomalous=20, seed=1)
        train_in_cloud(stack, LARGEST, read_folder(Path(scratch)), host=True)
    for project in SHARES:
        ensure_project(stack, project)
        ask_for_checks(stack.registry, project, timedelta(hours=8), who=stack.clients.caller)
    items = [each for project, share in SHARES.items() for each in records_of(stack, project, round(count * share))]
    _write(stack, stack.inspections, items, "records")
    _write(stack, stack.registry, [_history_item(each) for each in items if "review" in each], "reviews")


def records_of(stack: Stack, project: str, count: int) -> Iterator[dict[str, Any]]:
    """So many of a project, newest first, evenly over the season."""
    random = np.random.default_rng(len(project))
    defects = PRODUCTS[project].defects
    now, every = datetime.now(UTC), SEASON / count
    for number in range(count):
        at = now - every * number
        chance = random.random()
        expected = {"expected": str(random.choice(["normal", "anomaly"]))} if random.random() < _CHECKS else {}
        camera, line = (int(random.integers(1, most + 1)) for most in (_CAMERAS, _LINES))
        metadata = {"camera": str(camera), "line": str(line), "serial": f"{number:08d}", **expected}
        key = f"{project}/{at:%Y/%m/%d}/{camera}/{number:08d}.jpg"
        version = f"{random.integers(1 << 62):032x}"
        if chance < _REJECTED:
            refused = ImageRejectedError(RejectionReason.CORRUPT, "The image is truncated or damaged; upload it again")
            outcome = Outcome(metadata, rejection=refused)
        else:
            probability = _probability(random, chance)
            names = [str(random.choice(list(defects)))] if probability >= _THRESHOLD else []
            anomalies = [
                Anomaly(name, exact_float32(random.uniform(0.001, 0.05)), defects[name].color) for name in names
            ]
            results = f"s3://{stack.outputs['ResultsBucket']}/{key}/{version}/model-1"
            outcome = Outcome(
                metadata,
                ImageHeader("JPEG", PRODUCTS[project].width, PRODUCTS[project].height),
                DetectAnomalyResult(
                    is_anomalous=probability >= _THRESHOLD,
                    confidence=max(probability, exact_float32(1 - probability)),
                    anomaly_probability=probability,
                    threshold=_THRESHOLD,
                    anomalies=tuple(anomalies),
                    score=float(random.normal() + 6 * (probability >= _THRESHOLD)),
                    statistics=PictureStatistics(*map(float, random.normal(size=3))),
                ),
                PictureUris(f"{results}/mask.png", f"{results}/heat_map.png"),
            )
        size_bytes, duration_ms = int(random.integers(60_000, 90_000)), int(random.integers(40, 90))
        upload = Upload(stack.images.name, key, version, version, size_bytes, "")
        inspection = Inspection(upload, project, "1", _BAND, at, duration_ms, outcome)
        item = {name: value for name, value in record_item(inspection, Retention()).items() if value is not None}
        yield _reviewed(item, stack.clients.caller) if random.random() < _REVIEWED else item


def _probability(random: np.random.Generator, chance: float) -> float:
    if chance < _REJECTED + _BORDERLINE:
        return exact_float32(random.uniform(_BAND.low, _BAND.high))
    if chance < _REJECTED + _BORDERLINE + _ANOMALOUS:
        return exact_float32(random.uniform(_BAND.high, 1))
    return exact_float32(random.beta(1, 40))


def _reviewed(item: dict[str, Any], who: str) -> dict[str, Any]:
    """As somebody said of it that it is right."""
    if item["status"] != InspectionStatus.INSPECTED:
        return item
    said = {"review": ReviewVerdict.RIGHT, "reviewed_by": who, "reviewed_at": item["inspected_at"]}
    return {name: value for name, value in item.items() if name not in ("to_review", "review_order")} | said


def _history_item(record: Mapping[str, Any]) -> Mapping[str, Any]:
    after = {
        "review": record["review"],
        "verdict": "anomalous" if record["is_anomalous"] else "normal",
        "inspection_id": record["inspection_id"],
    }
    change = record_change(
        record["project"],
        who=record["reviewed_by"],
        what=DetailType.INSPECTION_REVIEWED,
        subject=record["image_uri"],
        before=None,
        after=after,
    )
    return change.item


def _write(stack: Stack, table: Table, items: Sequence[Mapping[str, Any]], what: str) -> None:
    batches = [items[start : start + _BATCH] for start in range(0, len(items), _BATCH)]
    for batch in tracked(batches, what):
        requests: Any = {table.name: [{"PutRequest": {"Item": to_attributes(each)}} for each in batch]}
        while requests:
            requests = stack.clients.dynamodb.batch_write_item(RequestItems=requests)["UnprocessedItems"]
