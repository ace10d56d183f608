"""Model versions through the API: what is asked of them before they train, and how they are hosted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from threading import Lock
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from relook.aws.table import Table, Update
from relook.detection.package import ModelPackage
from relook.errors import (
    AwsError,
    ConflictError,
    InvalidRequestError,
    QuotaExceededError,
    RelookError,
    ResourceNotFoundError,
    ResourceType,
)
from relook.learning.foreign.anomalib import package_export
from relook.lookout import models as operations
from relook.lookout.detect import detect_anomalies
from relook.lookout.service import Service, encode_token
from relook.registry import hosting, trainings
from relook.registry import models as registry_models
from relook.registry.dataset_type import DatasetType
from relook.registry.datasets import DatasetStatus, ImageStats, create_dataset
from relook.registry.history import list_history
from relook.registry.model_version import EvaluationFiles, ModelStatus, OutputPlace, Performance
from relook.registry.models import STARTING_SILENCE, TRAINING_SILENCE
from relook.registry.packages import save_package
from relook.registry.projects import create_project, describe_project
from relook.registry.thresholds import choose_threshold
from relook.registry.trainings import fail_training, finish_training
from tests.account import Cloud
from tests.unit.foreign import anomalib_onnx
from tests.unit.parts import OUTDATED, outdated_package, part_png

ARN = "arn:aws:lookoutvision:us-east-1:123456789012:model/bracket"
OUTPUT = {"S3Location": {"Bucket": "results", "Prefix": "k_fold_"}}
REQUEST = {"ProjectName": "bracket", "OutputConfig": OUTPUT}


@pytest.fixture
def service(service: Service) -> Service:
    """The project `bracket` exists, without datasets."""
    create_project(service.registry, "bracket")
    return service


@pytest.fixture
def ready(service: Service) -> Service:
    """The same with a dataset that can train."""
    stats(service, DatasetType.TRAIN, normal=20, anomaly=5)
    return service


def stats(service: Service, kind: DatasetType, *, normal: int = 0, anomaly: int = 0, unlabeled: int = 0) -> None:
    """A complete dataset with these counts."""
    labeled = normal + anomaly
    create_dataset(
        service.registry,
        "bracket",
        kind,
        status=DatasetStatus.CREATE_COMPLETE,
        message="The dataset was created.",
        stats=ImageStats(total=labeled + unlabeled, labeled=labeled, normal=normal, anomaly=anomaly),
        entries_key=None,
    )


def asked(version: str = "1", **more: Any) -> dict[str, Any]:
    return {"ProjectName": "bracket", "ModelVersion": version, **more}


def described(service: Service, version: str = "1") -> dict[str, Any]:
    description: dict[str, Any] = operations.describe_model(service, asked(version))["ModelDescription"]
    return {name: value for name, value in description.items() if value is not None}


@cache
def small_package() -> ModelPackage:
    """One that loads."""
    return package_export(anomalib_onnx(), project="bracket", version="1")


def trained(service: Service, performance: Performance | None = None, package: ModelPackage | None = None) -> str:
    """A trained version with a package that loads, unless another is given."""
    version = trainings.create_model(service.registry, "bracket", output=OutputPlace("results", "")).version
    sha256 = save_package(service.models_bucket, "bracket", version, package or small_package())
    files = EvaluationFiles("EvaluationManifest-x.json", "EvaluationResult-x.json", "TrainingReport-x.json")
    finish_training(
        service.registry, "bracket", version, sha256, performance, "The model is trained.", evaluation=files
    )
    return version


def start(service: Service, version: str = "1", minimum: int = 1, **more: Any) -> dict[str, Any]:
    return operations.start_model(service, asked(version, MinInferenceUnits=minimum, **more))


def messages(service: Service) -> list[Any]:
    answer = service.sqs.receive_message(QueueUrl=service.settings.training_queue_url, MaxNumberOfMessages=10)
    return [json.loads(each["Body"]) for each in answer.get("Messages", [])]


def years_ago(service: Service, version: str, *attributes: str) -> None:
    """Have the version's times lie in the past."""
    key = {"pk": "PROJECT#bracket", "sk": f"MODEL#{int(version):010d}"}
    service.registry.update(Update(key, dict.fromkeys(attributes, "2020-01-01T00:00:00+00:00")))


