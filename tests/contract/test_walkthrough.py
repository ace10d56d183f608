"""The deployed API, used by clients that nobody here wrote as the original documentation walks through it."""

from __future__ import annotations

import base64
import io
import time
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from PIL import Image

from local.cloud import LocalCloud
from relook.aws.table import Table
from relook.lookout.contract import OPERATIONS
from tests.contract.clients import CLIENTS, Caller, CallError, Client
from tests.contract.conftest import Clients
from tests.contract.samples import classification_line, upload_parts
from tests.unit.parts import SCRATCH_COLOR, classification_package, part_png, register_hosted, segmentation_package

pytestmark = pytest.mark.integration

BUCKET = "contract"
NORMAL = 10
WITH_MASKS = "boto3-1.40.60"  # the others train on normal images alone, which is sooner done
SCRATCHED = 2


@dataclass(frozen=True)
class Deployed:
    """The stack, as the owner of a bucket with images has it."""

    endpoint: str
    registry: Table
    s3: Any
    models_bucket: str


@pytest.fixture(scope="module")
def deployed(cloud: LocalCloud) -> Deployed:
    outputs, s3 = cloud.status().outputs, cloud.clients.s3
    s3.create_bucket(Bucket=BUCKET)
    registry = Table(cloud.clients.dynamodb, outputs["RegistryTable"])
    return Deployed(outputs["LookoutEndpoint"], registry, s3, outputs["ModelsBucket"])


@pytest.fixture
def call(client: Client, deployed: Deployed) -> Caller:
    return Caller(client, deployed.endpoint)


@pytest.fixture(scope="module")
def hosted(deployed: Deployed) -> Mapping[str, str]:
    """Projects with a hosted model: of segmentation and of classification."""
    packages = {"segments": segmentation_package(), "classifies": classification_package()}
    for project, package in packages.items():
        register_hosted(deployed.registry, deployed.s3, deployed.models_bucket, project, package)
    return {project: f"arn:aws:lookoutvision:us-east-1:000000000000:model/{project}/1" for project in packages}


def test_getting_started_to_cleaning_up_with_every_client_at_once(clients: Clients, deployed: Deployed) -> None:
    """All at once, since what takes time is training, of which two may run."""
    callers = {name: Caller(clients[name], deployed.endpoint) for name in CLIENTS}
    with ThreadPoolExecutor(len(callers)) as pool:
        walks = {name: pool.submit(walk, caller, deployed.s3, name) for name, caller in callers.items()}
    for name, done in walks.items():
        assert done.result() is None
        assert callers[name].called == set(OPERATIONS), name


