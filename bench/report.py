"""What `bench.detect` found, as tables with the protocol beside them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.table import Table

from bench.pictures import LARGEST, OWN, Size
from cli.output import out

SEGMENTATION, ONE_CLASS = "Relook, segmentation", "Relook, one-class"
PEER = "PatchCore at 256, onnx"
PEER_MS = 61.0
"""The peer's time on the machine that the bar for the largest picture was set on."""
BARS = {"times_faster": (5.0, 10.0), "times_faster_with_masks": (3.5, 6.0), "largest_ms": (600.0, 300.0)}
"""What must be, and what is reached for, on one thread."""


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
        """Of one turn."""
        return statistics.median(self.ms)

    @property
    def p95_ms(self) -> float:
        """Which 95 % of the turns stay below."""
        return float(np.percentile(self.ms, 95))


def headline_of(measurements: Sequence[Measurement]) -> dict[str, float]:
    """What the bars are about: one thread; the peer looks at the same JPEG in the same run.

    Returns:
        by the names of BARS, and `largest_ms_measured`, of this machine: `largest_ms` is of one whose peer takes
        `PEER_MS`.
    """
    ms = {(m.contestant, m.size): m.median_ms for m in measurements if m.threads == 1}
    own, largest = ("x".join(map(str, size)) for size in (OWN, LARGEST))
    peer_ms = ms[PEER, own]
    return {
        "times_faster": peer_ms / ms[ONE_CLASS, own],
        "times_faster_with_masks": peer_ms / ms[SEGMENTATION, own],
        "largest_ms": ms[SEGMENTATION, largest] * PEER_MS / peer_ms,
        "largest_ms_measured": ms[SEGMENTATION, largest],
    }


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
    ours = by_name[SEGMENTATION]
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


def print_headline(headline: dict[str, float]) -> None:
    """Each beside its bar."""
    own, largest = ("x".join(map(str, size)) for size in (OWN, LARGEST))
    lines = {
        "times_faster": f"{own}: verdict and heat map, times faster than {PEER}",
        "times_faster_with_masks": f"{own}: with masks, times faster",
        "largest_ms": f"{largest}: with masks, ms where the peer takes {PEER_MS:.0f} ms at {own}"
        f" (here {headline['largest_ms_measured']:.0f} ms)",
    }
    out.print("[bold]One thread[/]")
    for name, words in lines.items():
        bar, reach = BARS[name]
        limit = "at most" if bar > reach else "at least"
        out.print(f"  {headline[name]:.1f}  {words}; {limit} {bar:g}, reach for {reach:g}")
