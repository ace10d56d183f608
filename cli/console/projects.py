"""The projects, and the page of one: its versions, datasets and what was changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from starlette.requests import Request
from starlette.responses import Response

from cli.console.pages import Console, console_of, render, today
from relook.quality.summary import Counts, summarize
from relook.registry.datasets import Dataset, list_datasets
from relook.registry.inspections import Wanted, newest
from relook.registry.models import ModelVersion, list_models
from relook.registry.projects import Project, describe_project, list_projects

_MOST_TODAY = 5_000
"""Records of today that are counted on the page of projects; more are told as "5,000 and more"."""


@dataclass(frozen=True)
class _Row:
    project: Project
    today: Counts
    is_more: bool


def listing(request: Request) -> Response:
    """GET /projects: each with what it did today."""
    console = console_of(request)
    rows = [_row(console, each) for each in list_projects(console.stack.registry)]
    if not rows:
        return render(request, "first_steps.html")
    return render(request, "projects.html", rows=rows)


def project(request: Request) -> Response:
    """GET /projects/{project}: one of them."""
    console = console_of(request)
    registry, name = console.stack.registry, request.path_params["project"]
    described = describe_project(registry, name)
    versions: list[ModelVersion] = list(list_models(registry, name))
    datasets: Iterator[Dataset] = list_datasets(registry, name)
    return render(
        request,
        "project.html",
        project=described,
        versions=versions,
        datasets=list(datasets),
        row=_row(console, described),
    )


def _row(console: Console, project: Project) -> _Row:
    records = newest(console.stack.inspections, [project.name], Wanted(since=today()))
    counted = summarize(islice(records, _MOST_TODAY), worst=0)
    return _Row(project, counted.total, next(records, None) is not None)
