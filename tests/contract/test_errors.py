"""Every error of the API, as each client raises it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from relook.lookout.contract import OPERATIONS
from relook.lookout.models import NOT_MEASURED
from tests.contract.clients import Caller, CallError
from tests.contract.front_door import FrontDoor
from tests.contract.samples import classification_line
from tests.unit.parts import OUTDATED, outdated_package, part_png, register_hosted, segmentation_package

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def working_again(door: FrontDoor) -> Iterator[None]:
    yield
    door.failures.clear()
    door.denies = False


STATUSES = {error.name: error.status for operation in OPERATIONS.values() for error in operation.errors}


def raised(ask: Callable[[], Any], code: str) -> CallError:
    """The error that a client raised, which every client knows by its name."""
    with pytest.raises(CallError) as caught:
        ask()
    error = caught.value
    assert error.code == code, error
    assert error.is_modeled in (True, None)
    assert error.status in (STATUSES[code], None)
    return error


def has(error: CallError, **members: Any) -> bool:
    """Whether the error carries these members; the command line prints none."""
    return error.members is None or members.items() <= error.members.items()


def project(call: Caller) -> str:
    """One of this client's own."""
    name = "".join(c if c.isalnum() else "-" for c in f"errors-{call.client.name}")
    try:
        call("CreateProject", ProjectName=name)
    except CallError as error:
        assert error.code == "ConflictException"
    return name


def test_what_breaks_a_limit_is_a_validation_exception(call: Caller) -> None:
    error = raised(lambda: call("CreateProject", ProjectName="bad name"), "ValidationException")
    assert "ProjectName 'bad name' does not match the pattern" in error.message


def test_what_is_not_there_is_a_resource_not_found_exception(call: Caller) -> None:
    error = raised(lambda: call("DescribeProject", ProjectName="nowhere"), "ResourceNotFoundException")
    assert "nowhere" in error.message
    assert has(error, ResourceId="nowhere", ResourceType="PROJECT")


def test_what_exists_is_a_conflict_exception_with_the_text_that_programs_look_for(call: Caller) -> None:
    name = project(call)
    error = raised(lambda: call("CreateProject", ProjectName=name), "ConflictException")
    assert f"Project {name} already exists" in error.message
    assert has(error, ResourceId=name, ResourceType="PROJECT")


def test_one_training_too_many_is_a_service_quota_exceeded_exception(call: Caller, door: FrontDoor) -> None:
    name = project(call)
    lines = [classification_line(f"s3://data/{i}.png", is_anomalous=False) for i in range(20)]
    image = part_png(0)
    for i in range(20):
        door.cloud.s3.put_object(Bucket="data", Key=f"{i}.png", Body=image)
    door.cloud.s3.put_object(Bucket="data", Key="twenty.manifest", Body="\n".join(lines).encode())
    source = {"GroundTruthManifest": {"S3Object": {"Bucket": "data", "Key": "twenty.manifest"}}}
    call("CreateDataset", ProjectName=name, DatasetType="train", DatasetSource=source)
    output = {"S3Location": {"Bucket": "data", "Prefix": "out/"}}

    def train() -> None:
        for _ in range(3):
            call("CreateModel", ProjectName=name, OutputConfig=output)

    error = raised(train, "ServiceQuotaExceededException")
    assert "2" in error.message
    assert has(error, ServiceCode="lookoutvision")
    assert error.members is None or error.members["QuotaCode"]


def test_a_caller_without_permission_gets_an_access_denied_exception(call: Caller, door: FrontDoor) -> None:
    door.denies = True
    assert raised(lambda: call("ListProjects"), "AccessDeniedException").message == "Forbidden"


def test_too_much_at_once_is_a_throttling_exception_that_says_when_to_try_again(call: Caller, door: FrontDoor) -> None:
    door.failures = ["ProvisionedThroughputExceededException"]
    error = raised(lambda: call("DescribeProject", ProjectName="any"), "ThrottlingException")
    assert has(error, ServiceCode="lookoutvision", RetryAfterSeconds=1)


def test_a_failure_is_an_internal_server_exception_that_tells_nothing_of_the_inside(
    call: Caller, door: FrontDoor
) -> None:
    door.failures = ["InternalServerError"]
    error = raised(lambda: call("DescribeProject", ProjectName="any"), "InternalServerException")
    assert has(error, RetryAfterSeconds=1)
    assert "DescribeProject" not in error.message
    assert "so it was asked" not in error.message


@pytest.mark.parametrize("failure", ["ProvisionedThroughputExceededException", "InternalServerError"])
def test_clients_try_again_of_themselves(call: Caller, door: FrontDoor, failure: str) -> None:
    name, before = project(call), len(door.requests)
    door.failures = [failure]
    description = Caller(call.client, door.endpoint, attempts=3)("DescribeProject", ProjectName=name)
    assert description["ProjectDescription"]["ProjectName"] == name
    first, second = door.requests[before:]
    if call.client.name == "JavaScript":  # which heeds Retry-After
        assert second - first > 0.9


