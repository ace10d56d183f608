"""Three numbers of a picture, and how they follow light and focus."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from relook.detection.arrays import ByteArray
from relook.detection.statistics import picture_statistics
from tests.unit.learning.pictures import plate

PIXELS = plate(7)[0]


def slow(pixels: ByteArray) -> tuple[float, float, float]:
    """The same, of all pixels, as the definitions say it."""
    grey = np.asarray(Image.fromarray(pixels).convert("L"), float)
    steps = np.concatenate([np.diff(grey, axis=0).ravel(), np.diff(grey, axis=1).ravel()])
    return grey.mean(), grey.std(), np.sqrt((steps**2).mean()) / grey.std()


def test_the_numbers_are_those_of_the_definitions() -> None:
    actual = picture_statistics(PIXELS)
    assert (actual.brightness, actual.contrast, actual.sharpness) == pytest.approx(slow(PIXELS), rel=0.02)


def test_of_a_large_picture_some_lines_tell_as_much() -> None:
    large = plate(7, scale=5)[0]
    actual = picture_statistics(large)
    assert (actual.brightness, actual.contrast, actual.sharpness) == pytest.approx(slow(large), rel=0.02)


def test_noise_is_as_sharp_as_can_be_and_a_blank_picture_is_not_sharp() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 300), np.uint8)
    assert picture_statistics(np.repeat(noise[..., None], 3, axis=2)).sharpness == pytest.approx(2**0.5, rel=0.01)
    blank = picture_statistics(np.full((64, 64, 3), 200, np.uint8))
    assert (blank.brightness, blank.contrast, blank.sharpness) == (200.0, 0.0, 0.0)


def test_light_moves_brightness_and_contrast_and_focus_moves_sharpness() -> None:
    usual = picture_statistics(PIXELS)
    darker = picture_statistics((PIXELS * 0.8).round().astype(np.uint8))
    assert darker.brightness / usual.brightness == pytest.approx(0.8, rel=0.01)
    assert darker.contrast / usual.contrast == pytest.approx(0.8, rel=0.02)
    assert darker.sharpness == pytest.approx(usual.sharpness, rel=0.02)
    blurred = picture_statistics(np.asarray(Image.fromarray(PIXELS).filter(ImageFilter.GaussianBlur(1))))
    assert blurred.brightness == pytest.approx(usual.brightness, rel=0.01)
    assert blurred.sharpness < 0.8 * usual.sharpness
