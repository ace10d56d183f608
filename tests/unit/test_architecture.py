"""Imports flow one way: errors <- detection <- {learning, registry} <- {inspection, training, lookout} <- handlers."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

FUNCTIONS = Path(__file__).parents[2] / "functions"
RELOOK = FUNCTIONS / "relook"
MODULES = sorted(FUNCTIONS.rglob("*.py"))
MAY_IMPORT = {
    "errors": set(),
    "settings": {"errors"},
    "observability": set(),
    "aws": {"errors", "detection"},
    "events": {"errors", "aws"},
    "detection": {"errors"},
    "learning": {"errors", "detection"},
    "registry": {"errors", "aws", "detection"},
    "quality": {"errors", "detection"},
    "lookout": {"errors", "settings", "observability", "events", "aws", "detection", "registry"},
    "training": {"errors", "settings", "observability", "events", "aws", "detection", "registry"},
    "inspection": {"errors", "settings", "observability", "events", "aws", "detection", "registry", "lookout"},
}


def names_of(nodes: Iterable[ast.AST]) -> set[str]:
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where things come from"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imported(path: Path) -> set[str]:
    """Everything that is imported anywhere in a module."""
    return names_of(ast.walk(ast.parse(path.read_text())))


def imported_at_once(path: Path) -> set[str]:
    """What importing a module imports: nothing inside a function, nothing for type checkers alone."""
    return names_of(_run_at_once(ast.parse(path.read_text())))


def _run_at_once(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    for child in ast.iter_child_nodes(node):
        yield from _run_at_once(child)


def layer(path: Path) -> str:
    return path.relative_to(RELOOK).parts[0].removesuffix(".py")


def layers(names: set[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith("relook.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(FUNCTIONS)))
def test_imports_flow_one_way(path: Path) -> None:
    names = imported(path)
    roots = {name.split(".")[0] for name in names}
    assert not roots & {"infra", "local", "cli", "tests", "bench"}
    assert not roots & {"scipy", "sklearn", "torch"}, "of the size of a whole function; tests may have them"
    if path.parent == FUNCTIONS or (path.parent == RELOOK and path.name == "__init__.py"):
        assert "learning" not in layers(names)
        return
    own = layer(path)
    lent = {"learning"} if own == "training" else set()  # when it is called, so that importing it costs no engine
    assert layers(names) <= MAY_IMPORT[own] | {own} | lent
    assert not lent & layers(imported_at_once(path))
    if own in {"detection", "learning"}:
        assert not roots & {"boto3", "botocore", "aws_lambda_powertools", "os"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(FUNCTIONS)))
def test_the_environment_is_read_in_one_place(path: Path) -> None:
    reads = {"os.environ", "os.getenv"} & {
        ast.unparse(node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)
    }
    assert not reads or path == RELOOK / "settings.py"


def test_every_folder_has_its_rule() -> None:
    assert {layer(path) for path in MODULES if path.parent != FUNCTIONS} - {"__init__"} == set(MAY_IMPORT)
