"""`relook regions`: painted areas of a project's images that are ignored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from cli.output import CommandError, err, out
from cli.stack import Stack
from relook.detection.regions import Regions
from relook.errors import ResourceNotFoundError, TrainingDataError
from relook.quality.rates import percent
from relook.registry.models import list_models, read_model
from relook.registry.projects import ProjectRegions, describe_project
from relook.registry.regions import clear_regions, read_regions, set_regions

_MUCH = 0.5
"""Of the image. Whoever paints more may have meant the rest."""


def ignore(stack: Stack, project: str, png: bytes | None) -> bool:
    """Have the project's next trainings ignore what is painted in a PNG, or nothing, and tell; whether that is new.

    Raises:
        InvalidRequestError: it is no PNG, paints nothing, or everything.
        ResourceNotFoundError: no such project.
    """
    who = stack.clients.caller
    if png is None:
        entry = clear_regions(stack.registry, project, who=who)
    else:
        entry = set_regions(stack.registry, stack.datasets, project, png, who=who)
    stack.tell(entry)
    return entry is not None


def change(stack: Stack, project: str, mask: Path | None) -> None:
    """The same with a file, and what comes next, for people.

    Raises:
        CommandError: the file cannot be read.
        InvalidRequestError, ResourceNotFoundError: as `ignore`.
    """
    if ignore(stack, project, _read(mask) if mask else None):
        advice = "An upload is judged by them once a version that was trained with them is hosted"
        err.print(f"Used from the next training on: relook retrain {project}. {advice}.", markup=False, soft_wrap=True)


def _read(mask: Path) -> bytes:
    try:
        return mask.read_bytes()
    except OSError as error:
        raise CommandError(f"The mask {mask} cannot be read: {error.strerror}") from error


def read_file(mask: Path) -> Regions:
    """What is painted in a PNG.

    Raises:
        CommandError: it cannot be read.
        InvalidRequestError: it is no PNG, paints nothing, or everything.
    """
    return Regions.from_mask(_read(mask))


def write_mask(stack: Stack, project: str, file: Path) -> None:
    """Write the mask of what is ignored, white on black, to a PNG.

    Raises:
        CommandError: nothing is ignored, or the file cannot be written.
        TrainingDataError: the mask is gone.
    """
    kept = describe_project(stack.registry, project).regions
    if kept is None:
        raise CommandError(f"Project {project} ignores nothing, so there is no mask; paint one: {_HOW.format(project)}")
    try:
        file.write_bytes(read_regions(stack.datasets, kept.key).png)
    except OSError as error:
        raise CommandError(f"The mask cannot be written to {file}: {error.strerror}") from error


def regions_of_version(stack: Stack, project: str, version: str) -> Regions | None:
    """What a model version was trained to ignore; None for nothing, or where the version is not known here any more."""
    try:
        key = read_model(stack.registry, project, version).regions_key
        return read_regions(stack.datasets, key) if key else None
    except (ResourceNotFoundError, TrainingDataError):
        return None


def read(stack: Stack, project: str) -> tuple[ProjectRegions | None, list[str]]:
    """What the project's next trainings ignore, and the model versions that were trained with just that, newest first.

    Raises:
        ResourceNotFoundError: no such project.
    """
    kept = describe_project(stack.registry, project).regions
    if kept is None:
        return None, []
    return kept, [each.version for each in list_models(stack.registry, project) if each.regions_key == kept.key]


def to_json(project: str, kept: ProjectRegions | None, versions: Sequence[str]) -> dict[str, Any]:
    """For scripts."""
    if kept is None:
        return {"project": project, "regions": None}
    regions = {"ignored_share": kept.share, "mask_key": kept.key, "changed_by": kept.who}
    more = {"changed_at": kept.at.isoformat(), "model_versions": list(versions)}
    return {"project": project, "regions": regions | more}


def print_regions(project: str, kept: ProjectRegions | None, versions: Sequence[str]) -> None:
    """For people: how much is ignored, who painted it when, and which versions were trained with it."""
    if kept is None:
        out.print(Text(project, "bold"), "ignores nothing", markup=False)
        err.print(f"Paint what is to be ignored: {_HOW.format(project)}", markup=False)
        return
    out.print(Text(project, "bold"), f"ignores {percent(kept.share)} of the image", markup=False)
    out.print(Text("painted by", "bold"), f"{kept.who}, {kept.at:%Y-%m-%d %H:%M:%S}Z", markup=False, soft_wrap=True)
    trained = ", ".join(f"{project}/{version}" for version in versions) or f"none yet: relook retrain {project}"
    out.print(Text("trained with it", "bold"), trained, markup=False, soft_wrap=True)
    if kept.share > _MUCH:
        err.print("More than half is ignored: what is not black is ignored, or what is opaque where some is not")


_HOW = "relook regions {} MASK.png"
