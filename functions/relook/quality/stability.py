"""Whether a stream of images still looks like the training normals.

A statistic of an image (score, brightness, contrast, sharpness) is in robust spreads of the training normals. A package
keeps that statistic of the normals themselves, one list of numbers for each, as models that did not see the image gave
it: of thousands, a few hundred at even ranks are as good, since beyond that the stream's own size decides.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from statistics import median

from relook.errors import InvalidRequestError

MIN_IMAGES = 100
"""Of a stream, before it is read: of fewer, chance alone looks like drift."""
WATCH, DRIFT = 0.1, 0.25
"""The usual readings of the index, from credit scoring (Siddiqi 2006)."""

_BINS = 4
"""Quarters of the reference: of twenty normals five each. With three or five bins false reports were as rare, but three
missed more shifts of 1.5 spreads."""
_CHANCE = 6.905
"""92.5 % quantile of chi-square with three degrees of freedom: so often two samples of one distribution stay below it
times (1/n + 1/m). With 90 %, up to 1.1 % of unchanged streams read as drift; with 95 %, up to 5 % of shifts were
missed."""
_DIGITS = 1  # a tenth of a spread is no change; where no normal differs from another, noise would be drift
_UNSEEN = 0.5  # counted in every bin, so that an empty one does not make the index infinite


class Reading(StrEnum):
    """What an index means."""

    STABLE = "STABLE"
    WATCH = "WATCH"
    DRIFT = "DRIFT"
    TOO_FEW_IMAGES = "TOO_FEW_IMAGES"


@dataclass(frozen=True)
class Stability:
    """A stream against its reference.

    Attributes:
        index: population stability index beyond `chance`, 0 or more; what is read.
        plain_index: the same with nothing subtracted.
        chance: what chance alone can give at these counts.
        shift: the stream's median less the reference's, in spreads: which way it went. None of an empty stream.
        images, reference_images: how many values there were.
        edges: (3,) the quartiles of the reference, in spreads.
        reference_shares, shares: (4,) of the reference and the stream in the bins between the edges; each sum to 1.
    """

    index: float
    plain_index: float
    chance: float
    shift: float | None
    images: int
    reference_images: int
    edges: tuple[float, ...]
    reference_shares: tuple[float, ...]
    shares: tuple[float, ...]

    @property
    def reading(self) -> Reading:
        """Below .1 stable, above .25 drift, between them to be watched; nothing of fewer than 100 images."""
        if self.images < MIN_IMAGES:
            return Reading.TOO_FEW_IMAGES
        if self.index > DRIFT:
            return Reading.DRIFT
        return Reading.WATCH if self.index >= WATCH else Reading.STABLE


def stability(reference: Sequence[float], stream: Iterable[float]) -> Stability:
    """Compare a statistic of a stream with that of the training normals, both in spreads, in any order.

    A plain index takes the reference for the truth. With twenty normals it is not: unchanged streams would read .3 and
    more. So the index tells what is left when what chance can give, for a reference and a stream of these sizes, is
    taken away. Of an unchanged stream at most 1 % read as drift, with 20 normals or 200; of one shifted by 1.5 spreads
    all but 2 % with 20 normals (3 % of a heavy-tailed statistic), and all with 60 (tests/unit/quality).

    Raises:
        InvalidRequestError: the reference is empty.
    Source: for samples of one distribution the index over 1/n + 1/m is about chi-square with bins - 1 degrees of
    freedom (Yurdakul and Naranjo 2020).
    """
    if not reference:
        raise InvalidRequestError("The model keeps no such statistic of its training normals; train it again")
    known, values = (sorted(round(float(value), _DIGITS) for value in each) for each in (reference, stream))
    edges = [_quantile(known, number / _BINS) for number in range(1, _BINS)]
    expected, observed = _shares(known, edges), _shares(values, edges)
    plain = population_stability_index(expected, observed)
    chance = _CHANCE * (1 / len(known) + 1 / max(len(values), 1))
    return Stability(
        index=max(plain - chance, 0.0),
        plain_index=plain,
        chance=chance,
        shift=median(values) - median(known) if values else None,
        images=len(values),
        reference_images=len(known),
        edges=tuple(edges),
        reference_shares=expected,
        shares=observed,
    )


def population_stability_index(expected: Sequence[float], observed: Sequence[float]) -> float:
    """Of two distributions over the same bins: shares above 0, each summing to 1. 0 where they agree, symmetric."""
    return sum((f - e) * math.log(f / e) for e, f in zip(expected, observed, strict=True))


def _quantile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    lower = math.floor(place)
    upper = min(lower + 1, len(ordered) - 1)
    return ordered[lower] + (place - lower) * (ordered[upper] - ordered[lower])


def _shares(ordered: Sequence[float], edges: Sequence[float]) -> tuple[float, ...]:
    """Of the bins between the edges. Values on an edge, or on several that are equal, are shared out evenly among the
    bins that meet there: where all normals are alike, a stream may leave them upwards as well as downwards."""
    below = [0.0]
    for number, edge in enumerate(edges):
        first, last = bisect_left(edges, edge), bisect_right(edges, edge)
        less, reached = bisect_left(ordered, edge), bisect_right(ordered, edge)
        below.append(less + (reached - less) * (number + 1 - first) / (last + 1 - first))
    counts = [upper - lower + _UNSEEN for lower, upper in pairwise([*below, len(ordered)])]
    return tuple(count / sum(counts) for count in counts)
