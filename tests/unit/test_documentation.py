"""What the README says is so."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import typer.main

from cli.main import app
from infra.config import StageConfig
from relook.lookout.wire import coverage
from relook.settings import InspectImageSettings, LookoutApiSettings, Settings, TrainModelSettings, WatchQualitySettings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
LOOKOUT, SETTINGS = ((ROOT / "docs" / name).read_text() for name in ("lookout.md", "settings.md"))


@pytest.mark.parametrize(
    ("function", "settings"),
    [
        ("inspect_image", InspectImageSettings),
        ("lookout_api", LookoutApiSettings),
        ("train_model", TrainModelSettings),
        ("watch_quality", WatchQualitySettings),
    ],
)
def test_the_settings_tables_are_complete(function: str, settings: type[Settings]) -> None:
    table = SETTINGS.split(f"| `{function}` | meaning |")[1].split("\n\n")[0]
    assert dataclasses.is_dataclass(settings)
    named = re.findall(r"^\| `([A-Z_]+)`", table, re.M)
    assert named == [field.name.upper() for field in dataclasses.fields(settings)]


def test_the_table_of_operations_is_the_contract_s() -> None:
    assert "\n".join(coverage()) in LOOKOUT


def test_the_options_of_a_stage_exist() -> None:
    section = SETTINGS.split("| option | meaning |")[1].split("\n\n")[0]
    named = {name for row in re.findall(r"^\| (`.*?) \|", section, re.M) for name in re.findall(r"`(\w+)`", row)}
    assert named
    assert named <= {field.name for field in dataclasses.fields(StageConfig)}


def test_the_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"\bmake (?:PYTHON=\S+ )?([a-z]+)\b", README))
    assert {"demo", "test", "setup", "deploy"} <= named <= targets


def test_the_commands_exist() -> None:
    root = typer.main.get_command(app)
    printed = re.findall(r"^(?:RELOOK_STAGE=\S+ )?relook (.*?)(?:  +#.*)?$", README, re.M)
    named = re.findall(r"^\| `relook (.*?)` \|", README, re.M)
    assert printed
    assert named
    for line in printed + named:
        name, *rest = line.split()
        command = root.commands[name]  # type: ignore[attr-defined]
        if rest and rest[0] in getattr(command, "commands", {}):
            command = command.commands[rest[0]]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= options, line


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(((?!http)[^)#]+)\)", README))))
def test_links_lead_somewhere(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_page_is_linked_once_and_the_first_one_is_short() -> None:
    assert len(README.splitlines()) <= 200
    for page in sorted((ROOT / "docs").glob("*.md")):
        assert README.count(f"](docs/{page.name})") == 1, page


def test_the_files_that_the_pages_name_exist() -> None:
    pages = [README, *(page.read_text() for page in sorted((ROOT / "docs").glob("*.md")))]
    folders = "bench|cli|docs|events|functions|infra|local|tests"
    named = {path for page in pages for path in re.findall(rf"`((?:{folders})/[\w/.\-]*)`", page)}
    assert len(named) > 20
    assert not [path for path in sorted(named) if not (ROOT / path).exists()]


def test_the_repository_map_is_true() -> None:
    section = README.split("## Repository")[1]
    for name in re.findall(r"^(\w+)/ ", section, re.M):
        assert (ROOT / name).is_dir()
