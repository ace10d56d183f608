"""Whether changed light and focus are told from an unchanged stream, and whether a threshold keeps what it promises.

    python -m bench.drift [--data DIR ...] [--only NAME ...] [--splits 1] [--json]

Protocol. Of each set with 120 normal images or more, whatever its folders are called, a model learns from half, drawn
at random, 150 at most and so few that 100 are left, and from no anomalies. Those that are left are a stream of images
that it never saw, each once and 200 at most: as they are, darker (all values times .8), and blurred by a Gaussian whose
sigma is a pixel where the picture has 65,536 of them. The stream is held against what the model keeps of its training
images, as relook drift does; given is the largest index of its statistics, and above .25 is drift. The threshold is
that of relook threshold --false-alarms 1%, by the training's own evaluation; given is the share of unseen images as
they are that it calls anomalous. --splits draws anew, so often.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from rich.table import Table

from bench.printing import console, tracked
from bench.robustness import blurred, lit
from bench.sets import MAX_NORMALS, LabeledSet, add_arguments, chosen_sets, generated_set
from relook.detection.image import decode
from relook.detection.model import Model
from relook.learning.data.samples import LabeledImage
from relook.learning.training import train
from relook.quality.drift import drift
from relook.quality.records import InspectionStatus
from relook.quality.stability import MIN_IMAGES, Stability
from relook.quality.thresholds import threshold_for_false_alarms
from relook.training.evaluation import image_outcomes

AS_THEY_ARE = "as they are"
CHANGES = {"darker": lit(0.8), "blurred": blurred(1.0)}
LEAST_LEARNT_FROM, STREAM = 20, 200
ALLOWED = 0.01


@dataclass(frozen=True)
class Row:
    """One model of one set.

    Attributes:
        seed: of the split.
        false_alarms: share of the unseen images.
        indices: stream -> statistic -> population stability index.
        drifted: streams that read as drift.
    """

    data: str
    seed: int
    learnt_from: int
    unseen: int
    false_alarms: float
    indices: dict[str, dict[str, float]]
    drifted: list[str]


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--splits", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="JSON lines instead of a table")
    arguments = parser.parse_args()
    sets = [generated_set(each.name, MAX_NORMALS, 0) if each.is_generated else each for each in chosen_sets(arguments)]
    normals = {each.name: _normals(each) for each in sets}
    enough = {name: images for name, images in normals.items() if len(images) >= LEAST_LEARNT_FROM + MIN_IMAGES}
    rows = []
    for name, seed in tracked([(name, seed) for name in enough for seed in range(arguments.splits)], "measuring"):
        rows.append(measure(name, enough[name], seed))
        if arguments.json:
            print(json.dumps(asdict(rows[-1])), flush=True)
    if not arguments.json:
        console.print((__doc__ or "").split("Protocol. ")[-1])
        _print(rows)


def measure(name: str, normals: Sequence[LabeledImage], seed: int) -> Row:
    """One split of a set's normal images: a model of one part, and what it says of the other."""
    order = np.random.default_rng(seed).permutation(len(normals)).tolist()
    count = min(len(normals) // 2, MAX_NORMALS, len(normals) - MIN_IMAGES)
    known, unseen = ([normals[i] for i in part] for part in (order[:count], order[count : count + STREAM]))
    trained = train(known, project=name, version="1")
    model = Model(trained.package)
    threshold = threshold_for_false_alarms(image_outcomes(trained.evaluation), ALLOWED)
    streams = {AS_THEY_ARE: unseen} | {
        change: [replace(image, read=lambda image=image, alter=alter: alter(decode(image.read()))) for image in unseen]
        for change, alter in CHANGES.items()
    }
    read, alarms = {}, 0
    for stream, images in streams.items():
        read[stream], above = _look(model, images, threshold)
        alarms += above if stream == AS_THEY_ARE else 0
    return Row(
        data=name,
        seed=seed,
        learnt_from=len(known),
        unseen=len(unseen),
        false_alarms=alarms / len(unseen),
        indices={
            stream: {each: round(statistic.index, 3) for each, statistic in by.items()} for stream, by in read.items()
        },
        drifted=[stream for stream, by in read.items() if any(each.reading.name == "DRIFT" for each in by.values())],
    )


def _look(model: Model, images: Sequence[LabeledImage], threshold: float) -> tuple[dict[str, Stability], int]:
    """The stream's statistics against the training images', and how many images are above the threshold."""
    results = [model.detect(image.read()) for image in images]
    records = []
    for result in results:
        assert result.statistics is not None
        records.append(
            {
                "status": InspectionStatus.INSPECTED,
                "model_version": "1",
                "inspected_at": "2026-11-26T09:00:00.000Z",
                "score": result.score,
                **asdict(result.statistics),
            }
        )
    reference = {name: each.normals for name, each in model.manifest.statistics.items()}
    (stream,) = drift(records, reference, model_version="1")
    return dict(stream.statistics), sum(result.anomaly_probability >= threshold for result in results)


def _normals(data: LabeledSet) -> list[LabeledImage]:
    return [image for image in (*data.train, *data.test) if not image.is_anomalous]


def _print(rows: Sequence[Row]) -> None:
    table = Table("set", "learnt from", "unseen", "false alarms", AS_THEY_ARE, *CHANGES, box=None)
    for row in rows:
        cells = []
        for stream in (AS_THEY_ARE, *CHANGES):
            statistic, index = max(row.indices[stream].items(), key=lambda item: item[1])
            cells.append(f"{index:.2f} {statistic}{' DRIFT' if stream in row.drifted else ''}")
        table.add_row(row.data, str(row.learnt_from), str(row.unseen), f"{row.false_alarms:.1%}", *cells)
    console.print(table)
    streams = [(stream, stream in row.drifted) for row in rows for stream in row.indices]
    for stream in (AS_THEY_ARE, *CHANGES):
        told = [is_told for name, is_told in streams if name == stream]
        console.print(f"{stream}: {sum(told)} of {len(told)} streams read as drift")


if __name__ == "__main__":
    main()
