"""What a person says of a verdict: on the page of an inspection, or going through those that wait for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from cli import reviewing
from cli.console import charts
from cli.console.pages import Console, Sent, address, change, console_of, record_of, render
from cli.console.pictures import ignored_regions
from cli.status import MOST_REVIEWS
from relook.aws.table import Item
from relook.errors import InvalidRequestError
from relook.registry.inspections import RecordId, Verdict, Wanted, newest, types_of
from relook.registry.manifest_entry import ANOMALY, NORMAL
from relook.registry.reviews import ReviewVerdict, open_reviews

_RECENT = 100
"""Newest anomalous records that are asked which types there are."""


def queue(request: Request) -> Response:
    """GET /review: the open case nearest to its threshold, of one project or of the first that has one."""
    console = console_of(request)
    names = console.project_names()
    if not names:
        return render(request, "first_steps.html")
    asked = request.query_params
    project, after = asked.get("project") or "", asked.get("after") or None
    for name in [project] if project else names:
        cases = open_reviews(console.stack.inspections, name, after=after, page_size=MOST_REVIEWS)
        waiting = list(islice(cases, MOST_REVIEWS))
        if waiting:
            skip = address("/review", project=name, after=waiting[0]["review_order"])
            return render(
                request,
                "review.html",
                names=names,
                project=name,
                waiting=f"{MOST_REVIEWS} and more" if len(waiting) == MOST_REVIEWS else len(waiting),
                skip=skip,
                **details(console, waiting[0], skip),
            )
    return render(request, "review_done.html", names=names, project=project)


def details(console: Console, record: Item, following: str | None = None) -> dict[str, Any]:
    """What the viewer and the form of a review need to know of a record, and the page that comes after it."""
    return {
        "record": record,
        "types": _types(console, record),
        "judged": _judged(record),
        "has_regions": ignored_regions(console.stack, record) is not None,
        "following": following,
    }


@change
def say(request: Request, sent: Sent) -> Response:
    """POST /inspections/{id}/review: `said` is `right`, `unsure`, or `wrong:` and what it is."""
    console = console_of(request)
    record = record_of(console, request.path_params["id"])
    said, _, label = (sent.get("said") or "").partition(":")
    if said not in list(ReviewVerdict):
        raise InvalidRequestError(f"{said!r} is no review; say one of {', '.join(ReviewVerdict)}")
    # As the reviewer saw it: if another one was faster since, they are told.
    if sent.get("seen"):
        seen = record | {"reviewed_at": sent.get("seen")}
    else:
        seen = {name: value for name, value in record.items() if name != "review"}
    verdict = ReviewVerdict(said)
    what = (label or sent.get("label")) if verdict is ReviewVerdict.WRONG else None
    reviewing.say(console.stack, seen, reviewing.Opinion(verdict, what, sent.get("note")))
    console.reports.forget()
    return RedirectResponse(following_page(sent, record), 303)


def following_page(sent: Sent, record: Item) -> str:
    """Where a form of the queue goes on, or else the inspection's page."""
    following = sent.get("following") or ""
    # Only a page of ours is gone to: an address from a form is somebody's word.
    return following if following.startswith("/review?") else f"/inspections/{RecordId.of(record)}"


def recent(console: Console, project: str) -> Iterator[Item]:
    """The project's newest anomalous records, as far as they tell what types there are."""
    wanted, inspections = Wanted(verdict=Verdict.ANOMALOUS), console.stack.inspections
    return islice(newest(inspections, [project], wanted, page_size=_RECENT, attributes=["anomalies"]), _RECENT)


def _judged(record: Mapping[str, Any]) -> Markup:
    """The probability and the threshold it was held against; nothing for a record of an earlier release."""
    if "anomaly_probability" not in record:
        return Markup("")
    return charts.scale(float(record["anomaly_probability"]), float(record["threshold"]))


def _types(console: Console, record: Item) -> list[str]:
    """What it may be instead: normal first where it is called anomalous, then the types that occur."""
    if not record.get("project"):
        return []
    known = sorted({name for each in recent(console, record["project"]) for name in types_of(each)})
    return [NORMAL, *known] if record.get("is_anomalous") else [*known, ANOMALY]
