"""Datasets through the API's operations: manifests as users have them, entries that change, writers that race."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from relook.aws.bucket import Bucket, S3Uri
from relook.aws.table import ConditionFailedError, Table, Update
from relook.errors import (
    AwsThrottledError,
    ConflictError,
    InvalidRequestError,
    ResourceNotFoundError,
    ResourceType,
    ThrottledError,
)
from relook.lookout import objects
from relook.lookout.datasets import (
    create_dataset,
    delete_dataset,
    describe_dataset,
    list_dataset_entries,
    update_dataset_entries,
)
from relook.lookout.service import Service, encode_token
from relook.registry import datasets as registry
from relook.registry.dataset_type import DatasetType
from relook.registry.datasets import Dataset, read_entries
from relook.registry.manifest import lines_of
from relook.registry.manifest_entry import parse_entry
from relook.registry.projects import create_project

TRAIN = {"ProjectName": "bracket", "DatasetType": "train"}


@pytest.fixture(autouse=True)
def project(service: Service) -> None:
    create_project(service.registry, "bracket")


def line(name: str, label: str = "normal", bucket: str = "images", **more: Any) -> str:
    """A Ground Truth line, as the guide shows them."""
    metadata = {
        "class-name": label,
        "type": "groundtruth/image-classification",
        "human-annotated": "yes",
        "creation-date": "2022-08-22T20:52:51.851Z",
    }
    return json.dumps(
        {"source-ref": f"s3://{bucket}/{name}", "anomaly-label": 1, "anomaly-label-metadata": metadata, **more}
    )


IMAGE = b"\x89PNG\r\n\x1a\n" + bytes(40)  # as much of one as is looked at


def put_images(service: Service, *lines: str) -> None:
    """Those in the bucket `images` that the lines name as labelled."""
    for each in lines:
        with suppress(ValueError):
            entry = parse_entry(each)
            place = S3Uri.parse(entry.source_ref)
            if entry.is_anomalous is not None and place.bucket == "images":
                service.s3.put_object(Bucket=place.bucket, Key=place.key, Body=IMAGE)


def upload(service: Service, *lines: str, data: bytes | None = None, **which: str) -> dict[str, Any]:
    """Put a manifest; the DatasetSource that names it."""
    body = "\n".join(lines).encode() if data is None else data
    with suppress(UnicodeError):
        put_images(service, *lines_of([body]))
    service.s3.put_object(Bucket="images", Key="train.manifest", Body=body)
    return {"GroundTruthManifest": {"S3Object": {"Bucket": "images", "Key": "train.manifest", **which}}}


def create(service: Service, *lines: str, data: bytes | None = None, **which: str) -> dict[str, Any]:
    """Create the train dataset from a manifest; what a client that polls then finds."""
    source = upload(service, *lines, data=data, **which)
    answer = create_dataset(service, {**TRAIN, "DatasetSource": source})["DatasetMetadata"]
    assert (answer["Status"], answer["StatusMessage"]) == ("CREATE_IN_PROGRESS", "The dataset is creating.")
    return described(service)


def update(service: Service, *lines: str, **which: str) -> dict[str, Any]:
    put_images(service, *lines)
    answer = update_dataset_entries(service, {**TRAIN, **which, "Changes": "\n".join(lines).encode()})
    assert answer == {"Status": "UPDATE_IN_PROGRESS"}
    return described(service)


def described(service: Service) -> dict[str, Any]:
    description: dict[str, Any] = describe_dataset(service, TRAIN)["DatasetDescription"]
    return description


def listed(service: Service, **given: Any) -> list[str]:
    entries: list[str] = list_dataset_entries(service, {**TRAIN, **given})["DatasetEntries"]
    return entries


def keys(service: Service, prefix: str = "datasets/") -> list[str]:
    objects = service.s3.list_objects_v2(Bucket="datasets", Prefix=prefix).get("Contents", [])
    return [each["Key"] for each in objects]


def report(service: Service, message: str) -> dict[str, Any]:
    """The report that a status message names."""
    bucket, _, key = message.rpartition("s3://")[2].partition("/")
    document: dict[str, Any] = json.loads(service.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    return document


def failing_s3(monkeypatch: pytest.MonkeyPatch, service: Service, code: str, status: int) -> None:
    def fail(**_: Any) -> None:
        raise ClientError(
            {"Error": {"Code": code, "Message": "No."}, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetObject"
        )

    monkeypatch.setattr(service.s3, "get_object", fail)


def test_a_dataset_without_a_source_is_complete_at_once_and_empty(service: Service) -> None:
    answer = create_dataset(service, TRAIN)["DatasetMetadata"]
    assert answer["DatasetType"] == "train"
    assert (answer["Status"], answer["StatusMessage"]) == ("CREATE_COMPLETE", "The dataset was created successfully.")
    description = described(service)
    assert description == {
        "ProjectName": "bracket",
        "DatasetType": "train",
        "CreationTimestamp": answer["CreationTimestamp"],
        "LastUpdatedTimestamp": answer["CreationTimestamp"],
        "Status": "CREATE_COMPLETE",
        "StatusMessage": "The dataset was created successfully.",
        "ImageStats": {"Total": 0, "Labeled": 0, "Normal": 0, "Anomaly": 0},
    }
    assert list_dataset_entries(service, TRAIN) == {"DatasetEntries": [], "NextToken": None}


def test_a_manifests_lines_come_back_as_they_were(service: Service) -> None:
    lines = [
        line("a.jpg").replace('": ', '" : '),
        json.dumps(json.loads(line("Zürich 1.jpg", "anomaly", note="\u2028 ends no line")), ensure_ascii=False),
        line("b.jpg", "maybe"),
    ]
    description = create(service, *lines)
    text = (
        "The dataset was created successfully. 1 of 3 lines are not trained with:"
        " line 3: class-name 'maybe' is neither normal nor anomaly"
    )
    assert (description["Status"], description["StatusMessage"]) == ("CREATE_COMPLETE", text)
    assert description["ImageStats"] == {"Total": 3, "Labeled": 2, "Normal": 1, "Anomaly": 1}
    assert listed(service) == lines


def test_byte_order_mark_windows_line_ends_and_empty_lines_are_no_problem(service: Service) -> None:
    first, second = line("a.jpg"), line("b.jpg")
    description = create(service, data=f"\ufeff{first}\r\n\r\n  \n {second} \r\n".encode())
    assert description["Status"] == "CREATE_COMPLETE"
    assert listed(service) == [first, second]


def test_masks_may_lie_elsewhere_and_their_colours_are_kept(service: Service) -> None:
    color_map = {"0": {"class-name": "cracked", "hex-color": "#23A436"}}
    mask: dict[str, Any] = {
        "anomaly-mask-ref": "s3://masks/a.png",
        "anomaly-mask-ref-metadata": {"internal-color-map": color_map, "type": "groundtruth/semantic-segmentation"},
    }
    service.s3.create_bucket(Bucket="masks")
    service.s3.put_object(Bucket="masks", Key="a.png", Body=IMAGE)
    assert create(service, line("a.jpg", "anomaly", **mask))["Status"] == "CREATE_COMPLETE"
    dataset = registry.describe_dataset(service.registry, "bracket", DatasetType.TRAIN)
    [stored] = read_entries(service.datasets_bucket, dataset)
    assert (stored.entry.mask_ref, stored.entry.colors) == ("s3://masks/a.png", {"cracked": "#23A436"})


def test_a_version_of_the_manifest_can_be_named(service: Service) -> None:
    upload(service, line("old.jpg"))
    version = service.s3.head_object(Bucket="images", Key="train.manifest")["VersionId"]
    create(service, line("new.jpg"), VersionId=version)
    assert listed(service) == [line("old.jpg")]


def test_bad_lines_fail_the_creation_and_are_all_reported(service: Service) -> None:
    mask: dict[str, Any] = {"a-mask-ref": "a.png", "a-mask-ref-metadata": {"internal-color-map": {}}}
    lines = [
        line("a.jpg"),
        "{}",
        "",
        line("a.jpg"),
        line("b.jpg", bucket="another"),
        json.dumps({**json.loads(line("c.jpg")), "source-ref": "/tmp/c.jpg"}),
        line("d.jpg", "anomaly", **mask),
        "[" * 8000,
        line("e.jpg", x="y" * 50_000),
        json.dumps({**json.loads(line("f.jpg")), "source-ref": "s3://images/\ud800"}),
    ]
    description = create(service, *lines)
    assert description["Status"] == "CREATE_FAILED"
    assert description["ImageStats"] == {"Total": 0, "Labeled": 0, "Normal": 0, "Anomaly": 0}
    text = "8 of 9 lines of s3://images/train.manifest cannot be used; line 2: source-ref is missing; line 4: "
    assert description["StatusMessage"].startswith(text)
    assert "line 9: too long; at most 8,192 characters are allowed; line 10:" in description["StatusMessage"]
    told = report(service, description["StatusMessage"])
    assert (told["manifest"], told["lines"]) == ("s3://images/train.manifest", 9)
    expected = {
        2: "source-ref is missing",
        4: "stands in an earlier line too",
        5: "must lie in bucket 'images'",
        6: "'/tmp/c.jpg' is not the location of an object in S3",
        7: "'a.png' is not the location of an object in S3",
        8: "not JSON",
        9: "at most 8,192 characters",
        10: r"'s3://images/\ud800' is not the location of an object in S3",
    }
    assert {each["line"]: each["message"] for each in told["problems"]}.keys() == expected.keys()
    for each in told["problems"]:
        assert expected[each["line"]] in each["message"]
    assert listed(service) == []
    with pytest.raises(ConflictError, match="is CREATE_FAILED; delete it and create it anew"):
        update(service, line("a.jpg"))


def test_a_long_problem_is_cut_in_the_message_but_not_in_the_report(service: Service) -> None:
    description = create(service, line("x" * 7000))
    assert len(description["StatusMessage"]) < 600
    assert len(report(service, description["StatusMessage"])["problems"][0]["message"]) > 7000


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "s3://images/train.manifest is empty"),
        (b"\n \r\n", "s3://images/train.manifest is empty"),
        (b"{}\n\xff\xfe{\x00", "line 2 is not UTF-8 text; save the manifest as UTF-8"),
        (line("a.jpg").encode("utf-16"), "line 1 is not UTF-8 text"),
    ],
)
def test_a_manifest_that_is_none_fails_with_its_reason(service: Service, data: bytes, message: str) -> None:
    description = create(service, data=data)
    assert description["Status"] == "CREATE_FAILED"
    assert message in description["StatusMessage"]
    assert keys(service) == []


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ({"Bucket": "nowhere", "Key": "a"}, "NoSuchBucket"),
        ({"Bucket": "images", "Key": "nothing"}, "NoSuchKey"),
    ],
)
def test_a_manifest_that_is_not_there_fails_the_creation(service: Service, place: dict[str, str], code: str) -> None:
    source = {"GroundTruthManifest": {"S3Object": place}}
    create_dataset(service, {**TRAIN, "DatasetSource": source})
    description = described(service)
    assert description["Status"] == "CREATE_FAILED"
    assert description["StatusMessage"].startswith(f"s3://{place['Bucket']}/{place['Key']} does not exist ({code})")


def test_a_manifest_that_may_not_be_read_says_what_to_do(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_s3(monkeypatch, service, "AccessDenied", 403)
    description = create(service, line("a.jpg"))
    assert description["Status"] == "CREATE_FAILED"
    assert "may not be read (AccessDenied: " in description["StatusMessage"]
    assert "name images in the stage's data_buckets" in description["StatusMessage"]


def test_an_archived_manifest_says_so(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_s3(monkeypatch, service, "InvalidObjectState", 403)
    assert "is in an archive storage class" in create(service, line("a.jpg"))["StatusMessage"]


def test_trouble_that_passes_leaves_no_dataset_behind(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_s3(monkeypatch, service, "SlowDown", 503)
    with pytest.raises(AwsThrottledError, match="SlowDown"):
        create(service, line("a.jpg"))
    with pytest.raises(ResourceNotFoundError):
        describe_dataset(service, TRAIN)


def test_no_dataset_names_a_picture_that_will_be_deleted(service: Service) -> None:
    ending = replace(service, settings=replace(service.settings, expiring_bucket="images"))
    service.s3.put_object(Bucket="datasets", Key="1", Body=IMAGE)
    assert create(ending, line("1", bucket="datasets"))["Status"] == "CREATE_COMPLETE"
    delete_dataset(ending, TRAIN)
    create(ending, line("1"), line("2"))
    message = described(ending)["StatusMessage"]
    assert described(ending)["Status"] == "CREATE_FAILED"
    assert "2 of 2 lines" in message and "will be deleted" in message and "relook review PROJECT IMAGE --add" in message
    delete_dataset(ending, TRAIN)
    create(service, line("1"))
    update(ending, line("2"))
    assert described(ending)["Status"] == "UPDATE_FAILED_ROLLBACK_COMPLETE"
    assert len(listed(ending)) == 1
    update(service, line("2"))
    assert described(service)["Status"] == "UPDATE_COMPLETE"


def test_limits_of_size_and_of_images_are_settings(service: Service) -> None:
    small = replace(service, settings=replace(service.settings, max_train_images=2, max_test_images=1))
    description = create(small, line("a.jpg"), "{}", line("c.jpg"))
    text = "s3://images/train.manifest has more than 2 lines; a train dataset may have 2 images at most"
    assert (description["Status"], description["StatusMessage"]) == ("CREATE_FAILED", text)
    delete_dataset(small, TRAIN)
    assert create(small, line("a.jpg"), line("b.jpg"))["Status"] == "CREATE_COMPLETE"
    test = {**TRAIN, "DatasetType": "test"}
    create_dataset(small, {**test, "DatasetSource": upload(small, line("c.jpg"), line("d.jpg"))})
    assert "a test dataset may have 1 images" in describe_dataset(small, test)["DatasetDescription"]["StatusMessage"]
    delete_dataset(small, TRAIN)
    tiny = replace(service, settings=replace(service.settings, max_manifest_mb=0))
    assert "bytes; a manifest may have 0 MB at most" in create(tiny, line("a.jpg"))["StatusMessage"]


def test_a_type_exists_once_in_a_project(service: Service) -> None:
    create(service, line("a.jpg"))
    before = keys(service)
    for given in (TRAIN, {**TRAIN, "DatasetSource": upload(service, line("b.jpg"))}):
        with pytest.raises(ConflictError, match="Project bracket already has a train dataset") as caught:
            create_dataset(service, given)
        assert (caught.value.resource_type, caught.value.resource_id) == (ResourceType.DATASET, "bracket/train")
    assert keys(service) == before
    assert listed(service) == [line("a.jpg")]


def test_of_two_creations_at_once_one_succeeds_and_the_other_leaves_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = registry.create_dataset

    def create_another_first(*arguments: Any, **named: Any) -> Dataset:
        monkeypatch.setattr(registry, "create_dataset", original)
        create(service, line("first.jpg"))
        return original(*arguments, **named)

    monkeypatch.setattr(registry, "create_dataset", create_another_first)
    with pytest.raises(ConflictError, match="already has"):
        create(service, line("second.jpg"))
    assert listed(service) == [line("first.jpg")]
    assert len(keys(service)) == 1


@pytest.mark.parametrize("call", [describe_dataset, delete_dataset, list_dataset_entries, update_dataset_entries])
def test_what_does_not_exist_is_not_found(service: Service, call: Callable[..., object]) -> None:
    for name, kind, resource_id in (
        ("bracket", ResourceType.DATASET, "bracket/train"),
        ("nobody", ResourceType.PROJECT, "nobody"),
    ):
        with pytest.raises(ResourceNotFoundError) as caught:
            call(service, {"ProjectName": name, "DatasetType": "train", "Changes": b"\xff"})
        assert (caught.value.resource_type, caught.value.resource_id) == (kind, resource_id)


def test_an_update_replaces_whole_lines_and_adds_new_ones_last(service: Service) -> None:
    create(service, line("a.jpg", note="old"), line("b.jpg"))
    description = update(service, line("c.jpg", "anomaly"), "", line("a.jpg", "anomaly"))
    assert (description["Status"], description["StatusMessage"]) == (
        "UPDATE_COMPLETE",
        "The dataset was updated successfully.",
    )
    assert description["ImageStats"] == {"Total": 3, "Labeled": 3, "Normal": 1, "Anomaly": 2}
    assert description["LastUpdatedTimestamp"] > description["CreationTimestamp"]
    assert listed(service) == [line("a.jpg", "anomaly"), line("b.jpg"), line("c.jpg", "anomaly")]
    assert len(keys(service)) == 1  # the snapshot before is gone


def test_an_empty_dataset_can_be_filled(service: Service) -> None:
    create_dataset(service, TRAIN)
    assert update(service, line("a.jpg"))["ImageStats"]["Total"] == 1
    dataset = registry.describe_dataset(service.registry, "bracket", DatasetType.TRAIN)
    assert dataset.revision == 1


def test_the_last_of_several_lines_for_one_image_stays(service: Service) -> None:
    create_dataset(service, TRAIN)
    update(service, line("a.jpg"), line("b.jpg"), line("a.jpg", "anomaly"))
    assert listed(service) == [line("a.jpg", "anomaly"), line("b.jpg")]


def test_one_bad_line_rolls_the_whole_update_back(service: Service) -> None:
    create(service, line("a.jpg"))
    description = update(service, line("b.jpg"), line("c.jpg", bucket="another"))
    assert description["Status"] == "UPDATE_FAILED_ROLLBACK_COMPLETE"
    assert description["StatusMessage"].startswith(
        "Nothing was changed: 1 of 2 lines cannot be used; line 2: source-ref"
    )
    told = report(service, description["StatusMessage"])
    assert (told["manifest"], told["lines"], told["problems"][0]["line"]) == (None, 2, 2)
    assert description["ImageStats"]["Total"] == 1
    assert listed(service) == [line("a.jpg")]
    # And it can be updated again
    assert update(service, line("b.jpg"))["Status"] == "UPDATE_COMPLETE"


def test_an_update_beyond_the_limit_is_rolled_back(service: Service) -> None:
    small = replace(service, settings=replace(service.settings, max_train_images=2))
    create(small, line("a.jpg"), line("b.jpg"))
    assert update(small, line("b.jpg", "anomaly"))["Status"] == "UPDATE_COMPLETE"
    description = update(small, line("c.jpg"))
    assert description["Status"] == "UPDATE_FAILED_ROLLBACK_COMPLETE"
    text = "Nothing was changed: the dataset would have 3 images; a train dataset may have 2 at most"
    assert description["StatusMessage"] == text
    assert listed(small) == [line("a.jpg"), line("b.jpg", "anomaly")]


@pytest.mark.parametrize(
    ("changes", "message"), [(b"\xff\xd8\xff", "line 1 is not UTF-8 text"), (b" \n\n", "hold no lines")]
)
def test_changes_that_are_no_lines_are_refused(service: Service, changes: bytes, message: str) -> None:
    create_dataset(service, TRAIN)
    with pytest.raises(InvalidRequestError, match=message):
        update_dataset_entries(service, {**TRAIN, "Changes": changes})
    assert described(service)["Status"] == "CREATE_COMPLETE"


def test_filters_are_combined(service: Service) -> None:
    a, b, c = line("left/a.jpg"), line("left/b.jpg", "anomaly"), line("right/c.jpg", "unsure")
    create(service, a, b, c)
    assert listed(service, Labeled=True) == [a, b]
    assert listed(service, Labeled=False) == [c]
    assert listed(service, AnomalyClass="normal") == [a]
    assert listed(service, AnomalyClass="anomaly") == [b]
    assert listed(service, SourceRefContains="images/left/") == [a, b]
    assert listed(service, SourceRefContains="Left") == []
    assert listed(service, AnomalyClass="normal", Labeled=False) == []
    assert listed(service, AnomalyClass="anomaly", SourceRefContains="left") == [b]


def test_dates_are_those_of_the_last_change_and_exclusive(service: Service) -> None:
    create(service, line("a.jpg"), line("b.jpg"))
    update(service, line("a.jpg", "anomaly"))
    dataset = registry.describe_dataset(service.registry, "bracket", DatasetType.TRAIN)
    changed, added = (each.added for each in read_entries(service.datasets_bucket, dataset))
    assert added < changed <= datetime.now(UTC)
    assert listed(service, AfterCreationDate=added) == [line("a.jpg", "anomaly")]
    assert listed(service, BeforeCreationDate=changed) == [line("b.jpg")]
    assert listed(service, BeforeCreationDate=added, AfterCreationDate=added) == []
    between = {
        "AfterCreationDate": added - timedelta(seconds=1),
        "BeforeCreationDate": added + timedelta(microseconds=1),
    }
    assert listed(service, **between) == [line("b.jpg")]


def test_pages_hold_every_entry_once(service: Service) -> None:
    lines = [line(f"{number:03}.jpg", ("normal", "anomaly")[number % 2]) for number in range(205)]
    create(service, *lines)

    def pages(**given: Any) -> list[list[str]]:
        entries, token = [], None
        while True:
            answer = list_dataset_entries(service, {**TRAIN, **given, **({"NextToken": token} if token else {})})
            entries.append(answer["DatasetEntries"])
            token = answer["NextToken"]
            if token is None:
                return entries

    assert [len(page) for page in pages()] == [100, 100, 5]
    assert [each for page in pages(MaxResults=7) for each in page] == lines
    # No empty page at the end, though unwanted entries follow
    assert pages(AnomalyClass="anomaly", MaxResults=51) == [lines[1::2][:51], lines[1::2][51:]]
    assert [len(page) for page in pages(MaxResults=41)] == [41] * 5


def test_tokens_of_other_lists_are_refused(service: Service) -> None:
    create(service, line("a.jpg"), line("b.jpg"))
    create_dataset(service, {**TRAIN, "DatasetType": "test"})
    token = list_dataset_entries(service, {**TRAIN, "MaxResults": 1})["NextToken"]
    for given in ({**TRAIN, "DatasetType": "test", "NextToken": token}, {**TRAIN, "NextToken": "bm9uc2Vuc2U="}):
        with pytest.raises(InvalidRequestError, match="NextToken"):
            list_dataset_entries(service, given)
    forged = encode_token("entries/bracket/train", "-1")
    with pytest.raises(InvalidRequestError, match="NextToken"):
        list_dataset_entries(service, {**TRAIN, "NextToken": forged})


def test_a_deleted_dataset_leaves_nothing_and_can_be_made_anew_at_once(service: Service) -> None:
    create(service, line("a.jpg"))
    update(service, "{}")
    other = {**TRAIN, "DatasetType": "test"}
    create_dataset(service, {**other, "DatasetSource": upload(service, line("b.jpg"))})
    assert len(keys(service, "datasets/bracket/train/")) == 2  # the snapshot and the report
    assert delete_dataset(service, TRAIN) == {}
    assert keys(service, "datasets/bracket/train/") == []
    assert len(keys(service, "datasets/bracket/test/")) == 1
    with pytest.raises(ResourceNotFoundError):
        describe_dataset(service, TRAIN)
    create(service, line("c.jpg"))
    assert listed(service) == [line("c.jpg")]


def test_a_deletion_does_not_touch_the_dataset_made_meanwhile(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(service, line("a.jpg"))
    original = Bucket.delete_folder

    def create_first(*arguments: Any) -> None:
        create(service, line("b.jpg"))
        original(*arguments)

    monkeypatch.setattr(Bucket, "delete_folder", create_first)
    delete_dataset(service, TRAIN)
    assert listed(service) == [line("b.jpg")]


def test_a_dataset_is_gone_though_its_files_cannot_be_deleted(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(service, line("a.jpg"))

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "No."}}, "DeleteObjects")

    monkeypatch.setattr(service.s3, "delete_objects", refuse)
    delete_dataset(service, TRAIN)
    with pytest.raises(ResourceNotFoundError):
        describe_dataset(service, TRAIN)


class OneCallAtATime:
    """A DynamoDB client whose calls are atomic among threads, as DynamoDB's are and moto's are not."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._lock = Lock()

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: Any) -> Any:
            with self._lock:
                return getattr(self._client, name)(**arguments)

        return call


