"""Projects, datasets, model versions and packages, against DynamoDB and S3 in process."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import pytest

from relook.aws.bucket import Bucket
from relook.aws.table import ConditionFailedError, Table, Update, Write
from relook.errors import (
    BackboneError,
    ConflictError,
    InvalidRequestError,
    PackageError,
    ResourceNotFoundError,
    ResourceType,
    ThrottledError,
)
from relook.learning.foreign.anomalib import package_export
from relook.registry.backbones import delete_backbone, load_backbone, save_backbone
from relook.registry.dataset_type import DatasetType
from relook.registry.datasets import (
    Dataset,
    DatasetStatus,
    ImageStats,
    create_dataset,
    delete_dataset,
    describe_dataset,
    list_datasets,
    replace_entries,
    settle_dataset,
)
from relook.registry.hosting import fail_hosting, finish_hosting, start_hosting, stop_hosting
from relook.registry.model_version import ModelStatus, Performance
from relook.registry.models import change_tags, delete_model, describe_model, list_models
from relook.registry.packages import load_package, save_package
from relook.registry.projects import create_project, delete_project, describe_project, list_projects
from relook.registry.trainings import create_model, fail_training, finish_training, report_training
from tests.account import Cloud
from tests.unit.foreign import anomalib_onnx, feature_onnx
from tests.unit.parts import WHO, classification_package, hosted_package


@pytest.fixture
def table(cloud: Cloud) -> Table:
    create_project(cloud.registry, "bracket")
    return cloud.registry


def new_dataset(table: Table, dataset_type: DatasetType) -> Dataset:
    return create_dataset(
        table,
        "bracket",
        dataset_type,
        status=DatasetStatus.CREATE_COMPLETE,
        message="Fine.",
        stats=ImageStats(),
        entries_key=None,
    )


def trained(table: Table) -> str:
    version = create_model(table, "bracket").version
    finish_training(table, "bracket", version, f"sha-{version}", Performance(0.9, 0.8, 1.0), "Trained.")
    return version


def host(table: Table, version: str) -> None:
    start_hosting(table, "bracket", version)
    finish_hosting(table, "bracket", version, who=WHO)


def hosted_version(table: Table) -> str | None:
    hosted = describe_project(table, "bracket").hosted
    return hosted.version if hosted else None


def test_between_a_later_and_an_earlier_time_lies_nothing() -> None:
    """DynamoDB refuses such a question, which moto answers."""
    client: Any = None  # so that asking fails
    between = ("inspected_at", "2026-12-01", "2026-11-30")
    assert list(Table(client, "inspections").query(("project", "bracket"), index="by_project", between=between)) == []


def test_projects_are_created_once_and_listed_by_name(table: Table) -> None:
    create_project(table, "Anvil_2-b")
    assert [project.name for project in list_projects(table)] == ["Anvil_2-b", "bracket"]
    with pytest.raises(ConflictError, match="Project bracket already exists") as caught:
        create_project(table, "bracket")
    assert (caught.value.resource_type, caught.value.resource_id) == (ResourceType.PROJECT, "bracket")


@pytest.mark.parametrize("name", ["", "-a", "_a", "a b", "a/b", "ä", "x" * 256, "a\n"])
def test_project_names_are_checked(table: Table, name: str) -> None:
    with pytest.raises(InvalidRequestError, match="must be 1 to 255"):
        create_project(table, name)
    with pytest.raises(ResourceNotFoundError):
        describe_project(table, name)


def test_a_project_goes_only_when_it_is_empty(table: Table) -> None:
    new_dataset(table, DatasetType.TRAIN)
    version = trained(table)
    removals: list[Callable[[], object]] = [
        lambda: delete_dataset(table, "bracket", DatasetType.TRAIN),
        lambda: delete_model(table, "bracket", version),
    ]
    for remove in removals:
        with pytest.raises(ConflictError, match="still has datasets or model versions"):
            delete_project(table, "bracket")
        remove()
    delete_project(table, "bracket")
    with pytest.raises(ResourceNotFoundError):
        delete_project(table, "bracket")


def test_dataset_life(table: Table) -> None:
    made = new_dataset(table, DatasetType.TRAIN)
    assert (made.status, made.entries_key, made.revision) == (DatasetStatus.CREATE_COMPLETE, None, 0)
    assert made.folder.startswith("datasets/bracket/train/")
    assert describe_dataset(table, "bracket", DatasetType.TRAIN) == made
    with pytest.raises(ConflictError, match="Project bracket already has a train dataset"):
        new_dataset(table, DatasetType.TRAIN)
    stats = ImageStats(total=30, labeled=29, normal=20, anomaly=9)
    replaced = replace_entries(table, made, "one.jsonl", stats, "Replaced.")
    assert (replaced.status, replaced.status_message) == (DatasetStatus.UPDATE_COMPLETE, "Replaced.")
    assert (replaced.entries_key, replaced.revision, replaced.stats) == ("one.jsonl", 1, stats)
    assert replaced.created_at == made.created_at < replaced.updated_at
    settled = settle_dataset(table, made, DatasetStatus.UPDATE_FAILED_ROLLBACK_COMPLETE, "line 3 has no source-ref")
    assert (settled.entries_key, settled.status_message) == ("one.jsonl", "line 3 has no source-ref")
    new_dataset(table, DatasetType.TEST)
    assert [dataset.type for dataset in list_datasets(table, "bracket")] == [DatasetType.TEST, DatasetType.TRAIN]
    assert delete_dataset(table, "bracket", DatasetType.TRAIN) == settled
    with pytest.raises(ResourceNotFoundError) as caught:
        describe_dataset(table, "bracket", DatasetType.TRAIN)
    assert caught.value.resource_id == "bracket/train"


def test_entries_are_replaced_only_by_those_made_from_them(table: Table) -> None:
    made = new_dataset(table, DatasetType.TRAIN)
    first = replace_entries(table, made, "one.jsonl", ImageStats(), "")
    with pytest.raises(ThrottledError, match="The train dataset of project bracket is being changed by others"):
        replace_entries(table, made, "two.jsonl", ImageStats(), "")
    delete_dataset(table, "bracket", DatasetType.TRAIN)
    new_dataset(table, DatasetType.TRAIN)
    for stale in (made, first):
        with pytest.raises(ThrottledError):
            replace_entries(table, stale, "two.jsonl", ImageStats(), "")
        with pytest.raises(ThrottledError):
            settle_dataset(table, stale, DatasetStatus.UPDATE_FAILED_ROLLBACK_COMPLETE, "")
    assert describe_dataset(table, "bracket", DatasetType.TRAIN).entries_key is None


def test_a_project_that_others_change_at_once_is_no_conflict(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    made = new_dataset(table, DatasetType.TEST)

    def lose(self: Table, *writes: object) -> None:
        raise ConditionFailedError

    monkeypatch.setattr(Table, "write", lose)
    with pytest.raises(ThrottledError):
        new_dataset(table, DatasetType.TRAIN)
    with pytest.raises(ThrottledError):
        delete_dataset(table, "bracket", DatasetType.TEST)
    assert list(list_datasets(table, "bracket")) == [made]


def test_datasets_of_earlier_versions_have_no_entries(table: Table) -> None:
    made = new_dataset(table, DatasetType.TRAIN)
    key = {"pk": "PROJECT#bracket", "sk": "DATASET#train"}
    table.update(Update(key, {"revision": None, "folder": None}))
    dataset = describe_dataset(table, "bracket", DatasetType.TRAIN)
    assert (dataset.entries_key, dataset.revision) == (None, 0)
    assert replace_entries(table, dataset, "one.jsonl", ImageStats(), "").revision == 1
    assert dataset.created_at == made.created_at


def test_versions_count_up_and_are_never_reused(table: Table) -> None:
    versions = [trained(table) for _ in range(11)]
    assert versions == [str(number) for number in range(1, 12)]
    assert [model.version for model in list_models(table, "bracket")] == versions[::-1]
    delete_model(table, "bracket", "11")
    assert create_model(table, "bracket").version == "12"


def test_model_life(table: Table) -> None:
    version = create_model(table, "bracket", description="first").version
    assert describe_model(table, "bracket", version).status is ModelStatus.TRAINING
    model = finish_training(table, "bracket", version, "sha", Performance(0.9, 0.8, 1.0), "Fine.")
    assert model.status is ModelStatus.TRAINED
    assert model.performance is not None
    assert asdict(model.performance) == pytest.approx({"f1_score": 0.9, "recall": 0.8, "precision": 1.0})
    assert start_hosting(table, "bracket", version).status is ModelStatus.STARTING_HOSTING
    finish_hosting(table, "bracket", version, who=WHO)
    hosted = describe_project(table, "bracket").hosted
    assert hosted is not None
    assert (hosted.version, hosted.package_sha256) == (version, "sha")
    stop_hosting(table, "bracket", version, who=WHO)
    model = describe_model(table, "bracket", version)
    assert (model.status, model.description) == (ModelStatus.TRAINED, "first")
    assert hosted_version(table) is None


def test_tags_that_are_changed_at_once_are_all_kept(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    version = create_model(table, "bracket", tags={"line": "7"}).version
    original = Table.update

    def another_first(self: Table, update: Update) -> object:
        monkeypatch.setattr(Table, "update", original)
        change_tags(table, "bracket", version, lambda tags: {**tags, "camera": "3"})
        return original(self, update)

    monkeypatch.setattr(Table, "update", another_first)
    changed = change_tags(table, "bracket", version, lambda tags: {**tags, "shift": "late"})
    assert changed.tags == {"line": "7", "camera": "3", "shift": "late"}
    assert change_tags(table, "bracket", version, lambda _: {}).tags == {}
    with pytest.raises(ResourceNotFoundError):
        change_tags(table, "bracket", "99", lambda tags: tags)


def test_a_version_of_an_earlier_release_is_read_and_tagged(table: Table) -> None:
    version = trained(table)
    key = {"pk": "PROJECT#bracket", "sk": "MODEL#0000000001"}
    table.update(Update(key, {"tags": None, "training_ended_at": None}))
    model = describe_model(table, "bracket", version)
    assert (model.tags, model.output, model.training_ended_at) == ({}, None, None)
    assert change_tags(table, "bracket", version, lambda tags: {**tags, "line": "7"}).tags == {"line": "7"}


def test_the_end_of_a_training_frees_its_slot_even_when_others_write_at_the_same_time(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = create_model(table, "bracket", slots=1).version
    original, lost = Table.write, iter([True, True, False])

    def lose_twice(self: Table, *writes: Write) -> None:
        if next(lost):
            raise ConditionFailedError
        original(self, *writes)

    monkeypatch.setattr(Table, "write", lose_twice)
    assert fail_training(table, "bracket", version, "no").status is ModelStatus.TRAINING_FAILED
    assert list(table.query(("pk", "TRAININGS"))) == []


def test_writes_that_others_always_foil_are_given_up(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    version = create_model(table, "bracket").version

    def lose(*_: object) -> None:
        raise ConditionFailedError

    monkeypatch.setattr(Table, "write", lose)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with pytest.raises(ThrottledError, match=f"bracket/{version} was being changed by others"):
        fail_training(table, "bracket", version, "no")
    with pytest.raises(ThrottledError):
        create_model(table, "bracket", slots=2)


def test_how_far_a_training_is_can_be_said_while_it_lasts(table: Table) -> None:
    version = create_model(table, "bracket").version
    report_training(table, "bracket", version, "reading images, 3 of 5")
    model = describe_model(table, "bracket", version)
    assert (model.status, model.status_message) == (ModelStatus.TRAINING, "reading images, 3 of 5")
    assert model.sign_of_life_at is not None
    fail_training(table, "bracket", version, "no")
    with pytest.raises(ConflictError, match="is TRAINING_FAILED"):
        report_training(table, "bracket", version, "reading images, 4 of 5")
    assert describe_model(table, "bracket", version).status_message == "no"


def test_states_change_only_along_their_life(table: Table) -> None:
    failed = create_model(table, "bracket").version
    fail_training(table, "bracket", failed, "too few images")
    with pytest.raises(ConflictError, match="bracket/1 could not be trained, so there is nothing to start"):
        start_hosting(table, "bracket", failed)
    version = trained(table)
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: finish_training(table, "bracket", version, "sha", None, ""), "is not being trained any more"),
        (lambda: fail_training(table, "bracket", version, ""), "is not being trained any more"),
        (lambda: finish_hosting(table, "bracket", version, who=WHO), "is not being started any more"),
        (lambda: fail_hosting(table, "bracket", version, ""), "is not being started any more"),
        (lambda: stop_hosting(table, "bracket", version, who=WHO), "is not hosted, so there is nothing to stop"),
    ]
    for call, words in calls:
        with pytest.raises(ConflictError, match=rf"Model bracket/{version} {words} \(it is TRAINED\)"):
            call()
    start_hosting(table, "bracket", version)
    fail_hosting(table, "bracket", version, "the package is damaged")
    host(table, version)
    with pytest.raises(ConflictError, match="is HOSTED"):
        delete_model(table, "bracket", version)
    assert hosted_version(table) == version


@pytest.mark.parametrize("version", ["99", "latest", "-1", ""])
def test_unknown_versions_are_not_found(table: Table, version: str) -> None:
    with pytest.raises(ResourceNotFoundError) as caught:
        describe_model(table, "bracket", version)
    assert caught.value.resource_type is ResourceType.MODEL


def test_the_newest_hosted_version_inherits_the_uploads(table: Table) -> None:
    for _ in range(3):
        host(table, trained(table))
    assert hosted_version(table) == "3"
    stop_hosting(table, "bracket", "1", who=WHO)
    assert hosted_version(table) == "3"
    stop_hosting(table, "bracket", "3", who=WHO)
    assert hosted_version(table) == "2"
    stop_hosting(table, "bracket", "2", who=WHO)
    assert hosted_version(table) is None


def test_a_stop_that_lost_a_race_for_the_pointer_looks_again(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    host(table, trained(table))
    original = Table.write

    def host_another_first(self: Table, *writes: object) -> None:
        monkeypatch.setattr(Table, "write", original)
        host(table, trained(table))
        original(self, *writes)  # type: ignore[arg-type]

    monkeypatch.setattr(Table, "write", host_another_first)
    stop_hosting(table, "bracket", "1", who=WHO)
    assert hosted_version(table) == "2"
    assert describe_model(table, "bracket", "1").status is ModelStatus.TRAINED


def test_an_heir_that_was_stopped_meanwhile_inherits_nothing(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        host(table, trained(table))
    original = Table.write

    def stop_the_heir_first(self: Table, *writes: object) -> None:
        monkeypatch.setattr(Table, "write", original)
        stop_hosting(table, "bracket", "2", who=WHO)
        original(self, *writes)  # type: ignore[arg-type]

    monkeypatch.setattr(Table, "write", stop_the_heir_first)
    stop_hosting(table, "bracket", "3", who=WHO)
    assert hosted_version(table) == "1"


def test_writers_of_other_things_at_the_same_time_are_no_conflict(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DynamoDB refuses a write that meets another's transaction, though nothing that it expects has changed."""
    version = trained(table)
    write, update = Table.write, Table.update
    refused: list[str] = []

    def meet(name: str) -> None:
        if refused[-1:] != [name]:
            refused.append(name)
            raise ConditionFailedError
        refused.append("")

    def write_second_time(self: Table, *writes: Write) -> None:
        meet("write")
        write(self, *writes)

    def update_second_time(self: Table, change: Update) -> object:
        meet("update")
        return update(self, change)

    monkeypatch.setattr(Table, "write", write_second_time)
    monkeypatch.setattr(Table, "update", update_second_time)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    host(table, version)
    stop_hosting(table, "bracket", version, who=WHO)
    delete_model(table, "bracket", version)
    assert refused == ["update", "", "write", "", "write", "", "write", ""]
    with pytest.raises(ResourceNotFoundError):
        describe_model(table, "bracket", version)


