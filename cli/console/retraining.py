"""From grown datasets to another version that inspects: retraining, comparing, hosting and going back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from cli import history, training
from cli.console.pages import Sent, change, console_of, render
from cli.retraining import comparison_rows
from cli.stack import Stack
from cli.threshold import read_judge
from relook.errors import ConflictError, ResourceNotFoundError, ResourceType
from relook.registry.model_version import ModelStatus, ModelVersion
from relook.registry.models import describe_model, list_models
from relook.registry.projects import Project, describe_project

_SHOWN = 60
"""Images on which versions disagree; `relook retrain` lists them all."""


@change
def retrain(request: Request, sent: Sent) -> Response:
    """POST /projects/{project}/retrain: what `relook retrain` begins with; the training job does the rest."""
    console, name = console_of(request), request.path_params["project"]
    with console.starting:  # of two clicks at once the second sees the first one's training
        running = next((each for each in list_models(console.stack.registry, name) if _is_training(each)), None)
        if running:
            message = f"Version {running.version} of {name} is being trained already; wait until it is done"
            raise ConflictError(ResourceType.MODEL, f"{name}/{running.version}", message)
        training.start_training(console.stack, name)
    return RedirectResponse(f"/projects/{name}", 303)


def progress(request: Request) -> Response:
    """GET /projects/{project}/training: the part of a page that tells how far a training is."""
    registry, name = console_of(request).stack.registry, request.path_params["project"]
    versions = list(list_models(registry, name))
    return render(request, "_training.html", **training_state(describe_project(registry, name), versions))


@change
def host(request: Request, sent: Sent) -> Response:
    """POST /projects/{project}/models/{version}/host: as `relook host` does."""
    project, version = request.path_params["project"], request.path_params["version"]
    training.host_version(console_of(request).stack, project, version)
    return RedirectResponse(f"/projects/{project}/models/{version}", 303)


def comparison(request: Request) -> Response:
    """GET /projects/{project}/models/{version}/compare/{other}: `version` as the candidate, `other` as hosted."""
    console = console_of(request)
    project, candidate, hosted = _compared(request)
    comparing = console.comparisons.of(console.stack, project, hosted, candidate)
    shown: dict[str, Any] = {}
    if comparing.result:
        outcomes = read_judge(console.stack, project, candidate).outcomes
        shown = {
            "rows": comparison_rows(comparing.result),
            "numbers": {outcome.name: number for number, outcome in enumerate(outcomes)},
            "disagreements": comparing.result.verdicts.disagreements[:_SHOWN],
        }
    return render(
        request,
        "comparison.html",
        comparing=comparing,
        project=describe_project(console.stack.registry, project),
        candidate=candidate,
        hosted=hosted,
        **shown,
    )


@change
def compare_again(request: Request, sent: Sent) -> Response:
    """POST /projects/{project}/models/{version}/compare/{other}: once more, where it failed."""
    console = console_of(request)
    project, candidate, hosted = _compared(request)
    console.comparisons.forget(console.stack, project, hosted, candidate)
    return RedirectResponse(request.url.path, 303)


def training_state(project: Project, versions: Sequence[ModelVersion]) -> dict[str, Any]:
    """What pages tell of the newest version: that it is trained, has failed, or waits to be hosted.

    Args:
        versions: the project's, newest first.
    """
    newest = versions[0] if versions else None
    running = next((each for each in versions if _is_training(each)), None)
    hosted = project.hosted.version if project.hosted else None
    return {
        "project": project,
        "running": running,
        "lasts_s": (datetime.now(UTC) - running.created_at).total_seconds() if running else 0,
        "failed": newest if newest and newest.status is ModelStatus.TRAINING_FAILED else None,
        "waiting": newest if newest and newest.package_sha256 and newest.version != hosted else None,
    }


def version_before(stack: Stack, project: Project) -> str | None:
    """The version that inspected before the hosted one, where it can again."""
    version = history.hosted_before(stack, project.name, project.hosted.version) if project.hosted else None
    if version is None:
        return None
    try:
        return version if describe_model(stack.registry, project.name, version).package_sha256 else None
    except ResourceNotFoundError:  # deleted since
        return None


def _is_training(version: ModelVersion) -> bool:
    return version.status is ModelStatus.TRAINING


def _compared(request: Request) -> tuple[str, str, str]:
    names = request.path_params
    return names["project"], names["version"], names["other"]
