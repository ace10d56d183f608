"""Operations on model versions: create, describe, list, delete, start and stop.

Hosting a model costs nothing while nobody asks it, so starting is one check within the call: that the package loads.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import dropwhile
from typing import Any

from relook.aws.bucket import S3Uri
from relook.aws.refusals import why_unwritable
from relook.errors import (
    AwsError,
    ConflictError,
    EventNotPublishedError,
    InvalidRequestError,
    PackageError,
    QuotaExceededError,
    ResourceNotFoundError,
    ResourceType,
)
from relook.lookout.service import Service, decode_token, is_number, page_of
from relook.lookout.tags import tags_of
from relook.observability import logger
from relook.registry import hosting, models, trainings
from relook.registry.dataset_type import DatasetType
from relook.registry.datasets import ImageStats, list_datasets
from relook.registry.history import HistoryEntry, tell_change
from relook.registry.model_version import ModelStatus, ModelVersion, OutputPlace
from relook.registry.packages import delete_package
from relook.registry.projects import describe_project, list_projects

LATEST = "latest"
INFERENCE_UNIT_QUOTA = "InferenceUnits"
"""Quota code of the error for too many inference units. Those of the original service are not known."""
NOT_MEASURED = (
    "Performance reads 0 because there were no anomalous images to measure it with; it says nothing about the model."
)


def create_model(service: Service, given: Mapping[str, Any]) -> dict[str, Any]:
    """A model version in training; the queue's function does the work."""
    project = describe_project(service.registry, given["ProjectName"]).name
    _check_datasets(service, project)
    place = given["OutputConfig"]["S3Location"]
    _check_writable(service, S3Uri(place["Bucket"], place.get("Prefix", "")), given.get("KmsKeyId"))
    model = trainings.create_model(
        service.registry,
        project,
        description=given.get("Description"),
        output=OutputPlace(place["Bucket"], place.get("Prefix", "")),
        kms_key_id=given.get("KmsKeyId"),
        tags=tags_of(given.get("Tags", [])),
        slots=service.settings.max_concurrent_trainings,
    )
    body = json.dumps({"project": project, "version": model.version})
    try:
        service.sqs.send_message(QueueUrl=service.settings.training_queue_url, MessageBody=body)
    except AwsError as error:
        message = f"The training could not be put into the queue: {error}"
        trainings.fail_training(service.registry, project, model.version, message)
        raise
    return {"ModelMetadata": _metadata(service, model)}


def describe_model(service: Service, given: Mapping[str, Any]) -> dict[str, Any]:
    """A model version; `latest` is the newest one in whatever state, so that it can be watched while it is trained."""
    project, version = given["ProjectName"], given["ModelVersion"]
    if version == LATEST:
        version = _newest(models.list_models(service.registry, project), project, service)
    model = models.describe_model(service.registry, project, version)
    described = _metadata(service, model)
    if _is_trained(model):
        described |= _trained_facts(service, model)
    elif model.output:
        described["OutputConfig"] = _output_config(model.output)
    described |= {
        "KmsKeyId": model.kms_key_id,
        "MinInferenceUnits": model.min_inference_units,
        "MaxInferenceUnits": model.max_inference_units,
    }
    return {"ModelDescription": described}


def list_models(service: Service, given: Mapping[str, Any]) -> dict[str, Any]:
    """The project's model versions, newest first."""
    project = describe_project(service.registry, given["ProjectName"]).name
    kind = f"models of {project}"
    after = decode_token(kind, given.get("NextToken"), is_number)
    versions = models.list_models(service.registry, project)
    if after is not None:
        # The version of the token may have been deleted meanwhile.
        versions = dropwhile(lambda model: int(model.version) >= int(after), versions)
    page, token = page_of(kind, versions, given, lambda model: model.version)
    return {"Models": [_metadata(service, model) for model in page], "NextToken": token}


def delete_model(service: Service, given: Mapping[str, Any]) -> dict[str, Any]:
    """A model version that is neither in training nor hosted goes, and its package with it; evaluations stay."""
    project, version = given["ProjectName"], given["ModelVersion"]
    models.delete_model(service.registry, project, version)
    try:
        delete_package(service.models_bucket, project, version)
    except AwsError:
        # The version is gone for everybody; what is left of it is a few megabytes that nothing points to.
        logger.exception("package not deleted", project=project, model_version=version)
    return {"ModelArn": service.function.model(project, version)}


