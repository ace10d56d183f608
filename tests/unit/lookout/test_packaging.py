"""Packaging jobs: what may be asked for, what they write, and how they end."""

from __future__ import annotations

import json
import re
import zipfile
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
from botocore.exceptions import ClientError

from relook.detection.package import GRAPH_FILE, MANIFEST_FILE, ModelPackage
from relook.errors import ConflictError, InvalidRequestError, ResourceNotFoundError, ResourceType
from relook.lookout.component import component_zip
from relook.lookout.contract import OPERATIONS
from relook.lookout.packaging import (
    describe_model_packaging_job,
    list_model_packaging_jobs,
    start_model_packaging_job,
)
from relook.lookout.projects import delete_project
from relook.lookout.service import Service
from relook.lookout.wire import to_wire
from relook.registry import packaging_jobs as jobs
from relook.registry.hosting import stop_hosting
from relook.registry.models import delete_model
from relook.registry.packaging_jobs import create_job, describe_job, fail_job, finish_job, list_jobs
from relook.registry.projects import create_project
from relook.registry.thresholds import choose_threshold
from relook.registry.trainings import create_model
from tests.unit.parts import OUTDATED, WHO, classification_package, outdated_package, register_hosted

pytestmark = pytest.mark.slow

X86 = {"Os": "LINUX", "Arch": "X86_64"}
NVIDIA = {"Os": "LINUX", "Arch": "ARM64", "Accelerator": "NVIDIA"}
NVIDIA_OPTIONS = {"gpu-code": "sm_72", "trt-ver": "7.1.3", "cuda-ver": "10.2"}


@pytest.fixture
def line(service: Service) -> Service:
    """Version 1 of `bracket` is hosted, and there is a bucket for what jobs make."""
    register_hosted(service.registry, service.s3, "models", "bracket", classification_package())
    service.s3.create_bucket(Bucket="components")
    return service


def asked(**changes: Any) -> dict[str, Any]:
    """A Greengrass configuration; a change of None leaves a member out."""
    configuration = {
        "TargetPlatform": X86,
        "S3OutputLocation": {"Bucket": "components", "Prefix": "line-1/"},
        "ComponentName": "com.example.Bracket",
        **changes,
    }
    return {name: value for name, value in configuration.items() if value is not None}


def start(service: Service, configuration: dict[str, Any] | None = None, **members: Any) -> str:
    given = {"ProjectName": "bracket", "ModelVersion": "1", **members}
    answer = start_model_packaging_job(service, {**given, "Configuration": {"Greengrass": configuration or asked()}})
    return str(answer["JobName"])


def describe(service: Service, name: str) -> dict[str, Any]:
    answer = describe_model_packaging_job(service, {"ProjectName": "bracket", "JobName": name})
    description: dict[str, Any] = answer["ModelPackagingDescription"]
    return description


def stored(service: Service) -> dict[str, bytes]:
    keys = [each["Key"] for each in service.s3.list_objects_v2(Bucket="components").get("Contents", [])]
    return {key: service.s3.get_object(Bucket="components", Key=key)["Body"].read() for key in keys}


def recipe_of(service: Service, **changes: Any) -> dict[str, Any]:
    start(service, asked(**changes))
    (recipe,) = (data for key, data in stored(service).items() if key.endswith(".recipe.json"))
    return dict(json.loads(recipe))


def test_a_job_writes_zip_and_recipe_and_succeeds(line: Service) -> None:
    name = start(line, JobName="first", Description="For line 1")

    assert name == "first"
    job = describe(line, name)
    assert set(stored(line)) == {
        "line-1/com.example.Bracket-1.0.0.zip",
        "line-1/com.example.Bracket-1.0.0.recipe.json",
    }
    assert job["Status"] == "SUCCEEDED"
    assert "s3://components/line-1/com.example.Bracket-1.0.0.zip" in job["StatusMessage"]
    assert (job["ProjectName"], job["ModelVersion"], job["JobName"]) == ("bracket", "1", "first")
    assert job["ModelPackagingJobDescription"] == "For line 1"
    assert job["ModelPackagingMethod"] == "GREENGRASS"
    assert job["ModelPackagingConfiguration"] == {"Greengrass": {**asked(), "ComponentVersion": "1.0.0"}}
    assert job["CreationTimestamp"] <= job["LastUpdatedTimestamp"] <= datetime.now(UTC)


