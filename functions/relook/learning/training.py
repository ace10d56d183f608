"""Labelled images to a model package, with an honest account of how good it is.

A backbone's features, two memories of what is normal, a small head when anomalies are labelled, a small pixel network
when they are masked. Everything is fitted in numpy and asked through ONNX graphs, as detection will.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version as library_version

import numpy as np
from numpy.typing import NDArray

from relook.detection.arrays import ByteArray, FloatArray
from relook.detection.model import Model
from relook.detection.package import AnomalyClass, HeatMapRange, ModelManifest, ModelPackage
from relook.detection.session import TRAINING_THREADS, Session
from relook.errors import PackageError
from relook.learning.assembly import Engine, Eye, features_graph, types_graph, whitened_graph
from relook.learning.data.samples import LabeledImage
from relook.learning.data.synthesis import alter
from relook.learning.data.training_set import OnProgress, TrainingSet, load_training_set
from relook.learning.estimators.alignment import Alignment, align
from relook.learning.estimators.calibration import THRESHOLD, median_and_spread
from relook.learning.estimators.choices import Ways, choose_ways
from relook.learning.estimators.detail import fit_detail
from relook.learning.estimators.evidence import STATISTICS_PER_MAP, embeddings
from relook.learning.estimators.features import INPUT_SIDE_PX
from relook.learning.estimators.normality import MAP_GRID, fit_gaussians, fit_memory, fit_whitening
from relook.learning.estimators.pixels import fit_type_thresholds
from relook.learning.estimators.verdicts import Decision, decide, head_columns
from relook.learning.old_backbone import Backbone, our_backbone
from relook.learning.validation.assessment import assess, suspicious_images
from relook.learning.validation.crossfit import (
    Evidence,
    Features,
    HeldBackTypes,
    fit_evidence,
    held_back_maps,
    held_back_types,
    raw_maps,
    weigh,
)
from relook.learning.validation.evaluation import Evaluation
from relook.learning.validation.folds import assign_folds, near_duplicate_groups


@dataclass(frozen=True)
class TrainedModel:
    """What training gives back.

    Attributes:
        notes: sentences for the person who labelled the images: odd ones, fragile numbers.
    """

    package: ModelPackage
    evaluation: Evaluation
    notes: tuple[str, ...]


def train(
    images: Sequence[LabeledImage],
    *,
    project: str,
    version: str,
    seed: int = 0,
    backbone: Backbone | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> TrainedModel:
    """Train, evaluate and package one model version. The same images and seed give the same package.

    Args:
        images: at least 10 normal ones; masks make it a segmentation model.
        backbone: in place of ours.
        on_progress: called with what is being done, steps done and steps in all.
    Raises:
        TrainingDataError: the images cannot train a model; says which and why.
        PackageError: the finished package does not reproduce what training saw; it must not be shipped.
    """
    progress: OnProgress = on_progress or (lambda _stage, _done, _total: None)
    generator = np.random.default_rng(seed)
    backbone = backbone or our_backbone()
    data = load_training_set(images, generator, progress)
    ways = choose_ways(
        data,
        _folds(data, data.pixels, generator),
        lambda pixels, normal, alignment: _whiten(pixels, _eye(pixels[normal], backbone, alignment, generator)),
        generator,
        progress,
    )
    pixels = align(data.pixels, ways.alignment, TRAINING_THREADS)[0] if ways.alignment else data.pixels
    folds = _folds(data, pixels, generator)
    normals = np.flatnonzero(~data.is_anomalous)
    eye = _eye(pixels[normals], backbone, ways.alignment, generator)
    features = _features(pixels, data.is_anomalous, folds, eye, generator)
    (maps,), sums = held_back_maps(features, [ways.scorer.position_weight], generator, progress)
    evidence = fit_evidence(features.judged, maps, data.is_anomalous, ways.scorer)
    types = held_back_types(data, eye, folds, generator, progress) if data.types else None
    decision = decide(data, folds, evidence, types)
    close = None
    if data.tiles > 1:
        peak = float(np.median(evidence.average[normals].max(axis=(1, 2))))
        close = fit_detail(data.images, data.is_anomalous, data.tiles, peak, generator, progress)
        decision = decision.with_alarm(close.alarm, close.scores)
    compared = normals[:: -(-len(normals) // _COMPARED_WITH)]
    engine = Engine(
        eye=eye,
        gaussians=fit_gaussians(sums),
        memory=fit_memory(
            features.whitened, np.flatnonzero(features.is_normal), ways.scorer.position_weight, generator
        ),
        map_scales=evidence.map_scales,
        statistics_scale=evidence.statistics_scale,
        scorer=ways.scorer,
        head=decision.head,
        pixel_model=types.model if types else None,
        classes=len(data.types),
        normals=embeddings(features.whitened[compared]),
        detail=close.detail if close else None,
    )
    classes = _classes(data, types)
    package = _package(engine, decision, classes, data, evidence, ways, compared, project, version)
    _verify(package, engine, data, features.judged)
    progress("checking the package", 1, 1)
    evaluation = assess(data, evidence.one_class, decision.verdicts, types, classes)
    return TrainedModel(package, evaluation, (*data.notes, *suspicious_images(evaluation)))


_MIN_FOLDS = 4
_WHITENING_SAMPLES = 40_000
_COMPARED_WITH = 300
_ENOUGH_NORMALS = 60
_COPIES = 2
_VERIFIED_IMAGES = 8
_TOLERANCE = 1e-3
_LIBRARIES = ("numpy", "onnx", "onnxruntime", "pillow")


def _folds(data: TrainingSet, pixels: ByteArray, generator: np.random.Generator) -> NDArray[np.intp]:
    """Near-duplicates together, unless that would leave nothing to hold back."""
    groups = near_duplicate_groups(pixels)
    _, copies = np.unique(groups[~data.is_anomalous], return_counts=True)
    if len(copies) < _MIN_FOLDS or copies.max() > copies.sum() / 2:
        note = "Most normal images look like copies of each other: the evaluation may be too good to be true"
        if note not in data.notes:
            data.notes.append(note)
        groups = np.arange(len(groups))
    return assign_folds(groups, data.is_anomalous, generator)


def _eye(normals: ByteArray, backbone: Backbone, alignment: Alignment | None, generator: np.random.Generator) -> Eye:
    """Its whitening fitted on cells drawn from all of (n, 256, 256, 3) normal images, aligned if they are to be."""
    session = Session(features_graph(backbone, alignment), threads=TRAINING_THREADS)
    each = min(MAP_GRID**2, _WHITENING_SAMPLES // len(normals))
    samples = []
    for image in normals:
        features = session(image=image[None])["features"].reshape(-1, MAP_GRID**2)
        samples.append(features[:, generator.choice(MAP_GRID**2, each, replace=False)].T)
    return Eye(backbone, fit_whitening(np.concatenate(samples)), alignment)


def _whiten(pixels: ByteArray, eye: Eye) -> FloatArray:
    session = Session(whitened_graph(eye), threads=TRAINING_THREADS)
    whitened = np.empty((len(pixels), eye.whitening.dimensions, MAP_GRID, MAP_GRID), np.float32)
    for index, image in enumerate(pixels):
        whitened[index] = session(image=image[None])["whitened"][0]
    return whitened


def _features(
    pixels: ByteArray,
    is_anomalous: NDArray[np.bool_],
    folds: NDArray[np.intp],
    eye: Eye,
    generator: np.random.Generator,
) -> Features:
    """Of all images; where normal ones are few, also of slightly altered copies of them."""
    normals = np.flatnonzero(~is_anomalous)
    copied = np.repeat(normals, _COPIES) if len(normals) < _ENOUGH_NORMALS else normals[:0]
    copies = [alter(pixels[index], generator) for index in copied]
    return Features(
        whitened=_whiten(np.concatenate([pixels, np.stack(copies)]) if copies else pixels, eye),
        is_normal=np.concatenate([~is_anomalous, np.ones(len(copied), bool)]),
        folds=np.concatenate([folds, folds[copied]]),
        count=len(pixels),
    )


def _classes(data: TrainingSet, types: HeldBackTypes | None) -> tuple[AnomalyClass, ...]:
    if types is None:
        return ()
    found = np.stack([types.probabilities[index][1:] for index in sorted(data.outlines)])
    truth = np.stack([data.coverage(index) for index in sorted(data.outlines)])
    thresholds = fit_type_thresholds(found, truth)
    return tuple(AnomalyClass(*item, t) for item, t in zip(data.types.items(), thresholds, strict=True))


def _package(
    engine: Engine,
    decision: Decision,
    classes: tuple[AnomalyClass, ...],
    data: TrainingSet,
    evidence: Evidence,
    ways: Ways,
    compared: NDArray[np.intp],
    project: str,
    version: str,
) -> ModelPackage:
    graph = engine.graph()
    label = data.is_anomalous
    normal_maps = evidence.average[~label]
    low = float(np.quantile(normal_maps, 0.9))
    # The hottest spot of a usual normal image is to look warm, not hot
    high = max(2.5 * float(np.median(normal_maps.max(axis=(1, 2)))), low + 1)
    center, spread = median_and_spread(evidence.one_class[~label])
    manifest = ModelManifest(
        project=project,
        version=version,
        input_size=(INPUT_SIDE_PX * data.tiles, INPUT_SIDE_PX * data.tiles),
        image_size=data.size,
        threshold=THRESHOLD,
        calibration=decision.calibration,
        classes=classes,
        heat_map=HeatMapRange(low, high),
        graph_sha256=hashlib.sha256(graph).hexdigest(),
        backbone=engine.eye.backbone.identity,
        normals=tuple(data.images[index].name for index in compared),
        choices=ways.choices,
        training={
            "normal_images": int((~label).sum()),
            "anomalous_images": int(label.sum()),
            "masks": len(data.outlines),
            "one_class_median": float(center),
            "one_class_spread": float(spread),
        },
        libraries={name: library_version(name) for name in _LIBRARIES},
    )
    return ModelPackage(graph, manifest)


def _verify(package: ModelPackage, engine: Engine, data: TrainingSet, whitened: FloatArray) -> None:
    """Load the finished package and let it look at some images anew, from their bytes.

    Raises:
        PackageError: it scores them otherwise than the parts it was assembled from.
    """
    model = Model(ModelPackage.from_files(package.files()))
    checked = np.arange(0, len(data.images), -(-len(data.images) // _VERIFIED_IMAGES))
    scored = _scores_of_parts(engine, data.pixels[checked], whitened[checked])
    for index, expected in zip(checked, scored, strict=True):
        found = model.look(data.images[index].read())["scores"]
        found = found[: len(expected)]  # the second look's own score is computed by the graph alone
        if not np.allclose(found, expected, rtol=_TOLERANCE, atol=_TOLERANCE):
            raise PackageError(f"The package scores {data.images[index].name} {found}, training scored it {expected}")


def _scores_of_parts(engine: Engine, pixels: ByteArray, whitened: FloatArray) -> FloatArray:
    """(n, k) scores as training computes them on its way."""
    logs = raw_maps(engine.gaussians, engine.memory, whitened)
    maps = [(logs[:, kind] - scale.center) / scale.spread for kind, scale in enumerate(engine.map_scales)]
    _, statistics, texture = weigh(whitened, np.stack(maps, axis=1).astype(np.float32))
    standard = (statistics - engine.statistics_scale.center) / engine.statistics_scale.spread
    scores = [standard[:, :STATISTICS_PER_MAP] @ np.array(engine.scorer.weights)]
    if engine.head is not None:
        peaks = None
        if engine.pixel_model is not None:
            session = Session(types_graph(engine.eye, engine.pixel_model, engine.classes), threads=TRAINING_THREADS)
            peaks = np.concatenate([session(image=image[None])["peaks"] for image in pixels])
        columns, _ = head_columns(standard, texture, peaks)
        scores.append(engine.head.scores(columns))
    return np.stack(scores, axis=1)
