"""The `relook` command: its arguments, and one call each.

Exit codes: 0 done (for verdicts: every image normal), 1 an error, 2 wrong usage, 3 an image is anomalous,
4 an image was rejected, whatever the others are.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from cli import local_aws, models, output, quality
from cli.arguments import Files, Json, Project, Stage
from cli.files import find_images
from cli.output import err, errors_in_one_line, out, print_json, print_note
from cli.stages import LOCAL_STAGE, connect
from local.cloud import LocalCloud

app = typer.Typer(
    help="Visual inspection: train on images of a product, drop images, get verdicts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
uploads_app = typer.Typer()
events_app = typer.Typer(help="What the Relook event bus says.", no_args_is_help=True)
app.add_typer(models.app)  # training comes first, in the help too
app.add_typer(uploads_app)
app.add_typer(quality.app)
app.add_typer(local_aws.app, name="local")
app.add_typer(events_app, name="events")


@uploads_app.command()
def drop(
    project: Project,
    files: Files,
    timeout_s: Annotated[float, typer.Option("--timeout", help="Seconds to wait for the verdicts.")] = 120,
    pictures: Annotated[Path, typer.Option(help="Where the overlays go.")] = Path("relook-pictures"),
    metadata: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for every image; repeatable.")] = None,
    stage: Stage = LOCAL_STAGE,
    as_json: Json = False,
) -> None:
    """Upload images and wait for their verdicts. Example: relook drop bracket part.jpg --metadata line=2"""
    from cli import dropping

    tags = dropping.parse_metadata(metadata or [])
    paths = find_images(files)
    drops = dropping.drop(connect(stage), project, paths, tags, timeout_s=timeout_s, pictures=pictures)
    records = [drop.record for drop in drops]
    if as_json:
        for each in drops:
            print_json({**each.record, "overlay": str(each.overlay) if each.overlay else None})
    else:
        output.print_verdicts(records, [each.overlay for each in drops if each.overlay])
    raise typer.Exit(output.exit_code(records))


@uploads_app.command()
def results(
    project: Annotated[str | None, typer.Option(help="Only this project's.")] = None,
    anomalous: Annotated[bool, typer.Option("--anomalous", help="Only anomalous images.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most this many, newest first.")] = 50,
    stage: Stage = LOCAL_STAGE,
    as_json: Json = False,
) -> None:
    """List inspections, newest first. Example: relook results --anomalous --project bracket"""
    from cli import inspections

    records = inspections.newest(connect(stage), project, anomalous=anomalous, limit=limit)
    if as_json:
        for record in records:
            print_json(record)
    elif records:
        output.print_verdicts(records)
    else:
        err.print("No inspections yet.")


@uploads_app.command()
def detect(
    package: Annotated[Path, typer.Argument(help="A folder that relook train --output wrote.")],
    files: Files,
    pictures: Annotated[Path, typer.Option(help="Where the overlays go.")] = Path("relook-pictures"),
    as_json: Json = False,
) -> None:
    """Inspect images with a model package, without any AWS. Example: relook detect bracket-model part.jpg"""
    from cli import offline

    paths = find_images(files)
    records = offline.detect(package, paths, pictures)
    if as_json:
        for record in records:
            print_json(record)
    else:
        output.print_verdicts(records, [Path(record["overlay"]) for record in records if "overlay" in record])
    raise typer.Exit(output.exit_code(records))


@uploads_app.command()
def explain(
    model: Annotated[str, typer.Argument(help="A folder that relook train --output wrote, or a project's name.")],
    files: Files,
    normals: Annotated[
        Path | None, typer.Option(help="The folder the model was trained on: shows the most similar normal image.")
    ] = None,
    pictures: Annotated[Path, typer.Option(help="Where the pictures go.")] = Path("relook-pictures"),
    stage: Stage = LOCAL_STAGE,
    as_json: Json = False,
) -> None:
    """Show what verdicts rest on. Example: relook explain bracket part.jpg --normals photos/bracket"""
    from cli import explaining

    paths = find_images(files)
    records = explaining.explain(explaining.load_model(model, lambda: connect(stage)), paths, pictures, normals)
    if as_json:
        for record in records:
            print_json(record)
    else:
        explaining.print_explanations(records)
    raise typer.Exit(output.exit_code(records))


@uploads_app.command("client-setup")
def client_setup(
    folder: Annotated[Path, typer.Option(help="Where today's boto3 and AWS CLI look for service models.")] = Path(
        "~/.aws/models"
    ),
    stage: Stage = LOCAL_STAGE,
    as_json: Json = False,
) -> None:
    """Give today's boto3 and AWS CLI Lookout for Vision back. Example: relook client-setup"""
    from cli import clients

    setup = clients.install(connect(stage), folder.expanduser(), is_local=stage == LOCAL_STAGE)
    if as_json:
        print_json(setup.to_json())
    else:
        clients.print_setup(setup)


@uploads_app.command()
def console(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of this machine, on 127.0.0.1.")] = 8321,
    opens: Annotated[bool, typer.Option("--open/--no-open", help="Open the browser on it.")] = True,
    demo: Annotated[
        bool,
        typer.Option("--demo", help="Start the local AWS, train two products and drop pictures, if it has no project."),
    ] = False,
    stage: Stage = LOCAL_STAGE,
) -> None:
    """Look at inspections, charts and models in a browser. Example: relook console --demo"""
    from cli.console import app as pages

    if demo:
        if stage != LOCAL_STAGE:
            raise typer.BadParameter(f"--demo makes projects, and does that on the local stage only; got {stage}")
        _prepare_demo()
    pages.serve(connect(stage), stage, port, opens=opens)


def _prepare_demo() -> None:
    """Have something to look at on the local AWS; what is there already is not touched."""
    from cli import demo
    from relook.registry.projects import list_projects

    cloud = LocalCloud()
    if not cloud.status().outputs:
        local_aws.bring_up(cloud)
        print_note("The local AWS stays when the console ends; stop it with: relook local down")
    stack = connect(LOCAL_STAGE)
    if next(list_projects(stack.registry), None) is None:
        demo.run(stack)
    else:
        print_note("The local AWS has projects, so the demo's are left out; empty it with: relook local reset")


@events_app.command("tail")
def events_tail(
    count: Annotated[int | None, typer.Option(min=1, help="Stop after this many.")] = None,
    timeout_s: Annotated[float | None, typer.Option("--timeout", help="Stop after this many seconds.")] = None,
    stage: Stage = LOCAL_STAGE,
    as_json: Json = False,
) -> None:
    """Print events as they come, until Ctrl-C. Example: relook events tail --json"""
    from cli import tailing

    err.print("listening; Ctrl-C to end")
    for event in tailing.tail(connect(stage), count=count, timeout_s=timeout_s):
        if as_json:
            print_json(event)
        else:
            out.print(Text(event["detail-type"], "bold"), event["detail"]["summary"], markup=False)


def run() -> None:
    """The console script: like `app`, with errors in one line, and time to clean up when it is told to end."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    with errors_in_one_line():
        app()
