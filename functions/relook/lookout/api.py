"""Which function answers which operation, and what every answer has in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from relook.errors import AwsError, AwsThrottledError, RelookError, ThrottledError, UnknownOperationError
from relook.lookout import datasets, detect, models, packaging, projects, tags
from relook.lookout.replays import once
from relook.lookout.service import Operate, Service
from relook.lookout.wire import Request, Response, read_input, route, to_wire, write_answer, write_error
from relook.observability import logger

HANDLERS: Mapping[str, Operate] = {
    "CreateProject": projects.create_project,
    "DescribeProject": projects.describe_project,
    "ListProjects": projects.list_projects,
    "DeleteProject": projects.delete_project,
    "CreateDataset": datasets.create_dataset,
    "DescribeDataset": datasets.describe_dataset,
    "DeleteDataset": datasets.delete_dataset,
    "ListDatasetEntries": datasets.list_dataset_entries,
    "UpdateDatasetEntries": datasets.update_dataset_entries,
    "CreateModel": models.create_model,
    "DescribeModel": models.describe_model,
    "ListModels": models.list_models,
    "DeleteModel": models.delete_model,
    "StartModel": models.start_model,
    "StopModel": models.stop_model,
    "DetectAnomalies": detect.detect_anomalies,
    "TagResource": tags.tag_resource,
    "UntagResource": tags.untag_resource,
    "ListTagsForResource": tags.list_tags_for_resource,
    "StartModelPackagingJob": packaging.start_model_packaging_job,
    "DescribeModelPackagingJob": packaging.describe_model_packaging_job,
    "ListModelPackagingJobs": packaging.list_model_packaging_jobs,
}


def answer(service: Service, request: Request, context: LambdaContext) -> Response:
    """Whatever the request is, an answer that clients of the API understand."""
    request_id = context.aws_request_id
    service = service.on_behalf_of(request.caller)
    try:
        operation, in_path = route(request.method, request.path)
        logger.append_keys(operation=operation.name)
        given = read_input(operation, in_path, request)

        def run() -> dict[str, Any]:
            # Projects lived in one region each: a program that counts them region by region finds each once.
            if operation.name == "ListProjects" and request.signed_region not in ("", service.function.region):
                return {"Projects": []}
            return to_wire(operation, HANDLERS[operation.name](service, given))

        done = once(service, operation, given, run, context) if "ClientToken" in given else run()
        return write_answer(operation, done, request_id)
    except Exception as error:
        translated = _translated(service, error)
        if not isinstance(translated, RelookError) or isinstance(translated, AwsError) or translated.is_transient:
            logger.exception("failed")
        else:
            logger.info("refused", error=type(translated).__name__, reason=str(translated))
        return write_error(translated, request_id, is_for_s3=request.is_of_s3)


def _translated(service: Service, error: Exception) -> Exception:
    if isinstance(error, UnknownOperationError):  # AWS_ENDPOINT_URL, say, brings every client's requests here
        return UnknownOperationError(
            f"{error}; the endpoint for S3 is {service.s3.meta.endpoint_url}, and AWS_ENDPOINT_URL_LOOKOUTVISION names"
            " this one to clients of Lookout for Vision alone"
        )
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, AwsThrottledError):
            return ThrottledError("Too many requests at once; try again in a moment")
        cause = cause.__cause__
    return error
