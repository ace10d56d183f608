"""Ground Truth manifests: JSON Lines that name images, their labels and their masks.

What real manifests hold is wider than what the guide allows, so the reading is generous where the meaning is clear:
any label name, no background entry, no confidences, upper- or lower-case colours; `class-name` decides, never the
integer beside it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from string import hexdigits
from typing import Any

from relook.detection.result import BACKGROUND, BACKGROUND_COLOR

MAX_LINE_CHARS = 8192
_NORMAL, _ANOMALY = "normal", "anomaly"
# A character of UTF-8 has at most 4 bytes: a longer line has too many characters, and its rest need not be kept.
_KEPT_BYTES = 4 * MAX_LINE_CHARS + 8
_BYTE_ORDER_MARK = "\ufeff"
_LOCATION = re.compile(r"s3://([0-9A-Za-z.\-_]{3,63})/([^\ud800-\udfff]+)")
_MAX_KEY_BYTES = 1024


@dataclass(frozen=True)
class ManifestEntry:
    """One labelled image.

    Attributes:
        source_ref: `s3://bucket/key`; the entry's identity.
        is_anomalous: None where the class is neither `normal` nor `anomaly`: kept, but unlabelled.
        mask_ref: where the mask is; None for a classification line.
        colors: type name -> `#RRGGBB` in the manifest's own case, which answers repeat; without the background.
    """

    source_ref: str
    is_anomalous: bool | None
    mask_ref: str | None = None
    colors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LineProblem:
    """Why one line (counted from 1) cannot be used."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


@dataclass(frozen=True)
class UsableLine:
    """A line as it came, without the white space around it, and what it says."""

    line: str
    entry: ManifestEntry


@dataclass(frozen=True)
class CheckedLines:
    """The lines of a dataset whose images lie in S3.

    Attributes:
        count: of lines that are not empty.
        usable: by source-ref, in the order in which each first came.
    """

    count: int
    usable: dict[str, UsableLine]
    problems: list[LineProblem]


@dataclass(frozen=True)
class Manifest:
    """What the lines hold, in order, and which could not be used."""

    entries: list[ManifestEntry]
    problems: list[LineProblem]


def parse_manifest(lines: Iterable[str]) -> Manifest:
    """Read every line; a bad one is reported and does not stop the others. Empty lines are skipped."""
    entries: dict[str, ManifestEntry] = {}
    problems = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = parse_entry(line)
        except ValueError as error:
            problems.append(LineProblem(number, str(error)))
            continue
        if entry.source_ref in entries:
            problems.append(LineProblem(number, f"source-ref {entry.source_ref!r} stands in an earlier line too"))
        else:
            entries[entry.source_ref] = entry
    return Manifest(list(entries.values()), problems)


def check_lines(lines: Iterable[str], bucket: str | None, *, may_repeat: bool) -> CheckedLines:
    """Read every line of a dataset; a bad one is reported and does not stop the others. Empty lines are skipped.

    Args:
        bucket: where the dataset's images lie; None where it has none yet, and the first usable line decides.
        may_repeat: the last of several lines for one image counts; otherwise all but the first are problems.
    """
    usable: dict[str, UsableLine] = {}
    problems = []
    count = 0
    for number, line in enumerate(lines, 1):
        if is_blank(line):
            continue
        count += 1
        try:
            entry = parse_entry(line)
            bucket = _check_places(entry, bucket)
            if entry.source_ref in usable and not may_repeat:
                raise ValueError(f"source-ref {entry.source_ref!r} stands in an earlier line too")
        except ValueError as error:
            problems.append(LineProblem(number, str(error)))
        else:
            usable[entry.source_ref] = UsableLine(line.strip(), entry)
    return CheckedLines(count, usable, problems)


def lines_of(chunks: Iterable[bytes]) -> Iterator[str]:
    """The lines in UTF-8 bytes that come in chunks of any size; of a line beyond the limit, no more than shows that.

    Raises:
        UnicodeError: names the first line that is not UTF-8.
    """
    rest, number = b"", 0
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            number += 1
            yield _text(line, number)
        rest = rest[:_KEPT_BYTES]
    if rest:
        yield _text(rest, number + 1)


