"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Stage = Annotated[
    str, typer.Option(help="Which stack: local, or a deployed stage such as dev or prod.", envvar="RELOOK_STAGE")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON lines instead of a table.")]
Host = Annotated[bool, typer.Option(help="Let the new version inspect the project's uploads.")]
Project = Annotated[str, typer.Argument(help="The product's name: the first segment of its images' keys.")]
Files = Annotated[list[Path], typer.Argument(help="Images, or folders of images.")]
