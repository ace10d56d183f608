"""Operations on model packaging jobs. A job takes a second and is done when StartModelPackagingJob answers.

It writes `<Prefix><ComponentName>-<ComponentVersion>.zip` and the same with `.recipe.json` into the caller's bucket.
The Prefix is taken as it stands, so one that is meant as a folder ends in "/". `aws greengrassv2
create-component-version` makes the component of the recipe; Relook itself asks no permission to do so.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from relook.aws.bucket import Bucket
from relook.aws.refusals import why_unwritable
from relook.errors import (
    AwsError,
    ConflictError,
    InvalidRequestError,
    PackageError,
    ResourceType,
)
from relook.lookout.component import component_zip, recipe
from relook.lookout.models import resolve_version
from relook.lookout.service import Service, decode_token, page_of
from relook.registry.model_version import ModelStatus, ModelVersion
from relook.registry.models import describe_model
from relook.registry.packages import load_package
from relook.registry.packaging_jobs import (
    JobStatus,
    PackagingJob,
    create_job,
    describe_job,
    fail_job,
    finish_job,
    list_jobs,
)

_METHOD = "GREENGRASS"
_NVIDIA_OPTIONS = ("gpu-code", "trt-ver", "cuda-ver")
_ARCHITECTURES = {"ARM64": "aarch64", "X86_64": "amd64"}
_DEVICES = {"jetson_xavier": "aarch64"}


def start_model_packaging_job(service: Service, given: Mapping[str, Any]) -> dict[str, Any]:
    """Package a model version for a device. Whether it succeeded is for DescribeModelPackagingJob to say."""
    asked = given["Configuration"]["Greengrass"]
    _check_target(asked)
    project = given["ProjectName"]
    version = resolve_version(service, project, given["ModelVersion"])
    model = describe_model(service.registry, project, version)
    name = given.get("JobName") or f"{project.replace('_', '-')[:40]}-{version}-{uuid.uuid4().hex[:8]}"
    configuration = {"ComponentVersion": f"{version}.0.0", **asked}
    if model.status not in (ModelStatus.TRAINED, ModelStatus.HOSTED):
        message = f"Model {project}/{version} is {model.status}; only a TRAINED or HOSTED model can be packaged"
        raise ConflictError(ResourceType.MODEL, f"{project}/{version}", message)
    job = create_job(service.registry, project, name, version, configuration, given.get("Description"))
    try:
        message = _package(service, job, model)
    except _PackagingFailedError as error:
        fail_job(service.registry, job, str(error))
    else:
        finish_job(service.registry, job, _component_arn(service, configuration), message)
    return {"JobName": name}


def describe_model_packaging_job(service: Service, given: Mapping[str, Any]) -> dict[str, Any]:
    """A job, what it was asked for and what it made."""
    job = describe_job(service.registry, given["ProjectName"], given["JobName"])
    made = {
        "ComponentVersionArn": job.component_arn,
        "ComponentName": job.configuration["ComponentName"],
        "ComponentVersion": job.configuration["ComponentVersion"],
    }
    description = {
        **_metadata(job),
        "ModelPackagingConfiguration": {"Greengrass": job.configuration},
        "ModelPackagingOutputDetails": {"Greengrass": made} if job.status is JobStatus.SUCCEEDED else None,
    }
    return {"ModelPackagingDescription": description}


def list_model_packaging_jobs(service: Service, given: Mapping[str, Any]) -> dict[str, Any]:
    """A project's jobs, newest first."""
    kind = f"packaging jobs of {given['ProjectName']}"
    after = decode_token(kind, given.get("NextToken"))
    jobs = list_jobs(service.registry, given["ProjectName"])
    page, token = page_of(kind, (job for job in jobs if after is None or _position(job) < after), given, _position)
    return {"ModelPackagingJobs": [_metadata(job) for job in page], "NextToken": token}


class _PackagingFailedError(Exception):
    """Why a job fails; the text is for its owner."""


