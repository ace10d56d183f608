"""The projects, and the page of one: its versions, datasets and what was changed."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response

from cli import history
from cli.console.pages import console_of, render
from cli.console.retraining import training_state
from cli.status import standing
from relook.registry.datasets import Dataset, list_datasets
from relook.registry.model_version import ModelVersion
from relook.registry.models import list_models
from relook.registry.projects import describe_project, list_projects

_CHANGES = 20
"""A screenful; `relook history` has the rest."""


def listing(request: Request) -> Response:
    """GET /projects: each with where it stands."""
    stack = console_of(request).stack
    rows = [standing(stack, each) for each in list_projects(stack.registry)]
    if not rows:
        return render(request, "first_steps.html")
    return render(request, "projects.html", rows=rows)


def project(request: Request) -> Response:
    """GET /projects/{project}: one of them."""
    stack, name = console_of(request).stack, request.path_params["project"]
    described = describe_project(stack.registry, name)
    versions: list[ModelVersion] = list(list_models(stack.registry, name))
    datasets: Iterator[Dataset] = list_datasets(stack.registry, name)
    return render(
        request,
        "project.html",
        **training_state(described, versions),
        versions=versions,
        datasets=list(datasets),
        row=standing(stack, described),
        changes=history.read(stack, name, _CHANGES),
    )
