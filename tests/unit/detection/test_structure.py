"""Images that would keep a decoder busy for minutes are told by their structure."""

from __future__ import annotations

import time
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from relook.detection.image import read_header
from relook.detection.structure import find_excess
from relook.errors import ImageRejectedError, RejectionReason


def encoded(format_: str, side: int = 256, **options: object) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8)
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, format_, **options)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def repeated_scans(times: int) -> bytes:
    data = encoded("JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * times + b"\xff\xd9"


PNG, JPEG = encoded("PNG"), encoded("JPEG")
FLOODS = {
    "scans": repeated_scans(200),
    "scans hidden behind standalone markers": repeated_scans(150).replace(b"\xff\xda", b"\xff\x01\xff\xda"),
    "empty segments": JPEG[:2] + b"\xff\xe5\x00\x02" * 600_000 + JPEG[2:],
    "exif segments": JPEG[:2] + b"\xff\xe1\x00\x0aExif\x00\x00ab" * 500_000 + JPEG[2:],
    "fill bytes": JPEG[:2] + b"\xff" * 5_000_000 + JPEG[2:],
    "chunks": PNG[:33] + chunk(b"tEXt", b"a\x00b") * 400_000 + PNG[33:],
    "empty chunks": PNG[:33] + chunk(b"IDAT") * 600_000 + PNG[33:],
}


@pytest.mark.parametrize("data", FLOODS.values(), ids=FLOODS.keys())
def test_floods_are_refused_at_once(data: bytes) -> None:
    started = time.process_time()
    with pytest.raises(ImageRejectedError, match="more than") as caught:
        read_header(data)
    assert caught.value.reason is RejectionReason.CORRUPT
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "data",
    [
        PNG,
        JPEG,
        encoded("JPEG", progressive=True),
        encoded("JPEG", side=2048, quality=95, restart_marker_blocks=1),
        encoded("JPEG", icc_profile=bytes(3_000_000), exif=b"Exif\x00\x00" + b"\xff\xda" * 1000),
        encoded("PNG", side=1600),
        JPEG + b"\xff\xda" * 500,
    ],
    ids=["png", "jpeg", "progressive", "restart markers", "large metadata", "many chunks", "something appended"],
)
def test_ordinary_images_pass(data: bytes) -> None:
    assert find_excess(data) is None


def test_more_real_scans_than_any_program_writes_are_still_fine() -> None:
    assert find_excess(repeated_scans(50)) is None
