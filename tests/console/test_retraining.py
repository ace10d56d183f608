"""Retraining, comparing, hosting and going back from the pages: the API, the training and the console in process."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from markupsafe import escape
from starlette.testclient import TestClient

from cli.console.app import create_app
from cli.retraining import compare_versions, comparison_rows
from cli.training import host_version
from relook.registry.history import list_history
from relook.registry.models import describe_model
from relook.registry.projects import describe_project
from relook.registry.thresholds import choose_threshold
from relook.registry.trainings import fail_training, report_training
from tests.console.conftest import ORIGIN, PORT, Seen
from tests.unit.training.labeled_parts import put_dataset
from tests.unit.training.test_retraining import Plant, plant

pytestmark = pytest.mark.slow

HERE = "/projects/bracket"


@pytest.fixture
def here() -> Iterator[Plant]:
    with plant() as made:
        put_dataset(made.door.registry, made.door.cloud.s3, 12, 4)
        yield made


def console(here: Plant) -> Seen:
    """As it is when it was just started."""
    return Seen(here.stack, TestClient(create_app(here.stack, "local", PORT), base_url=ORIGIN))


def finished(seen: Seen, address: str) -> str:
    """The page, once what it waits for is over."""
    deadline = time.monotonic() + 60
    while "data-running" in (text := seen.browser.get(address).text):
        assert time.monotonic() < deadline, text
        time.sleep(0.05)
    return text


def note(text: str) -> str:
    return re.sub(r"<[^>]+>", "", text.partition('<p class="note')[2].partition("</p>")[0]).partition(">")[2]


def test_a_training_is_started_once_and_its_progress_outlives_the_console(here: Plant) -> None:
    seen, registry = console(here), here.stack.registry
    assert "trains version 1 on these images" in seen.browser.get(HERE).text
    assert seen.change(f"{HERE}/retrain").headers["location"] == HERE
    assert here.door.training_requests() == [{"project": "bracket", "version": "1"}]
    report_training(registry, "bracket", "1", "The model is being trained: learning what is normal, 2 of 5.")

    again = seen.change(f"{HERE}/retrain")
    assert again.status_code == 400 and "Version 1 of bracket is being trained already" in again.text
    assert here.door.training_requests() == []

    for address in (HERE, f"{HERE}/training", f"{HERE}/models/1"):
        text = console(here).browser.get(address).text
        assert f'data-running="{HERE}/training"' in text
        assert "learning what is normal, 2 of 5." in note(text)
    assert "Retrain</button>" not in text

    fail_training(registry, "bracket", "1", "There are too few <normal> images.")
    text = seen.browser.get(HERE).text
    assert "data-running" not in text and "data-running" not in seen.browser.get(f"{HERE}/training").text
    assert "Version 1 failed to train There are too few &lt;normal&gt; images." in note(text)

    seen.change(f"{HERE}/retrain")
    assert here.door.training_requests() == [{"project": "bracket", "version": "2"}]


def test_what_cannot_be_trained_is_refused_in_the_apis_words(here: Plant) -> None:
    here.stack.lookout.delete_dataset(ProjectName="bracket", DatasetType="train")
    refused = console(here).change(f"{HERE}/retrain")
    assert refused.status_code == 400
    assert "has no train dataset; create one with labelled images first" in refused.text


def test_a_dataset_that_refused_a_change_says_why(here: Plant) -> None:
    here.label("s3://elsewhere/new.png", True)
    described = here.stack.lookout.describe_dataset(ProjectName="bracket", DatasetType="train")["DatasetDescription"]
    assert described["Status"] == "UPDATE_FAILED_ROLLBACK_COMPLETE"
    assert str(escape(described["StatusMessage"])) in console(here).browser.get(HERE).text


@pytest.mark.parametrize("address", ["retrain", "models/1/host", "models/2/compare/1"])
def test_without_the_pages_token_nothing_is_begun(here: Plant, address: str) -> None:
    answer = console(here).browser.post(f"{HERE}/{address}", headers={"origin": ORIGIN})
    assert answer.status_code == 403
    assert here.door.training_requests() == []


def test_a_candidate_is_compared_hosted_and_taken_back(here: Plant) -> None:
    seen, stack = console(here), here.stack
    here.retrain()
    host_version(stack, "bracket", "1")
    here.put("more/scratched.png", True, 700)
    seen.change(f"{HERE}/retrain")
    here.on_step("the queue's function trains it")

    assert "Version 2 is trained and not hosted." in note(seen.browser.get(HERE).text)
    against = f"{HERE}/models/2/compare/1"
    assert f'href="{against}"' in seen.browser.get(HERE).text
    assert f'href="{against}"' in seen.browser.get(f"{HERE}/models/2").text
    text = finished(seen, against)
    assert "<th>hosted: version 1</th><th>candidate: version 2</th>" in text
    expected = compare_versions(stack, "bracket", "1", "2", lambda _: None)
    rows = re.findall(r"<tr><td>([^<]+)</td><td>([^<]+)</td><td>([^<]+)</td></tr>", text)
    assert rows == comparison_rows(expected)
    assert expected.verdicts.reading in text
    assert f"Judged on {expected.images} images. {expected.judged_on}" in text
    assert text.count('<li class="card') == len(expected.verdicts.disagreements)

    # Kept as long as nothing it was made of changes: a threshold that is moved does.
    assert "data-running" not in seen.browser.get(against).text
    choose_threshold(stack.registry, "bracket", "1", 0.001, how="value 0.001", who="arn:aws:iam::1:user/jo")
    text = finished(seen, against)
    assert "<tr><td>threshold</td><td>0.001</td>" in text
    disagreements = compare_versions(stack, "bracket", "1", "2", lambda _: None).verdicts.disagreements
    assert text.count('<li class="card') == len(disagreements) > 0
    for picture in re.findall(r'<img src="([^"]+)"', text):
        assert seen.browser.get(picture).headers["content-type"] == "image/jpeg"

    assert "in place of version 1" in seen.browser.get(f"{HERE}/models/2").text
    assert seen.change(f"{HERE}/models/2/host").headers["location"] == f"{HERE}/models/2"
    assert hosted(here) == "2"
    assert "<th>version 1</th><th>candidate: version 2</th>" in finished(seen, against), "it is hosted no more"
    text = seen.browser.get(f"{HERE}/models/2").text
    assert "HOSTED: it inspects the uploads" in text and "Go back to version 1" in text
    seen.change(f"{HERE}/models/1/host")
    assert hosted(here) == "1"
    (back, there, *_) = (each for each in list_history(stack.registry, "bracket") if each.what == "Model Hosted")
    assert (there.after, back.after) == ({"model_version": "2"}, {"model_version": "1"})
    assert seen.browser.get(HERE).text.count("<td>Model Hosted</td>") == 3

    assert "Go back to version 2" in seen.browser.get(f"{HERE}/models/1").text
    stack.lookout.delete_model(ProjectName="bracket", ModelVersion="2")
    assert "Go back" not in seen.browser.get(f"{HERE}/models/1").text


def test_what_cannot_be_compared_says_why_and_is_tried_again_when_asked(here: Plant) -> None:
    seen = console(here)
    here.retrain()
    files = describe_model(here.stack.registry, "bracket", "1").evaluation
    assert files is not None
    report = here.stack.datasets.read(files.report_key)
    here.stack.datasets.delete(files.report_key)
    against = f"{HERE}/models/1/compare/1"
    assert "They cannot be compared" in note(finished(seen, against))
    here.stack.datasets.write(files.report_key, report)
    assert "They cannot be compared" in note(seen.browser.get(against).text)
    assert seen.change(against).headers["location"] == against
    assert "The versions give every image the same verdict." in finished(seen, against)
    assert seen.browser.get(f"{HERE}/models/1/compare/7").status_code == 404


def hosted(here: Plant) -> Any:
    current = describe_project(here.stack.registry, "bracket").hosted
    return current and current.version
