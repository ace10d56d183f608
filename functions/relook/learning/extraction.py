"""Images to features: each is decoded, cut and shown to the backbone once; every fold uses what came of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from relook.detection.arrays import ByteArray, FloatArray
from relook.detection.session import Session
from relook.detection.view import Cut, View
from relook.errors import ImageRejectedError
from relook.learning.data.samples import LabeledImage
from relook.learning.data.synthesis import nudge, relight
from relook.learning.data.training_set import MAX_IMAGES, OnProgress, TrainingSet, damaged_images
from relook.learning.estimators.looks import FeatureExtractor
from relook.learning.graph.builder import Graph
from relook.learning.graph.tensor import Tensor

THREADS = 2
"""Of the graphs that training asks on the way."""

_MOST_DOUBLINGS = 2  # of the canvas's sides: 16 times the pixels, and the time
_USUAL_CELLS = 1024  # of one look at the usual budget

_Half = NDArray[np.float16]


def image_input(graph: Graph, extractor: FeatureExtractor) -> Tensor:
    """`image`, (1, height, width, 3) uint8, as (1, 3, height, width) float32 0..255."""
    return graph.input("image", np.uint8, (1, *extractor.finest, 3)).astype(np.float32).transpose(0, 3, 1, 2)


def cut_all(data: TrainingSet, view: View, on_progress: OnProgress) -> list[Cut]:
    """What the model will see of each image.

    Raises:
        TrainingDataError: images cannot be decoded; names them.
    """
    cuts = []
    for image in data.images:
        try:
            cuts.append(view.cut(image.read()))
        except ImageRejectedError as error:
            raise damaged_images(data.images) from error
        on_progress("finding the parts", len(cuts), len(data.images))
    return cuts


def extract(
    data: TrainingSet,
    cuts: list[Cut],
    view: View,
    extractor: FeatureExtractor,
    copies: int,
    generator: np.random.Generator,
    on_progress: OnProgress,
) -> tuple[list[_Half], list[FloatArray] | None, NDArray[np.intp]]:
    """Features of all images, then of altered copies of the normal ones.

    Returns:
        (n + copies, cells, channels) of each look; (n + copies, height, width) of each look, 0 for cells that are
        ignored, None where nothing is; and the images that the copies are of.
    """
    normals = np.flatnonzero(~data.is_anomalous)
    copied = np.repeat(normals, min(copies, max(0, limit(extractor) - len(cuts)) // len(normals)))
    session = features_session(extractor)
    total = len(cuts) + len(copied)
    looks: list[_Half] = []
    kept = [np.ones((total, grid.height, grid.width), np.float32) for grid in extractor.grids] if view.regions else None
    for index in range(total):
        if index < len(cuts):
            cut, pixels = cuts[index], cuts[index].pixels
        else:
            cut, pixels = _copy(data.images[copied[index - len(cuts)]], view, generator)
        outputs = session(image=pixels[None])
        looks = looks or [np.empty((total, *each.shape[1:]), np.float16) for each in outputs.values()]
        for into, each in zip(looks, outputs.values(), strict=True):
            into[index] = each[0]
        for cells in kept or ():
            cells[index] = cut.kept(*cells.shape[1:])
        on_progress("looking at images", index + 1, total)
    return looks, kept, copied


def features_session(extractor: FeatureExtractor) -> Session:
    """`image` to (1, cells, channels) of each look."""
    graph = Graph()
    for number, each in enumerate(extractor.features(extractor.maps(image_input(graph, extractor)))):
        graph.output(f"look_{number}", each)
    return Session(graph.finish(), threads=THREADS)


def _copy(image: LabeledImage, view: View, generator: np.random.Generator) -> tuple[Cut, ByteArray]:
    """Where an altered copy was cut, and what the model would see of it: coded and blurred in pixels of the camera
    where those are larger."""
    (_, _, width, height), canvas = view.rectangle, view.canvas
    own = min(int(height), canvas[0]), min(int(width), canvas[1])
    cut = replace(view, canvas=own).cut(image.read(), nudge(generator))
    pixels = relight(cut.pixels, generator)
    if own == canvas:
        return cut, pixels
    return cut, np.asarray(Image.fromarray(pixels).resize(canvas[::-1], Image.Resampling.BILINEAR))


def limit(extractor: FeatureExtractor) -> int:
    """How many images, copies included, are worth their memory: three gigabytes are enough for all of a training."""
    return MAX_IMAGES // max(1, round(sum(grid.cells for grid in extractor.grids) / _USUAL_CELLS))


def finer(view: View, factor: int) -> View:
    """The same view at more pixels."""
    return replace(view, canvas=(view.canvas[0] * factor, view.canvas[1] * factor))


def factor_for(view: View, *, second_look: bool) -> int:
    """By how much the second look's canvas is finer, a side: the power of two nearest to half the camera's resolution.

    One, for no second look, where that is less than about twice the first canvas; four at most, a megapixel, which
    takes a third of a second.
    """
    if not second_look:
        return 1
    ratio = view.rectangle[2] * view.rectangle[3] / (view.canvas[0] * view.canvas[1])
    return int(2 ** np.clip(np.rint(np.log2(ratio / 4) / 2), 0, _MOST_DOUBLINGS))
