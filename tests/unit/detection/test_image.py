"""Bytes to pixels: what is accepted, what is refused and why, and that nothing else can happen."""

from __future__ import annotations

import base64
import re
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


SLOPE = Image.fromarray(np.stack([*np.mgrid[:96, :128], np.full((96, 128), 77)], axis=2).astype(np.uint8))
PNG, JPEG = encode(SLOPE), encode(SLOPE, "JPEG", quality=95)
PROGRESSIVE = encode(SLOPE, "JPEG", progressive=True)
RESTARTS = encode(SLOPE, "JPEG", restart_marker_blocks=5)


def chunk(kind: bytes, body: bytes, *, is_sound: bool = True) -> bytes:
    checksum = zlib.crc32(kind + body) ^ (not is_sound)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def segment(marker: int, body: bytes, length: int | None = None) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2 if length is None else length) + body


def png_with(*chunks: bytes) -> bytes:
    return PNG[:33] + b"".join(chunks) + PNG[33:]


def jpeg_with(*segments: bytes) -> bytes:
    return JPEG[:2] + b"".join(segments) + JPEG[2:]


BESIDE_PIXELS = {
    "text checksum": png_with(chunk(b"tEXt", b"Comment\0hello", is_sound=False)),
    "resolution checksum": png_with(chunk(b"pHYs", struct.pack(">IIB", 3780, 3780, 1), is_sound=False)),
    "transparency checksum": png_with(chunk(b"tRNS", bytes(6), is_sound=False)),
    "short transparency": png_with(chunk(b"tRNS", b"\0")),
    "large zTXt": png_with(chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(20_000_000)))),
    "large iTXt": png_with(chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(bytes(20_000_000)))),
    "large iCCP": png_with(chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(bytes(20_000_000)))),
    "broken iCCP": png_with(chunk(b"iCCP", b"sRGB\0\7nothing")),
    "empty iCCP": png_with(chunk(b"iCCP", b"")),
    "unknown zTXt": png_with(chunk(b"zTXt", b"Comment\0\7nothing")),
    "broken eXIf": png_with(chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff")),
    "short gAMA": png_with(chunk(b"gAMA", b"\0")),
    "short cHRM": png_with(chunk(b"cHRM", b"\0")),
    "empty sRGB": png_with(chunk(b"sRGB", b"")),
    "broken animation": png_with(chunk(b"acTL", b"\0\0"), chunk(b"fcTL", bytes(26)), chunk(b"fcTL", bytes(3))),
    "odd palette": png_with(chunk(b"PLTE", b"\0\1", is_sound=False)),
    "private chunk": png_with(chunk(b"reLo", bytes(70_000), is_sound=False)),
    "no IEND": PNG[:-12],
    "cut IEND": PNG[:-5],
    "IEND checksum": PNG[:-1] + b"\0",
    "damage after the pixels": PNG[:-12] + chunk(b"tEXt", b"a\0b", is_sound=False) + b"\0\0\7",
    "something after a PNG": PNG + bytes(1000) + JPEG,
    "no EOI": JPEG[:-2],
    "half an EOI": JPEG[:-1],
    "no EOI, progressive": PROGRESSIVE[:-2],
    "half an EOI, progressive": PROGRESSIVE[:-1],
    "no EOI, restarts": RESTARTS[:-2],
    "something after a JPEG": JPEG + bytes(1000) + PNG,
    "fill bytes": jpeg_with(bytes([0xFF] * 20)),
    "junk between segments": JPEG[:20] + b"junk" + JPEG[20:],
    "comment of length 0": jpeg_with(segment(0xFE, b"", 0)),
    "comment of length 1": jpeg_with(segment(0xFE, b"", 1)),
    "application's segment of length 1": jpeg_with(segment(0xE4, b"", 1)),
    "short JFIF": jpeg_with(segment(0xE0, b"JFIF\0")),
    "short Adobe": jpeg_with(segment(0xEE, b"Adobe")),
    "broken EXIF": jpeg_with(segment(0xE1, b"Exif\0\0MM\0*\xff\xff\xff\xff")),
    "broken ICC": jpeg_with(segment(0xE2, b"ICC_PROFILE\0")),
    "broken Photoshop": jpeg_with(segment(0xED, b"Photoshop 3.0\x008BIM\4\4\xff")),
    "broken MPF": jpeg_with(segment(0xE2, b"MPF\0nothing of the kind")),
    "reserved segment": jpeg_with(segment(0xF0, bytes(10))),
}


