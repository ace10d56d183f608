"""Writers that change the same thing at once: one wins, or all effects are there; what is kept stays consistent."""

from __future__ import annotations

import base64
import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from relook.aws.bucket import Bucket
from relook.aws.clients import Clients
from relook.lookout.contract import OPERATIONS
from relook.registry.packages import save_package
from relook.registry.projects import project_key
from relook.registry.trainings import finish_training
from tests.contract.front_door import Answer, FrontDoor
from tests.contract.requests import send
from tests.contract.samples import classification_line
from tests.unit.parts import classification_package, part_png, register_hosted

pytestmark = pytest.mark.slow

WRITERS = 6


@pytest.fixture
def project(door: FrontDoor, request: pytest.FixtureRequest) -> str:
    """A project of the test's own."""
    name = request.node.name.removeprefix("test_").replace("[", "-").strip("]")
    assert isinstance(name, str)
    ask(door, "CreateProject", ProjectName=name)
    return name


def ask(door: FrontDoor, operation: str, **members: Any) -> Answer:
    return send(door, OPERATIONS[operation], members)


def at_once(asks: Sequence[Callable[[], Answer]]) -> list[Answer]:
    """All of them, begun together."""
    start = threading.Barrier(len(asks))

    def run(ask_it: Callable[[], Answer]) -> Answer:
        start.wait()
        return ask_it()

    with ThreadPoolExecutor(len(asks)) as pool:
        return list(pool.map(run, asks))


def statuses(answers: Sequence[Answer]) -> Counter[int]:
    return Counter(answer.status for answer in answers)


def children(door: FrontDoor, project: str) -> int:
    """How many datasets, models and jobs the project says it has; as many as there are."""
    items = list(door.registry.query(("pk", project_key(project)["pk"])))
    items = [item for item in items if not item["sk"].startswith("HISTORY#")]  # which outlives what it tells of
    (own,) = [item for item in items if item["sk"] == "PROJECT"]
    assert own["children"] == len(items) - 1
    return len(items) - 1


def hosted_version(door: FrontDoor, project: str) -> str | None:
    """Of the project's pointer, which is to a version that is hosted."""
    models = ask(door, "ListModels", ProjectName=project).body["Models"]
    hosted = {model["ModelVersion"] for model in models if model["Status"] == "HOSTED"}
    item = door.registry.get(project_key(project))
    assert item is not None
    version = item.get("hosted", {}).get("version")
    assert version in hosted if hosted else version is None
    return None if version is None else str(version)


def put_images(*keys: str) -> None:
    """Into the bucket that manifests name: entries whose image is missing are refused."""
    s3 = Clients().s3
    for key in keys:
        s3.put_object(Bucket="data", Key=key, Body=part_png(1))


def labeled(door: FrontDoor, project: str) -> None:
    """A training dataset with enough normal images."""
    put_images(*(f"{i}.png" for i in range(20)))
    lines = "\n".join(classification_line(f"s3://data/{i}.png", is_anomalous=False) for i in range(20))
    assert ask(door, "CreateDataset", ProjectName=project, DatasetType="train").status == 202
    changes = base64.b64encode(lines.encode()).decode()
    answer = ask(door, "UpdateDatasetEntries", ProjectName=project, DatasetType="train", Changes=changes)
    assert answer.status == 202


def test_one_of_many_makes_the_project(door: FrontDoor) -> None:
    answers = at_once([lambda: ask(door, "CreateProject", ProjectName="one-of-many")] * WRITERS)
    assert statuses(answers) == {200: 1, 409: WRITERS - 1}
    assert children(door, "one-of-many") == 0


def test_the_same_token_makes_one_project(door: FrontDoor) -> None:
    asks = [lambda: ask(door, "CreateProject", ProjectName="same-token", ClientToken="token")] * WRITERS
    answers = at_once(asks)
    made = [answer.body for answer in answers if answer.status == 200]
    assert set(statuses(answers)) <= {200, 429}  # 429 while the first is still being worked on
    assert made
    assert all(body == made[0] for body in made)
    assert ask(door, "CreateProject", ProjectName="same-token", ClientToken="token").body == made[0]


def test_one_of_many_makes_and_deletes_the_dataset(door: FrontDoor, project: str) -> None:
    names = {"ProjectName": project, "DatasetType": "train"}
    answers = at_once([lambda: ask(door, "CreateDataset", **names)] * WRITERS)
    assert statuses(answers) == {202: 1, 409: WRITERS - 1}
    assert children(door, project) == 1
    answers = at_once([lambda: ask(door, "DeleteDataset", **names)] * WRITERS)
    assert statuses(answers) == {202: 1, 404: WRITERS - 1}
    assert children(door, project) == 0
    assert ask(door, "DeleteProject", ProjectName=project).status == 200


def test_updates_of_one_dataset_lose_no_line(door: FrontDoor, project: str) -> None:
    names = {"ProjectName": project, "DatasetType": "train"}
    ask(door, "CreateDataset", **names)
    put_images(*(f"{writer}-{i}.png" for writer in range(WRITERS) for i in range(5)))
    batches = [
        [classification_line(f"s3://data/{writer}-{i}.png", is_anomalous=writer % 2 == 0) for i in range(5)]
        for writer in range(WRITERS)
    ]

    def update(batch: list[str]) -> Callable[[], Answer]:
        changes = base64.b64encode("\n".join(batch).encode()).decode()
        return lambda: ask(door, "UpdateDatasetEntries", **names, Changes=changes)

    answers = at_once([update(batch) for batch in batches])
    assert set(statuses(answers)) <= {202, 429}  # who lost too often may try again, and is told so
    taken = [line for batch, answer in zip(batches, answers, strict=True) if answer.status == 202 for line in batch]
    assert taken
    listed = ask(door, "ListDatasetEntries", **names).body["DatasetEntries"]
    assert sorted(map(source_ref, listed)) == sorted(map(source_ref, taken))
    stats = ask(door, "DescribeDataset", **names).body["DatasetDescription"]["ImageStats"]
    assert stats["Total"] == stats["Labeled"] == len(taken)
    assert stats["Normal"] + stats["Anomaly"] == len(taken)


