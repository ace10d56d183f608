"""A queue's message to a trained model version, its evaluation files and its event; and every way that this fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from botocore.exceptions import ClientError

import train_model
from relook import settings
from relook.aws.bucket import Bucket
from relook.aws.table import Table
from relook.detection.model import Model
from relook.detection.package import ModelPackage
from relook.detection.regions import Regions
from relook.errors import (
    AwsThrottledError,
    AwsUnavailableError,
    EventNotPublishedError,
    PackageError,
    TrainingDataError,
)
from relook.events import put_events
from relook.learning import training as engine
from relook.learning.foreign.anomalib import package_export
from relook.learning.training import TrainedModel
from relook.learning.validation.evaluation import TEST_PROTOCOL, Evaluation, ImageOutcome, evaluate, evaluate_on
from relook.registry import hosting, models, trainings
from relook.registry.backbones import save_backbone
from relook.registry.dataset_type import DatasetType
from relook.registry.datasets import delete_dataset, read_entries
from relook.registry.manifest_entry import parse_entry
from relook.registry.model_version import ModelStatus, ModelVersion, OutputPlace
from relook.registry.packages import load_package, save_package
from relook.registry.projects import create_project, describe_project
from relook.registry.regions import clear_regions, set_regions
from relook.settings import TrainModelSettings
from relook.training import entries, trainer
from relook.training.event import training_id
from relook.training.labeled_objects import labeled_images, read_object
from relook.training.report import training_report
from relook.training.trainer import Trainer
from tests.account import Cloud
from tests.unit.detection.test_regions import painted, png
from tests.unit.foreign import anomalib_onnx, feature_onnx
from tests.unit.parts import WHO, labeled_parts, part_png, segmentation_package
from tests.unit.training.labeled_parts import put_dataset, register_dataset, unlabeled_line

pytestmark = pytest.mark.slow

EVENTS = Path(__file__).parents[3] / "events"
ARN = "arn:aws:lookoutvision:us-east-1:123456789012:model/bracket/1"
SETTINGS = TrainModelSettings(
    registry_table="registry", models_bucket="models", datasets_bucket="datasets", event_bus="relook"
)


@pytest.fixture
def cloud(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """With the project `bracket`, a fresh function, and a quick backbone in place of ours."""
    for name, value in SETTINGS.to_env().items():
        monkeypatch.setenv(name, value)
    for cached in (settings.train_model_settings, train_model.trainer):
        cached.cache_clear()
    cloud.s3.create_bucket(Bucket="datasets")
    create_project(cloud.registry, "bracket")
    save_backbone(cloud.registry, Bucket(cloud.s3, "models"), "bracket", feature_onnx(64))
    cloud.context.remaining_ms = 900_000
    yield cloud
    train_model.trainer.cache_clear()


def create(cloud: Cloud, prefix: str = "k_fold_", **more: Any) -> ModelVersion:
    """The next model version, as CreateModel leaves it."""
    return trainings.create_model(cloud.registry, "bracket", output=OutputPlace("results", prefix), slots=2, **more)


def message(version: str = "1", attempt: int = 1) -> dict[str, Any]:
    return {
        "messageId": "message-1",
        "eventSource": "aws:sqs",
        "body": json.dumps({"project": "bracket", "version": version}),
        "attributes": {"ApproximateReceiveCount": str(attempt)},
    }


def deliver(cloud: Cloud, version: str = "1", attempt: int = 1) -> bool:
    """Invoke the function; whether it is done with the message."""
    answer: dict[str, Any] = train_model.handler({"Records": [message(version, attempt)]}, cloud.context)
    return answer == {"batchItemFailures": []}


def model(cloud: Cloud, version: str = "1") -> ModelVersion:
    return models.describe_model(cloud.registry, "bracket", version)


def told(cloud: Cloud) -> list[dict[str, Any]]:
    """Every event since the last call, each checked against its schema: (detail type, detail)."""
    events = cloud.published()
    for event in events:
        folder = event["detail-type"].lower().replace(" ", "-")
        schema = json.loads((EVENTS / "outbound" / folder / "schema.json").read_text())
        jsonschema.validate(event["detail"], schema)
    return [{"type": event["detail-type"], **event["detail"]} for event in events]


def written(cloud: Cloud, key: str) -> Any:
    return json.loads(cloud.s3.get_object(Bucket="results", Key=key)["Body"].read())


def lines(cloud: Cloud, key: str) -> list[dict[str, Any]]:
    text = cloud.s3.get_object(Bucket="results", Key=key)["Body"].read().decode()
    return [json.loads(line) for line in text.splitlines()]


@cache
def classification_package() -> ModelPackage:
    """Made by hand."""
    return package_export(anomalib_onnx(), project="bracket", version="1")


Outcomes = Callable[..., None]


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> Outcomes:
    """Have training end at once: with an error, or with a model made before."""

    def set_outcome(error: Exception | None = None, package: ModelPackage | None = None) -> None:
        def train(images: Any, *, on_progress: Any, **_: Any) -> TrainedModel:
            on_progress("learning what is normal", 3, 5)
            if error:
                raise error
            outcomes = [
                ImageOutcome(i.name, i.is_anomalous, i.is_anomalous, 0.25 + 0.5 * i.is_anomalous, 0.0) for i in images
            ]
            return TrainedModel(package or classification_package(), measured(outcomes), ("Look at this",))

        monkeypatch.setattr(engine, "train", train)

    return set_outcome


def measured(outcomes: list[ImageOutcome]) -> Evaluation:
    return evaluate("Made up.", outcomes, np.array([each.anomaly_probability for each in outcomes]), [])


# --- trained


def test_a_single_dataset_is_trained_on_and_evaluated_image_by_image(cloud: Cloud) -> None:
    put_dataset(cloud.registry, cloud.s3, 10, 4, more=(unlabeled_line("train/nowhere.png"),))
    created = create(cloud)

    assert deliver(cloud)

    described = model(cloud)
    assert described.status is ModelStatus.TRAINED
    assert described.status_message.startswith("The model is trained.")
    assert described.performance is not None and described.performance.f1_score > 0.8
    assert described.package_sha256 is not None
    package = load_package(Bucket(cloud.s3, "models"), "bracket", "1", described.package_sha256)
    assert package.manifest.backbone is not None and package.manifest.backbone.name == "own"
    assert Model(package).detect(part_png(501, is_scratched=True)).is_anomalous

    keys = [each["Key"] for each in cloud.s3.list_objects_v2(Bucket="results")["Contents"]]
    assert keys == [
        f"k_fold_{name}-bracket-1.json" for name in ("EvaluationManifest", "EvaluationResult", "TrainingReport")
    ]
    result = written(cloud, "k_fold_EvaluationResult-bracket-1.json")
    assert result.keys() == {"Version", "EvaluationDetails", "AggregatedEvaluationResults"}
    details = result["EvaluationDetails"]
    assert details["ModelArn"] == ARN
    assert (details["NumberOfTrainingImages"], details["NumberOfTestingImages"]) == (14, 14)
    ended_at = datetime.fromisoformat(details["EvaluationEndTimestamp"]).replace(tzinfo=UTC)
    assert described.training_ended_at == ended_at
    metrics = result["AggregatedEvaluationResults"]["Metrics"]
    assert metrics.keys() == {"ROCAUC", "AveragePrecision", "Precision", "Recall", "F1Score"}
    assert metrics["F1Score"] == pytest.approx(described.performance.f1_score)

    manifest = lines(cloud, "k_fold_EvaluationManifest-bracket-1.json")
    assert len(manifest) == 14  # the unlabelled one is in neither
    line = manifest[-1]
    assert line["source-ref"] == "s3://images/train/anomaly/3.png"
    assert line["source-ref-metadata"] == {"creation-date": "2026-01-31T12:00:00.000000"}
    assert line["anomaly-label"] == 1  # what the class says, though the user's number says otherwise
    assert line["anomaly-label-metadata"]["class-name"] == "anomaly"
    assert line["anomaly-label-metadata"]["job-name"] == "labelling-7"
    detected = line["anomaly-label-detected-metadata"]
    assert line["anomaly-label-detected"] == (detected["class-name"] == "anomaly")
    assert detected.keys() == {
        "class-name", "confidence", "type", "human-annotated", "creation-date", "job-name", "model-arn",
        "project-name", "model-version",
    }  # fmt: skip
    assert (detected["job-name"], detected["human-annotated"]) == ("training-job/anomaly-detection", "no")
    assert (detected["model-arn"], detected["project-name"], detected["model-version"]) == (ARN, "bracket", "1")

    report = written(cloud, "k_fold_TrainingReport-bracket-1.json")
    assert report["model"] == "bracket/1"
    assert report["trained_on"] == {"normal_images": 10, "anomalous_images": 4}
    assert report["choices"] and report["evaluation"]["f1"] == metrics["F1Score"]

    (event,) = told(cloud)
    assert (event["type"], event["model_arn"]) == ("Model Trained", ARN)
    assert event["training_id"] == training_id(created)
    assert event["performance"]["f1_score"] == described.performance.f1_score
    assert event["evaluation"]["result_uri"] == "s3://results/k_fold_EvaluationResult-bracket-1.json"
    assert list(cloud.registry.query(("pk", "TRAININGS"))) == []


def test_the_project_s_regions_are_trained_with_and_noted(cloud: Cloud) -> None:
    put_dataset(cloud.registry, cloud.s3, 12)
    datasets = Bucket(cloud.s3, "datasets")
    set_regions(cloud.registry, datasets, "bracket", png(painted()), who=WHO)
    create(cloud)
    assert deliver(cloud)
    described, kept = model(cloud), describe_project(cloud.registry, "bracket").regions
    assert described.status is ModelStatus.TRAINED and described.package_sha256 and kept
    assert described.regions_key == kept.key
    assert "8.3% of the image is ignored" in described.status_message
    package = load_package(Bucket(cloud.s3, "models"), "bracket", "1", described.package_sha256)
    assert package.manifest.view.regions == Regions.from_mask(png(painted()))

    clear_regions(cloud.registry, "bracket", who=WHO)
    create(cloud)
    assert deliver(cloud, "2")
    assert model(cloud, "2").regions_key is None

    set_regions(cloud.registry, datasets, "bracket", png(painted()), who=WHO)
    datasets.delete(kept.key)
    create(cloud)
    assert deliver(cloud, "3")
    assert model(cloud, "3").status is ModelStatus.TRAINING_FAILED
    assert "paint them again" in model(cloud, "3").status_message


@pytest.fixture(scope="module")
def trained_once() -> ModelPackage:
    """Before training is put out of action for single tests."""
    return segmentation_package()


def test_a_test_dataset_judges_the_finished_model_with_its_types(
    trained_once: ModelPackage, cloud: Cloud, no_training: Outcomes
) -> None:
    no_training(package=trained_once)
    put_dataset(cloud.registry, cloud.s3, 12, 8, with_masks=True)
    put_dataset(cloud.registry, cloud.s3, 4, 3, kind=DatasetType.TEST, with_masks=True, seed=3000)
    create(cloud, "")

    assert deliver(cloud)

    result = written(cloud, "EvaluationResult-bracket-1.json")
    details = result["EvaluationDetails"]
    assert (details["NumberOfTrainingImages"], details["NumberOfTestingImages"]) == (20, 7)
    (kind,) = result["AggregatedEvaluationResults"]["Metrics"]["PixelAnomalyClassMetrics"]
    assert kind.keys() == {"Precision", "Recall", "F1Score", "AIOU", "ClassName"}
    assert kind["ClassName"] == "scratch"
    assert 0 <= kind["AIOU"] <= 1
    manifest = lines(cloud, "EvaluationManifest-bracket-1.json")
    assert [line["source-ref"].startswith("s3://images/test/") for line in manifest] == [True] * 7
    report = written(cloud, "TrainingReport-bracket-1.json")
    assert report["evaluation"]["protocol"] == TEST_PROTOCOL
    assert report["trained_on"] == {"normal_images": 12, "anomalous_images": 8}


def test_pixels_are_counted_as_detection_paints_them(trained_once: ModelPackage) -> None:
    evaluation = evaluate_on(Model(trained_once), labeled_parts(3, 4, with_masks=True), lambda *_: None)
    (kind,) = evaluation.types
    assert (kind.name, kind.images) == ("scratch", 4)
    assert kind.iou > 0.4
    assert kind.f1 == pytest.approx(2 * kind.iou / (1 + kind.iou))
    assert [outcome.is_anomalous for outcome in evaluation.outcomes] == [False] * 3 + [True] * 4


def test_normal_images_alone_train_a_model_whose_metrics_are_unknown(cloud: Cloud, no_training: Outcomes) -> None:
    no_training()
    put_dataset(cloud.registry, cloud.s3, 12)
    create(cloud)
    assert deliver(cloud)
    described = model(cloud)
    assert (described.status, described.performance) == (ModelStatus.TRAINED, None)
    metrics = written(cloud, "k_fold_EvaluationResult-bracket-1.json")["AggregatedEvaluationResults"]["Metrics"]
    assert set(metrics.values()) == {None}
    (event,) = told(cloud)
    assert "performance" not in event
    assert "could not be measured" in event["summary"]


def test_what_is_written_is_encrypted_with_the_caller_s_key(cloud: Cloud, no_training: Outcomes) -> None:
    no_training()
    put_dataset(cloud.registry, cloud.s3, 12)
    create(cloud, kms_key_id="1234abcd-12ab-34cd-56ef-1234567890ab")
    assert deliver(cloud)
    for each in cloud.s3.list_objects_v2(Bucket="results")["Contents"]:
        head = cloud.s3.head_object(Bucket="results", Key=each["Key"])
        assert (head["ServerSideEncryption"], head["ContentType"]) == ("aws:kms", "application/json")
        assert head["SSEKMSKeyId"].endswith("1234abcd-12ab-34cd-56ef-1234567890ab")


def test_a_training_says_how_far_it_is(cloud: Cloud, no_training: Outcomes, monkeypatch: pytest.MonkeyPatch) -> None:
    no_training()
    monkeypatch.setattr(trainer, "_TELL_EVERY_S", 0)
    said = []
    original = trainings.report_training

    def report(table: Table, project: str, version: str, message: str) -> None:
        original(table, project, version, message)
        said.append(model(cloud).status_message)

    monkeypatch.setattr(trainings, "report_training", report)
    put_dataset(cloud.registry, cloud.s3, 12)
    create(cloud)
    deliver(cloud)
    assert said == [
        "The model is being trained: reading the datasets, 1 of 1.",
        "The model is being trained: learning what is normal, 3 of 5.",
        "The model is being stored.",
    ]
    assert model(cloud).sign_of_life_at is not None


def test_progress_is_told_every_other_second_at_most(
    cloud: Cloud, no_training: Outcomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_training()
    calls: list[Any] = []
    monkeypatch.setattr(trainings, "report_training", lambda *given: calls.append(given))
    put_dataset(cloud.registry, cloud.s3, 12)
    create(cloud)
    deliver(cloud)
    assert [given[-1] for given in calls] == [
        "The model is being trained: reading the datasets, 1 of 1.",
        "The model is being stored.",
    ]


# --- failed


def failed(cloud: Cloud, version: str = "1") -> str:
    """The message of a training that failed, which the event repeats."""
    described = model(cloud, version)
    assert described.status is ModelStatus.TRAINING_FAILED
    assert described.training_ended_at is not None
    (event,) = told(cloud)
    assert (event["type"], event["message"]) == ("Model Training Failed", described.status_message)
    assert list(cloud.registry.query(("pk", "TRAININGS"))) == []
    return described.status_message


def test_too_few_images_fail_at_once(cloud: Cloud) -> None:
    put_dataset(cloud.registry, cloud.s3, 4)
    create(cloud)
    assert deliver(cloud)
    assert "There are 4 normal images; at least 10 are needed" in failed(cloud)


def test_a_missing_image_is_named(cloud: Cloud) -> None:
    put_dataset(cloud.registry, cloud.s3, 12)
    cloud.s3.delete_object(Bucket="images", Key="train/normal/7.png")
    create(cloud)
    assert deliver(cloud)
    assert failed(cloud).startswith("s3://images/train/normal/7.png does not exist (NoSuchKey)")


def test_a_missing_mask_is_named(cloud: Cloud) -> None:
    put_dataset(cloud.registry, cloud.s3, 12, 2, with_masks=True)
    cloud.s3.delete_object(Bucket="images", Key="train/masks/1.png")
    create(cloud)
    assert deliver(cloud)
    assert failed(cloud).startswith("s3://images/train/masks/1.png does not exist")


def test_a_file_that_is_no_image_is_named(cloud: Cloud) -> None:
    put_dataset(cloud.registry, cloud.s3, 12)
    cloud.s3.put_object(Bucket="images", Key="train/normal/3.png", Body=b"text")
    create(cloud)
    assert deliver(cloud)
    assert failed(cloud).startswith("s3://images/train/normal/3.png cannot be used: The content")


def test_a_dataset_deleted_meanwhile_is_a_failure_that_says_so(cloud: Cloud) -> None:
    put_dataset(cloud.registry, cloud.s3, 12)
    create(cloud)
    delete_dataset(cloud.registry, "bracket", DatasetType.TRAIN)
    assert deliver(cloud)
    assert "has no train dataset any more" in failed(cloud)


def test_an_output_bucket_that_cannot_be_written_is_named(cloud: Cloud, no_training: Outcomes) -> None:
    no_training()
    put_dataset(cloud.registry, cloud.s3, 12)
    trainings.create_model(cloud.registry, "bracket", output=OutputPlace("nobodys-bucket", "a/"))
    assert deliver(cloud)
    message = failed(cloud)
    assert "for the evaluation: s3://nobodys-bucket/a/EvaluationManifest-bracket-1.json cannot be written" in message
    assert "data_buckets" in message


def test_a_prefix_that_leaves_no_room_for_names_is_not_tried_again(
    cloud: Cloud, no_training: Outcomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "KeyTooLongError", "Message": "Your key is too long"}}, "PutObject")

    no_training()
    put_dataset(cloud.registry, cloud.s3, 12)
    create(cloud, prefix="a" * 1020)
    monkeypatch.setattr(train_model.trainer()._s3, "put_object", refuse)
    assert deliver(cloud)
    assert "KeyTooLongError: Your key is too long" in failed(cloud)


def test_labels_that_no_utf_8_text_can_hold_are_repeated_as_they_were_escaped(
    cloud: Cloud, no_training: Outcomes
) -> None:
    no_training()
    label = {"class-name": "normal", "job-name": "labelling \ud83d"}
    images = [f"s3://images/odd/{number}.png" for number in range(12)]
    odd = [json.dumps({"source-ref": image, "good": 0, "good-metadata": label}) for image in images]
    register_dataset(cloud.registry, cloud.s3, odd)
    create(cloud)
    assert deliver(cloud)
    (first, *_) = lines(cloud, "k_fold_EvaluationManifest-bracket-1.json")
    assert first["anomaly-label-metadata"]["job-name"] == label["job-name"]


def test_a_message_that_came_twice_does_not_spoil_the_package(
    cloud: Cloud, no_training: Outcomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_training()
    put_dataset(cloud.registry, cloud.s3, 12)
    create(cloud)
    original = engine.train

    def end_elsewhere_first(*given: Any, **more: Any) -> TrainedModel:
        trained = original(*given, **more)
        sha256 = save_package(Bucket(cloud.s3, "models"), "bracket", "1", segmentation_package())
        trainings.finish_training(cloud.registry, "bracket", "1", sha256, None, "The other one was faster.")
        return trained

    monkeypatch.setattr(engine, "train", end_elsewhere_first)
    assert deliver(cloud)
    described = model(cloud)
    assert described.status_message == "The other one was faster."
    assert described.package_sha256 is not None
    load_package(Bucket(cloud.s3, "models"), "bracket", "1", described.package_sha256)


@pytest.mark.parametrize("error", [TrainingDataError("The mask of x is wrong"), PackageError("It scores otherwise")])
def test_what_would_fail_again_is_not_tried_again(cloud: Cloud, no_training: Outcomes, error: Exception) -> None:
    no_training(error)
    put_dataset(cloud.registry, cloud.s3, 12)
    create(cloud)
    assert deliver(cloud)
    assert failed(cloud) == str(error)


THROTTLED = AwsThrottledError("SlowDown", "Please reduce your rate", operation="GetObject")


@pytest.mark.parametrize(
    ("error", "words"),
    [(THROTTLED, "GetObject: SlowDown: Please reduce your rate"), (MemoryError("no room"), "MemoryError: no room")],
)
def test_what_may_pass_is_tried_again_and_fails_at_last(
    cloud: Cloud, no_training: Outcomes, error: Exception, words: str
) -> None:
    no_training(error)
    put_dataset(cloud.registry, cloud.s3, 12)
    create(cloud)
    assert not deliver(cloud, attempt=1)
    assert model(cloud).status is ModelStatus.TRAINING
    assert told(cloud) == []
    assert deliver(cloud, attempt=2)
    assert failed(cloud) == f"The training failed 2 times, at last with {words}."


def test_a_function_that_died_twice_has_failed_and_is_not_asked_a_third_time(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "train", lambda *_, **__: pytest.fail("it was asked"))
    create(cloud)
    assert deliver(cloud, attempt=3)
    assert "crashed 2 times, probably for want of memory" in failed(cloud)


def test_a_function_stops_itself_before_it_is_stopped(cloud: Cloud, no_training: Outcomes) -> None:
    no_training()
    put_dataset(cloud.registry, cloud.s3, 12)
    create(cloud)
    cloud.context.remaining_ms = 19_000
    assert deliver(cloud)
    assert "shortly before its time was over" in failed(cloud)


def test_a_message_that_is_no_request_goes_back_to_the_queue(cloud: Cloud) -> None:
    for body in ("not JSON", "[]", '{"project": "bracket"}'):
        answer = train_model.handler({"Records": [{**message(), "body": body}]}, cloud.context)
        assert answer == {"batchItemFailures": [{"itemIdentifier": "message-1"}]}


# --- again, and meanwhile


@pytest.mark.parametrize("status", [ModelStatus.TRAINED, ModelStatus.HOSTED, ModelStatus.TRAINING_FAILED])
def test_a_training_that_has_ended_is_told_again_and_not_repeated(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, status: ModelStatus
) -> None:
    monkeypatch.setattr(engine, "train", lambda *_, **__: pytest.fail("it was repeated"))
    created = create(cloud)
    if status is ModelStatus.TRAINING_FAILED:
        trainings.fail_training(cloud.registry, "bracket", "1", "no")
    else:
        trainings.finish_training(cloud.registry, "bracket", "1", "sha", None, "yes")
    if status is ModelStatus.HOSTED:
        hosting.start_hosting(cloud.registry, "bracket", "1")
        hosting.finish_hosting(cloud.registry, "bracket", "1", who=WHO)
    assert deliver(cloud, attempt=2)
    assert deliver(cloud, attempt=3)
    first, second = told(cloud)
    assert first == second
    assert first["training_id"] == training_id(created)
    assert model(cloud).status is status


def test_an_event_that_the_bus_refused_is_told_when_the_message_comes_again(
    cloud: Cloud, no_training: Outcomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_training()
    put_dataset(cloud.registry, cloud.s3, 12)
    create(cloud)
    original = put_events

    def refuse(*_: Any) -> None:
        monkeypatch.setattr(trainer, "put_events", original)
        raise EventNotPublishedError("InternalFailure", "try again")

    monkeypatch.setattr(trainer, "put_events", refuse)
    assert not deliver(cloud)
    assert model(cloud).status is ModelStatus.TRAINED
    assert told(cloud) == []
    assert deliver(cloud, attempt=2)
    assert [event["type"] for event in told(cloud)] == ["Model Trained"]


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_version_that_is_gone_is_nobody_s_concern(cloud: Cloud, version: str) -> None:
    create(cloud)
    trainings.fail_training(cloud.registry, "bracket", "1", "no")
    models.delete_model(cloud.registry, "bracket", "1")
    assert deliver(cloud, version)
    assert told(cloud) == []


def test_a_training_that_was_given_up_meanwhile_changes_nothing(
    cloud: Cloud, no_training: Outcomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_training()
    put_dataset(cloud.registry, cloud.s3, 12)
    create(cloud)
    original = Trainer._write_evaluation

    def give_up_first(self: Trainer, *given: Any) -> Any:
        trainings.fail_training(cloud.registry, "bracket", "1", "It gave no sign of life.")
        return original(self, *given)

    monkeypatch.setattr(Trainer, "_write_evaluation", give_up_first)
    assert deliver(cloud)
    assert failed(cloud) == "It gave no sign of life."


def test_entries_that_change_while_they_are_read_are_read_again(
    cloud: Cloud, no_training: Outcomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_training()
    put_dataset(cloud.registry, cloud.s3, 12)
    create(cloud)
    original = read_entries

    def replace_first(bucket: Bucket, dataset: Any) -> Any:
        monkeypatch.setattr(entries, "read_entries", original)
        bucket.delete(dataset.entries_key)
        delete_dataset(cloud.registry, "bracket", DatasetType.TRAIN)
        put_dataset(cloud.registry, cloud.s3, 11)
        return original(bucket, dataset)

    monkeypatch.setattr(entries, "read_entries", replace_first)
    assert deliver(cloud)
    assert len(lines(cloud, "k_fold_EvaluationManifest-bracket-1.json")) == 11


# --- parts


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("images/a.png", "is no location in S3; expected s3://bucket/key"),
        ("s3://images", "is no location in S3"),
        ("s3://im ages/a.png", "is no location in S3"),
        ("s3://nowhere/a.png", r"does not exist \(NoSuchBucket\)"),
        ("s3://images/empty.png", "s3://images/empty.png cannot be used: The image has 0 bytes"),
    ],
)
def test_objects_that_cannot_be_read_are_named(cloud: Cloud, uri: str, words: str) -> None:
    cloud.s3.put_object(Bucket="images", Key="empty.png", Body=b"")
    with pytest.raises(TrainingDataError, match=words):
        read_object(cloud.s3, uri)


class Refusing:
    """Stands for S3 where something is forbidden, or broken."""

    def __init__(self, code: str) -> None:
        self._code = code

    def get_object(self, **_: str) -> None:
        raise ClientError({"Error": {"Code": self._code, "Message": "No."}}, "GetObject")


def refusing(code: str) -> Any:
    return Refusing(code)


def test_a_forbidden_object_says_what_would_allow_it_and_a_broken_service_is_left_to_pass() -> None:
    with pytest.raises(TrainingDataError, match=r"may not be read \(AccessDenied: No\.\); name line-7 in the stage's"):
        read_object(refusing("AccessDenied"), "s3://line-7/a.png")
    with pytest.raises(AwsUnavailableError):
        read_object(refusing("InternalError"), "s3://line-7/a.png")


def test_images_are_read_when_they_are_wanted_and_unlabelled_ones_never() -> None:
    entries = [parse_entry(unlabeled_line("a.png"))]
    assert labeled_images(refusing("AccessDenied"), entries) == []


def test_a_test_image_unlike_the_training_images_is_named(cloud: Cloud, no_training: Outcomes) -> None:
    no_training()
    put_dataset(cloud.registry, cloud.s3, 12)
    put_dataset(cloud.registry, cloud.s3, 2, kind=DatasetType.TEST)
    cloud.s3.put_object(Bucket="images", Key="test/normal/1.png", Body=b"text")
    create(cloud)
    assert deliver(cloud)
    assert failed(cloud).startswith("s3://images/test/normal/1.png of the test dataset cannot be used")


def test_a_test_dataset_without_normal_images_is_refused(cloud: Cloud, no_training: Outcomes) -> None:
    no_training()
    put_dataset(cloud.registry, cloud.s3, 12)
    register_dataset(cloud.registry, cloud.s3, [unlabeled_line("a.png")], kind=DatasetType.TEST)
    create(cloud)
    assert deliver(cloud)
    assert "The test dataset has no image labelled normal" in failed(cloud)


def test_the_report_leaves_single_images_out() -> None:
    evaluation = measured([ImageOutcome("a.png", False, False, 0.25, 0.0)])
    report = training_report(TrainedModel(classification_package(), evaluation, ("Look at this",)))
    assert report.keys() == {"trained_on", "backbone", "choices", "evaluation", "notes"}
    assert "outcomes" not in report["evaluation"]
    json.dumps(report, allow_nan=False)
