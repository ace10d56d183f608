"""Bytes to pixels: what is accepted, what is refused and why, and that nothing else can happen."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from relook.detection.arrays import ByteArray
from relook.detection.image import MAX_IMAGE_BYTES, ImageHeader, decode, decode_mask, read_header
from relook.detection.view import View
from relook.errors import ImageRejectedError, RejectionReason
from tests.unit.learning.pictures import encode

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def quadrants(width: int = 96, height: int = 64) -> Image.Image:
    """Red top left, green top right, blue bottom left, white bottom right."""
    image = Image.new("RGB", (width, height), "white")
    image.paste(RED, (0, 0, width // 2, height // 2))
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    return image


def squashed(data: bytes, height: int, width: int) -> ByteArray:
    """By way of `decode_reduced`, as a foreign model sees it."""
    return View.stretched(height, width).cut(data).pixels


def orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def test_header_says_format_and_size() -> None:
    assert read_header(encode(quadrants())) == ImageHeader("PNG", 96, 64)
    assert read_header(encode(quadrants(), "JPEG")) == ImageHeader("JPEG", 96, 64)
    assert read_header(encode(quadrants())).content_type == "image/png"
    assert read_header(encode(quadrants(), "JPEG")).content_type == "image/jpeg"


@pytest.mark.parametrize("image_format", ["PNG", "JPEG"])
@pytest.mark.parametrize("value", range(1, 9))
def test_orientation_is_applied_everywhere(image_format: str, value: int) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = quadrants().transpose(undo[value]) if value in undo else quadrants()
    data = encode(stored, image_format, exif=orientation(value))

    header = read_header(data)
    pixels = decode(data)
    small = squashed(data, 32, 48)

    assert (header.height, header.width) == (64, 96) == pixels.shape[:2]
    assert small.shape == (32, 48, 3)
    for array in (pixels, small):
        height, width = array.shape[:2]
        np.testing.assert_allclose(array[height // 4, width // 4], RED, atol=4)
        np.testing.assert_allclose(array[height // 4, width * 3 // 4], GREEN, atol=4)
        np.testing.assert_allclose(array[height * 3 // 4, width // 4], BLUE, atol=4)


def test_senseless_exif_is_ignored() -> None:
    for exif in (orientation(77), b"Exif\0\0not a tiff header", b"Exif\0\0"):
        assert read_header(encode(quadrants(), "JPEG", exif=exif)) == ImageHeader("JPEG", 96, 64)


def test_metadata_that_pillow_warns_of_is_ignored() -> None:
    sound = encode(quadrants())
    animation = b"acTL" + struct.pack(">II", 0, 0)  # an animated PNG of no frames
    chunk = struct.pack(">I", 8) + animation + struct.pack(">I", zlib.crc32(animation))
    np.testing.assert_array_equal(decode(sound[:33] + chunk + sound[33:]), decode(sound))


def grey16() -> Image.Image:
    return Image.fromarray(np.full((64, 64), 0x80FF, np.uint16))


def half_transparent() -> Image.Image:
    return Image.new("RGBA", (64, 64), (255, 0, 0, 128))


def indexed_transparent() -> Image.Image:
    image = Image.new("P", (64, 64), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.info["transparency"] = 1
    return image


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (encode(Image.new("L", (64, 64), 77)), (77, 77, 77)),
        (encode(Image.new("L", (64, 64), 77), "JPEG"), (77, 77, 77)),
        (encode(Image.new("1", (64, 64), 1)), (255, 255, 255)),
        (encode(grey16()), (128, 128, 128)),
        (encode(half_transparent()), (255, 127, 127)),
        (encode(Image.new("LA", (64, 64), (0, 128))), (127, 127, 127)),
        (encode(Image.new("RGB", (64, 64), RED).quantize(4)), RED),
        (encode(indexed_transparent()), (255, 255, 255)),
        (encode(Image.new("CMYK", (64, 64), (0, 255, 255, 0)), "JPEG"), RED),
        (encode(quadrants().crop((0, 0, 8, 8)).resize((64, 64)), "JPEG", progressive=True), RED),
        (
            encode(Image.new("RGB", (64, 64), BLUE), "MPO", save_all=True, append_images=[Image.new("RGB", (64, 64))]),
            BLUE,
        ),
    ],
    ids=[
        *("grey", "grey-jpeg", "bilevel", "16-bit", "rgba", "grey-alpha"),
        *("palette", "palette-transparent", "cmyk", "progressive", "mpo"),
    ],
)
def test_every_kind_of_pixel_becomes_rgb_on_white(data: bytes, expected: tuple[int, int, int]) -> None:
    for pixels in (decode(data), squashed(data, 16, 16)):
        assert pixels.dtype == np.uint8
        np.testing.assert_allclose(pixels.reshape(-1, 3), np.tile(expected, (pixels.size // 3, 1)), atol=2)


@pytest.mark.parametrize("image_format", ["PNG", "JPEG"])
def test_squashing_averages(image_format: str) -> None:
    ramp = np.linspace(0, 255, 640)[None, :, None] * np.ones((480, 1, 3))
    ramp[:, :, 1] = np.linspace(0, 255, 480)[:, None]
    data = encode(Image.fromarray(ramp.astype(np.uint8)), image_format)

    small = squashed(data, 16, 32)

    blocks = ramp.reshape(16, 30, 32, 20, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(small[1:-1, 1:-1], blocks[1:-1, 1:-1], atol=4)


def rejection(data: bytes, read: Callable[[bytes], object] = read_header) -> ImageRejectedError:
    with pytest.raises(ImageRejectedError) as caught:
        read(data)
    return caught.value


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixels."""
    bodies = (b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT", b"IEND")
    chunks = (struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) for body in bodies)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_empty_is_refused() -> None:
    assert rejection(b"").reason is RejectionReason.EMPTY


