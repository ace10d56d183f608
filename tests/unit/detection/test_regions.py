"""What somebody painted as regions to ignore, read as they meant it."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from relook.detection.arrays import ByteArray
from relook.detection.regions import MAX_SIDE_PX, Regions
from relook.errors import InvalidRequestError


def png(pixels: ByteArray, mode: str | None = None) -> bytes:
    stream = BytesIO()
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(stream, "PNG")
    return stream.getvalue()


def painted(height: int = 60, width: int = 80) -> ByteArray:
    """White on black: a rectangle at the upper left."""
    pixels = np.zeros((height, width), np.uint8)
    pixels[10:20, 5:45] = 255
    return pixels


def in_color(value: tuple[int, ...], background: tuple[int, ...]) -> ByteArray:
    return np.where(painted()[..., None] > 0, np.array(value, np.uint8), np.array(background, np.uint8))


@pytest.mark.parametrize(
    "mask",
    [
        png(painted()),
        png(painted(), "1"),
        png(painted(), "P"),
        png(painted() // 255),
        png(in_color((20, 0, 0), (0, 0, 0))),
        png(in_color((0, 0, 0, 255), (255, 255, 255, 0))),
        png(in_color((9, 9, 9, 255), (0, 0, 0, 0))),
        png(in_color((9, 9, 9, 255), (0, 0, 0, 255))),
    ],
    ids=["grey", "bit", "palette", "numbers", "colour", "black on nothing", "grey on nothing", "opaque"],
)
def test_what_is_painted_is_ignored_however_it_is_painted(mask: bytes) -> None:
    regions = Regions.from_mask(mask)
    np.testing.assert_array_equal(regions.ignored, painted() > 0)
    assert regions.share == 400 / 4800
    assert Regions.from_mask(regions.png) == regions, "a mask that was written can be read"


def test_of_a_large_mask_a_small_one_is_kept_in_which_everything_painted_shows() -> None:
    pixels = np.zeros((1500, 4000), np.uint8)
    pixels[1499, 3999] = pixels[800:1200, 1000:2000] = 255
    regions = Regions.from_mask(png(pixels))
    assert max(regions.ignored.shape) <= MAX_SIDE_PX
    assert regions.ignored.shape == (188, 500)
    assert regions.ignored[-1, -1]
    assert regions.share == pytest.approx(400 * 1000 / (1500 * 4000), rel=0.01)
    assert len(regions.png) < 500


def test_it_lies_alike_on_images_of_any_size() -> None:
    regions = Regions.from_mask(png(painted()))
    np.testing.assert_array_equal(regions.on(60, 80), painted() > 0)
    np.testing.assert_array_equal(regions.on(120, 80), painted().repeat(2, axis=0) > 0)
    np.testing.assert_array_equal(regions.on(30, 20), painted()[::2, 1::4] > 0)
    down, right = (np.arange(30) + 0.5) / 30, (np.arange(40) + 0.5) / 40
    np.testing.assert_array_equal(regions.at(down, right), painted()[1::2, 1::2] > 0)
    assert regions.at(np.array([-1.0, 2.0]), np.array([0.5])).tolist() == [[False], [False]]


@pytest.mark.parametrize("size", [(80, 60), (400, 300), (40, 30)])
def test_painted_over_is_what_lies_around_it_and_nothing_of_what_lies_there(size: tuple[int, int]) -> None:
    regions, random = Regions.from_mask(png(painted())), np.random.default_rng(1)
    below = np.linspace(60, 180, size[1], dtype=np.float32)[:, None, None].repeat(size[0], axis=1).repeat(3, axis=2)
    picture, other = below.astype(np.uint8), below.astype(np.uint8)
    touched = np.asarray(Image.fromarray(painted()).resize(size, Image.Resampling.BOX)) > 0
    other[touched] = random.integers(0, 256, (int(touched.sum()), 3), np.uint8)

    painted_over, again = (np.asarray(regions.painted_over(Image.fromarray(each))) for each in (picture, other))

    np.testing.assert_array_equal(painted_over, again)
    np.testing.assert_array_equal(painted_over[~touched], picture[~touched])
    assert np.abs(painted_over[touched].astype(float) - picture[touched]).max() < 40, "of the surroundings' colours"
    assert np.abs(np.diff(painted_over.astype(float), axis=0)).max() < 60, "without an edge"


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (png(np.zeros((60, 80), np.uint8)), "paints nothing"),
        (png(in_color((255, 0, 0, 20), (0, 0, 0, 0))), "paints nothing"),
        (png(np.full((60, 80), 255, np.uint8)), "paints the whole image"),
        (png(np.full((60, 80, 4), 255, np.uint8)), "paints the whole image"),
        (b"GIF89a and more", "looks like a GIF"),
        (b"\xff\xd8\xff\xe0 and more", "is a JPEG; masks must be PNG"),
        (b"", "no image"),
        (png(painted())[:-30], "truncated or damaged"),
    ],
    ids=["black", "transparent", "white", "opaque", "GIF", "JPEG", "empty", "cut off"],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(mask: bytes, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"The mask of regions .*{message}"):
        Regions.from_mask(mask)
