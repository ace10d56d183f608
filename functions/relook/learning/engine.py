"""All fitted parts of one model, and the ONNX graph that they are together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Generic

import numpy as np

from relook.detection.arrays import FloatArray
from relook.detection.package import KEPT
from relook.learning.estimators.classifier import Classifier
from relook.learning.estimators.evidence import average_map, embedding, evidence, image_score, nearest
from relook.learning.estimators.looks import FeatureExtractor, Look
from relook.learning.estimators.segmentation import SegmentationHead, peaks
from relook.learning.extraction import image_input
from relook.learning.graph.builder import Graph
from relook.learning.graph.tensor import Tensor
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
        has_regions: whether cells may be ignored, which the graph must then be told.
    """

    extractor: FeatureExtractor
    looks: list[Look]
    classifier: Classifier | None
    segmentation: SegmentationHead | None
    normals: FloatArray
    has_regions: bool = False

    def judge(
        self, features: Sequence[ArrayT], types: ArrayT | None, kept: Sequence[ArrayT] | None = None
    ) -> Judgement[ArrayT]:
        """From (n, cells, channels) features of each look and, if any, (n, classes + 1, h, w) types.

        Args:
            kept: (n, height, width) of each look, 0 for a cell that is ignored; all are kept unless given.
        """
        each_look = zip(self.looks, features, kept or repeat(None, len(self.looks)), strict=True)
        maps = [each for look, seen, cells in each_look for each in look.maps(seen, cells)]
        average = average_map(maps, kept[-1] if kept else None)
        whitened, grid = self.looks[0].whitened(features[0], kept[0] if kept else None), self.looks[0].grid
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
        backbone_maps = self.extractor.maps(image_input(graph, self.extractor))
        types = self.segmentation(backbone_maps[-1]) if self.segmentation else None
        stored = replace(self, looks=[look.at_half_precision() for look in self.looks])
        judged = stored.judge(
            self.extractor.features(backbone_maps), types, self._kept(graph) if self.has_regions else None
        )
        graph.output("scores", judged.scores)
        graph.output("map", judged.average[0])
        index, distance = nearest(judged.embedding, self.normals)
        graph.output("nearest", xp.concatenate([index.astype(np.float32), distance], 0))
        if types is not None:
            graph.output("types", types[0])
        return graph.finish()

    def _kept(self, graph: Graph) -> list[Tensor]:
        return [
            graph.input(f"{KEPT}{number}", np.float32, (1, look.grid.height, look.grid.width))
            for number, look in enumerate(self.looks)
        ]
