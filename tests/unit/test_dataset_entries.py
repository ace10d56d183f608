"""Reviewed images as entries of datasets: by way of the API in this process, once, and out again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cli import dataset_entries
from cli.dataset_entries import inspection_of, join_dataset, label_entry, leave_dataset, store_mask
from cli.reviewing import Opinion, find_record, go_through, production, say, to_json
from cli.stack import Stack
from cli.training import host_version
from relook.aws.bucket import S3Uri
from relook.aws.table import Item
from relook.errors import AwsError, ConflictError, InvalidRequestError, NoSuchObjectError, ReviewedMeanwhileError
from relook.registry.dataset_type import DatasetType
from relook.registry.history import event_detail, list_history
from relook.registry.inspections import RecordId, image_of
from relook.registry.manifest_entry import ManifestEntry, entry_line, parse_entry
from relook.registry.projects import create_project, describe_project
from relook.registry.reviewed_entries import ReviewedEntry
from relook.registry.reviews import ReviewVerdict, waiting
from tests.account import Cloud
from tests.contract.front_door import opened
from tests.unit.cutting import ProcessKilled, failing_call, soft_error
from tests.unit.parts import SCRATCH_COLOR, classification_package, hosted_package, part, part_png, png

pytestmark = pytest.mark.slow

TRAIN, TEST = DatasetType.TRAIN, DatasetType.TEST
RIGHT, WRONG, UNSURE = ReviewVerdict.RIGHT, ReviewVerdict.WRONG, ReviewVerdict.UNSURE
SCHEMA = Path(__file__).parents[2] / "events" / "outbound" / "dataset-changed" / "schema.json"


@pytest.fixture(scope="module")
def account() -> Iterator[tuple[Stack, Cloud]]:
    """The API in this process, which the tests of this module share."""
    with opened() as door:
        yield door.stack(), door.cloud


@pytest.fixture
def stack(account: tuple[Stack, Cloud], request: pytest.FixtureRequest) -> Stack:
    create_project(account[0].registry, project_of(request))
    return account[0]


def project_of(request: pytest.FixtureRequest) -> str:
    return re.sub(r"\W", "-", request.node.name)


@pytest.fixture
def project(request: pytest.FixtureRequest) -> str:
    """Of one test alone."""
    return project_of(request)


def inspected(stack: Stack, project: str, name: str = "a.png", probability: float = 0.45, **more: Any) -> Item:
    """An image that waits for a review; anomalous from .5."""
    version = stack.images.write(f"{project}/{name}", part_png(2001))
    item = {
        "image_uri": str(stack.images.uri(f"{project}/{name}")),
        "object_version": f"{version}#1",
        "inspection_id": f"{abs(hash((project, name))):032x}"[:32],
        "project": project,
        "model_version": "1",
        "status": "INSPECTED",
        "is_anomalous": probability >= 0.5,
        "confidence": max(probability, 1 - probability),
        "anomalies": [],
        "anomaly_probability": probability,
        "threshold": 0.5,
        "inspected_at": "2026-11-26T09:00:00.000Z",
        **more,
    }
    stack.inspections.put(item | waiting(item))
    return item


def entries(stack: Stack, project: str, dataset: DatasetType = TRAIN) -> list[Any]:
    answer = stack.lookout.list_dataset_entries(ProjectName=project, DatasetType=dataset)
    return [parse_entry(line) for line in answer["DatasetEntries"]]


def record_of(stack: Stack, record: Item) -> Item:
    return find_record(stack, record["project"], record["image_uri"])


def test_an_entry_s_image_outlives_the_upload_and_has_no_end(stack: Stack, project: str) -> None:
    record = inspected(stack, project)
    uri, version = image_of(record)
    stack.images.tag(uri.key, {"relook-verdict": "normal"}, version_id=version)
    say(stack, record, Opinion(RIGHT, None, None, TRAIN))
    stack.images.client.delete_object(Bucket=uri.bucket, Key=uri.key, VersionId=version)
    (entry,) = entries(stack, project)
    copy = S3Uri.parse(entry.source_ref)
    assert stack.read(copy) == part_png(2001)
    assert stack.bucket(copy.bucket).tags(copy.key) == {}


def test_no_upload_trains_and_tests_whichever_record_says_so(stack: Stack, project: str) -> None:
    first = inspected(stack, project)
    say(stack, first, Opinion(RIGHT, None, None, TRAIN))
    second = first | {"object_version": first["object_version"].replace("#1", "#2"), "model_version": "2"}
    stack.inspections.put(second)
    with pytest.raises(ConflictError, match="is in the train dataset"):
        say(stack, second, Opinion(RIGHT, None, None, TEST))
    leave_dataset(stack, record_of(stack, first))
    say(stack, stack.inspections.get(RecordId.of(second).key) or {}, Opinion(RIGHT, None, None, TEST))
    assert [each.is_anomalous for each in entries(stack, project, TEST)] == [False]


def test_a_copy_is_no_upload_though_the_dataset_names_uploads(stack: Stack, project: str) -> None:
    of_manifest = inspected(stack, project, "manifest.png")
    upload = of_manifest["image_uri"]
    stack.lookout.create_dataset(ProjectName=project, DatasetType=TRAIN)
    line = entry_line(ManifestEntry(upload, False))
    stack.lookout.update_dataset_entries(ProjectName=project, DatasetType=TRAIN, Changes=line)
    record = inspected(stack, project)
    say(stack, record, Opinion(RIGHT, None, None, TRAIN))
    assert [each.source_ref for each in entries(stack, project)] == [upload, record["image_uri"]]
    assert inspection_of(stack, project, record["image_uri"]) == record_of(stack, record)
    assert inspection_of(stack, project, upload) is None, "it came with the manifest"
    with pytest.raises(ConflictError, match="is in the train dataset"):
        join_dataset(stack, say(stack, of_manifest, Opinion(RIGHT)), TEST)
    late = say(stack, inspected(stack, project, "b.png"), Opinion(RIGHT))
    stack.images.write(f"{project}/b.png", part_png(2002))
    with pytest.raises(InvalidRequestError, match="is another image by now"):
        join_dataset(stack, late, TRAIN)


def test_a_review_becomes_an_entry_once_and_leaves_again(stack: Stack, project: str) -> None:
    record = inspected(stack, project)
    after = say(stack, record, Opinion(WRONG, "scratch", None, TRAIN))
    (entry,) = entries(stack, project)
    assert (entry.is_anomalous, entry.mask_ref) == (True, None)
    assert stack.read(S3Uri.parse(entry.source_ref)) == part_png(2001)
    assert entry.source_ref.startswith("s3://datasets/images/")
    assert ReviewedEntry.of(after) == ReviewedEntry(TRAIN, entry.source_ref, True, False)

    join_dataset(stack, after, TRAIN)
    assert len(entries(stack, project)) == 1

    left = leave_dataset(stack, after)
    assert left == record_of(stack, record)
    assert [each.is_anomalous for each in entries(stack, project)] == [None], "kept, and nothing is trained with it"
    described = stack.lookout.describe_dataset(ProjectName=project, DatasetType=TRAIN)["DatasetDescription"]
    assert described["ImageStats"] == {"Total": 1, "Labeled": 0, "Normal": 0, "Anomaly": 0}
    with pytest.raises(InvalidRequestError, match="is in no dataset"):
        leave_dataset(stack, left)
    changes = [each for each in list_history(stack.registry, project) if each.what == "Dataset Changed"]
    assert [(bool(each.before), bool(each.after)) for each in changes] == [(True, False), (False, True)]
    for each in changes:
        Draft202012Validator(json.loads(SCHEMA.read_text())).validate(event_detail(each))


def test_a_painted_mask_joins_too(stack: Stack, project: str) -> None:
    after = say(stack, inspected(stack, project, probability=0.9), Opinion(RIGHT))
    mask = png(part(500, is_scratched=True)[1])
    stored = store_mask(stack, project, mask, {"scratch": SCRATCH_COLOR})
    assert stored == store_mask(stack, project, mask, {"scratch": SCRATCH_COLOR}), "named for its content"
    join_dataset(stack, after, TRAIN, mask=stored)
    (entry,) = entries(stack, project)
    assert stack.read(S3Uri.parse(entry.mask_ref)) == mask
    assert entry.colors == {"scratch": SCRATCH_COLOR}
    normal = say(stack, inspected(stack, project, "b.png"), Opinion(RIGHT))
    with pytest.raises(InvalidRequestError, match="no mask goes with it"):
        join_dataset(stack, normal, TRAIN, mask=stored)
    noted = record_of(stack, after)["dataset_entry"]
    assert (noted["has_mask"], noted["mask_ref"]) == (True, stored.ref)
    assert inspection_of(stack, project, entry.source_ref) == record_of(stack, after)


def test_an_entry_of_a_manifest_is_labelled_anew_and_told_once(stack: Stack, project: str) -> None:
    place = stack.datasets.uri(f"images/{project}/a.png")
    stack.datasets.write(place.key, part_png(2001))
    which = {"ProjectName": project, "DatasetType": "train"}
    stack.lookout.create_dataset(**which)
    stack.lookout.update_dataset_entries(**which, Changes=entry_line(ManifestEntry(str(place), None)))
    (unlabeled,) = entries(stack, project)
    assert inspection_of(stack, project, str(place)) is None
    mask = store_mask(stack, project, png(part(500, is_scratched=True)[1]), {"scratch": SCRATCH_COLOR})
    label_entry(stack, project, TRAIN, unlabeled, is_anomalous=True, mask=mask)
    (painted,) = entries(stack, project)
    assert painted == ManifestEntry(str(place), True, mask.ref, mask.colors)
    label_entry(stack, project, TRAIN, painted, is_anomalous=True, mask=mask)  # the same again
    label_entry(stack, project, TRAIN, painted, is_anomalous=False)
    with pytest.raises(InvalidRequestError, match="no mask goes with it"):
        label_entry(stack, project, TRAIN, painted, is_anomalous=False, mask=mask)
    told = list(list_history(stack.registry, project))[::-1]
    assert [(each.subject, bool(each.before)) for each in told] == [(str(place), False), (str(place), True)]
    assert [each.after and each.after["is_anomalous"] for each in told] == [True, False]
    for each in told:
        Draft202012Validator(json.loads(SCHEMA.read_text())).validate(event_detail(each))


@pytest.mark.parametrize(
    ("error", "is_after"),
    [(soft_error, False), (ProcessKilled, True)],
    ids=["error before it took effect", "killed after it took effect"],
)
def test_a_label_that_is_cut_off_anywhere_is_told_once(
    stack: Stack, project: str, error: Callable[[], BaseException], is_after: bool
) -> None:
    """Every call of the person's own process fails once; they say it again."""
    own = stack.clients.dynamodb, stack.clients.s3, stack.clients.events, stack.lookout
    stack.lookout.create_dataset(ProjectName=project, DatasetType="train")
    fail_at, count = 0, 0
    while fail_at == 0 or fail_at <= count:
        place = stack.datasets.uri(f"images/{project}/{fail_at}.png")
        stack.datasets.write(place.key, part_png(2001))
        changes = entry_line(ManifestEntry(str(place), None))
        stack.lookout.update_dataset_entries(ProjectName=project, DatasetType="train", Changes=changes)
        unlabeled = entries(stack, project)[-1]
        with failing_call(fail_at, error, after=is_after, of=own) as names:
            try:
                label_entry(stack, project, TRAIN, unlabeled, is_anomalous=True)
            except (ProcessKilled, AwsError):
                assert len(names) == fail_at
            else:
                assert not fail_at or names[fail_at - 1] == "PutEvents"
                count = count or len(names)
        label_entry(stack, project, TRAIN, entries(stack, project)[-1], is_anomalous=True)
        fail_at += 1
        assert [each.is_anomalous for each in entries(stack, project)] == [True] * fail_at
        assert len(list(list_history(stack.registry, project))) == fail_at
    assert count > 3


