"""How good verdicts, masks and confidences are, on generated products and on real sets where there are any.

    python -m bench.accuracy [--data DIR ...] [--only NAME ...] [--quick]

Protocol. A set with train/ and test/ is taken as it is, its training normals limited to 150 at even distances; any
other is split once, before anything is looked at. `one class`: trained on the training part's normal images alone.
`with anomalies`: trained on the whole training part, masks included, where it has anomalies. All figures are of the
test part at the model's own threshold; nothing was chosen by them. `cross-fitted`, of sets that we split: trained on
both halves, the figures that training itself reports, of images each judged by models that did not see it.
Pixel AUROC is of the anomaly map, laid over the image, against masks at 256 x 256, normal images included; IoU is of
the masks that a detection answers with, at the image's size, at most 1024.
The baseline, one class on the same images, is PatchCore (Roth et al. 2022) on the same backbone: the whole image
squashed to 256 x 256, features averaged over 3 x 3 cells and brought to 32 x 32, a tenth of the normals' patches drawn
at random, the largest distance to the nearest one.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from rich.table import Table

from bench.judging import judgement
from bench.patchcore_graph import CORESET_SHARE, nearest_distance
from bench.printing import console, mean, shown, tracked
from bench.sets import LabeledSet, add_arguments, chosen_sets
from relook.detection.arrays import FloatArray
from relook.detection.image import decode_mask
from relook.detection.model import Model
from relook.detection.session import Session
from relook.detection.view import View
from relook.learning.backbone.efficientnet_lite import pretrained
from relook.learning.backbone.imported import ImportedBackbone
from relook.learning.backbone.protocol import Backbone
from relook.learning.data.masks import read_mask
from relook.learning.data.samples import LabeledImage
from relook.learning.graph.builder import Graph
from relook.learning.graph.layers import average_pool, mean_filter, resize
from relook.learning.graph.tensor import Tensor
from relook.learning.graph.xp import xp
from relook.learning.training import train
from relook.learning.validation.evaluation import Evaluation, evaluate_on
from relook.learning.validation.metrics import average_precision, roc_auc

BASELINE = "one class, PatchCore on the same backbone"
_MAP_PX, _INPUT_PX, _CELLS = 256, 256, 32  # as the protocol says


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
    add_arguments(parser)
    parser.add_argument("--quick", action="store_true", help="no baseline")
    parser.add_argument("--backbone", type=Path, help="a feature ONNX in place of ours")
    parser.add_argument("--json", action="store_true", help="JSON lines instead of tables")
    arguments = parser.parse_args()
    sets = chosen_sets(arguments)
    backbone = ImportedBackbone.from_bytes(arguments.backbone.read_bytes()) if arguments.backbone else None
    if not arguments.json:
        console.print((__doc__ or "").split("Protocol. ")[-1])
    rows: list[Row] = []
    for each in tracked(sets, "measuring"):
        own = []
        for row in _measure(each, backbone, with_baseline=not arguments.quick):
            own.append(row)
            if arguments.json:
                print(json.dumps(asdict(row)), flush=True)
        if not arguments.json:
            _print(each, own)
        rows += [] if each.is_generated else own
    if rows and not arguments.json:
        _print_means(rows)


def _measure(data: LabeledSet, backbone: Backbone | None, *, with_baseline: bool) -> Iterator[Row]:
    yield _trained(data, "one class", data.normals, backbone)
    if len(data.normals) < len(data.train):
        yield _trained(data, "with anomalies", data.train, backbone)
    if data.is_whole:
        yield _cross_fitted(data, backbone)
    if with_baseline:
        yield _patchcore(data, backbone or pretrained())


def _trained(data: LabeledSet, mode: str, images: list[LabeledImage], backbone: Backbone | None) -> Row:
    started = time.perf_counter()
    package = train(images, project=data.name, version="1", backbone=backbone).package
    seconds = time.perf_counter() - started
    model = Model(package)
    looks = [model.look(image.read()) for image in data.test]
    judged = judgement(looks, data.test, package.manifest)
    return Row(
        data=data.name,
        mode=mode,
        auroc=judged.auroc,
        aupr=judged.aupr,
        f1=judged.f1,
        ece=judged.ece,
        pixel_auroc=_pixel_auroc(data.test, [look.on_image(_MAP_PX, _MAP_PX) for look in looks]),
        iou=_overlaps(evaluate_on(model, data.test, lambda *_: None)) if model.is_segmentation else {},
        train_s=seconds,
        package_mb=sum(map(len, package.files().values())) / 1e6,
        choices=", ".join(f"{choice.name} {choice.chosen}" for choice in package.manifest.choices),
    )


def _cross_fitted(data: LabeledSet, backbone: Backbone | None) -> Row:
    started = time.perf_counter()
    trained = train([*data.train, *data.test], project=data.name, version="1", backbone=backbone)
    evaluation = trained.evaluation
    return Row(
        data=data.name,
        mode="cross-fitted on all",
        auroc=evaluation.roc_auc,
        aupr=evaluation.average_precision,
        f1=evaluation.f1,
        ece=evaluation.calibration_error,
        pixel_auroc=None,
        iou=_overlaps(evaluation),
        train_s=time.perf_counter() - started,
        package_mb=sum(map(len, trained.package.files().values())) / 1e6,
        choices=", ".join(f"{choice.name} {choice.chosen}" for choice in trained.package.manifest.choices),
    )


def _overlaps(evaluation: Evaluation) -> dict[str, float]:
    return {kind.name: kind.iou for kind in evaluation.types}


def _patchcore(data: LabeledSet, backbone: Backbone) -> Row:
    started = time.perf_counter()
    session = Session(_patches_graph(backbone), threads=2)

    def patches(image: LabeledImage) -> FloatArray:
        pixels = View.stretched(_INPUT_PX, _INPUT_PX).cut(image.read()).pixels
        return session(image=pixels[None])["patches"]

    bank = np.concatenate([patches(image) for image in data.normals])
    bank = bank[np.random.default_rng(0).permutation(len(bank))[: int(CORESET_SHARE * len(bank))]]
    seconds = time.perf_counter() - started
    maps = [nearest_distance(patches(image), bank).reshape(_CELLS, _CELLS) for image in data.test]
    label = np.array([image.is_anomalous for image in data.test])
    scores = np.array([each.max() for each in maps])
    return Row(
        data=data.name,
        mode=BASELINE,
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


def _patches_graph(backbone: Backbone) -> bytes:
    """`image`, (1, 256, 256, 3) uint8, to `patches`, a row for each of 32 x 32 cells."""
    graph = Graph()
    pixels = graph.input("image", np.uint8, (1, _INPUT_PX, _INPUT_PX, 3)).astype(np.float32)
    maps = [_on_grid(mean_filter(each, 3)) for each in backbone.maps(pixels.transpose(0, 3, 1, 2))]
    features = xp.concatenate(maps, axis=1)
    graph.output("patches", features.reshape(features.shape[1], -1).T)
    return graph.finish()


def _on_grid(features: Tensor) -> Tensor:
    """Finer maps averaged, coarser ones enlarged."""
    times = features.shape[2] // _CELLS
    return resize(average_pool(features, times) if times > 1 else features, _CELLS, _CELLS)


def _pixel_auroc(images: Sequence[LabeledImage], maps: Sequence[FloatArray]) -> float | None:
    """Over all pixels of normal images and of anomalous ones with masks."""
    scores, labels = [], []
    for image, heat in zip(images, maps, strict=True):
        if image.is_anomalous and image.read_mask is None:
            continue
        scores.append(_squashed(heat, Image.Resampling.BILINEAR).ravel())
        shows = _squashed(_is_defect(image), Image.Resampling.BOX) > 0.5
        labels.append(shows.ravel())
    if not labels or not (label := np.concatenate(labels)).any():
        return None
    return roc_auc(np.concatenate(scores), label)


def _is_defect(image: LabeledImage) -> FloatArray:
    """1 where the mask shows any type, at its own size; 0 without a mask."""
    if image.read_mask is None:
        return np.zeros((1, 1), np.float32)
    data = image.read_mask()
    height, width = decode_mask(data).shape[:2]
    labels = read_mask(data, image.colors, name=image.name, height=height, width=width)
    return (labels > 0).astype(np.float32)


def _squashed(values: FloatArray, how: Image.Resampling) -> FloatArray:
    return np.asarray(Image.fromarray(values).resize((_MAP_PX, _MAP_PX), how))


def _print(data: LabeledSet, rows: Sequence[Row]) -> None:
    table = Table(title=f"{data.name}: {data.split}", title_justify="left", box=None)
    for column in ("", "AUROC", "AUPR", "F1", "ECE", "pixel AUROC", "IoU", "training", "package", "chosen"):
        table.add_column(column, justify="left" if column in ("", "IoU", "chosen") else "right")
    for row in rows:
        figures = [shown(v) for v in (row.auroc, row.aupr, row.f1, row.ece, row.pixel_auroc)]
        overlaps = ", ".join(f"{name} {value:.2f}" for name, value in row.iou.items())
        size = "" if row.package_mb is None else f"{row.package_mb:.1f} MB"
        table.add_row(row.mode, *figures, overlaps, f"{row.train_s:.1f} s", size, row.choices)
    console.print(table)


def _print_means(rows: Sequence[Row]) -> None:
    table = Table(title="mean of the real sets", title_justify="left", box=None)
    for column in ("", "sets", "AUROC", "F1", "ECE"):
        table.add_column(column, justify="right" if column else "left")
    for mode in dict.fromkeys(row.mode for row in rows):
        own = [row for row in rows if row.mode == mode]
        figures = (mean(r.auroc for r in own), mean(r.f1 for r in own), mean(r.ece for r in own))
        table.add_row(mode, str(len(own)), *map(shown, figures))
    console.print(table)


if __name__ == "__main__":
    main()
