"""Convolutions, pools, resizing and sampling against the same, written out in numpy."""

from __future__ import annotations

import numpy as np
import pytest

from relook.detection.arrays import FloatArray
from relook.detection.session import Session
from relook.learning.graph import layers
from relook.learning.graph.builder import Graph
from relook.learning.graph.layers import Pads, dequantised, quantised
from tests.unit.learning.graph.running import run

RANDOM = np.random.default_rng(11)


def noise(*shape: int) -> FloatArray:
    return RANDOM.normal(size=shape).astype(np.float32)


X = noise(2, 4, 9, 6)


def windows(x: FloatArray, size: tuple[int, int], stride: tuple[int, int], pads: Pads, fill: float) -> FloatArray:
    """(n, channels, rows, columns, height, width)."""
    above, left, below, right = pads
    padded = np.pad(x, [(0, 0), (0, 0), (above, below), (left, right)], constant_values=fill)
    every = np.lib.stride_tricks.sliding_window_view(padded, size, axis=(2, 3))
    return np.asarray(every[:, :, :: stride[0], :: stride[1]])


def convolved(x: FloatArray, kernel: FloatArray, stride: tuple[int, int], pads: Pads, group: int = 1) -> FloatArray:
    parts = [
        np.einsum("ncyxhw,ochw->noyx", windows(part, kernel.shape[2:], stride, pads, 0), weights)
        for part, weights in zip(np.split(x, group, axis=1), np.split(kernel, group), strict=True)
    ]
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("group", [1, 2, 4])
@pytest.mark.parametrize(("stride", "pads"), [((1, 1), (0, 0, 0, 0)), ((2, 1), (1, 0, 2, 3))])
def test_convolution(stride: tuple[int, int], pads: Pads, group: int) -> None:
    kernel, bias = noise(8, 4 // group, 3, 2), noise(8)
    actual = run(lambda x: layers.convolve(x, kernel, bias, stride=stride, pads=pads, group=group), X)
    expected = convolved(X, kernel, stride, pads, group) + bias[:, None, None]
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("stride", "size", "pads"),
    [
        ((1, 1), (3, 3), (1, 1, 1, 1)),
        ((1, 1), (2, 5), (0, 2, 1, 2)),
        ((2, 2), (3, 3), (1, 0, 1, 1)),  # 9 rows and 6 columns: what is odd goes below and to the right
        ((2, 2), (5, 5), (2, 1, 2, 2)),
        ((4, 4), (1, 1), (0, 0, 0, 0)),
    ],
)
def test_same_padding_is_tensorflow_s(stride: tuple[int, int], size: tuple[int, int], pads: Pads) -> None:
    kernel = noise(2, 4, *size)
    actual = run(lambda x: layers.convolve(x, kernel, stride=stride, pads="same"), X)
    assert actual.shape[2:] == tuple(-(-length // step) for length, step in zip((9, 6), stride, strict=True))
    np.testing.assert_allclose(actual, convolved(X, kernel, stride, pads), rtol=1e-4, atol=1e-4)


def test_a_kernel_may_be_computed() -> None:
    kernel = noise(2, 4, 3, 3)
    actual = run(lambda x, weights: layers.convolve(x, weights * 2), X, kernel)
    np.testing.assert_allclose(actual, convolved(X, 2 * kernel, (1, 1), (0, 0, 0, 0)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "stride", "pads"),
    [((3, 2), None, (0, 0, 0, 0)), ((3, 3), (2, 1), (1, 1, 1, 1)), ((2, 2), (1, 1), (0, 1, 1, 0))],
)
def test_pools_do_not_count_their_pads(size: tuple[int, int], stride: tuple[int, int] | None, pads: Pads) -> None:
    cut = windows(X, size, stride or size, pads, np.nan)
    mean = run(lambda x: layers.average_pool(x, size, stride=stride, pads=pads), X)
    np.testing.assert_allclose(mean, np.nanmean(cut, axis=(4, 5)), rtol=1e-4, atol=1e-5)
    highest = run(lambda x: layers.max_pool(x, size, stride=stride, pads=pads), X)
    np.testing.assert_allclose(highest, np.nanmax(cut, axis=(4, 5)))


@pytest.mark.parametrize("size", [3, 5])
def test_a_mean_filter_keeps_the_size(size: int) -> None:
    cut = windows(X, (size, size), (1, 1), (size // 2,) * 4, np.nan)
    np.testing.assert_allclose(
        run(lambda x: layers.mean_filter(x, size), X), np.nanmean(cut, axis=(4, 5)), rtol=1e-4, atol=1e-5
    )


def spread(length: int, wanted: int) -> FloatArray:
    """(wanted, length) weights of a bilinear resize, centres of pixels on centres."""
    at = ((np.arange(wanted) + 0.5) * length / wanted - 0.5).clip(0, length - 1)
    return np.asarray(np.maximum(0, 1 - np.abs(at[:, None] - np.arange(length))), np.float32)


@pytest.mark.parametrize(("height", "width"), [(9, 6), (18, 6), (5, 13), (4, 3)])
def test_resizing_is_bilinear_between_the_pixels_centres(height: int, width: int) -> None:
    expected = spread(9, height) @ X @ spread(6, width).T
    np.testing.assert_allclose(run(lambda x: layers.resize(x, height, width), X), expected, rtol=1e-4, atol=1e-5)


def test_shares_sum_to_one() -> None:
    expected = np.exp(X) / np.exp(X).sum(1, keepdims=True)
    np.testing.assert_allclose(run(lambda x: layers.softmax(x, 1), X), expected, rtol=1e-4)


def test_quantised_values_are_rounded_and_cut_off() -> None:
    graph = Graph()
    x = graph.input("x", np.float32, (1, 6))
    graph.output("y", quantised(x, 0.5, 10))
    given = np.array([[-9.0, -0.2, 0.3, 1.0, 100.0, 400.0]], np.float32)
    actual = Session(graph.finish(), threads=1)(x=given)["y"]
    np.testing.assert_allclose(actual, [[-5.0, 0.0, 0.5, 1.0, 100.0, 122.5]])


def test_dequantised_values_have_a_scale_for_each_place() -> None:
    graph = Graph()
    x = graph.input("x", np.float32, (1, 3))
    graph.output("y", x + dequantised(graph, np.array([[-3, 0, 127], [1, 2, 3]], np.int8), np.array([0.5, 2.0])))
    actual = Session(graph.finish(), threads=1)(x=np.zeros((1, 3), np.float32))["y"]
    np.testing.assert_allclose(actual, [[-1.5, 0.0, 63.5], [2.0, 4.0, 6.0]])
