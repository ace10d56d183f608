"""Ground Truth manifests: JSON Lines that name images, their labels and their masks.

What real manifests hold is wider than what the guide allows, so the reading is generous where the meaning is clear:
any label name, no background entry, no confidences, upper- or lower-case colours; `class-name` decides, never the
integer beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from string import hexdigits
from typing import Any

from relook.detection.result import BACKGROUND, BACKGROUND_COLOR

MAX_LINE_CHARS = 8192
_NORMAL, _ANOMALY = "normal", "anomaly"


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


def parse_entry(line: str) -> ManifestEntry:
    """Read one line.

    Raises:
        ValueError: says what is wrong with it and what would be right.
    """
    if len(line) > MAX_LINE_CHARS:
        raise ValueError(f"{len(line):,} characters; at most {MAX_LINE_CHARS:,} are allowed")
    try:
        fields = json.loads(line)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise ValueError('expected a JSON object such as {"source-ref": "s3://...", ...}')
    source_ref = fields.get("source-ref")
    if not isinstance(source_ref, str) or not source_ref:
        raise ValueError("source-ref is missing")
    mask_ref, colors = _mask(fields)
    return ManifestEntry(source_ref, _label(fields), mask_ref, colors)


def _label(fields: Mapping[str, Any]) -> bool | None:
    names = [
        metadata["class-name"]
        for name, metadata in _metadata(fields)
        if not name.endswith("-ref") and "class-name" in metadata
    ]
    if not names:
        raise ValueError("no label: expected <name> and <name>-metadata with a class-name of normal or anomaly")
    return {_NORMAL: False, _ANOMALY: True}.get(names[0])


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
