"""How good verdicts, masks and confidences are, on generated products and on real sets where there are any.

    python -m bench.accuracy [--data DIR ...] [--only NAME ...] [--quick]

Protocol. Each set is split once, before anything is looked at. `one class`: trained on the training half's normal
images alone. `with anomalies`: trained on the whole training half, masks included. All figures are of the test half at
the model's own threshold; nothing was chosen by them. `cross-fitted`: trained on both halves, the figures that training
itself reports, of images each judged by models that did not see it. Baselines are one class, on the same halves: our
engine on the hand-made filter bank alone, our engine with random weights beside the bank, and PatchCore (Roth et al.
2022; patches of a 32 x 32 grid, a random tenth of them kept, the largest distance decides) on our backbone.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.sets import LabeledSet, generated_set, real_sets
from local.products import PRODUCTS
from relook.detection.arrays import ByteArray, FloatArray
from relook.detection.calibration import log_odds, probability
from relook.detection.image import decode_for_model, decode_mask
from relook.detection.model import Model
from relook.detection.rendering import label_pixels
from relook.detection.session import Session
from relook.learning.data.masks import read_mask
from relook.learning.data.samples import LabeledImage
from relook.learning.estimators.features import CHANNELS, INPUT_SIDE_PX, cell_features, filter_responses, unit_image
from relook.learning.estimators.normality import MAP_GRID
from relook.learning.old_backbone import Backbone, our_backbone
from relook.learning.old_graph import GraphBuilder
from relook.learning.training import train
from relook.learning.validation.metrics import average_precision, expected_calibration_error, roc_auc, type_overlap

console = Console(highlight=False, width=180)
_MAP_PX = 256


@dataclass(frozen=True)
class Row:
    """One model on one set; None where the set cannot tell."""

    data: str
    mode: str
    auroc: float | None
    aupr: float | None
    f1: float | None
    ece: float | None
    pixel_auroc: float | None
    iou: dict[str, float]
    train_s: float
    package_mb: float | None
    choices: str


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", type=Path, default=[], help="a set, or a folder of sets")
    parser.add_argument("--only", action="append", default=[], help="sets of this name; repeatable")
    parser.add_argument("--quick", action="store_true", help="no baselines")
    parser.add_argument("--backbone", type=Path, help="a feature ONNX in place of ours")
    parser.add_argument("--json", action="store_true", help="JSON lines instead of tables")
    arguments = parser.parse_args()
    sets = [generated_set(name, 40, 30) for name in PRODUCTS if not arguments.only or name in arguments.only]
    for folder in arguments.data:
        sets += [each for each in real_sets(folder) if not arguments.only or each.name in arguments.only]
    if not arguments.data:
        Console(stderr=True).print("no --data DIR given: generated products only")
    backbone = Backbone.from_bytes(arguments.backbone.read_bytes()) if arguments.backbone else our_backbone()
    rows: list[Row] = []
    for each in track(sets, description="measuring", console=Console(stderr=True), disable=not sys.stderr.isatty()):
        for row in _measure(each, backbone, baselines=not arguments.quick):
            rows.append(row)
            if arguments.json:
                print(json.dumps(asdict(row)), flush=True)
    if not arguments.json:
        _print(rows, sets)


def _measure(data: LabeledSet, backbone: Backbone, *, baselines: bool) -> list[Row]:
    normals = [image for image in data.train if not image.is_anomalous]
    rows = [_trained(data, "one class", normals, backbone)]
    if any(image.is_anomalous for image in data.train):
        rows.append(_trained(data, "with anomalies", data.train, backbone))
    if data.is_whole:
        rows.append(_cross_fitted(data, backbone))
    if baselines:
        rows.append(_trained(data, "one class, filter bank", normals, _bank()))
        rows.append(_trained(data, "one class, random weights", normals, _random_weights(backbone)))
        rows.append(_patchcore(data, normals, backbone))
    return rows


def _trained(data: LabeledSet, mode: str, images: list[LabeledImage], backbone: Backbone) -> Row:
    started = time.perf_counter()
    package = train(images, project=data.name, version="1", backbone=backbone).package
    seconds = time.perf_counter() - started
    model = Model(package)
    manifest = package.manifest
    looks = [model.look(image.read()) for image in data.test]
    label = np.array([image.is_anomalous for image in data.test])
    odds = np.array([log_odds(look["scores"], manifest.calibration) for look in looks])
    sure = np.array([probability(look["scores"], manifest.calibration) for look in looks])
    detected = sure >= manifest.threshold
    hits = int((detected & label).sum())
    return Row(
        data=data.name,
        mode=mode,
        auroc=roc_auc(odds, label),
        aupr=average_precision(odds, label),
        f1=2 * hits / max(int(detected.sum() + label.sum()), 1),
        ece=expected_calibration_error(sure, label),
        pixel_auroc=_pixel_auroc(data.test, [look["map"] for look in looks]),
        iou=_overlaps(data.test, model, looks, detected),
        train_s=seconds,
        package_mb=sum(map(len, package.files().values())) / 1e6,
        choices=", ".join(f"{choice.name} {choice.chosen}" for choice in manifest.choices),
    )


def _cross_fitted(data: LabeledSet, backbone: Backbone) -> Row:
    started = time.perf_counter()
    trained = train([*data.train, *data.test], project=data.name, version="1", backbone=backbone)
    found = trained.evaluation
    return Row(
        data=data.name,
        mode="cross-fitted on all",
        auroc=found.roc_auc,
        aupr=found.average_precision,
        f1=found.f1,
        ece=found.calibration_error,
        pixel_auroc=None,
        iou={kind.name: kind.iou for kind in found.types},
        train_s=time.perf_counter() - started,
        package_mb=sum(map(len, trained.package.files().values())) / 1e6,
        choices=", ".join(f"{choice.name} {choice.chosen}" for choice in trained.package.manifest.choices),
    )


def _patchcore(data: LabeledSet, normals: list[LabeledImage], backbone: Backbone) -> Row:
    started = time.perf_counter()
    graph = GraphBuilder()
    shape = (1, backbone.channels, MAP_GRID, MAP_GRID)
    graph.output("features", backbone.nodes(graph, unit_image(graph), MAP_GRID), shape)
    session = Session(graph.finish(), threads=2)

    def patches(image: LabeledImage) -> FloatArray:
        pixels = decode_for_model(image.read(), INPUT_SIDE_PX, INPUT_SIDE_PX)
        found = session(image=pixels[None])["features"][0]
        coarse = found.reshape(len(found), MAP_GRID // 2, 2, MAP_GRID // 2, 2).mean(axis=(2, 4))
        return np.asarray(coarse.reshape(len(found), -1).T)

    bank = np.concatenate([patches(image) for image in normals])
    bank = bank[np.random.default_rng(0).permutation(len(bank))[: max(1, len(bank) // 10)]]
    lengths, columns = (bank**2).sum(axis=1), np.ascontiguousarray(bank.T)
    seconds = time.perf_counter() - started
    maps = []
    for image in data.test:
        rows = patches(image)
        nearest = (lengths - 2 * rows @ columns).min(axis=1) + (rows**2).sum(axis=1)
        maps.append(np.sqrt(np.maximum(nearest, 0)).reshape(MAP_GRID // 2, -1).astype(np.float32))
    label = np.array([image.is_anomalous for image in data.test])
    scores = np.array([each.max() for each in maps])
    return Row(
        data=data.name,
        mode="one class, PatchCore on our backbone",
        auroc=roc_auc(scores, label),
        aupr=average_precision(scores, label),
        f1=None,
        ece=None,
        pixel_auroc=_pixel_auroc(data.test, maps),
        iou={},
        train_s=seconds,
        package_mb=bank.nbytes / 1e6,
        choices="",
    )


def _bank() -> Backbone:
    """The hand-made filters, in the form of a backbone."""
    graph = GraphBuilder()
    image = graph.input("image", np.float32, (1, 3, INPUT_SIDE_PX, INPUT_SIDE_PX))
    features = cell_features(graph, filter_responses(graph, image), MAP_GRID)
    graph.output("features", features, (1, CHANNELS, MAP_GRID, MAP_GRID))
    return Backbone.from_bytes(graph.finish())


def _random_weights(backbone: Backbone) -> Backbone:
    """The same network, its kernels drawn anew (He et al. 2015), its biases zero."""
    generator = np.random.default_rng(0)
    model = onnx.load_from_string(backbone.model)
    for constant in model.graph.initializer:
        found = onnx.numpy_helper.to_array(constant)
        if found.ndim in (1, 4):
            drawn = generator.normal(0, np.sqrt(2 / max(found[0].size, 1)), found.shape) * (found.ndim == 4)
            constant.CopyFrom(onnx.numpy_helper.from_array(drawn.astype(np.float32), constant.name))
    return Backbone.from_bytes(model.SerializeToString())


def _truth(image: LabeledImage) -> tuple[ByteArray, list[str]] | None:
    """The mask's labels at its own size and the types they number; None without a mask."""
    if image.read_mask is None:
        return None
    data = image.read_mask()
    height, width = decode_mask(data).shape[:2]
    labels = read_mask(data, image.colors, name=image.name, height=height, width=width)
    return labels, list(image.colors)


