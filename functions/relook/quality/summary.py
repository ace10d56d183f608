"""What many inspections come to: one pass over records of the Inspections table, in memory that does not grow.

A record is an item as the table gives it, numbers as Decimal. What an older record lacks is counted as unknown, never
as zero. Checks are golden parts, not production: they are counted as checks and nowhere else.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappush, heappushpop
from typing import Any

from relook.quality.rates import Confusion, Rate
from relook.quality.records import UNKNOWN, InspectionStatus, group_of

Record = Mapping[str, Any]

OTHERS = "others"
"""Stands for the groups that came after the first `_MOST_GROUPS`."""

OUTCOME = ("expected", "status", "is_anomalous", "inspected_at", "reason")
"""Attributes of a record that its `Counts` come from."""
COUNTED = (
    *OUTCOME,
    "inspection_id",
    "image_uri",
    "object_version",
    "metadata",
    "is_expected_met",
    "anomalies",
    "anomaly_probability",
    "score",
    "review",
    "review_label",
    "mask_uri",
    "heat_map_uri",
)
"""Those that a `Summary` comes from."""

_MOST_GROUPS = 50  # lines or cameras; a serial number in the metadata must not fill the memory
_PROBABILITY_EDGES = tuple(number / 20 for number in range(1, 20))
_SCORE_EDGES = tuple(number / 2 for number in range(-6, 25))  # half a spread wide, from 3 below the usual to 12 above


@dataclass(frozen=True)
class Counts:
    """Images by how their inspection ended; anomalous ones are among the inspected."""

    inspected: int
    anomalous: int
    rejected: int

    @property
    def anomaly_rate(self) -> Rate:
        """Inspected images that are anomalous."""
        return Rate.of(self.anomalous, self.inspected)


@dataclass(frozen=True)
class TypeCount:
    """How often a type was found.

    Attributes:
        mean_area_share: 0..1 of an image that shows it.
        cumulative_share: 0..1, of all that was found, by this type and those before it.
    """

    name: str
    images: int
    mean_area_share: float
    cumulative_share: float


@dataclass(frozen=True)
class Checks:
    """Golden parts: those whose verdict was as expected or not; `unknown` could not be judged."""

    met: int
    missed: int
    unknown: int

    @property
    def met_rate(self) -> Rate:
        """Of those that were judged."""
        return Rate.of(self.met, self.met + self.missed)


@dataclass(frozen=True)
class Reviews:
    """What people said of verdicts.

    Attributes:
        confusion: the reviewed images but the unsure ones, by what people say they are. Its precision and false-alarm
            rate are those among reviewed images: the borderline ones, mostly, and so worse than production's.
    """

    right: int
    wrong: int
    unsure: int
    confusion: Confusion


@dataclass(frozen=True)
class Histogram:
    """How values lie.

    Attributes:
        edges: (k,) rising, between the bins; the first and the last bin are open.
        counts: (k + 1,) values from each edge on, below the next.
        unknown: records without the value.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    unknown: int


@dataclass(frozen=True)
class Picture:
    """An inspected image worth showing; URIs are None where there is no such picture."""

    inspection_id: str
    image_uri: str
    object_version: str
    inspected_at: str
    is_anomalous: bool
    anomaly_probability: float
    types: tuple[str, ...]
    mask_uri: str | None
    heat_map_uri: str | None


@dataclass(frozen=True)
class Summary:
    """What the records say.

    Attributes:
        total: without checks, as all that follows but `checks`.
        by_time: slot -> counts, in order; a slot is a UTC day `YYYY-MM-DD` unless others were asked for.
        by_group: value of the metadata asked for -> counts, the largest first; empty where none was asked for.
        rejections: reason -> images, most frequent first.
        types: most frequent first.
        probabilities: of being anomalous, in twentieths.
        scores: the one-class score, in half spreads of the training normals.
        worst: by falling anomaly probability.
    """

    total: Counts
    by_time: Mapping[str, Counts]
    by_group: Mapping[str, Counts]
    rejections: Mapping[str, int]
    types: tuple[TypeCount, ...]
    checks: Checks
    reviews: Reviews
    probabilities: Histogram
    scores: Histogram
    worst: tuple[Picture, ...]


def utc_day(inspected_at: str) -> str:
    """The slot of a record's time unless another is asked for."""
    return inspected_at[:10]


def summarize(
    records: Iterable[Record],
    *,
    group_by: str | None = None,
    worst: int = 12,
    slot: Callable[[str], str] = utc_day,
) -> Summary:
    """The arguments are those of `Summarizer`."""
    summarizer = Summarizer(group_by=group_by, worst=worst, slot=slot)
    for record in records:
        summarizer.add(record)
    return summarizer.summary()


@dataclass
class _Tally:
    inspected: int = 0
    anomalous: int = 0
    rejected: int = 0

    def counts(self) -> Counts:
        return Counts(self.inspected, self.anomalous, self.rejected)


@dataclass
class _Bins:
    edges: Sequence[float]
    counts: list[int] = field(init=False)
    unknown: int = 0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.edges) + 1)

    def add(self, value: Any) -> None:
        if value is None:
            self.unknown += 1
        else:
            self.counts[bisect_right(self.edges, float(value))] += 1

    def histogram(self) -> Histogram:
        return Histogram(tuple(self.edges), tuple(self.counts), self.unknown)


