"""`relook report --output FILE.csv`: an inspection a row, for a spreadsheet. docs/report.md describes the columns."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

from cli import report
from cli.period import Period
from cli.report import Report
from cli.stack import Stack
from relook.registry.inspections import types_of, verdict_of

Record = Mapping[str, Any]

BYTE_ORDER_MARK = "\ufeff"
"""Without it Excel reads UTF-8 as something else."""
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""What spreadsheets take for the beginning of a formula, full-width signs too. Source: OWASP, CSV injection."""


def write(stack: Stack, project: str, period: Period, by: str | None, path: Path) -> Report:
    """Write the file while the records are counted: the same ones. It appears under its name once it is whole."""
    unfinished = path.with_name(f"{path.name}.part")
    with unfinished.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        file.write(BYTE_ORDER_MARK + header())
        counted = report.read(stack, [project], period, by, each=lambda record: file.write(row(record, by)))
    unfinished.replace(path)
    return counted


def header() -> str:
    """The first line."""
    return _line(["local_time", "group", *_COLUMNS])


def row(record: Record, by: str | None) -> str:
    """A record's line.

    Args:
        by: a name in the uploads' metadata, whose value is the record's group.
    """
    local = datetime.fromisoformat(record["inspected_at"]).astimezone()
    group = (record.get("metadata") or {}).get(by, "") if by else ""
    cells = [f"{local:%Y-%m-%d %H:%M:%S}", group, *(cell(record) for cell in _COLUMNS.values())]
    return _line([_harmless(each) for each in cells])


def _attribute(name: str) -> Callable[[Record], Any]:
    return lambda record: record.get(name, "")


def _area(record: Record) -> float | str:
    shares = [float(each["area_share"]) for each in record.get("anomalies") or ()]
    return sum(shares) if shares else ""


def _check(record: Record) -> str:
    if record.get("expected") is None:
        return ""
    is_met = record.get("is_expected_met")
    return "not judged" if is_met is None else "met" if is_met else "missed"


_COLUMNS: dict[str, Callable[[Record], Any]] = {
    "inspected_at": _attribute("inspected_at"),
    "project": _attribute("project"),
    "image_uri": _attribute("image_uri"),
    "verdict": lambda record: verdict_of(record).value,
    "confidence": _attribute("confidence"),
    "anomaly_probability": _attribute("anomaly_probability"),
    "threshold": _attribute("threshold"),
    "types": lambda record: "; ".join(types_of(record)),
    "area_share": _area,
    "reason": _attribute("reason"),
    "expected": _attribute("expected"),
    "check": _check,
    "review": _attribute("review"),
    "review_label": _attribute("review_label"),
    "reviewed_by": _attribute("reviewed_by"),
    "reviewed_at": _attribute("reviewed_at"),
    "review_note": _attribute("review_note"),
    "model_version": _attribute("model_version"),
    "inspection_id": _attribute("inspection_id"),
    "metadata": lambda record: json.dumps(record.get("metadata") or {}, ensure_ascii=False, sort_keys=True),
}
"""Column -> cell, behind the local time and the group."""


def _harmless(cell: Any) -> Any:
    """Text that a spreadsheet would run is text again behind an apostrophe; numbers stay numbers."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _line(cells: list[Any]) -> str:
    """As RFC 4180 has it: commas, CRLF, quotes where they are needed and doubled within."""
    written = StringIO()
    csv.writer(written).writerow(cells)
    return written.getvalue()
