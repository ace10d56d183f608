"""Ground Truth manifests: JSON Lines that name images, their labels and their masks. Read and written here alone.

What real manifests hold is wider than what the guide allows, so the reading is generous where the meaning is clear:
any label name, `Normal ` for normal, no background entry, no confidences, upper- or lower-case colours; `class-name`
decides, never the integer beside it. What stays unclear is a problem of its line, and is said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from string import hexdigits
from typing import Any

from relook.aws.bucket import S3Uri
from relook.detection.result import BACKGROUND, BACKGROUND_COLOR, is_type_name

MAX_LINE_CHARS = 8192  # of a DatasetEntry, as the contract has it
CLASSIFICATION, SEGMENTATION = "groundtruth/image-classification", "groundtruth/semantic-segmentation"
"""What an attribute's metadata calls a label, and a mask."""
_NORMAL, _ANOMALY = "normal", "anomaly"
_SOURCE_REF, _REF = "source-ref", "-ref"
_SHOWN_PROBLEMS = 10  # in a message; the report has them all
_MAX_SHOWN_CHARS = 300  # of one problem: a line's own text may be in it
_LINE_END = re.compile(rb"\r\n|\n|\r")
# A character of UTF-8 has at most 4 bytes: a longer line has too many characters, and its rest need not be kept.
_KEPT_BYTES = 4 * MAX_LINE_CHARS + 8
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True)
class ManifestEntry:
    """One labelled image.

    Attributes:
        source_ref: `s3://bucket/key`; the entry's identity.
        is_anomalous: None where the class is neither `normal` nor `anomaly`: kept, but unlabelled.
        mask_ref: where the mask is; None for a classification line.
        colors: type name -> `#RRGGBB` in the manifest's own case, which answers repeat; without the background.
        label_metadata: what the line says of its label, whatever that is called; empty where there is none.
    """

    source_ref: str
    is_anomalous: bool | None
    mask_ref: str | None = None
    colors: Mapping[str, str] = field(default_factory=dict)
    label_metadata: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def why_unlabeled(self) -> str:
        """What an entry that is neither normal nor anomalous lacks."""
        if not self.label_metadata:
            return "the image has no label"
        return f"class-name {self.label_metadata['class-name']!r} is neither {_NORMAL} nor {_ANOMALY}"


@dataclass(frozen=True)
class LineProblem:
    """Why one line (counted from 1) cannot be used."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


@dataclass(frozen=True)
class UsableLine:
    """A line (counted from 1) as it came, without the white space around it, and what it says."""

    number: int
    line: str
    entry: ManifestEntry


@dataclass(frozen=True)
class CheckedLines:
    """The lines of a manifest.

    Attributes:
        count: of lines that are not empty.
        usable: by source-ref, in the order in which each first came.
        problems: of lines that make the manifest unusable.
        unlabeled: of usable lines that no model is trained with.
    """

    count: int
    usable: dict[str, UsableLine]
    problems: list[LineProblem]
    unlabeled: list[LineProblem]


def check_lines(
    lines: Iterable[str], bucket: str | None, *, may_repeat: bool, may_be_local: bool = False
) -> CheckedLines:
    """Read every line of a manifest; a bad one is reported and does not stop the others. Empty lines are skipped.

    Args:
        bucket: where the dataset's images lie; None where it has none yet, and the first usable line decides.
        may_repeat: the last of several lines for one image counts; otherwise all but the first are problems.
        may_be_local: images and masks may lie anywhere, beside the manifest too.
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
            if not may_be_local:
                bucket = _check_places(entry, bucket)
            if entry.source_ref in usable and not may_repeat:
                raise ValueError(f"source-ref {entry.source_ref!r} stands in an earlier line too")
        except ValueError as error:
            problems.append(LineProblem(number, str(error)))
        else:
            usable[entry.source_ref] = UsableLine(number, line.strip(), entry)
    unlabeled = [
        LineProblem(each.number, each.entry.why_unlabeled)
        for each in usable.values()
        if each.entry.is_anomalous is None
    ]
    return CheckedLines(count, usable, problems, unlabeled)


def first_problems(problems: Sequence[LineProblem]) -> str:
    """The first ten, for a sentence that has their number."""
    more = "; …" if len(problems) > _SHOWN_PROBLEMS else ""
    return "; ".join(_shortened(str(each)) for each in problems[:_SHOWN_PROBLEMS]) + more


