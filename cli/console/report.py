"""What a period came to, on one sheet: a page of the console, and a file that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from cli import report_csv
from cli.console.overview import draw
from cli.console.pages import HERE, Console, console_of, fill, render
from cli.console.pictures import painted
from cli.period import Period
from cli.report import Report, read
from relook.errors import ImageRejectedError, NoSuchObjectError, ObjectArchivedError
from relook.quality.summary import Picture
from relook.registry.inspections import RecordId, Wanted, newest
from relook.registry.projects import describe_project

_SINCE = "24h"
"""How far back a report looks unless somebody says: the shifts of a day."""


def sheet(request: Request) -> Response:
    """GET /report: of one project, the first one unless named."""
    console = console_of(request)
    names = console.project_names()
    if not names:
        return render(request, "first_steps.html")
    asked = {name: request.query_params.get(name, "") for name in ("since", "until", "by")}
    project, period, by = _asked(request, names[0])
    return render(
        request,
        "report.html",
        names=names,
        project=project,
        asked=asked,
        **_shown(read(console.stack, [project], period, by), lambda picture: f"/pictures/{_id(picture)}/painted"),
    )


def as_html(request: Request) -> Response:
    """GET /report.html: the same as a file."""
    console = console_of(request)
    project, period, by = _asked(request, "")
    text = document(console, read(console.stack, [project], period, by))
    return Response(text, media_type="text/html", headers=_named(f"{project}.html"))


def as_csv(request: Request) -> Response:
    """GET /report.csv: the inspections it counts, a row each."""
    console = console_of(request)
    project, period, by = _asked(request, "")

    def lines() -> Iterator[str]:
        yield report_csv.BYTE_ORDER_MARK + report_csv.header()
        for record in newest(console.stack.inspections, [project], Wanted(since=period.since, until=period.until)):
            yield report_csv.row(record, by)

    return StreamingResponse(lines(), media_type="text/csv", headers=_named(f"{project}.csv"))


def write(console: Console, report: Report, path: Path) -> None:
    """The sheet as one file, without scripts, with its pictures inside."""
    path.write_text(document(console, report), encoding="utf-8", errors="backslashreplace")


def document(console: Console, report: Report) -> str:
    """The file's text."""
    style = Markup((HERE / "static" / "console.css").read_text(encoding="utf-8"))
    return fill("report_file.html", style=style, **_shown(report, lambda picture: _embedded(console, picture)))


def _asked(request: Request, project: str) -> tuple[str, Period, str | None]:
    """
    Raises:
        InvalidRequestError: it names no time.
        ResourceNotFoundError: there is no such project.
    """
    asked = request.query_params
    described = describe_project(console_of(request).stack.registry, asked.get("project") or project)
    period = Period.parse(asked.get("since") or _SINCE, asked.get("until") or None)
    return described.name, period, asked.get("by") or None


def _shown(report: Report, source: Callable[[Picture], str | None]) -> dict[str, Any]:
    """What the sheet's template shows; `source` says where a picture is, None where it is no longer at hand."""
    return {
        "report": report,
        "summary": report.summary,
        "charts": draw(report),
        "pictures": [(picture, source(picture)) for picture in report.summary.worst],
    }


def _id(picture: Picture) -> RecordId:
    return RecordId(picture.image_uri, picture.object_version, picture.inspected_at)


def _embedded(console: Console, picture: Picture) -> str | None:
    record = console.stack.inspections.get(_id(picture).key)
    try:
        jpeg = painted(console.stack, record) if record else None
    except (NoSuchObjectError, ObjectArchivedError, ImageRejectedError):
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}" if jpeg else None


def _named(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"'}