def walk(call: Caller, s3: Any, name: str) -> None:
    """Every operation, in the order of a project's life."""
    project = f"walk-{name.replace('.', '_')}"
    began = time.time()
    manifest = upload_parts(s3, BUCKET, name, NORMAL, SCRATCHED if name == WITH_MASKS else 0)

    made = call("CreateProject", ProjectName=project, ClientToken=project.replace("_", "-"))["ProjectMetadata"]
    assert made["ProjectArn"] == f"arn:aws:lookoutvision:us-east-1:000000000000:project/{project}"
    assert began - 1 < made["CreationTimestamp"] < time.time() + 1
    assert project in {each["ProjectName"] for each in call("ListProjects")["Projects"]}

    total = fill_dataset(call, project, manifest, name)
    (dataset,) = call("DescribeProject", ProjectName=project)["ProjectDescription"]["Datasets"]
    assert (dataset["DatasetType"], dataset["Status"]) == ("train", "UPDATE_COMPLETE")
    assert dataset["StatusMessage"]
    assert total == NORMAL + 1 + (SCRATCHED if name == WITH_MASKS else 0)

    version = train(call, project, name)
    model = {"ProjectName": project, "ModelVersion": version}
    describe = described(call, "DescribeModel", "ModelDescription", **model)
    trained = describe()
    assert trained["Description"] == "first-try"
    assert trained["OutputConfig"] == {"S3Location": {"Bucket": BUCKET, "Prefix": f"{name}/out_"}}
    assert trained["EvaluationEndTimestamp"] >= trained["CreationTimestamp"] > began - 1
    assert set(trained["Performance"]) == {"F1Score", "Recall", "Precision"}
    assert trained["EvaluationResult"]["Key"] == f"{name}/out_EvaluationResult-{project}-{version}.json"
    assert trained["EvaluationManifest"]["Key"] == f"{name}/out_EvaluationManifest-{project}-{version}.json"
    for file in ("EvaluationResult", "EvaluationManifest"):
        assert s3.get_object(Bucket=BUCKET, Key=trained[file]["Key"])["Body"].read()
    (listed,) = call("ListModels", ProjectName=project)["Models"]
    assert (listed["ModelVersion"], listed["Status"]) == (version, "TRAINED")

    change_tags(call, trained["ModelArn"])

    assert call("StartModel", **model, MinInferenceUnits=1, MaxInferenceUnits=2)["Status"] == "STARTING_HOSTING"
    hosted = until(describe, "HOSTED", {"STARTING_HOSTING"})
    assert (hosted["MinInferenceUnits"], hosted["MaxInferenceUnits"]) == (1, 2)
    answer = call("DetectAnomalies", **model, Body=part_png(1000), ContentType="image/png")["DetectAnomalyResult"]
    assert answer["Source"] == {"Type": "direct"}
    assert 0 <= answer["Confidence"] <= 1
    assert ("AnomalyMask" in answer) == ("Anomalies" in answer) == (name == WITH_MASKS)

    package_for_a_device(call, s3, model, name)

    assert call("StopModel", **model)["Status"] == "STOPPING_HOSTING"
    until(describe, "TRAINED", {"STOPPING_HOSTING"})
    assert call("DeleteModel", **model)["ModelArn"] == trained["ModelArn"]
    wait_for(lambda: call("ListModels", ProjectName=project)["Models"] == [])
    assert call("DeleteDataset", ProjectName=project, DatasetType="train") == {}
    assert call("DeleteProject", ProjectName=project)["ProjectArn"] == made["ProjectArn"]
    assert project not in {each["ProjectName"] for each in call("ListProjects")["Projects"]}


def fill_dataset(call: Caller, project: str, manifest: str, name: str) -> int:
    """From the manifest, and then one image more; how many there are."""
    dataset = {"ProjectName": project, "DatasetType": "train"}
    source = {"GroundTruthManifest": {"S3Object": {"Bucket": BUCKET, "Key": manifest}}}
    creating = call("CreateDataset", **dataset, DatasetSource=source)["DatasetMetadata"]
    assert (creating["DatasetType"], creating["Status"]) == ("train", "CREATE_IN_PROGRESS")
    describe = described(call, "DescribeDataset", "DatasetDescription", **dataset)
    before = until(describe, "CREATE_COMPLETE", {"CREATE_IN_PROGRESS"})["ImageStats"]
    assert before["Normal"] == NORMAL
    assert before["Total"] == before["Labeled"] == before["Normal"] + before["Anomaly"]

    # A class that is neither is none. The line comes back as it was given, with its spaces and its escapes.
    metadata = '{"class-name": "caf\\u00e9 é", "type": "groundtruth/image-classification", "human-annotated": "no"}'
    line = f'{{"source-ref":  "s3://{BUCKET}/{name}/unlabelled.png", "x": 1, "x-metadata": {metadata}}}'
    assert call("UpdateDatasetEntries", **dataset, Changes=line.encode())["Status"] == "UPDATE_IN_PROGRESS"
    after = until(describe, "UPDATE_COMPLETE", {"UPDATE_IN_PROGRESS"})["ImageStats"]
    assert (after["Total"], after["Labeled"]) == (before["Total"] + 1, before["Labeled"])

    def entries(**filters: Any) -> list[str]:
        lines: list[str] = call("ListDatasetEntries", **dataset, **filters)["DatasetEntries"]
        return lines

    assert len(entries()) == after["Total"]
    assert entries(Labeled=False) == entries(SourceRefContains="unlabelled") == [line]
    assert len(entries(Labeled=True)) == before["Labeled"]
    assert len(entries(AnomalyClass="normal")) == NORMAL
    assert len(entries(AnomalyClass="anomaly")) == before["Anomaly"]
    hour = timedelta(hours=1)
    assert (
        len(entries(AfterCreationDate=datetime.now(UTC) - hour, BeforeCreationDate=datetime.now(UTC) + hour))
        == (after["Total"])
    )
    assert entries(BeforeCreationDate=datetime.now(UTC) - hour) == []
    return int(after["Total"])