@pytest.mark.parametrize("decodes_paths", [False, True])
def test_arns_in_paths_and_endpoints_with_a_slash_are_understood(
    call: Caller, door: FrontDoor, monkeypatch: pytest.MonkeyPatch, decodes_paths: bool
) -> None:
    monkeypatch.setattr(door, "decodes_paths", decodes_paths)
    slashed = Caller(call.client, f"{door.endpoint}/")  # as AWS writes function URLs
    arn = "arn:aws:lookoutvision:us-east-1:123456789012:model/any/7"
    error = raised(lambda: slashed("TagResource", ResourceArn=arn, Tags=[]), "ResourceNotFoundException")
    assert has(error, ResourceType="PROJECT", ResourceId="any")


def test_what_no_operation_is_has_no_error_of_the_contract(door: FrontDoor) -> None:
    answer = door.send("GET", "/2020-11-20/nothing")
    assert (answer.status, answer.error) == (404, "UnknownOperationException")
    assert "GET /2020-11-20/nothing is not an operation of Lookout for Vision" in answer.body["Message"]


def test_a_request_for_s3_learns_where_s3_is(door: FrontDoor) -> None:
    """As with AWS_ENDPOINT_URL in place of AWS_ENDPOINT_URL_LOOKOUTVISION."""
    s3 = boto3.client("s3", endpoint_url=door.endpoint, config=Config(retries={"total_max_attempts": 1}))
    with pytest.raises(ClientError) as caught:
        s3.list_objects_v2(Bucket="data", Prefix="a&b")
    words = caught.value.response["Error"]["Message"]
    assert "GET /data is not an operation of Lookout for Vision" in words
    assert "the endpoint for S3 is https://s3.amazonaws.com, and AWS_ENDPOINT_URL_LOOKOUTVISION names this one" in words


@pytest.fixture(scope="module")
def scratches(door: FrontDoor) -> str:
    """A project with a hosted model that no anomalies were there to measure."""
    return register_hosted(door.registry, door.cloud.s3, "models", "scratches", segmentation_package())


def test_a_model_without_anomalies_says_why_its_performance_is_zero(call: Caller, scratches: str) -> None:
    given = {"ProjectName": "scratches", "ModelVersion": scratches}
    for description in (
        call("DescribeModel", **given)["ModelDescription"],
        *call("ListModels", ProjectName="scratches")["Models"],
    ):
        assert description["Performance"] == {"F1Score": 0, "Recall": 0, "Precision": 0}
        assert description["StatusMessage"] == f"The model is running. {NOT_MEASURED}"


def test_stopping_what_is_not_hosted_says_so(call: Caller, door: FrontDoor) -> None:
    name = f"stopped-{''.join(filter(str.isalnum, call.client.name))}"
    version = register_hosted(door.registry, door.cloud.s3, "models", name, segmentation_package())
    given = {"ProjectName": name, "ModelVersion": version}
    call("StopModel", **given)
    error = raised(lambda: call("StopModel", **given), "ConflictException")
    assert f"Model {name}/1 is not hosted, so there is nothing to stop" in error.message
    assert has(error, ResourceId=f"{name}/1", ResourceType="MODEL")


def test_a_hosted_model_of_an_older_relook_is_a_conflict_that_says_to_train_again(
    call: Caller, door: FrontDoor
) -> None:
    name = f"old-{''.join(filter(str.isalnum, call.client.name))}"
    version = register_hosted(door.registry, door.cloud.s3, "models", name, outdated_package())
    image = {"Body": part_png(1000), "ContentType": "image/png"}
    before = len(door.requests)
    error = raised(
        lambda: Caller(call.client, door.endpoint, attempts=3)(
            "DetectAnomalies", ProjectName=name, ModelVersion=version, **image
        ),
        "ConflictException",
    )
    assert f"Model {name}/1 cannot be asked any more: {OUTDATED}" in error.message
    assert len(door.requests) == before + 1, "what does not help is not tried again"


def test_a_body_that_is_no_image_learns_which_kinds_are_accepted(call: Caller, scratches: str) -> None:
    given = {"ProjectName": "scratches", "ModelVersion": scratches, "ContentType": "image/png"}
    error = raised(lambda: call("DetectAnomalies", **given, Body=b'{"image": 1}'), "ValidationException")
    assert "The content looks like no image; PNG and JPEG are accepted" in error.message
    text = base64.b64encode(part_png(1000))
    error = raised(lambda: call("DetectAnomalies", **given, Body=text), "ValidationException")
    assert "looks like base64 text, and not the image itself; PNG and JPEG are accepted" in error.message


def test_errors_carry_what_the_contract_says_and_nothing_else(door: FrontDoor) -> None:
    answer = door.send("GET", "/2020-11-20/projects/nowhere")
    assert (answer.status, answer.error) == (404, "ResourceNotFoundException")
    assert set(answer.body) == {"Message", "ResourceId", "ResourceType"}
    answer = door.send("POST", "/2020-11-20/projects", json.dumps({"ProjectName": "-"}).encode())
    assert (answer.status, answer.error, set(answer.body)) == (400, "ValidationException", {"Message"})
