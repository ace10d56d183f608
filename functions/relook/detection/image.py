"""Encoded images to pixels. The only place that trusts no byte it is given.

Whatever the bytes, the functions here answer or raise `ImageRejectedError`; nothing is decoded before its structure and
its header were found acceptable, so a decompression bomb costs no more than counting its pieces.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from relook.detection.arrays import ByteArray
from relook.detection.levels import WHOLE_RANGE, Levels, Reach
from relook.detection.structure import PNG_MAGIC, Picture, find_excess, split_deep_png, without_metadata
from relook.errors import ImageRejectedError, RejectionReason

# Lookout for Vision's quotas
MAX_IMAGE_BYTES = 8 * 1024 * 1024
MIN_SIDE_PX = 64
MAX_SIDE_PX = 4096


@dataclass(frozen=True)
class ImageHeader:
    """What an image says about itself; width and height in pixels as displayed, after EXIF orientation."""

    format: Literal["PNG", "JPEG"]
    width: int
    height: int

    @property
    def content_type(self) -> str:
        """The media type, as DetectAnomalies wants it."""
        return f"image/{self.format.lower()}"


@dataclass(frozen=True)
class ReducedImage:
    """A decoded image, upright and on white, made smaller by a whole number.

    Attributes:
        picture: RGB, sides rounded up; its pixel i covers the image's from i * factor to (i + 1) * factor.
        height: of the image as displayed, px; `width` likewise.
    """

    picture: Image.Image
    factor: int
    height: int
    width: int


def check_size(size_bytes: int) -> None:
    """Judge an image by its size alone, before it is downloaded.

    Raises:
        ImageRejectedError: EMPTY or TOO_LARGE.
    """
    if not size_bytes:
        raise ImageRejectedError(RejectionReason.EMPTY, "The image has 0 bytes; PNG and JPEG are accepted")
    if size_bytes > MAX_IMAGE_BYTES:
        message = f"The image has {size_bytes:,} bytes; at most {MAX_IMAGE_BYTES:,} are accepted"
        raise ImageRejectedError(RejectionReason.TOO_LARGE, message)


def read_header(data: bytes) -> ImageHeader:
    """Format and size, by content and without decoding a pixel.

    Raises:
        ImageRejectedError: EMPTY, TOO_LARGE, UNSUPPORTED_FORMAT, BAD_DIMENSIONS or CORRUPT.
    """
    with _opened(data, is_decoded=False) as image:
        width, height = image.size
        if _orientation(image) in _SWAPS_SIDES:
            width, height = height, width
    return ImageHeader("PNG" if data.startswith(PNG_MAGIC) else "JPEG", width, height)


def read_reach(data: bytes) -> Reach | None:
    """How dark and how bright an image of 16 bits a channel is; None for any other.

    Raises:
        ImageRejectedError: as `decode`.
    """
    with _opened(data, is_decoded=False) as image:
        return Reach.of(_deep(image)[0]) if _DEEP in image.info else None


def decode(data: bytes, levels: Levels | None = None) -> ByteArray:
    """The pixels as a person would see them: orientation applied, transparency on white.

    Args:
        levels: what 16 bits mean for the product; None for one that was learnt from 8.
    Returns:
        (height, width, 3) uint8 RGB. ICC profiles are not applied.
    Raises:
        ImageRejectedError: as `read_header`; CORRUPT also for pixels that cannot be decoded, UNSUPPORTED_FORMAT for
            those whose levels are not the product's.
    """
    with _opened(data, levels) as image:
        orientation = _orientation(image)
        return np.array(_upright(_on_white(_plain(image)), orientation))


def decode_reduced(data: bytes, spare: Callable[[int, int], float], levels: Levels | None = None) -> ReducedImage:
    """The pixels at 1/2, 1/4, 1/8 .. of their size, which JPEGs are decoded at rather than reduced to.

    Args:
        spare: from (height, width) as displayed, by how much sides may shrink; the power of two below it is taken.
        levels: as of `decode`.
    Raises:
        ImageRejectedError: as `decode`.
    """
    with _opened(data, levels) as image:
        orientation, (width, height) = _orientation(image), image.size
        shown = (width, height) if orientation in _SWAPS_SIDES else (height, width)
        factor = 1 << (max(int(spare(*shown) + 1e-6), 1).bit_length() - 1)
        drafted = min(factor, _LARGEST_DRAFT)
        if orientation in _UPRIGHT and (width % drafted or height % drafted):
            drafted = 1  # turned over, the odd pixel would lie at the beginning and move all others
        draft = image.draft("RGB", (width // drafted, height // drafted))
        rest = factor if draft is None else round(factor * draft[1][2] / width)
        # Reduced before it is laid on white: Pillow averages premultiplied colours, so the order changes nothing.
        return ReducedImage(_on_white(_upright(_plain(image), orientation).reduce(rest)), factor, *shown)


def decode_mask(data: bytes) -> ByteArray:
    """The pixels of a PNG mask as they are stored, transparency kept. A mask may be smaller than an image.

    Of 16 bits a channel, numbers below 256 are taken as they are.

    Returns:
        (height, width, 4) uint8 RGBA.
    Raises:
        ImageRejectedError: as `decode`; UNSUPPORTED_FORMAT for a JPEG, which cannot keep colours exact.
    """
    check_start(data, is_mask=True)
    with _opened(data, is_decoded=False, min_side_px=1) as image:
        if _DEEP in image.info:
            values, alpha = _deep(image)
            image = _joined((Levels(0, 8) if values.max() < 256 else WHOLE_RANGE).shown(values), alpha)
        return np.array(image.convert("RGBA"))


_JPEG_MAGIC = b"\xff\xd8\xff"
_OTHER_MAGICS = {
    b"GIF8": "a GIF",
    b"RIFF": "a WebP",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
    b"BM": "a BMP",
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a ZIP archive",
    b"\0\0\0": "a HEIC, AVIF or video file",
    **dict.fromkeys((b"iVBORw0KGgo", b"/9j/"), "base64 text, and not the image itself"),
}
_CONVERTIBLE = ("a BMP", "a TIFF")
_LARGEST_DRAFT = 8  # libjpeg leaves out all but one of 8 x 8 coefficients at most
_ORIENTATION_TAG = 0x0112  # EXIF's
_DEEP = "deep"  # in Pillow's `info`: the encoded picture, if it has 16 bits a channel
_SWAPS_SIDES = frozenset({5, 6, 7, 8})
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow raises on damaged PNG and JPEG data, as its sources and our fuzzing show: OSError (truncated stream, with
# UnidentifiedImageError under it), SyntaxError (broken chunk or marker), ValueError (impossible values, text bombs),
# struct.error and IndexError (short segments), EOFError, zlib.error, TypeError and KeyError (malformed metadata), and
# AssertionError (a palette that is not there).
# MemoryError is left out on purpose: with the sides bounded it is the machine that is too small, and a retry may pass.
_DAMAGE = (
    *(OSError, SyntaxError, ValueError, struct.error, IndexError, EOFError),
    *(zlib.error, TypeError, KeyError, AssertionError),
)


@contextmanager
def _opened(
    data: bytes, levels: Levels | None = None, *, min_side_px: int = MIN_SIDE_PX, is_decoded: bool = True
) -> Iterator[Image.Image]:
    """The image behind `data`, header read and judged; damage found inside the block becomes a rejection.

    Args:
        is_decoded: whether it is whole and in 8 bits, as `levels` have it.
    """
    _refuse_by_first_bytes(data)
    picture = without_metadata(data)
    if picture.unreadable:
        message = f"The image is {picture.unreadable}; save it as a baseline JPEG of 8 bits a channel, or as a PNG"
        raise ImageRejectedError(RejectionReason.UNSUPPORTED_FORMAT, message)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata that does not touch the pixels
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(BytesIO(picture.data), formats=("PNG", "JPEG")) as image:
                _refuse_by_size(*image.size, min_side_px)
                image.info["exif"] = picture.exif
                if picture.bits > 8:
                    image.info[_DEEP] = picture
                if is_decoded:
                    _refuse_cut(picture)
                    yield _in_eight_bits(image, levels)
                else:
                    yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageRejectedError(RejectionReason.BAD_DIMENSIONS, f"{error}; {_SIDES_WANTED}") from error
    except _DAMAGE as error:
        detail = "its header cannot be read" if isinstance(error, UnidentifiedImageError) else str(error)
        message = f"The image is truncated or damaged ({detail}); save or upload it again"
        raise ImageRejectedError(RejectionReason.CORRUPT, message) from error


def _refuse_by_first_bytes(data: bytes) -> None:
    check_size(len(data))
    check_start(data)
    if excess := find_excess(data):
        message = f"The image has {excess}, as no camera or program makes them; save it again"
        raise ImageRejectedError(RejectionReason.CORRUPT, message)


def check_start(data: bytes, *, is_mask: bool = False) -> None:
    """Judge an image by its first bytes alone, of which a dozen are enough.

    Raises:
        ImageRejectedError: UNSUPPORTED_FORMAT.
    """
    if is_mask and data.startswith(_JPEG_MAGIC):
        raise ImageRejectedError(RejectionReason.UNSUPPORTED_FORMAT, "The content is a JPEG; masks must be PNG")
    if not data.startswith((PNG_MAGIC, _JPEG_MAGIC)):
        looks_like = next((name for magic, name in _OTHER_MAGICS.items() if data.startswith(magic)), "no image")
        message = f"The content looks like {looks_like}; PNG and JPEG are accepted, whatever the file's name"
        if looks_like in _CONVERTIBLE:
            message += ". Save it as PNG, which keeps every pixel, such as with: magick IMAGE IMAGE.png"
        raise ImageRejectedError(RejectionReason.UNSUPPORTED_FORMAT, message)


def _refuse_cut(picture: Picture) -> None:
    """Tell a JPEG that lacks its end marker alone from one that lacks pixels, which libjpeg makes up without a word."""
    if len({Image.open(BytesIO(trial), formats=("JPEG",)).tobytes() for trial in picture.trials}) > 1:
        raise OSError("its pixels end early")


_SIDES_WANTED = f"each side must have {MIN_SIDE_PX} to {MAX_SIDE_PX} pixels"


def _refuse_by_size(width: int, height: int, min_side_px: int) -> None:
    if min(width, height) < min_side_px or max(width, height) > MAX_SIDE_PX:
        message = f"The image is {width} x {height} pixels; {_SIDES_WANTED}"
        raise ImageRejectedError(RejectionReason.BAD_DIMENSIONS, message)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1..8 as known before decoding; 1 where the EXIF data makes no sense, as viewers do."""
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        value = exif.get(_ORIENTATION_TAG)
    except _DAMAGE:
        return 1
    return value if value in _UPRIGHT else 1