def is_blank(line: str) -> bool:
    """Whether the line holds nothing; one beyond the limit always holds something."""
    return len(line) <= MAX_LINE_CHARS and not line.strip()


def split_location(text: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`.

    Raises:
        ValueError: it is no such location.
    """
    match = _LOCATION.fullmatch(text)
    if match is None or len(match[2].encode()) > _MAX_KEY_BYTES:
        raise ValueError(f"{text!r} is not the location of an object in S3, such as s3://bucket/key")
    return match[1], match[2]


def parse_entry(line: str) -> ManifestEntry:
    """Read one line.

    Raises:
        ValueError: says what is wrong with it and what would be right.
    """
    if len(line) > MAX_LINE_CHARS:
        raise ValueError(f"too long; at most {MAX_LINE_CHARS:,} characters are allowed")
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise ValueError('expected a JSON object such as {"source-ref": "s3://...", ...}')
    source_ref = fields.get("source-ref")
    if not isinstance(source_ref, str) or not source_ref:
        raise ValueError("source-ref is missing")
    mask_ref, colors = _mask(fields)
    return ManifestEntry(source_ref, _label(fields), mask_ref, colors)


def _text(line: bytes, number: int) -> str:
    is_cut = len(line) >= _KEPT_BYTES  # perhaps within a character
    try:
        text = line.decode(errors="replace" if is_cut else "strict").removesuffix("\r")
    except UnicodeDecodeError:
        raise UnicodeError(f"line {number} is not UTF-8 text") from None
    return text.removeprefix(_BYTE_ORDER_MARK) if number == 1 else text


def _check_places(entry: ManifestEntry, bucket: str | None) -> str:
    """The bucket of the image, which must be the dataset's.

    Raises:
        ValueError: it is in another one, or the image or the mask is not in S3 at all.
    """
    found, _ = split_location(entry.source_ref)
    if entry.mask_ref is not None:
        split_location(entry.mask_ref)
    if bucket is not None and found != bucket:
        raise ValueError(f"source-ref {entry.source_ref!r} must lie in bucket {bucket!r} as the dataset's other images")
    return found


# Of an image that nobody has labelled yet, as the original's console imported them.
_UNLABELED = {"source-ref", "source-ref-metadata"}


def _label(fields: Mapping[str, Any]) -> bool | None:
    names = [
        metadata["class-name"]
        for name, metadata in _metadata(fields)
        if not name.endswith("-ref") and "class-name" in metadata
    ]
    if not names and fields.keys() <= _UNLABELED:
        return None
    if not names:
        raise ValueError("no label: expected <name> and <name>-metadata with a class-name of normal or anomaly")
    return {_NORMAL: False, _ANOMALY: True}.get(names[0]) if isinstance(names[0], str) else None


def _mask(fields: Mapping[str, Any]) -> tuple[str | None, dict[str, str]]:
    for name, metadata in _metadata(fields):
        color_map = metadata.get("internal-color-map")
        if name.endswith("-ref") and name != "source-ref" and isinstance(color_map, dict):
            if not isinstance(fields[name], str) or not fields[name]:
                raise ValueError(f"{name} is empty; expected the s3:// location of a PNG mask")
            return fields[name], _colors(color_map)
    return None, {}


def _colors(color_map: Mapping[str, Any]) -> dict[str, str]:
    colors = {}
    for index, entry in color_map.items():
        try:
            name, color = str(entry["class-name"]), str(entry["hex-color"])
        except (TypeError, LookupError) as error:
            raise ValueError(f"internal-color-map entry {index!r} needs class-name and hex-color") from error
        if not _is_color(color):
            raise ValueError(f"hex-color {color!r} of {name!r} must look like #7ED321")
        if name.lower() == BACKGROUND:
            continue
        if color.upper() == BACKGROUND_COLOR:
            raise ValueError(f"{name!r} has the background's colour {BACKGROUND_COLOR}")
        colors[name] = color
    return colors


def _is_color(text: str) -> bool:
    return len(text) == 7 and text[0] == "#" and all(digit in hexdigits for digit in text[1:])


def _metadata(fields: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """(name, metadata) of every attribute that has some."""
    return [(name, fields[f"{name}-metadata"]) for name in fields if isinstance(fields.get(f"{name}-metadata"), dict)]