def train(call: Caller, project: str, name: str) -> str:
    """Its version, once it is trained."""

    def create() -> dict[str, Any] | None:
        try:
            output = {"S3Location": {"Bucket": BUCKET, "Prefix": f"{name}/out_"}}
            tags = [{"Key": "line", "Value": "3"}]
            return call("CreateModel", ProjectName=project, OutputConfig=output, Description="first-try", Tags=tags)
        except CallError as error:
            if error.code != "ServiceQuotaExceededException":  # others are training
                raise
            return None

    training = wait_for(create, 120)["ModelMetadata"]
    assert training["Status"] == "TRAINING"
    version: str = training["ModelVersion"]
    describe = described(call, "DescribeModel", "ModelDescription", ProjectName=project, ModelVersion=version)
    until(describe, "TRAINED", {"TRAINING"}, 180)
    return version


def change_tags(call: Caller, arn: str) -> None:
    call(
        "TagResource", ResourceArn=arn, Tags=[{"Key": "a/b c", "Value": "caf\u00e9 + 1"}, {"Key": "empty", "Value": ""}]
    )
    tags = {each["Key"]: each["Value"] for each in call("ListTagsForResource", ResourceArn=arn)["Tags"]}
    assert tags == {"line": "3", "a/b c": "caf\u00e9 + 1", "empty": ""}
    assert call("UntagResource", ResourceArn=arn, TagKeys=["a/b c", "empty"]) == {}
    assert call("ListTagsForResource", ResourceArn=arn)["Tags"] == [{"Key": "line", "Value": "3"}]


def package_for_a_device(call: Caller, s3: Any, model: Mapping[str, str], name: str) -> None:
    place = {"Bucket": BUCKET, "Prefix": f"{name}/component/"}
    greengrass = {
        "S3OutputLocation": place,
        "ComponentName": f"part-{name}",
        "TargetPlatform": {"Os": "LINUX", "Arch": "X86_64"},
        "CompilerOptions": '{"mcpu": "core-avx2"}',
    }
    project = model["ProjectName"]
    started = call("StartModelPackagingJob", **model, JobName="job-1", Configuration={"Greengrass": greengrass})
    assert started == {"JobName": "job-1"}
    describe = described(
        call, "DescribeModelPackagingJob", "ModelPackagingDescription", ProjectName=project, JobName="job-1"
    )
    job = until(describe, "SUCCEEDED", {"CREATED", "RUNNING"})
    made = job["ModelPackagingOutputDetails"]["Greengrass"]
    assert (made["ComponentName"], made["ComponentVersion"]) == (f"part-{name}", f"{model['ModelVersion']}.0.0")
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET, Prefix=place["Prefix"])["Contents"]]
    (zipped,) = [key for key in keys if key.endswith(".zip")]
    assert zipfile.ZipFile(io.BytesIO(s3.get_object(Bucket=BUCKET, Key=zipped)["Body"].read())).testzip() is None
    (listed,) = call("ListModelPackagingJobs", ProjectName=project)["ModelPackagingJobs"]
    assert (listed["JobName"], listed["Status"]) == ("job-1", "SUCCEEDED")


def test_a_segmentation_model_says_what_and_where(call: Caller, hosted: Mapping[str, str]) -> None:
    model = {"ProjectName": "segments", "ModelVersion": "latest"}
    image = part_png(1001, is_scratched=True)
    answer = call("DetectAnomalies", **model, Body=image, ContentType="image/png")["DetectAnomalyResult"]
    assert answer["IsAnomalous"] is True
    background, scratch = answer["Anomalies"]
    assert (background["Name"], background["PixelAnomaly"]["Color"]) == ("background", "#FFFFFF")
    assert (scratch["Name"], scratch["PixelAnomaly"]["Color"]) == ("scratch", SCRATCH_COLOR)
    areas = [each["PixelAnomaly"]["TotalPercentageArea"] for each in answer["Anomalies"]]
    assert sum(areas) == pytest.approx(1, abs=1e-6)
    mask = Image.open(io.BytesIO(base64.b64decode(answer["AnomalyMask"])))
    assert (mask.format, mask.mode, mask.size) == ("PNG", "RGB", (160, 120))


def test_a_classification_model_answers_without_anomalies_and_mask(call: Caller, hosted: Mapping[str, str]) -> None:
    model = {"ProjectName": "classifies", "ModelVersion": "1"}
    answer = call("DetectAnomalies", **model, Body=part_png(1000), ContentType="image/png")["DetectAnomalyResult"]
    assert set(answer) == {"Source", "IsAnomalous", "Confidence"}