def entry_line(entry: ManifestEntry) -> str:
    """A line that `parse_entry` reads as this entry, with all that the guide asks for.

    One without a label names the image alone: a dataset keeps it, and nothing is trained with it.
    """
    if entry.is_anomalous is None:
        return json.dumps({_SOURCE_REF: entry.source_ref}, ensure_ascii=False)
    fields: dict[str, Any] = {
        _SOURCE_REF: entry.source_ref,
        "anomaly-label": int(entry.is_anomalous),
        "anomaly-label-metadata": {
            "class-name": _ANOMALY if entry.is_anomalous else _NORMAL,
            "confidence": 1.0,
            "type": CLASSIFICATION,
            "human-annotated": "yes",
        },
    }
    if entry.mask_ref is not None:
        colors = {BACKGROUND.upper(): BACKGROUND_COLOR.lower(), **entry.colors}
        fields["anomaly-mask-ref"] = entry.mask_ref
        fields["anomaly-mask-ref-metadata"] = {
            "internal-color-map": {
                str(index): {"class-name": name, "hex-color": color, "confidence": 1.0}
                for index, (name, color) in enumerate(colors.items())
            },
            "type": SEGMENTATION,
            "human-annotated": "yes",
        }
    return json.dumps(fields, ensure_ascii=False)


def lines_of(chunks: Iterable[bytes]) -> Iterator[str]:
    """The lines in UTF-8 bytes that come in chunks of any size; of a line beyond the limit, no more than shows that.

    Raises:
        UnicodeError: names the first line that is not UTF-8.
    """
    rest, number = b"", 0
    for chunk in chunks:
        data = rest + chunk
        held = b"\r" if data.endswith(b"\r") else b""  # perhaps half of a line end
        *whole, rest = _LINE_END.split(data.removesuffix(held))
        for line in whole:
            number += 1
            yield _text(line, number)
        rest = rest[:_KEPT_BYTES] + held
    if rest:
        yield _text(rest.removesuffix(b"\r"), number + 1)


def is_blank(line: str) -> bool:
    """Whether the line holds nothing; one beyond the limit always holds something."""
    return len(line) <= MAX_LINE_CHARS and not line.strip()


def parse_entry(line: str) -> ManifestEntry:
    """Read one line.

    Raises:
        ValueError: says what is wrong with it and what would be right.
    """
    if len(line) > MAX_LINE_CHARS:
        raise ValueError(f"too long; at most {MAX_LINE_CHARS:,} characters are allowed")
    try:
        fields = json.loads(line.strip())
    except (ValueError, RecursionError) as error:
        comma = "; the comma at its end is one too many" if line.rstrip().endswith("},") else ""
        raise ValueError(f"not JSON: {error}{comma}") from error
    if not isinstance(fields, dict):
        raise ValueError('expected a JSON object such as {"source-ref": "s3://...", ...}')
    source_ref = fields.get("source-ref")
    if not isinstance(source_ref, str) or not source_ref:
        raise ValueError("source-ref is missing")
    is_anomalous, label_metadata = _label(fields)
    mask_ref, colors = _mask(fields)
    return ManifestEntry(source_ref, is_anomalous, mask_ref, colors, label_metadata)


def _text(line: bytes, number: int) -> str:
    is_cut = len(line) >= _KEPT_BYTES  # perhaps within a character
    try:
        text = line.decode(errors="replace" if is_cut else "strict")
    except UnicodeDecodeError:
        raise UnicodeError(f"line {number} is not UTF-8 text") from None
    return text.removeprefix(_BYTE_ORDER_MARK)  # of any line: manifests are made of others, one behind the other


def _check_places(entry: ManifestEntry, bucket: str | None) -> str:
    """The bucket of the image, which must be the dataset's.

    Raises:
        ValueError: it is in another one, or the image or the mask is not in S3 at all.
    """
    image_bucket = S3Uri.parse(entry.source_ref).bucket
    if entry.mask_ref is not None:
        S3Uri.parse(entry.mask_ref)
    if bucket is not None and image_bucket != bucket:
        raise ValueError(f"source-ref {entry.source_ref!r} must lie in bucket {bucket!r} as the dataset's other images")
    return image_bucket


# Of an image that nobody has labelled yet, as the original's console imported them.
_UNLABELED = {"source-ref", "source-ref-metadata"}
_LABELS = {_NORMAL: False, _ANOMALY: True}