def test_no_image_is_in_both_datasets(stack: Stack, project: str) -> None:
    after = say(stack, inspected(stack, project), Opinion(RIGHT, dataset=TEST))
    with pytest.raises(ConflictError, match="is in the test dataset; take it out"):
        join_dataset(stack, after, TRAIN)
    assert [each.is_anomalous for each in entries(stack, project, TEST)] == [False]


def test_of_two_datasets_at_once_the_slower_one_takes_its_entry_back(
    stack: Stack, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset_entries, "_refuse_in_other", lambda *_: None)  # looked before the other was there
    seen = say(stack, inspected(stack, project), Opinion(RIGHT))
    join_dataset(stack, seen, TEST)
    with pytest.raises(ConflictError, match="is in the test dataset"):
        join_dataset(stack, seen, TRAIN)  # as it was seen before
    assert [each.is_anomalous for each in entries(stack, project)] == [None]
    assert [each.is_anomalous for each in entries(stack, project, TEST)] == [False]


def test_another_review_relabels_the_entry(stack: Stack, project: str) -> None:
    first = say(stack, inspected(stack, project), Opinion(RIGHT, dataset=TRAIN))
    second = say(stack, first, Opinion(WRONG, "scratch"))
    with pytest.raises(ReviewedMeanwhileError):
        join_dataset(stack, first, TRAIN)
    join_dataset(stack, second, TRAIN)
    assert [each.is_anomalous for each in entries(stack, project)] == [True]


