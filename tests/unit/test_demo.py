"""`relook console --demo`: something to look at, on the local AWS alone, and nothing of anybody's is touched."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

import cli.main
from cli import demo, local_aws
from cli.console import app as pages
from cli.stack import Stack
from local.cloud import CloudStatus
from relook.aws.clients import Clients
from relook.registry.projects import create_project
from tests.account import Cloud

OUTPUTS = {"RegistryTable": "registry"}


class Laptop:
    """A local AWS that is started without waiting for one; `done` is what was asked of it."""

    def __init__(self) -> None:
        self.outputs: dict[str, str] = {}
        self.done: list[str] = []

    def status(self) -> CloudStatus:
        return CloudStatus(1 if self.outputs else None, self.outputs)

    def bring_up(self, _: Any) -> None:
        self.outputs = OUTPUTS
        self.done.append("brought up")


@pytest.fixture
def laptop(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Laptop:
    made = Laptop()
    monkeypatch.setattr(cli.main, "LocalCloud", lambda: made)
    monkeypatch.setattr(cli.main, "connect", lambda stage: Stack(OUTPUTS, Clients()))
    monkeypatch.setattr(local_aws, "bring_up", made.bring_up)
    monkeypatch.setattr(demo, "run", lambda stack: made.done.append("demo"))
    monkeypatch.setattr(pages, "serve", lambda *arguments, **_: made.done.append(f"console of {arguments[1]}"))
    return made


def console(*arguments: str) -> Any:
    return CliRunner().invoke(cli.main.app, ["console", "--no-open", *arguments])


def test_a_laptop_without_anything_gets_all_of_it(laptop: Laptop) -> None:
    result = console("--demo")
    assert result.exit_code == 0, result.output
    assert laptop.done == ["brought up", "demo", "console of local"]
    assert "relook local down" in result.output


def test_a_local_aws_that_runs_is_taken_as_it_is(laptop: Laptop) -> None:
    laptop.outputs = OUTPUTS
    console("--demo")
    assert laptop.done == ["demo", "console of local"]


def test_projects_that_are_there_are_left_alone(laptop: Laptop, cloud: Cloud) -> None:
    laptop.outputs = OUTPUTS
    create_project(cloud.registry, "bracket")
    result = console("--demo")
    assert laptop.done == ["console of local"]
    assert "the demo's are left out" in " ".join(result.output.split())


def test_a_deployed_stage_gets_no_demo(laptop: Laptop) -> None:
    result = console("--demo", "--stage", "prod")
    assert result.exit_code == 2 and "got prod" in result.output
    assert laptop.done == []


def test_without_being_asked_nothing_is_made(laptop: Laptop) -> None:
    laptop.outputs = OUTPUTS
    console()
    assert laptop.done == ["console of local"]
