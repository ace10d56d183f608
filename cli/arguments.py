"""Arguments and options that several commands share."""

from __future__ import annotations

import math
import re
from datetime import timedelta
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


def parse_duration(text: str) -> timedelta:
    """Such as `90m`, `8h` or `7d`.

    Raises:
        typer.BadParameter: it is none.
    """
    match = re.fullmatch(r"([1-9]\d{0,4})([mhd])", text.strip())
    if match is None:
        raise typer.BadParameter(f"{text!r} is no duration; expected minutes, hours or days, such as 90m, 8h or 7d")
    return timedelta(**{{"m": "minutes", "h": "hours", "d": "days"}[match[2]]: int(match[1])})


def parse_share(text: str) -> float:
    """Such as `1%` or `0.01`, as 0..1.

    Raises:
        typer.BadParameter: it is none.
    """
    number = text.strip().removesuffix("%")
    try:
        share = float(number) / (100 if number != text.strip() else 1)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise typer.BadParameter(f"{text!r} is no share; expected 0% to 100%, such as 1% or 0.01")
    return share


By = Annotated[str | None, typer.Option(help="A name in the uploads' metadata to group by, such as camera or line.")]
