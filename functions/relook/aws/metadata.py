"""User metadata on its way to S3 and back: in headers, text that is not ASCII is encoded words (RFC 2047)."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from itertools import groupby

# Set off by white space; between two of them the white space is no part of the text (RFC 2047, sections 2 and 6.2).
_WORD = r"=\?([A-Za-z0-9\-_:.+]+)(?:\*[A-Za-z\-]+)?\?([BbQq])\?([!->@-~]*)\?="
_WORDS = re.compile(rf"(?<!\S){_WORD}(?:\s+{_WORD})*(?!\S)")
_ESCAPE = re.compile(rb"=([0-9A-Fa-f]{2})")
_CHARACTERS = 11
"""Of one word: a word may have 75 characters, and these have at most 44 bytes in UTF-8, which are 60 in base64."""


def encoded(metadata: Mapping[str, str]) -> dict[str, str]:
    """The same as headers can carry it; what they carry as it is stays readable for everybody.

    Raises:
        UnicodeError: half a character, a surrogate without its other half.
    """
    return {name: value if _travels(value) else _encoded(value) for name, value in metadata.items()}


def decoded(metadata: Mapping[str, str]) -> dict[str, str]:
    """User metadata as it was given at the upload; a value that only looks encoded stays as it is."""
    return {name: _decoded(value) for name, value in metadata.items()}


def _travels(value: str) -> bool:
    return value.isascii() and value.isprintable() and value == value.strip() and value == _decoded(value)


def _encoded(value: str) -> str:
    pieces = (value[start : start + _CHARACTERS] for start in range(0, len(value), _CHARACTERS))
    return " ".join(f"=?UTF-8?B?{base64.b64encode(piece.encode()).decode()}?=" for piece in pieces)


def _decoded(value: str) -> str:
    return _WORDS.sub(_text, value)


def _text(words: re.Match[str]) -> str:
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
