"""The commands that make model versions, and say which one inspects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from cli.arguments import Host, Json, Project, Stage
from cli.output import err, out, print_json, print_note
from cli.stages import LOCAL_STAGE, connect

if TYPE_CHECKING:
    from cli.datasets import LabeledImages

app = typer.Typer()
backbone_app = typer.Typer(help="A project's own feature ONNX in place of ours.", no_args_is_help=True)
app.add_typer(backbone_app, name="backbone")


@app.command()
def train(
    project: Project,
    source: Annotated[Path, typer.Argument(help="A folder with normal/, anomaly/, masks/; or a manifest.")],
    output_folder: Annotated[
        Path | None, typer.Option("--output", help="Write the model package to this folder and touch no cloud.")
    ] = None,
    backbone_file: Annotated[
        Path | None,
        typer.Option("--backbone", help="A feature ONNX to train with in place of ours; goes with --output."),
    ] = None,
    regions_file: Annotated[
        Path | None,
        typer.Option("--regions", help="A PNG in which is painted what to ignore; goes with --output."),
    ] = None,
    host: Host = True,
    stage: Stage = LOCAL_STAGE,
    as_json: Json = False,
) -> None:
    """Train a model version of a project, and host it. Example: relook train bracket photos/bracket"""
    from cli import backbones, regions, training

    if regions_file and not output_folder:
        raise typer.BadParameter(f"goes with --output; for a project: relook regions {project} {regions_file}")
    if backbone_file and not output_folder:
        raise typer.BadParameter(f"goes with --output; for a project: relook backbone import {project} {backbone_file}")
    if output_folder:
        backbone = backbones.read_backbone(backbone_file) if backbone_file else None
        images = _labelled(source, lambda: connect(stage).clients.s3)
        ignored = regions.read_file(regions_file) if regions_file else None
        report = training.train_to_folder(project, images, output_folder, backbone=backbone, regions=ignored)
    else:
        stack = connect(stage)
        images = _labelled(source, lambda: stack.clients.s3)
        report = training.train_in_cloud(stack, project, images, host=host)
    if as_json:
        members = report.to_json()
        print_json({**members, "notes": [*images.notes, *members["notes"]]})
    else:
        training.print_report(report)


def _labelled(source: Path, s3: Callable[[], Any]) -> LabeledImages:
    """The images, with what is left out of them said at once: the training may fail for want of it."""
    from cli.datasets import read_dataset

    images = read_dataset(source, s3)
    for note in images.notes:
        print_note(note)
    return images


@app.command()
def register(
    project: Project,
    file: Annotated[Path, typer.Argument(help="An ONNX file that anomalib exported.")],
    output_folder: Annotated[
        Path | None, typer.Option("--output", help="Write the model package to this folder and touch no cloud.")
    ] = None,
    host: Host = True,
    stage: Stage = LOCAL_STAGE,
    as_json: Json = False,
) -> None:
    """Register an anomalib export as a model version, and host it. Example: relook register bracket model.onnx"""
    from cli import training

    if output_folder:
        training.package_file(project, file, "1").write_folder(output_folder)
        place, is_hosted = str(output_folder), False
    else:
        place, is_hosted = f"{project}/{training.register_file(connect(stage), project, file, host=host)}", host
    if as_json:
        print_json({"model": place, "is_hosted": is_hosted})
    else:
        out.print(Text("model", "bold"), place + (" (hosted)" if is_hosted else ""), markup=False)


@backbone_app.command("import")
def backbone_import(
    project: Project,
    file: Annotated[Path, typer.Argument(help="A feature ONNX: an image in, maps of features out.")],
    stage: Stage = LOCAL_STAGE,
    as_json: Json = False,
) -> None:
    """Train the project with this backbone from now on. Example: relook backbone import bracket resnet18.onnx"""
    from cli import backbones

    described = backbones.describe(project, backbones.import_file(connect(stage), project, file))
    if as_json:
        print_json(described)
    else:
        backbones.print_description(described)


@backbone_app.command("show")
def backbone_show(project: Project, stage: Stage = LOCAL_STAGE, as_json: Json = False) -> None:
    """What the project's own backbone is, and what it costs. Example: relook backbone show bracket"""
    from cli import backbones

    backbone = backbones.load(connect(stage), project)
    described = backbones.describe(project, backbone) if backbone else None
    if as_json:
        print_json(described)
    elif described:
        backbones.print_description(described)
    else:
        out.print(f"{project} has no backbone of its own: it trains with ours", markup=False)


@backbone_app.command("remove")
def backbone_remove(project: Project, stage: Stage = LOCAL_STAGE, as_json: Json = False) -> None:
    """Train the project with our backbone again. Example: relook backbone remove bracket"""
    from cli import backbones

    was_removed = backbones.remove(connect(stage), project)
    if as_json:
        print_json({"project": project, "was_removed": was_removed})
    else:
        err.print("removed" if was_removed else f"{project} had no backbone of its own", markup=False)


@app.command("host")
def host_command(
    project: Project,
    version: Annotated[str, typer.Argument(help="The model version's number; a newer or an older one.")],
    stage: Stage = LOCAL_STAGE,
    as_json: Json = False,
) -> None:
    """Let this model version inspect a project's uploads, and no other. Example: relook host bracket 2"""
    from cli import training

    training.host_version(connect(stage), project, version)
    if as_json:
        print_json({"model": f"{project}/{version}", "is_hosted": True})
    else:
        out.print(Text("model", "bold"), f"{project}/{version} (hosted)", markup=False)
