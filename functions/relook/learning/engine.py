"""All fitted parts of one model, and the ONNX graph that they are together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic

import numpy as np

from relook.detection.arrays import FloatArray
from relook.learning.estimators.classifier import Classifier
from relook.learning.estimators.evidence import average_map, embedding, evidence, image_score, nearest
from relook.learning.estimators.looks import Eye, Look
from relook.learning.estimators.segmentation import SegmentationHead, peaks
from relook.learning.extraction import image_input
from relook.learning.graph.builder import Graph
from relook.learning.graph.xp import ArrayT, xp


@dataclass(frozen=True)
class Judgement(Generic[ArrayT]):
    """Of one image.

    Attributes:
        scores: (k,), one for each calibration.
        average: (1, height, width) anomaly map on the canvas.
        embedding: (1, e).
    """

    scores: ArrayT
    average: ArrayT
    embedding: ArrayT


@dataclass(frozen=True)
class Engine:
    """What training fits.

    Attributes:
        classifier: None when there were too few anomalies to learn from.
        segmentation: None for a classification model.
        normals: (n, e) embeddings of the normal images that an image is compared with.
    """

    eye: Eye
    looks: list[Look]
    classifier: Classifier | None
    segmentation: SegmentationHead | None
    normals: FloatArray

    def judge(self, features: Sequence[ArrayT], types: ArrayT | None) -> Judgement[ArrayT]:
        """From (n, cells, channels) features of each look and, if any, (n, classes + 1, h, w) types."""
        maps = [each for look, seen in zip(self.looks, features, strict=True) for each in look.maps(seen)]
        average = average_map(maps)
        whitened, grid = self.looks[0].whitened(features[0]), self.looks[0].grid
        scores = [image_score(average)]
        if self.classifier is not None:
            groups = evidence(average, maps, whitened, grid)
            if types is not None:
                groups.append(peaks(types))
            scores.append(self.classifier(xp.concatenate(groups, 1)))
        return Judgement(xp.concatenate(scores, 0), average, embedding(whitened, grid))

    def graph(self) -> bytes:
        """Pixels to `scores`, `map`, `nearest` and `types`, as `package.py` describes them."""
        graph = Graph()
        backbone_maps = self.eye.maps(image_input(graph, self.eye))
        types = self.segmentation(backbone_maps[-1]) if self.segmentation else None
        stored = replace(self, looks=[look.at_half_precision() for look in self.looks])
        judged = stored.judge(self.eye.features(backbone_maps), types)
        graph.output("scores", judged.scores)
        graph.output("map", judged.average[0])
        index, distance = nearest(judged.embedding, self.normals)
        graph.output("nearest", xp.concatenate([index.astype(np.float32), distance], 0))
        if types is not None:
            graph.output("types", types[0])
        return graph.finish()
