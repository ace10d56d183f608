"""Maps to pictures: the mask and the heat map that people look at, as PNG."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from PIL import Image

from relook.detection.arrays import ByteArray, FloatArray
from relook.detection.package import HeatMapRange
from relook.detection.result import BACKGROUND_COLOR
from relook.detection.structure import PNG_MAGIC, png_chunk
from relook.detection.view import Cut

HEAT_MAP_SIDE_PX = 256  # about a canvas's side; maps have fewer cells still, so more pixels would show nothing more
MAX_MASK_BYTES = 4_500_000
"""The API has 5 MiB; Lambda answers with 6 MB at most, of which base64 leaves this."""


def label_pixels(types: FloatArray, thresholds: Sequence[float], cut: Cut, height: int, width: int) -> ByteArray:
    """Which type every pixel of the whole image shows.

    Args:
        types: (classes + 1, h, w) probabilities on the cut's canvas, background first.
        thresholds: one per class.
    Returns:
        (height, width) uint8: 0 background, i the i-th class. What lies outside of the cut is background.
    """
    labels = np.zeros((height, width), np.uint8)
    best = np.zeros((height, width), np.float32)
    for index, threshold in enumerate(thresholds, start=1):
        margin = types[index] - np.float32(threshold)
        if margin.max() > 0:
            on_image = cut.on_image(margin, height, width, beyond=-1.0)
            ahead = on_image > best
            labels[ahead] = index
            if index < len(thresholds):
                np.maximum(best, on_image, out=best)
    return labels


def count_labels(labels: ByteArray, classes: int) -> list[int]:
    """Pixels of the background and of each class."""
    return Image.fromarray(labels).histogram()[: classes + 1]


def mask_png(labels: ByteArray, colors: Sequence[str]) -> bytes:
    """An RGB PNG, 8 bits a channel, of (height, width) labels: white for 0, then the classes' colours, exactly.

    At most `MAX_MASK_BYTES`: noise that takes more is drawn in squares of 2 x 2 pixels, 4 x 4 and so on.
    """
    table = np.array([list(bytes.fromhex(color[1:])) for color in (BACKGROUND_COLOR, *colors)], np.uint8)
    data = _rgb_png(labels, table)
    step = 1
    while len(data) > MAX_MASK_BYTES:
        step *= 2
        squares = labels[::step, ::step].repeat(step, axis=0).repeat(step, axis=1)
        data = _rgb_png(squares[: labels.shape[0], : labels.shape[1]], table)
    return data


def heat_map_png(anomaly_map: FloatArray, value_range: HeatMapRange, cut: Cut) -> bytes:
    """A palette PNG of the whole image, its longest side at most 256 pixels; the index is the value, 0..255.

    Args:
        anomaly_map: (h, w) on the cut's canvas. What lies outside of it is drawn darkest.
    """
    shrink = min(1.0, HEAT_MAP_SIDE_PX / max(cut.size))
    height, width = (max(1, round(side * shrink)) for side in cut.size)
    smooth = cut.on_image(anomaly_map, height, width, beyond=value_range.low)
    unit = (smooth - value_range.low) / (value_range.high - value_range.low)
    return _palette_png((unit.clip(0, 1) * 255).astype(np.uint8), _heat_palette())


_MASK_LEVEL = 1  # zlib's; what remains of a mask is zeros, over which higher ones take longer for nothing
_BAND_ROWS = 64  # so that rows are compressed while they are in the cache
_UP = 2  # PNG's filter that tells how a row differs from the one above


def _rgb_png(labels: ByteArray, table: ByteArray) -> bytes:
    """Written by hand: a mask's row is mostly the one above, so only pixels that differ are looked up, which makes it
    twice as fast as looking up all, and eight times as small for noise in cells of 16 pixels."""
    height, width = labels.shape
    packer = zlib.compressobj(_MASK_LEVEL)
    packed = []
    for top in range(0, height, _BAND_ROWS):
        band = labels[top : top + _BAND_ROWS]
        rows = np.zeros((len(band), 1 + 3 * width), np.uint8)  # each begins with the number of its filter
        rows[:, 0] = _UP
        start = 0 if top else 1
        above = labels[top + start - 1 : top + len(band) - 1]
        y, x = np.divmod(np.flatnonzero(band[start:] != above), width)
        change = table[band[start:][y, x]] - table[above[y, x]]  # modulo 256, as the filter is defined
        first = (y + start) * rows.shape[1] + 1 + 3 * x
        for channel in range(3):
            rows.reshape(-1)[first + channel] = change[:, channel]
        if start:
            rows[0, 1:] = table[band[0]].reshape(-1)
        packed.append(packer.compress(rows.data))
    packed.append(packer.flush())
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, RGB
    chunks = ((b"IHDR", header), (b"IDAT", b"".join(packed)), (b"IEND", b""))
    return PNG_MAGIC + b"".join(png_chunk(*each) for each in chunks)


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
