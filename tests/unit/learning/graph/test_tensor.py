"""One formula, two evaluators: what numpy makes of arrays is what onnxruntime makes of the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from relook.detection.arrays import FloatArray
from relook.learning.graph.builder import Graph
from relook.learning.graph.xp import ArrayT, xp
from tests.unit.learning.graph.running import run

Formula = Callable[..., Any]
RANDOM = np.random.default_rng(7)


def noise(*shape: int) -> FloatArray:
    return RANDOM.normal(size=shape).astype(np.float32)


X, Y, IMAGE = noise(4, 5), noise(4, 5), noise(2, 3, 6, 4)
WIDE = noise(5).astype(np.float64)
INTEGERS = np.array([[3, -1, 2], [0, 3, 3]])

ARITHMETIC: list[Formula] = [
    lambda x, y: x + y,
    lambda x, y: 1 - x * y,
    lambda x, y: x / (np.abs(y) + 1),
    lambda x, y: WIDE - x,
    lambda x, y: x * np.float64(2.5) + WIDE.astype(np.float16),
    lambda x, y: -x + abs(y) ** 2,
    lambda x, y: np.sign(x) * np.log(1 + np.abs(x)),
    lambda x, y: np.exp(-np.square(x)) + np.sqrt(np.abs(y)),
    lambda x, y: np.sin(x) * np.cos(y) + np.tanh(x) + np.arctan(y),
    lambda x, y: np.maximum(x, y) - np.minimum(x, 0.5),
    lambda x, y: np.maximum(x, 0) + np.maximum(0, y) + np.maximum(x[:, :1], np.zeros(5)),
    lambda x, y: np.floor(x) + np.ceil(y) + np.rint(2 * x),
    lambda x, y: x @ y.T,
    lambda x, y: x @ y[0],
    lambda x, y: x[0] @ y[1],
    lambda x, y: WIDE @ x.T,
    lambda x, y: x[None] @ np.stack([y.T, x.T]),
    lambda x, y: np.where(x > y, x, 0),
    lambda x, y: np.where((x >= 0.5) | (y < 0), x, y),
    lambda x, y: (x <= y).sum(1) / 2,
    lambda x, y: np.where(~((x > 0) & (y > 0)), 1, x),
    lambda x, y: (x.argmax(1) == y.argmax(1)).astype(np.float32),
    lambda x, y: x.clip(-0.5, 0.5) + np.clip(y, 0, None),
    lambda x, y: np.concatenate([x, y, np.ones((4, 1))], axis=-1),
    lambda x, y: np.concatenate([x, y]),
    lambda x, y: np.stack([x, y], axis=1),
    lambda x, y: np.broadcast_to(x[:, None], (4, 3, 5)),
    lambda x, y: np.expand_dims(x, 1) * y,
]

SHAPES: list[Formula] = [
    lambda x: x.reshape(6, -1),
    lambda x: np.reshape(x, (2, 3, 3, 2, 4)).mean((2, 4)),
    lambda x: x.transpose(0, 2, 3, 1),
    lambda x: np.transpose(x),
    lambda x: np.transpose(x, (1, 3, 2, 0)),
    lambda x: x.flatten(),
    lambda x: np.ravel(x),
    lambda x: x.sum(),
    lambda x: x.sum((1, -1)),
    lambda x: x.mean(axis=(2, 3), keepdims=True),
    lambda x: np.mean(x, axis=1) + np.sum(x, axis=1),
    lambda x: x.max(-1),
    lambda x: np.max(x, axis=(0, 1)) - np.min(x, axis=(0, 1)),
    lambda x: x.min(keepdims=True),
    lambda x: x.std((2, 3)),
    lambda x: np.var(x),
    lambda x: x.argmax(2),
    lambda x: np.argmin(x, axis=0),
    lambda x: x.argmax(),
    lambda x: x[1],
    lambda x: x[:, 0],
    lambda x: x[..., -1],
    lambda x: x[:, 1:3, ::2, 1],
    lambda x: x[:, :, ::-1],
    lambda x: x[:, None, 2, -3:-1],
    lambda x: x[..., None],
    lambda x: x[:, [2, 0]],
    lambda x: x[:, :, np.array([[0, 5], [-1, 2]])],
    lambda x: x[..., None, [1, 1]],
    lambda x: x[:, :, x.argmax(2)[0, 0]],
    lambda x: sum(column for column in x[0]),
    lambda x: np.pad(x, ((0, 0), (0, 0), (1, 2), (3, 0)), mode="edge"),
    lambda x: np.pad(x, 1),
    lambda x: np.pad(x[0, 0], (1, 2), mode="reflect"),
    lambda x: x + np.shape(x)[2] + np.ndim(x),
]


def names(formulas: list[Formula]) -> list[str]:
    return [f"line {formula.__code__.co_firstlineno}" for formula in formulas]


@pytest.mark.parametrize("formula", ARITHMETIC, ids=names(ARITHMETIC))
def test_arithmetic_is_numpy_s(formula: Formula) -> None:
    expected = formula(X, Y)
    actual = run(formula, X, Y)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)
    assert actual.shape == expected.shape


@pytest.mark.parametrize("formula", SHAPES, ids=names(SHAPES))
def test_shapes_and_reductions_are_numpy_s(formula: Formula) -> None:
    expected = formula(IMAGE)
    actual = run(formula, IMAGE)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)
    assert actual.shape == expected.shape


@pytest.mark.parametrize(
    "formula",
    [
        lambda x: x + 2,
        lambda x: x * 0.5,
        lambda x: x / 2,
        lambda x: np.where(x == 3, 10, x),
        lambda x: x.mean(0),
        lambda x: abs(x) @ np.array([1, 2, 3]),
    ],
)
def test_integers_stay_integers_until_numpy_makes_them_float(formula: Formula) -> None:
    np.testing.assert_allclose(run(formula, INTEGERS), formula(INTEGERS), rtol=1e-6)


def test_bytes_become_numbers_first() -> None:
    pixels = np.arange(6, dtype=np.uint8)
    np.testing.assert_array_equal(run(lambda x: x.astype(np.float32) - 3, pixels), np.arange(-3, 3))
    with pytest.raises(TypeError, match=r"uint8 cannot be computed with; astype"):
        run(lambda x: x - 3, pixels)


def inverse(pose: ArrayT) -> ArrayT:
    """Of a 2 x 3 matrix, (n, 6) -> (n, 6); a formula as they are written in `learning/`."""
    a, b, x, c, d, y = (pose[:, i : i + 1] for i in range(6))
    determinant = a * d - b * c
    a, b, c, d = d / determinant, -b / determinant, -c / determinant, a / determinant
    return xp.concatenate([a, b, -(a * x + b * y), c, d, -(c * x + d * y)], axis=1)


def test_a_formula_of_the_engine() -> None:
    poses = noise(7, 6)
    np.testing.assert_allclose(run(inverse, poses), inverse(poses), rtol=1e-2, atol=1e-4)
    np.testing.assert_allclose(inverse(inverse(poses)), poses, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(
    "formula",
    [
        lambda x: np.linalg.norm(x),
        lambda x: np.add.reduce(x),
        lambda x: np.hypot(x, x),
        lambda x: (x > 0) * (x < 1),
        lambda x: x & x,
        lambda x: np.cumsum(x),
        lambda x: np.asarray(x),
        lambda x: float(x),
        lambda x: 1 if x.sum() > 0 else 0,
        lambda x: np.mean(x, where=[True]),
    ],
)
def test_what_a_graph_cannot_do_is_said_where_it_is_written(formula: Formula) -> None:
    with pytest.raises(TypeError):
        run(formula, X)


@pytest.mark.parametrize(
    ("formula", "error"),
    [
        (lambda x: x[4], IndexError),
        (lambda x: x[0, 0, 0], IndexError),
        (lambda x: x[..., 0, ...], IndexError),
        (lambda x: x[x > 0], IndexError),
        (lambda x: x[[0, 1], [0, 1]], IndexError),
        (lambda x: x.reshape(3, -1), ValueError),
        (lambda x: x.transpose(0), ValueError),
        (lambda x: x.sum(2), ValueError),
        (lambda x: x + np.ones(3), ValueError),
        (lambda x: x @ x, ValueError),
        (lambda x: np.concatenate([x, x[:, 1:]]), ValueError),
        (lambda x: x.astype(np.complex64), TypeError),
    ],
)
def test_mistakes_are_found_where_they_are_written(formula: Formula, error: type[Exception]) -> None:
    with pytest.raises(error):
        run(formula, X)


def test_values_of_two_graphs_do_not_mix() -> None:
    first, second = (Graph().input("x", np.float32, (2,)) for _ in range(2))
    with pytest.raises(ValueError, match="belongs to another graph"):
        first + second


def test_what_a_value_says_of_itself() -> None:
    x = Graph().input("image", np.uint8, (1, 8, 6, 3))
    assert (x.ndim, len(x), x.T.shape, x.dtype) == (4, 1, (3, 6, 8, 1), np.dtype(np.uint8))
    assert repr(x) == "Tensor(image, (1, 8, 6, 3), uint8)"


def test_the_answer_of_a_batch_is_that_of_each(values: NDArray[np.float32] = IMAGE) -> None:
    def formula(x: ArrayT) -> ArrayT:
        return xp.sqrt(xp.sum(xp.square(x - xp.mean(x, (2, 3), keepdims=True)), 1))

    each = np.concatenate([run(formula, values[i : i + 1]) for i in range(len(values))])
    np.testing.assert_allclose(run(formula, values), each, rtol=1e-5)