def _check_target(asked: Mapping[str, Any]) -> None:
    """
    Raises:
        InvalidRequestError: what is asked for does not go together.
    """
    if ("TargetDevice" in asked) == ("TargetPlatform" in asked):
        raise InvalidRequestError("Greengrass takes exactly one of TargetDevice and TargetPlatform")
    text = asked.get("CompilerOptions")
    if "TargetDevice" in asked and text is not None:
        raise InvalidRequestError("CompilerOptions go with a TargetPlatform; a TargetDevice takes none")
    options = _compiler_options(text) if text is not None else {}
    if asked.get("TargetPlatform", {}).get("Accelerator") == "NVIDIA":
        missing = [option for option in _NVIDIA_OPTIONS if option not in options]
        if missing:
            example = '{"gpu-code": "sm_72", "trt-ver": "7.1.3", "cuda-ver": "10.2"}'
            raise InvalidRequestError(f"CompilerOptions lack {', '.join(missing)}; NVIDIA needs all of {example}")


def _compiler_options(text: str) -> Mapping[str, Any]:
    try:
        options = json.loads(text)
    except (ValueError, RecursionError):
        options = None
    if not isinstance(options, dict):
        raise InvalidRequestError(
            f'CompilerOptions {text[:100]!r} is not a JSON object such as {{"mcpu": "core-avx2"}}'
        )
    return options


def _package(service: Service, job: PackagingJob, model: ModelVersion) -> str:
    """Make and store the component; the job's message.

    Raises:
        _PackagingFailedError: the package cannot be read, or the bucket not be written.
    """
    asked = job.configuration
    bucket, prefix = service.bucket(asked["S3OutputLocation"]["Bucket"]), asked["S3OutputLocation"].get("Prefix", "")
    stem = f"{prefix}{asked['ComponentName']}-{asked['ComponentVersion']}"
    try:
        package = load_package(service.models_bucket, job.project, job.version, model.package_sha256 or "")
    except PackageError as error:
        raise _PackagingFailedError(str(error)) from error
    package = package.judging_by(model.threshold)
    made = recipe(
        name=asked["ComponentName"],
        version=asked["ComponentVersion"],
        description=asked.get("ComponentDescription", f"Model {job.version} of project {job.project}"),
        architecture=_architecture(asked),
        zip_uri=str(bucket.uri(f"{stem}.zip")),
    )
    _write(bucket, f"{stem}.zip", component_zip(package, job.project, job.version), "application/zip")
    _write(bucket, f"{stem}.recipe.json", made, "application/json")
    on_cpu = " The component uses the CPU." if _has_accelerator(asked) else ""
    return f"The packaging job succeeded: {bucket.uri(stem)}.zip and {stem}.recipe.json.{on_cpu}"


def _write(bucket: Bucket, key: str, data: bytes, content_type: str) -> None:
    try:
        bucket.write(key, data, content_type)
    except AwsError as error:
        raise _PackagingFailedError(why_unwritable(bucket.uri(key), error)) from error


def _architecture(asked: Mapping[str, Any]) -> str:
    return (
        _DEVICES[asked["TargetDevice"]] if "TargetDevice" in asked else _ARCHITECTURES[asked["TargetPlatform"]["Arch"]]
    )


def _has_accelerator(asked: Mapping[str, Any]) -> bool:
    return "TargetDevice" in asked or "Accelerator" in asked["TargetPlatform"]


def _component_arn(service: Service, configuration: Mapping[str, Any]) -> str:
    name, version = configuration["ComponentName"], configuration["ComponentVersion"]
    return service.function.component(name, version)


def _position(job: PackagingJob) -> str:
    """Where the job stands in a list."""
    return f"{job.created_at.isoformat(timespec='microseconds')} {job.name}"


def _metadata(job: PackagingJob) -> dict[str, Any]:
    return {
        "JobName": job.name,
        "ProjectName": job.project,
        "ModelVersion": job.version,
        "ModelPackagingJobDescription": job.description,
        "ModelPackagingMethod": _METHOD,
        "Status": job.status,
        "StatusMessage": job.status_message,
        "CreationTimestamp": job.created_at,
        "LastUpdatedTimestamp": job.updated_at,
    }
