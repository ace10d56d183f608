"""What every page shares: the stack it reads, its templates, and how values are written for people."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup, escape
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from cli.console import charts
from cli.console.comparing import Comparisons
from cli.console.nearest import NearestNormals
from cli.console.running import RunningReports
from cli.console.safety import TOKEN_FIELD, TOKEN_HEADER, Sessions, session_of
from cli.drift import READINGS
from cli.output import CommandError, rate_text
from cli.stack import Stack
from relook.aws.table import Item
from relook.detection.image import MAX_IMAGE_BYTES
from relook.quality.rates import percent
from relook.quality.records import image_key, image_name
from relook.quality.stability import DRIFT, MIN_IMAGES, WATCH
from relook.registry.history import described
from relook.registry.inspections import RecordId, verdict_of
from relook.registry.projects import list_projects
from relook.watching.drift import REACH
from relook.watching.event import duration, shifted

HERE = Path(__file__).parent

_LOCATION = re.compile(r"s3://[^\s,]+/([^\s,/]+)")
"""An image in a sentence: as short as its own name."""
_SIGNS = {"anomalous": "●", "normal": "○", "rejected": "◇"}


@dataclass(frozen=True)
class Console:
    """What the pages stand on.

    Attributes:
        stack: the deployed stack they show.
        stage: its name, for the header.
        starting: held by whoever looks whether a training runs, and starts one.
    """

    stack: Stack
    stage: str
    sessions: Sessions = field(default_factory=Sessions)
    comparisons: Comparisons = field(default_factory=Comparisons)
    starting: Lock = field(default_factory=Lock)

    @cached_property
    def normals(self) -> NearestNormals:
        """What inspected images are most like."""
        return NearestNormals(self.stack)

    @cached_property
    def reports(self) -> RunningReports:
        """What came in periods that somebody looks at."""
        return RunningReports(self.stack)

    def project_names(self) -> list[str]:
        """By name."""
        return [each.name for each in list_projects(self.stack.registry)]


def console_of(request: Request) -> Console:
    """The one the application was made for."""
    console = request.app.state.console
    assert isinstance(console, Console)
    return console


def render(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """A template as an answer."""
    console = console_of(request)
    session = request.scope["state"]["session"]
    text = fill(
        template,
        stage=console.stage,
        path=request.url.path,
        project_names=console.project_names,
        token=console.sessions.token(session),
        **values,
    )
    return HTMLResponse(text, status)


def fill(template: str, **values: Any) -> str:
    """A template with these values."""
    return _TEMPLATES.get_template(template).render(**values)


@dataclass(frozen=True)
class Sent:
    """A form that one of our own pages sent.

    Attributes:
        fields: the last value of each name.
        files: name as the browser gave it, and content.
    """

    fields: Mapping[str, str]
    files: Sequence[tuple[str, bytes]]

    def get(self, name: str) -> str | None:
        """A field's value; None where it is missing or empty."""
        return self.fields.get(name, "").strip() or None


class NotThereError(CommandError):
    """What an address names is not there, or no longer; answered as 404."""


def record_of(console: Console, record_id: str) -> Item:
    """The inspection of this id, as addresses have it.

    Raises:
        InvalidRequestError: it is no id.
        NotThereError: there is no such inspection.
    """
    record = console.stack.inspections.get(RecordId.parse(record_id).key)
    if record is None:
        raise NotThereError("There is no such inspection any more")
    return record


def change(act: Callable[[Request, Sent], Response]) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint that changes something: it acts only on what a page of this session sent."""

    async def endpoint(request: Request) -> Response:
        async with request.form(max_part_size=MAX_IMAGE_BYTES + 1) as form:
            fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
            files = [
                (each.filename or "", await each.read())
                for _, each in form.multi_items()
                if isinstance(each, UploadFile)
            ]
        token = request.headers.get(TOKEN_HEADER) or fields.get(TOKEN_FIELD, "")
        if not console_of(request).sessions.vouches(session_of(request.headers), token):
            return PlainTextResponse("This page is from an earlier console; reload it", 403)
        return await run_in_threadpool(act, request, Sent(fields, files))

    return endpoint


def address(path: str, **values: Any) -> str:
    """A path with those of the values that are set."""
    given = {name: value for name, value in values.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path


def local_time(text: str) -> str:
    """`2026-11-26T09:41:05.123Z` as `26 Nov 09:41:05`, in this machine's own zone."""
    return datetime.fromisoformat(text).astimezone().strftime("%d %b %H:%M:%S")


def elapsed(seconds: float) -> str:
    """`75` as `1 min 15 s`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def swatch(color: str) -> Markup:
    """A small square in a type's colour, outlined so that it shows on any ground."""
    return Markup(
        f'<svg class="tag" viewBox="0 0 12 12" aria-hidden="true"><rect x="1" y="1" width="10" height="10" rx="2" '
        f'fill="{escape(color)}"/></svg>'
    )


def person(who: str) -> str:
    """The last name of an ARN: a user, a role's session, an account's root."""
    return who.rstrip("/").rpartition("/")[2].rpartition(":")[2]


def metadata_values(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """`name=value` of all the user metadata that these records have, sorted."""
    return sorted({f"{name}={value}" for each in records for name, value in (each.get("metadata") or {}).items()})


def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": lambda share: percent(float(share)),
        "share": lambda share: f"{share:.1%}",
        "person": person,
        "brief": lambda text: _LOCATION.sub(r"\1", text),
        "words": lambda code: code.replace("_", " ").lower(),
        "sure": lambda confidence: f"{float(confidence):.1%}",
        "time": local_time,
        "swatch": swatch,
        "key": image_key,
        "name": image_name,
        "id": lambda record: str(RecordId.of(record)),
        "verdict": lambda record: verdict_of(record).value,
        "sign": lambda word: _SIGNS[word],
        "drift_bar": charts.drift_bar,
        "duration": duration,
        "elapsed": elapsed,
        "reading": lambda stability: READINGS[stability.reading],
        "shifted": shifted,
        "state": described,
        "rate": rate_text,
    }
    environment.globals |= {
        "address": address,
        "WATCH": WATCH,
        "DRIFT": DRIFT,
        "MIN_IMAGES": MIN_IMAGES,
        "REACH": REACH,
    }
    return environment


_TEMPLATES = _templates()
