"""What the peer is made of: random weights, a bank of patches, and its graph, built as ours are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.patchcore import MEAN, SPREAD, convolutions, gaussian
from relook.detection.arrays import ByteArray, FloatArray
from relook.detection.session import Session
from relook.learning.graph.builder import Graph
from relook.learning.graph.layers import convolve, max_pool, resize
from relook.learning.graph.tensor import Tensor
from relook.learning.graph.xp import ArrayT, xp

CORESET_SHARE = 0.1  # as PatchCore-10%
CHANNELS = 128 + 256  # of ResNet-18's second and third stages


def write_peer(folder: Path, images: Sequence[ByteArray], side: int) -> None:
    """Everything the three need: `graph.onnx`, `weights.npz` and `bank.npy`.

    Args:
        images: (side, side, 3) uint8 each, whose patches fill the bank.
    """
    generator = np.random.default_rng(0)
    weights = {name: _he(generator, shape) for name, shape, _ in convolutions()}
    session = Session(_graph(weights, side, None), threads=2)
    patches = np.concatenate([session(image=image[None])["patches"] for image in images])
    bank = patches[generator.choice(len(patches), int(CORESET_SHARE * len(patches)), replace=False)]
    folder.mkdir(parents=True)
    (folder / "graph.onnx").write_bytes(_graph(weights, side, bank))
    np.savez(folder / "weights.npz", **weights)  # type: ignore[arg-type]  # its stub mistakes the arrays for a flag
    np.save(folder / "bank.npy", bank)


def nearest_distance(patches: ArrayT, bank: FloatArray) -> ArrayT:
    """Of each of (n, d) patches to the closest of (m, d) rows."""
    # |q - p|^2 = |q|^2 + (|p|^2 - 2 q.p), the bracket as one matrix product
    bracket: ArrayT = patches @ (-2 * bank.T) + (bank**2).sum(axis=1)
    squares: ArrayT = xp.min(bracket, axis=1) + xp.sum(xp.square(patches), axis=1)
    return xp.sqrt(xp.maximum(squares, 0))


def _graph(weights: Mapping[str, FloatArray], side: int, bank: FloatArray | None) -> bytes:
    """`image`, (1, side, side, 3) uint8, to `score` and `heat`; without a bank, to `patches`.

    Batch normalisation does not appear: it would have been folded into the kernels, as the scale of colours is.
    """
    graph = Graph()
    image = graph.input("image", np.uint8, (1, side, side, 3)).astype(np.float32)
    patches = _patches(weights, (image - 255 * np.array(MEAN)).transpose(0, 3, 1, 2))
    if bank is None:
        graph.output("patches", patches)
        return graph.finish()
    distance = nearest_distance(patches, bank)
    graph.output("score", distance.max())
    graph.output("heat", _heat(distance, side))
    return graph.finish()


def _patches(weights: Mapping[str, FloatArray], image: Tensor) -> Tensor:
    """(1, 3, side, side), the mean of colours taken off, to a row for each of (side / 8)^2 cells."""
    strides = {name: stride for name, _, stride in convolutions()}

    def convolved(x: Tensor, name: str) -> Tensor:
        kernel = weights[name] / _scale() if name == "conv1" else weights[name]
        margin = kernel.shape[-1] // 2
        bias = np.zeros(len(kernel), np.float32)
        return convolve(x, kernel, bias, stride=strides[name], pads=(margin, margin, margin, margin))

    def layer(x: Tensor, number: int) -> Tensor:
        for block in (f"layer{number}.0", f"layer{number}.1"):
            shortcut = f"{block}.downsample.0"
            past = convolved(x, shortcut) if shortcut in weights else x
            x = xp.maximum(convolved(xp.maximum(convolved(x, f"{block}.conv1"), 0), f"{block}.conv2") + past, 0)
        return x

    def smooth(x: Tensor) -> Tensor:
        """As torch does: zeros beyond the edge count."""
        window: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1] * 4, "count_include_pad": 1}
        return x.graph.node("AveragePool", x, shape=x.shape, **window)

    fine = layer(layer(max_pool(xp.maximum(convolved(image, "conv1"), 0), 3, stride=2, pads=(1, 1, 1, 1)), 1), 2)
    deep = resize(smooth(layer(fine, 3)), fine.shape[2], fine.shape[3])
    return xp.concatenate([smooth(fine), deep], axis=1).reshape(CHANNELS, -1).T


def _heat(distance: Tensor, side: int) -> Tensor:
    """(cells^2,) to (side, side), upsampled and blurred."""
    heat = resize(distance.reshape(1, 1, side // 8, side // 8), side, side)
    kernel = gaussian()
    margin = (len(kernel) // 2, len(kernel) // 2)
    padded = xp.pad(heat, ((0, 0), (0, 0), margin, margin), mode="reflect")
    blurred = convolve(convolve(padded, kernel[None, None, None]), kernel[None, None, :, None])
    return blurred.reshape(side, side)


def _he(generator: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """He et al. 2015: keeps the size of activations through the layers, whatever their number."""
    spread = np.sqrt(2 / np.prod(shape[1:]))
    return np.asarray(generator.standard_normal(shape) * spread, np.float32)


def _scale() -> FloatArray:
    """(3, 1, 1): what a byte, less the mean, is divided by."""
    return 255 * np.asarray(SPREAD, np.float32)[:, None, None]