class Summarizer:
    """Counts records as they come.

    Args:
        group_by: a name in the uploads' metadata, such as `camera` or `line`.
        worst: how many pictures to name.
        slot: `inspected_at` -> what it is counted under in `by_time`; slots sort as text.
    """

    def __init__(self, *, group_by: str | None, worst: int = 12, slot: Callable[[str], str] = utc_day) -> None:
        self._group_by, self._most_pictures, self._slot = group_by, worst, slot
        self._total = _Tally()
        self._slots: dict[str, _Tally] = {}
        self._groups: dict[str, _Tally] = {}
        self._rejections: Counter[str] = Counter()
        self._types: Counter[str] = Counter()
        self._areas: dict[str, float] = {}
        self._checks: Counter[bool | None] = Counter()
        self._reviews: Counter[str] = Counter()
        self._reviewed: Counter[tuple[bool, bool]] = Counter()
        self._probabilities, self._scores = _Bins(_PROBABILITY_EDGES), _Bins(_SCORE_EDGES)
        self._worst: list[tuple[float, int, Record]] = []
        self._number = 0

    def add(self, record: Record) -> None:
        """Count one more."""
        if record.get("expected") is not None:
            self._checks[record.get("is_expected_met")] += 1
            return
        tallies = [self._total, self._slots.setdefault(self._slot(str(record["inspected_at"])), _Tally())]
        if self._group_by is not None:
            tallies.append(self._group(record, self._group_by))
        is_inspected = record["status"] == InspectionStatus.INSPECTED
        for tally in tallies:
            tally.inspected += is_inspected
            tally.anomalous += is_inspected and bool(record["is_anomalous"])
            tally.rejected += not is_inspected
        if is_inspected:
            self._add_inspected(record)
        else:
            self._rejections[str(record.get("reason", UNKNOWN))] += 1

    def _group(self, record: Record, name: str) -> _Tally:
        group = group_of(record, name)
        if group not in self._groups and len(self._groups) >= _MOST_GROUPS:
            group = OTHERS
        return self._groups.setdefault(group, _Tally())

    def _add_inspected(self, record: Record) -> None:
        for anomaly in record.get("anomalies") or ():
            self._types[anomaly["name"]] += 1
            self._areas[anomaly["name"]] = self._areas.get(anomaly["name"], 0.0) + float(anomaly["area_share"])
        review = record.get("review")
        if review is not None:
            self._reviews[review] += 1
        if review in ("right", "wrong"):
            self._reviewed[is_truly_anomalous(record), bool(record["is_anomalous"])] += 1
        self._probabilities.add(record.get("anomaly_probability"))
        self._scores.add(record.get("score"))
        self._add_picture(record)

    def _add_picture(self, record: Record) -> None:
        probability = record.get("anomaly_probability")
        if probability is None or not self._most_pictures:
            return
        self._number += 1
        entry = (float(probability), -self._number, record)  # of equals the first stays
        if len(self._worst) < self._most_pictures:
            heappush(self._worst, entry)
        else:
            heappushpop(self._worst, entry)

    def summary(self) -> Summary:
        """Of those so far."""
        groups = sorted(self._groups.items(), key=lambda item: -(item[1].inspected + item[1].rejected))
        return Summary(
            total=self._total.counts(),
            by_time={slot: tally.counts() for slot, tally in sorted(self._slots.items())},
            by_group={name: tally.counts() for name, tally in groups},
            rejections=dict(self._rejections.most_common()),
            types=self._pareto(),
            checks=Checks(self._checks[True], self._checks[False], self._checks[None]),
            reviews=self._review_counts(),
            probabilities=self._probabilities.histogram(),
            scores=self._scores.histogram(),
            worst=tuple(_picture(record) for *_, record in sorted(self._worst, reverse=True)),
        )

    def _pareto(self) -> tuple[TypeCount, ...]:
        counts, every, so_far = [], self._types.total(), 0
        for name, images in self._types.most_common():
            so_far += images
            counts.append(TypeCount(name, images, self._areas[name] / images, so_far / every))
        return tuple(counts)

    def _review_counts(self) -> Reviews:
        said = self._reviewed
        confusion = Confusion(said[True, True], said[False, True], said[True, False], said[False, False])
        return Reviews(self._reviews["right"], self._reviews["wrong"], self._reviews["unsure"], confusion)


def is_truly_anomalous(record: Record) -> bool:
    """Whether the image is anomalous, as its reviewer says.

    A wrong verdict that was anomalous and is labelled with a type had the wrong type, and was no false alarm.
    """
    verdict = bool(record["is_anomalous"])
    if record["review"] == "right":
        return verdict
    label = record.get("review_label")
    return not verdict if label is None else label != "normal"


def _picture(record: Record) -> Picture:
    return Picture(
        inspection_id=record["inspection_id"],
        image_uri=record["image_uri"],
        object_version=record["object_version"],
        inspected_at=record["inspected_at"],
        is_anomalous=bool(record["is_anomalous"]),
        anomaly_probability=float(record["anomaly_probability"]),
        types=tuple(anomaly["name"] for anomaly in record.get("anomalies") or ()),
        mask_uri=record.get("mask_uri"),
        heat_map_uri=record.get("heat_map_uri"),
    )
