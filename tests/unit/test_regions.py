"""A project's regions are painted, changed and cleared with their history and event, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from cli import quality
from cli import regions as command
from cli.stack import Stack
from relook.aws.bucket import Bucket
from relook.aws.clients import Clients
from relook.aws.table import Table
from relook.detection.regions import Regions
from relook.errors import InvalidRequestError, RelookError, ResourceNotFoundError, TrainingDataError
from relook.registry.history import HistoryEntry, event_detail, list_history
from relook.registry.projects import create_project, delete_project, describe_project
from relook.registry.regions import clear_regions, delete_masks, read_regions, set_regions
from relook.registry.trainings import create_model, finish_training
from tests.account import SETTINGS, Cloud
from tests.unit.cutting import ProcessKilled, failing_call, soft_error
from tests.unit.detection.test_regions import painted, png
from tests.unit.parts import WHO

SCHEMA = Path(__file__).parents[2] / "events" / "outbound" / "regions-changed" / "schema.json"
OTHER = "arn:aws:iam::123456789012:user/kim"
FIRST, SECOND = png(painted()), png(np.fliplr(painted()))


@pytest.fixture
def stack(cloud: Cloud) -> Stack:
    cloud.s3.create_bucket(Bucket="datasets")
    create_project(cloud.registry, "bracket")
    names = {
        "RegistryTable": SETTINGS.registry_table,
        "DatasetsBucket": "datasets",
        "EventBus": SETTINGS.event_bus,
    }
    return Stack(names, Clients())


def paint(stack: Stack, mask: bytes, who: str = WHO) -> HistoryEntry | None:
    return set_regions(stack.registry, stack.datasets, "bracket", mask, who=who)


def ignored(table: Table, datasets: Bucket) -> Regions | None:
    """What the next training reads."""
    kept = describe_project(table, "bracket").regions
    return read_regions(datasets, kept.key) if kept else None


def changes(table: Table) -> list[HistoryEntry]:
    """Oldest first."""
    return list(reversed(list(list_history(table, "bracket"))))


def test_a_project_made_anew_meanwhile_gets_no_mask_of_the_former(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(datasets: Bucket, key: str, data: bytes, content_type: str) -> str:
        former = describe_project(stack.registry, "bracket")
        version = original(datasets, key, data, content_type)
        delete_project(stack.registry, "bracket")
        delete_masks(datasets, former)
        create_project(stack.registry, "bracket")
        return version

    original = Bucket.write
    monkeypatch.setattr(Bucket, "write", write)
    with pytest.raises(ResourceNotFoundError):
        paint(stack, FIRST)
    assert describe_project(stack.registry, "bracket").regions is None


def test_regions_are_painted_over_and_cleared_with_their_history(stack: Stack) -> None:
    assert paint(stack, FIRST) is not None
    assert ignored(stack.registry, stack.datasets) == Regions.from_mask(FIRST)
    kept = describe_project(stack.registry, "bracket").regions
    assert kept is not None
    assert kept.who == WHO
    assert kept.share == pytest.approx(400 / 4800)
    assert paint(stack, SECOND, OTHER) is not None
    assert ignored(stack.registry, stack.datasets) == Regions.from_mask(SECOND)
    assert clear_regions(stack.registry, "bracket", who=WHO) is not None
    assert describe_project(stack.registry, "bracket").regions is None

    first, second, third = changes(stack.registry)
    assert [each.who for each in (first, second, third)] == [WHO, OTHER, WHO]
    assert (first.before, third.after) == (None, None)
    assert (first.after, second.after) == (second.before, third.before)
    assert first.after is not None
    assert first.after == {"ignored_share": kept.share, "mask_key": kept.key}
    assert read_regions(stack.datasets, first.after["mask_key"]) == Regions.from_mask(FIRST), "versions may know it"


def test_what_is_so_already_is_no_change(stack: Stack) -> None:
    assert clear_regions(stack.registry, "bracket", who=WHO) is None
    paint(stack, FIRST)
    assert paint(stack, FIRST, OTHER) is None
    kept = describe_project(stack.registry, "bracket").regions
    assert kept is not None
    assert kept.who == WHO, "who painted it"
    assert len(changes(stack.registry)) == 1


def test_the_events_are_as_the_schema_says(stack: Stack, cloud: Cloud, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    for data in (FIRST, SECOND):
        mask.write_bytes(data)
        command.change(stack, "bracket", mask)
    command.change(stack, "bracket", None)
    command.change(stack, "bracket", None)
    told = [event["detail"] for event in cloud.published()]
    assert told == [event_detail(each) for each in changes(stack.registry)]
    assert len(told) == 3
    for each in told:
        Draft202012Validator(json.loads(SCHEMA.read_text())).validate(each)


def test_a_project_or_mask_that_is_not_there_is_named(stack: Stack, tmp_path: Path) -> None:
    with pytest.raises(ResourceNotFoundError, match="Project cup does not exist"):
        set_regions(stack.registry, stack.datasets, "cup", FIRST, who=WHO)
    with pytest.raises(ResourceNotFoundError, match="Project cup does not exist"):
        clear_regions(stack.registry, "cup", who=WHO)
    with pytest.raises(TrainingDataError, match=r"s3://datasets/regions/a\.png\); paint them again"):
        read_regions(stack.datasets, "regions/a.png")
    with pytest.raises(InvalidRequestError):
        paint(stack, png(np.zeros((60, 80), np.uint8)))
    assert not stack.datasets.etags("regions/"), "nothing was written"


def test_two_who_paint_at_once_both_stand_in_the_history(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Table.write

    def another_first(self: Table, *writes: object) -> None:
        monkeypatch.setattr(Table, "write", original)
        paint(stack, SECOND, OTHER)
        original(self, *writes)  # type: ignore[arg-type]

    monkeypatch.setattr(Table, "write", another_first)
    paint(stack, FIRST)
    assert [each.who for each in changes(stack.registry)] == [OTHER, WHO]
    before, after = changes(stack.registry)
    assert before.after == after.before, "each changed what it found"
    assert ignored(stack.registry, stack.datasets) == Regions.from_mask(FIRST)


@pytest.mark.slow
@pytest.mark.parametrize("error", [soft_error, ProcessKilled], ids=["error", "killed"])
@pytest.mark.parametrize("after", [False, True], ids=["before it took effect", "after it took effect"])
@pytest.mark.parametrize("change", ["paint", "clear"])
def test_wherever_a_change_is_cut_off_it_is_whole(
    stack: Stack, change: str, error: Callable[[], BaseException], after: bool
) -> None:
    """The item points to a mask that is there, the history tells the same, and doing it again ends well."""
    act: Callable[[], object] = partial(paint, stack, SECOND)
    if change == "clear":
        act = partial(clear_regions, stack.registry, "bracket", who=WHO)
    for call in range(1, 10):
        paint(stack, FIRST)
        count = len(changes(stack.registry))
        with failing_call(call, error, after=after) as names:
            with suppress(ProcessKilled, RelookError):
                act()
            was_cut_off = len(names) == call
        assert_whole(stack)
        act()
        assert_whole(stack)
        assert len(changes(stack.registry)) == count + 1
        assert (ignored(stack.registry, stack.datasets) is None) == (change == "clear")
        if not was_cut_off:
            break
    assert call == (5 if change == "paint" else 3), "every call was cut off once"


def assert_whole(stack: Stack) -> None:
    kept = describe_project(stack.registry, "bracket").regions
    newest = changes(stack.registry)[-1]
    assert newest.after == (kept and {"ignored_share": kept.share, "mask_key": kept.key})
    ignored(stack.registry, stack.datasets)


def run(monkeypatch: pytest.MonkeyPatch, stack: Stack, *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(quality, "connect", lambda _: stack)
    result = CliRunner().invoke(quality.app, ["regions", "bracket", *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_the_command_paints_shows_writes_and_clears(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask, written = tmp_path / "mask.png", tmp_path / "written.png"
    mask.write_bytes(FIRST)
    command.print_regions("bracket", None, [])
    told = capsys.readouterr()
    assert told.out == "bracket ignores nothing\n"
    assert "relook regions bracket MASK.png" in told.err
    assert run(monkeypatch, stack, str(mask), "--output", str(written))[0] == 0
    assert Regions.from_mask(written.read_bytes()) == Regions.from_mask(FIRST)
    kept = describe_project(stack.registry, "bracket").regions
    assert kept is not None
    status, shown, _ = run(monkeypatch, stack, "--json")
    assert status == 0
    assert json.loads(shown)["regions"] == {
        "ignored_share": kept.share,
        "mask_key": kept.key,
        "changed_by": stack.clients.caller,
        "changed_at": kept.at.isoformat(),
        "model_versions": [],
    }
    command.print_regions("bracket", *command.read(stack, "bracket"))
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == "bracket ignores 8.33% of the image"
    assert second.startswith(f"painted by {stack.clients.caller}, ")
    assert third == "trained with it none yet: relook retrain bracket"
    assert run(monkeypatch, stack, "--clear", "--json")[1] == '{"project": "bracket", "regions": null}\n'
    assert run(monkeypatch, stack, str(mask), "--clear")[0] == 2
    with pytest.raises(Exception, match="Project bracket ignores nothing, so there is no mask"):
        run(monkeypatch, stack, "--output", str(written))
    with pytest.raises(Exception, match=r"missing\.png cannot be read: No such file"):
        run(monkeypatch, stack, str(tmp_path / "missing.png"))


def test_versions_that_were_trained_with_them_are_named(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    versions = {}
    for mask in (FIRST, SECOND, None, FIRST):
        if mask:
            paint(stack, mask)
        kept = describe_project(stack.registry, "bracket").regions
        assert kept is not None
        version = create_model(stack.registry, "bracket").version
        key = kept.key if mask else None
        finish_training(stack.registry, "bracket", version, "sha", None, "Trained.", regions_key=key)
        versions[version] = Regions.from_mask(mask) if mask else None

    assert {each: command.regions_of_version(stack, "bracket", each) for each in versions} == versions
    assert command.regions_of_version(stack, "bracket", "17") is None
    assert command.regions_of_version(stack, "elsewhere", "remote") is None
    command.print_regions("bracket", *command.read(stack, "bracket"))
    assert "trained with it bracket/4, bracket/1" in capsys.readouterr().out


def test_a_mask_of_more_than_half_the_image_is_questioned(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    paint(stack, png(255 - painted()))
    command.print_regions("bracket", *command.read(stack, "bracket"))
    assert "More than half is ignored" in capsys.readouterr().err
