"""The Lookout for Vision API, version 2020-11-20, as one table: what each operation takes, where, and what it gives.

Routing, validation, the service model that clients install and docs/lookout.md's table are derived from it.
Source: the public API reference; a test compares the table with the model inside the last botocore that had it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

API_VERSION = "2020-11-20"


class Kind(StrEnum):
    """What a value is, as service models name it."""

    STRING = "string"
    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    BLOB = "blob"
    LIST = "list"
    STRUCTURE = "structure"


class Location(StrEnum):
    """Where in a request or an answer a member is."""

    PATH = "uri"
    QUERY = "querystring"
    HEADER = "header"
    BODY = "body"
    PAYLOAD = "payload"


@dataclass(frozen=True)
class Shape:
    """A kind of value and its limits.

    Attributes:
        minimum: of characters, bytes, items or the number itself; maximum likewise.
        pattern: that the whole text must match.
        item: of a list.
        members: of a structure, by name.
        status: HTTP status, of an error.
        is_streaming: a blob that is the whole body.
    """

    name: str
    kind: Kind
    minimum: int | None = None
    maximum: int | None = None
    pattern: str | None = None
    values: tuple[str, ...] = ()
    item: Shape | None = None
    members: Mapping[str, Member] = field(default_factory=dict)
    status: int | None = None
    is_streaming: bool = False

    @property
    def required(self) -> list[str]:
        """Names of the members that must be there."""
        return [name for name, member in self.members.items() if member.is_required]


@dataclass(frozen=True)
class Member:
    """One member of a structure.

    Attributes:
        wire_name: in the path, the query or the headers; in a body it is the member's own name.
    """

    shape: Shape
    is_required: bool = False
    location: Location = Location.BODY
    wire_name: str | None = None
    is_token: bool = False


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        path: with `{names}` for the members that lie in it; the part after `/2020-11-20`.
        errors: beyond those that every operation may answer.
        result_key: of a paginated answer: the member that holds the page.
        note: what our implementation does that the name does not tell.
    """

    name: str
    method: str
    path: str
    status: int
    input: Shape
    output: Shape
    errors: tuple[Shape, ...]
    result_key: str | None = None
    note: str = ""


def _text(name: str, low: int | None = None, high: int | None = None, pattern: str | None = None) -> Shape:
    return Shape(name, Kind.STRING, low, high, pattern)


def _choice(name: str, *values: str) -> Shape:
    return Shape(name, Kind.STRING, values=values)


def _list(name: str, item: Shape, low: int | None = None, high: int | None = None) -> Shape:
    return Shape(name, Kind.LIST, low, high, item=item)


def _structure(name: str, **members: Shape | Member) -> Shape:
    """A trailing underscore marks a member that is required."""
    made: dict[str, Member] = {}
    for key, value in members.items():
        member = value if isinstance(value, Member) else Member(value, is_required=key.endswith("_"))
        made[key.removesuffix("_")] = member
    return Shape(name, Kind.STRUCTURE, members=made)


def _error(name: str, status: int, **members: Shape | Member) -> Shape:
    return replace(_structure(name, **members), status=status)


def _path(shape: Shape, wire_name: str) -> Member:
    return Member(shape, is_required=True, location=Location.PATH, wire_name=wire_name)


def _query(shape: Shape, wire_name: str, *, is_required: bool = False) -> Member:
    return Member(shape, is_required=is_required, location=Location.QUERY, wire_name=wire_name)


