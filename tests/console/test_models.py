"""The page of a model version: what a threshold would do, moving it, taking it back."""

from __future__ import annotations

import json
import re

import pytest

from cli.threshold import Choice, change_to, read_judge
from relook.aws.bucket import Bucket
from relook.quality.thresholds import Outcome, operating_point
from relook.registry.history import list_history
from relook.registry.model_version import EvaluationFiles, OutputPlace
from relook.registry.models import describe_model
from relook.registry.packages import save_package
from relook.registry.trainings import create_model, finish_training
from tests.console.conftest import Seen, png
from tests.unit.parts import classification_package, hosted_package

HERE = "/projects/bracket/models/1"
OUTCOMES = [("a", False, 0.1), ("b", False, 0.45), ("c", True, 0.4), ("d", True, 0.9)]


@pytest.fixture
def evaluated(seen: Seen) -> Seen:
    """Version 1, trained, evaluated on two normal and two anomalous images."""
    create_model(seen.stack.registry, "bracket", output=OutputPlace("models", "out/"))
    lines = []
    for name, is_anomalous, probability in OUTCOMES:
        seen.stack.images.write(f"evaluation/{name}.png", png(), "image/png")
        is_detected = probability >= 0.5
        lines.append(
            {
                "source-ref": f"s3://images/evaluation/{name}.png",
                "anomaly-label": int(is_anomalous),
                "anomaly-label-detected": int(is_detected),
                "anomaly-label-detected-metadata": {"confidence": probability if is_detected else 1 - probability},
            }
        )
    models = Bucket(seen.stack.clients.s3, "models")
    models.write("out/manifest", "".join(json.dumps(each) + "\n" for each in lines).encode())
    files = EvaluationFiles("out/manifest", "out/result", "out/report")
    sha256 = save_package(models, "bracket", "1", classification_package())
    finish_training(seen.stack.registry, "bracket", "1", sha256, None, "The model is trained.", evaluation=files)
    return seen


def changed(text: str) -> list[str]:
    strip = text.partition("would change sides")[2].partition("Use this threshold")[0]
    return re.findall(r'<span class="file">(\w)\.png', strip)


def test_it_shows_what_another_threshold_would_do_and_keeps_nothing(evaluated: Seen) -> None:
    text = evaluated.browser.get(f"{HERE}?threshold=0.42").text
    assert changed(text) == ["b"]
    point = operating_point([Outcome(*each) for each in OUTCOMES], 0.42)
    for rate in (point.confusion.false_alarm_rate, point.confusion.recall):
        assert f"{rate.hits} of {rate.total}" in text
    assert describe_model(evaluated.stack.registry, "bracket", "1").threshold is None


def test_the_threshold_in_force_changes_no_sides(evaluated: Seen) -> None:
    text = evaluated.browser.get(HERE).text
    assert "would change sides" not in text
    assert "1 of 2" in text


def test_a_threshold_is_moved_and_taken_back(evaluated: Seen) -> None:
    registry = evaluated.stack.registry
    assert evaluated.change(f"{HERE}/threshold", data={"threshold": "0.42"}).headers["location"] == HERE
    assert describe_model(registry, "bracket", "1").threshold == pytest.approx(0.42, abs=1e-6)
    assert "moved in the console" in evaluated.browser.get(HERE).text
    evaluated.change(f"{HERE}/threshold", data={"revoke": "yes"})
    assert describe_model(registry, "bracket", "1").threshold is None
    assert len(list(list_history(registry, "bracket"))) == 2


@pytest.mark.parametrize("value", ["", "2", "-0.1", "half", "nan"])
def test_what_is_no_threshold_gets_a_sentence(evaluated: Seen, value: str) -> None:
    answer = evaluated.change(f"{HERE}/threshold", data={"threshold": value})
    assert answer.status_code == 400
    assert "no threshold" in answer.text
    assert describe_model(evaluated.stack.registry, "bracket", "1").threshold is None


def test_pictures_of_the_evaluation(evaluated: Seen) -> None:
    assert evaluated.browser.get(f"{HERE}/images/0").headers["content-type"] == "image/jpeg"
    assert evaluated.browser.get(f"{HERE}/images/99").status_code == 404


def test_a_version_that_was_not_evaluated_says_so(seen: Seen) -> None:
    registry = seen.stack.registry
    hosted_package(registry, seen.stack.clients.s3, "bracket", classification_package())
    assert "was not evaluated" in seen.browser.get(HERE).text


def test_the_page_and_the_command_tell_the_same(evaluated: Seen) -> None:
    judge = read_judge(evaluated.stack, "bracket", "1")
    change = change_to(judge, Choice(0.42, "tried"))
    text = evaluated.browser.get(f"{HERE}?threshold=0.42").text
    assert changed(text) == [each.name.rpartition("/")[2][0] for each in change.changed] == ["b"]
    shown = [int(hits) for hits, _ in re.findall(r"(\d+) of (\d+)</span>", text)]
    points = (change.before.confusion, change.after.confusion)
    rates = [[each.false_alarm_rate.hits for each in points], [each.recall.hits for each in points]]
    assert shown[:4] == [hits for pair in rates for hits in pair]


def test_there_is_nothing_to_take_back(evaluated: Seen) -> None:
    answer = evaluated.change(f"{HERE}/threshold", data={"revoke": "yes"})
    assert answer.status_code == 400
    assert "none to revoke" in answer.text
