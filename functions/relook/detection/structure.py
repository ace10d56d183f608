"""An encoded image in its pieces: counted before a decoder meets them, and freed of what its pixels do not need.

A decoder's work grows with the pieces, not with the bytes: a JPEG of 100 KB can ask for the whole picture to be decoded
a thousand times over, and 600,000 empty segments keep Pillow busy for minutes. Real images have a few dozen pieces.
What is damaged beside the pixels, a comment or a colour profile, would make Pillow refuse a picture that is all there.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

# Far above what cameras write; each piece costs time before anything is decoded
MAX_SEGMENTS = 10_000
MAX_SCANS = 100
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def find_excess(data: bytes) -> str | None:
    """What there is far too much of, in words; None for an image of ordinary structure, or of broken structure.

    Args:
        data: begins as a PNG or a JPEG does. Pieces beyond damage are not counted: no decoder gets that far.
    """
    return _png_excess(data) if data.startswith(PNG_MAGIC) else _jpeg_excess(data)


@dataclass(frozen=True)
class Picture:
    """What the pixels of an encoded image need, and how it is turned.

    Attributes:
        data: a PNG or a JPEG that has its end marker, whether or not its pixels are all there.
        exif: what Pillow's `Exif` loads; empty for none.
        unreadable: the coding, in words, where no common decoder reads it.
        trials: empty, unless the end marker was missing: versions of `data` that go on differently after the last byte.
            They show the same pixels if none were missing.
    """

    data: bytes
    exif: bytes = b""
    unreadable: str | None = None
    trials: tuple[bytes, ...] = ()

    @property
    def bits(self) -> int:
        """A channel: 16 or at most 8."""
        return 16 if self.data.startswith(PNG_MAGIC) and self.data[24:25] == b"\x10" else 8


def without_metadata(data: bytes) -> Picture:
    """The same pixels without text, profiles, thumbnails and whatever follows the end.

    As libpng and libjpeg do, it passes over what is not critical, however damaged. Pieces that are critical stay as
    they are: to judge them is the decoder's part.

    Args:
        data: begins as a PNG or a JPEG does.
    """
    return _png_picture(data) if data.startswith(PNG_MAGIC) else _jpeg_picture(data)


def split_deep_png(data: bytes) -> tuple[bytes, bytes]:
    """A PNG of 16 bits a channel as two of 8: of the high bytes and of the low ones.

    Filters add up bytes that lie a pixel apart, so the two kinds never meet, and filtered rows can be parted.

    Args:
        data: as `without_metadata` gives it.
    Raises:
        ValueError: there are fewer rows than the header says; `zlib.error`: they are damaged.
    """
    ((_, start, _),), packed = (
        islice(_chunks(data), 1),
        next(data[a:b] for kind, a, b in _chunks(data) if kind == b"IDAT"),
    )
    width, height, _, color_type, *_, interlaced = struct.unpack(">IIBBBBB", data[start : start + 13])
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[color_type]
    sizes = [(-(-(height - y) // down), -(-(width - x) // right)) for x, y, right, down in _PASSES[interlaced]]
    sizes = [(rows, 1 + 2 * channels * columns) for rows, columns in sizes if rows > 0 and columns > 0]
    length = sum(rows * row for rows, row in sizes)
    filtered = np.frombuffer(zlib.decompressobj().decompress(packed, length), np.uint8)
    if len(filtered) < length:
        raise ValueError(f"its pixels end after {len(filtered):,} of {length:,} bytes")
    halves: tuple[list[bytes], list[bytes]] = ([], [])
    for rows, row in sizes:
        now, filtered = filtered[: rows * row].reshape(rows, row), filtered[rows * row :]
        for first, half in enumerate(halves, start=1):
            half.append(np.hstack([now[:, :1], now[:, first::2]]).tobytes())
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, color_type, 0, 0, interlaced))
    high, low = (
        PNG_MAGIC + header + png_chunk(b"IDAT", zlib.compress(b"".join(half), 0)) + png_chunk(b"IEND", b"")
        for half in halves
    )
    return high, low


# Where the first pixel lies and how far apart they are, x before y: of a plain PNG, and of Adam7's seven passes
_PASSES = (
    ((0, 0, 1, 1),),
    (*((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)), *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))),
)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG, with its length and checksum."""
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