# --- create


def test_a_new_version_is_in_training_and_its_request_in_the_queue(ready: Service) -> None:
    given = {**REQUEST, "Description": "first", "KmsKeyId": "key-1", "Tags": [{"Key": "line", "Value": "7"}]}
    metadata = operations.create_model(ready, given)["ModelMetadata"]
    assert (metadata["ModelVersion"], metadata["ModelArn"]) == ("1", f"{ARN}/1")
    assert (metadata["Status"], metadata["StatusMessage"]) == ("TRAINING", "The model is being trained.")
    assert (metadata["Description"], "Performance" in metadata) == ("first", False)
    assert datetime.now(UTC) - metadata["CreationTimestamp"] < timedelta(minutes=1)
    assert messages(ready) == [{"project": "bracket", "version": "1"}]
    description = described(ready)
    assert (description["OutputConfig"], description["KmsKeyId"]) == (OUTPUT, "key-1")
    assert not description.keys() & {"Performance", "EvaluationResult", "EvaluationEndTimestamp", "MinInferenceUnits"}
    assert registry_models.describe_model(ready.registry, "bracket", "1").tags == {"line": "7"}


def test_normal_images_alone_are_enough(service: Service) -> None:
    stats(service, DatasetType.TRAIN, normal=10)
    assert operations.create_model(service, REQUEST)["ModelMetadata"]["Status"] == "TRAINING"


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        (None, None, "has no train dataset"),
        (None, {"normal": 20, "anomaly": 20}, "has no train dataset"),
        ({"normal": 9, "anomaly": 30, "unlabeled": 4}, None, "43 images, 9 normal, 30 anomalous and 4 unlabelled; at"),
        ({}, None, "has 0 images, 0 normal"),
        ({"normal": 20}, {"normal": 10, "anomaly": 9}, "test dataset of project bracket has 19 images, 10 normal, 9"),
        ({"normal": 20}, {"normal": 9, "anomaly": 10}, "at least 10 normal and 10 anomalous ones are needed"),
        ({"normal": 20}, {}, "test dataset of project bracket has 0 images"),
    ],
)
def test_datasets_that_cannot_train_are_refused_with_their_counts(
    service: Service, train: dict[str, int] | None, test: dict[str, int] | None, words: str
) -> None:
    for kind, counts in ((DatasetType.TRAIN, train), (DatasetType.TEST, test)):
        if counts is not None:
            stats(service, kind, **counts)
    with pytest.raises(InvalidRequestError, match=words):
        operations.create_model(service, REQUEST)
    assert list(registry_models.list_models(service.registry, "bracket")) == []


def test_a_dataset_that_failed_is_refused_with_its_message(service: Service) -> None:
    create_dataset(
        service.registry,
        "bracket",
        DatasetType.TRAIN,
        status=DatasetStatus.CREATE_FAILED,
        message="line 3: not JSON",
        stats=ImageStats(),
        entries_key=None,
    )
    with pytest.raises(InvalidRequestError, match=r"is CREATE_FAILED \(line 3: not JSON\)"):
        operations.create_model(service, REQUEST)


def test_a_tag_given_twice_is_refused_and_nothing_is_created(ready: Service) -> None:
    tags = [{"Key": "line", "Value": "7"}, {"Key": "line", "Value": "8"}]
    with pytest.raises(InvalidRequestError, match="Tags names a key twice"):
        operations.create_model(ready, {**REQUEST, "Tags": tags})
    assert described_versions(ready) == []


def described_versions(service: Service) -> list[str]:
    return [each["ModelVersion"] for each in operations.list_models(service, {"ProjectName": "bracket"})["Models"]]


def test_a_version_whose_request_cannot_be_queued_has_failed(ready: Service) -> None:
    nowhere = replace(ready, settings=replace(ready.settings, training_queue_url="https://sqs/123456789012/nowhere"))
    with pytest.raises(AwsError):
        operations.create_model(nowhere, REQUEST)
    description = described(ready)
    assert description["Status"] == "TRAINING_FAILED"
    assert "could not be put into the queue" in description["StatusMessage"]
    for _ in range(2):  # it keeps no slot
        operations.create_model(ready, REQUEST)