def test_every_paginator_gives_everything_once(call: Caller, deployed: Deployed, hosted: Mapping[str, str]) -> None:
    project = f"pages-{''.join(filter(str.isalnum, call.client.name))}"
    for suffix in "abc":
        call("CreateProject", ProjectName=f"{project}-{suffix}")
    names = [each["ProjectName"] for each in call.all_of("ListProjects", "Projects", 2)]
    assert {f"{project}-{suffix}" for suffix in "abc"} <= set(names)
    assert len(names) == len(set(names))

    within = {"ProjectName": f"{project}-a"}
    call("CreateDataset", **within, DatasetType="train")
    for i in range(5):
        deployed.s3.put_object(Bucket=BUCKET, Key=f"{i}.png", Body=part_png(i))
    lines = [classification_line(f"s3://{BUCKET}/{i}.png", is_anomalous=i > 2) for i in range(5)]
    call("UpdateDatasetEntries", **within, DatasetType="train", Changes="\n".join(lines).encode())
    assert call.all_of("ListDatasetEntries", "DatasetEntries", 2, **within, DatasetType="train") == lines
    normal = call.all_of(
        "ListDatasetEntries", "DatasetEntries", 2, **within, DatasetType="train", AnomalyClass="normal"
    )
    assert normal == lines[:3]

    for _ in range(2):
        register_hosted(
            deployed.registry, deployed.s3, deployed.models_bucket, within["ProjectName"], classification_package()
        )
    versions = [each["ModelVersion"] for each in call.all_of("ListModels", "Models", 1, **within)]
    assert sorted(versions) == ["1", "2"]

    for number in range(2):
        greengrass = {
            "S3OutputLocation": {"Bucket": BUCKET},
            "ComponentName": f"{project}-{number}",
            "TargetDevice": "jetson_xavier",
        }
        call(
            "StartModelPackagingJob",
            **within,
            ModelVersion="1",
            JobName=f"job-{number}",
            Configuration={"Greengrass": greengrass},
        )
    jobs = [each["JobName"] for each in call.all_of("ListModelPackagingJobs", "ModelPackagingJobs", 1, **within)]
    assert sorted(jobs) == ["job-0", "job-1"]


def test_errors_reach_the_client_through_the_function_url(call: Caller, hosted: Mapping[str, str]) -> None:
    def code(operation: str, **members: Any) -> str:
        with pytest.raises(CallError) as caught:
            call(operation, **members)
        assert caught.value.message
        return caught.value.code

    image = {"Body": part_png(1000), "ContentType": "image/png"}
    assert code("CreateProject", ProjectName="segments") == "ConflictException"
    assert code("DescribeModel", ProjectName="segments", ModelVersion="7") == "ResourceNotFoundException"
    assert code("DetectAnomalies", ProjectName="gone", ModelVersion="1", **image) == "ResourceNotFoundException"
    other = {"Body": b"no image", "ContentType": "image/png"}
    assert code("DetectAnomalies", ProjectName="segments", ModelVersion="1", **other) == "ValidationException"
    units = {"MinInferenceUnits": 999_999}
    assert code("StartModel", ProjectName="segments", ModelVersion="1", **units) == "ServiceQuotaExceededException"
    assert code("ListModels", ProjectName="segments", NextToken="abcd") == "ValidationException"


def described(call: Caller, operation: str, result: str, **names: str) -> Callable[[], dict[str, Any]]:
    """Asks for a resource's description."""

    def describe() -> dict[str, Any]:
        answer: dict[str, Any] = call(operation, **names)[result]
        return answer

    return describe


def until(
    describe: Callable[[], dict[str, Any]], wanted: str, passing: set[str], limit_s: float = 60
) -> dict[str, Any]:
    """What it describes once its status is the wanted one; on the way there it may be one of the passing ones."""

    def reached() -> dict[str, Any] | None:
        description = describe()
        assert description["StatusMessage"]
        assert description["Status"] in {wanted, *passing}, description
        return description if description["Status"] == wanted else None

    description: dict[str, Any] = wait_for(reached, limit_s)
    return description


def wait_for(look: Callable[[], Any], limit_s: float = 30) -> Any:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if value := look():
            return value
        time.sleep(0.5)
    raise AssertionError(f"not within {limit_s:g} s")
