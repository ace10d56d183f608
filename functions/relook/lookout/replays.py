"""ClientToken: the same request sent twice is done once, for eight hours.

A token counts for one operation on one resource, since programs exist that send the same one with every call. And what
a first call answered is repeated only as long as it is still true: a model that was stopped since is started again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyValidationError,
)
from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from relook.errors import ConflictError, ResourceNotFoundError, ResourceType, ThrottledError
from relook.lookout.contract import Location, Operation
from relook.lookout.models import resolve_version
from relook.lookout.service import Service
from relook.registry.dataset_type import DatasetType
from relook.registry.datasets import describe_dataset
from relook.registry.model_version import ModelStatus
from relook.registry.models import describe_model
from relook.registry.packaging_jobs import describe_job
from relook.registry.projects import describe_project

_REMEMBERED_S = 8 * 3600  # as long as Lookout for Vision's tokens were valid

Answer = dict[str, Any]
"""An operation's output as it is on the wire."""


def once(
    service: Service,
    operation: Operation,
    given: Mapping[str, Any],
    run: Callable[[], Answer],
    context: LambdaContext,
) -> Answer:
    """What `run` answers, or has answered to the same token before, as the idempotency table remembers.

    Raises:
        ConflictError: the token came with other parameters.
        ThrottledError: its first request is still being worked on.
    """

    def repeat(response: Any, idempotent_data: DataRecord) -> Any:
        answered_at = float(idempotent_data.expiry_timestamp or 0) - _REMEMBERED_S  # whole seconds, rounded down
        if not _still_true(service, operation.name, given, response, answered_at):
            raise _OutdatedError
        return response

    call = _call(operation, given)
    config = IdempotencyConfig(
        event_key_jmespath="[operation, resource, token]",
        payload_validation_jmespath="parameters",
        expires_after_seconds=_REMEMBERED_S,
        response_hook=repeat,
        lambda_context=context,
    )

    def answer_call(call: Mapping[str, Any]) -> Answer:
        return run()

    answer_once = idempotent_function(
        answer_call,
        data_keyword_argument="call",
        persistence_store=service.idempotency,
        config=config,
        key_prefix="lookout",
    )
    try:
        try:
            return dict(answer_once(call=call))
        except _OutdatedError as outdated:
            service.idempotency.delete_record(data=call, exception=outdated)
            return dict(answer_once(call=call))
    except IdempotencyValidationError:
        text = f"ClientToken {given['ClientToken']} came with other parameters before; use a new one"
        raise ConflictError(*_resource(given), text) from None
    except IdempotencyAlreadyInProgressError:
        # Clients try again by themselves after this error, and then get the first request's answer
        text = f"The first request with ClientToken {given['ClientToken']} is still being worked on"
        raise ThrottledError(text) from None


class _OutdatedError(Exception):
    """What was answered is no longer so."""


def _call(operation: Operation, given: Mapping[str, Any]) -> dict[str, Any]:
    in_path = [name for name, member in operation.input.members.items() if member.location is Location.PATH]
    resource = [*(str(given[name]) for name in in_path), *(str(given.get(name, "")) for name in _NAMES)]
    parameters = {name: value for name, value in given.items() if name != "ClientToken"}
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True, default=_digest).encode()).hexdigest()
    return {
        "operation": operation.name,
        "resource": resource,
        "token": given["ClientToken"],
        "parameters": digest,
    }


# Names of what is made, which are in the body.
_NAMES = ("ProjectName", "DatasetType", "JobName")


def _digest(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()


def _resource(given: Mapping[str, Any]) -> tuple[ResourceType, str]:
    project = str(given["ProjectName"])
    if "ModelVersion" in given:
        return ResourceType.MODEL, f"{project}/{given['ModelVersion']}"
    if "DatasetType" in given:
        return ResourceType.DATASET, f"{project}/{given['DatasetType']}"
    return ResourceType.PROJECT, project


def _still_true(service: Service, operation: str, given: Mapping[str, Any], answer: Answer, answered_at: float) -> bool:
    registry, project = service.registry, str(given["ProjectName"])

    def exists(describe: Callable[..., Any], *names: str) -> bool:
        try:
            describe(registry, project, *names)
        except ResourceNotFoundError:
            return False
        return True

    def created(describe: Callable[..., Any], *names: str, at: float) -> bool:
        try:
            resource = describe(registry, project, *names)
        except ResourceNotFoundError:
            return False
        created_at: datetime = resource.created_at
        return abs(created_at.timestamp() - at) < 0.001

    match operation:
        case "CreateProject":
            return created(describe_project, at=answer["ProjectMetadata"]["CreationTimestamp"])
        case "CreateDataset":
            at = answer["DatasetMetadata"]["CreationTimestamp"]
            return created(describe_dataset, given["DatasetType"], at=at)
        case "CreateModel":
            metadata = answer["ModelMetadata"]
            return created(describe_model, metadata["ModelVersion"], at=metadata["CreationTimestamp"])
        case "UpdateDatasetEntries":
            # Of a dataset that was made anew since, nothing was updated. Within the same second nobody can tell, and
            # doing it again changes nothing.
            try:
                dataset = describe_dataset(registry, project, DatasetType(given["DatasetType"]))
            except ResourceNotFoundError:
                return False
            return dataset.created_at.timestamp() < answered_at
        case "StartModelPackagingJob":
            return exists(describe_job, answer["JobName"])
        case "DeleteProject":
            return not exists(describe_project)
        case "DeleteDataset":
            return not exists(describe_dataset, given["DatasetType"])
        case "DeleteModel":
            return not exists(describe_model, given["ModelVersion"])
        case "StartModel" | "StopModel":
            try:
                version = resolve_version(service, project, given["ModelVersion"])
                is_hosted = describe_model(registry, project, version).status is ModelStatus.HOSTED
            except ResourceNotFoundError:
                return False
            return is_hosted == (operation == "StartModel")
    return True