def _in_eight_bits(image: Image.Image, levels: Levels | None) -> Image.Image:
    if _DEEP not in image.info:
        if levels and levels.black:
            raise _unlike_levels(
                f"The image has 8 bits a channel; the model was trained on levels {_range(levels)} of 16"
            )
        return image
    values, alpha = _deep(image)
    brightest = Reach.of(values).brightest
    if levels is None and brightest < _LEAST_WHITE:
        message = (
            f"The image has 16 bits a channel and uses those up to {brightest}; the model was trained on images of 8"
        )
        raise _unlike_levels(message)
    if levels and brightest > _TOO_WHITE * levels.white:
        raise _unlike_levels(f"The image reaches level {brightest}; the model was trained on {_range(levels)}")
    return _joined((levels or WHOLE_RANGE).shown(values), alpha, image.info["exif"])


# White is 65,535, as PNG has it, unless training saw otherwise. An image that stays below a quarter of that is hardly
# underexposed: it has 14 bits or fewer, stored as they are. Nor is one overexposed that is four times too bright
_LEAST_WHITE, _TOO_WHITE = 1 << 14, 4


def _range(levels: Levels) -> str:
    return f"{levels.black} to {levels.white - 1}"


def _unlike_levels(message: str) -> ImageRejectedError:
    advice = "save it as the training images were, or train on images like it"
    return ImageRejectedError(RejectionReason.UNSUPPORTED_FORMAT, f"{message}; {advice}")


def _deep(image: Image.Image) -> tuple[NDArray[np.uint16], ByteArray | None]:
    """(height, width, channels) of an image of 16 bits a channel, and (height, width) alpha if there is one.

    Pillow keeps all bits of grey ones alone.
    """
    if image.mode == "I;16":
        return np.asarray(image)[..., None], None
    halves = (np.asarray(Image.open(BytesIO(half))) for half in split_deep_png(image.info[_DEEP].data))
    high, low = (half.reshape(image.height, image.width, -1) for half in halves)
    values = high.astype(np.uint16) << 8 | low
    return (values, None) if values.shape[2] == 3 else (values[..., :-1], high[..., -1])


def _joined(colors: ByteArray, alpha: ByteArray | None, exif: bytes = b"") -> Image.Image:
    image = Image.fromarray(colors[..., 0] if colors.shape[2] == 1 else colors)
    if alpha is not None:
        image = image.convert("RGB")
        image.putalpha(Image.fromarray(alpha))
    image.info["exif"] = exif
    return image


def _plain(image: Image.Image) -> Image.Image:
    """The decoded image in mode L, RGB or RGBA."""
    image.load()
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image.convert("RGB")
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image