def test_the_component_version_is_reported_as_the_api_says(line: Service) -> None:
    output = describe(line, start(line, asked(ComponentVersion="3.2.1")))["ModelPackagingOutputDetails"]["Greengrass"]

    assert (output["ComponentName"], output["ComponentVersion"]) == ("com.example.Bracket", "3.2.1")
    details = OPERATIONS["DescribeModelPackagingJob"].output.members["ModelPackagingDescription"].shape
    for member in ("ModelPackagingOutputDetails", "Greengrass", "ComponentVersionArn"):
        details = details.members[member].shape
    assert details.pattern is not None
    assert re.fullmatch(details.pattern, output["ComponentVersionArn"])
    assert output["ComponentVersionArn"].endswith("com.example.Bracket/versions/3.2.1")


def test_the_prefix_is_taken_as_it_stands(line: Service) -> None:
    start(line, asked(S3OutputLocation={"Bucket": "components", "Prefix": "line-1"}))
    start(line, asked(S3OutputLocation={"Bucket": "components"}, ComponentVersion="2.0.0"))

    assert {key for key in stored(line) if key.endswith(".zip")} == {
        "line-1com.example.Bracket-1.0.0.zip",
        "com.example.Bracket-2.0.0.zip",
    }


def test_the_zip_holds_the_model_the_runner_and_its_libraries(line: Service) -> None:
    start(line)

    with zipfile.ZipFile(BytesIO(stored(line)["line-1/com.example.Bracket-1.0.0.zip"])) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert ModelPackage.from_files({name: files[f"model/{name}"] for name in (GRAPH_FILE, MANIFEST_FILE)})
    assert {"relook/lookout/device.py", "relook/lookout/wire.py", "relook/detection/model.py", "README.txt"} <= set(
        files
    )
    assert not [name for name in files if "registry" in name or "service" in name or name.endswith(".pyc")]
    pins = [line.partition("==") for line in files["requirements.txt"].decode().splitlines()]
    assert [name for name, _, version in pins if version] == ["numpy", "onnxruntime", "pillow"]


def test_a_moved_threshold_goes_along(line: Service) -> None:
    choose_threshold(line.registry, "bracket", "1", 0.75, how="by hand", who=WHO)
    start(line)
    with zipfile.ZipFile(BytesIO(stored(line)["line-1/com.example.Bracket-1.0.0.zip"])) as archive:
        assert json.loads(archive.read("model/model.json"))["threshold"] == 0.75


def test_equal_models_make_equal_zips() -> None:
    package = classification_package()

    assert component_zip(package, "bracket", "1") == component_zip(package, "bracket", "1")
    assert component_zip(package, "bracket", "1") != component_zip(package, "bracket", "2")


def test_the_recipe_installs_and_runs_what_the_zip_holds(line: Service) -> None:
    recipe = recipe_of(line, ComponentDescription="Looks at brackets")

    assert recipe["RecipeFormatVersion"] == "2020-01-25"
    assert (recipe["ComponentName"], recipe["ComponentVersion"]) == ("com.example.Bracket", "1.0.0")
    assert (recipe["ComponentDescription"], recipe["ComponentPublisher"]) == ("Looks at brackets", "Relook")
    (manifest,) = recipe["Manifests"]
    uri = "s3://components/line-1/com.example.Bracket-1.0.0.zip"
    assert manifest["Artifacts"] == [{"URI": uri, "Unarchive": "ZIP"}]
    assert manifest["Platform"] == {"os": "linux", "architecture": "amd64"}
    folder = "{artifacts:decompressedPath}/com.example.Bracket-1.0.0"
    assert f'install -r "{folder}/requirements.txt"' in manifest["Lifecycle"]["install"]["Script"]
    assert f'cd "{folder}"' in manifest["Lifecycle"]["run"]["Script"]
    assert "-m relook.lookout.device --model model" in manifest["Lifecycle"]["run"]["Script"]
    assert recipe["ComponentConfiguration"]["DefaultConfiguration"] == {"Host": "127.0.0.1", "Port": 8080}


