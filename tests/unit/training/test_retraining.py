"""Candidates held against what is hosted: the API and the training in this process, on small parts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import train_model
from cli.retraining import VersionComparison, compare_versions, print_comparison, retrain
from cli.training import host_version, train_version
from relook import settings
from relook.aws.bucket import Bucket
from relook.detection.model import Model
from relook.errors import InvalidRequestError
from relook.learning.estimators import segmentation
from relook.registry.backbones import save_backbone
from relook.registry.dataset_type import DatasetType
from relook.registry.datasets import delete_dataset
from relook.registry.manifest_entry import ManifestEntry, entry_line
from relook.registry.models import describe_model, list_models
from relook.registry.packages import load_package
from relook.registry.projects import create_project
from relook.registry.regions import set_regions
from relook.registry.thresholds import choose_threshold
from relook.settings import TrainModelSettings
from tests.account import Context
from tests.contract.front_door import FrontDoor, opened
from tests.unit.detection.test_regions import painted, png
from tests.unit.foreign import feature_onnx
from tests.unit.parts import WHO, hosted_package, part_png
from tests.unit.training.labeled_parts import put_dataset

pytestmark = pytest.mark.slow

TRAIN, TEST = DatasetType.TRAIN, DatasetType.TEST


class Plant:
    """A stack whose training queue is emptied whenever somebody asks how far a training is."""

    def __init__(self, door: FrontDoor) -> None:
        self.door = door
        self.stack = door.stack()
        self.context = Context()
        self.context.remaining_ms = 900_000
        self.steps: list[str] = []

    def on_step(self, text: str) -> None:
        self.steps.append(text)
        for request in self.door.training_requests():
            body = json.dumps(request)
            message = {
                "messageId": "1",
                "eventSource": "aws:sqs",
                "body": body,
                "attributes": {"ApproximateReceiveCount": "1"},
            }
            assert train_model.handler({"Records": [message]}, self.context) == {"batchItemFailures": []}

    def retrain(self) -> tuple[str, VersionComparison | None]:
        return retrain(self.stack, "bracket", self.on_step)

    def put(self, name: str, is_anomalous: bool, seed: int, dataset: DatasetType = TRAIN) -> str:
        """An entry more, or one that is labelled anew."""
        self.door.cloud.s3.put_object(Bucket="images", Key=name, Body=part_png(seed, is_scratched=is_anomalous))
        uri = f"s3://images/{name}"
        self.label(uri, is_anomalous, dataset)
        return uri

    def label(self, uri: str, is_anomalous: bool, dataset: DatasetType = TRAIN) -> None:
        line = entry_line(ManifestEntry(uri, is_anomalous))
        self.stack.lookout.update_dataset_entries(ProjectName="bracket", DatasetType=dataset, Changes=line)

    def says(self, version: str, uri: str) -> float:
        """The anomaly probability that a version gives an image."""
        model = describe_model(self.stack.registry, "bracket", version)
        assert model.package_sha256 is not None
        package = load_package(self.stack.models, "bracket", version, model.package_sha256)
        key = uri.removeprefix("s3://images/")
        return Model(package).detect(Bucket(self.door.cloud.s3, "images").read(key)).anomaly_probability

    def evaluated(self, version: str) -> dict[str, float]:
        """What the evaluation's manifest has: image -> anomaly probability."""
        key = f"evaluations/bracket/EvaluationManifest-bracket-{version}.json"
        lines = [json.loads(line) for line in self.stack.datasets.read(key).splitlines()]
        return {line["source-ref"]: _probability(line) for line in lines}


def _probability(line: dict[str, Any]) -> float:
    confidence: float = line["anomaly-label-detected-metadata"]["confidence"]
    return confidence if line["anomaly-label-detected"] else 1 - confidence


@contextmanager
def plant() -> Iterator[Plant]:
    made = TrainModelSettings(
        registry_table="registry", models_bucket="models", datasets_bucket="datasets", event_bus="relook"
    )
    with opened() as door, pytest.MonkeyPatch.context() as environment:
        for name, value in made.to_env().items():
            environment.setenv(name, value)
        environment.setattr(segmentation, "_STEPS", 200)  # masks need not be good here
        for cached in (settings.train_model_settings, train_model.trainer):
            cached.cache_clear()
        create_project(door.registry, "bracket")
        save_backbone(door.registry, Bucket(door.cloud.s3, "models"), "bracket", feature_onnx(64))
        yield Plant(door)
        train_model.trainer.cache_clear()