PROJECT_NAME = _text("ProjectName", 1, 255, r"[a-zA-Z0-9][a-zA-Z0-9_\-]*")
DATASET_TYPE = _text("DatasetType", 1, 10, "train|test")
MODEL_VERSION = _text("ModelVersion", 1, 10, "([1-9][0-9]*|latest)")
MODEL_NUMBER = _text("ModelVersionNoLatest", 1, 10, "([1-9][0-9]*)")
MODEL_DESCRIPTION = _text("ModelDescriptionMessage", 1, 500, r"[0-9A-Za-z\.\-_]*")
CLIENT_TOKEN = _text("ClientToken", 1, 64, "^[a-zA-Z0-9-]+$")
PAGE_SIZE = Shape("PageSize", Kind.INTEGER, 1, 100)
PAGINATION_TOKEN = _text("PaginationToken", None, 2048, r"^[a-zA-Z0-9\/\+\=]{0,2048}$")
DATASET_ENTRY = _text("DatasetEntry", 2, 8192, r"^\{.*\}$")
DATASET_CHANGES = Shape("DatasetChanges", Kind.BLOB, 1, 10 * 1024 * 1024)
ANOMALY_CLASS = _text("AnomalyClassFilter", 1, 10, "(normal|anomaly)")
SOURCE_REF_CONTAINS = _text("QueryString", 1, 2048, r".*\S.*")
INFERENCE_UNITS = Shape("InferenceUnits", Kind.INTEGER, 1)
S3_BUCKET = _text("S3BucketName", 3, 63, r"[0-9A-Za-z\.\-_]*")
S3_KEY = _text("S3ObjectKey", 1, 1024, "^([a-zA-Z0-9!_.*'()-][/a-zA-Z0-9!_.*'()-]*)?$")
S3_PREFIX = _text("S3KeyPrefix", None, 1024, "^([a-zA-Z0-9!_.*'()-][/a-zA-Z0-9!_.*'()-]*)?$")
S3_VERSION = _text("S3ObjectVersion", 1, 1024, ".*")
KMS_KEY = _text("KmsKeyId", 1, 2048, "^[A-Za-z0-9][A-Za-z0-9:_/+=,@.-]{0,2048}$")
TAG_KEY = _text("TagKey", 1, 128, r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$")
TAG_VALUE = _text("TagValue", 0, 256, r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$")
TAG_ARN = _text("TagArn", 1, 1011)
CONTENT_TYPE = _text("ContentType", 1, 255, ".*")
JOB_NAME = _text("ModelPackagingJobName", 1, 64, "[a-zA-Z0-9-]+")
JOB_DESCRIPTION = _text("ModelPackagingJobDescription", 1, 256, "[a-zA-Z0-9-_. ()':,;?]+")
COMPONENT_NAME = _text("ComponentName", 1, 128, "[a-zA-Z0-9-_.]+")
COMPONENT_VERSION = _text("ComponentVersion", 1, 64, r"^([0-9]{1,6})\.([0-9]{1,6})\.([0-9]{1,6})$")
COMPONENT_DESCRIPTION = _text("ComponentDescription", 1, 256, "[a-zA-Z0-9-_. ()':,;?]+")
COMPILER_OPTIONS = _text("CompilerOptions", 3, 1024, ".*")

_TEXT = _text("ExceptionString")
_WHEN = Shape("DateTime", Kind.TIMESTAMP)
_FLOAT = Shape("Float", Kind.FLOAT)
_INTEGER = Shape("Integer", Kind.INTEGER)
_RESOURCE_TYPE = _choice("ResourceType", "PROJECT", "DATASET", "MODEL", "TRIAL", "MODEL_PACKAGE_JOB")
_RETRY_AFTER = Member(Shape("RetryAfterSeconds", Kind.INTEGER), location=Location.HEADER, wire_name="Retry-After")

ACCESS_DENIED = _error("AccessDeniedException", 403, Message_=_TEXT)
VALIDATION = _error("ValidationException", 400, Message_=_TEXT)
INTERNAL = _error("InternalServerException", 500, Message_=_TEXT, RetryAfterSeconds=_RETRY_AFTER)
NOT_FOUND = _error("ResourceNotFoundException", 404, Message_=_TEXT, ResourceId_=_TEXT, ResourceType_=_RESOURCE_TYPE)
CONFLICT = _error("ConflictException", 409, Message_=_TEXT, ResourceId_=_TEXT, ResourceType_=_RESOURCE_TYPE)
THROTTLED = _error(
    "ThrottlingException",
    429,
    Message_=_TEXT,
    QuotaCode=_TEXT,
    ServiceCode=_TEXT,
    RetryAfterSeconds=_RETRY_AFTER,
)
QUOTA_EXCEEDED = _error(
    "ServiceQuotaExceededException",
    402,
    Message_=_TEXT,
    ResourceId=_TEXT,
    ResourceType=_RESOURCE_TYPE,
    QuotaCode_=_TEXT,
    ServiceCode_=_TEXT,
)
_ALWAYS = (ACCESS_DENIED, INTERNAL, VALIDATION, NOT_FOUND, THROTTLED)

_DATASET_STATUS = _choice(
    "DatasetStatus",
    "CREATE_IN_PROGRESS",
    "CREATE_COMPLETE",
    "CREATE_FAILED",
    "UPDATE_IN_PROGRESS",
    "UPDATE_COMPLETE",
    "UPDATE_FAILED_ROLLBACK_IN_PROGRESS",
    "UPDATE_FAILED_ROLLBACK_COMPLETE",
    "DELETE_IN_PROGRESS",
    "DELETE_COMPLETE",
    "DELETE_FAILED",
)
_HOSTING_STATUS = _choice(
    "ModelHostingStatus", "STARTING_HOSTING", "HOSTED", "HOSTING_FAILED", "STOPPING_HOSTING", "SYSTEM_UPDATING"
)
_MODEL_STATUS = _choice(
    "ModelStatus",
    "TRAINING",
    "TRAINED",
    "TRAINING_FAILED",
    "STARTING_HOSTING",
    "HOSTED",
    "HOSTING_FAILED",
    "STOPPING_HOSTING",
    "SYSTEM_UPDATING",
    "DELETING",
)
_JOB_STATUS = _choice("ModelPackagingJobStatus", "CREATED", "RUNNING", "SUCCEEDED", "FAILED")
_JOB_METHOD = _text("ModelPackagingMethod", 1, 32, "^[a-zA-Z0-9]+")
_PROJECT_ARN, _MODEL_ARN = _text("ProjectArn"), _text("ModelArn")
_DATASET_MESSAGE, _MODEL_MESSAGE, _JOB_MESSAGE = (
    _text(f"{each}StatusMessage") for each in ("Dataset", "Model", "ModelPackaging")
)

_TAG = _structure("Tag", Key_=TAG_KEY, Value_=TAG_VALUE)
_TAGS = _list("TagList", _TAG, 0, 200)
_PROJECT_METADATA = _structure(
    "ProjectMetadata", ProjectArn=_PROJECT_ARN, ProjectName=PROJECT_NAME, CreationTimestamp=_WHEN
)
_DATASET_METADATA = _structure(
    "DatasetMetadata",
    DatasetType=DATASET_TYPE,
    CreationTimestamp=_WHEN,
    Status=_DATASET_STATUS,
    StatusMessage=_DATASET_MESSAGE,
)
_PROJECT_DESCRIPTION = _structure(
    "ProjectDescription",
    ProjectArn=_PROJECT_ARN,
    ProjectName=PROJECT_NAME,
    CreationTimestamp=_WHEN,
    Datasets=_list("DatasetMetadataList", _DATASET_METADATA),
)
_DATASET_SOURCE = _structure(
    "DatasetSource",
    GroundTruthManifest=_structure(
        "DatasetGroundTruthManifest",
        S3Object=_structure("InputS3Object", Bucket_=S3_BUCKET, Key_=S3_KEY, VersionId=S3_VERSION),
    ),
)
_DATASET_DESCRIPTION = _structure(
    "DatasetDescription",
    ProjectName=PROJECT_NAME,
    DatasetType=DATASET_TYPE,
    CreationTimestamp=_WHEN,
    LastUpdatedTimestamp=_WHEN,
    Status=_DATASET_STATUS,
    StatusMessage=_DATASET_MESSAGE,
    ImageStats=_structure("DatasetImageStats", Total=_INTEGER, Labeled=_INTEGER, Normal=_INTEGER, Anomaly=_INTEGER),
)
_S3_LOCATION = _structure("S3Location", Bucket_=S3_BUCKET, Prefix=S3_PREFIX)
_OUTPUT_CONFIG = _structure("OutputConfig", S3Location_=_S3_LOCATION)
_OUTPUT_OBJECT = _structure("OutputS3Object", Bucket_=S3_BUCKET, Key_=S3_KEY)
_PERFORMANCE = _structure("ModelPerformance", F1Score=_FLOAT, Recall=_FLOAT, Precision=_FLOAT)
_MODEL_METADATA = _structure(
    "ModelMetadata",
    CreationTimestamp=_WHEN,
    ModelVersion=MODEL_VERSION,
    ModelArn=_MODEL_ARN,
    Description=MODEL_DESCRIPTION,
    Status=_MODEL_STATUS,
    StatusMessage=_MODEL_MESSAGE,
    Performance=_PERFORMANCE,
)
_MODEL_DESCRIPTION = _structure(
    "ModelDescription",
    ModelVersion=MODEL_VERSION,
    ModelArn=_MODEL_ARN,
    CreationTimestamp=_WHEN,
    Description=MODEL_DESCRIPTION,
    Status=_MODEL_STATUS,
    StatusMessage=_MODEL_MESSAGE,
    Performance=_PERFORMANCE,
    OutputConfig=_OUTPUT_CONFIG,
    EvaluationManifest=_OUTPUT_OBJECT,
    EvaluationResult=_OUTPUT_OBJECT,
    EvaluationEndTimestamp=_WHEN,
    KmsKeyId=KMS_KEY,
    MinInferenceUnits=INFERENCE_UNITS,
    MaxInferenceUnits=INFERENCE_UNITS,
)
_ANOMALY = _structure(
    "Anomaly",
    Name=_text("AnomalyName", 1, 256, "[a-zA-Z0-9]*"),
    PixelAnomaly=_structure(
        "PixelAnomaly", TotalPercentageArea=_FLOAT, Color=_text("Color", 7, 7, r"\#[a-zA-Z0-9]{6}")
    ),
)
DETECT_ANOMALY_RESULT = _structure(
    "DetectAnomalyResult",
    Source=_structure("ImageSource", Type=_text("ImageSourceType", pattern="direct")),
    IsAnomalous=Shape("Boolean", Kind.BOOLEAN),
    Confidence=_FLOAT,
    Anomalies=_list("AnomalyList", _ANOMALY),
    AnomalyMask=Shape("AnomalyMask", Kind.BLOB, 1, 5 * 1024 * 1024),
)
_GREENGRASS = _structure(
    "GreengrassConfiguration",
    CompilerOptions=COMPILER_OPTIONS,
    TargetDevice=_choice("TargetDevice", "jetson_xavier"),
    TargetPlatform=_structure(
        "TargetPlatform",
        Os_=_choice("TargetPlatformOs", "LINUX"),
        Arch_=_choice("TargetPlatformArch", "ARM64", "X86_64"),
        Accelerator=_choice("TargetPlatformAccelerator", "NVIDIA"),
    ),
    S3OutputLocation_=_S3_LOCATION,
    ComponentName_=COMPONENT_NAME,
    ComponentVersion=COMPONENT_VERSION,
    ComponentDescription=COMPONENT_DESCRIPTION,
    Tags=_TAGS,
)
_PACKAGING_CONFIGURATION = _structure("ModelPackagingConfiguration", Greengrass_=_GREENGRASS)
_JOB_COMMON = {
    "JobName": JOB_NAME,
    "ProjectName": PROJECT_NAME,
    "ModelVersion": MODEL_VERSION,
    "ModelPackagingJobDescription": JOB_DESCRIPTION,
    "ModelPackagingMethod": _JOB_METHOD,
    "Status": _JOB_STATUS,
    "StatusMessage": _JOB_MESSAGE,
    "CreationTimestamp": _WHEN,
    "LastUpdatedTimestamp": _WHEN,
}
_JOB_METADATA = _structure("ModelPackagingJobMetadata", **_JOB_COMMON)
_JOB = _structure(
    "ModelPackagingDescription",
    **_JOB_COMMON,
    ModelPackagingConfiguration=_PACKAGING_CONFIGURATION,
    ModelPackagingOutputDetails=_structure(
        "ModelPackagingOutputDetails",
        Greengrass=_structure(
            "GreengrassOutputDetails",
            ComponentVersionArn=_text("ComponentVersionArn", pattern="arn:[^:]*:greengrass:[^:]*:aws:components:[^:]+"),
            ComponentName=COMPONENT_NAME,
            ComponentVersion=COMPONENT_VERSION,
        ),
    ),
)

# What several operations take
_PROJECT = {"ProjectName": _path(PROJECT_NAME, "projectName")}
_DATASET = {**_PROJECT, "DatasetType": _path(DATASET_TYPE, "datasetType")}
_MODEL = {**_PROJECT, "ModelVersion": _path(MODEL_VERSION, "modelVersion")}
_RESOURCE = {"ResourceArn": _path(TAG_ARN, "resourceArn")}
_TOKEN = {"ClientToken": Member(CLIENT_TOKEN, location=Location.HEADER, wire_name="X-Amzn-Client-Token", is_token=True)}
_PAGE = {"NextToken": _query(PAGINATION_TOKEN, "nextToken"), "MaxResults": _query(PAGE_SIZE, "maxResults")}

_Members = Mapping[str, Shape | Member]


def _operation(
    name: str,
    route: str,
    takes: _Members,
    gives: _Members,
    *,
    status: int = 200,
    errors: tuple[Shape, ...] = (CONFLICT,),
    result_key: str | None = None,
    note: str = "",
) -> Operation:
    method, path = route.split()
    if result_key:
        takes, gives = {**takes, **_PAGE}, {**gives, "NextToken": PAGINATION_TOKEN}
    request, answer = _structure(f"{name}Request", **takes), _structure(f"{name}Response", **gives)
    return Operation(name, method, path, status, request, answer, (*_ALWAYS, *errors), result_key, note)


_WITH_QUOTA = (CONFLICT, QUOTA_EXCEEDED)
_PROJECTS, _TAGS_PATH = "/projects", "/tags/{resourceArn}"
_DATASETS, _ONE_DATASET = "/projects/{projectName}/datasets", "/projects/{projectName}/datasets/{datasetType}"
_MODELS, _ONE_MODEL = "/projects/{projectName}/models", "/projects/{projectName}/models/{modelVersion}"
_JOBS = "/projects/{projectName}/modelpackagingjobs"

OPERATIONS: Mapping[str, Operation] = {
    operation.name: operation
    for operation in (
        _operation(
            "CreateProject",
            f"POST {_PROJECTS}",
            {"ProjectName_": PROJECT_NAME, **_TOKEN},
            {"ProjectMetadata": _PROJECT_METADATA},
            errors=_WITH_QUOTA,
        ),
        _operation(
            "DescribeProject",
            f"GET {_PROJECTS}/{{projectName}}",
            _PROJECT,
            {"ProjectDescription": _PROJECT_DESCRIPTION},
        ),
        _operation(
            "ListProjects",
            f"GET {_PROJECTS}",
            {},
            {"Projects": _list("ProjectMetadataList", _PROJECT_METADATA)},
            result_key="Projects",
            note="those of the region that is signed for",
        ),
        _operation(
            "DeleteProject",
            f"DELETE {_PROJECTS}/{{projectName}}",
            {**_PROJECT, **_TOKEN},
            {"ProjectArn": _PROJECT_ARN},
            note="refused while datasets or models remain",
        ),
        _operation(
            "CreateDataset",
            f"POST {_DATASETS}",
            {**_PROJECT, "DatasetType_": DATASET_TYPE, "DatasetSource": _DATASET_SOURCE, **_TOKEN},
            {"DatasetMetadata": _DATASET_METADATA},
            status=202,
            errors=_WITH_QUOTA,
            note="with a report on every line of the manifest that cannot be used",
        ),
        _operation("DescribeDataset", f"GET {_ONE_DATASET}", _DATASET, {"DatasetDescription": _DATASET_DESCRIPTION}),
        _operation("DeleteDataset", f"DELETE {_ONE_DATASET}", {**_DATASET, **_TOKEN}, {}, status=202),
        _operation(
            "ListDatasetEntries",
            f"GET {_ONE_DATASET}/entries",
            {
                **_DATASET,
                "Labeled": _query(Shape("IsLabeled", Kind.BOOLEAN), "labeled"),
                "AnomalyClass": _query(ANOMALY_CLASS, "anomalyClass"),
                "BeforeCreationDate": _query(_WHEN, "createdBefore"),
                "AfterCreationDate": _query(_WHEN, "createdAfter"),
                "SourceRefContains": _query(SOURCE_REF_CONTAINS, "sourceRefContains"),
            },
            {"DatasetEntries": _list("DatasetEntryList", DATASET_ENTRY)},
            result_key="DatasetEntries",
            note="dates are those on which entries were added or last changed",
        ),
        _operation(
            "UpdateDatasetEntries",
            f"PATCH {_ONE_DATASET}/entries",
            {**_DATASET, "Changes_": DATASET_CHANGES, **_TOKEN},
            {"Status": _DATASET_STATUS},
            status=202,
            note="requests up to 6 MB",
        ),
        _operation(
            "CreateModel",
            f"POST {_MODELS}",
            {
                **_PROJECT,
                "Description": MODEL_DESCRIPTION,
                "OutputConfig_": _OUTPUT_CONFIG,
                "KmsKeyId": KMS_KEY,
                "Tags": _TAGS,
                **_TOKEN,
            },
            {"ModelMetadata": _MODEL_METADATA},
            status=202,
            errors=_WITH_QUOTA,
            note="seconds; normal images alone are enough",
        ),
        _operation("DescribeModel", f"GET {_ONE_MODEL}", _MODEL, {"ModelDescription": _MODEL_DESCRIPTION}),
        _operation(
            "ListModels",
            f"GET {_MODELS}",
            _PROJECT,
            {"Models": _list("ModelMetadataList", _MODEL_METADATA)},
            result_key="Models",
        ),
        _operation(
            "DeleteModel",
            f"DELETE {_ONE_MODEL}",
            {**_PROJECT, "ModelVersion": _path(MODEL_NUMBER, "modelVersion"), **_TOKEN},
            {"ModelArn": _MODEL_ARN},
            status=202,
        ),
        _operation(
            "StartModel",
            f"POST {_ONE_MODEL}/start",
            {**_MODEL, "MinInferenceUnits_": INFERENCE_UNITS, "MaxInferenceUnits": INFERENCE_UNITS, **_TOKEN},
            {"Status": _HOSTING_STATUS},
            status=202,
            errors=_WITH_QUOTA,
            note="hosted within the call; costs nothing while idle",
        ),
        _operation(
            "StopModel", f"POST {_ONE_MODEL}/stop", {**_MODEL, **_TOKEN}, {"Status": _HOSTING_STATUS}, status=202
        ),
        _operation(
            "DetectAnomalies",
            f"POST {_ONE_MODEL}/detect",
            {
                **_MODEL,
                "Body": Member(
                    Shape("Stream", Kind.BLOB, is_streaming=True), is_required=True, location=Location.PAYLOAD
                ),
                "ContentType": Member(
                    CONTENT_TYPE, is_required=True, location=Location.HEADER, wire_name="Content-Type"
                ),
            },
            {"DetectAnomalyResult": DETECT_ANOMALY_RESULT},
            note="requests up to 6 MB",
        ),
        _operation("TagResource", f"POST {_TAGS_PATH}", {**_RESOURCE, "Tags_": _TAGS}, {}, errors=_WITH_QUOTA),
        _operation(
            "UntagResource",
            f"DELETE {_TAGS_PATH}",
            {**_RESOURCE, "TagKeys": _query(_list("TagKeyList", TAG_KEY, 0, 200), "tagKeys", is_required=True)},
            {},
        ),
        _operation("ListTagsForResource", f"GET {_TAGS_PATH}", _RESOURCE, {"Tags": _TAGS}, note="models have tags"),
        _operation(
            "StartModelPackagingJob",
            f"POST {_JOBS}",
            {
                **_PROJECT,
                "ModelVersion_": MODEL_VERSION,
                "JobName": JOB_NAME,
                "Configuration_": _PACKAGING_CONFIGURATION,
                "Description": JOB_DESCRIPTION,
                **_TOKEN,
            },
            {"JobName": JOB_NAME},
            errors=_WITH_QUOTA,
            note="a zip with the model, a server for it and a Greengrass recipe",
        ),
        _operation(
            "DescribeModelPackagingJob",
            f"GET {_JOBS}/{{jobName}}",
            {**_PROJECT, "JobName": _path(JOB_NAME, "jobName")},
            {"ModelPackagingDescription": _JOB},
            errors=(),
        ),
        _operation(
            "ListModelPackagingJobs",
            f"GET {_JOBS}",
            _PROJECT,
            {"ModelPackagingJobs": _list("ModelPackagingJobsList", _JOB_METADATA)},
            errors=(),
            result_key="ModelPackagingJobs",
        ),
    )
}