def start_model(service: Service, given: Mapping[str, Any]) -> dict[str, Any]:
    """Whether the package loads is seen within the call: the version is HOSTED or HOSTING_FAILED when it answers."""
    project = given["ProjectName"]
    version = resolve_version(service, project, given["ModelVersion"])
    models.describe_model(service.registry, project, version)
    minimum, maximum = given["MinInferenceUnits"], given.get("MaxInferenceUnits")
    _check_units(service, f"{project}/{version}", minimum, maximum)
    model = hosting.start_hosting(service.registry, project, version)
    failure = _load_failure(service, model)
    try:
        if failure:
            hosting.fail_hosting(service.registry, project, version, failure)
        else:
            units = {"min_units": minimum, "max_units": maximum}
            _tell(service, hosting.finish_hosting(service.registry, project, version, who=service.caller, **units))
            _provision(service)
    except ConflictError:
        # Another start of the same version was faster, and that is as good; anything else is for the caller to know.
        if models.describe_model(service.registry, project, version).status is not ModelStatus.HOSTED:
            raise
    return {"Status": ModelStatus.STARTING_HOSTING}


def stop_model(service: Service, given: Mapping[str, Any]) -> dict[str, Any]:
    """A hosted version is TRAINED again when this answers."""
    project = given["ProjectName"]
    version = resolve_version(service, project, given["ModelVersion"])
    models.describe_model(service.registry, project, version)
    _tell(service, hosting.stop_hosting(service.registry, project, version, who=service.caller))
    _provision(service)
    return {"Status": ModelStatus.STOPPING_HOSTING}


def resolve_version(service: Service, project: str, version: str) -> str:
    """The number that a version stands for: `latest` is the newest one whose training has succeeded.

    What the original did is not written anywhere. This way, a training that runs or has failed takes nothing away from
    those who start, stop or ask `latest`.

    Raises:
        ResourceNotFoundError: no such project, or `latest` of a project without a trained version. A number is given
            back as it is, whether there is such a version or not.
    """
    if version != LATEST:
        return version
    trained = (model for model in models.list_models(service.registry, project) if _is_trained(model))
    return _newest(trained, project, service)


def _newest(newest_first: Iterator[ModelVersion], project: str, service: Service) -> str:
    describe_project(service.registry, project)
    model = next(newest_first, None)
    if model is None:
        raise ResourceNotFoundError(ResourceType.MODEL, f"{project}/{LATEST}")
    return model.version


def _check_datasets(service: Service, project: str) -> None:
    """
    Raises:
        InvalidRequestError: says what the project's datasets lack, with their counts.
    """
    datasets = {dataset.type: dataset for dataset in list_datasets(service.registry, project)}
    if DatasetType.TRAIN not in datasets:
        raise InvalidRequestError(f"Project {project} has no train dataset; create one with labelled images first")
    for kind, dataset in datasets.items():
        if not dataset.status.endswith("_COMPLETE"):
            raise InvalidRequestError(
                f"The {kind} dataset of project {project} is {dataset.status} ({dataset.status_message}); a model can "
                "be trained once it is complete"
            )
    limits, train = service.settings, datasets[DatasetType.TRAIN].stats
    if train.normal < limits.min_normal_images:
        raise InvalidRequestError(
            f"The train dataset of project {project} has {_counts(train)}; at least {limits.min_normal_images} "
            "labelled normal are needed, and 20 or more are better"
        )
    test = datasets[DatasetType.TEST].stats if DatasetType.TEST in datasets else None
    normal, anomalous = limits.min_test_normal_images, limits.min_test_anomalous_images
    if test and (test.normal < normal or test.anomaly < anomalous):
        raise InvalidRequestError(
            f"The test dataset of project {project} has {_counts(test)}; at least {normal} normal and {anomalous} "
            "anomalous ones are needed. Without a test dataset the model is evaluated on the train dataset"
        )


def _check_writable(service: Service, output: S3Uri, kms_key_id: str | None) -> None:
    """
    Raises:
        InvalidRequestError: the evaluation could not be written there; it is better to know before the training.
    """
    try:
        service.bucket(output.bucket).check_writable(f"{output.key}EvaluationResult.json", kms_key_id=kms_key_id)
    except AwsError as error:
        if error.is_transient:
            raise
        raise InvalidRequestError(f"There is no place for the evaluation: {why_unwritable(output, error)}") from error


def _counts(stats: ImageStats) -> str:
    unlabeled = stats.total - stats.normal - stats.anomaly
    return f"{stats.total} images, {stats.normal} normal, {stats.anomaly} anomalous and {unlabeled} unlabelled"


