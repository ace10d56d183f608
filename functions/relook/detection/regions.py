"""Regions: painted areas of the picture that are ignored.

They are kept in shares of the picture's width and height, so that they lie alike on images of any size, as displayed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from relook.detection.image import decode_mask
from relook.errors import ImageRejectedError, InvalidRequestError

MAX_SIDE_PX = 512
"""Of what is kept: a pixel of it is an eighth of the smallest part of a 4096 px image that masks are drawn in."""
_FILLED_FROM_PX = 64
"""Longest side of what the surroundings are smoothed from: what is finer than that is no surroundings."""


@dataclass(frozen=True)
class Regions:
    """What is ignored.

    Attributes:
        png: a bit a pixel, white where it is ignored; its sides are the picture's, whatever these are.
    """

    png: bytes

    @classmethod
    def from_mask(cls, data: bytes) -> Self:
        """Of a PNG of any size that somebody painted: opaque is painted where some of it is transparent, and otherwise
        all that is not black. Reduced to 512 px a side at most, in squares of which each is ignored if any part is.

        Raises:
            InvalidRequestError: it is no PNG, nothing is painted, or everything.
        """
        try:
            pixels = decode_mask(data)
        except ImageRejectedError as error:
            raise InvalidRequestError(f"The mask of regions cannot be used: {error.message}") from error
        opaque = pixels[..., 3] >= 128
        painted = pixels[..., :3].any(axis=2) if opaque.all() else opaque
        n = -(-max(painted.shape) // MAX_SIDE_PX)
        height, width = painted.shape
        whole = np.pad(painted, ((0, -height % n), (0, -width % n)))
        ignored = whole.reshape(-(-height // n), n, -(-width // n), n).any(axis=(1, 3))
        if not ignored.any():
            raise InvalidRequestError(
                "The mask of regions paints nothing: paint what is to be ignored, on black or on nothing"
            )
        if ignored.all():
            raise InvalidRequestError(
                "The mask of regions paints the whole image; leave what is to be looked at black or transparent"
            )
        stream = BytesIO()
        Image.fromarray(ignored).save(stream, "PNG", optimize=True)
        return cls(stream.getvalue())

    @cached_property
    def ignored(self) -> NDArray[np.bool_]:
        """(height, width) over the whole picture.

        Raises:
            ImageRejectedError: this is no PNG.
        """
        return decode_mask(self.png)[..., 0] > 0

    def on(self, height: int, width: int) -> NDArray[np.bool_]:
        """(height, width) pixels of the whole picture that are ignored for the most part."""
        return np.asarray(self._painted((width, height))) >= 128

    def at(self, down: NDArray[np.floating], right: NDArray[np.floating]) -> NDArray[np.bool_]:
        """(n, m) whether the picture is ignored at (n,) shares of its height and (m,) of its width."""
        places = (
            np.clip(shares * cells, 0, cells - 1).astype(np.intp)
            for shares, cells in zip((down, right), self.ignored.shape, strict=True)
        )
        return self.ignored[np.ix_(*places)]

    def painted_over(self, picture: Image.Image) -> Image.Image:
        """An RGB picture in which nothing of what is ignored can be seen: only what lies around it, spread into it.

        Smoothly, from coarse to fine, so that no edge looks like a defect (push-pull, Gortler et al. 1996).
        """
        painted = self._painted(picture.size).point(lambda value: 255 if value else 0)
        known = picture.copy()
        known.putalpha(ImageChops.invert(painted))
        shrink = max(1.0, max(picture.size) / _FILLED_FROM_PX)
        steps = []
        while max(known.size) > 1:
            size = (max(1, round(known.width / shrink)), max(1, round(known.height / shrink)))
            known = known.resize(size, Image.Resampling.BOX)  # of RGBA only what is opaque counts
            steps.append(known)
            shrink = 2.0
        filled = steps.pop().convert("RGB")
        for known in reversed(steps):
            filled = filled.resize(known.size, Image.Resampling.BILINEAR)
            filled.paste(known.convert("RGB"), mask=known.getchannel("A"))
        return Image.composite(filled.resize(picture.size, Image.Resampling.BILINEAR), picture, painted)

    def _painted(self, size: tuple[int, int]) -> Image.Image:
        """A grey picture of (width, height) px: 255 where all of a pixel is ignored, 0 where none is."""
        return Image.fromarray(self.ignored.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)

    @property
    def share(self) -> float:
        """Of the picture that is ignored, 0..1."""
        return float(self.ignored.mean())
