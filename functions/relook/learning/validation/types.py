"""Types of anomalies predicted by models that did not see the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relook.detection.arrays import FloatArray
from relook.detection.session import Session
from relook.detection.view import Cut
from relook.learning.data.training_set import OnProgress, TrainingSet
from relook.learning.estimators.looks import FeatureExtractor
from relook.learning.estimators.segmentation import SegmentationHead, fit_segmentation, gather, peaks, sample_cells
from relook.learning.extraction import THREADS, image_input
from relook.learning.graph.builder import Graph

_ROUNDS = 4  # heads: each takes a whole training, so folds share them
_MIRRORED = ((1, -1), (-1, 1), (-1, -1))
"""Steps down and right of an image's mirrored views, of which one is learnt from too."""


@dataclass(frozen=True)
class HeldBackTypes:
    """
    Attributes:
        peaks: (n, types) log odds, as `segmentation.peaks` gives them.
        probabilities: image index -> (types + 1, h, w) on the cut's canvas, of images with masks.
        head: learnt from all images.
    """

    peaks: FloatArray
    probabilities: dict[int, FloatArray]
    head: SegmentationHead


def held_back_types(
    data: TrainingSet,
    cuts: list[Cut],
    extractor: FeatureExtractor,
    folds: NDArray[np.intp],
    generator: np.random.Generator,
    on_progress: OnProgress,
) -> HeldBackTypes:
    """Learn the pixels' types in four rounds, and once from all."""
    classes = len(data.types)
    session = Session(_maps_graph(extractor), threads=THREADS)
    height, width = session.shapes["map_0"][2:]
    owners, rows, labels = [], [], []
    for index, cut in enumerate(cuts):
        if index in data.outlines or not data.is_anomalous[index]:
            coverage = data.coverage(index, cut, height, width)
            for down, right in ((1, 1), _MIRRORED[generator.integers(len(_MIRRORED))]):
                painted = np.ascontiguousarray(coverage[:, ::down, ::right])
                cells, numbers = sample_cells(painted, generator, images=2 * len(cuts))
                maps = session(image=np.ascontiguousarray(cut.pixels[None, ::down, ::right]))
                rows.append(gather([each[0] for each in maps.values()], cells))
                labels.append(numbers)
                owners.append(np.full(len(cells), index))
        on_progress("reading masks", index + 1, len(cuts))
    row, label, owner = np.concatenate(rows), np.concatenate(labels), np.concatenate(owners)
    rounds = folds % _ROUNDS
    type_peaks = np.empty((len(cuts), classes), np.float32)
    probabilities = {}
    total = int(rounds.max()) + 2
    for held in range(total - 1):
        known = rounds[owner] != held
        head = fit_segmentation(row[known], label[known], classes, generator)
        session = Session(_types_graph(extractor, head), threads=THREADS)
        for index in np.flatnonzero(rounds == held).tolist():
            out = session(image=cuts[index].pixels[None])
            type_peaks[index] = out["peaks"][0]
            if index in data.outlines:
                probabilities[index] = out["types"][0]
        on_progress("learning the types", held + 1, total)
    head = fit_segmentation(row, label, classes, generator)
    on_progress("learning the types", total, total)
    return HeldBackTypes(type_peaks, probabilities, head)


def _maps_graph(extractor: FeatureExtractor) -> bytes:
    graph = Graph()
    for number, each in enumerate(extractor.maps(image_input(graph, extractor))[-1]):
        graph.output(f"map_{number}", each)
    return graph.finish()


def _types_graph(extractor: FeatureExtractor, head: SegmentationHead) -> bytes:
    graph = Graph()
    types = head(extractor.maps(image_input(graph, extractor))[-1])
    graph.output("types", types)
    graph.output("peaks", peaks(types))
    return graph.finish()
