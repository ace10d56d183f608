"""Projects: a named product under inspection, and which of its model versions answers for it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from relook.aws.table import ConditionFailedError, Delete, Item, Put, Table, Update
from relook.errors import ConflictError, InvalidRequestError, ResourceNotFoundError, ResourceType
from relook.quality.thresholds import Band

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_\-]{0,254}")


@dataclass(frozen=True)
class HostedModel:
    """The model version that inspects a project's uploads.

    Attributes:
        package_sha256: what its package must have.
        threshold: moved; None for the model's own.
        borderline: probabilities so near the threshold that a person should look; None where nothing is known of them.
    """

    project: str
    version: str
    package_sha256: str
    threshold: float | None = None
    borderline: Band | None = None


@dataclass(frozen=True)
class AskedChecks:
    """How often a project wants a check.

    Attributes:
        since: when it was asked for.
        told: the last missed due time, ISO-8601, that the event bus was told; None for none.
    """

    every: timedelta
    since: datetime
    told: str | None = None


@dataclass(frozen=True)
class ProjectRegions:
    """Painted areas that the project's next trainings, and what comes of them, ignore.

    Attributes:
        key: of the mask, in the datasets bucket; of this content alone.
        share: of the image that is ignored, 0..1.
        who: ARN of whoever painted them.
    """

    key: str
    share: float
    who: str
    at: datetime


@dataclass(frozen=True)
class Project:
    """A project.

    Attributes:
        hosted: the model version that inspects this project's uploads; None while none is hosted.
        latest_version: number of the newest model version; 0 while there is none.
        backbone_sha256: of the feature ONNX it trains with in place of ours; None for ours.
        checks: None where it asks for none.
        regions: None where nothing is ignored.
    """

    name: str
    created_at: datetime
    hosted: HostedModel | None
    latest_version: int
    backbone_sha256: str | None
    checks: AskedChecks | None = None
    regions: ProjectRegions | None = None


def is_project_name(name: str) -> bool:
    """Whether a project may be called this (1-255 letters, digits, `_`, `-`; first a letter or digit)."""
    return _NAME.fullmatch(name) is not None


def create_project(table: Table, name: str) -> Project:
    """Create an empty project.

    Raises:
        InvalidRequestError: the name is not allowed.
        ConflictError: it exists.
    """
    if not is_project_name(name):
        raise InvalidRequestError(
            f"Project name {name!r} must be 1 to 255 letters, digits, '_' or '-', and begin with a letter or digit"
        )
    item = {
        **project_key(name),
        "kind": ResourceType.PROJECT,
        "project": name,
        "created_at": datetime.now(UTC).isoformat(),
        "latest_version": 0,
        "children": 0,
    }
    try:
        table.write(Put(item))
    except ConditionFailedError:
        raise ConflictError(ResourceType.PROJECT, name, f"Project {name} already exists") from None
    return _project(item)


def describe_project(table: Table, name: str) -> Project:
    """The project.

    Raises:
        ResourceNotFoundError: there is none of this name.
    """
    item = table.get(project_key(name)) if is_project_name(name) else None
    if item is None:
        raise ResourceNotFoundError(ResourceType.PROJECT, name)
    return _project(item)


def list_projects(table: Table, *, after: str | None = None) -> Iterator[Project]:
    """Every project, by name; those that come after a name, if one is given."""
    items = table.query(("kind", ResourceType.PROJECT), index="by_kind", after=("project", after) if after else None)
    return (_project(item) for item in items)


def set_backbone(table: Table, name: str, sha256: str | None) -> None:
    """Note which backbone the project's next trainings use; None for ours.

    Raises:
        ResourceNotFoundError: there is none of this name.
    """
    try:
        table.update(Update(project_key(name), {"backbone_sha256": sha256}))
    except ConditionFailedError:
        raise ResourceNotFoundError(ResourceType.PROJECT, name) from None


def delete_project(table: Table, name: str) -> None:
    """Delete an empty project. Images and inspections stay.

    Raises:
        ResourceNotFoundError: there is none of this name.
        ConflictError: it still has datasets or model versions.
    """
    describe_project(table, name)
    try:
        table.write(Delete(project_key(name), expect={"children": (0,)}))
    except ConditionFailedError:
        message = f"Project {name} still has datasets or model versions; delete them first"
        raise ConflictError(ResourceType.PROJECT, name, message) from None


def project_key(name: str) -> dict[str, str]:
    """Primary key of the project's own item; its datasets and model versions share the partition."""
    return {"pk": f"PROJECT#{name}", "sk": "PROJECT"}


def count_children(name: str, change: int) -> Update:
    """The update that goes with every dataset or model version that comes or goes, in the same transaction."""
    return Update(project_key(name), add={"children": change})


def hosted_item(hosted: HostedModel) -> dict[str, Any]:
    """What the project's item keeps of it; the inverse of `_hosted`."""
    values = {
        "version": hosted.version,
        "package_sha256": hosted.package_sha256,
        "threshold": hosted.threshold,
        "borderline": asdict(hosted.borderline) if hosted.borderline else None,
    }
    return {name: value for name, value in values.items() if value is not None}


def regions_item(regions: ProjectRegions) -> dict[str, Any]:
    """What the project's item keeps of them; the inverse of `_regions`."""
    return {"key": regions.key, "share": regions.share, "who": regions.who, "at": regions.at.isoformat()}


def _hosted(project: str, item: Mapping[str, Any]) -> HostedModel:
    return HostedModel(
        project=project,
        version=item["version"],
        package_sha256=item["package_sha256"],
        threshold=item.get("threshold"),
        borderline=Band(**item["borderline"]) if "borderline" in item else None,
    )


def _project(item: Item) -> Project:
    return Project(
        name=item["project"],
        created_at=datetime.fromisoformat(item["created_at"]),
        hosted=_hosted(item["project"], item["hosted"]) if "hosted" in item else None,
        latest_version=item["latest_version"],
        backbone_sha256=item.get("backbone_sha256"),
        checks=_checks(item),
        regions=_regions(item["regions"]) if "regions" in item else None,
    )


def _regions(item: Mapping[str, Any]) -> ProjectRegions:
    return ProjectRegions(item["key"], float(item["share"]), item["who"], datetime.fromisoformat(item["at"]))


def _checks(item: Item) -> AskedChecks | None:
    if "checks" not in item:
        return None
    asked = item["checks"]
    since = datetime.fromisoformat(asked["since"])
    return AskedChecks(timedelta(seconds=asked["every_s"]), since, item.get("checks_told"))
