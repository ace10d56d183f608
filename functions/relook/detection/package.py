"""A model package: one ONNX graph and one JSON page about it, in memory or as a folder of two files.

`model.json` says all that is needed to use `graph.onnx` elsewhere. The graph takes `image`, (1, height, width, 3) uint8
RGB, what `view` cuts out of an image, and gives `scores` (k,), `map` (h, w) and, for segmentation, `types` (classes +
1, h, w) probabilities, background first; both cover that canvas. Where `normals` are named, `nearest` (2,) is the index
of the one whose features are most like the image's, and their distance. With `view.regions`, which are painted over in
the image before anything is cut out, the graph also takes `kept_0` and, where it looks twice, `kept_1`: (1, h, w) over
the canvas, 0 for a cell that is ignored for the most part and else 1. Then, with one calibration per score,

    p(anomaly) = sigmoid(max over i of (scores[i] - calibration[i].center) / calibration[i].scale)

and the image is anomalous when p(anomaly) >= threshold. A pixel shows the class whose probability exceeds the class's
own threshold by most. The heat map runs from dark at `heat_map.low` to bright at `heat_map.high`. `statistics` tells
what the normals were like. Images of 16 bits a channel become 8 by `view.levels`: (value - black) divided by 2 to the
power of (bits - 8), cut off at 0 and 255.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from relook.detection.statistics import PictureStatistics
from relook.detection.view import View
from relook.errors import PackageError

FORMAT_VERSION = 3  # raised when a reader of the one before would misread a package
GRAPH_FILE = "graph.onnx"
MANIFEST_FILE = "model.json"


@dataclass(frozen=True)
class Calibration:
    """Turns a score into log odds: (score - center) / scale."""

    center: float
    scale: float


@dataclass(frozen=True)
class AnomalyClass:
    """A type the model can show: its colour `#RRGGBB`, and the pixel probability from which it is painted."""

    name: str
    color: str
    threshold: float


@dataclass(frozen=True)
class HeatMapRange:
    """Map values drawn darkest and brightest."""

    low: float
    high: float


@dataclass(frozen=True)
class Choice:
    """A way of working that training chose, and why.

    Attributes:
        scores: option -> score, of every option that was tried.
        measure: what the scores are.
    """

    name: str
    chosen: str
    measure: str
    scores: Mapping[str, float]


@dataclass(frozen=True)
class BackboneIdentity:
    """What a model sees with: `efficientnet-lite0`, or `own`, a feature ONNX of the user's; SHA-256 of its file."""

    name: str
    sha256: str


@dataclass(frozen=True)
class NormalStatistic:
    """A statistic of the training normals, to hold that of other images against.

    Attributes:
        center, spread: median and robust spread, in its own unit.
        normals: of the normals themselves, in spreads from the center, rising; of many, a few hundred at even ranks.
    """

    center: float
    spread: float
    normals: tuple[float, ...]

    def in_spreads(self, value: float) -> float:
        """A value in its own unit as so many spreads from the center."""
        return (value - self.center) / self.spread


KEPT = "kept_"
"""What the names of those inputs of a graph begin with that tell which cells are not ignored, one for each look."""

SCORE = "score"
"""The statistic that is the first of a graph's `scores`, of models that did not see the image. The others are those of
`PictureStatistics`."""


