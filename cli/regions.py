"""`relook regions`: painted areas of a project's images that are ignored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.text import Text

from cli.output import CommandError, err, out
from cli.stack import Stack
from relook.inspection.publish import percent
from relook.registry.projects import ProjectRegions, describe_project
from relook.registry.regions import clear_regions, read_regions, set_regions

_MUCH = 0.5
"""Of the image. Whoever paints more may have meant the rest."""


def change(stack: Stack, project: str, mask: Path | None) -> None:
    """Have the project's next trainings ignore what is painted in a PNG, or nothing, and tell.

    Raises:
        CommandError: the file cannot be read.
        InvalidRequestError: it is no PNG, paints nothing, or everything.
        ResourceNotFoundError: no such project.
    """
    who = stack.clients.caller
    if mask is None:
        entry = clear_regions(stack.registry, project, who=who)
    else:
        try:
            painted = mask.read_bytes()
        except OSError as error:
            raise CommandError(f"The mask {mask} cannot be read: {error.strerror}") from error
        entry = set_regions(stack.registry, stack.datasets, project, painted, who=who)
    if entry is not None:
        stack.tell(entry)
        advice = "An upload is judged by them once a version that was trained with them is hosted"
        err.print(f"Used from the next training on: relook retrain {project}. {advice}.", markup=False, soft_wrap=True)


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


def to_json(project: str, kept: ProjectRegions | None) -> dict[str, Any]:
    """For scripts."""
    if kept is None:
        return {"project": project, "regions": None}
    regions = {"ignored_share": kept.share, "mask_key": kept.key, "changed_by": kept.who, "changed_at": kept.at}
    return {"project": project, "regions": {**regions, "changed_at": kept.at.isoformat()}}


def print_regions(project: str, kept: ProjectRegions | None) -> None:
    """For people: how much is ignored, and who painted it when."""
    if kept is None:
        out.print(Text(project, "bold"), "ignores nothing", markup=False)
        err.print(f"Paint what is to be ignored: {_HOW.format(project)}", markup=False)
        return
    out.print(Text(project, "bold"), f"ignores {percent(kept.share)} of the image", markup=False)
    out.print(Text("painted by", "bold"), f"{kept.who}, {kept.at:%Y-%m-%d %H:%M:%S}Z", markup=False, soft_wrap=True)
    if kept.share > _MUCH:
        err.print("More than half is ignored: what is not black is ignored, or what is opaque where some is not")


_HOW = "relook regions {} MASK.png"
