"""One model version: how good it is, what another threshold would do, its worst mistakes; and what can be changed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from cli.console import charts
from cli.console.pages import Sent, change, console_of, render
from cli.console.pictures import as_model_sees, jpeg, reduced
from cli.console.retraining import training_state, version_before
from cli.threshold import Choice, Judge, choice_for, read_judge, take
from relook.aws.bucket import S3Uri
from relook.errors import ImageRejectedError, InvalidRequestError, NoSuchObjectError
from relook.quality.thresholds import (
    OperatingPoint,
    Outcome,
    operating_point,
    precision_recall_curve,
    threshold_change,
)
from relook.registry.models import describe_model
from relook.registry.projects import describe_project
from relook.registry.thresholds import list_thresholds

_MISTAKES = 12  # the first ones, as pictures: whole rows of 2, 3, 4 or 6
_BINS = 20  # of the anomaly probability: steps of 5 %


@dataclass(frozen=True)
class _Shown:
    """An image of the evaluation; `number` is its line in the evaluation's manifest."""

    number: int
    outcome: Outcome


def model(request: Request) -> Response:
    """GET /projects/{project}/models/{version}: with `threshold`, what that one would do."""
    console = console_of(request)
    registry = console.stack.registry
    described = describe_model(registry, request.path_params["project"], request.path_params["version"])
    project = describe_project(registry, described.project)
    is_hosted = project.hosted is not None and project.hosted.version == described.version
    shown: dict[str, Any] = {
        "model": described,
        "is_hosted": is_hosted,
        "previous": version_before(console.stack, project) if is_hosted else None,
        **training_state(project, [described]),
    }
    if described.package_sha256 is None:
        return render(request, "model.html", **shown, outcomes=0, chosen=[])
    judge = _judge(request)
    asked = request.query_params.get("threshold")
    tried = _threshold(asked) if asked else judge.in_force
    evaluated = _evaluated(judge, tried) if judge.outcomes else {"outcomes": 0}
    return render(
        request,
        "model.html",
        **shown,
        current=judge.in_force,
        tried=tried,
        chosen=list_thresholds(registry, described.project, described.version),
        **evaluated,
    )


def image(request: Request) -> Response:
    """GET /projects/{project}/models/{version}/images/{number}: a thumbnail of an image of the evaluation."""
    stack, judge = console_of(request).stack, _judge(request)
    number = request.path_params["number"]
    if number >= len(judge.outcomes):
        return PlainTextResponse("The evaluation has no such image", 404)
    try:
        data = stack.read(S3Uri.parse(judge.outcomes[number].name))
        return jpeg(reduced(as_model_sees(stack, judge.model.project, judge.model.version, data)))
    except (NoSuchObjectError, ImageRejectedError, ValueError):
        return PlainTextResponse("The picture is no longer there", 404)


@change
def move_threshold(request: Request, sent: Sent) -> Response:
    """POST /projects/{project}/models/{version}/threshold: `threshold`, or `revoke` for the one before."""
    judge = _judge(request)
    if sent.get("revoke"):
        choice = choice_for(judge, false_alarms=None, recall=None, value=None, revoke=True)
    else:
        choice = Choice(_threshold(sent.get("threshold") or ""), "moved in the console")
    assert choice is not None
    take(console_of(request).stack, judge, choice)
    return RedirectResponse(f"/projects/{judge.model.project}/models/{judge.model.version}", 303)


def _evaluated(judge: Judge, tried: float) -> dict[str, Any]:
    outcomes, current = judge.outcomes, judge.in_force
    moved = threshold_change(outcomes, current, tried)
    numbers = {outcome: number for number, outcome in enumerate(outcomes)}
    shown = [_Shown(numbers[each], each) for each in moved.changed]
    wrong = [each for each in outcomes if (each.anomaly_probability >= tried) != each.is_anomalous]
    wrong.sort(key=lambda each: -abs(each.anomaly_probability - tried))
    return {
        "outcomes": len(outcomes),
        "before": moved.before,
        "after": moved.after,
        "changed": shown,
        "mistakes": [_Shown(numbers[each], each) for each in wrong[:_MISTAKES]],
        "histogram": _histogram(outcomes, current, tried),
        "curve": _curve(outcomes, operating_point(outcomes, tried)),
    }


def _histogram(outcomes: Sequence[Outcome], current: float, tried: float) -> Markup:
    edges = [number / _BINS for number in range(_BINS + 1)]
    counts = {False: [0] * _BINS, True: [0] * _BINS}
    for each in outcomes:
        counts[each.is_anomalous][min(bisect_right(edges, each.anomaly_probability) - 1, _BINS - 1)] += 1
    lines = [charts.Line(current, "in force" if tried != current else "threshold", "threshold")]
    if tried != current:
        lines.append(charts.Line(tried, "tried", "limit"))
    series = [("normal", counts[False]), ("anomalous", counts[True])]
    return charts.histogram(edges, series, title="Anomaly probabilities of the evaluation", lines=lines)


def _curve(outcomes: Sequence[Outcome], point: OperatingPoint) -> Markup | None:
    points = [
        (each.recall, each.precision)
        for each in precision_recall_curve(outcomes)
        if each.recall is not None and each.precision is not None
    ]
    if not points:
        return None
    recall, precision = point.confusion.recall.share, point.confusion.precision.share
    chosen = None if recall is None or precision is None else (recall, precision)
    return charts.curve(points, chosen, title="Precision against recall")


def _judge(request: Request) -> Judge:
    names = request.path_params
    return read_judge(console_of(request).stack, names["project"], names["version"])


def _threshold(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise InvalidRequestError(f"{text!r} is no threshold; it is a probability between 0 and 1, such as 0.4")
    return value