_CRITICAL, _WANTED = (b"IHDR", b"PLTE"), (b"tRNS", b"eXIf")
# Its chunk, where one level or colour is transparent: 12 bytes around two a channel
_SHORTEST_TRANSPARENCY = {b"\0": 14, b"\2": 18}


def _png_picture(data: bytes) -> Picture:
    kept: dict[bytes, bytes] = {}
    packed = []
    for kind, start, end in _chunks(data):
        if kind == b"IDAT":
            packed.append(data[start:end])
        elif packed:
            break  # pixels lie in one run of chunks; what follows cannot change them
        elif kind in _CRITICAL or (kind in _WANTED and data[start - 8 : end + 4] == png_chunk(kind, data[start:end])):
            kept.setdefault(kind, data[start - 8 : end + 4])
    exif = kept.pop(b"eXIf", b"")[8:-4]
    color_type = kept.get(b"IHDR", b"")[17:18]
    if len(kept.get(b"tRNS", b"")) < _SHORTEST_TRANSPARENCY.get(color_type, 0):
        kept.pop(b"tRNS", None)
    if color_type != b"\3":
        kept.pop(b"PLTE", None)  # a mere suggestion
    ending = [png_chunk(b"IDAT", b"".join(packed)), png_chunk(b"IEND", b"")] if packed else []
    return Picture(b"".join([PNG_MAGIC, *kept.values(), *ending]), b"Exif\0\0" + exif if exif else b"")


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, and where the body begins and ends, of all chunks up to the end or to what is none."""
    position = len(PNG_MAGIC)
    while position + 8 <= len(data) and data[position + 4 : position + 8].isalpha():
        length = int.from_bytes(data[position : position + 4], "big")
        yield data[position + 4 : position + 8], position + 8, position + 8 + length
        position += length + 12


def _png_excess(data: bytes) -> str | None:
    beyond = next(islice(_chunks(data), MAX_SEGMENTS, None), None)
    return f"more than {MAX_SEGMENTS:,} chunks" if beyond else None


# A JPEG's markers
_START, _SCAN, _END = 0xD8, 0xDA, 0xD9
_STANDALONE = (0x01, _START)  # markers without a length after them
_APP_0, _EXIF, _ADOBE = 0xE0, 0xE1, 0xEE
# The next marker that is not part of entropy-coded data: not a stuffed zero, not a restart, not padding.
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_READABLE_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)  # baseline, extended, progressive; the last two coded arithmetically
_OTHER_FRAMES = {
    **dict.fromkeys((0xC3, 0xCB), "a lossless JPEG"),
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "a hierarchical JPEG"),
    0xF7: "a JPEG-LS",
}
_SHORTEST = {**dict.fromkeys((*_READABLE_FRAMES, *_OTHER_FRAMES), 6), _SCAN: 4}
_COEFFICIENTS = 64  # of a block of 8 x 8
# Goes at what might follow a JPEG's last byte: bits that differ from the first on, and in one of them each of the eight
# restart markers too, in case that it is one of those that is missing
_NOISE = bytes(number * 97 % 251 for number in range(64))
_RESTARTS = b"".join(bytes([0xFF, 0xD0 + number]) + _NOISE for number in range(8))
_FOLLOWING = (_NOISE, b"\x5a" + _NOISE, b"\xa5" + _NOISE, b"\xfd" + _NOISE + _RESTARTS)


@dataclass(frozen=True)
class _Segment:
    marker: int
    start: int
    body: bytes
    padding: int
    """Bytes before it that are not entropy-coded data."""


def _segments(data: bytes) -> Iterator[_Segment]:
    """All up to the end marker, which is the last if it is there."""
    position, is_scanned = 2, False
    while match := _MARKER.search(data, position):
        marker, start = match[1][0], match.start()
        # Outside of a scan the next marker follows at once; what lies before it is padding that is read bytewise.
        padding, position = 0 if is_scanned else start - position, match.end()
        body = b""
        if marker not in (*_STANDALONE, _END):
            length = max(int.from_bytes(data[position : position + 2], "big"), 2)
            body = data[position + 2 : position + length]
            position += length
        if len(body) < _SHORTEST.get(marker, 0):
            return  # damage, which no decoder passes
        yield _Segment(marker, start, body, padding)
        is_scanned |= marker == _SCAN
        if marker == _END:
            return


def _jpeg_excess(data: bytes) -> str | None:
    pieces = scans = 0
    for segment in _segments(data):
        pieces += 1 + segment.padding
        scans += segment.marker == _SCAN
        if scans > MAX_SCANS:
            return f"more than {MAX_SCANS} scans"
        if pieces > MAX_SEGMENTS:
            return f"more than {MAX_SEGMENTS:,} segments or fill bytes"
    return None


def _jpeg_picture(data: bytes) -> Picture:
    segments = list(_segments(data))
    scans = [segment for segment in segments if segment.marker == _SCAN]
    before = [segment for segment in segments if not scans or segment.start < scans[0].start]
    exif = b"".join(segment.body[6:] for segment in before if _is_exif(segment))
    exif = b"Exif\0\0" + exif if exif else b""
    frames = [segment for segment in before if segment.marker in (*_READABLE_FRAMES, *_OTHER_FRAMES)]
    unreadable = next(filter(None, map(_unreadable, frames)), None)
    needed = b"".join(data[each.start : each.start + 4] + each.body for each in before if _is_needed(each))
    if not (scans and frames):
        return Picture(data[:2] + needed, exif, unreadable)
    ending, last = bytes([0xFF, _END]), segments[-1]
    if last.marker == _END:
        return Picture(data[:2] + needed + data[scans[0].start : last.start] + ending, exif, unreadable)
    coded = data[:2] + needed + data[scans[0].start :].rstrip(b"\xff")  # half an end marker looks like padding
    exact = set().union(*(_exact_after(scan.body) for scan in scans))
    if len(exact) < frames[0].body[5] * _COEFFICIENTS or len(scans) > MAX_SCANS // (1 + len(_FOLLOWING)):
        return Picture(coded, exif, unreadable)  # whole scans are missing, or too many to try: a decoder waits for more
    return Picture(coded + ending, exif, unreadable, tuple(coded + each + ending for each in _FOLLOWING))


def _is_exif(segment: _Segment) -> bool:
    return segment.marker == _EXIF and segment.body.startswith(b"Exif\0\0")


def _is_needed(segment: _Segment) -> bool:
    """Tables and frames; of applications' segments the two that say what the channels are, if they are whole."""
    marker, body = segment.marker, segment.body
    if marker == _APP_0:
        return body.startswith(b"JFIF\0") and len(body) >= 14
    if marker == _ADOBE:
        return body.startswith(b"Adobe") and len(body) >= 12
    return marker < _APP_0 and marker not in _STANDALONE


def _unreadable(frame: _Segment) -> str | None:
    if frame.marker in _OTHER_FRAMES:
        return _OTHER_FRAMES[frame.marker]
    bits, channels = frame.body[0], frame.body[5]
    if bits != 8:
        return f"a JPEG of {bits} bits a channel"
    return None if channels in (1, 3, 4) else f"a JPEG of {channels} channels"


def _exact_after(scan: bytes) -> set[tuple[int, int]]:
    """(component, coefficient) of what a scan completes to the last bit; a progressive JPEG has scans for the rest."""
    components, (first, last, bits) = scan[1 : 1 + 2 * scan[0] : 2], scan[-3:]
    is_exact = not bits & 15
    return {(each, index) for each in components for index in range(first, last + 1) if is_exact}