@dataclass(frozen=True, kw_only=True)
class ModelManifest:
    """`model.json`, typed.

    Attributes:
        view: what of an image the graph is shown.
        image_size: (height, width) every training image had, which images to inspect must have too; None for mixed.
        classes: empty for a classification model.
        backbone: None for a foreign model, which has none of its own to name.
        normals: names of the normal images that `nearest` numbers; empty where the graph has no such output.
        statistics: by name; empty where nothing is known of the normals, as in a foreign model.
        choices: what training chose by itself, for people.
        training: counts and score statistics, for people.
        libraries: versions that trained it, for people.
    """

    project: str
    version: str
    view: View
    image_size: tuple[int, int] | None
    threshold: float
    calibration: tuple[Calibration, ...]
    classes: tuple[AnomalyClass, ...]
    heat_map: HeatMapRange
    graph_sha256: str
    backbone: BackboneIdentity | None = None
    normals: tuple[str, ...] = ()
    statistics: Mapping[str, NormalStatistic] = field(default_factory=dict)
    choices: tuple[Choice, ...] = ()
    training: Mapping[str, float] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    def to_json(self) -> bytes:
        """Sorted and indented; the same manifest gives the same bytes."""
        return (
            json.dumps(asdict(self) | {"view": self.view.to_json()}, indent=2, sort_keys=True, allow_nan=False).encode()
            + b"\n"
        )

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """
        Raises:
            PackageError: not JSON, of another format version, or with a field missing or malformed.
        """
        try:
            fields = json.loads(data)
            version = fields["format_version"]
        except (ValueError, TypeError, KeyError) as error:
            raise PackageError(f"{MANIFEST_FILE} is not a model manifest: {error!r}") from error
        if version != FORMAT_VERSION:
            raise PackageError(
                f"{MANIFEST_FILE} has format version {version}; this Relook reads {FORMAT_VERSION}: "
                "train or register the model again"
            )
        try:
            return cls(
                project=str(fields["project"]),
                version=str(fields["version"]),
                view=View.from_json(fields["view"]),
                image_size=None if fields["image_size"] is None else _size(fields["image_size"]),
                threshold=float(fields["threshold"]),
                calibration=tuple(_calibration(**c) for c in fields["calibration"]),
                classes=tuple(
                    AnomalyClass(str(c["name"]), str(c["color"]), float(c["threshold"])) for c in fields["classes"]
                ),
                heat_map=HeatMapRange(float(fields["heat_map"]["low"]), float(fields["heat_map"]["high"])),
                graph_sha256=str(fields["graph_sha256"]),
                backbone=None if fields["backbone"] is None else BackboneIdentity(**fields["backbone"]),
                normals=tuple(map(str, fields["normals"])),
                statistics=_statistics(fields.get("statistics", {})),  # packages of before had none
                choices=tuple(Choice(**choice) for choice in fields["choices"]),
                training=dict(fields["training"]),
                libraries=dict(fields["libraries"]),
            )
        except (ValueError, TypeError, KeyError) as error:
            raise PackageError(f"{MANIFEST_FILE} lacks or garbles a field: {error!r}") from error


@dataclass(frozen=True)
class ModelPackage:
    """A graph and the manifest that vouches for it.

    Raises:
        PackageError: on construction, when the graph is not the one the manifest names.
    """

    graph: bytes
    manifest: ModelManifest

    def __post_init__(self) -> None:
        digest = hashlib.sha256(self.graph).hexdigest()
        if digest != self.manifest.graph_sha256:
            raise PackageError(f"{GRAPH_FILE} has SHA-256 {digest}; {MANIFEST_FILE} names {self.manifest.graph_sha256}")

    def judging_by(self, threshold: float | None) -> Self:
        """The same with a threshold that was moved; None for its own."""
        if threshold is None:
            return self
        return dataclasses.replace(self, manifest=dataclasses.replace(self.manifest, threshold=threshold))

    def files(self) -> dict[str, bytes]:
        """File name -> content."""
        return {GRAPH_FILE: self.graph, MANIFEST_FILE: self.manifest.to_json()}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Self:
        """The inverse of `files`; other names are ignored.

        Raises:
            PackageError: a file is missing, damaged, or of another format version.
        """
        missing = [name for name in (GRAPH_FILE, MANIFEST_FILE) if name not in files]
        if missing:
            raise PackageError(f"The package lacks {' and '.join(missing)}")
        return cls(files[GRAPH_FILE], ModelManifest.from_json(files[MANIFEST_FILE]))

    def write_folder(self, folder: Path) -> None:
        """Write both files, creating the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files().items():
            (folder / name).write_bytes(content)

    @classmethod
    def read_folder(cls, folder: Path) -> Self:
        """
        Raises:
            PackageError: as `from_files`.
        """
        paths = [folder / name for name in (GRAPH_FILE, MANIFEST_FILE)]
        return cls.from_files({path.name: path.read_bytes() for path in paths if path.is_file()})


def _size(value: Any) -> tuple[int, int]:
    height, width = value
    return int(height), int(width)


def _statistics(fields: Mapping[str, Mapping[str, Any]]) -> dict[str, NormalStatistic]:
    names = {SCORE, *(each.name for each in dataclasses.fields(PictureStatistics))}
    if fields and set(fields) != names:
        raise ValueError(f"statistics of {sorted(fields)}; expected {sorted(names)}")
    return {name: _statistic(**each) for name, each in fields.items()}


def _statistic(center: float, spread: float, normals: Sequence[float]) -> NormalStatistic:
    if not (math.isfinite(center) and spread > 0):
        raise ValueError(f"a statistic of center {center} and spread {spread}")
    return NormalStatistic(float(center), float(spread), tuple(map(float, normals)))


def _calibration(center: float, scale: float) -> Calibration:
    if not (math.isfinite(center) and scale > 0):
        raise ValueError(f"a calibration of center {center} and scale {scale}")
    return Calibration(float(center), float(scale))