def test_a_candidate_is_held_against_what_is_hosted_on_the_same_images(capsys: pytest.CaptureFixture[str]) -> None:
    with plant() as here:
        put_dataset(here.door.registry, here.door.cloud.s3, 12, 4, with_masks=True)
        first, nothing = here.retrain()
        assert (first, nothing) == ("1", None), "nothing was hosted"
        host_version(here.stack, "bracket", "1")

        # Without a test dataset: cross-fitted verdicts of the shared images, the hosted version's on the new ones.
        new = here.put("more/scratched.png", True, 700)
        here.label("s3://images/train/normal/3.png", True)
        choose_threshold(here.stack.registry, "bracket", "1", 0.4, how="value 0.4", who="arn:aws:iam::1:user/jo")
        second, comparison = here.retrain()
        assert second == "2" and comparison is not None
        assert here.steps[-1] == "The hosted version is looking at new images, 1 of 1."
        before, after = here.evaluated("1"), here.evaluated("2")
        assert before.keys() | {new} == after.keys()
        said = before | {new: here.says("1", new)}
        anomalous = [name for name in after if "/anomaly/" in name or name in (new, "s3://images/train/normal/3.png")]
        assert len(anomalous) == 6, "by today's labels"
        for point, probabilities, threshold in (
            (comparison.verdicts.hosted, said, 0.4),
            (comparison.verdicts.candidate, after, 0.5),
        ):
            assert point.threshold == pytest.approx(threshold)
            called = {name for name in after if probabilities[name] >= threshold}
            assert point.confusion.true_positives == len(called & {*anomalous})
            assert point.confusion.false_positives == len(called - {*anomalous})
            assert point.confusion.recall.total == 6 and point.confusion.false_alarm_rate.total == 11
        assert "16 are of both trainings" in comparison.judged_on and "1 are new" in comparison.judged_on
        assert comparison.left_out == 0
        assert comparison.ious.keys() == {"scratch"} and not comparison.are_ious_of_same_images
        print_comparison(comparison)
        shown = capsys.readouterr().out
        assert "hosted: bracket/1" in shown and "candidate: bracket/2" in shown and "each on its own" in shown
        assert json.loads(json.dumps(comparison.to_json()))["verdicts"]["hosted"]["f1"] is not None

        # With one: the hosted version looks at the test images that it did not learn from.
        put_dataset(here.door.registry, here.door.cloud.s3, 10, 10, kind=TEST, with_masks=True, seed=3000)
        here.label("s3://images/train/normal/4.png", False, TEST)
        third, tested = here.retrain()
        assert third == "3" and tested is not None
        assert tested.judged_on.startswith("All are of the test dataset")
        assert tested.left_out == 1, "which the hosted version was trained with"
        assert tested.verdicts.hosted.confusion.recall.total == tested.verdicts.hosted.confusion.false_alarm_rate.total
        name = "s3://images/test/anomaly/0.png"
        told = {each.name: each.hosted_probability for each in tested.verdicts.disagreements}
        assert all(value == pytest.approx(here.says("1", uri)) for uri, value in told.items())
        assert name in here.evaluated("3")

        again = compare_versions(here.stack, "bracket", "3", "3", here.on_step)
        assert again.left_out == 0 and again.verdicts.disagreements == () and again.are_ious_of_same_images

        # A version that had a test dataset does not tell what it learned from: only later images are new to it.
        delete_dataset(here.stack.registry, "bracket", TEST)
        put_dataset(here.door.registry, here.door.cloud.s3, 11, 10, kind=TEST, with_masks=True, seed=3000)
        late = here.put("late/0.png", False, 4000, TEST)
        fourth = train_version(here.stack, "bracket", here.on_step)
        assert {late, "s3://images/test/normal/10.png"} <= here.evaluated("4").keys()
        later = compare_versions(here.stack, "bracket", "3", fourth, here.on_step)
        assert later.left_out == 1
        assert later.verdicts.hosted.confusion.false_alarm_rate.total == 11

        # Without that dataset they have one image in common, which tested the one and trained the other.
        delete_dataset(here.stack.registry, "bracket", TEST)
        put_dataset(here.door.registry, here.door.cloud.s3, 10, 10, kind=TEST, with_masks=True, seed=3000)
        older = compare_versions(here.stack, "bracket", "3", "2", here.on_step)
        assert older.left_out == 16 and "0 are new" in older.judged_on

        # One that was registered learned elsewhere: it looks at everything.
        registered = hosted_package(here.door.registry, here.door.cloud.s3, "bracket")
        other = compare_versions(here.stack, "bracket", registered, "2", here.on_step)
        assert other.left_out == 0 and "17 are new" in other.judged_on
        with pytest.raises(InvalidRequestError, match="has no evaluation"):
            compare_versions(here.stack, "bracket", "2", registered, here.on_step)


def test_versions_that_ignore_different_regions_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    with plant() as here:
        put_dataset(here.door.registry, here.door.cloud.s3, 12, 6, with_masks=True)
        here.retrain()
        host_version(here.stack, "bracket", "1")
        mask = png(painted())
        set_regions(here.stack.registry, here.stack.datasets, "bracket", mask, who=WHO)
        _, comparison = here.retrain()
        assert comparison is not None
        told = "The hosted version ignores nothing, the candidate 8.33% of the image: each judges what it looks at"
        assert told in comparison.judged_on
        assert not comparison.are_ious_of_same_images, "what one ignores is no truth for it"
        print_comparison(comparison)
        assert "ignores nothing, the candidate 8.33%" in capsys.readouterr().out
        assert [each.version for each in list_models(here.stack.registry, "bracket") if each.regions_key] == ["2"]

        # A test dataset is judged by what the candidate looks at, whoever looks.
        put_dataset(here.door.registry, here.door.cloud.s3, 10, 10, kind=TEST, with_masks=True, seed=3000)
        _, tested = here.retrain()
        assert tested is not None and tested.left_out == 0
        assert told in tested.judged_on and tested.are_ious_of_same_images
        host_version(here.stack, "bracket", "3")
        again = compare_versions(here.stack, "bracket", "3", "3", here.on_step)
        assert "ignores" not in again.judged_on
