"""The gallery of inspections, and the page of one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from cli.console.pages import Console, address, console_of, metadata_values, record_of, render
from cli.console.reviewing import details
from relook.detection.result import NearestNormal
from relook.errors import InvalidRequestError, NoSuchObjectError, PackageError, ResourceNotFoundError
from relook.inspection.publish import detail_types, event_detail
from relook.quality.records import InspectionStatus
from relook.registry.inspections import RecordId, Verdict, Wanted, around, page, types_of

PAGE_SIZE = 60  # whole rows of 2, 3, 4, 5 or 6
_NEIGHBOURS = 2
"""Before it, and after it."""
_REVIEWED = {"reviewed": True, "unreviewed": False}


def gallery(request: Request) -> Response:
    """GET /inspections: the newest ones that the address asks for."""
    console = console_of(request)
    names = console.project_names()
    if not names:
        return render(request, "first_steps.html")
    asked = dict(request.query_params)
    wanted = _wanted(asked)
    chosen = [wanted.project] if wanted.project else names
    after = RecordId.parse(asked["after"]) if asked.get("after") else None
    shown = page(console.stack.inspections, chosen, wanted, size=PAGE_SIZE, after=after)
    filters = {name: value for name, value in asked.items() if name not in ("after", "newer")}
    return render(
        request,
        "inspections.html",
        records=shown.records,
        looked_at=shown.looked_at,
        more=address("/inspections", **filters, after=str(shown.more)) if shown.more else None,
        asked=filters,
        names=names,
        is_live=after is None,
        live=address("/inspections/new", **filters),
        types=sorted(
            {name for each in shown.records for name in types_of(each)} | set(filter(None, [wanted.anomaly_type]))
        ),
        metadata=sorted({*metadata_values(shown.records), *filter(None, [wanted.metadata])}),
    )


def arrivals(request: Request) -> Response:
    """GET /inspections/new: the cards of what came since `newer`, for a page that is open."""
    console = console_of(request)
    asked = dict(request.query_params)
    wanted = _wanted(asked | {"since": asked.get("newer") or asked.get("since", "")})
    chosen = [wanted.project] if wanted.project else console.project_names()
    shown = page(console.stack.inspections, chosen, wanted, size=PAGE_SIZE)
    return render(request, "_cards.html", records=shown.records)


def inspection(request: Request) -> Response:
    """GET /inspections/{id}: one of them."""
    console = console_of(request)
    record = record_of(console, request.path_params["id"])
    others = [
        each
        for each in console.stack.inspections.query(("image_uri", record["image_uri"]))
        if each["object_version"] != record["object_version"]
    ]
    newer, older = around(console.stack.inspections, record, _NEIGHBOURS) if record.get("project") else ([], [])
    nearest, missing = _nearest(console, record) if request.query_params.get("nearest") else (None, "")
    return render(
        request,
        "inspection.html",
        **details(console, record),
        others=sorted(others, key=lambda each: str(each["inspected_at"]), reverse=True),
        raw=json.dumps(record, indent=2, default=str, ensure_ascii=False, sort_keys=True),
        newer=newer,
        older=older,
        nearest=nearest,
        missing=missing,
        told=detail_types(record, every_inspection=False),
        event=json.dumps(event_detail(record), indent=2, ensure_ascii=False),
    )


def home(request: Request) -> Response:
    """GET /: where one begins."""
    return RedirectResponse("/inspections")


def _nearest(console: Console, record: Mapping[str, Any]) -> tuple[NearestNormal | None, str]:
    """The normal training image that is most like it; or else why it cannot be shown."""
    if record["status"] == InspectionStatus.REJECTED:
        return None, ""
    try:
        nearest = console.normals.of(record)
    except (NoSuchObjectError, ResourceNotFoundError, PackageError) as error:
        return None, f"The nearest normal image cannot be told. {error}"
    return nearest, "" if nearest else "This model remembers no normal images."


def _wanted(asked: dict[str, str]) -> Wanted:
    """
    Raises:
        InvalidRequestError: names the value that cannot be looked for.
    """
    try:
        return Wanted(
            project=asked.get("project") or None,
            verdict=Verdict(asked["verdict"]) if asked.get("verdict") else None,
            anomaly_type=asked.get("type") or None,
            since=asked.get("since") or None,
            # A day alone is meant as a whole one.
            until=f"{asked['until']}~" if asked.get("until") else None,
            min_confidence=_share(asked.get("above")),
            max_confidence=_share(asked.get("below")),
            metadata=asked.get("line") or None,
            is_reviewed=_REVIEWED[asked["review"]] if asked.get("review") else None,
        )
    except (ValueError, KeyError) as error:
        raise InvalidRequestError(f"The address asks for {error}, which no inspection can have") from error


def _share(text: str | None) -> float | None:
    return float(text) / 100 if text else None
