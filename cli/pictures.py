"""Pictures of a verdict: the image, with what was found painted on it."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from relook.detection.image import decode

MAX_SIDE_PX = 1024


def overlay(image: bytes, mask_png: bytes | None, heat_map_png: bytes | None) -> Image.Image:
    """The image with its mask painted on, and beside it the heat map blended over; whichever there are.

    Args:
        image: an encoded image that was inspected.
    """
    picture = Image.fromarray(decode(image))
    picture.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
    panels = [_with_mask(picture, mask_png) if mask_png else picture]
    if heat_map_png:
        panels.append(_with_heat(picture, heat_map_png))
    sheet = Image.new("RGB", (sum(panel.width for panel in panels), picture.height))
    left = 0
    for panel in panels:
        sheet.paste(panel, (left, 0))
        left += panel.width
    return sheet


def _with_mask(picture: Image.Image, mask_png: bytes) -> Image.Image:
    mask = Image.open(BytesIO(mask_png)).convert("RGB").resize(picture.size, Image.Resampling.NEAREST)
    is_painted = Image.fromarray((np.asarray(mask) != 255).any(axis=2).astype(np.uint8) * 255)
    filled = Image.composite(Image.blend(picture, mask, 0.45), picture, is_painted)
    # A line in the type's full colour around each area, so that a small one is seen too.
    edge = np.asarray(is_painted.filter(ImageFilter.MaxFilter(5))) != np.asarray(is_painted)
    spread = mask.filter(ImageFilter.MinFilter(5))
    return Image.composite(spread, filled, Image.fromarray(edge.astype(np.uint8) * 255))


def _with_heat(picture: Image.Image, heat_map_png: bytes) -> Image.Image:
    heat_map = Image.open(BytesIO(heat_map_png)).convert("RGB").resize(picture.size, Image.Resampling.BICUBIC)
    return Image.blend(ImageOps.grayscale(picture).convert("RGB"), heat_map, 0.6)
