"""Imports flow one way: errors, settings <- detection <- registry <- {inspection, lookout} <- handlers."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

FUNCTIONS = Path(__file__).parents[2] / "functions"
MODULES = sorted(FUNCTIONS.rglob("*.py"))
ORDER = ["errors", "settings", "observability", "events", "detection", "registry", "lookout", "inspection"]
MAY_IMPORT = {
    "errors": set(),
    "settings": {"errors"},
    "observability": set(),
    "events": {"errors"},
    "detection": {"errors"},
    "registry": {"errors", "detection"},
    "lookout": {"errors", "settings", "observability", "events", "detection", "registry"},
    "inspection": {"errors", "settings", "observability", "events", "detection", "registry", "lookout"},
}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where things come from"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def layer(path: Path) -> str:
    return path.relative_to(FUNCTIONS / "relook").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(FUNCTIONS)))
def test_imports_flow_one_way(path: Path) -> None:
    names = imported(path)
    roots = {name.split(".")[0] for name in names}
    assert not roots & {"infra", "local", "cli", "tests", "bench"}
    if path.parent == FUNCTIONS or (path.parent == FUNCTIONS / "relook" and path.name == "__init__.py"):
        return
    own = layer(path)
    used = {name.split(".")[1] for name in names if name.startswith("relook.")}
    assert used <= MAY_IMPORT[own] | {own}
    if own == "detection":
        assert not roots & {"boto3", "botocore", "aws_lambda_powertools", "os"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(FUNCTIONS)))
def test_the_environment_is_read_in_one_place(path: Path) -> None:
    reads = {"os.environ", "os.getenv"} & {
        ast.unparse(node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)
    }
    assert not reads or path == FUNCTIONS / "relook" / "settings.py"


def test_every_folder_has_its_rule() -> None:
    assert {layer(path) for path in MODULES if path.parent != FUNCTIONS} - {"__init__"} == set(MAY_IMPORT)