@pytest.mark.parametrize(
    "changes",
    [
        {"TargetPlatform": {"Os": "LINUX", "Arch": "ARM64"}},
        {"TargetPlatform": None, "TargetDevice": "jetson_xavier"},
        {"TargetPlatform": NVIDIA, "CompilerOptions": json.dumps(NVIDIA_OPTIONS)},
    ],
)
def test_arm_devices_get_a_recipe_of_their_own(line: Service, changes: dict[str, Any]) -> None:
    assert recipe_of(line, **changes)["Manifests"][0]["Platform"]["architecture"] == "aarch64"


def test_a_job_for_an_accelerator_says_that_it_is_not_used(line: Service) -> None:
    on_nvidia = start(line, asked(TargetPlatform=NVIDIA, CompilerOptions=json.dumps(NVIDIA_OPTIONS)))
    on_cpu = start(line, asked(ComponentVersion="2.0.0", CompilerOptions='{"mcpu": "core-avx2"}'))

    assert describe(line, on_nvidia)["StatusMessage"].endswith("The component uses the CPU.")
    assert "CPU" not in describe(line, on_cpu)["StatusMessage"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"TargetPlatform": None}, "exactly one of"),
        ({"TargetDevice": "jetson_xavier"}, "exactly one of"),
        ({"TargetPlatform": None, "TargetDevice": "jetson_xavier", "CompilerOptions": "{}{"}, "takes none"),
        ({"TargetPlatform": NVIDIA}, "gpu-code, trt-ver, cuda-ver"),
        ({"TargetPlatform": NVIDIA, "CompilerOptions": '{"gpu-code": "sm_72"}'}, "lack trt-ver, cuda-ver"),
        ({"CompilerOptions": "mcpu"}, "not a JSON object"),
        ({"CompilerOptions": "[1]"}, "not a JSON object"),
        ({"CompilerOptions": "[" * 1024}, "not a JSON object"),
    ],
)
def test_what_does_not_go_together_is_refused(line: Service, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        start(line, asked(**changes))
    assert list_jobs(line.registry, "bracket") == []


def test_a_name_is_made_where_none_is_given(line: Service) -> None:
    long = "a_" * 60
    register_hosted(line.registry, line.s3, "models", long, classification_package())

    names = [start(line), start(line, asked(ComponentVersion="2.0.0"), ProjectName=long)]

    assert names[0].startswith("bracket-1-")
    assert all(re.fullmatch("[a-zA-Z0-9-]{1,64}", name) for name in names)


def test_latest_is_resolved(line: Service) -> None:
    assert describe(line, start(line, ModelVersion="latest"))["ModelVersion"] == "1"


def test_a_trained_model_can_be_packaged_and_one_in_training_not(line: Service) -> None:
    stop_hosting(line.registry, "bracket", "1", who=WHO)
    create_model(line.registry, "bracket")

    assert describe(line, start(line))["Status"] == "SUCCEEDED"
    with pytest.raises(ConflictError, match="is TRAINING; only") as conflict:
        start(line, asked(ComponentVersion="2.0.0"), ModelVersion="2")
    assert (conflict.value.resource_type, conflict.value.resource_id) == (ResourceType.MODEL, "bracket/2")


@pytest.mark.parametrize(
    ("members", "resource"),
    [
        ({"ProjectName": "other"}, (ResourceType.PROJECT, "other")),
        ({"ModelVersion": "2"}, (ResourceType.MODEL, "bracket/2")),
    ],
)
def test_a_model_that_does_not_exist_cannot_be_packaged(
    line: Service, members: dict[str, Any], resource: tuple[ResourceType, str]
) -> None:
    with pytest.raises(ResourceNotFoundError) as missing:
        start(line, **members)
    assert (missing.value.resource_type, missing.value.resource_id) == resource


def test_a_job_name_is_taken_once(line: Service) -> None:
    start(line, JobName="first")

    with pytest.raises(ConflictError, match="already has a packaging job first") as conflict:
        start(line, asked(ComponentVersion="2.0.0"), JobName="first")
    assert (conflict.value.resource_type, conflict.value.resource_id) == (ResourceType.PACKAGING_JOB, "bracket/first")


def test_a_component_version_is_made_once_in_all_projects(line: Service) -> None:
    register_hosted(line.registry, line.s3, "models", "plate", classification_package())
    start(line)

    with pytest.raises(ConflictError, match=r"com\.example\.Bracket 1\.0\.0 was made before") as conflict:
        start(line, ProjectName="plate", JobName="again")
    assert (conflict.value.resource_type, conflict.value.resource_id) == (ResourceType.PACKAGING_JOB, "plate/again")
    assert list_jobs(line.registry, "plate") == []


def test_a_bucket_that_does_not_exist_fails_the_job_and_frees_the_component(line: Service) -> None:
    failed = start(line, asked(S3OutputLocation={"Bucket": "nowhere"}))

    job = describe(line, failed)
    assert job["Status"] == "FAILED" and "there is no bucket nowhere; make it" in job["StatusMessage"]
    assert job["ModelPackagingOutputDetails"] is None
    assert describe(line, start(line))["Status"] == "SUCCEEDED"


@pytest.mark.parametrize(
    ("code", "words"),
    [("AccessDenied", "in the stage's data_buckets"), ("SlowDown", "SlowDown: Reduce")],
)
def test_a_bucket_that_refuses_fails_the_job(
    line: Service, monkeypatch: pytest.MonkeyPatch, code: str, words: str
) -> None:
    def put_object(**_: Any) -> None:
        raise ClientError({"Error": {"Code": code, "Message": "Reduce your request rate."}}, "PutObject")

    monkeypatch.setattr(line.s3, "put_object", put_object)

    job = describe(line, start(line))
    assert job["Status"] == "FAILED"
    assert words in job["StatusMessage"]


def test_a_bucket_name_that_no_bucket_can_have_fails_the_job(line: Service) -> None:
    job = describe(line, start(line, asked(S3OutputLocation={"Bucket": "___"})))

    assert job["Status"] == "FAILED"
    assert "___" in job["StatusMessage"]


def test_a_damaged_model_fails_the_job(line: Service) -> None:
    line.s3.delete_object(Bucket="models", Key=f"bracket/1/{GRAPH_FILE}")

    job = describe(line, start(line))
    assert job["Status"] == "FAILED"
    assert f"has no {GRAPH_FILE}" in job["StatusMessage"]


def test_a_model_of_an_older_relook_fails_the_job_and_is_to_be_trained_again(line: Service) -> None:
    register_hosted(line.registry, line.s3, "models", "bracket", outdated_package())

    job = describe(line, start(line, ModelVersion="2"))
    assert (job["Status"], job["StatusMessage"]) == ("FAILED", OUTDATED)


def test_jobs_are_listed_newest_first_page_by_page(line: Service) -> None:
    names = [start(line, asked(ComponentVersion=f"{i}.0.0"), JobName=f"job-{9 - i}") for i in range(5)]

    listed: list[str] = []
    token = None
    sizes = []
    while True:
        page = {"MaxResults": 2, **({"NextToken": token} if token else {})}
        answer = list_model_packaging_jobs(line, {"ProjectName": "bracket", **page})
        sizes.append(len(answer["ModelPackagingJobs"]))
        listed += [job["JobName"] for job in answer["ModelPackagingJobs"]]
        token = answer["NextToken"]
        if token is None:
            break
    assert listed == names[::-1]
    assert sizes == [2, 2, 1]


def test_a_token_of_another_list_is_refused(line: Service) -> None:
    with pytest.raises(InvalidRequestError, match="NextToken"):
        list_model_packaging_jobs(line, {"ProjectName": "bracket", "NextToken": "YWJj"})


def test_answers_fit_the_contract(line: Service) -> None:
    tagged = asked(Tags=[{"Key": "line", "Value": "1"}], ComponentDescription="Brackets")
    name = start(line, tagged, JobName="first")
    given = {"ProjectName": "bracket", "JobName": name}

    described = to_wire(OPERATIONS["DescribeModelPackagingJob"], describe_model_packaging_job(line, given))
    listed = to_wire(OPERATIONS["ListModelPackagingJobs"], list_model_packaging_jobs(line, given))

    description = json.loads(json.dumps(described))["ModelPackagingDescription"]
    assert description["ModelPackagingConfiguration"] == {"Greengrass": {**tagged, "ComponentVersion": "1.0.0"}}
    assert [job["JobName"] for job in json.loads(json.dumps(listed))["ModelPackagingJobs"]] == ["first"]


def test_missing_jobs_and_projects_are_not_found(line: Service) -> None:
    with pytest.raises(ResourceNotFoundError) as missing:
        describe(line, "none")
    assert (missing.value.resource_type, missing.value.resource_id) == (ResourceType.PACKAGING_JOB, "bracket/none")
    with pytest.raises(ResourceNotFoundError) as no_project:
        list_model_packaging_jobs(line, {"ProjectName": "other"})
    assert no_project.value.resource_type is ResourceType.PROJECT


def test_jobs_do_not_keep_a_project_and_go_with_it(line: Service) -> None:
    start(line, JobName="first")
    stop_hosting(line.registry, "bracket", "1", who=WHO)
    delete_model(line.registry, "bracket", "1")
    key = describe_job(line.registry, "bracket", "first").key

    delete_project(line, {"ProjectName": "bracket"})

    assert line.registry.get(key) is None


def test_a_later_project_of_the_same_name_never_sees_jobs_left_behind(
    line: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(line, JobName="first")
    stop_hosting(line.registry, "bracket", "1", who=WHO)
    delete_model(line.registry, "bracket", "1")
    monkeypatch.setattr("relook.lookout.projects.delete_jobs", lambda *_: None)  # cut off just before
    delete_project(line, {"ProjectName": "bracket"})
    create_project(line.registry, "bracket")

    assert list_jobs(line.registry, "bracket") == []
    with pytest.raises(ResourceNotFoundError):
        describe(line, "first")
    register_hosted(line.registry, line.s3, "models", "bracket", classification_package())
    assert describe(line, start(line, asked(ComponentVersion="2.0.0"), JobName="first"))["Status"] == "SUCCEEDED"


def test_a_job_that_was_cut_off_has_failed_and_gives_its_component_back(
    line: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = {**asked(), "ComponentVersion": "1.0.0"}
    create_job(line.registry, "bracket", "cut-off", "1", configuration, None)
    assert describe(line, "cut-off")["Status"] == "RUNNING"
    with pytest.raises(ConflictError, match="was made before"):
        start(line)

    monkeypatch.setattr(jobs, "ABANDONED_AFTER", timedelta(0))

    assert describe(line, start(line))["Status"] == "SUCCEEDED"
    job = describe(line, "cut-off")
    assert (job["Status"], job["StatusMessage"]) == (
        "FAILED",
        "The packaging job was cut off before its end; start another.",
    )


def test_a_settled_job_stays_as_it_is(line: Service) -> None:
    start(line, JobName="first")
    job = describe_job(line.registry, "bracket", "first")

    with pytest.raises(ConflictError, match="is not running"):
        fail_job(line.registry, job, "Too late.")
    with pytest.raises(ConflictError, match="is not running"):
        finish_job(line.registry, job, "arn", "Again.")
    assert describe(line, "first")["Status"] == "SUCCEEDED"
