"""What each part of the engine is worth: taken away or changed, one at a time, all else as it ships.

    python -m bench.ablation --data DIR ... [--sets NAME ...] [--parts TEXT ...] [--keep FILE] [--markdown FILE]

Protocol. Only training parts are used to choose by (splits are those of bench.accuracy). A set's training normals are
dealt to three folds, copies of one original together; a model of normal images alone learns from two folds, and is
asked about the third and about anomalies it never saw: those of the training part, at most 60, or, where it has none,
a defect painted on each of at most 20 of the held-back normals (`painted`, as on 256 x 256 pixels: none is finer than
one of these; some lie beside the part). AUROC and F1, at the default threshold, are means over the folds. `test` is the
same against at most 60 real anomalies of the test part: nothing should be chosen by it, but painted defects are not
real ones. Means are over sets; the generated products weigh a third at most. Differences are to the engine as it ships,
with their standard error over sets. Sets that would leave fewer than 10 normals to learn from are left out.
`--keep FILE` gathers rows as they come, as JSON lines, and measures none of them twice.
"""

from __future__ import annotations

import argparse
import json
import time
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.table import Table

from bench.judging import judge
from bench.painting import paint_defect
from bench.pictures import encoded
from bench.printing import console, shown, tracked
from bench.sets import LabeledSet, add_arguments, chosen_sets, deal, evenly
from cli.output import err
from relook.detection.arrays import ByteArray, FloatArray
from relook.detection.image import decode
from relook.detection.model import Model
from relook.learning.data.samples import LabeledImage
from relook.learning.data.training_set import MIN_NORMAL_IMAGES
from relook.learning.recipe import Recipe
from relook.learning.training import train

AS_IT_SHIPS = "as it ships"
OTHERS: dict[str, tuple[Any, ...]] = {
    "budget_px": (32_768, 131_072),
    "copies": (0, 4),
    "dimensions": (60, 176),
}
"""What is tried in place of a number; what is true or false is turned round."""
FOLDS = 3
MAX_ANOMALIES, MAX_PAINTED, PAINTED_AT_PX = 60, 20, 256
GENERATED_SHARE = 1 / 3
FIGURES = {"AUROC": "auroc", "F1": "f1", "AUROC, test": "test_auroc", "F1, test": "test_f1"}
"""As the table calls them, and the fields of a row."""


@dataclass(frozen=True)
class Row:
    """One recipe on one set: means over the folds.

    Attributes:
        judged_by: `labelled` or `painted` anomalies.
        test_auroc: against the test part's real anomalies, as `test_f1`.
    """

    data: str
    is_generated: bool
    judged_by: str
    part: str
    auroc: float
    f1: float
    test_auroc: float
    test_f1: float
    train_s: float


@dataclass(frozen=True)
class Fold:
    """What one model learns from, and what it is asked about.

    Attributes:
        held: normal ones.
        chosen_by: anomalies, labelled or painted.
        real: anomalies of the test part.
    """

    learned: list[LabeledImage]
    held: list[LabeledImage]
    chosen_by: list[LabeledImage]
    real: list[LabeledImage]


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--parts", action="append", default=[], help="parts whose name has this in it; repeatable")
    parser.add_argument("--keep", type=Path, help="where rows are kept")
    parser.add_argument("--markdown", type=Path, help="where the table goes, for docs/engine.md")
    arguments = parser.parse_args()
    kept: list[Row] = []
    if arguments.keep and arguments.keep.exists():
        kept = [Row(**json.loads(line)) for line in arguments.keep.read_text().splitlines()]
    parts = {
        name: recipe
        for name, recipe in recipes().items()
        if name == AS_IT_SHIPS or not arguments.parts or any(text in name for text in arguments.parts)
    }
    sets = [data for data in chosen_sets(arguments) if _is_large_enough(data)]
    rows = [row for row in kept if row.part in parts and row.data in {data.name for data in sets}]
    known = {(row.data, row.part) for row in rows}
    jobs = [(data, name) for data in sets for name in parts if (data.name, name) not in known]
    folds: tuple[str, list[Fold]] = ("", [])
    for data, name in tracked(jobs, "measuring"):
        if folds[0] != data.name:
            folds = (data.name, _folds(data))
        rows.append(_measure(data, folds[1], name, parts[name]))
        if arguments.keep:
            with arguments.keep.open("a") as file:
                file.write(json.dumps(asdict(rows[-1])) + "\n")
        print(json.dumps(asdict(rows[-1])), flush=True)
    lines = _table(list(parts), rows)
    _print(lines)
    if arguments.markdown:
        arguments.markdown.write_text(_markdown(lines, rows))


def recipes() -> dict[str, Recipe]:
    """By what is changed: every field of the recipe on its own."""
    by_name, usual = {AS_IT_SHIPS: Recipe()}, Recipe()
    for field in fields(Recipe):
        now = getattr(usual, field.name)
        for other in (not now,) if isinstance(now, bool) else OTHERS[field.name]:
            value = ("off", "on")[other] if isinstance(now, bool) else f"{other:,}"
            by_name[f"{field.name} {value}"] = replace(usual, **{field.name: other})
    return by_name


