"""What the event bus is told, as the schemas in `events/outbound` describe it."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

from relook.events import versioned_detail
from relook.quality.drift import StreamDrift
from relook.quality.stability import Stability
from relook.registry.checks import Overdue, due_text
from relook.registry.inspections import stamp
from relook.registry.projects import HostedModel


def drift_detail(hosted: HostedModel, stream: StreamDrift, at: datetime) -> dict[str, Any]:
    """Of a stream of which at least one statistic reads as drift."""
    drifted = stream.drifted
    words = ", ".join(f"{name} {shifted(each)}" for name, each in drifted.items())
    return versioned_detail(
        watch_id=_identity("drift", hosted.project, hosted.version, stamp(at)),
        project=hosted.project,
        model_version=hosted.version,
        observed_at=stamp(at),
        first_at=stream.first_at,
        last_at=stream.last_at,
        images=stream.images,
        statistics=[
            {"name": name, "index": round(each.index, 4), "shift": round(each.shift or 0.0, 4)}
            for name, each in drifted.items()
        ],
        summary=f"{hosted.project} no longer looks like what model version {hosted.version} was trained on: {words}"
        f" (newest {stream.images} images)",
    )


def overdue_detail(overdue: Overdue, at: datetime) -> dict[str, Any]:
    """Of a check that did not come."""
    due, last = due_text(overdue), overdue.last_at
    seen = f"the last came at {stamp(last)}" if last else "there never was one"
    return versioned_detail(
        watch_id=_identity("overdue", overdue.project, due),
        project=overdue.project,
        observed_at=stamp(at),
        due_at=due,
        last_at=stamp(last) if last else None,
        every_s=int(overdue.every.total_seconds()),
        summary=f"{overdue.project} had no check by {due}, one is due every {duration(overdue.every)}; {seen}",
    )


def shifted(stability: Stability) -> str:
    """Which way it went, for people."""
    shift = stability.shift or 0.0
    return f"{abs(shift):.1f} spreads {'higher' if shift > 0 else 'lower'}"


def duration(length: timedelta) -> str:
    """Such as `8h`, `2d` or `90m`."""
    minutes = round(length.total_seconds() / 60)
    for unit, size in (("d", 1440), ("h", 60)):
        if minutes % size == 0:
            return f"{minutes // size}{unit}"
    return f"{minutes}m"


def _identity(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:32]