def _label(fields: Mapping[str, Any]) -> tuple[bool | None, Mapping[str, Any]]:
    """The label, and the metadata it is from: of the attributes that are classifications, those that say normal or
    anomaly, and of these, those that a person gave.

    Raises:
        ValueError: there is none, or several that contradict each other.
    """
    attributes = [(name, metadata) for name, metadata in _metadata(fields) if "class-name" in metadata]
    candidates = [each for each in attributes if _type(each[1]) == CLASSIFICATION] or [
        each for each in attributes if not each[0].endswith(_REF)
    ]
    if not candidates:
        if fields.keys() <= _UNLABELED:
            return None, {}
        raise ValueError(
            f"no label: expected <name> and <name>-metadata of type {CLASSIFICATION} with a class-name of {_NORMAL} or"
            f" {_ANOMALY}"
        )
    labeled = [each for each in candidates if _is_anomalous(each[1]) is not None] or candidates[:1]
    decisive = [each for each in labeled if each[1].get("human-annotated") == "yes"] or labeled
    if len({_is_anomalous(metadata) for _, metadata in decisive}) > 1:
        names = " and ".join(name for name, _ in decisive)
        raise ValueError(f"{names} contradict each other; keep the one that is right")
    return _is_anomalous(decisive[0][1]), decisive[0][1]


def _is_anomalous(metadata: Mapping[str, Any]) -> bool | None:
    name = metadata["class-name"]
    return _LABELS.get(name.strip().casefold()) if isinstance(name, str) else None


def _mask(fields: Mapping[str, Any]) -> tuple[str | None, dict[str, str]]:
    """Where the mask is, if any, and its colours.

    Raises:
        ValueError: something is meant to be a mask and cannot be used as one.
    """
    described = dict(_metadata(fields))
    orphans = [
        name
        for name, metadata in fields.items()
        if name.endswith("-metadata") and name.removesuffix("-metadata") not in fields and _is_of_mask(metadata)
    ]
    if orphans:
        raise ValueError(f"{orphans[0]} describes a mask, but {orphans[0].removesuffix('-metadata')} is missing")
    masks: list[tuple[str, dict[str, str]]] = []
    for name, value in fields.items():
        metadata = described.get(name)
        if not name.endswith(_REF):
            if _is_of_mask(metadata):
                raise ValueError(f"{name} is a mask, and its name must end in {_REF}: {name}{_REF}")
        elif name != _SOURCE_REF and (value not in (None, "") if metadata is None else _may_be_of_mask(metadata)):
            masks.append(_checked_mask(name, value, (metadata or {}).get("internal-color-map")))
    if len(masks) > 1:
        raise ValueError("the line names several masks; paint all types into one, each in its own colour")
    return masks[0] if masks else (None, {})


def _checked_mask(name: str, value: Any, color_map: Any) -> tuple[str, dict[str, str]]:
    if not isinstance(color_map, dict):
        raise ValueError(f"{name} needs {name}-metadata with an internal-color-map, which names its colours")
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is empty; expected the s3:// location of a PNG mask")
    return value, _colors(color_map)


def _is_of_mask(metadata: Any) -> bool:
    return isinstance(metadata, dict) and (_type(metadata) == SEGMENTATION or "internal-color-map" in metadata)


def _may_be_of_mask(metadata: Mapping[str, Any]) -> bool:
    return _is_of_mask(metadata) or _type(metadata) is None


def _type(metadata: Mapping[str, Any]) -> str | None:
    kind = metadata.get("type")
    return kind.strip().casefold() if isinstance(kind, str) and kind.strip() else None


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
        if not is_type_name(name):
            raise ValueError(f"class-name {name!r} must be 1 to 256 characters, without control characters")
        if color.upper() == BACKGROUND_COLOR:
            raise ValueError(f"{name!r} has the background's colour {BACKGROUND_COLOR}")
        colors[name] = color
    return colors


def _is_color(text: str) -> bool:
    return len(text) == 7 and text[0] == "#" and all(digit in hexdigits for digit in text[1:])


def _metadata(fields: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """(name, metadata) of every attribute that has some, but for the image's own."""
    attributes = ((name, fields.get(f"{name}-metadata")) for name in fields if name != _SOURCE_REF)
    return [(name, metadata) for name, metadata in attributes if isinstance(metadata, dict)]


def _shortened(text: str) -> str:
    return f"{text[:_MAX_SHOWN_CHARS]}…" if len(text) > _MAX_SHOWN_CHARS else text
