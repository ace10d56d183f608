"""BMP and TIFF, as industrial cameras write them, turned into the PNG that everything else reads."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache, partial
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from relook.errors import ImageRejectedError, RejectionReason

_MAGICS = (b"BM", b"II*\0", b"MM\0*")
_BITS_PER_SAMPLE = 258  # TIFF's number of the tag
# What Pillow raises on damaged BMP and TIFF data, as on other formats
_DAMAGE = (OSError, SyntaxError, ValueError, KeyError, IndexError, TypeError, EOFError)


def reader(path: Path) -> Callable[[], bytes]:
    """Gives a file's bytes, those of a BMP or TIFF as PNG. It is converted when it is first read, and only then."""
    return partial(_read, path)


def to_png(data: bytes) -> bytes:
    """A BMP or TIFF with the same pixels as PNG, 16-bit grey included; anything else as it is.

    Raises:
        ImageRejectedError: it is damaged, or has what a PNG of ours cannot keep: several pages, 16-bit colours, numbers
            with a fraction.
    """
    if not data.startswith(_MAGICS):
        return data
    try:
        with Image.open(BytesIO(data), formats=("BMP", "TIFF")) as image:
            _refuse_loss(image)
            image.load()
            stream = BytesIO()
            _storable(image).save(stream, "PNG", compress_level=1)
    except (Image.DecompressionBombError, *_DAMAGE) as error:
        detail = "its header cannot be read" if isinstance(error, UnidentifiedImageError) else str(error)
        message = f"The BMP or TIFF cannot be read ({detail}); save it as PNG"
        raise ImageRejectedError(RejectionReason.CORRUPT, message) from error
    return stream.getvalue()


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        start = file.read(max(map(len, _MAGICS)))
    return (_converted(path) if start.startswith(_MAGICS) else path).read_bytes()


@cache
def _converted(path: Path) -> Path:
    target = Path(_scratch().name) / f"{len(list(Path(_scratch().name).iterdir()))}.png"
    target.write_bytes(to_png(path.read_bytes()))
    return target


@cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    """Gone when the process ends."""
    return tempfile.TemporaryDirectory(prefix="relook-")


def _refuse_loss(image: Image.Image) -> None:
    pages = getattr(image, "n_frames", 1)
    if pages > 1:
        raise _unsupported(f"The TIFF has {pages} pages; save the one that is meant as a file of its own")
    bits = image.tag_v2.get(_BITS_PER_SAMPLE, (8,)) if hasattr(image, "tag_v2") else (8,)
    if max(bits) > 8 and len(bits) > 1:
        raise _unsupported(f"The TIFF has {max(bits)} bits a colour; save it as PNG with 8 bits a colour")
    if image.mode == "F":
        raise _unsupported("The TIFF's pixels are fractions; save it as a PNG of 8 or 16 bits")


def _storable(image: Image.Image) -> Image.Image:
    """In a mode that PNG has, with every value kept; only what is not RGB, such as CMYK, is mixed anew."""
    if image.mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        return image
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise _unsupported(f"The TIFF's values reach from {values.min()} to {values.max()}; 0 to 65,535 are read")
        return Image.fromarray(values.astype(np.uint16))
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _unsupported(message: str) -> ImageRejectedError:
    return ImageRejectedError(RejectionReason.UNSUPPORTED_FORMAT, message)
