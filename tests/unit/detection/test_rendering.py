"""Masks and heat maps as PNG."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from relook.detection.package import HeatMapRange
from relook.detection.rendering import (
    HEAT_MAP_SIDE_PX,
    MAX_MASK_BYTES,
    count_labels,
    heat_map_png,
    label_pixels,
    mask_png,
)
from relook.detection.view import Cut


def cut(height: int, width: int, rectangle: tuple[float, float, float, float] | None = None) -> Cut:
    """What a view with a canvas of 128 x 128 sees of an image of this size: all of it, or a rectangle."""
    x, y, wide, high = rectangle or (0.0, 0.0, float(width), float(height))
    matrix = np.array([[wide / 128, 0, x], [0, high / 128, y]])
    return Cut(np.zeros((128, 128, 3), np.uint8), matrix, 1.0, (height, width))


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
    labels = label_pixels(types, [0.5, 0.5], cut(300, 500), 300, 500)
    assert labels.shape == (300, 500)
    assert set(np.unique(labels)) == {0, 1, 2}
    assert (labels[:148, :123] == 1).all()
    assert (labels[228:, 252:] == 2).all()
    assert (labels[155:220] == 0).all()
    assert count_labels(labels, 2) == [int((labels == number).sum()) for number in range(3)]


def test_what_the_model_does_not_look_at_is_background_and_dark() -> None:
    everywhere = probabilities(half(slice(None), slice(None), 0.9))
    part = cut(100, 150, (30, 20, 60, 40))

    labels = label_pixels(everywhere, [0.5], part, 100, 150)
    heat = np.asarray(opened(heat_map_png(np.full((64, 64), 9, np.float32), HeatMapRange(0, 9), part)))

    inside = np.zeros((100, 150), bool)
    inside[20:60, 30:90] = True
    assert (labels == inside).all()
    np.testing.assert_array_equal(heat, inside * 255)


@pytest.mark.parametrize("turn", [0.0, 0.6])
def test_a_line_thinner_than_a_cell_of_the_map_is_painted(turn: float) -> None:
    """On a turned part too: what is sampled is the probability, which reaches as far as its cell."""
    line = probabilities(half(slice(60, 61), slice(20, 100), 0.9))
    cosine, sine = 4 * np.cos(turn), 4 * np.sin(turn)
    matrix = np.array([[cosine, -sine, 60.0], [sine, cosine, 60.0]])
    labels = label_pixels(line, [0.5], Cut(np.zeros((128, 128, 3), np.uint8), matrix, 1.0, (1024, 1024)), 1024, 1024)
    for column in np.arange(24.0, 96, 4):
        x, y = matrix @ (column, 60.5, 1)
        if max(x, y) < 1020:
            assert labels[int(y), int(x)] == 1


def test_the_class_farthest_above_its_own_threshold_wins() -> None:
    types = probabilities(half(slice(None), slice(None), 0.5), half(slice(None), slice(None), 0.4))
    assert (label_pixels(types, [0.4, 0.2], cut(64, 64), 64, 64) == 2).all()
    assert (label_pixels(types, [0.2, 0.3], cut(64, 64), 64, 64) == 1).all()
    assert (label_pixels(types, [0.6, 0.5], cut(64, 64), 64, 64) == 0).all()


@pytest.mark.parametrize("classes", [1, 3, 20])
def test_masks_have_exact_colours_on_white(classes: int) -> None:
    colors = [f"#{number * 11 + 1:02x}{255 - number:02X}7f" for number in range(classes)]
    labels = (np.arange(90 * 70).reshape(70, 90) % (classes + 1)).astype(np.uint8)
    image = opened(mask_png(labels, colors))
    assert image.mode == "RGB"
    assert image.size == (90, 70)
    expected = np.array([(255, 255, 255), *(tuple(bytes.fromhex(color[1:])) for color in colors)], np.uint8)
    np.testing.assert_array_equal(np.asarray(image), expected[labels])


def test_masks_blend_with_their_image_as_the_services_own_guide_does_it() -> None:
    labels = np.zeros((70, 90), np.uint8)
    labels[10:20, 5:50] = 1
    blended = Image.blend(Image.new("L", (90, 70), 101).convert("RGB"), opened(mask_png(labels, ["#FF0003"])), 0.5)
    assert blended.getpixel((0, 0)) == (178, 178, 178)
    assert blended.getpixel((5, 10)) == (178, 50, 52)


def test_the_largest_mask_stays_below_what_lambda_answers() -> None:
    """Noise in cells of 16 pixels is drawn exactly; noise in each pixel, which nothing packs so small, is not."""
    colors = [f"#{number:02X}{255 - 7 * number:02X}{11 * number:02X}" for number in range(20)]
    random = np.random.default_rng(0)
    cells = random.integers(0, 21, (256, 256), np.uint8).repeat(16, axis=0).repeat(16, axis=1)
    exact = mask_png(cells, colors)
    assert len(exact) < MAX_MASK_BYTES
    assert len(opened(exact).getcolors() or []) == 21

    noise = random.integers(0, 21, (4095, 4096), np.uint8)
    drawn = mask_png(noise, colors)

    assert len(drawn) < MAX_MASK_BYTES
    assert opened(drawn).size == (4096, 4095)
    pixels = np.asarray(opened(drawn))
    assert (pixels[:-1:2, ::2] == pixels[1::2, 1::2]).all()
    background = np.array([255, 255, 255], np.uint8)
    np.testing.assert_array_equal((pixels[::4, ::4] == background).all(axis=2), noise[::4, ::4] == 0)


@pytest.mark.parametrize(("height", "width"), [(768, 576), (64, 192), (4096, 64), (4096, 4096)])
def test_heat_maps_keep_proportions_and_are_never_large(height: int, width: int) -> None:
    image = opened(heat_map_png(np.zeros((64, 64), np.float32), HeatMapRange(0, 1), cut(height, width)))
    assert max(image.size) == min(max(height, width), HEAT_MAP_SIDE_PX)
    assert image.width / image.height == pytest.approx(width / height, rel=0.02)


def test_heat_map_index_is_the_value() -> None:
    values = np.repeat(np.array([-1, 2.0, 4.0, 6.0, 99], np.float32), [12, 12, 12, 14, 14])
    image = opened(heat_map_png(np.tile(values, (64, 1)), HeatMapRange(2, 6), cut(64, 64)))
    index = np.asarray(image)[32]
    assert image.mode == "P"
    assert [int(index[at]) for at in (5, 18, 30, 43, 58)] == [0, 0, 127, 255, 255]


def test_heat_map_gets_steadily_lighter() -> None:
    palette = np.array(
        opened(heat_map_png(np.zeros((64, 64), np.float32), HeatMapRange(0, 1), cut(64, 64))).getpalette()
    )
    linear = (palette.reshape(256, 3) / 255) ** 2.2
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(np.cbrt(luminance)) > -0.003).all()
    assert luminance[0] < 0.01
    assert luminance[-1] > 0.8
