"""Requests to answers: projects, tags, repeated requests, and errors as they are on the wire."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from relook.aws.table import Update
from relook.errors import InvalidRequestError
from relook.lookout.api import HANDLERS, answer
from relook.lookout.contract import OPERATIONS
from relook.lookout.service import Service, decode_token, encode_token
from relook.lookout.wire import Request, route
from relook.registry import models
from relook.registry.dataset_type import DatasetType
from relook.registry.datasets import describe_dataset
from relook.registry.projects import create_project
from tests.account import Cloud
from tests.unit.parts import classification_package, register_hosted

PROJECTS = "/2020-11-20/projects"


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Any


Call = Callable[..., Answer]


@pytest.fixture
def call(cloud: Cloud, service: Service) -> Call:
    """Sends a request to an account with one project, `bracket`."""
    create_project(service.registry, "bracket")

    def send(method: str, path: str, body: Any = None, token: str | None = None, **query: str) -> Answer:
        headers = {"x-amzn-client-token": token} if token else {}
        data = b"" if body is None else json.dumps(body).encode()
        actual = answer(service, Request(method, path, list(query.items()), headers, data), cloud.context)
        return Answer(actual.status, actual.headers, json.loads(actual.body))

    return send


def test_every_operation_has_its_handler() -> None:
    assert HANDLERS.keys() == OPERATIONS.keys()
    assert len(HANDLERS) == 22


def test_a_project_comes_is_described_and_goes(call: Call) -> None:
    made = call("POST", PROJECTS, {"ProjectName": "cup"})
    metadata = made.body["ProjectMetadata"]
    assert (made.status, metadata["ProjectArn"]) == (200, "arn:aws:lookoutvision:us-east-1:123456789012:project/cup")
    described = call("GET", f"{PROJECTS}/cup").body["ProjectDescription"]
    assert described == {**metadata, "Datasets": []}
    call("POST", f"{PROJECTS}/cup/datasets", {"DatasetType": "train"})
    (dataset,) = call("GET", f"{PROJECTS}/cup").body["ProjectDescription"]["Datasets"]
    assert dataset["DatasetType"] == "train" and dataset["StatusMessage"]
    assert call("DELETE", f"{PROJECTS}/cup").status == 409
    call("DELETE", f"{PROJECTS}/cup/datasets/train")
    assert call("DELETE", f"{PROJECTS}/cup").body == {"ProjectArn": metadata["ProjectArn"]}
    gone = call("GET", f"{PROJECTS}/cup")
    assert gone.status == 404
    assert gone.headers["x-amzn-errortype"] == "ResourceNotFoundException"
    assert gone.body == {"Message": "Project cup does not exist", "ResourceId": "cup", "ResourceType": "PROJECT"}


def test_a_project_that_exists_is_a_conflict_that_says_so(call: Call) -> None:
    conflict = call("POST", PROJECTS, {"ProjectName": "bracket"})
    assert conflict.status == 409
    assert conflict.body["Message"] == "Project bracket already exists"


def test_projects_are_listed_page_by_page(call: Call, service: Service) -> None:
    for number in range(5):
        create_project(service.registry, f"cup{number}")
    names, token = [], None
    for _ in range(3):
        query = {"maxResults": "2", **({"nextToken": token} if token else {})}
        page = call("GET", PROJECTS, **query).body
        names += [project["ProjectName"] for project in page["Projects"]]
        token = page.get("NextToken")
    assert names == ["bracket", *(f"cup{number}" for number in range(5))]
    assert token is None


@pytest.mark.parametrize("token", ["AAAA", "b3RoZXIKMQ==", "====", "a"])
def test_a_token_that_no_list_gave_is_refused(token: str) -> None:
    with pytest.raises(InvalidRequestError, match="NextToken"):
        decode_token("projects", token)


def test_tokens_keep_to_the_alphabet_and_find_back() -> None:
    token = encode_token("projects", "cup~7?>")
    assert decode_token("projects", token) == "cup~7?>"
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")


@pytest.mark.parametrize("path", ["/", "/2020-11-20", "/2020-11-20/projects/a/b", "/2020-11-20/cameras"])
def test_what_is_no_operation_is_not_found(call: Call, path: str) -> None:
    actual = call("GET", path)
    assert (actual.status, actual.headers["x-amzn-errortype"]) == (404, "UnknownOperationException")


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:lookoutvision:us-east-1:123456789012:model/bracket/1",
        "arn%3Aaws%3Alookoutvision%3Aus-east-1%3A123456789012%3Amodel%2Fbracket%2F1",
    ],
)
def test_tags_are_reached_with_and_without_percent_encoding(call: Call, service: Service, arn: str) -> None:
    register_hosted(service.registry, service.s3, "models", "bracket", classification_package())
    tags = [{"Key": "línea 7", "Value": ""}, {"Key": "owner", "Value": "qa@plant"}]
    assert call("POST", f"/2020-11-20/tags/{arn}", {"Tags": tags}).body == {}
    assert call("GET", f"/2020-11-20/tags/{arn}").body == {"Tags": tags}
    assert call("DELETE", f"/2020-11-20/tags/{arn}", tagKeys="owner").body == {}
    assert call("GET", f"/2020-11-20/tags/{arn}").body == {"Tags": tags[:1]}
    assert route("GET", f"/2020-11-20/tags/{arn}")[1]["ResourceArn"].endswith("model/bracket/1")


def test_only_models_have_tags(call: Call) -> None:
    arn = "arn:aws:lookoutvision:us-east-1:123456789012:project/bracket"
    refused = call("GET", f"/2020-11-20/tags/{arn}")
    assert refused.status == 400 and "is not that of a model" in refused.body["Message"]
    missing = call("GET", "/2020-11-20/tags/arn:aws:lookoutvision:us-east-1:123456789012:model/bracket/7")
    assert (missing.status, missing.body["ResourceType"]) == (404, "MODEL")


@pytest.mark.parametrize("version", ["01", "\u0661", "0", "latest"])
def test_tags_are_reached_by_a_model_s_own_arn_only(call: Call, service: Service, version: str) -> None:
    register_hosted(service.registry, service.s3, "models", "bracket", classification_package())
    refused = call("GET", f"/2020-11-20/tags/arn:aws:lookoutvision:us-east-1:123456789012:model/bracket/{version}")
    assert refused.status == 400 and "is not that of a model" in refused.body["Message"]


def test_half_a_character_is_refused(call: Call, service: Service) -> None:
    """JSON can escape one half of a surrogate pair, and no store behind the API could keep it."""
    greengrass = {
        "CompilerOptions": '{"mcpu": "\ud800"}',
        "TargetPlatform": {"Os": "LINUX", "Arch": "X86_64"},
        "S3OutputLocation": {"Bucket": "results"},
        "ComponentName": "bracket",
    }
    register_hosted(service.registry, service.s3, "models", "bracket", classification_package())
    job = {"ModelVersion": "1", "Configuration": {"Greengrass": greengrass}}
    refused = call("POST", f"{PROJECTS}/bracket/modelpackagingjobs", job)
    assert (refused.status, refused.headers["x-amzn-errortype"]) == (400, "ValidationException")
    assert "Configuration.Greengrass.CompilerOptions" in refused.body["Message"]


@pytest.mark.parametrize("position", ["x" * 1400, "-a", "a b"])
def test_a_token_of_no_project_is_refused(call: Call, position: str) -> None:
    refused = call("GET", PROJECTS, nextToken=encode_token("projects", position))
    assert refused.status == 400 and "NextToken" in refused.body["Message"]


def test_entries_of_a_dataset_made_anew_are_updated_with_the_same_token(call: Call, service: Service) -> None:
    path = f"{PROJECTS}/bracket/datasets"
    line = {"source-ref": "s3://line/a.png"}  # without a label, so that nobody looks at it
    changes = {"Changes": base64.b64encode(json.dumps(line).encode()).decode()}
    for _ in range(2):
        call("POST", path, {"DatasetType": "train"})
        assert call("PATCH", f"{path}/train/entries", changes, token="RunOnce").status == 202
        stats = call("GET", f"{path}/train").body["DatasetDescription"]["ImageStats"]
        assert stats["Total"] == 1
        call("DELETE", f"{path}/train")


def test_an_update_with_the_same_token_is_done_once(call: Call, service: Service) -> None:
    path = f"{PROJECTS}/bracket/datasets"
    line = {"source-ref": "s3://line/a.png"}  # without a label, so that nobody looks at it
    changes = {"Changes": base64.b64encode(json.dumps(line).encode()).decode()}
    call("POST", path, {"DatasetType": "train"})
    key = {"pk": "PROJECT#bracket", "sk": "DATASET#train"}
    service.registry.update(Update(key, {"created_at": "2020-01-01T00:00:00+00:00"}))
    for _ in range(2):
        assert call("PATCH", f"{path}/train/entries", changes, token="t").body == {"Status": "UPDATE_IN_PROGRESS"}
    assert describe_dataset(service.registry, "bracket", DatasetType.TRAIN).revision == 1


def test_the_same_token_does_a_thing_once(call: Call) -> None:
    first = call("POST", PROJECTS, {"ProjectName": "cup"}, token="t-1")
    again = call("POST", PROJECTS, {"ProjectName": "cup"}, token="t-1")
    assert (again.status, again.body) == (first.status, first.body)
    assert call("POST", PROJECTS, {"ProjectName": "cup"}, token="t-2").status == 409


def test_a_token_with_other_parameters_is_a_conflict(call: Call) -> None:
    path = f"{PROJECTS}/bracket/datasets"
    source = {"GroundTruthManifest": {"S3Object": {"Bucket": "datasets", "Key": "m"}}}
    assert call("POST", path, {"DatasetType": "train"}, token="t").status == 202
    refused = call("POST", path, {"DatasetType": "train", "DatasetSource": source}, token="t")
    assert (refused.status, refused.body["ResourceId"]) == (409, "bracket/train")
    assert "other parameters" in refused.body["Message"]


def test_a_token_counts_for_one_resource(call: Call) -> None:
    for name in ("train", "test"):
        assert call("POST", f"{PROJECTS}/bracket/datasets", {"DatasetType": name}, token="RunOnce").status == 202


def test_what_failed_may_be_tried_again_with_its_token(call: Call) -> None:
    assert call("DELETE", f"{PROJECTS}/cup", token="t").status == 404
    call("POST", PROJECTS, {"ProjectName": "cup"})
    assert call("DELETE", f"{PROJECTS}/cup", token="t").status == 200
    assert call("DELETE", f"{PROJECTS}/cup", token="t").status == 200, "the first deletion's answer"


def test_what_is_no_longer_true_is_done_again(call: Call) -> None:
    first = call("POST", PROJECTS, {"ProjectName": "cup"}, token="t")
    call("DELETE", f"{PROJECTS}/cup")
    second = call("POST", PROJECTS, {"ProjectName": "cup"}, token="t")
    assert second.status == 200
    assert second.body != first.body
    assert call("POST", PROJECTS, {"ProjectName": "cup"}, token="t").body == second.body


def test_one_token_for_every_call_starts_and_stops_a_model_whenever_needed(call: Call, service: Service) -> None:
    """A published sample sends the same token with every StartModel and StopModel."""
    version = register_hosted(service.registry, service.s3, "models", "bracket", classification_package())
    path = f"{PROJECTS}/bracket/models/{version}"

    def status() -> str:
        return str(models.describe_model(service.registry, "bracket", version).status)

    for _ in range(2):
        assert call("POST", f"{path}/stop", token="RunOnce").body == {"Status": "STOPPING_HOSTING"}
        assert status() == "TRAINED"
        for _ in range(2):
            started = call("POST", f"{path}/start", {"MinInferenceUnits": 1}, token="RunOnce")
            assert started.body == {"Status": "STARTING_HOSTING"}
        assert status() == "HOSTED"


@pytest.mark.parametrize(
    ("code", "status", "name"),
    [
        ("ProvisionedThroughputExceededException", 429, "ThrottlingException"),
        ("InternalServerError", 500, "InternalServerException"),
    ],
)
def test_failures_behind_the_api_ask_for_another_try(
    call: Call, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, code: str, status: int, name: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ClientError({"Error": {"Code": code, "Message": "secret inner workings"}}, "GetItem")

    monkeypatch.setattr(cloud.dynamodb, "get_item", fail)
    actual = call("GET", f"{PROJECTS}/bracket")
    assert (actual.status, actual.headers["x-amzn-errortype"]) == (status, name)
    assert int(actual.headers["Retry-After"]) >= 1
    assert "secret" not in actual.body["Message"]


def test_a_throttled_transaction_asks_for_another_try(
    call: Call, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        reasons = [{"Code": "None"}, {"Code": "ThrottlingError"}]
        answer = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
        raise ClientError(answer, "TransactWriteItems")

    monkeypatch.setattr(cloud.dynamodb, "transact_write_items", fail)
    assert call("POST", PROJECTS, {"ProjectName": "cup"}).status == 429


def test_a_token_whose_first_request_is_under_way_is_worth_another_try(call: Call, cloud: Cloud) -> None:
    statuses = []

    def create_again(*_: Any, **__: Any) -> None:
        statuses.append(call("POST", PROJECTS, {"ProjectName": "cup"}, token="t").status)

    hooks, write = cloud.dynamodb.meta.events, "before-call.dynamodb.TransactWriteItems"
    hooks.register(write, create_again)
    assert call("POST", PROJECTS, {"ProjectName": "cup"}, token="t").status == 200
    hooks.unregister(write, create_again)
    assert statuses == [429]