def _is_large_enough(data: LabeledSet) -> bool:
    hands = deal(data.normals, FOLDS)
    enough = len(data.normals) - max(map(len, hands)) >= MIN_NORMAL_IMAGES
    if not enough:
        err.print(f"{data.name} is left out: too few normal images, or too few originals of them")
    return enough


def _folds(data: LabeledSet) -> list[Fold]:
    labelled = evenly([image for image in data.train if image.is_anomalous], MAX_ANOMALIES)
    real = evenly([image for image in data.test if image.is_anomalous], MAX_ANOMALIES)
    folds = []
    for held in (hands := deal(data.normals, FOLDS)):
        learned = [image for other in hands if other is not held for image in other]
        anomalies = labelled or [_painted(image) for image in evenly(held, MAX_PAINTED)]
        folds.append(Fold(learned, held, anomalies, real))
    return folds


def _painted(image: LabeledImage) -> LabeledImage:
    """With a defect somewhere in a square as large as the picture's shorter side; the same one each time."""
    generator = np.random.default_rng(zlib.crc32(image.name.encode()))
    pixels = decode(image.read())
    side = min(pixels.shape[:2])
    top, left = (int(generator.integers(size - side + 1)) for size in pixels.shape[:2])
    square = pixels[top : top + side, left : left + side]
    small = _resized(square, PAINTED_AT_PX)
    painted = paint_defect(small, generator)
    change = _resized(painted, side).astype(np.int16) - _resized(small, side)
    square[:] = (square + change).clip(0, 255)
    data = encoded(pixels, "PNG", compress_level=1)
    return LabeledImage(f"{image.name}, painted", lambda: data, True)


def _resized(square: ByteArray, side: int) -> ByteArray:
    return np.asarray(Image.fromarray(square).resize((side, side), Image.Resampling.BILINEAR))


def _measure(data: LabeledSet, folds: Sequence[Fold], part: str, recipe: Recipe) -> Row:
    figures = []
    for fold in folds:
        started = time.perf_counter()
        package = train(fold.learned, project=data.name, version="1", recipe=recipe).package
        seconds = time.perf_counter() - started
        judgement = judge(Model(package), [*fold.held, *fold.chosen_by, *fold.real])
        held, place = len(fold.held), np.arange(len(judgement.label))
        judged = judgement.only(place < held + len(fold.chosen_by))
        tested = judgement.only((place < held) | (place >= held + len(fold.chosen_by)))
        figures.append((judged.auroc, judged.f1, tested.auroc, tested.f1, seconds))
    has_anomalies = any(image.is_anomalous for image in data.train)
    means = np.mean(figures, axis=0).tolist()
    return Row(data.name, data.is_generated, "labelled" if has_anomalies else "painted", part, *means)


def _table(parts: Sequence[str], rows: Sequence[Row]) -> list[list[str]]:
    """A line a part: each figure, and what it is more than that of the engine as it ships, over the sets of both."""
    usual = {row.data: row for row in rows if row.part == AS_IT_SHIPS}
    lines = []
    for part in parts:
        own = [row for row in rows if row.part == part]
        if not own:
            continue
        line = [part, str(len(own))]
        for name in FIGURES.values():
            line.append(shown(float(weights(own) @ [getattr(row, name) for row in own])))
            both = [row for row in own if row.data in usual and part != AS_IT_SHIPS]
            more = np.array([getattr(row, name) - getattr(usual[row.data], name) for row in both])
            line.append(_difference(more, weights(both)) if both else "")
        lines.append([*line, f"{np.mean([row.train_s for row in own]):.1f}"])
    return lines


def weights(rows: Sequence[Row]) -> FloatArray:
    """Of sets in a mean: all alike, but the generated ones a third together at most."""
    generated = np.array([row.is_generated for row in rows])
    share = 1.0 if generated.all() else min(float(generated.mean()), GENERATED_SHARE)
    own, others = max(int(generated.sum()), 1), max(int((~generated).sum()), 1)
    return np.where(generated, share / own, (1 - share) / others).astype(np.float32)


def _difference(values: FloatArray, weight: FloatArray) -> str:
    mean, count = float(weight @ values), len(values)
    if count == 1:
        return f"{mean:+.3f}"
    error = float(np.sqrt((weight**2) @ (values - mean) ** 2 * count / (count - 1)))
    return f"{mean:+.3f} ± {error:.3f}"


def _columns() -> list[str]:
    return ["", "sets", *(each for name in FIGURES for each in (name, "difference")), "training, s"]


def _print(lines: Sequence[Sequence[str]]) -> None:
    table = Table(*_columns(), title="means over sets", title_justify="left", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for line in lines:
        table.add_row(*line)
    console.print(table)


def _markdown(lines: Sequence[Sequence[str]], rows: Sequence[Row]) -> str:
    """The table, and which sets it is of."""
    real, generated = (sorted({row.data for row in rows if row.is_generated is kind}) for kind in (False, True))
    table = [_columns(), ["---"] * len(_columns()), *lines]
    body = "\n".join(f"| {' | '.join(line)} |" for line in table)
    return f"{body}\n\nReal sets: {', '.join(real) or 'none'}. Generated: {', '.join(generated) or 'none'}.\n"


if __name__ == "__main__":
    main()
