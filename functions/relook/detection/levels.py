"""Which of the 65,536 levels of 16 bits a channel are black and white.

The file does not say: cameras of 10, 12 or 14 bits store their levels as they are, others use what they need. So it is
a property of the product, fixed by its normal images and kept with its model.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relook.detection.arrays import ByteArray

_IGNORED_SHARE = 1e-4  # of pixels: a sensor has a few that are stuck
_COUNTED_SIDE_PX = 1024  # at most: of a million values the ignored share is still a hundred
_LEAST_USED = 8  # A range of which an eighth is used leaves 32 of 256 levels; faint defects are a few of those


@dataclass(frozen=True)
class Levels:
    """Levels from `black` on, 2 ** bits of them, are shown as 0..255; what lies beyond, as either."""

    black: int
    bits: int

    @property
    def white(self) -> int:
        """The first level that is too bright."""
        return self.black + (1 << self.bits)

    def shown(self, values: NDArray[np.uint16]) -> ByteArray:
        """The same in 8 bits."""
        above = np.maximum(values, np.uint16(self.black))
        above -= np.uint16(self.black)
        above >>= np.uint16(self.bits - 8)
        return np.minimum(above, 255, out=above).astype(np.uint8)


WHOLE_RANGE = Levels(0, 16)


@dataclass(frozen=True)
class Reach:
    """The darkest and the brightest level of an image, but for a ten-thousandth of its pixels at either end."""

    darkest: int
    brightest: int

    @classmethod
    def of(cls, values: NDArray[np.uint16]) -> Reach:
        """Of (height, width, channels), over all channels; of a large image every n-th pixel tells as much."""
        step = 1 + max(values.shape) // _COUNTED_SIDE_PX
        counted = values[::step, ::step].ravel()
        below = np.cumsum(np.bincount(counted, minlength=1 << 16)) / counted.size
        darkest, brightest = np.searchsorted(below, (_IGNORED_SHARE, 1 - _IGNORED_SHARE))
        return cls(int(darkest), int(brightest))


def fit_levels(reaches: Iterable[Reach]) -> Levels:
    """From black to the power of two beyond the brightest, as cameras count, which leaves room for more light.

    Where that is hardly used, as when a sensor's zero lies far up: a window twice as wide as what is used, about it.
    """
    reaches = list(reaches)
    darkest, brightest = min(each.darkest for each in reaches), max(each.brightest for each in reaches)
    bits = max(8, brightest.bit_length())
    span = brightest - darkest
    if span * _LEAST_USED >= 1 << bits:
        return Levels(0, bits)
    bits = max(8, (2 * span).bit_length())
    return Levels(max(0, (darkest + brightest - (1 << bits)) // 2), bits)
