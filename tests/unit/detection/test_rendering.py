"""Masks and heat maps as PNG."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from relook.detection.package import HeatMapRange
from relook.detection.rendering import count_labels, heat_map_png, label_pixels, mask_png


def opened(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data), formats=("PNG",))
    image.load()
    return image


def probabilities(*classes: np.ndarray) -> np.ndarray:
    shown = np.stack(classes).astype(np.float32)
    return np.concatenate([1 - shown.sum(axis=0, keepdims=True), shown])


def half(rows: slice, columns: slice, value: float) -> np.ndarray:
    grid = np.zeros((128, 128))
    grid[rows, columns] = value
    return grid


def test_labels_lie_where_the_grid_says() -> None:
    types = probabilities(half(slice(0, 64), slice(0, 32), 0.9), half(slice(96, 128), slice(64, 128), 0.6))
    labels = label_pixels(types, [0.5, 0.5], 300, 500)
    assert labels.shape == (300, 500)
    assert set(np.unique(labels)) == {0, 1, 2}
    assert (labels[:148, :123] == 1).all()
    assert (labels[228:, 252:] == 2).all()
    assert (labels[155:220] == 0).all()
    assert count_labels(labels, 2) == [int((labels == number).sum()) for number in range(3)]


def test_the_class_farthest_above_its_own_threshold_wins() -> None:
    types = probabilities(half(slice(None), slice(None), 0.5), half(slice(None), slice(None), 0.4))
    assert (label_pixels(types, [0.4, 0.2], 64, 64) == 2).all()
    assert (label_pixels(types, [0.2, 0.3], 64, 64) == 1).all()
    assert (label_pixels(types, [0.6, 0.5], 64, 64) == 0).all()


@pytest.mark.parametrize("classes", [1, 3, 20])
def test_masks_have_exact_colours_on_white(classes: int) -> None:
    colors = [f"#{number * 11 + 1:02x}{255 - number:02X}7f" for number in range(classes)]
    labels = (np.arange(90 * 70).reshape(70, 90) % (classes + 1)).astype(np.uint8)
    image = opened(mask_png(labels, colors))
    assert image.mode == "P"
    assert image.size == (90, 70)
    expected = np.array([(255, 255, 255), *(tuple(bytes.fromhex(color[1:])) for color in colors)], np.uint8)
    np.testing.assert_array_equal(np.asarray(image.convert("RGB")), expected[labels])


def test_the_largest_mask_stays_below_five_mebibytes() -> None:
    random = np.random.default_rng(0).random((4, 128, 128)).astype(np.float32)
    labels = label_pixels(random, [0.4, 0.4, 0.4], 4096, 4096)
    assert len(mask_png(labels, ["#FF0000", "#00FF00", "#0000FF"])) < 5 * 1024 * 1024


@pytest.mark.parametrize(
    ("height", "width", "expected"), [(768, 576, (384, 512)), (100, 300, (300, 100)), (4096, 64, (8, 512))]
)
def test_heat_maps_keep_proportions_below_512(height: int, width: int, expected: tuple[int, int]) -> None:
    image = opened(heat_map_png(np.zeros((64, 64), np.float32), HeatMapRange(0, 1), height, width))
    assert image.size == expected


def test_heat_map_index_is_the_value() -> None:
    values = np.repeat(np.array([-1, 2.0, 4.0, 6.0, 99], np.float32), [12, 12, 12, 14, 14])
    image = opened(heat_map_png(np.tile(values, (64, 1)), HeatMapRange(2, 6), 64, 64))
    index = np.asarray(image)[32]
    assert image.mode == "P"
    assert [int(index[at]) for at in (5, 18, 30, 43, 58)] == [0, 0, 127, 255, 255]


def test_heat_map_gets_steadily_lighter() -> None:
    palette = np.array(opened(heat_map_png(np.zeros((64, 64), np.float32), HeatMapRange(0, 1), 64, 64)).getpalette())
    linear = (palette.reshape(256, 3) / 255) ** 2.2
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(np.cbrt(luminance)) > -0.003).all()
    assert luminance[0] < 0.01
    assert luminance[-1] > 0.8