# --- trainings at once


def test_the_third_training_at_once_is_too_many_and_one_that_ends_makes_room(ready: Service) -> None:
    for _ in range(2):
        operations.create_model(ready, REQUEST)
    with pytest.raises(QuotaExceededError, match=r"2 model versions are being trained \(bracket/1, bracket/2\)") as no:
        operations.create_model(ready, REQUEST)
    assert (no.value.quota_code, no.value.resource_type) == ("ConcurrentTrainings", ResourceType.MODEL)
    fail_training(ready.registry, "bracket", "1", "no")
    assert operations.create_model(ready, REQUEST)["ModelMetadata"]["ModelVersion"] == "3"
    finish_training(ready.registry, "bracket", "3", "sha", None, "yes")
    assert operations.create_model(ready, REQUEST)["ModelMetadata"]["ModelVersion"] == "4"


@pytest.fixture
def one_request_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """As DynamoDB does it: moto would mix up the requests of several threads themselves, not only their order."""
    lock, original = Lock(), BaseClient._make_api_call

    def make_api_call(self: Any, *given: Any) -> Any:
        with lock:
            return original(self, *given)

    monkeypatch.setattr(BaseClient, "_make_api_call", make_api_call)


@pytest.mark.usefixtures("one_request_at_a_time")
def test_of_many_at_once_exactly_as_many_train_as_there_are_slots(ready: Service) -> None:
    def create(_: int) -> str:
        try:
            return str(operations.create_model(ready, REQUEST)["ModelMetadata"]["Status"])
        except RelookError as error:
            return type(error).__name__

    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(create, range(8)))
    assert sorted(versions) == [*["QuotaExceededError"] * 6, *["TRAINING"] * 2]
    slots = list(ready.registry.query(("pk", "TRAININGS")))
    training = [each.version for each in registry_models.list_models(ready.registry, "bracket")]
    assert sorted(each["version"] for each in slots) == sorted(training)


