"""A threshold moves with its history and with what the pipeline reads, or not at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient
from jsonschema import Draft202012Validator

from relook.aws.table import Table
from relook.errors import ConflictError, InvalidRequestError, ResourceNotFoundError
from relook.events import DetailType
from relook.quality.thresholds import Band
from relook.registry.history import event_detail, list_history, tell_change
from relook.registry.hosting import finish_hosting, start_hosting, stop_hosting
from relook.registry.model_version import ModelStatus
from relook.registry.models import delete_model, describe_model
from relook.registry.projects import create_project, delete_project, describe_project
from relook.registry.thresholds import KEPT, choose_threshold, list_thresholds, revoke_threshold
from relook.registry.trainings import create_model, finish_training
from tests.account import Cloud
from tests.unit.cutting import ProcessKilled, failing_call, soft_error
from tests.unit.parts import WHO

pytestmark = pytest.mark.slow

OUTBOUND = Path(__file__).parents[2] / "events" / "outbound"
OTHER = "arn:aws:iam::123456789012:user/kim"
OWN_BAND, BAND = Band(0.25, 0.75), Band(0.375, 0.625)


@pytest.fixture
def table(cloud: Cloud) -> Table:
    create_project(cloud.registry, "bracket")
    return cloud.registry


def trained(table: Table) -> str:
    version = create_model(table, "bracket").version
    finish_training(table, "bracket", version, f"sha-{version}", None, "Trained.", borderline=OWN_BAND)
    return version


def hosted(table: Table) -> str:
    version = trained(table)
    start_hosting(table, "bracket", version)
    finish_hosting(table, "bracket", version, who=WHO)
    return version


def choose(table: Table, version: str, value: float, who: str = WHO) -> None:
    choose_threshold(table, "bracket", version, value, how=f"value {value:g}", who=who, borderline=BAND)


def in_force(table: Table) -> tuple[float | None, Band | None]:
    """What the pipeline reads."""
    model = describe_project(table, "bracket").hosted
    assert model is not None
    return model.threshold, model.borderline


def changes(table: Table) -> list[tuple[Any, Any]]:
    """Of thresholds, oldest first."""
    entries = reversed(list(list_history(table, "bracket")))
    return [(each.before, each.after) for each in entries if each.what is DetailType.THRESHOLD_CHANGED]


def test_a_threshold_is_in_force_at_once_and_can_be_taken_back(table: Table) -> None:
    version = hosted(table)
    assert in_force(table) == (None, OWN_BAND)
    choose(table, version, 0.75)
    choose(table, version, 0.875, who=OTHER)
    assert in_force(table) == (0.875, BAND)
    assert describe_model(table, "bracket", version).threshold == 0.875
    assert [(each.value, each.how, each.who) for each in list_thresholds(table, "bracket", version)] == [
        (0.875, "value 0.875", OTHER),
        (0.75, "value 0.75", WHO),
    ]

    revoke_threshold(table, "bracket", version, who=OTHER)
    assert in_force(table) == (0.75, BAND)
    revoke_threshold(table, "bracket", version, who=WHO)
    assert in_force(table) == (None, OWN_BAND)
    with pytest.raises(ConflictError, match="bracket/1 judges by its own threshold"):
        revoke_threshold(table, "bracket", version, who=WHO)
    first, second = {"threshold": 0.75, "how": "value 0.75"}, {"threshold": 0.875, "how": "value 0.875"}
    assert changes(table) == [(None, first), (first, second), (second, first), (first, None)]
    newest, *_, hosting = list_history(table, "bracket")
    assert (newest.who, newest.subject, newest.project) == (WHO, "bracket/1", "bracket")
    assert (hosting.what, hosting.before, hosting.after) == ("Model Hosted", None, {"model_version": "1"})
    assert hosting.summary == "Model Hosted: bracket, none -> model_version 1"


def test_the_last_ten_are_kept(table: Table) -> None:
    version = hosted(table)
    for number in range(KEPT + 3):
        choose(table, version, number / 16)
    kept = [each.value for each in list_thresholds(table, "bracket", version)]
    assert kept == [number / 16 for number in range(KEPT + 2, 2, -1)]
    assert len(changes(table)) == KEPT + 3, "the history keeps all"


def test_hosting_brings_a_versions_threshold_along_and_its_end_the_others(table: Table) -> None:
    first, second = hosted(table), trained(table)
    choose(table, second, 0.75)
    assert in_force(table) == (None, OWN_BAND), "of the version that is hosted"
    start_hosting(table, "bracket", second)
    entry = finish_hosting(table, "bracket", second, who=OTHER)
    assert (entry.before, entry.after) == ({"model_version": first}, {"model_version": second})
    assert in_force(table) == (0.75, BAND)
    choose(table, first, 0.25)
    assert in_force(table) == (0.75, BAND)
    after = stop_hosting(table, "bracket", second, who=OTHER)
    assert after and after.after == {"model_version": first}
    assert in_force(table) == (0.25, BAND)
    last = stop_hosting(table, "bracket", first, who=OTHER)
    assert last and last.after is None
    assert describe_model(table, "bracket", first).threshold == 0.25


def test_stopping_a_version_that_inspects_nothing_changes_nothing_for_the_uploads(table: Table) -> None:
    first, second = hosted(table), hosted(table)
    assert stop_hosting(table, "bracket", first, who=WHO) is None
    assert [each.after for each in list_history(table, "bracket")] == [
        {"model_version": second},
        {"model_version": first},
    ]


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_what_is_no_probability_is_refused(table: Table, value: float) -> None:
    with pytest.raises(InvalidRequestError, match="lies between 0 and 1"):
        choose(table, hosted(table), value)


def test_only_a_trained_version_has_one(table: Table) -> None:
    version = create_model(table, "bracket").version
    with pytest.raises(ConflictError, match="is TRAINING"):
        choose(table, version, 0.5)
    with pytest.raises(ResourceNotFoundError):
        choose(table, "7", 0.5)


def test_the_history_outlives_the_project_and_does_not_keep_it(table: Table) -> None:
    version = hosted(table)
    stop_hosting(table, "bracket", version, who=WHO)
    delete_model(table, "bracket", version)
    delete_project(table, "bracket")
    assert len(list(list_history(table, "bracket"))) == 2


def test_two_who_choose_at_once_lose_nothing(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    version = hosted(table)
    lock, original = threading.Lock(), BaseClient._make_api_call

    def one_at_a_time(self: BaseClient, name: str, arguments: dict[str, Any]) -> Any:
        with lock:  # moto is not made for threads; AWS applies each call as a whole too
            return original(self, name, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", one_at_a_time)
    values = [number / 16 for number in range(1, 9)]
    threads = [threading.Thread(target=choose, args=(table, version, value)) for value in values]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    told = changes(table)
    assert sorted(after["threshold"] for _, after in told) == values
    assert [before for before, _ in told] == [None, *(after for _, after in told[:-1])], "each changed what it found"
    assert in_force(table)[0] == told[-1][1]["threshold"] == list_thresholds(table, "bracket", version)[0].value


def test_a_threshold_that_moves_while_its_version_is_being_hosted_is_not_lost(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = trained(table)
    start_hosting(table, "bracket", version)
    original = Table.write

    def choose_first(self: Table, *writes: Any) -> None:
        monkeypatch.setattr(Table, "write", original)
        choose(table, version, 0.75)
        original(self, *writes)

    monkeypatch.setattr(Table, "write", choose_first)
    finish_hosting(table, "bracket", version, who=WHO)
    assert in_force(table) == (0.75, BAND)


def test_a_version_that_is_hosted_while_its_threshold_moves_judges_by_it(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = trained(table)
    start_hosting(table, "bracket", version)
    original = Table.write

    def host_first(self: Table, *writes: Any) -> None:
        monkeypatch.setattr(Table, "write", original)
        finish_hosting(table, "bracket", version, who=WHO)
        original(self, *writes)

    monkeypatch.setattr(Table, "write", host_first)
    choose(table, version, 0.75)
    assert in_force(table) == (0.75, BAND)


def test_the_events_are_as_the_schemas_say(cloud: Cloud, table: Table) -> None:
    version = hosted(table)
    choose(table, version, 0.75)
    choose(table, version, 0.5)
    stop_hosting(table, "bracket", version, who=OTHER)
    entries = list(list_history(table, "bracket"))
    assert len(entries) == 4
    for entry in entries:
        tell_change(cloud.events, "relook", entry)
    for entry, event in zip(entries, cloud.published(), strict=True):
        folder = event["detail-type"].lower().replace(" ", "-")
        Draft202012Validator(json.loads((OUTBOUND / folder / "schema.json").read_text())).validate(event["detail"])
        assert event["detail"] == event_detail(entry)
    assert "threshold 0.75, how value 0.75 -> threshold 0.5, how value 0.5" in entries[1].summary


@pytest.mark.parametrize("error", [soft_error, ProcessKilled], ids=["error", "killed"])
@pytest.mark.parametrize("after", [False, True], ids=["before it took effect", "after it took effect"])
@pytest.mark.parametrize("change", ["choose", "revoke", "host", "stop"])
def test_wherever_a_change_is_cut_off_it_is_whole(
    table: Table, change: str, error: Callable[[], BaseException], after: bool
) -> None:
    """Version item, project item and history tell the same, and doing it again ends well."""
    first = hosted(table)
    choose(table, first, 0.75)
    done = 0
    for call in range(1, 10):
        version = first
        if change == "host":
            version = trained(table)
            start_hosting(table, "bracket", version)
        if change == "revoke":
            choose(table, first, 0.75)
        if change == "stop" and describe_model(table, "bracket", first).status is ModelStatus.TRAINED:
            start_hosting(table, "bracket", first)
            finish_hosting(table, "bracket", first, who=WHO)
        acts: dict[str, Callable[[], object]] = {
            "choose": partial(choose, table, first, 0.25 + done / 64),
            "revoke": partial(revoke_threshold, table, "bracket", first, who=WHO),
            "host": partial(finish_hosting, table, "bracket", version, who=WHO),
            "stop": partial(stop_hosting, table, "bracket", first, who=WHO),
        }
        act = acts[change]
        before = len(list(list_history(table, "bracket")))
        was_cut_off = cut_off(act, call, error, after=after)
        assert_whole(table)
        assert len(list(list_history(table, "bracket"))) - before in (0, 1)
        if not was_cut_off:
            break
        done += 1
        try:
            act()
        except ConflictError:  # it was done, though nobody was told
            assert len(list(list_history(table, "bracket"))) - before == 1
        assert_whole(table)
    assert 3 <= done < 9, "every call was cut off once"


def cut_off(act: Callable[[], object], fail_at: int, error: Callable[[], BaseException], *, after: bool) -> bool:
    """Whether there was such a call."""
    with failing_call(fail_at, error, after=after) as names:
        try:
            act()
        except (ProcessKilled, Exception):
            assert len(names) == fail_at
            return True
    return len(names) >= fail_at


def assert_whole(table: Table) -> None:
    model = describe_project(table, "bracket").hosted
    newest = next(each for each in list_history(table, "bracket") if each.what is DetailType.MODEL_HOSTED)
    assert newest.after == (model and {"model_version": model.version})
    if model:
        described = describe_model(table, "bracket", model.version)
        assert described.status is ModelStatus.HOSTED
        assert described.as_hosted() == model
    for version in ("1", model.version if model else "1"):
        told = [
            each.after
            for each in list_history(table, "bracket")
            if each.what is DetailType.THRESHOLD_CHANGED and each.subject == f"bracket/{version}"
        ]
        threshold = describe_model(table, "bracket", version).threshold
        assert threshold == (told[0] and told[0]["threshold"] if told else None)
