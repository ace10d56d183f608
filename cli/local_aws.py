"""`relook local`: the laptop's AWS, with the whole stack deployed to it."""

from __future__ import annotations

from collections.abc import Mapping

import typer

from cli.arguments import Json
from cli.output import err, out, print_json, progress
from local.cloud import LocalCloud

app = typer.Typer(help="The laptop's AWS: the whole stack, without an account.", no_args_is_help=True)


@app.command("up")
def up(as_json: Json = False) -> None:
    """Start the local AWS and deploy the stack to it. Example: relook local up"""
    outputs = bring_up(LocalCloud())
    if as_json:
        print_json(outputs)
        return
    for name, value in sorted(outputs.items()):
        out.print(f"[bold]{name}[/bold]  {value}")


def bring_up(cloud: LocalCloud) -> Mapping[str, str]:
    """Start it unless it runs, and deploy the stack to it; the stack's outputs.

    Raises:
        LocalCloudError: the port is taken, or the deployment failed.
    """
    was_running = cloud.status().pid is not None
    try:
        with progress() as bars:
            starting = bars.add_task("starting the local AWS", total=1)
            cloud.start()
            bars.update(starting, completed=1)
            bars.add_task("deploying the stack", total=None)
            return cloud.deploy()
    except BaseException:  # Ctrl-C too: half of it is of no use to anyone
        if not was_running:
            cloud.stop()
        raise


@app.command("down")
def down() -> None:
    """Stop the local AWS and forget everything in it. Example: relook local down"""
    LocalCloud().stop()
    err.print("stopped")


@app.command("status")
def status(as_json: Json = False) -> None:
    """Whether the local AWS runs, and where; exit code 1 when it does not. Example: relook local status"""
    cloud = LocalCloud()
    status = cloud.status()
    is_running = status.pid is not None
    if as_json:
        print_json({"is_running": is_running, "endpoint_url": cloud.endpoint_url, "outputs": status.outputs})
    else:
        stack = "with the stack deployed" if status.outputs else "without a stack"
        out.print(f"running at {cloud.endpoint_url}, {stack}" if is_running else "not running")
    raise typer.Exit(0 if is_running else 1)


@app.command("reset")
def reset() -> None:
    """Empty the running local AWS and deploy the stack afresh. Example: relook local reset"""
    cloud = LocalCloud()
    cloud.reset()
    cloud.deploy()
    err.print("emptied, and the stack deployed again")