@pytest.mark.parametrize("data", BESIDE_PIXELS.values(), ids=BESIDE_PIXELS.keys())
def test_pixels_decide_and_nothing_beside_them(data: bytes) -> None:
    assert read_header(data) == ImageHeader("PNG" if data.startswith(PNG[:4]) else "JPEG", 128, 96)
    atol = 0 if data.startswith(PNG[:4]) else 8
    np.testing.assert_allclose(decode(data), np.asarray(SLOPE), atol=atol)
    np.testing.assert_allclose(squashed(data, 24, 32), squashed(PNG, 24, 32), atol=atol)


@pytest.mark.parametrize("data", [JPEG, PROGRESSIVE, RESTARTS], ids=["baseline", "progressive", "restarts"])
def test_a_jpeg_cut_anywhere_in_its_pixels_is_refused(data: bytes) -> None:
    first = data.index(b"\xff\xda")
    whole = decode(data)
    for kept in (*range(first, len(data) - 20, 31), *range(len(data) - 20, len(data) - 2)):
        assert rejection(data[:kept], decode).reason is RejectionReason.CORRUPT
    np.testing.assert_array_equal(decode(data[:-2]), whole)


def test_a_jpeg_cut_between_two_scans_is_refused() -> None:
    for scan in re.finditer(rb"\xff\xda", PROGRESSIVE):
        assert rejection(PROGRESSIVE[: scan.start()], decode).reason is RejectionReason.CORRUPT


def test_a_png_cut_or_damaged_in_its_pixels_is_refused() -> None:
    for kept in (33, 34, 60, len(PNG) // 2, len(PNG) - 40):
        assert rejection(PNG[:kept], decode).reason is RejectionReason.CORRUPT
    for data in (PNG[:29] + b"\0\0\0\0" + PNG[33:], PNG.replace(b"IHDR", b"IHDX"), PNG[:33] + PNG[-12:]):
        assert rejection(data, decode).reason is RejectionReason.CORRUPT
    assert rejection(encode(SLOPE.quantize(8)).replace(b"PLTE", b"PLTX"), decode).reason is RejectionReason.CORRUPT
    split = PNG.index(b"IDAT") + 4
    packed = PNG[split:-16]
    parted = PNG[:33] + chunk(b"IDAT", packed[:90]) + chunk(b"tEXt", b"a\0b") + chunk(b"IDAT", packed[90:]) + PNG[-12:]
    assert rejection(parted, decode).reason is RejectionReason.CORRUPT, "libpng reads no further either"


def with_frame(marker: int, bits: int = 8) -> bytes:
    return JPEG.replace(b"\xff\xc0\x00\x11\x08", bytes([0xFF, marker, 0, 0x11, bits]))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (with_frame(0xC3), "a lossless JPEG"),
        (with_frame(0xC3, 16), "a lossless JPEG"),
        (with_frame(0xC1, 12), "a JPEG of 12 bits a channel"),
        (with_frame(0xC2, 12), "a JPEG of 12 bits a channel"),
        (with_frame(0xC6), "a hierarchical JPEG"),
        (with_frame(0xF7), "a JPEG-LS"),
    ],
)
def test_codings_that_nobody_reads_are_unsupported_and_not_corrupt(data: bytes, what: str) -> None:
    assert data != JPEG
    for read in (read_header, decode):
        error = rejection(data, read)
        assert error.reason is RejectionReason.UNSUPPORTED_FORMAT
        assert what in error.message
        assert "baseline JPEG of 8 bits a channel, or as a PNG" in error.message


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
        (b"just text", "no image"),
        (base64.b64encode(b"\x89PNG\r\n\x1a\n"), "base64 text, and not the image itself"),
        (base64.b64encode(b"\xff\xd8\xff\xe0"), "base64 text, and not the image itself"),
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
