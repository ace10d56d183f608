"""What 16 bits a channel mean, and that none of them are lost on the way."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from relook.detection.image import decode, decode_mask, read_reach
from relook.detection.levels import WHOLE_RANGE, Levels, Reach, fit_levels
from relook.detection.structure import PNG_MAGIC, png_chunk
from relook.detection.view import View
from relook.errors import ImageRejectedError, RejectionReason
from tests.unit.learning.pictures import encode

COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def deep_png(values: NDArray[np.uint16], *, interlaced: bool = False) -> bytes:
    """(height, width, channels), each row packed by another of PNG's five filters."""
    height, width, channels = values.shape
    passes = [values[y::down, x::right] for x, y, right, down in ADAM7] if interlaced else [values]
    rows = b"".join(filtered(each) for each in passes if each.size)
    header = struct.pack(">IIBBBBB", width, height, 16, COLOR_TYPES[channels], 0, 0, interlaced)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return PNG_MAGIC + b"".join(png_chunk(*each) for each in chunks)


def filtered(values: NDArray[np.uint16]) -> bytes:
    step = 2 * values.shape[2]
    own = values.astype(">u2").view(np.uint8).reshape(len(values), -1).astype(int)
    left = np.pad(own, ((0, 0), (step, 0)))[:, :-step]
    up = np.pad(own, ((1, 0), (0, 0)))[:-1]
    corner = np.pad(left, ((1, 0), (0, 0)))[:-1]
    guess = left + up - corner
    away = [np.abs(guess - each) for each in (left, up, corner)]
    nearest = np.where((away[0] <= away[1]) & (away[0] <= away[2]), left, np.where(away[1] <= away[2], up, corner))
    predicted = [np.zeros_like(own), left, up, (left + up) // 2, nearest]
    kinds = np.arange(len(own)) % 5
    packed = own - np.stack(predicted)[kinds, np.arange(len(own))]
    return np.hstack([kinds[:, None], packed % 256]).astype(np.uint8).tobytes()


def noise(channels: int, highest: int = 65535) -> NDArray[np.uint16]:
    return np.random.default_rng(channels).integers(0, highest + 1, (67, 71, channels), np.uint16)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_the_highest_eight_of_the_bits_in_use_are_shown(channels: int, bits: int, interlaced: bool) -> None:
    values = noise(channels, (1 << bits) - 1)
    pixels = decode(deep_png(values, interlaced=interlaced), Levels(0, bits))
    np.testing.assert_array_equal(pixels, np.broadcast_to(values >> (bits - 8), (67, 71, 3)))


@pytest.mark.parametrize("channels", [2, 4])
def test_transparency_stays(channels: int) -> None:
    values = noise(channels, 4095)
    values[..., -1] = 0xFFFF
    values[:20, :, -1] = 0
    pixels = decode(deep_png(values), Levels(0, 12))
    assert (pixels[:20] == 255).all()
    np.testing.assert_array_equal(pixels[20:], np.broadcast_to(values[20:, :, :-1] >> 4, (47, 71, 3)))


def test_levels_beyond_are_black_or_white() -> None:
    values = np.array([0, 29_999, 30_000, 30_016, 34_095, 34_096, 65_535], np.uint16)
    assert Levels(30_000, 12).shown(values).tolist() == [0, 0, 0, 1, 255, 255, 255]


@pytest.mark.parametrize("highest", [255, 1023, 2600, 4095, 16383, 40_000, 65535])
def test_the_range_ends_at_the_power_of_two_beyond_the_brightest(highest: int) -> None:
    values = np.linspace(0, highest, 200 * 200).astype(np.uint16).reshape(200, 200, 1)
    values[77, 33] = 65535  # a sensor's stuck pixel
    reach = read_reach(deep_png(values))
    assert reach is not None
    levels = fit_levels([Reach(3, 9), reach])
    assert levels.black == 0
    assert levels.white / 2 <= highest < levels.white


def test_a_range_that_is_hardly_used_becomes_a_window() -> None:
    levels = fit_levels([Reach(30_000, 31_500), Reach(30_500, 32_000)])
    assert levels == Levels(31_000 - 2048, 12)
    assert fit_levels([Reach(50_000, 60_000)]) == WHOLE_RANGE, "a bright scene is a scene"
    assert fit_levels([Reach(7, 7)]) == Levels(0, 8)


def test_a_view_shows_deep_images_as_it_shows_those_of_eight_bits() -> None:
    values = noise(3, 255)
    view = View((67, 71), (0.0, 0.0, 71.0, 67.0), (32, 32), levels=Levels(0, 12))
    again = View.from_json(view.to_json())
    assert again == view
    expected = view.cut(encode(Image.fromarray(values.astype(np.uint8)))).pixels
    np.testing.assert_array_equal(again.cut(deep_png(values * 16)).pixels, expected)
    assert View.from_json({name: value for name, value in view.to_json().items() if name != "levels"}).levels is None


def refusal(data: bytes, levels: Levels | None) -> str:
    with pytest.raises(ImageRejectedError) as caught:
        decode(data, levels)
    assert caught.value.reason is RejectionReason.UNSUPPORTED_FORMAT
    return caught.value.message


def test_images_whose_levels_are_not_the_models_are_refused() -> None:
    eight = encode(Image.fromarray(noise(3, 255).astype(np.uint8)))
    twelve, full = deep_png(noise(1, 4095)), deep_png(noise(1))
    assert "uses those up to 409" in refusal(twelve, None)
    assert "reaches level 6" in refusal(full, Levels(0, 12))
    assert "levels 30000 to 34095" in refusal(eight, Levels(30_000, 12))
    np.testing.assert_array_equal(decode(full)[..., :1], noise(1) >> 8)
    np.testing.assert_array_equal(decode(eight, Levels(0, 12)), decode(eight))
    np.testing.assert_array_equal(decode(full, WHOLE_RANGE), decode(full))
    assert decode(deep_png(np.zeros((64, 64, 1), np.uint16)), Levels(0, 12)).max() == 0, "no light is a finding"


def test_deep_images_cut_in_their_pixels_are_refused() -> None:
    for channels in (1, 3):
        data = deep_png(noise(channels))
        with pytest.raises(ImageRejectedError) as caught:
            decode(data[: len(data) // 2], WHOLE_RANGE)
        assert caught.value.reason is RejectionReason.CORRUPT


def test_deep_masks_give_numbers_or_levels() -> None:
    labels = np.array([[[0], [1], [2]]], np.uint16)
    assert decode_mask(deep_png(labels))[0, :, 0].tolist() == [0, 1, 2]
    assert decode_mask(deep_png(labels * 257 * 100))[0, :, 0].tolist() == [0, 100, 200]
    assert decode_mask(deep_png(np.full((2, 2, 3), 0xFFFF, np.uint16))).tolist() == [[[255] * 4] * 2] * 2
