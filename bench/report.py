"""What `bench.detect` found, as tables with the protocol beside them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.table import Table

from bench.pictures import OWN, Size
from cli.output import out

BARS = {"milliseconds": (40.0, 15.0), "times_faster": (2.0, 10.0)}  # what must be, what is reached for
OURS = "Relook, segmentation"


@dataclass(frozen=True)
class Training:
    """How long one model took to train, pictures read and the evaluation included."""

    model: str
    size: str
    normals: int
    anomalies: int
    seconds: float


@dataclass
class Measurement:
    """All turns of one contestant at one size and number of threads."""

    contestant: str
    size: str
    threads: int
    ms: list[float] = field(default_factory=list)
    peak_mb: float = 0.0

    @property
    def median_ms(self) -> float:
        return statistics.median(self.ms)

    @property
    def p95_ms(self) -> float:
        return float(np.percentile(self.ms, 95))


def headline_of(measurements: Sequence[Measurement]) -> dict[str, Any]:
    """What the bars are about: 768x576, 2 threads, verdict and mask; the peers look at the same JPEG."""
    size = "x".join(map(str, OWN))
    found = {m.contestant: m.median_ms for m in measurements if m.size == size and m.threads == 2}
    ours = found[OURS]
    faster = {name: ms / ours for name, ms in found.items() if name.startswith("PatchCore")}
    return {"milliseconds": ours, "times_faster": faster}


def print_protocol(report: dict[str, Any]) -> None:
    """How it was measured, on what, and who was absent."""
    machine = report["machine"]
    out.print(report["protocol"], markup=False)
    out.print(
        f"{machine['processor']}, {machine['cores']} cores, load {machine['load_1_minute']:.1f} at the end;"
        f" Python {machine['python']}, {', '.join(report['libraries'])};"
        f" the whole bench took {report['seconds']:.0f} s."
    )
    for library, reason in report["absent"].items():
        out.print(f"Left out: {library} ({reason})", markup=False)


def print_trainings(trainings: Sequence[Training]) -> None:
    """One line a model."""
    table = Table(
        "training", "pictures", "normal", "anomalous", "s", title="Training, evaluation included, default threads"
    )
    for each in trainings:
        table.add_row(each.model, each.size, str(each.normals), str(each.anomalies), f"{each.seconds:.1f}")
    out.print(table)


def print_size(size: Size, size_bytes: int, measurements: Sequence[Measurement]) -> None:
    """One line a contestant, with as many times our median as it took."""
    by_name: dict[str, dict[int, Measurement]] = {}
    for measurement in measurements:
        by_name.setdefault(measurement.contestant, {})[measurement.threads] = measurement
    ours = by_name[OURS]
    table = Table(title=f"{size} JPEG of {size_bytes / 1e3:.0f} kB")
    table.add_column("contestant")
    for threads in ours:
        for column in (f"ms, {threads} thread{'s' if threads > 1 else ''}", "p95", "peak MB", "x ours"):
            table.add_column(column, justify="right")
    for name, by_threads in by_name.items():
        cells = [
            (f"{m.median_ms:.1f}", f"{m.p95_ms:.1f}", f"{m.peak_mb:.0f}", f"{m.median_ms / ours[t].median_ms:.2f}")
            for t, m in by_threads.items()
        ]
        table.add_row(name, *(cell for group in cells for cell in group))
    out.print(table)


def print_headline(headline: dict[str, Any]) -> None:
    """Our time and the ratios, with their bars."""
    (at_most, reach), (at_least, far) = BARS.values()
    out.print(
        f"[bold]{'x'.join(map(str, OWN))}, 2 threads: {headline['milliseconds']:.1f} ms[/]"
        f" (at most {at_most:.0f}, reach for {reach:.0f}); times faster than the peers"
        f" (at least {at_least:.0f}, reach for {far:.0f}):"
    )
    for name, value in headline["times_faster"].items():
        out.print(f"  {value:.2f}  {name}")