def test_too_many_bytes_are_refused() -> None:
    error = rejection(encode(quadrants()) + bytes(MAX_IMAGE_BYTES))
    assert error.reason is RejectionReason.TOO_LARGE
    assert "8,388,608" in error.message


@pytest.mark.parametrize(
    ("data", "looks_like"),
    [
        (encode(quadrants(), "GIF"), "a GIF"),
        (encode(quadrants(), "TIFF"), "a TIFF"),
        (encode(quadrants(), "WEBP"), "a WebP"),
        (encode(quadrants(), "BMP"), "a BMP"),
        (b"%PDF-1.7", "a PDF"),
        (b"just text", "something else"),
    ],
)
def test_other_formats_are_refused_by_content(data: bytes, looks_like: str) -> None:
    error = rejection(data)
    assert error.reason is RejectionReason.UNSUPPORTED_FORMAT
    assert looks_like in error.message
    assert "PNG and JPEG" in error.message


@pytest.mark.parametrize(
    ("width", "height"), [(63, 64), (64, 63), (4097, 64), (64, 4097), (13000, 13000), (60000, 60000)]
)
def test_sides_outside_64_to_4096_are_refused_before_decoding(width: int, height: int) -> None:
    for read in (read_header, decode, lambda data: squashed(data, 64, 64)):
        error = rejection(png_header(width, height), read)
        assert error.reason is RejectionReason.BAD_DIMENSIONS
        assert "64 to 4096" in error.message
        if width < 13000:
            assert f"{width} x {height}" in error.message


@pytest.mark.parametrize(("width", "height"), [(64, 64), (4096, 64), (64, 4096)])
def test_sides_of_64_and_4096_are_accepted(width: int, height: int) -> None:
    data = encode(Image.new("RGB", (width, height), "red"), "JPEG")
    assert read_header(data) == ImageHeader("JPEG", width, height)
    assert decode(data).shape == (height, width, 3)


@pytest.mark.parametrize("image_format", ["PNG", "JPEG"])
@pytest.mark.parametrize("read", [decode, lambda data: squashed(data, 64, 64)])
def test_truncated_is_refused(image_format: str, read: Callable[[bytes], object]) -> None:
    random = np.random.default_rng(0)
    data = encode(Image.fromarray(random.integers(0, 256, (64, 64, 3), np.uint8)), image_format)
    for kept in (0.95, 0.6, 0.3):
        assert rejection(data[: int(len(data) * kept)], read).reason is RejectionReason.CORRUPT
    for kept_bytes in (8, 12, 20):
        assert rejection(data[:kept_bytes], read).reason is RejectionReason.CORRUPT


def test_masks_keep_alpha_and_may_be_small_but_not_jpeg() -> None:
    assert decode_mask(encode(Image.new("RGBA", (16, 8), (1, 2, 3, 0)))).tolist() == [[[1, 2, 3, 0]] * 16] * 8
    assert rejection(encode(quadrants(), "JPEG"), decode_mask).reason is RejectionReason.UNSUPPORTED_FORMAT


SOUND = [
    encode(quadrants(), exif=orientation(6)),
    encode(quadrants(), "JPEG", exif=orientation(8)),
    encode(quadrants(), "JPEG", progressive=True, icc_profile=b"profile"),
    encode(quadrants().quantize(8)),
    encode(quadrants().convert("RGBA"), save_all=True, append_images=[quadrants(64, 64)]),
    encode(grey16()),
]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A sound image with a few bytes changed, cut out or added; PNG checksums sometimes mended."""
    data = bytearray(draw(st.sampled_from(SOUND)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(["change", "cut", "add", "end"]))
        if kind == "change":
            data[at : at + 1] = draw(st.binary(min_size=1, max_size=2))
        elif kind == "cut":
            del data[at : at + draw(st.integers(1, 40))]
        elif kind == "add":
            data[at:at] = draw(st.binary(min_size=1, max_size=12))
        else:
            del data[at:]
    return mended(bytes(data)) if draw(st.booleans()) else bytes(data)


def mended(data: bytes) -> bytes:
    out, at = bytearray(data[:8]), 8
    while data.startswith(b"\x89PNG") and at + 8 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        body = data[at + 4 : at + 8 + length]
        out += data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return bytes(out) if at > 8 else data


@settings(max_examples=300, deadline=None)
@given(st.one_of(damaged(), st.binary(max_size=64), st.binary(max_size=64).map(lambda tail: SOUND[0][:33] + tail)))
def test_any_bytes_end_in_pixels_or_a_rejection(data: bytes) -> None:
    for read in (decode, lambda d: squashed(d, 64, 64)):
        try:
            header = read_header(data)
            pixels = read(data)
        except ImageRejectedError as error:
            assert error.message
        else:
            assert pixels.dtype == np.uint8
            assert pixels.shape in ((header.height, header.width, 3), (64, 64, 3))


def test_a_machine_too_small_is_not_the_images_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", exhausted)
    with pytest.raises(MemoryError):
        decode(encode(quadrants()))


def test_reading_images_does_not_load_the_runtime() -> None:
    code = "import sys, relook.detection.image; sys.exit('onnxruntime' in sys.modules or 'onnx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0
