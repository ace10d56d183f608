"""Where to look follows from normals alone: aligned only where that explains them, cropped only to where parts are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from relook.learning.estimators.viewpoint import fit_view
from tests.unit.learning.pictures import HEIGHT as PLATE_HEIGHT
from tests.unit.learning.pictures import WIDTH, encode, plate_png
from tests.unit.learning.turned import HEIGHT, lying, lying_png

BUDGET_PX = 128 * 128


def texture(seed: int, width: int = 200, height: int = 160) -> bytes:
    noise = np.random.default_rng(seed).normal(128, 60, (height, width)).clip(0, 255).astype(np.uint8)
    return encode(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(1.5)))


def slightly_turned(seed: int) -> bytes:
    random = np.random.default_rng(seed)
    return encode(
        lying(seed, turn_deg=random.uniform(-9, 9), right_px=random.uniform(-12, 12), down_px=random.uniform(-12, 12))
    )


def stone(seed: int) -> NDArray[np.float64]:
    """(11, 2) corners x, y: no two of the same outline, each moved by up to a tenth of the 300 x 200 px."""
    random = np.random.default_rng(seed)
    angles = np.sort(random.uniform(0, 2 * np.pi, 11))
    middle = np.array([150, 100]) + random.uniform(-0.1, 0.1, 2) * (300, 200)
    around = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.asarray(middle + random.uniform(18, 40, (11, 1)) * around)


def stone_png(seed: int) -> bytes:
    cloth = np.random.default_rng(seed).normal(60, 3, (200, 300)).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(cloth)
    ImageDraw.Draw(image).polygon([(float(x), float(y)) for x, y in stone(seed)], fill=190)
    return encode(image)


def test_parts_at_any_angle_are_aligned_and_their_rectangle_is_tight() -> None:
    viewpoint = fit_view([partial(lying_png, seed) for seed in range(14)], BUDGET_PX)

    template, (_, _, width, height) = viewpoint.view.template, viewpoint.view.rectangle
    assert template is not None and viewpoint.aligned is not None
    assert viewpoint.aligned > 0.9 > viewpoint.as_they_are
    # The part is .575 x .4 of the height; turned as it likes it would sweep .79 x .79
    assert width * height < 0.5 * HEIGHT**2 and width > height
    for seed in range(20, 26):
        assert viewpoint.view.cut(lying_png(seed)).likeness > 0.85


def test_slightly_turned_parts_are_left_as_they_lie() -> None:
    viewpoint = fit_view([partial(slightly_turned, seed) for seed in range(14)], BUDGET_PX)
    assert viewpoint.view.template is None
    assert viewpoint.aligned is not None and viewpoint.aligned > viewpoint.as_they_are


@pytest.mark.parametrize(("side", "canvas"), [(100, 192), (176, 256), (256, 352), (362, 352), (384, 256)])
def test_small_pictures_are_enlarged_a_little_and_large_ones_shrunk(side: int, canvas: int) -> None:
    view = fit_view([partial(texture, seed, side, side) for seed in range(2)], 256 * 256, align=False).view
    assert view.canvas == (canvas, canvas)


def test_alignment_and_cropping_can_be_switched_off() -> None:
    reads = [partial(lying_png, seed) for seed in range(14)]
    viewpoint = fit_view(reads, BUDGET_PX, align=False, crop=False)
    assert viewpoint.view.template is None and viewpoint.aligned is None
    assert (
        viewpoint.view.rectangle[2] * viewpoint.view.rectangle[3] >= viewpoint.view.frame[0] * viewpoint.view.frame[1]
    )


def test_pieces_of_all_proportions_fill_the_canvas() -> None:
    sizes = [(64 + 9 * seed, 200 - 9 * seed) for seed in range(14)]
    reads = [partial(encode, Image.new("RGB", size, "grey")) for size in sizes]
    assert fit_view(reads, BUDGET_PX).view.is_stretched


def test_what_has_no_pose_is_not_aligned() -> None:
    viewpoint = fit_view([partial(texture, seed) for seed in range(12)], BUDGET_PX)
    assert viewpoint.view.template is None and viewpoint.aligned is not None and viewpoint.aligned < 0.6


def test_round_parts_are_not_turned_and_smooth_surroundings_stay() -> None:
    view = fit_view([partial(plate_png, seed) for seed in range(12)], BUDGET_PX).view
    assert view.rectangle[2] * view.rectangle[3] >= 0.499 * WIDTH * PLATE_HEIGHT
    for seed in range(20, 26):
        matrix = view.cut(plate_png(seed)).matrix
        assert abs(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))) < 2


def test_a_texture_is_looked_at_all_over() -> None:
    view = fit_view([partial(texture, seed) for seed in range(12)], BUDGET_PX).view
    x, y, width, height = view.rectangle
    assert view.frame == (160, 200)
    assert x <= 0 and y <= 0 and x + width >= 200 and y + height >= 160


def test_parts_that_cannot_be_aligned_are_all_inside() -> None:
    viewpoint = fit_view([partial(stone_png, seed) for seed in range(30)], BUDGET_PX)
    x, y, width, height = viewpoint.view.rectangle
    assert viewpoint.view.template is None
    assert width * height < 0.7 * 200 * 300
    for seed in range(200):
        (left, top), (right, bottom) = stone(seed).min(axis=0), stone(seed).max(axis=0)
        assert x <= left and y <= top and right <= x + width and bottom <= y + height


@pytest.mark.parametrize(("width", "height"), [(200, 160), (64, 300), (128, 128)])
@pytest.mark.parametrize("budget", [64 * 64, 256 * 256])
def test_the_canvas_has_the_budget_and_the_rectangle_its_proportions(width: int, height: int, budget: int) -> None:
    view = fit_view([partial(texture, seed, width, height) for seed in range(2)], budget).view
    high, wide = view.canvas
    assert high % 32 == wide % 32 == 0 and min(high, wide) >= 64
    assert view.rectangle[2] / view.rectangle[3] == pytest.approx(wide / high)
    if max(width, height) < 2 * min(width, height):
        assert 0.5 < high * wide / budget < 2.1


def test_the_frame_is_the_usual_size_or_in_the_middle_of_all() -> None:
    usual = [partial(texture, seed, 200, 160) for seed in range(3)]
    assert fit_view([*usual, partial(texture, 3, 90, 300)], BUDGET_PX).view.frame == (160, 200)
    mixed = [partial(texture, seed, 100 + 10 * seed, 90 + 5 * seed) for seed in range(5)]
    assert fit_view(mixed, BUDGET_PX).view.frame == (100, 120)


def test_few_images_are_looked_at_and_each_once() -> None:
    reads: list[int] = []

    def read(seed: int) -> bytes:
        reads.append(seed)
        return texture(seed)

    def images() -> Iterator[Callable[[], bytes]]:
        yield from (partial(read, seed) for seed in range(200))

    fit_view(list(images()), BUDGET_PX)
    assert len(reads) == len(set(reads)) <= 48 and max(reads) > 150


def test_pictures_of_nothing_have_a_view_too() -> None:
    black = encode(Image.new("L", (150, 100)))
    viewpoint = fit_view([lambda: black] * 3, BUDGET_PX)
    assert viewpoint.view.template is None and viewpoint.view.rectangle == (0, 0, 150, 100)
    assert viewpoint.view.cut(black).pixels.max() == 0


def test_the_same_images_give_the_same_view() -> None:
    images = [partial(lying_png, seed) for seed in range(4)]
    assert fit_view(images, BUDGET_PX) == fit_view(images, BUDGET_PX)
