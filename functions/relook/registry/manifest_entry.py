"""One line of a Ground Truth manifest: an image, its label and its mask. Read and written here alone.

What real manifests hold is wider than what the guide allows, so the reading is generous where the meaning is clear:
any label name, `Normal ` for normal, no background entry, no confidences, upper- or lower-case colours; `class-name`
decides, never the integer beside it. What stays unclear is a problem of its line, and is said.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import hexdigits
from typing import Any

from relook.detection.result import BACKGROUND, BACKGROUND_COLOR, is_background, is_type_name

MAX_LINE_CHARS = 8192  # of a DatasetEntry, as the contract has it
CLASSIFICATION, SEGMENTATION = "groundtruth/image-classification", "groundtruth/semantic-segmentation"
"""What an attribute's metadata calls a label, and a mask."""
NORMAL, ANOMALY = "normal", "anomaly"
"""Labels beside the names of types: nothing is wrong with it; something is, of no type that has a name."""
_SOURCE_REF, _REF = "source-ref", "-ref"


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
        return f"class-name {self.label_metadata['class-name']!r} is neither {NORMAL} nor {ANOMALY}"


def class_name(is_anomalous: bool) -> str:
    """As manifests and people write a label."""
    return ANOMALY if is_anomalous else NORMAL


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
            "class-name": class_name(entry.is_anomalous),
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


# Of an image that nobody has labelled yet, as the original's console imported them.
_UNLABELED = {"source-ref", "source-ref-metadata"}
_LABELS = {NORMAL: False, ANOMALY: True}


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
            f"no label: expected <name> and <name>-metadata of type {CLASSIFICATION} with a class-name of {NORMAL} or"
            f" {ANOMALY}"
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
        if is_background(name):
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
