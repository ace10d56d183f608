"""The uploader's own words: S3 hands metadata that is not ASCII back as encoded words (RFC 2047)."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from itertools import groupby

# Set off by white space; between two of them the white space is no part of the text (RFC 2047, sections 2 and 6.2).
_WORD = r"=\?([A-Za-z0-9\-_:.+]+)(?:\*[A-Za-z\-]+)?\?([BbQq])\?([!->@-~]*)\?="
_WORDS = re.compile(rf"(?<!\S){_WORD}(?:\s+{_WORD})*(?!\S)")
_ESCAPE = re.compile(rb"=([0-9A-Fa-f]{2})")


def readable(metadata: Mapping[str, str]) -> dict[str, str]:
    """User metadata as it was given at the upload; a value that only looks encoded stays as it is."""
    return {name: _WORDS.sub(_decoded, value) for name, value in metadata.items()}


def _decoded(words: re.Match[str]) -> str:
    try:
        parts = [(charset.lower(), _bytes(kind, text)) for charset, kind, text in re.findall(_WORD, words[0])]
        # A character may have been cut in two where one word ends and the next begins
        runs = groupby(parts, key=lambda part: part[0])
        return "".join(b"".join(data for _, data in run).decode(charset) for charset, run in runs)
    except (ValueError, LookupError):  # no base64, no such escape, no such character set, or not in it
        return words[0]


def _bytes(kind: str, text: str) -> bytes:
    """
    Raises:
        ValueError: it is not encoded so.
    """
    if kind in "Bb":
        return base64.b64decode(text, validate=True)
    data = text.replace("_", " ").encode("ascii")
    if b"=" in _ESCAPE.sub(b"", data):
        raise ValueError(f"{text!r} has an = that begins no escape")
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), data)
