"""Regions: painting what of a product's images is ignored, over one of its pictures."""

from __future__ import annotations

from itertools import islice

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from cli.console.labelling import entry_address
from cli.console.pages import Console, Sent, change, console_of, render
from cli.console.pictures import as_png
from cli.labelling import list_entries
from cli.regions import ignore
from relook.errors import InvalidRequestError
from relook.quality.records import InspectionStatus
from relook.registry.inspections import RecordId, newest
from relook.registry.projects import describe_project
from relook.registry.regions import read_regions

_LOOKED_AT = 100
"""Newest records among which a picture is looked for; where all of them were rejected, the datasets have one."""


def regions(request: Request) -> Response:
    """GET /projects/{project}/regions: what is ignored, to be painted over."""
    console = console_of(request)
    project = describe_project(console.stack.registry, request.path_params["project"])
    picture = _picture(console, project.name)
    return render(
        request,
        "regions.html",
        project=project,
        picture=picture,
        stored_mask=f"/projects/{project.name}/regions/mask" if project.regions else None,
        stored_colors={"ignored": "#FFFFFF"},
    )


def mask(request: Request) -> Response:
    """GET /projects/{project}/regions/mask: what is ignored, white on black."""
    console = console_of(request)
    kept = describe_project(console.stack.registry, request.path_params["project"]).regions
    if kept is None:
        raise InvalidRequestError("Nothing is ignored, so there is no mask")
    return as_png(read_regions(console.stack.datasets, kept.key).png, is_kept=False)


@change
def save(request: Request, sent: Sent) -> Response:
    """POST /projects/{project}/regions: a file is a mask of what is ignored; with `clear`, nothing is."""
    stack, project = console_of(request).stack, request.path_params["project"]
    if not (sent.files or sent.get("clear")):
        raise InvalidRequestError("Nothing new is painted; paint what is to be ignored, or stop ignoring anything")
    ignore(stack, project, None if sent.get("clear") else sent.files[0][1])
    return RedirectResponse(f"/projects/{project}/regions", 303)


def _picture(console: Console, project: str) -> str | None:
    """The address of the newest picture that was inspected, or else of one that models learn from."""
    wanted = ("image_uri", "object_version", "status")
    records = newest(console.stack.inspections, [project], page_size=_LOOKED_AT, attributes=wanted)
    for record in islice(records, _LOOKED_AT):
        if record["status"] == InspectionStatus.INSPECTED:
            return f"/pictures/{RecordId.of(record)}/image"
    entries = list_entries(console.stack, project)
    return entry_address(project, "image", entries[0].stored.entry.source_ref) if entries else None
