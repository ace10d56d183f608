"""Maps to pictures: the mask and the heat map that people look at, as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from PIL import Image

from relook.detection.arrays import ByteArray, FloatArray
from relook.detection.package import HeatMapRange
from relook.detection.result import BACKGROUND_COLOR

HEAT_MAP_SIDE_PX = 512


def label_pixels(types: FloatArray, thresholds: Sequence[float], height: int, width: int) -> ByteArray:
    """Which type every pixel shows.

    Args:
        types: (classes + 1, grid, grid) probabilities, background first.
        thresholds: one per class.
    Returns:
        (height, width) uint8: 0 background, i the i-th class.
    """
    labels = np.zeros((height, width), np.uint8)
    best = np.full((height, width), _NO_MARGIN, np.uint8)
    for index, threshold in enumerate(thresholds, start=1):
        # Margins as bytes: an eighth of the memory at 4096 x 4096, and a step of 1/127 does not move an outline visibly
        margin = np.rint((types[index] - threshold) * 127 + _NO_MARGIN).astype(np.uint8)
        if margin.max() > _NO_MARGIN:
            smooth = np.asarray(Image.fromarray(margin).resize((width, height), Image.Resampling.BILINEAR))
            ahead = smooth > best
            labels[ahead] = index
            np.maximum(best, smooth, out=best)
    return labels


def count_labels(labels: ByteArray, classes: int) -> list[int]:
    """Pixels of the background and of each class."""
    return Image.fromarray(labels).histogram()[: classes + 1]


def mask_png(labels: ByteArray, colors: Sequence[str]) -> bytes:
    """A palette PNG of (height, width) labels: white for 0, then the classes' colours, exactly."""
    return _palette_png(labels, bytes.fromhex("".join(color[1:] for color in (BACKGROUND_COLOR, *colors))))


def heat_map_png(anomaly_map: FloatArray, value_range: HeatMapRange, height: int, width: int) -> bytes:
    """A palette PNG in the image's proportions, its longest side at most 512 pixels; the index is the value, 0..255."""
    shrink = min(1.0, HEAT_MAP_SIDE_PX / max(height, width))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    smooth = np.asarray(Image.fromarray(anomaly_map).resize(size, Image.Resampling.BICUBIC))
    unit = (smooth - value_range.low) / (value_range.high - value_range.low)
    return _palette_png((unit.clip(0, 1) * 255).astype(np.uint8), _heat_palette())


_NO_MARGIN = 127


def _palette_png(indices: ByteArray, palette: bytes) -> bytes:
    image = Image.fromarray(indices)
    image.putpalette(palette)
    buffer = BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _heat_palette() -> bytes:
    """256 colours from near black over violet, red and orange to pale yellow, evenly lighter in the OKLab space.

    Source of the conversion: Ottosson 2020, "A perceptual color space for image processing".
    """
    at = np.linspace(0, 1, 256)
    stops = [0, 0.25, 0.5, 0.75, 1]
    lightness = 0.16 + 0.80 * at
    green_red = np.interp(at, stops, [0.02, 0.12, 0.19, 0.09, -0.02])
    blue_yellow = np.interp(at, stops, [-0.05, -0.11, 0.06, 0.14, 0.09])
    lms = np.stack([lightness, green_red, blue_yellow], axis=1) @ np.array(
        [[1, 1, 1], [0.3963377774, -0.1055613458, -0.0894841775], [0.2158037573, -0.0638541728, -1.2914855480]]
    )
    linear = lms**3 @ np.array(
        [
            [4.0767416621, -1.2684380046, -0.0041960863],
            [-3.3077115913, 2.6097574011, -0.7034186147],
            [0.2309699292, -0.3413193965, 1.7076147010],
        ]
    )
    linear = linear.clip(0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return bytes(np.rint(encoded * 255).astype(np.uint8))
