"""Pictures as benches need them: encoded, and the product's at any size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
from PIL import Image

from local.products import PRODUCTS
from local.products.dataset import JPEG_QUALITY
from relook.detection.arrays import ByteArray
from relook.detection.image import MAX_SIDE_PX
from relook.learning.data.samples import LabeledImage

PRODUCT = "bracket"
OWN = PRODUCTS[PRODUCT].width, PRODUCTS[PRODUCT].height
LARGEST = MAX_SIDE_PX, MAX_SIDE_PX
GRAIN_LEVELS = 3.0


@dataclass(frozen=True)
class Size:
    """One size of pictures, (width, height), and what is spent on it. Peers' own 512 px are only for `at_512` sizes."""

    width: int
    height: int
    normals: int = 12
    anomalies: int = 6
    share_of_rounds: float = 1.0
    at_512: bool = False

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def encoded(picture: Image.Image | ByteArray, kind: str, **options: int | str) -> bytes:
    """The bytes of a file."""
    stream = BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(stream, kind, **options)
    return stream.getvalue()


def resized(image: LabeledImage, size: Size) -> LabeledImage:
    """In memory, so that training's time is training's."""
    data = resized_jpeg(image.read(), size)
    if image.read_mask is None:
        return replace(image, read=lambda: data)
    mask = _resized_mask(image.read_mask(), size)
    return replace(image, read=lambda: data, read_mask=lambda: mask)


def resized_jpeg(data: bytes, size: Size) -> bytes:
    """The picture as a camera of that size would have made it: where it is enlarged, with a sensor's grain."""
    if (size.width, size.height) == OWN:
        return data
    with Image.open(BytesIO(data)) as image:
        resized = image.resize((size.width, size.height), Image.Resampling.LANCZOS)
    if size.width > OWN[0]:
        grain = np.random.default_rng(len(data)).standard_normal((size.height, size.width, 1), np.float32)
        grainy = np.asarray(resized) + np.rint(grain * GRAIN_LEVELS).astype(np.int16)
        resized = Image.fromarray(grainy.clip(0, 255).astype(np.uint8))
    return encoded(resized, "JPEG", quality=JPEG_QUALITY)


def _resized_mask(data: bytes, size: Size) -> bytes:
    with Image.open(BytesIO(data)) as mask:
        return encoded(mask.resize((size.width, size.height), Image.Resampling.NEAREST), "PNG", compress_level=1)
