"""`make setup` and `make clean` in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTALLED = (".venv/bin/.installed", "node_modules/.installed", "build/.installed")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout below a folder with a space in its name."""
    checkout = tmp_path / "my parts"
    shutil.copytree(ROOT / "local", checkout / "local", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, checkout)
    return checkout


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "PYTHON"))}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def other_python(folder: Path, version: str) -> Path:
    """A program that says it is that Python: what it is asked, it runs in ours with another `sys.version_info`."""
    major_minor = ", ".join(version.split(".")[:2])
    program = folder / f"python{version}"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nif sys.argv[1] == '-V':\n    print('Python {version}')\n"
        f"else:\n    sys.version_info = ({major_minor}, 0)\n    exec(sys.argv[2])\n"
    )
    program.chmod(0o755)
    return program


@pytest.mark.parametrize("version", ["3.10.13", "3.14.0"])
def test_another_python_is_refused_in_one_sentence(version: str, folder: Path) -> None:
    other_python(folder, version)
    (folder / "functions").mkdir()
    (folder / "functions" / "requirements.txt").touch()
    refused = make(folder, "setup", f"PYTHON=./python{version}")
    assert refused.returncode
    assert refused.stderr.splitlines()[0] == (
        f"Python 3.11, 3.12 or 3.13 is needed, and ./python{version} is another; try: make PYTHON=python3.11 setup"
    )
    assert not (folder / ".venv").exists()


def test_clean_leaves_what_was_checked_out(folder: Path) -> None:
    before = {path.relative_to(folder) for path in folder.rglob("*")}
    caches = [".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", "relook.egg-info", "local/__pycache__"]
    for name in [*caches, ".venv", "node_modules", "build", "cdk.out", "relook-pictures", ".relook/4599"]:
        (folder / name / "inside").mkdir(parents=True)
    cleaned = make(folder, "clean", f"PYTHON={sys.executable}")
    assert (cleaned.returncode, cleaned.stderr) == (0, "")
    assert {path.relative_to(folder) for path in folder.rglob("*")} == before


def test_clean_keeps_the_traces_of_a_local_aws_that_it_cannot_stop(folder: Path) -> None:
    (folder / ".relook" / "4599").mkdir(parents=True)
    cleaned = make(folder, "clean", "PYTHON=false")
    assert "the local AWS on port 4599 could not be stopped; .relook/4599 stays" in cleaned.stdout
    assert (folder / ".relook" / "4599").is_dir()


def test_a_venv_of_another_python_is_not_taken_for_the_one_that_is_asked_for(folder: Path) -> None:
    for name in ("functions/requirements.txt", "functions/training-requirements.txt", "infra/asset.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    for name in ("package.json", "package-lock.json", *INSTALLED):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    other_python(folder, "3.11.7").rename(folder / ".venv" / "bin" / "python")
    other_python(folder, "3.13.0")
    assert make(folder, "setup").returncode == 0
    refused = make(folder, "setup", "PYTHON=./python3.13.0")
    assert refused.returncode
    assert refused.stdout.strip() == ".venv has Python 3.11.7; to have another: make clean first"
