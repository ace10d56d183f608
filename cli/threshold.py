"""`relook threshold`: what a threshold would have done on the evaluation's images, and taking it."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, replace
from typing import Any

import typer
from rich.table import Table as RichTable
from rich.text import Text

from cli.output import CommandError, err, out, printable, rate_text, table
from cli.stack import Stack
from relook.errors import InvalidRequestError
from relook.float32 import exact_float32
from relook.quality.thresholds import (
    OperatingPoint,
    Outcome,
    ThresholdChange,
    borderline_band,
    operating_point,
    threshold_change,
    threshold_for_false_alarms,
    threshold_for_recall,
)
from relook.registry.manifest_entry import class_name
from relook.registry.model_version import ModelVersion
from relook.registry.models import describe_model
from relook.registry.packages import load_manifest
from relook.registry.thresholds import choose_threshold, revoke_threshold
from relook.training.evaluation import read_outcomes

_USUAL_FALSE_ALARMS, _USUAL_RECALL = 0.01, 0.99  # one image in a hundred, either way, where no goal is given
_SHOWN = 20
"""Images that change sides, before the rest is counted."""


@dataclass(frozen=True)
class Judge:
    """A model version, and what it said of images that it did not learn from.

    Attributes:
        own: the threshold that it was trained with.
        outcomes: empty where it was not evaluated.
    """

    model: ModelVersion
    own: float
    outcomes: list[Outcome]

    @property
    def in_force(self) -> float:
        """The threshold that it judges by."""
        return self.model.threshold_in_force(self.own)


@dataclass(frozen=True)
class Choice:
    """A threshold that could be taken.

    Attributes:
        how: how it was chosen, for people.
        revokes: whether it is the one before, taken up again.
    """

    value: float
    how: str
    revokes: bool = False


def read_judge(stack: Stack, project: str, version: str | None) -> Judge:
    """The version, the hosted one unless given.

    Raises:
        CommandError: none is given and none hosted, or it is not trained.
        ResourceNotFoundError: no such project or version.
    """
    model = describe_model(stack.registry, project, version or stack.hosted_model(project).version)
    if model.package_sha256 is None:
        raise CommandError(f"Model {project}/{model.version} is {model.status}; it has a threshold once it is trained")
    own = load_manifest(stack.models, project, model.version).threshold
    outcomes = []
    if model.output and model.evaluation:
        outcomes = read_outcomes(stack.bucket(model.output.bucket).read(model.evaluation.manifest_key))
    return Judge(model, own, outcomes)


def choice_for(
    judge: Judge, *, false_alarms: float | None, recall: float | None, value: float | None, revoke: bool
) -> Choice | None:
    """What is asked for; None where nothing is. Shares and the value are 0..1.

    Raises:
        CommandError: more than one thing is asked for, or there is nothing to choose by.
        InvalidRequestError: the evaluation cannot tell, or the value is no probability.
    """
    if sum((false_alarms is not None, recall is not None, value is not None, revoke)) > 1:
        raise CommandError("Give one of --false-alarms, --recall, --value and --revoke")
    if revoke:
        return _before(judge)
    if value is not None:
        return Choice(exact_float32(value), f"value {value:g}")
    if false_alarms is None and recall is None:
        return None
    if not judge.outcomes:
        raise CommandError(f"Model {judge.model.name} was not evaluated: there is nothing to choose by; give --value")
    if false_alarms is not None:
        return Choice(
            exact_float32(threshold_for_false_alarms(judge.outcomes, false_alarms)),
            f"false alarms {false_alarms * 100:g}%",
        )
    assert recall is not None
    return Choice(exact_float32(threshold_for_recall(judge.outcomes, recall)), f"recall {recall * 100:g}%")


def change_to(judge: Judge, choice: Choice) -> ThresholdChange:
    """What the choice would have done."""
    return threshold_change(judge.outcomes, judge.in_force, choice.value)


def take(stack: Stack, judge: Judge, choice: Choice) -> None:
    """Judge by it from now on, and tell."""
    which, who = (stack.registry, judge.model.project, judge.model.version), stack.clients.caller
    if choice.revokes:
        stack.tell(revoke_threshold(*which, who=who))
        return
    borderline = borderline_band(judge.outcomes, choice.value) if judge.outcomes else None
    stack.tell(choose_threshold(*which, choice.value, how=choice.how, who=who, borderline=borderline))


def confirm() -> bool:
    """Ask the person at the terminal.

    Raises:
        CommandError: there is none.
    """
    if not is_terminal():
        raise CommandError("Nobody can be asked, for standard input is no terminal; add --yes to take the threshold")
    return typer.confirm("Judge by it from now on?", err=True)


def is_terminal() -> bool:
    """Whether somebody can answer."""
    return sys.stdin.isatty()


def usual_choices(judge: Judge) -> list[Choice]:
    """What it judges by now, what it judged by, and what one might ask for, as far as the evaluation can tell."""
    choices = [Choice(each.value, each.how) for each in reversed(judge.model.thresholds)]
    choices.append(Choice(judge.own, "as it was trained"))
    choices[0] = replace(choices[0], how=f"{choices[0].how} (in force)")
    for asked in ({"false_alarms": _USUAL_FALSE_ALARMS}, {"recall": _USUAL_RECALL}):
        try:
            nothing = {"false_alarms": None, "recall": None, "value": None}
            choice = choice_for(judge, **{**nothing, **asked}, revoke=False) if judge.outcomes else None
        except InvalidRequestError:  # of too few images nothing can be said
            continue
        choices += [choice] if choice else []
    return choices


def print_choices(judge: Judge) -> None:
    """For people: a line for each, with what it would have done."""
    out.print(Text(judge.model.name, "bold"), _evaluated(judge), markup=False)
    out.print(_table([(each.how, operating_point(judge.outcomes, each.value)) for each in usual_choices(judge)]))


def print_change(judge: Judge, choice: Choice) -> None:
    """For people: before and after, and the images whose verdict changes."""
    change = change_to(judge, choice)
    out.print(Text(judge.model.name, "bold"), _evaluated(judge), markup=False)
    out.print(_table([("now", change.before), (choice.how, change.after)]))
    if not judge.outcomes:
        return
    becomes = "anomalous" if choice.value < judge.in_force else "normal"
    images = "image" if len(change.changed) == 1 else "images"
    out.print(f"{len(change.changed)} {images} would become {becomes}", markup=False)
    for each in change.changed[:_SHOWN]:
        label = class_name(each.is_anomalous)
        name = printable(each.name)
        out.print(f"  {each.anomaly_probability:.4f}  labelled {label:8}{name}", markup=False, soft_wrap=True)
    if len(change.changed) > _SHOWN:
        out.print(f"  and {len(change.changed) - _SHOWN} more; --json has them all", markup=False)


def print_taken(judge: Judge, choice: Choice) -> None:
    """On standard error, beside whatever the command prints."""
    err.print(f"{judge.model.name} judges by {choice.value:g} from now on", markup=False)


def choices_json(judge: Judge) -> dict[str, Any]:
    """For scripts."""
    return {
        **_judge_json(judge),
        "choices": [
            {"how": each.how, **point_json(operating_point(judge.outcomes, each.value))}
            for each in usual_choices(judge)
        ],
    }


def change_json(judge: Judge, choice: Choice, *, is_taken: bool) -> dict[str, Any]:
    """For scripts."""
    change = change_to(judge, choice)
    return {
        **_judge_json(judge),
        "how": choice.how,
        "before": point_json(change.before),
        "after": point_json(change.after),
        "changed": [asdict(each) for each in change.changed],
        "is_taken": is_taken,
    }


def point_json(point: OperatingPoint) -> dict[str, Any]:
    """A threshold with its counts and rates."""
    confusion = point.confusion
    return {
        "threshold": point.threshold,
        **asdict(confusion),
        "recall": asdict(confusion.recall),
        "false_alarm_rate": asdict(confusion.false_alarm_rate),
    }


def _before(judge: Judge) -> Choice:
    if not judge.model.thresholds:
        raise CommandError(
            f"Model {judge.model.name} judges by its own threshold, {judge.own:g}; there is none to revoke"
        )
    if len(judge.model.thresholds) == 1:
        return Choice(judge.own, "as it was trained", revokes=True)
    before = judge.model.thresholds[-2]
    return Choice(before.value, before.how, revokes=True)


def _judge_json(judge: Judge) -> dict[str, Any]:
    return {"project": judge.model.project, "model_version": judge.model.version, "images": len(judge.outcomes)}


def _evaluated(judge: Judge) -> str:
    if not judge.outcomes:
        return "was not evaluated: what a threshold would have done is unknown"
    anomalous = sum(each.is_anomalous for each in judge.outcomes)
    return f"on the {len(judge.outcomes) - anomalous} normal and {anomalous} anomalous images of its evaluation"


def _table(points: list[tuple[str, OperatingPoint]]) -> RichTable:
    columns = ("threshold", "chosen by", "found of the anomalous", "false alarms of the normal")
    thresholds = table(*columns, right=["threshold"])
    for how, point in points:
        rates = (point.confusion.recall, point.confusion.false_alarm_rate)
        thresholds.add_row(
            f"{point.threshold:.4f}", Text(printable(how)), *(rate_text(each, "images") for each in rates)
        )
    return thresholds
