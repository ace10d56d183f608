"""What the README and the pages of docs/ say is so."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer.main

from cli.main import app
from infra.config import StageConfig
from relook.aws.table import Table
from relook.detection.result import DetectAnomalyResult
from relook.detection.statistics import PictureStatistics
from relook.inspection.record import Inspection, Outcome, record_item
from relook.inspection.upload import Upload
from relook.learning.backbone.checks import MAX_BACKBONE_BYTES, MAX_CHANNELS
from relook.learning.graph.builder import OPSET
from relook.lookout.wire import coverage
from relook.quality.thresholds import Band
from relook.registry.dataset_type import DatasetType
from relook.registry.inspections import RecordId
from relook.registry.retention import Retention
from relook.registry.reviewed_entries import ReviewedEntry, note_joined
from relook.registry.reviews import ReviewVerdict, review
from relook.settings import InspectImageSettings, LookoutApiSettings, Settings, TrainModelSettings, WatchQualitySettings
from tests.account import SETTINGS as ACCOUNT
from tests.account import Cloud

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = {page.name: page.read_text() for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
LOOKOUT, SETTINGS = PAGES["lookout.md"], PAGES["settings.md"]


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


@pytest.mark.parametrize("page", PAGES)
def test_the_make_targets_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"(?:^|`)make (?:PYTHON=\S+ )?([a-z]+)\b", PAGES[page], re.M))
    assert named <= targets
    assert page != "README.md" or {"demo", "test", "setup", "deploy"} <= named


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_exist(page: str) -> None:
    root = typer.main.get_command(app)
    printed = re.findall(r"^(?:RELOOK_STAGE=\S+ )?(?:\.venv/bin/)?relook (.*?)(?:  +#.*)?$", PAGES[page], re.M)
    named = re.findall(r"`relook ([^`]*)`", PAGES[page])
    assert page != "README.md" or (printed and named)
    for line in printed + named:
        name, *rest = line.split()
        command = root.commands[name]  # type: ignore[attr-defined]
        if rest and rest[0] in getattr(command, "commands", {}):
            command = command.commands[rest[0]]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= options, line


@pytest.mark.parametrize("page", PAGES)
def test_the_modules_that_are_run_exist(page: str) -> None:
    named = set(re.findall(r"python -m ([\w.]+\w)|`(bench\.\w+)`", PAGES[page]))
    assert page != "engine.md" or named
    assert not [module for module in map("".join, named) if find_spec(module) is None]


def test_the_limits_of_a_backbone_are_those_that_are_checked() -> None:
    page = PAGES["backbones.md"]
    assert f"1 to {MAX_CHANNELS:,} channels" in page
    assert f"an opset that converts to {OPSET}" in page
    assert f"{MAX_BACKBONE_BYTES // 1024**2} MB at most" in page


def test_what_a_change_is_made_of_is_where_it_is_said_to_be() -> None:
    named = re.findall(r"`(\w+)`\s+(?:in|of)\s+`([\w/.]+\.py)`", PAGES["contributing.md"])
    assert {"list_projects", "tell_change", "review", "StageConfig", "Engine", "Recipe"} <= {name for name, _ in named}
    for name, path in named:
        assert re.search(rf"^(?:def|class) {name}\b", (ROOT / path).read_text(), re.M), (name, path)


@pytest.mark.parametrize("page", ["engine.md", "contributing.md"])
def test_the_names_of_the_code_exist(page: str) -> None:
    sources = [path for folder in ("functions", "infra", "cli") for path in (ROOT / folder).rglob("*.py")]
    words = set(re.findall(r"\w+", "\n".join(path.read_text() for path in sources)))
    assert page == "engine.md" or set(re.findall(r"`@?(\w+)`", PAGES[page])) <= words  # there also rows of its tables
    for name in re.findall(r"`(?!docs|events|tests|bench)(\w+/[\w/]+\.py)`", PAGES[page]):
        assert any(path.match(name) for path in sources), name
    for module in re.findall(r"`(relook\.[\w.]+)`", PAGES[page]):
        assert find_spec(module), module


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(((?!http)[^)#]+)\)", README))))
def test_links_lead_somewhere(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_page_is_linked_once_and_the_first_one_is_short() -> None:
    assert len(README.splitlines()) <= 200
    for page in sorted((ROOT / "docs").glob("*.md")):
        assert README.count(f"](docs/{page.name})") == 1, page


def test_the_files_that_the_pages_name_exist() -> None:
    folders = "bench|cli|docs|events|functions|infra|local|tests"
    named = {path for page in PAGES.values() for path in re.findall(rf"`((?:{folders})/[\w/.\-]*)`", page)}
    assert len(named) > 20
    assert not [path for path in sorted(named) if not (ROOT / path).exists()]


def test_the_repository_map_is_true() -> None:
    section = README.split("## Repository")[1]
    for name in re.findall(r"^(\w+)/ ", section, re.M):
        assert (ROOT / name).is_dir()
    rooms = {
        name: set(re.findall(r"[\w.]+", text))
        for name, text in re.findall(r"^(\w+)/ ((?:.*\n)+?)(?=\w|`)", section, re.M)
    }
    assert {path.name for path in (ROOT / "functions").glob("*.py")} <= rooms["functions"]
    assert {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")} <= rooms["tests"]


def test_every_attribute_of_a_record_is_described(cloud: Cloud) -> None:
    """Of one that waits, and of the same one once it is reviewed and has joined a dataset."""
    verdict = DetectAnomalyResult(True, 0.6, 0.6, 0.5, score=1.0, statistics=PictureStatistics(1.0, 1.0, 1.0))
    upload = Upload("images", "described/a.png", "v1", "v1", 9, "")
    inspection = Inspection(upload, "described", "1", Band(0.4, 0.7), datetime.now(UTC), 9, Outcome(verdict=verdict))
    record = record_item(inspection, Retention(records_days=31))
    inspections = Table(cloud.dynamodb, ACCOUNT.inspections_table)
    inspections.put({name: value for name, value in record.items() if value is not None})
    reviewed, _ = review(inspections, cloud.registry, record, ReviewVerdict.WRONG, label="scratch", note="no", who="Jo")
    entry = ReviewedEntry(DatasetType.TRAIN, "s3://images/a.png", True, True, "s3://images/m.png")
    note_joined(inspections, cloud.registry, reviewed, entry, who="Jo")
    joined = inspections.get(RecordId.of(record).key) or {}
    section = SETTINGS.split("## The record of an inspection")[1]
    assert {"review_order", "dataset_entry", "review_note", "brightness"} <= record.keys() | joined.keys()
    assert record.keys() | joined.keys() | joined["dataset_entry"].keys() <= set(re.findall(r"\w+", section))