def test_what_nobody_knows_joins_nothing(stack: Stack, project: str) -> None:
    record = inspected(stack, project)
    with pytest.raises(InvalidRequestError, match="nobody has reviewed it"):
        join_dataset(stack, record, TRAIN)
    with pytest.raises(InvalidRequestError, match="is unsure"):
        say(stack, record, Opinion(UNSURE, dataset=TRAIN))
    assert stack.lookout.describe_project(ProjectName=project)["ProjectDescription"]["Datasets"] == []


def test_an_upload_that_is_gone_is_told(stack: Stack, project: str) -> None:
    after = say(stack, inspected(stack, project), Opinion(RIGHT))
    version = after["object_version"].rpartition("#")[0]
    stack.clients.s3.delete_object(Bucket="images", Key=f"{project}/a.png", VersionId=version)
    with pytest.raises(NoSuchObjectError):
        join_dataset(stack, after, TRAIN)


@pytest.mark.parametrize(
    ("error", "is_after"),
    [(soft_error, False), (ProcessKilled, True)],
    ids=["error before it took effect", "killed after it took effect"],
)
def test_a_join_that_is_cut_off_anywhere_ends_in_one_entry(
    stack: Stack, project: str, error: Callable[[], BaseException], is_after: bool
) -> None:
    """Every call of the person's own process fails once; they say it again."""
    own = stack.clients.dynamodb, stack.clients.s3, stack.clients.events, stack.lookout
    fail_at, count = 0, 0
    while fail_at == 0 or fail_at <= count:
        record = say(stack, inspected(stack, project, f"{fail_at}.png"), Opinion(RIGHT))
        with failing_call(fail_at, error, after=is_after, of=own) as names:
            try:
                join_dataset(stack, record, TRAIN)
            except (ProcessKilled, AwsError):
                assert len(names) == fail_at
            else:  # a change stands even where the bus does not take its event, which is told
                assert not fail_at or names[fail_at - 1] == "PutEvents"
                count = count or len(names)
        join_dataset(stack, record_of(stack, record), TRAIN)
        fail_at += 1
        assert len(entries(stack, project)) == fail_at
        changes = [each for each in list_history(stack.registry, project) if each.what == "Dataset Changed"]
        assert len(changes) == fail_at
        entry = ReviewedEntry.of(record_of(stack, record))
        assert entry is not None and entry.source_ref == entries(stack, project)[-1].source_ref
    assert count == 10


