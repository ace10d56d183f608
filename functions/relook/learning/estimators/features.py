"""The filter bank: what every cell of an image looks like, as ONNX nodes.

There is no other implementation: training computes its features by running this very graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relook.detection.arrays import FloatArray
from relook.learning.old_graph import GraphBuilder, Tensor

INPUT_SIDE_PX = 256
LEVELS = 5
_FINE_LEVELS = 2
FINE_CHANNELS = 10 * _FINE_LEVELS
CHANNELS = 13 * LEVELS  # 10 energies a level, 3 colours a level but the finest, 3 contrasts


@dataclass(frozen=True)
class Responses:
    """Filter responses before they are brought to a grid.

    Attributes:
        colors: per pyramid level, (1, 3, side, side) brightness and two colour opponents.
        energies: per level, (1, 10, side, side) absolute oriented responses.
        squares: (1, 3, 256, 256) squared colours of the finest level.
    """

    colors: tuple[Tensor, ...]
    energies: tuple[Tensor, ...]
    squares: Tensor


def unit_image(graph: GraphBuilder) -> Tensor:
    """The graph's input `image`, (1, 256, 256, 3) uint8, as (1, 3, 256, 256) RGB 0..1."""
    return to_unit(graph, graph.input("image", np.uint8, (1, INPUT_SIDE_PX, INPUT_SIDE_PX, 3)), 1)


def to_unit(graph: GraphBuilder, image: Tensor, shrink: int) -> Tensor:
    """Nodes from (1, h, w, 3) uint8 to (1, 3, h / shrink, w / shrink) RGB 0..1, in the steps of bytes."""
    levels = graph.node("Transpose", graph.node("Cast", image, to=1), perm=[0, 3, 1, 2])
    if shrink > 1:
        mean = graph.node("AveragePool", levels, kernel_shape=[shrink, shrink], strides=[shrink, shrink])
        levels = graph.node("Round", mean)
    return graph.node("Mul", levels, graph.constant(1 / 255))


def filter_responses(graph: GraphBuilder, image: Tensor, depth: int = LEVELS) -> Responses:
    """Nodes from (1, 3, 256, 256) RGB 0..1 to the responses that `cell_features` gathers."""
    color = graph.convolve(image, OPPONENTS[:, :, None, None])
    squares = graph.node("Mul", color, color)
    colors, energies = [color], []
    oriented = _oriented_kernels()
    margin = oriented.shape[-1] // 2
    for level in range(depth):
        if level:
            colors.append(graph.convolve(graph.pad_edges(colors[-1], 1, 1), _halving_kernel(), group=3, strides=[2, 2]))
        padded = graph.pad_edges(colors[-1], margin, margin)
        bright = graph.node("Abs", graph.convolve(graph.take(padded, 0, 1, axis=1), oriented))
        # Colour edges at two orientations, added up: 2 opponents x 2 odd filters -> 2 channels
        edges = np.concatenate([oriented[[0, 4]]] * 2)
        tinted = graph.node("Abs", graph.convolve(graph.take(padded, 1, 3, axis=1), edges, group=2))
        summed = graph.convolve(tinted, np.kron(np.eye(2), np.ones((1, 2)))[:, :, None, None])
        energies.append(graph.node("Concat", bright, summed, axis=1))
    return Responses(tuple(colors), tuple(energies), squares)


def cell_features(graph: GraphBuilder, responses: Responses, grid: int) -> Tensor:
    """Nodes to (1, CHANNELS, grid, grid): log energies, colour at each scale, local contrast."""
    parts = []
    for level, (color, energy) in enumerate(zip(responses.colors, responses.energies, strict=True)):
        side = INPUT_SIDE_PX >> level
        parts.append(_log(graph, graph.to_grid(energy, 10, side, grid), 0.004))
        if level:
            parts.append(graph.node("Mul", graph.to_grid(color, 3, side, grid), graph.constant(4.0)))
    mean = graph.to_grid(responses.colors[0], 3, INPUT_SIDE_PX, grid)
    square_mean = graph.to_grid(responses.squares, 3, INPUT_SIDE_PX, grid)
    variance = graph.node("Relu", graph.node("Sub", square_mean, graph.node("Mul", mean, mean)))
    contrast = graph.node("Sqrt", graph.node("Add", variance, graph.constant(1e-6)))
    return graph.node("Concat", *parts, _log(graph, contrast, 0.01), axis=1)


def fine_features(graph: GraphBuilder, image: Tensor, grid: int) -> Tensor:
    """Nodes from (1, 3, 256, 256) RGB 0..1 to (1, FINE_CHANNELS, grid, grid): the strongest edges and lines of one and
    two pixels within each cell, which a mean over the cell would hide."""
    levels = filter_responses(graph, image, _FINE_LEVELS).energies
    parts = []
    for level, energy in enumerate(levels):
        size = (INPUT_SIDE_PX >> level) // grid
        strongest = graph.node("MaxPool", energy, kernel_shape=[size, size], strides=[size, size])
        parts.append(_log(graph, strongest, 0.01))
    return graph.node("Concat", *parts, axis=1)


OPPONENTS = np.array([[1 / 3, 1 / 3, 1 / 3], [1 / 2**0.5, -1 / 2**0.5, 0], [1 / 6**0.5, 1 / 6**0.5, -2 / 6**0.5]])


def _log(graph: GraphBuilder, x: Tensor, floor: float) -> Tensor:
    """log(x + floor): the floor lies near camera noise, so that empty regions do not dominate."""
    return graph.node("Log", graph.node("Add", x, graph.constant(floor)))


def _oriented_kernels(size: int = 7, sigma: float = 1.2, orientations: int = 4) -> FloatArray:
    """(2 * orientations, 1, size, size): odd (edge) and even (line) filters in turn, each of unit absolute sum."""
    reach = size // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(float)
    kernels = []
    for angle in np.arange(orientations) * np.pi / orientations:
        across, along = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        window = np.exp(-(across**2 + (along / 1.6) ** 2) / (2 * sigma**2))
        odd, even = across * window, (1 - (across / sigma) ** 2) * window
        even -= window * even.sum() / window.sum()  # blind to plain brightness
        kernels += [kernel / np.abs(kernel).sum() for kernel in (odd, even)]
    return np.asarray(kernels, np.float32)[:, None]


def _halving_kernel() -> FloatArray:
    """(3, 1, 4, 4): binomial blur for a step of two, one copy for each colour."""
    row = np.array([1, 3, 3, 1]) / 8
    return np.tile(np.outer(row, row).astype(np.float32), (3, 1, 1, 1))