def _check_units(service: Service, model: str, minimum: int, maximum: int | None) -> None:
    limit = service.settings.max_inference_units
    if maximum is not None and maximum < minimum:
        raise InvalidRequestError(f"MaxInferenceUnits is {maximum}, less than MinInferenceUnits, which is {minimum}")
    if max(minimum, maximum or 0) > limit:
        message = f"{max(minimum, maximum or 0)} inference units were asked for; a model may have up to {limit}"
        raise QuotaExceededError(INFERENCE_UNIT_QUOTA, ResourceType.MODEL, model, message)


def _load_failure(service: Service, model: ModelVersion) -> str | None:
    """Load the package, and keep it for the images to come; why that cannot be done, if so."""
    try:
        if model.package_sha256 is None:
            return f"Model {model.name} has no package; train it again."
        service.models.get(model.project, model.version, model.package_sha256)
    except PackageError as error:
        return str(error)
    except Exception as error:  # whatever it is, the version must not stay in between
        logger.exception("model not loaded", project=model.project, model_version=model.version)
        return f"The model's package could not be loaded ({type(error).__name__}); start it again."
    return None


def _tell(service: Service, entry: HistoryEntry | None) -> None:
    """A failure changes nothing about what is hosted, and the history has it: it is logged, not raised."""
    if entry is None:
        return
    try:
        tell_change(service.events, service.settings.event_bus, entry)
    except (AwsError, EventNotPublishedError):
        logger.exception("change not told", change_id=entry.id)


def _provision(service: Service) -> None:
    """Have as much of this function kept warm as hosted models ask for, if the stage wants that.

    A failure changes nothing about what is hosted, only how fast it answers at first: it is logged, not raised.
    """
    alias = service.settings.provisioned_alias
    if not alias:
        return
    units = sum(
        model.min_inference_units or 0
        for project in list_projects(service.registry)
        for model in models.list_models(service.registry, project.name)
        if model.status is ModelStatus.HOSTED
    )
    function = service.function.name
    try:
        if units:
            service.lambda_.put_provisioned_concurrency_config(
                FunctionName=function, Qualifier=alias, ProvisionedConcurrentExecutions=units
            )
        else:
            service.lambda_.delete_provisioned_concurrency_config(FunctionName=function, Qualifier=alias)
    except AwsError:
        logger.exception("provisioned concurrency not changed", inference_units=units)


def _is_trained(model: ModelVersion) -> bool:
    return model.status not in (ModelStatus.TRAINING, ModelStatus.TRAINING_FAILED, ModelStatus.DELETING)


def _metadata(service: Service, model: ModelVersion) -> dict[str, Any]:
    return {
        "CreationTimestamp": model.created_at,
        "ModelVersion": model.version,
        "ModelArn": service.function.model(model.project, model.version),
        "Description": model.description,
        "Status": model.status,
        "StatusMessage": model.status_message,
        **(_performance(model) if _is_trained(model) else {}),
    }


def _performance(model: ModelVersion) -> dict[str, Any]:
    """`Performance`, and a status message that says why where it was not measured.

    Every client reads an answer without it, but their users' programs do not: AWS's own examples take its members of
    each trained model, which would end them with a KeyError, or at a null in Java and Go. So it is zeros where nothing
    anomalous was there to measure it with: whoever compares them with a limit is stopped rather than let through.
    """
    measured = model.performance
    if measured is None:
        zeros = dict.fromkeys(("F1Score", "Recall", "Precision"), 0.0)
        return {"Performance": zeros, "StatusMessage": f"{model.status_message.removesuffix('.')}. {NOT_MEASURED}"}
    return {"Performance": {"F1Score": measured.f1_score, "Recall": measured.recall, "Precision": measured.precision}}


def _trained_facts(service: Service, model: ModelVersion) -> dict[str, Any]:
    """Clients read the place and the time of every trained model too; a registered one has those of its package."""
    package = OutputPlace(service.settings.models_bucket, f"{model.name}/")
    facts: dict[str, Any] = {
        "EvaluationEndTimestamp": model.training_ended_at or model.created_at,
        "OutputConfig": _output_config(model.output or package),
    }
    if model.output and model.evaluation:
        bucket = model.output.bucket
        facts["EvaluationManifest"] = {"Bucket": bucket, "Key": model.evaluation.manifest_key}
        facts["EvaluationResult"] = {"Bucket": bucket, "Key": model.evaluation.result_key}
    return facts


def _output_config(place: OutputPlace) -> dict[str, Any]:
    return {"S3Location": {"Bucket": place.bucket, "Prefix": place.prefix}}