def test_a_person_goes_through_what_waits(
    stack: Stack, project: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inspected(stack, project, "far.png", 0.2)
    inspected(stack, project, "near.png", 0.51)
    inspected(stack, project, "middle.png", 0.45)
    inspected(stack, project, "farther.png", 0.1)
    answers = iter(["w\n", "\n", "a shadow\n", "y\n", "?\n", "r\n", "\n", "n\n", "s\n", ""])
    monkeypatch.setattr("sys.stdin.readline", lambda: next(answers))
    assert go_through(stack, project, 20, tmp_path) == 2
    near = find_record(stack, project, f"{project}/near.png")
    assert (near["review"], near["review_label"], near["review_note"]) == ("wrong", "normal", "a shadow")
    assert [each.is_anomalous for each in entries(stack, project)] == [False]
    assert find_record(stack, project, f"{project}/middle.png")["review"] == "right"
    assert "'?' is none of these" in capsys.readouterr().out
    measured = to_json(production(stack, project))
    assert measured["reviewed"] == {"right": 1, "wrong": 1, "unsure": 0}
    assert (measured["precision"], measured["false_alarm_rate"], measured["recall"]) == (0, 0.5, None)


@pytest.mark.parametrize("answers", [["r\n"], ["r\n", "\n"], ["w\n", "scratch\n"]])
def test_who_leaves_after_the_verdict_has_given_it(
    stack: Stack, project: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answers: list[str]
) -> None:
    inspected(stack, project, "near.png", 0.49)
    inspected(stack, project, "far.png", 0.2)
    lines = iter(answers)
    monkeypatch.setattr("sys.stdin.readline", lambda: next(lines, ""))
    assert go_through(stack, project, 20, tmp_path) == 1
    near = find_record(stack, project, f"{project}/near.png")
    assert (near["review"][0], near.get("review_label"), near.get("review_note")) == (
        answers[0][0],
        "scratch" if answers[0] == "w\n" else None,
        None,
    )
    assert "dataset_entry" not in near
    assert "review" not in find_record(stack, project, f"{project}/far.png")


def test_the_last_review_of_an_image_counts_and_a_check_does_not(stack: Stack, project: str) -> None:
    record = say(stack, inspected(stack, project), Opinion(RIGHT))
    say(stack, record, Opinion(WRONG, "scratch"))
    say(stack, inspected(stack, project, "golden.png", 0.9, expected="normal", is_expected_met=False), Opinion(RIGHT))
    measured = production(stack, project)
    assert (measured.right, measured.wrong, measured.unsure) == (0, 1, 0)
    assert measured.confusion.false_negatives == 1


def test_hosting_switches_in_either_direction_and_is_passed_over_where_it_is_done(
    stack: Stack, account: tuple[Stack, Cloud], project: str
) -> None:
    for _ in range(3):
        hosted_package(stack.registry, account[1].s3, project, classification_package())

    def states() -> dict[str, str]:
        models = stack.lookout.list_models(ProjectName=project)["Models"]
        return {each["ModelVersion"]: each["Status"] for each in models}

    assert set(states().values()) == {"HOSTED"}
    for version in ("1", "3", "3", "2"):
        host_version(stack, project, version)
        assert states() == {each: "HOSTED" if each == version else "TRAINED" for each in ("1", "2", "3")}
        hosted = describe_project(stack.registry, project).hosted
        assert hosted is not None and hosted.version == version
    with pytest.raises(AwsError, match="ResourceNotFoundException"):
        host_version(stack, project, "4")
    assert states()["2"] == "HOSTED"


def test_a_switch_that_is_cut_off_anywhere_leaves_a_version_that_answers(
    stack: Stack, account: tuple[Stack, Cloud], project: str
) -> None:
    for _ in range(2):
        hosted_package(stack.registry, account[1].s3, project, classification_package())
    host_version(stack, project, "1")
    for fail_at in range(1, 7):
        target = "2" if fail_at % 2 else "1"
        with failing_call(fail_at, after=True, of=(stack.lookout,)), pytest.raises(ProcessKilled):
            host_version(stack, project, target)
        assert describe_project(stack.registry, project).hosted is not None
        host_version(stack, project, target)
        hosted = describe_project(stack.registry, project).hosted
        assert hosted is not None and hosted.version == target