def test_trainings_get_numbers_of_their_own_up_to_the_limit(door: FrontDoor, project: str) -> None:
    labeled(door, project)
    output = {"S3Location": {"Bucket": "data"}}
    answers = at_once([lambda: ask(door, "CreateModel", ProjectName=project, OutputConfig=output)] * WRITERS)
    limit = door.settings.max_concurrent_trainings
    assert statuses(answers) == {202: limit, 402: WRITERS - limit}
    versions = {answer.body["ModelMetadata"]["ModelVersion"] for answer in answers if answer.status == 202}
    assert len(versions) == limit
    assert {each["version"] for each in door.training_requests() if each["project"] == project} == versions
    assert children(door, project) == 1 + limit
    # The places are given back.
    for version in versions:
        sha256 = save_package(Bucket(door.cloud.s3, "models"), project, version, classification_package())
        finish_training(door.registry, project, version, sha256, None, "Trained.")
    again = at_once([lambda: ask(door, "CreateModel", ProjectName=project, OutputConfig=output)] * WRITERS)
    assert statuses(again) == {202: limit, 402: WRITERS - limit}


@pytest.mark.parametrize("round_", range(3))
def test_one_of_many_stops_the_model_and_many_start_it(door: FrontDoor, project: str, round_: int) -> None:
    version = register_hosted(door.registry, door.cloud.s3, "models", project, classification_package())
    names = {"ProjectName": project, "ModelVersion": version}
    assert statuses(at_once([lambda: ask(door, "StopModel", **names)] * WRITERS)) == {202: 1, 409: WRITERS - 1}
    assert hosted_version(door, project) is None
    start = [lambda: ask(door, "StartModel", **names, MinInferenceUnits=1)] * WRITERS
    started = statuses(at_once(start))  # one that finds it starting may help it along
    assert started[202] >= 1
    assert set(started) <= {202, 409}
    assert hosted_version(door, project) == version


def test_two_versions_started_and_stopped_at_once_leave_the_project_with_a_hosted_one(
    door: FrontDoor, project: str
) -> None:
    versions = [
        register_hosted(door.registry, door.cloud.s3, "models", project, classification_package()) for _ in range(3)
    ]

    def change(operation: str, version: str) -> Callable[[], Answer]:
        units = {"MinInferenceUnits": 1} if operation == "StartModel" else {}
        return lambda: ask(door, operation, ProjectName=project, ModelVersion=version, **units)

    for _ in range(4):
        answers = at_once([change(name, version) for version in versions for name in ("StopModel", "StartModel")])
        assert 202 in statuses(answers)
        assert set(statuses(answers)) <= {202, 409}
        hosted_version(door, project)


def test_a_project_is_not_deleted_from_under_a_dataset(door: FrontDoor) -> None:
    for i in range(5):
        name = f"from-under-{i}"
        ask(door, "CreateProject", ProjectName=name)
        deleted, created = at_once(
            [
                lambda name=name: ask(door, "DeleteProject", ProjectName=name),  # type: ignore[misc]
                lambda name=name: ask(door, "CreateDataset", ProjectName=name, DatasetType="train"),  # type: ignore[misc]
            ]
        )
        assert (deleted.status, created.status) in ((200, 404), (409, 202))
        items = list(door.registry.query(("pk", project_key(name)["pk"])))
        assert bool(items) == (created.status == 202)


def test_a_model_is_not_started_and_deleted_both(door: FrontDoor, project: str) -> None:
    for _ in range(3):
        version = register_hosted(door.registry, door.cloud.s3, "models", project, classification_package())
        names = {"ProjectName": project, "ModelVersion": version}
        assert ask(door, "StopModel", **names).status == 202
        started, deleted = at_once(
            [
                lambda names=names: ask(door, "StartModel", **names, MinInferenceUnits=1),  # type: ignore[misc]
                lambda names=names: ask(door, "DeleteModel", **names),  # type: ignore[misc]
            ]
        )
        assert (started.status, deleted.status) in ((202, 409), (404, 202), (409, 202))
        hosted_version(door, project)
        children(door, project)


def test_tags_given_at_once_are_all_there(door: FrontDoor, project: str) -> None:
    version = register_hosted(door.registry, door.cloud.s3, "models", project, classification_package())
    arn = f"arn:aws:lookoutvision:us-east-1:123456789012:model/{project}/{version}"

    def tag(key: str) -> Callable[[], Answer]:
        return lambda: ask(door, "TagResource", ResourceArn=arn, Tags=[{"Key": key, "Value": "x"}])

    answers = at_once([tag(f"key{i}") for i in range(WRITERS)])
    assert set(statuses(answers)) <= {200, 409, 429}
    given = {f"key{i}" for i, answer in enumerate(answers) if answer.status == 200}
    assert given
    assert {each["Key"] for each in ask(door, "ListTagsForResource", ResourceArn=arn).body["Tags"]} == given


def source_ref(line: str) -> str:
    return str(json.loads(line)["source-ref"])
