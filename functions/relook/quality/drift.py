"""Whether the newest records of a stream still look like what their model was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from relook.quality.records import InspectionStatus, group_of
from relook.quality.stability import Reading, Stability, stability

MOST_IMAGES = 500
"""Of a stream, the newest: of so many chance alone gives an index of .014, a seventh of the first reading. More would
reach further back and hide what changed today."""
COUNTED_BY = ("status", "model_version", "expected", "metadata")
"""Attributes of a record that tell whether it counts, and in which stream."""
_MOST_STREAMS = 50  # cameras or lines; a serial number in the metadata must not fill the memory


@dataclass(frozen=True)
class StreamDrift:
    """The newest images of a stream against the training normals.

    Attributes:
        name: of the group, such as a camera's; None for all images together.
        images: how many were looked at.
        first_at, last_at: ISO-8601 UTC, when the oldest and the newest of them were inspected.
        statistics: by name.
    """

    name: str | None
    images: int
    first_at: str
    last_at: str
    statistics: Mapping[str, Stability]

    @property
    def worst(self) -> tuple[str, Stability]:
        """The statistic that went farthest, by name; of those that can be read, where one can."""
        return max(self.statistics.items(), key=lambda item: (_is_read(item[1]), item[1].index))

    @property
    def drifted(self) -> dict[str, Stability]:
        """The statistics that read as drift."""
        return {name: each for name, each in self.statistics.items() if each.reading is Reading.DRIFT}


def drift(
    records: Iterable[Mapping[str, Any]],
    reference: Mapping[str, Sequence[float]],
    *,
    model_version: str,
    group_by: str | None = None,
) -> tuple[StreamDrift, ...]:
    """Streams with their drift, the largest first; none where no record counts.

    What counts are images inspected by this model version that are no checks: another version's statistics are in
    spreads of other normals, and golden parts are no production.

    Args:
        records: newest first; reading stops when a single stream is full.
        reference: statistic -> its values for the training normals, in spreads.
        group_by: a name in the uploads' metadata, such as `camera`; all images are one stream unless given.
    """
    streams: dict[str | None, _Stream] = {}
    for record in records:
        if not _counts(record, model_version):
            continue
        name = None if group_by is None else group_of(record, group_by)
        if name not in streams and len(streams) >= _MOST_STREAMS:
            continue
        stream = streams.setdefault(name, _Stream())
        if stream.images < MOST_IMAGES:
            stream.add(record, reference)
        elif group_by is None:
            break
    ordered = sorted(streams.items(), key=lambda item: -item[1].images)
    return tuple(stream.against(name, reference) for name, stream in ordered)


def _is_read(stability: Stability) -> bool:
    return stability.reading is not Reading.TOO_FEW_IMAGES


def _counts(record: Mapping[str, Any], model_version: str) -> bool:
    return (
        record["status"] == InspectionStatus.INSPECTED
        and record.get("model_version") == model_version
        and record.get("expected") is None
    )


@dataclass
class _Stream:
    images: int = 0
    first_at: str = ""
    last_at: str = ""
    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, record: Mapping[str, Any], reference: Mapping[str, Sequence[float]]) -> None:
        self.images += 1
        self.first_at = str(record["inspected_at"])
        self.last_at = self.last_at or self.first_at
        for name in reference:
            if record.get(name) is not None:
                self.values.setdefault(name, []).append(float(record[name]))

    def against(self, name: str | None, reference: Mapping[str, Sequence[float]]) -> StreamDrift:
        indices = {each: stability(normals, self.values.get(each, ())) for each, normals in reference.items()}
        return StreamDrift(name, self.images, self.first_at, self.last_at, indices)
