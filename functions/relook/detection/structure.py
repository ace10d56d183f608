"""How many pieces an encoded image is made of, counted before a decoder meets them.

A decoder's work grows with the pieces, not with the bytes: a JPEG of 100 KB can ask for the whole picture to be decoded
a thousand times over, and 600,000 empty segments keep Pillow busy for minutes. Real images have a few dozen pieces.
"""

from __future__ import annotations

import re
import zlib

MAX_SEGMENTS = 10_000
MAX_SCANS = 100
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def find_excess(data: bytes) -> str | None:
    """What there is far too much of, in words; None for an image of ordinary structure, or of broken structure.

    Args:
        data: begins as a PNG or a JPEG does. Pieces beyond damage are not counted: no decoder gets that far.
    """
    return _png_excess(data) if data.startswith(PNG_MAGIC) else _jpeg_excess(data)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG, with its length and checksum."""
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


_SCAN, _END = 0xDA, 0xD9
_STANDALONE = (0x01, 0xD8)  # markers without a length after them
# The next marker that is not part of entropy-coded data: not a stuffed zero, not a restart, not padding.
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")


def _jpeg_excess(data: bytes) -> str | None:
    position, segments, scans = 2, 0, 0
    while (found := _MARKER.search(data, position)) and found[1][0] != _END:
        # Outside of a scan the next marker follows at once; what lies before it is padding that is read bytewise.
        padding = found.start() - position if not scans else 0
        segments += 1
        scans += found[1][0] == _SCAN
        if scans > MAX_SCANS:
            return f"more than {MAX_SCANS} scans"
        if segments + padding > MAX_SEGMENTS:
            return f"more than {MAX_SEGMENTS:,} segments or fill bytes"
        position = found.end()
        if found[1][0] not in _STANDALONE:
            position += max(int.from_bytes(data[position : position + 2], "big"), 2)
    return None


def _png_excess(data: bytes) -> str | None:
    position, chunks = len(PNG_MAGIC), 0
    while position + 8 <= len(data):
        chunks += 1
        if chunks > MAX_SEGMENTS:
            return f"more than {MAX_SEGMENTS:,} chunks"
        position += int.from_bytes(data[position : position + 4], "big") + 12
    return None