def test_a_slot_snatched_by_another_writer_is_not_used_twice(ready: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Table.write

    def snatch_first(self: Table, *writes: Any) -> None:
        monkeypatch.setattr(Table, "write", original)
        for _ in range(2):
            operations.create_model(ready, REQUEST)
        original(self, *writes)

    monkeypatch.setattr(Table, "write", snatch_first)
    with pytest.raises(QuotaExceededError):
        operations.create_model(ready, REQUEST)
    assert described_versions(ready) == ["2", "1"], "no number is lost"


@pytest.mark.parametrize("look", ["describe", "list", "count"])
def test_a_training_without_a_sign_of_life_has_failed_whoever_looks(ready: Service, look: str) -> None:
    for _ in range(2):
        operations.create_model(ready, REQUEST)
    trainings.report_training(ready.registry, "bracket", "2", "reading images, 1 of 9")
    years_ago(ready, "1", "created_at")
    years_ago(ready, "2", "created_at")
    if look == "describe":
        assert described(ready)["Status"] == "TRAINING_FAILED"
    elif look == "list":
        described_versions(ready)
    else:
        assert operations.create_model(ready, REQUEST)["ModelMetadata"]["ModelVersion"] == "3"
    model = registry_models.describe_model(ready.registry, "bracket", "1")
    assert "gave no sign of life for 60 minutes" in model.status_message
    assert described(ready, "2")["Status"] == "TRAINING"  # it has told how far it is
    assert len(list(ready.registry.query(("pk", "TRAININGS")))) == (2 if look == "count" else 1)


def test_silence_is_longer_than_a_crashed_function_takes_to_be_tried_again() -> None:
    assert timedelta(seconds=2 * (900 + 60)) < TRAINING_SILENCE
    assert timedelta(seconds=60) < STARTING_SILENCE


# --- describe and list


def test_a_trained_version_tells_everything_that_clients_read(ready: Service) -> None:
    operations.create_model(ready, REQUEST)
    ended_at = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
    finish_training(
        ready.registry,
        "bracket",
        "1",
        "sha",
        Performance(0.5, 0.25, 1.0),
        "The model is trained.",
        evaluation=EvaluationFiles("m.json", "r.json", "t.json"),
        ended_at=ended_at,
    )
    description = described(ready)
    assert description["Performance"] == {"F1Score": 0.5, "Recall": 0.25, "Precision": 1.0}
    assert description["EvaluationEndTimestamp"] == ended_at
    assert description["EvaluationManifest"] == {"Bucket": "results", "Key": "m.json"}
    assert description["EvaluationResult"] == {"Bucket": "results", "Key": "r.json"}
    assert description["OutputConfig"] == OUTPUT


def test_what_old_clients_read_unconditionally_is_never_missing(service: Service) -> None:
    registered = trainings.create_model(service.registry, "bracket").version
    finish_training(service.registry, "bracket", registered, "sha", None, "The model was registered from a.onnx.")
    description = described(service, registered)
    assert description["Performance"] == {"F1Score": 0, "Recall": 0, "Precision": 0}
    assert description["StatusMessage"] == f"The model was registered from a.onnx. {operations.NOT_MEASURED}"
    assert description["OutputConfig"] == {"S3Location": {"Bucket": "models", "Prefix": "bracket/1/"}}
    assert isinstance(description["EvaluationEndTimestamp"], datetime)
    assert "EvaluationResult" not in description
    without_prefix = trainings.create_model(service.registry, "bracket", output=OutputPlace("results", ""))
    assert described(service, without_prefix.version)["OutputConfig"] == {
        "S3Location": {"Bucket": "results", "Prefix": ""}
    }


def test_versions_are_listed_newest_first_in_pages_that_survive_a_deletion(service: Service) -> None:
    for _ in range(11):
        trained(service)
    pages, token = [], None
    while True:
        given = {"ProjectName": "bracket", "MaxResults": 4, **({"NextToken": token} if token else {})}
        page = operations.list_models(service, given)
        pages.append([each["ModelVersion"] for each in page["Models"]])
        token = page["NextToken"]
        if len(pages) == 1:
            operations.delete_model(service, asked("8"))
        if not token:
            break
    assert pages == [["11", "10", "9", "8"], ["7", "6", "5", "4"], ["3", "2", "1"]]
    assert len(operations.list_models(service, {"ProjectName": "bracket"})["Models"]) == 10


def test_a_token_of_another_project_s_list_is_refused(service: Service) -> None:
    for _ in range(2):
        trained(service)
    token = operations.list_models(service, {"ProjectName": "bracket", "MaxResults": 1})["NextToken"]
    create_project(service.registry, "board")
    with pytest.raises(InvalidRequestError, match="NextToken"):
        operations.list_models(service, {"ProjectName": "board", "NextToken": token})


@pytest.mark.parametrize("position", ["abc", "-1", "1.5", "\u0661"])
def test_a_token_of_no_version_is_refused(service: Service, position: str) -> None:
    trained(service)
    token = encode_token("models of bracket", position)
    with pytest.raises(InvalidRequestError, match="NextToken"):
        operations.list_models(service, {"ProjectName": "bracket", "NextToken": token})


def test_latest_is_described_in_any_state_and_otherwise_means_the_newest_trained_one(ready: Service) -> None:
    assert trained(ready) == "1"
    operations.create_model(ready, REQUEST)
    assert described(ready, "latest")["ModelVersion"] == "2"
    assert operations.resolve_version(ready, "bracket", "latest") == "1"
    start(ready, "latest")
    assert described(ready, "1")["Status"] == "HOSTED"
    fail_training(ready.registry, "bracket", "2", "no")
    operations.stop_model(ready, asked("latest"))
    assert described(ready, "1")["Status"] == "TRAINED"
    assert trained(ready) == "3"
    assert operations.resolve_version(ready, "bracket", "latest") == "3"


CALLS: dict[str, Callable[[Service, dict[str, Any]], Any]] = {
    "describe": operations.describe_model,
    "delete": operations.delete_model,
    "start": lambda service, given: operations.start_model(service, {**given, "MinInferenceUnits": 1}),
    "stop": operations.stop_model,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
@pytest.mark.parametrize("version", ["7", "latest"])
def test_what_is_not_there_is_not_found(
    service: Service, call: Callable[[Service, dict[str, Any]], Any], version: str
) -> None:
    with pytest.raises(ResourceNotFoundError) as model:
        call(service, asked(version))
    assert (model.value.resource_type, model.value.resource_id) == (ResourceType.MODEL, f"bracket/{version}")
    with pytest.raises(ResourceNotFoundError) as project:
        call(service, {"ProjectName": "board", "ModelVersion": version})
    assert project.value.resource_type == ResourceType.PROJECT


@pytest.mark.parametrize("call", [operations.create_model, operations.list_models])
def test_without_the_project_there_is_nothing_to_create_or_list(
    service: Service, call: Callable[[Service, dict[str, Any]], Any]
) -> None:
    with pytest.raises(ResourceNotFoundError) as caught:
        call(service, {**REQUEST, "ProjectName": "board"})
    assert caught.value.resource_type == ResourceType.PROJECT


# --- delete


def test_a_deleted_version_leaves_no_package_behind(service: Service) -> None:
    version = trained(service)
    assert operations.delete_model(service, asked(version)) == {"ModelArn": f"{ARN}/{version}"}
    assert "Contents" not in service.s3.list_objects_v2(Bucket="models")
    assert described_versions(service) == []


def test_a_package_that_cannot_be_deleted_does_not_bring_the_version_back(service: Service) -> None:
    version = trained(service)
    elsewhere = replace(service, settings=replace(service.settings, models_bucket="gone"))
    operations.delete_model(elsewhere, asked(version))
    assert described_versions(service) == []


def test_versions_in_use_are_not_deleted(ready: Service) -> None:
    start(ready, trained(ready))
    operations.create_model(ready, REQUEST)
    for version, words in (("1", "in use; stop it before it is deleted"), ("2", "being trained; wait until that has")):
        with pytest.raises(ConflictError, match=f"Model bracket/{version} is {words}") as caught:
            operations.delete_model(ready, asked(version))
        assert caught.value.resource_id == f"bracket/{version}"


# --- start and stop


def test_a_started_version_is_hosted_with_its_units_and_inspects_uploads(service: Service) -> None:
    trained(service, Performance(1.0, 1.0, 1.0))
    assert start(service, minimum=2, MaxInferenceUnits=3) == {"Status": "STARTING_HOSTING"}
    description = described(service)
    assert (description["Status"], description["StatusMessage"]) == ("HOSTED", "The model is running.")
    assert (description["MinInferenceUnits"], description["MaxInferenceUnits"]) == (2, 3)
    assert description["Performance"]["F1Score"] == 1
    hosted = describe_project(service.registry, "bracket").hosted
    assert hosted is not None and hosted.version == "1"
    assert operations.stop_model(service, asked()) == {"Status": "STOPPING_HOSTING"}
    description = described(service)
    assert (description["Status"], description["StatusMessage"]) == ("TRAINED", "The model is trained.")
    assert description["Performance"] == {"F1Score": 1, "Recall": 1, "Precision": 1}
    assert not description.keys() & {"MinInferenceUnits", "MaxInferenceUnits"}
    assert describe_project(service.registry, "bracket").hosted is None


def test_states_that_do_not_allow_it_are_conflicts(ready: Service) -> None:
    version = trained(ready)
    refused = partial(pytest.raises, ConflictError)
    with refused(match=r"Model bracket/1 is not hosted, so there is nothing to stop \(it is TRAINED\)"):
        operations.stop_model(ready, asked(version))
    start(ready, version)
    with refused(match=r"Model bracket/1 is hosted already; stop it first to start it with other .* \(it is HOSTED\)"):
        start(ready, version)
    operations.create_model(ready, REQUEST)
    with refused(match=r"Model bracket/2 is being trained; wait until that has ended \(it is TRAINING\)"):
        start(ready, "2")
    fail_training(ready.registry, "bracket", "2", "no")
    with refused(match=r"Model bracket/2 could not be trained, so there is nothing to start; train a new version"):
        start(ready, "2")


@pytest.mark.parametrize(
    ("units", "error", "words"),
    [
        ({"minimum": 3, "MaxInferenceUnits": 2}, InvalidRequestError, "MaxInferenceUnits is 2, less than"),
        ({"minimum": 6}, QuotaExceededError, "6 inference units were asked for; a model may have up to 5"),
        ({"minimum": 1, "MaxInferenceUnits": 9}, QuotaExceededError, "9 inference units"),
    ],
)
def test_units_out_of_bounds_are_refused(
    service: Service, units: dict[str, Any], error: type[RelookError], words: str
) -> None:
    trained(service)
    with pytest.raises(error, match=words):
        start(service, **units)
    assert described(service)["Status"] == "TRAINED"


def test_a_package_that_does_not_load_is_a_failed_start_that_can_be_repeated(service: Service) -> None:
    trained(service)
    graph = service.s3.get_object(Bucket="models", Key="bracket/1/graph.onnx")["Body"].read()
    service.s3.put_object(Bucket="models", Key="bracket/1/graph.onnx", Body=b"damaged")
    assert start(service) == {"Status": "STARTING_HOSTING"}
    description = described(service)
    assert description["Status"] == "HOSTING_FAILED"
    assert "Model package of bracket/1 has SHA-256" in description["StatusMessage"]
    assert describe_project(service.registry, "bracket").hosted is None
    service.s3.put_object(Bucket="models", Key="bracket/1/graph.onnx", Body=graph)
    start(service)
    assert described(service)["Status"] == "HOSTED"


def test_a_model_of_an_older_relook_is_a_failed_start_that_says_to_train_again(service: Service) -> None:
    trained(service, package=outdated_package())
    start(service)
    description = described(service)
    assert (description["Status"], description["StatusMessage"]) == (
        "HOSTING_FAILED",
        f"{OUTDATED}. {operations.NOT_MEASURED}",
    )
    assert describe_project(service.registry, "bracket").hosted is None


def test_a_bucket_that_cannot_be_reached_is_a_failed_start_too(service: Service) -> None:
    trained(service)
    start(replace(service, settings=replace(service.settings, models_bucket="gone")))
    description = described(service)
    assert description["Status"] == "HOSTING_FAILED"
    assert "could not be loaded" in description["StatusMessage"]


def test_a_start_that_died_can_be_repeated_and_does_not_last_for_ever(service: Service) -> None:
    trained(service)
    hosting.start_hosting(service.registry, "bracket", "1")
    assert described(service)["Status"] == "STARTING_HOSTING"
    start(service)
    assert described(service)["Status"] == "HOSTED"
    operations.stop_model(service, asked())
    hosting.start_hosting(service.registry, "bracket", "1")
    years_ago(service, "1", "starting_since")
    assert described(service)["Status"] == "HOSTING_FAILED"
    assert "start it again" in described(service)["StatusMessage"]


def test_two_starts_at_once_both_succeed(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(service)
    original = hosting.finish_hosting

    def another_first(*args: Any, **units: Any) -> None:
        monkeypatch.setattr(hosting, "finish_hosting", original)
        start(service)
        original(*args, **units)

    monkeypatch.setattr(hosting, "finish_hosting", another_first)
    assert start(service) == {"Status": "STARTING_HOSTING"}
    assert described(service)["Status"] == "HOSTED"


def test_who_starts_and_stops_is_told_and_kept(service: Service, cloud: Cloud) -> None:
    trained(service)
    start(service)
    operations.stop_model(service.on_behalf_of("arn:aws:iam::123456789012:user/kim"), asked())
    started, stopped = cloud.published()
    assert (started["detail-type"], started["detail"]["changed_by"]) == ("Model Hosted", service.caller)
    assert (started["detail"]["subject"], started["detail"]["after"]) == ("bracket", {"model_version": "1"})
    assert stopped["detail"]["changed_by"] == "arn:aws:iam::123456789012:user/kim"
    assert stopped["detail"]["before"] == {"model_version": "1"} and "after" not in stopped["detail"]
    history = list(list_history(service.registry, "bracket"))
    assert [each.id for each in history] == [event["detail"]["change_id"] for event in (stopped, started)]
    assert service.on_behalf_of(None).caller == "arn:aws:iam::123456789012:root"
    assert service.on_behalf_of(None).models is service.models


def test_a_start_stands_though_the_bus_does_not_take_its_event(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(service)
    original = BaseClient._make_api_call

    def deaf(self: BaseClient, name: str, arguments: dict[str, Any]) -> Any:
        if name == "PutEvents":
            raise ClientError({"Error": {"Code": "InternalException", "Message": "deaf"}}, name)
        return original(self, name, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", deaf)
    start(service)
    assert described(service)["Status"] == "HOSTED"
    assert len(list(list_history(service.registry, "bracket"))) == 1


def test_a_moved_threshold_judges_in_detect_anomalies_at_once(service: Service) -> None:
    trained(service)
    start(service)
    image = {**asked(), "Body": part_png(1), "ContentType": "image/png"}
    usual = detect_anomalies(service, image)["DetectAnomalyResult"]
    p = usual["Confidence"] if usual["IsAnomalous"] else 1 - usual["Confidence"]
    for value, is_anomalous in ((p - 0.01, True), (p + 0.01, False)):
        choose_threshold(service.registry, "bracket", "1", value, how="by hand", who=service.caller)
        moved = detect_anomalies(service, image)["DetectAnomalyResult"]
        assert moved["IsAnomalous"] is is_anomalous
        assert 0.5 < moved["Confidence"] < 0.55


# --- inference units as provisioned concurrency


class Provisioned:
    """Stands for Lambda's API: keeps what was asked for."""

    def __init__(self) -> None:
        self.units: dict[tuple[str, str], int] = {}
        self.fails = False

    def put_provisioned_concurrency_config(self, **given: Any) -> None:
        if self.fails:
            raise AwsError("InvalidParameterValueException", "No.", operation="PutProvisionedConcurrencyConfig")
        self.units[given["FunctionName"], given["Qualifier"]] = given["ProvisionedConcurrentExecutions"]

    def delete_provisioned_concurrency_config(self, **given: Any) -> None:
        del self.units[given["FunctionName"], given["Qualifier"]]


@pytest.fixture
def provisioned(service: Service) -> Iterator[tuple[Service, Provisioned]]:
    """A stage that turns inference units into provisioned concurrency."""
    lambda_: Any = Provisioned()
    yield replace(service, lambda_=lambda_, settings=replace(service.settings, provisioned_alias="live")), lambda_


def test_units_of_all_hosted_versions_are_provisioned_and_none_when_none_is_hosted(
    provisioned: tuple[Service, Provisioned],
) -> None:
    service, lambda_ = provisioned
    for _ in range(2):
        trained(service)
    place = ("lookout_api", "live")
    start(service, "1", 2)
    assert lambda_.units == {place: 2}
    start(service, "2", 3)
    assert lambda_.units == {place: 5}
    operations.stop_model(service, asked("1"))
    assert lambda_.units == {place: 3}
    operations.stop_model(service, asked("2"))
    assert lambda_.units == {}


def test_a_version_is_hosted_even_where_nothing_can_be_provisioned(provisioned: tuple[Service, Provisioned]) -> None:
    service, lambda_ = provisioned
    lambda_.fails = True
    trained(service)
    start(service)
    assert described(service)["Status"] == ModelStatus.HOSTED


def test_nothing_is_provisioned_unless_the_stage_asks_for_it(service: Service) -> None:
    lambda_: Any = Provisioned()
    trained(service)
    start(replace(service, lambda_=lambda_))
    assert lambda_.units == {}


def test_an_output_bucket_that_cannot_be_written_is_refused_before_the_training(ready: Service) -> None:
    output = {"S3Location": {"Bucket": "nowhere-at-all", "Prefix": "out/"}}
    with pytest.raises(
        InvalidRequestError, match=r"s3://nowhere-at-all/out/ cannot be written: there is no bucket nowhere-at-all"
    ):
        operations.create_model(ready, {**REQUEST, "OutputConfig": output})
    assert list(operations.list_models(ready, {"ProjectName": "bracket"})["Models"]) == []
    operations.create_model(ready, REQUEST)
    assert ready.s3.list_multipart_uploads(Bucket="results").get("Uploads", []) == []
    assert ready.s3.list_objects_v2(Bucket="results")["KeyCount"] == 0
