"""What a command prints: tables and bars for people, JSON lines for scripts, one line for an error."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable
from rich.text import Text

from local.emulator import LocalCloudError
from relook.errors import RelookError
from relook.quality.rates import Rate, percent
from relook.quality.records import InspectionStatus, image_key

# A pipe has no width to fit into; a log or a file is read best without wrapped cells.
out = Console(highlight=False, width=None if sys.stdout.isatty() else 180)
# Progress and errors go to standard error, so that standard output can be piped.
err = Console(stderr=True, highlight=False)

PENDING = "PENDING"
"""Status of an image whose verdict did not come in time."""
UNREADABLE = "UNREADABLE"
"""Reason of the rejection of a file that could not even be read, or uploaded."""
# 2 is Click's own, for a command line that it does not understand.
EXIT_ERROR, EXIT_ANOMALOUS, EXIT_REJECTED = 1, 3, 4


class CommandError(Exception):
    """Ends the command with this one line and exit code 1."""


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Ends the program with one line, and exit code 1, for what its user can mend."""
    try:
        yield
    except (CommandError, LocalCloudError, RelookError) as error:
        _fail(str(error))
    except (OSError, UnicodeError) as error:
        _fail(f"{type(error).__name__}: {error}")


def _fail(message: str) -> NoReturn:
    err.print(Text("error:", "bold red"), " ".join(message.split()), soft_wrap=True, markup=False)
    sys.exit(EXIT_ERROR)


def print_note(text: str) -> None:
    """A sentence that a person should read, whatever else is printed."""
    err.print(Text("note", "yellow"), printable(text), soft_wrap=True, markup=False)


def printable(text: str) -> str:
    """The same with bytes of file names that are no UTF-8 written as JSON would escape them."""
    return text.encode(errors="backslashreplace").decode()


def print_json(value: Any) -> None:
    """One JSON document on one line."""
    sys.stdout.write(printable(json.dumps(value, default=str, ensure_ascii=False)) + "\n")
    sys.stdout.flush()


@contextmanager
def progress() -> Iterator[Progress]:
    """A progress display on standard error that leaves nothing behind."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True) as bars:
        yield bars


def rate_text(rate: Rate, of: str = "") -> str:
    """With its 95 % interval, such as `5.8% (2.9% to 11.6%)`; `5.8%, 7 of 120 images (2.9% to 11.6%)` of `images`."""
    if rate.share is None:
        return "unknown"
    counts = f", {rate.hits} of {rate.total} {of}" if of else ""
    return f"{rate.share:.1%}{counts} ({rate.low:.1%} to {rate.high:.1%})"


def table(*columns: str, right: Collection[str] = ()) -> RichTable:
    """A table without lines; the columns named in `right` stand to the right."""
    columned = RichTable(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        columned.add_column(Text(column), justify="right" if column in right else "left", overflow="fold")
    return columned


def facts() -> RichTable:
    """A table of two columns: what it is, and what is to be said of it."""
    columned = RichTable(box=None, show_header=False, pad_edge=False)
    columned.add_column(style="bold", no_wrap=True)
    columned.add_column()
    return columned


def print_verdicts(
    records: Sequence[Mapping[str, Any]],
    pictures: Sequence[Path] = (),
    more: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Inspections as people read them, and below them where their pictures are.

    Args:
        records: items of the Inspections table.
        more: further columns, a cell for each record.
    """
    more = more or {}
    checks = ["check"] if any(record.get("expected") for record in records) else []
    verdicts = table("image", "verdict", "confidence", "found", *more, *checks, "model", right=["confidence"])
    for index, record in enumerate(records):
        image = printable(image_key(record))
        cells = [Text(column[index]) for column in more.values()]
        cells += [result_text(record) if record.get("expected") else Text("-") for _ in checks]
        verdicts.add_row(Text(image), *_verdict_cells(record), *cells, str(record.get("model_version", "-")))
    out.print(verdicts)
    for path in pictures:
        out.print(Text("picture", "dim"), printable(str(path)), soft_wrap=True, markup=False)


def result_text(record: Mapping[str, Any]) -> Text:
    """Of one check, in a word."""
    met = record.get("is_expected_met")
    if met is None:
        return Text("not judged", "yellow")
    return Text("met", "green") if met else Text("MISSED", "bold red")


def _verdict_cells(record: Mapping[str, Any]) -> tuple[Text, str, Text]:
    if record["status"] == PENDING:
        return Text("no verdict", "bold yellow"), "-", Text(record["message"])
    if record["status"] == InspectionStatus.REJECTED:
        return Text("rejected", "bold yellow"), "-", Text(printable(f"{record['reason']}: {record['message']}"))
    verdict = Text("ANOMALOUS", "bold red") if record["is_anomalous"] else Text("normal", "green")
    types = ", ".join(f"{each['name']} {percent(float(each['area_share']))}" for each in record["anomalies"])
    if not types:
        types = "see the heat map" if record["is_anomalous"] else "-"
    return verdict, f"{float(record['confidence']):.1%}", Text(types)


def exit_code(records: Sequence[Mapping[str, Any]]) -> int:
    """0 when every image is normal; what else was found, the worst first."""
    if any(record["status"] == PENDING for record in records):
        return EXIT_ERROR
    if any(record["status"] == InspectionStatus.REJECTED for record in records):
        return EXIT_REJECTED
    return EXIT_ANOMALOUS if any(record["is_anomalous"] for record in records) else 0