def test_starts_stops_and_deletions_that_others_always_foil_can_be_tried_again(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*_: object) -> None:
        raise ConditionFailedError

    starting, hosted, idle = trained(table), trained(table), trained(table)
    start_hosting(table, "bracket", starting)
    host(table, hosted)
    with monkeypatch.context() as patch:
        patch.setattr(Table, "write", lose)
        patch.setattr(time, "sleep", lambda _: None)
        start, stop = (partial(each, who=WHO) for each in (finish_hosting, stop_hosting))
        for foiled, version in ((start, starting), (stop, hosted), (delete_model, idle)):
            with pytest.raises(ThrottledError, match=f"bracket/{version} was being changed by others"):
                foiled(table, "bracket", version)
    finish_hosting(table, "bracket", starting, who=WHO)
    stop_hosting(table, "bracket", hosted, who=WHO)
    delete_model(table, "bracket", idle)
    assert hosted_version(table) == starting


def test_a_project_deleted_under_a_new_model_version_is_not_found(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Table.write

    def delete_first(self: Table, *writes: Write) -> None:
        monkeypatch.setattr(Table, "write", original)
        delete_project(table, "bracket")
        original(self, *writes)

    monkeypatch.setattr(Table, "write", delete_first)
    with pytest.raises(ResourceNotFoundError):
        create_model(table, "bracket")


def test_packages_are_verified(cloud: Cloud) -> None:
    package = classification_package()
    sha256 = save_package(Bucket(cloud.s3, "models"), "bracket", "1", package)
    assert load_package(Bucket(cloud.s3, "models"), "bracket", "1", sha256).files() == package.files()
    with pytest.raises(PackageError, match="registered was other"):
        load_package(Bucket(cloud.s3, "models"), "bracket", "1", "other")
    cloud.s3.delete_object(Bucket="models", Key="bracket/1/graph.onnx")
    with pytest.raises(PackageError, match=r"has no graph\.onnx"):
        load_package(Bucket(cloud.s3, "models"), "bracket", "1", sha256)


def test_hosting_a_package_end_to_end(cloud: Cloud) -> None:
    assert hosted_package(cloud.registry, cloud.s3, "bracket", classification_package()) == "1"
    assert hosted_version(cloud.registry) == "1"


def test_a_project_keeps_its_own_backbone_until_it_is_removed(cloud: Cloud) -> None:
    package = package_export(anomalib_onnx(), project="bracket", version="1")
    create_project(cloud.registry, "bracket")
    place = (cloud.registry, Bucket(cloud.s3, "models"), "bracket")
    assert load_backbone(*place) is None
    assert not delete_backbone(*place)
    save_backbone(*place, feature_onnx(96))
    second = feature_onnx(64)
    save_backbone(*place, second)
    assert load_backbone(*place) == second
    # A model version's files stay apart from it, and hosting one changes nothing about it
    assert hosted_package(cloud.registry, cloud.s3, "bracket", package) == "1"
    assert load_backbone(*place) == second
    assert delete_backbone(*place)
    assert load_backbone(*place) is None
    keys = [each["Key"] for each in cloud.s3.list_objects_v2(Bucket="models")["Contents"]]
    assert keys == ["bracket/1/graph.onnx", "bracket/1/model.json"]


def test_a_backbone_is_verified_whenever_it_is_loaded(cloud: Cloud) -> None:
    create_project(cloud.registry, "bracket")
    place = (cloud.registry, Bucket(cloud.s3, "models"), "bracket")
    saved = feature_onnx(64)
    save_backbone(*place, saved)
    cloud.s3.put_object(Bucket="models", Key="bracket/backbone.onnx", Body=feature_onnx(96))
    with pytest.raises(BackboneError, match=f"imported was {hashlib.sha256(saved).hexdigest()}"):
        load_backbone(*place)
    cloud.s3.delete_object(Bucket="models", Key="bracket/backbone.onnx")
    with pytest.raises(BackboneError, match="is gone"):
        load_backbone(*place)


def test_only_a_project_has_a_backbone(cloud: Cloud) -> None:
    place = (cloud.registry, Bucket(cloud.s3, "models"), "nobody")
    for call in (
        lambda: save_backbone(*place, feature_onnx(64)),
        lambda: load_backbone(*place),
        lambda: delete_backbone(*place),
    ):
        with pytest.raises(ResourceNotFoundError):
            call()
    assert "Contents" not in cloud.s3.list_objects_v2(Bucket="models")
