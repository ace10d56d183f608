"""What benches print: a bar while they measure, figures in cells."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

from cli.output import err

console = Console(highlight=False, width=180)

T = TypeVar("T")


def tracked(items: Sequence[T], what: str) -> Iterator[T]:
    """With a bar on standard error, where somebody is looking."""
    # rich would carry off to standard error what is printed for a file
    with Progress(console=err, transient=True, disable=not err.is_terminal, redirect_stdout=sys.stdout.isatty()) as bar:
        yield from bar.track(items, description=what)


def mean(values: Iterable[float | None]) -> float | None:
    """Of those that there are."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def shown(value: float | None) -> str:
    """For a table's cell."""
    return "" if value is None else f"{value:.3f}"
