"""Imports flow one way.

errors <- {settings, events}; {errors, float32} <- {aws, detection}; detection <- {learning, quality};
{aws, events, detection, quality} <- registry <- {lookout, training, watching} <- handlers; lookout <- inspection.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FUNCTIONS = ROOT / "functions"
RELOOK = FUNCTIONS / "relook"
MODULES = sorted(FUNCTIONS.rglob("*.py"))
BESIDE = [path for name in ("infra", "local", "cli", "bench") for path in sorted((ROOT / name).rglob("*.py"))]
MAY_IMPORT = {
    "errors": set(),
    "float32": set(),
    "settings": {"errors"},
    "observability": set(),
    "aws": {"errors", "float32"},
    "events": {"errors"},
    "detection": {"errors", "float32"},
    "learning": {"errors", "float32", "detection"},
    "quality": {"errors", "detection"},
    "registry": {"errors", "float32", "events", "aws", "detection", "quality"},
    "lookout": {"errors", "float32", "settings", "observability", "aws", "detection", "registry"},
    "training": {"errors", "float32", "settings", "observability", "events", "aws", "detection", "quality", "registry"},
    "inspection": {
        "errors",
        "settings",
        "observability",
        "events",
        "aws",
        "detection",
        "quality",
        "registry",
        "lookout",
    },
    "watching": {"errors", "settings", "observability", "events", "aws", "quality", "registry"},
}

LEARNING_MAY_IMPORT = {
    "backbone": {"graph"},
    "estimators": {"graph", "backbone"},
    "extraction": {"graph", "data", "estimators"},
    "engine": {"graph", "estimators", "extraction"},
    "validation": {"graph", "data", "estimators", "extraction", "recipe"},
    "foreign": {"graph", "estimators"},
    "training": {"backbone", "data", "engine", "estimators", "extraction", "recipe", "validation"},
}
"""Within `learning`; what is not named, such as `graph` and `data`, imports no other of its folders."""


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


def folders(names: set[str]) -> set[str]:
    """Of `learning`."""
    return {name.split(".")[2] for name in names if name.startswith("relook.learning.")}


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
    if own in {"detection", "learning", "quality"}:
        assert not roots & {"aws_lambda_powertools", "os"}
    if own == "learning":
        folder = path.relative_to(RELOOK / "learning").parts[0].removesuffix(".py")
        assert folders(names) <= LEARNING_MAY_IMPORT.get(folder, set()) | {folder}


@pytest.mark.parametrize("path", [*MODULES, *BESIDE], ids=lambda path: str(path.relative_to(ROOT)))
def test_aws_s_library_stays_in_its_folder(path: Path) -> None:
    roots = {name.split(".")[0] for name in imported(path)}
    assert not roots & {"boto3", "botocore"} or path.is_relative_to(RELOOK / "aws")
    # Clients translate by themselves; a stream of SageMaker's is read outside of its call.
    translates = "relook.aws.errors.translated" in imported(path)
    assert not translates or path.is_relative_to(RELOOK / "aws") or path == RELOOK / "inspection" / "detect.py"


@pytest.mark.parametrize("path", sorted((ROOT / "local").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_laptop_s_aws_knows_no_command(path: Path) -> None:
    assert not {name.split(".")[0] for name in imported(path)} & {"cli", "bench", "tests"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(FUNCTIONS)))
def test_the_environment_is_read_in_one_place(path: Path) -> None:
    reads = {"os.environ", "os.getenv"} & {
        ast.unparse(node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)
    }
    assert not reads or path == RELOOK / "settings.py"


def test_every_folder_has_its_rule() -> None:
    assert {layer(path) for path in MODULES if path.parent != FUNCTIONS} - {"__init__"} == set(MAY_IMPORT)


def test_a_command_s_arguments_are_read_before_anything_heavy_is_loaded() -> None:
    heavy = "numpy", "PIL", "boto3", "botocore", "onnxruntime", "starlette"
    program = f"import sys, cli.main; print(*(each for each in {heavy} if each in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def public_functions(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Of a module or a class, with the methods of its public classes."""
    for each in ast.iter_child_nodes(node):
        if isinstance(each, ast.ClassDef) and not each.name.startswith("_"):
            yield from public_functions(each)
        elif isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and not each.name.startswith("_"):
            yield each


@pytest.mark.parametrize("path", [*MODULES, *BESIDE], ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_public_says_what_it_does(path: Path) -> None:
    silent = [each.name for each in public_functions(ast.parse(path.read_text())) if not ast.get_docstring(each)]
    assert not silent or path == RELOOK / "learning/graph/xp.py"  # namesakes of numpy's functions, which say it there


def test_every_import_that_is_allowed_is_made() -> None:
    made: dict[str, set[str]] = {own: set() for own in MAY_IMPORT}
    for path in MODULES:
        if path.parent != FUNCTIONS and (own := layer(path)) in made:
            made[own] |= layers(imported(path)) - {own, "learning"}
    assert made == MAY_IMPORT


NUMERIC = (ast.Tuple, ast.List, ast.Dict, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.expr_context)


def is_numeric(value: ast.expr) -> bool:
    """Numbers alone: what is computed from another constant has its reason."""
    return all(
        isinstance(node, NUMERIC) or (isinstance(node, ast.Constant) and isinstance(node.value, int | float))
        for node in ast.walk(value)
    )


def unexplained(text: str) -> list[str]:
    """Numeric constants of a module with no comment beside them, above them or above their block, and no docstring."""
    lines, body = text.splitlines(), ast.parse(text).body
    bare = []
    for node, following in zip(body, [*body, None][1:], strict=True):
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None or not is_numeric(node.value):
            continue
        own = lines[node.lineno - 1 : node.end_lineno]
        block = next((line for line in range(node.lineno - 1, 0, -1) if not lines[line - 1]), 0)
        has_comment = "#" in "".join(own) or any(lines[at].startswith("#") for at in (block, node.lineno - 2))
        if not has_comment and not (isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)):
            bare.append(own[0])
    return bare


def test_a_number_without_its_reason_is_seen() -> None:
    text = '# Pixels\nA = 1\nB = 2\n\nC = 3  # why\nD = -4.0\n"""Why."""\nE = (5, 6)\nF = A // 2\n# Why\nG: int = 7\n'
    assert unexplained(text) == ["E = (5, 6)"]


def test_every_number_has_its_reason_beside_it() -> None:
    modules = [*MODULES, *(path for path in BESIDE if "bench" not in path.parts)]
    bare = {str(path.relative_to(ROOT)): unexplained(path.read_text()) for path in modules}
    assert not {name: constants for name, constants in bare.items() if constants}


def test_nothing_is_named_found() -> None:
    """A name says what was found."""
    places = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in [*MODULES, *BESIDE, *sorted((ROOT / "tests").rglob("*.py"))]
        if re.search(r"\bfound\b", text := path.read_text())
        for node in ast.walk(ast.parse(text))
        if (isinstance(node, ast.Name) and node.id == "found") or (isinstance(node, ast.arg) and node.arg == "found")
    ]
    assert not places


@pytest.mark.parametrize("path", [*MODULES, *BESIDE], ids=lambda path: str(path.relative_to(ROOT)))
def test_whether_a_type_is_the_background_is_told_in_one_place(path: Path) -> None:
    text = path.read_text()
    assert path.name == "result.py" or not re.search(r"\.(?:lower|upper|casefold)\(\) == BACKGROUND\b", text)