def _pixel_auroc(images: Sequence[LabeledImage], maps: Sequence[FloatArray]) -> float | None:
    """Over all pixels of normal images and of anomalous ones with masks, at 256 x 256, by ranks."""
    from PIL import Image

    scores, labels = [], []
    for image, found in zip(images, maps, strict=True):
        truth = _truth(image)
        if image.is_anomalous and truth is None:
            continue
        scores.append(np.asarray(Image.fromarray(found).resize((_MAP_PX, _MAP_PX), Image.Resampling.BILINEAR)).ravel())
        if truth is None:
            labels.append(np.zeros(_MAP_PX**2, bool))
        else:
            painted = Image.fromarray((truth[0] > 0).astype(np.uint8) * 255)
            labels.append(np.asarray(painted.resize((_MAP_PX, _MAP_PX), Image.Resampling.BOX)).ravel() > 127)
    if not labels or not (label := np.concatenate(labels)).any():
        return None
    order = np.concatenate(scores).argsort(kind="stable")
    ranks = np.empty(len(order))
    ranks[order] = np.arange(1, len(order) + 1)
    positives = int(label.sum())
    return float((ranks[label].sum() - positives * (positives + 1) / 2) / (positives * (len(label) - positives)))


def _overlaps(
    images: Sequence[LabeledImage], model: Model, looks: Sequence[dict[str, FloatArray]], detected: Iterable[bool]
) -> dict[str, float]:
    """IoU of each type over all test images with masks, painted as detection would."""
    classes = model.manifest.classes
    found, truths = [], []
    for image, look, anomalous in zip(images, looks, detected, strict=True):
        truth = _truth(image) if classes else None
        if truth is None:
            continue
        labels, names = truth
        numbers = {c.name: n for n, c in enumerate(classes, start=1)}
        renumber = np.array([0, *(numbers.get(name, 0) for name in names)], np.uint8)
        painted = label_pixels(look["types"], [c.threshold for c in classes], *labels.shape)
        found.append(painted * np.uint8(anomalous))
        truths.append(renumber[labels])
    return {c.name: type_overlap(n, found, truths).iou for n, c in enumerate(classes, start=1)} if found else {}


def _print(rows: Sequence[Row], sets: Sequence[LabeledSet]) -> None:
    console.print(__doc__.split("Protocol. ")[1] if __doc__ else "")
    for each in sets:
        table = Table(title=f"{each.name}: {each.split}", title_justify="left", box=None)
        for column in ("", "AUROC", "AUPR", "F1", "ECE", "pixel AUROC", "IoU", "training", "package", "chosen"):
            table.add_column(column, justify="left" if column in ("", "IoU", "chosen") else "right")
        for row in rows:
            if row.data == each.name:
                shown = [_share(v) for v in (row.auroc, row.aupr, row.f1, row.ece, row.pixel_auroc)]
                overlaps = ", ".join(f"{name} {value:.2f}" for name, value in row.iou.items())
                size = "" if row.package_mb is None else f"{row.package_mb:.1f} MB"
                table.add_row(row.mode, *shown, overlaps, f"{row.train_s:.1f} s", size, row.choices)
        console.print(table)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
