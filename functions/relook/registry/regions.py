"""A project's regions: a mask in the datasets bucket, and in the project's item where it is, who painted it and when.

The mask is written first, under a key that its content tells, and the item points to it in the transaction that adds
to the history: whoever is cut off in between leaves a mask that nothing points to, and the regions as they were. Masks
stay as long as the project, for model versions were trained with them.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from relook.aws.bucket import Bucket
from relook.aws.table import ConditionFailedError, Table, Update
from relook.detection.regions import Regions
from relook.errors import (
    NoSuchObjectError,
    ResourceNotFoundError,
    ResourceType,
    ThrottledError,
    TrainingDataError,
)
from relook.events import DetailType
from relook.float32 import exact_float32
from relook.registry.contention import beside_others
from relook.registry.history import HistoryEntry, State, entry_of, record_change
from relook.registry.projects import Project, ProjectRegions, describe_project, project_key, regions_item


def set_regions(table: Table, datasets: Bucket, project: str, mask_png: bytes, *, who: str) -> HistoryEntry | None:
    """From its next training on the project ignores what is painted in a mask; None where it does so already.

    Args:
        mask_png: as `Regions.from_mask` reads it.
        who: the caller's ARN.
    Raises:
        InvalidRequestError: the mask is no PNG, paints nothing, or everything.
        ResourceNotFoundError: no such project.
        ThrottledError: other writers were always faster; nothing was changed.
    """
    regions = Regions.from_mask(mask_png)
    described = describe_project(table, project)
    key = f"{_folder(described)}{hashlib.sha256(regions.png).hexdigest()[:32]}.png"
    datasets.write(key, regions.png, "image/png")
    painted = ProjectRegions(key, exact_float32(regions.share), who, datetime.now(UTC))
    return _change(table, project, painted, who, made_at=described.created_at)


def clear_regions(table: Table, project: str, *, who: str) -> HistoryEntry | None:
    """From its next training on the project ignores nothing; None where it does so already.

    Raises:
        ResourceNotFoundError: no such project.
        ThrottledError: other writers were always faster; nothing was changed.
    """
    return _change(table, project, None, who)


def read_regions(datasets: Bucket, key: str) -> Regions:
    """The mask under a key that a project or a model version names.

    Raises:
        TrainingDataError: it is gone.
    """
    try:
        return Regions(datasets.read(key))
    except NoSuchObjectError:
        raise TrainingDataError(f"The regions to ignore are gone ({datasets.uri(key)}); paint them again") from None


def delete_masks(datasets: Bucket, project: Project) -> None:
    """Remove every mask that the project ever had; it is deleted itself, and nothing points to them."""
    datasets.delete_folder(_folder(project))


@beside_others
def _change(
    table: Table, project: str, after: ProjectRegions | None, who: str, *, made_at: datetime | None = None
) -> HistoryEntry | None:
    described = describe_project(table, project)
    if made_at not in (None, described.created_at):  # another of that name by now, whose folder has no such mask
        raise ResourceNotFoundError(ResourceType.PROJECT, project)
    current = described.regions
    if (current and current.key) == (after and after.key):
        return None
    record = record_change(
        project,
        who=who,
        what=DetailType.REGIONS_CHANGED,
        subject=project,
        before=_state(current),
        after=_state(after),
    )
    change = Update(
        project_key(project),
        {"regions": after and regions_item(after)},
        expect={"regions": (current and regions_item(current),), "created_at": (described.created_at.isoformat(),)},
    )
    try:
        table.write(change, record)
    except ConditionFailedError:
        raise ThrottledError(f"The regions of project {project} are being changed by others; try again") from None
    return entry_of(record.item)


def _folder(project: Project) -> str:
    """Of this project alone, and not of one of the same name that was or will be."""
    return f"regions/{project.name}/{project.created_at:%Y%m%dT%H%M%S%f}/"


def _state(regions: ProjectRegions | None) -> State | None:
    return {"ignored_share": regions.share, "mask_key": regions.key} if regions else None
