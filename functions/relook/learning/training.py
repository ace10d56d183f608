"""Labelled images to a model package, with an honest account of how good it is.

Find the part, look at it with a pretrained backbone, learn what is normal at each place; a classifier when anomalies
are labelled, a segmentation head when they are masked. The formulas that training computes with arrays are those that
its graph is written with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version as library_version

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from relook.detection.model import Model
from relook.detection.package import (
    SCORE,
    AnomalyClass,
    Choice,
    HeatMapRange,
    ModelManifest,
    ModelPackage,
    NormalStatistic,
)
from relook.detection.regions import Regions
from relook.detection.statistics import picture_statistics
from relook.detection.view import Cut
from relook.errors import ImageRejectedError, PackageError
from relook.learning.backbone.efficientnet_lite import MEASURED_STRIDES, pretrained
from relook.learning.backbone.protocol import Backbone
from relook.learning.data.samples import LabeledImage
from relook.learning.data.training_set import OnProgress, TrainingSet, damaged_images, load_training_set
from relook.learning.engine import Engine
from relook.learning.estimators.calibration import THRESHOLD, median_and_spread, normal_statistic
from relook.learning.estimators.evidence import embedding
from relook.learning.estimators.looks import FeatureExtractor
from relook.learning.estimators.segmentation import fit_type_thresholds
from relook.learning.estimators.verdicts import can_learn_from, decide
from relook.learning.estimators.viewpoint import Viewpoint, fit_view
from relook.learning.extraction import cut_all, extract, factor_for, features_session, finer, limit
from relook.learning.recipe import Recipe
from relook.learning.validation.assessment import assess, suspicious_images
from relook.learning.validation.crossfit import Features, HeldBack, columns_of, hold_back
from relook.learning.validation.evaluation import Evaluation
from relook.learning.validation.folds import FOLD_SIDE_PX, assign_folds, near_duplicate_groups
from relook.learning.validation.types import HeldBackTypes, held_back_types


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
    recipe: Recipe | None = None,
    regions: Regions | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> TrainedModel:
    """Train, evaluate and package one model version. The same images and seed give the same package.

    Args:
        images: at least 10 normal ones; masks make it a segmentation model.
        backbone: in place of the pretrained one.
        regions: of every image, that are ignored.
        on_progress: called with what is being done, steps done and steps in all.
    Raises:
        TrainingDataError: the images cannot train a model; says which and why.
        BackboneError: the pretrained weights are not installed.
        PackageError: the finished package does not reproduce what training saw; it must not be shipped.
    """
    progress: OnProgress = on_progress or (lambda _stage, _done, _total: None)
    recipe = recipe or Recipe()
    generator = np.random.default_rng(seed)
    data = load_training_set(images, generator, progress, regions)
    viewpoint = _viewpoint(data, recipe)
    factor = factor_for(viewpoint.view, second_look=recipe.second_look)
    extractor = FeatureExtractor(backbone or pretrained(_strides(data)), viewpoint.view.canvas, factor)
    data = data.limited(limit(extractor), generator)
    view = finer(viewpoint.view, factor)
    cuts = cut_all(data, view, progress)
    folds = _folds(data, cuts, generator)
    looks, kept, copied = extract(data, cuts, view, extractor, recipe.copies, generator, progress)
    label = data.is_anomalous
    features = Features(
        looks=looks,
        grids=extractor.grids,
        is_normal=np.concatenate([~label, np.ones(len(copied), bool)]),
        folds=np.concatenate([folds, folds[copied]]),
        count=len(cuts),
        kept=kept,
    )
    held = hold_back(features, recipe, generator, progress)
    types = held_back_types(data, cuts, extractor, folds, generator, progress) if data.types else None
    columns, groups = columns_of([*held.evidence(), *([types.peaks] if types else [])])
    decision = decide(label, folds, held.one_class, columns, groups)
    if label.any() and decision.classifier is None:
        reason = (
            "tell no more than normal images alone"
            if can_learn_from(label, folds)
            else "are too few or too alike to learn from"
        )
        data.notes.append(f"{int(label.sum())} anomalous images {reason}: they only check the model")
    normals = np.flatnonzero(~label)
    compared = normals[:: -(-len(normals) // _COMPARED_WITH)]
    engine = Engine(
        extractor=extractor,
        looks=held.looks,
        classifier=decision.classifier,
        segmentation=types.head if types else None,
        normals=embedding(held.whitened[compared], held.looks[0].grid),
        has_regions=data.regions is not None,
    )
    classes = _classes(data, cuts, types)
    graph = engine.graph()
    manifest = ModelManifest(
        project=project,
        version=version,
        view=view,
        image_size=data.size,
        threshold=THRESHOLD,
        calibration=decision.calibration,
        classes=classes,
        heat_map=_heat_map(held, label),
        graph_sha256=hashlib.sha256(graph).hexdigest(),
        backbone=extractor.backbone.identity,
        normals=tuple(data.images[index].name for index in compared),
        choices=_choices(viewpoint, extractor),
        statistics=_statistics(data, cuts, held),
        training=_counts(data, held),
        libraries={name: library_version(name) for name in _LIBRARIES},
    )
    package = ModelPackage(graph, manifest)
    _verify(package, data, cuts, engine)
    progress("checking the package", 1, 1)
    evaluation = assess(data, cuts, held.one_class, decision.verdicts, types, classes)
    return TrainedModel(package, evaluation, (*data.notes, *suspicious_images(evaluation)))


_MIN_FOLDS = 4  # groups of copies: of fewer, a model learns too little of the others to be judged
_COMPARED_WITH = 300  # normal images at most: each adds 16 fields of features to a package
_VERIFIED_IMAGES = 8  # a graph that was built wrongly is wrong for any; each costs an inspection
_TOLERANCE = 1e-2
"""Of scores, in spreads of normal images: the graph keeps covariances at half precision."""
_LIBRARIES = ("numpy", "onnx", "onnxruntime", "pillow")


def _viewpoint(data: TrainingSet, recipe: Recipe) -> Viewpoint:
    """Where the normal images say to look; everywhere, if something that was painted lies outside of that."""
    normals = [image for image, anomalous in zip(data.images, data.is_anomalous, strict=True) if not anomalous]
    try:
        reads = [image.read for image in normals]
        fit = partial(fit_view, reads, recipe.budget_px, levels=data.levels, regions=data.regions, align=recipe.align)
        viewpoint = fit(crop=recipe.crop)
        if viewpoint.view.template or all(viewpoint.view.covers(outline) for outline in data.outlines.values()):
            return viewpoint
        return fit(crop=False)
    except ImageRejectedError as error:
        raise damaged_images(data.images) from error


def _strides(data: TrainingSet) -> tuple[int, ...]:
    """Types need the finest map too; verdicts gained nothing from it."""
    return (2, *MEASURED_STRIDES) if data.types else MEASURED_STRIDES


def _folds(data: TrainingSet, cuts: Sequence[Cut], generator: np.random.Generator) -> NDArray[np.intp]:
    """Near-duplicates together, unless that would leave nothing to hold back."""
    size = (FOLD_SIDE_PX, FOLD_SIDE_PX)
    small = [np.asarray(Image.fromarray(cut.pixels).resize(size, Image.Resampling.BOX)) for cut in cuts]
    groups = near_duplicate_groups(np.stack(small))
    _, copies = np.unique(groups[~data.is_anomalous], return_counts=True)
    if len(copies) < _MIN_FOLDS or copies.max() > copies.sum() / 2:
        data.notes.append(
            "Most normal images look like copies of each other: the evaluation may be too good to be true"
        )
        groups = np.arange(len(groups))
    return assign_folds(groups, data.is_anomalous, generator)


def _classes(data: TrainingSet, cuts: Sequence[Cut], types: HeldBackTypes | None) -> tuple[AnomalyClass, ...]:
    if types is None:
        return ()
    masked = sorted(data.outlines)
    predicted = np.stack([types.probabilities[index][1:] for index in masked])
    truth = np.stack([data.coverage(index, cuts[index], *predicted.shape[2:]) for index in masked])
    thresholds = fit_type_thresholds(predicted, truth)
    return tuple(AnomalyClass(*item, t) for item, t in zip(data.types.items(), thresholds, strict=True))


def _heat_map(held: HeldBack, is_anomalous: NDArray[np.bool_]) -> HeatMapRange:
    normal_maps = held.average[~is_anomalous]
    low = float(np.quantile(normal_maps, 0.9))
    # The hottest spot of a usual normal image is to look warm, not hot
    return HeatMapRange(low, max(2.5 * float(np.median(normal_maps.max(axis=(1, 2)))), low + 1))


def _choices(viewpoint: Viewpoint, extractor: FeatureExtractor) -> tuple[Choice, ...]:
    """What was measured on the normal images, for people."""
    likeness = {"as they are": viewpoint.as_they_are}
    if viewpoint.aligned is not None:
        likeness["turned as each lies"] = viewpoint.aligned
    chosen = "turned as each lies" if viewpoint.view.template else "as they are"
    frame, part = viewpoint.view.frame, viewpoint.view.rectangle
    share = part[2] * part[3] / (frame[0] * frame[1])
    return (
        Choice("parts lie", chosen, "mean correlation of normal images with their mean", likeness),
        Choice("looked at", "whole image" if share > 0.99 else "the part", "share of the image", {"part": share}),
        Choice("looks", str(len(extractor.grids)), "pixels of each, in thousands", _pixels(extractor)),
    )


def _pixels(extractor: FeatureExtractor) -> dict[str, float]:
    first = float(np.prod(extractor.canvas)) / 1000
    return {"first": first} | ({"second": first * extractor.factor**2} if extractor.factor > 1 else {})


def _statistics(data: TrainingSet, cuts: Sequence[Cut], held: HeldBack) -> dict[str, NormalStatistic]:
    """Of the normals: the score as models that did not see them give it; what pictures look like needs no such care."""
    normals = np.flatnonzero(~data.is_anomalous)
    pictures = [asdict(picture_statistics(cuts[index].pixels)) for index in normals.tolist()]
    measured = {name: np.array([each[name] for each in pictures]) for name in pictures[0]}
    return {name: normal_statistic(values) for name, values in {SCORE: held.one_class[normals], **measured}.items()}


def _counts(data: TrainingSet, held: HeldBack) -> dict[str, float]:
    center, spread = median_and_spread(held.one_class[~data.is_anomalous])
    return {
        "normal_images": int((~data.is_anomalous).sum()),
        "anomalous_images": int(data.is_anomalous.sum()),
        "masks": len(data.outlines),
        "one_class_median": float(center),
        "one_class_spread": float(spread),
    }


def _verify(package: ModelPackage, data: TrainingSet, cuts: Sequence[Cut], engine: Engine) -> None:
    """Load the finished package and let it look at some images anew, from their bytes.

    Raises:
        PackageError: it scores them otherwise than the parts it was assembled from.
    """
    model = Model(ModelPackage.from_files(package.files()))
    session = features_session(engine.extractor)
    for index in range(0, len(data.images), -(-len(data.images) // _VERIFIED_IMAGES)):
        seen = model.look(data.images[index].read())
        types = None if seen.types is None else seen.types[None]
        cut, kept = cuts[index], None
        if data.regions:
            kept = [cut.kept(look.grid.height, look.grid.width)[None] for look in engine.looks]
        expected = engine.judge(list(session(image=cut.pixels[None]).values()), types, kept).scores
        if not np.allclose(seen.scores, expected, rtol=_TOLERANCE, atol=_TOLERANCE):
            raise PackageError(
                f"The package scores {data.images[index].name} {seen.scores}, its parts score it {expected}"
            )