def test_writers_at_once_lose_none_of_their_lines(service: Service) -> None:
    create(service, line("start.jpg"))
    client: Any = OneCallAtATime(service.registry._client)
    table = Table(client, service.registry.name)
    racing = replace(service, registry=table)
    writers, rounds = 6, 4
    put_images(service, *(line(f"{writer}-{number}.jpg") for writer in range(writers) for number in range(rounds)))

    def write(writer: int) -> None:
        for number in range(rounds):
            changes = "\n".join([line(f"{writer}-{number}.jpg"), line("shared.jpg", f"by {writer}")])
            update_dataset_entries(racing, {**TRAIN, "Changes": changes.encode()})

    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, range(writers)))
    names = {json.loads(each)["source-ref"].removeprefix("s3://images/") for each in listed(service)}
    own = {f"{writer}-{number}.jpg" for writer in range(writers) for number in range(rounds)}
    assert names == {"start.jpg", "shared.jpg", *own}
    dataset = registry.describe_dataset(service.registry, "bracket", DatasetType.TRAIN)
    assert dataset.revision == writers * rounds
    assert dataset.stats.total == len(names)
    assert keys(service) == [dataset.entries_key]


def test_a_lost_race_is_run_again_on_what_the_winner_left(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    create(service, line("a.jpg"))
    original = Table.update

    def update_another_first(self: Table, change: Update) -> object:
        monkeypatch.setattr(Table, "update", original)
        update(service, line("winner.jpg"))
        return original(self, change)

    monkeypatch.setattr(Table, "update", update_another_first)
    update(service, line("loser.jpg"))
    assert listed(service) == [line("a.jpg"), line("winner.jpg"), line("loser.jpg")]
    assert len(keys(service)) == 1


def test_a_dataset_made_anew_meanwhile_gets_none_of_the_old_lines(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_dataset(service, TRAIN)
    original = Table.update

    def make_anew_first(self: Table, change: Update) -> object:
        monkeypatch.setattr(Table, "update", original)
        delete_dataset(service, TRAIN)
        create_dataset(service, TRAIN)
        return original(self, change)

    monkeypatch.setattr(Table, "update", make_anew_first)
    update(service, line("b.jpg"))
    assert listed(service) == [line("b.jpg")]
    assert len(keys(service)) == 1


def test_a_write_whose_answer_was_lost_is_not_mistaken_for_a_lost_race(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(service, line("a.jpg"))
    original = Table.update

    def write_twice(self: Table, change: Update) -> object:
        original(self, change)
        return original(self, change)

    monkeypatch.setattr(Table, "update", write_twice)
    assert update(service, line("b.jpg"))["Status"] == "UPDATE_COMPLETE"
    assert listed(service) == [line("a.jpg"), line("b.jpg")]


def test_a_race_that_is_always_lost_asks_the_client_to_try_again(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_images(service, line("b.jpg"))
    create(service, line("a.jpg"))

    def lose(self: Table, change: Update) -> object:
        raise ConditionFailedError

    monkeypatch.setattr(Table, "update", lose)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with pytest.raises(ThrottledError, match="is being changed by others; try again"):
        update_dataset_entries(service, {**TRAIN, "Changes": line("b.jpg").encode()})
    assert listed(service) == [line("a.jpg")]
    assert len(keys(service)) == 1


def test_a_list_whose_snapshot_is_replaced_meanwhile_reads_the_new_one(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(service, line("a.jpg"))
    original = registry.describe_dataset

    def update_after(*arguments: Any) -> Dataset:
        monkeypatch.setattr(registry, "describe_dataset", original)
        dataset = original(*arguments)
        update(service, line("b.jpg"))
        return dataset

    monkeypatch.setattr(registry, "describe_dataset", update_after)
    assert listed(service) == [line("a.jpg"), line("b.jpg")]


def test_a_full_dataset_is_made_and_listed_in_seconds(service: Service) -> None:
    lines = [line(f"{number}.jpg", "maybe", note="x" * 500) for number in range(16_000)]  # no image is looked at
    began = time.perf_counter()
    assert create(service, *lines)["ImageStats"]["Total"] == 16_000
    assert listed(service, SourceRefContains="/15999.") == lines[-1:]
    assert time.perf_counter() - began < 10  # about one second on two idle cores


def test_a_manifest_is_not_read_beyond_its_limit(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            assert size > 0
            self.given += size
            return (b"{}\n" * size)[:size]

    source = Endless()
    body = {"ContentLength": 999_000_000, "Body": StreamingBody(source, 999_000_000)}
    monkeypatch.setattr(service.s3, "get_object", lambda **_: body)
    description = create(service, line("a.jpg"))
    assert "has more than 16,000 lines" in description["StatusMessage"]
    assert source.given < 3_000_000
    assert source.closed


def test_images_and_masks_that_cannot_be_used_fail_the_creation_and_are_all_named(service: Service) -> None:
    def masked(mask: str) -> dict[str, Any]:
        color_map = {"0": {"class-name": "deep scratch", "hex-color": "#23A436"}}
        return {"m-ref": f"s3://images/{mask}", "m-ref-metadata": {"internal-color-map": color_map}}

    lines = [
        line("good.png"),
        *(line(f"missing/{number}.png") for number in range(12)),
        line("folder/"),
        line("empty.png"),
        line("photo.bmp"),
        line("large.png"),
        line("a.png", "anomaly", **masked("mask.jpg")),
        line("b.png", "anomaly", **masked("nothing.png")),
        line("unlabelled-and-missing.png", "later"),
    ]
    source = upload(service, *lines)
    service.s3.put_object(Bucket="images", Key="folder/")
    service.s3.put_object(Bucket="images", Key="empty.png")
    service.s3.put_object(Bucket="images", Key="photo.bmp", Body=b"BM" + bytes(60))
    service.s3.put_object(Bucket="images", Key="large.png", Body=IMAGE + bytes(9_000_000))
    service.s3.put_object(Bucket="images", Key="mask.jpg", Body=b"\xff\xd8\xff" + bytes(60))
    for number in range(12):
        service.s3.delete_object(Bucket="images", Key=f"missing/{number}.png")
    create_dataset(service, {**TRAIN, "DatasetSource": source})
    description = described(service)
    assert description["Status"] == "CREATE_FAILED"
    message = description["StatusMessage"]
    assert message.startswith(
        "18 of 20 lines of s3://images/train.manifest cannot be used; line 2: s3://images/missing/0"
    )
    assert "line 11: s3://images/missing/9.png does not exist (NoSuchKey)" in message and "line 12" not in message
    told = {each["line"]: each["message"] for each in report(service, message)["problems"]}
    assert set(told) == set(range(2, 20))
    assert "is a folder and no image" in told[14]
    assert "has 0 bytes" in told[15]
    assert "looks like a BMP" in told[16]
    assert "at most 8,388,608 are accepted" in told[17]
    assert "mask.jpg cannot be used: The content is a JPEG; masks must be PNG" in told[18]
    assert "nothing.png does not exist" in told[19]


def test_a_bucket_that_is_missing_fails_the_creation(service: Service) -> None:
    description = create(service, line("a.png", bucket="nowhere-at-all"))
    assert description["Status"] == "CREATE_FAILED"
    assert "s3://nowhere-at-all/a.png does not exist (NoSuchBucket)" in description["StatusMessage"]


def test_an_update_with_a_missing_image_is_rolled_back(service: Service) -> None:
    create(service, line("a.jpg"))
    update_dataset_entries(service, {**TRAIN, "Changes": line("missing.jpg").encode()})
    description = described(service)
    assert description["Status"] == "UPDATE_FAILED_ROLLBACK_COMPLETE"
    assert "line 1: s3://images/missing.jpg does not exist" in description["StatusMessage"]
    assert listed(service) == [line("a.jpg")]


def test_of_many_images_some_at_even_distances_are_looked_at(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "MAX_LOOKED_AT", 5)
    lines = [line(f"{number}.jpg") for number in range(10)]
    source = upload(service, *lines)
    service.s3.delete_object(Bucket="images", Key="4.jpg")
    service.s3.delete_object(Bucket="images", Key="5.jpg")  # which is not among them
    create_dataset(service, {**TRAIN, "DatasetSource": source})
    assert described(service)["StatusMessage"].startswith("1 of 10 lines of s3://images/train.manifest cannot be used;")


def test_it_is_said_when_only_some_images_were_looked_at(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "MAX_LOOKED_AT", 5)
    lines = [line(f"{number}.jpg") for number in range(10)]
    create_dataset(service, {**TRAIN, "DatasetSource": upload(service, *lines)})
    description = described(service)
    assert (description["Status"], description["StatusMessage"]) == (
        "CREATE_COMPLETE",
        "The dataset was created successfully. Of 10 images and masks that the lines name, 5 were looked at; whether "
        "the others are there and can be read, training finds out.",
    )
    update_dataset_entries(service, {**TRAIN, "Changes": "\n".join(lines[:5]).encode()})
    assert described(service)["StatusMessage"] == "The dataset was updated successfully."


def test_slow_storage_costs_no_answer(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_BUDGET_S", 0)
    create_dataset(service, {**TRAIN, "DatasetSource": upload(service, line("a.jpg"))})
    description = described(service)
    assert description["Status"] == "CREATE_COMPLETE"
    assert "Of 1 images and masks that the lines name, 0 were looked at" in description["StatusMessage"]
