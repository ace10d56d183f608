"""Training masks as people and tools really paint them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from relook.errors import TrainingDataError
from relook.learning.data.masks import read_mask, reduce_labels
from tests.unit.learning.pictures import encode

HEIGHT, WIDTH = 70, 90
COLORS = {"BACKGROUND": "#ffffff", "crack": "#23a436", "Stain": "#7ED321"}
CRACK, STAIN = (0x23, 0xA4, 0x36), (0x7E, 0xD3, 0x21)
TRUTH = np.zeros((HEIGHT, WIDTH), np.uint8)
TRUTH[10:20, 5:60] = 1
TRUTH[30:65, 70:85] = 2


def painted(background: tuple[int, ...], crack: tuple[int, ...] = CRACK, stain: tuple[int, ...] = STAIN) -> Image.Image:
    table = np.array([background, crack, stain], np.uint8)
    return Image.fromarray(table[TRUTH])


def read(image: Image.Image, colors: Mapping[str, str] = COLORS) -> NDArray[np.uint8]:
    return read_mask(encode(image), colors, name="part.png", height=HEIGHT, width=WIDTH)


def palette_with_transparency() -> Image.Image:
    image = Image.fromarray(TRUTH)
    image.putpalette([90, 80, 70, *CRACK, *STAIN])
    image.info["transparency"] = 0
    return image


@pytest.mark.parametrize(
    "image",
    [
        painted((255, 255, 255)),
        painted((0, 0, 0)),
        painted((0, 0, 0, 0), (*CRACK, 255), (*STAIN, 255)),
        painted((35, 164, 54, 127), (*CRACK, 128), (*STAIN, 200)),
        painted((255, 255, 255)).quantize(8),
        palette_with_transparency(),
    ],
    ids=["white", "black", "transparent", "half-transparent", "palette", "palette-transparent"],
)
def test_backgrounds_of_every_kind(image: Image.Image) -> None:
    np.testing.assert_array_equal(read(image), TRUTH)


def test_background_entries_name_their_own_colour_and_no_type() -> None:
    colors = {"crack": "#23A436", "background": "#404080", "Stain": "#7ed321"}
    np.testing.assert_array_equal(read(painted((0x40, 0x40, 0x80)), colors), TRUTH)


def test_a_type_may_be_black_or_white() -> None:
    black = read(painted((255, 255, 255), (0, 0, 0), (255, 255, 255)), {"crack": "#000000"})
    np.testing.assert_array_equal(black, TRUTH == 1)
    white = read(painted((0, 0, 0, 0), (255, 255, 255, 255), (0, 0, 0, 255)), {"crack": "#FFFFFF"})
    np.testing.assert_array_equal(white, TRUTH == 1)


@pytest.mark.parametrize("ends", [((255, 0, 0), (255, 255, 0)), ((64, 64, 64), (192, 192, 192))])
def test_a_type_whose_colour_lies_between_two_others_is_that_type(ends: tuple[tuple[int, int, int], ...]) -> None:
    between = tuple((one + other + 1) // 2 for one, other in zip(*ends, strict=True))
    colors = {f"type{number}": f"#{bytes(color).hex()}" for number, color in enumerate((*ends, between))}
    np.testing.assert_array_equal(read(painted((255, 255, 255), ends[1], between), colors), np.array([0, 2, 3])[TRUTH])


def test_anti_aliased_outlines_go_to_the_nearer_side() -> None:
    big = Image.new("RGB", (WIDTH * 4, HEIGHT * 4), "white")
    ImageDraw.Draw(big).line((20, 30, 300, 250), fill=CRACK, width=6)
    smooth = big.resize((WIDTH, HEIGHT), Image.Resampling.BOX)
    assert len(smooth.getcolors(9999) or []) > 5

    labels = read(smooth)

    coverage = 1 - (np.asarray(smooth)[..., 0].astype(float) - CRACK[0]) / (255 - CRACK[0])
    sure = np.abs(coverage - 0.5) > 0.05
    np.testing.assert_array_equal(labels[sure], (coverage > 0.5)[sure])


@pytest.mark.parametrize("value", [(255, 255, 255), CRACK])
def test_a_mask_of_one_colour_may_have_any_size(value: tuple[int, int, int]) -> None:
    labels = read(Image.new("RGB", (16, 16), value))
    assert (labels == (value == CRACK)).all()


def test_large_masks_are_reduced() -> None:
    image = painted((255, 255, 255)).resize((WIDTH * 24, HEIGHT * 24), Image.Resampling.NEAREST)
    labels = read_mask(encode(image), COLORS, name="part.png", height=HEIGHT * 24, width=WIDTH * 24)
    assert max(labels.shape) <= 1024
    np.testing.assert_array_equal(labels, TRUTH.repeat(8, axis=0).repeat(8, axis=1))


SIZES = [(1024, 768), (2048, 1536), (4096, 3072)]


def outline(mask: Image.Image) -> NDArray[np.uint8]:
    """Of black on white, as training keeps it."""
    read = read_mask(
        encode(mask, compress_level=1), {"a": "#000000"}, name="part.png", height=mask.height, width=mask.width
    )
    return reduce_labels(read, 512)


@pytest.mark.parametrize("size", SIZES)
def test_a_speck_survives_wherever_it_is(size: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    for _ in range(4):
        x, y = (int(random.integers(length - 6)) for length in size)
        mask = Image.new("L", size, 255)
        mask.paste(0, (x, y, x + 6, y + 6))

        rows, columns = np.nonzero(outline(mask))

        scale = size[0] / 512
        assert (rows.min(), columns.min()) == (int(y / scale), int(x / scale))
        assert (rows.max(), columns.max()) == (int((y + 5) / scale), int((x + 5) / scale))


@pytest.mark.parametrize("size", SIZES)
def test_a_line_survives_unbroken(size: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    for direction in ("across", "down", "slanting"):
        (x, y), (width, height) = random.integers(100, 300, 2).tolist(), size
        end = {"across": (width - 100, y), "down": (x, height - 100), "slanting": (width - 100, height - 90)}[direction]
        mask = Image.new("L", size, 255)
        ImageDraw.Draw(mask).line(((x, y), end), fill=0, width=2)

        actual = outline(mask)

        scale = width / 512
        along = actual.max(axis=1 if direction == "down" else 0)
        first, last = (y, end[1]) if direction == "down" else (x, end[0])
        assert along[int(first / scale) : int(last / scale)].all()


def test_of_several_types_in_a_cell_the_larger_is_shown() -> None:
    labels = np.zeros((6, 9), np.uint8)
    labels[0, :2], labels[2, :3] = 1, 2
    labels[0, 3:5], labels[2, 3:5] = 2, 1
    labels[5, 8] = 3
    np.testing.assert_array_equal(reduce_labels(labels, 3), [[2, 1, 0], [0, 0, 3]])


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_every_cell_shows_the_type_most_of_its_pixels_show(height: int, width: int, side: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = (random.integers(1, 4, (height, width)) * (random.random((height, width)) < 0.2)).astype(np.uint8)
    n = next(n for n in range(1, 41) if n * side >= max(height, width))

    reduced = reduce_labels(labels, side)

    assert reduced.dtype == np.uint8
    expected = []
    for top in range(0, height, n):
        for left in range(0, width, n):
            painted = labels[top : top + n, left : left + n]
            painted = painted[painted > 0]
            expected.append(int(np.bincount(painted).argmax()) if painted.size else 0)
    assert reduced.ravel().tolist() == expected
    assert max(reduced.shape) <= side


def test_what_is_small_enough_stays_as_it_is() -> None:
    assert reduce_labels(TRUTH, WIDTH) is TRUTH
    assert reduce_labels(TRUTH, WIDTH - 1) is not TRUTH


def refusal(image: Image.Image | bytes, colors: Mapping[str, str] = COLORS) -> str:
    data = image if isinstance(image, bytes) else encode(image)
    with pytest.raises(TrainingDataError) as caught:
        read_mask(data, colors, name="part.png", height=HEIGHT, width=WIDTH)
    assert "part.png" in str(caught.value)
    return str(caught.value)


def test_another_size_is_refused() -> None:
    message = refusal(painted((255, 255, 255)).resize((WIDTH, HEIGHT + 1), Image.Resampling.NEAREST))
    assert f"{WIDTH} x {HEIGHT + 1}" in message
    assert f"{WIDTH} x {HEIGHT}" in message


@pytest.mark.parametrize("stray", [(200, 30, 220), (128, 128, 128)])
def test_a_colour_that_is_not_in_the_map_is_named(stray: tuple[int, int, int]) -> None:
    message = refusal(painted((255, 255, 255), CRACK, stray))
    assert "#{:02X}{:02X}{:02X}".format(*stray) in message
    assert "#23A436" in message


def test_malformed_colours_and_files_are_refused() -> None:
    assert "'green'" in refusal(painted((255, 255, 255)), {"crack": "green"})
    assert "JPEG" in refusal(encode(painted((255, 255, 255)), "JPEG"))
    assert "truncated" in refusal(encode(painted((255, 255, 255)))[:-40])
