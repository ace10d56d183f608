"""The functions' zip assets: dependencies for the stage's runtime, pruned, and our sources. No Docker.

There are two, because training needs what detection should not carry through a cold start.

Dependencies are installed once per lock file and target, below `build/`; after `python -m infra.asset local dev`
every synth of those stages works offline.
"""

from __future__ import annotations

import compileall
import hashlib
import json
import py_compile
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from infra.config import ConfigError, Stage, StageConfig

ROOT = Path(__file__).parents[1]
SIZE_LIMIT_MB = 200  # Lambda refuses 250 MB unzipped; the rest is kept free.


class Contents(StrEnum):
    """Which of the two; each has its lock file in `functions/`."""

    FUNCTIONS = "functions"
    TRAINING = "training"

    @property
    def lock(self) -> str:
        """The lock file's name."""
        return "requirements.txt" if self is Contents.FUNCTIONS else "training-requirements.txt"


class AssetError(Exception):
    """The asset cannot be built; the message says why and what to do."""


@dataclass(frozen=True)
class Asset:
    """A zip file for Lambda.

    Attributes:
        hash: of what it is made from: equal hashes mean equal content.
        size_mb: unzipped, in the 10^6 bytes of Lambda's limit.
    """

    path: Path
    hash: str
    size_mb: float


def build_asset(
    config: StageConfig,
    contents: Contents = Contents.FUNCTIONS,
    *,
    sources: Path = ROOT / "functions",
    build: Path = ROOT / "build",
) -> Asset:
    """Build, or find again, an asset of this stage.

    Raises:
        AssetError: the dependencies cannot be installed, or the asset is larger than SIZE_LIMIT_MB.
    """
    dependencies = _install_dependencies(config, lock=sources / contents.lock, build=build)
    files = [*sources.glob("*.py"), *(path for path in (sources / "relook").rglob("*") if path.is_file())]
    code = {str(file.relative_to(sources)): file for file in sorted(files) if file.parent.name != "__pycache__"}
    hash_ = _sha256(dependencies.name, *(part for name, file in code.items() for part in (name, file.read_bytes())))
    prefix = f"{contents}-{config.runtime}-{config.architecture}-"
    path = build / f"{prefix}{hash_[:16]}.zip"
    if not path.exists():
        for older in build.glob(f"{prefix}*.zip"):
            older.unlink(missing_ok=True)
        with _replacing(path) as draft, tempfile.TemporaryDirectory() as folder:
            for name, file in code.items():
                target = Path(folder) / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
            _compile(Path(folder), config)
            shutil.copyfile(dependencies, draft)
            _zip(Path(folder), draft, config)
    asset = Asset(path, hash_, _unzipped_mb(path))
    if asset.size_mb > SIZE_LIMIT_MB:
        raise AssetError(f"{path.name} is {asset.size_mb:.0f} MB unzipped, above the limit of {SIZE_LIMIT_MB} MB")
    return asset


# Services the functions call. sts: for credentials from a profile. xray: its SDK makes a client when it is imported.
_SERVICES = frozenset({"dynamodb", "events", "lambda", "s3", "sagemaker-runtime", "sqs", "sts", "xray"})

# Shipped by the wheels, never used by the functions: glob -> reason.
_UNUSED = {
    "bin": "command line tools",
    "**/tests": "the libraries' own tests",
    "**/*.pyi": "types for checkers",
    "wrapt-stubs": "types for checkers",
    "numpy/distutils": "builds extensions",
    "numpy/f2py": "wraps Fortran",
    "onnx/backend/test": "the library's own tests",
    "onnxruntime/quantization": "prepares models, on a developer's machine",
    "onnxruntime/tools": "prepares models, on a developer's machine",
    "onnxruntime/transformers": "prepares models, on a developer's machine",
    "PIL/_avif.*": "a format that is refused",
    "pillow.libs/libavif*": "a format that is refused",
}

# Amazon Linux 2023, under python3.12 and later, has glibc 2.34.
_MANYLINUX = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")


def _install_dependencies(config: StageConfig, *, lock: Path, build: Path) -> Path:
    # This module is part of the key: what it prunes decides what is in the folder.
    key = _sha256(
        *map(Path.read_bytes, _locks(lock)), Path(__file__).read_bytes(), *_target(config), str(_runs_here(config))
    )
    path = build / f"dependencies-{key[:16]}.zip"
    if path.exists():
        return path
    with _replacing(path) as draft, tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--no-compile", "--only-binary=:all:", f"--target={folder}", f"--requirement={lock}"]
        command += _target(config) if config.stage != Stage.LOCAL else []
        pip = subprocess.run(command, capture_output=True, text=True, check=False)
        if pip.returncode:
            errors = [line for line in pip.stderr.splitlines() if line.startswith("ERROR")] or [pip.stderr.strip()]
            raise AssetError(
                f"cannot install {lock.name} for {config.runtime} on {config.architecture}: {errors[-1]}. "
                f"This needs the network once: python -m infra.asset {config.stage}"
            )
        _prune(Path(folder))
        _compile(Path(folder), config)
        _zip(Path(folder), draft, config)
    return path


def _locks(lock: Path) -> list[Path]:
    """The lock file and those it includes."""
    included = [line.split()[1] for line in lock.read_text().splitlines() if line.startswith("-r ")]
    return [lock, *(each for name in included for each in _locks(lock.parent / name))]


def _target(config: StageConfig) -> list[str]:
    """pip's words for where the wheels must run; for the local stage, only the name of this very machine."""
    if config.stage == Stage.LOCAL:
        return [sysconfig.get_platform(), config.runtime]
    machine = {"arm64": "aarch64", "x86_64": "x86_64"}[config.architecture]
    version = config.runtime.removeprefix("python")
    return [f"--platform={tag}_{machine}" for tag in _MANYLINUX] + [
        "--implementation=cp",
        f"--python-version={version}",
    ]


def _runs_here(config: StageConfig) -> bool:
    return config.runtime == f"python{sys.version_info.major}.{sys.version_info.minor}"


def _prune(folder: Path) -> None:
    unused = [path for path in folder.glob("botocore/data/*") if path.is_dir() and path.name not in _SERVICES]
    unused += [path for pattern in _UNUSED for path in folder.glob(pattern)]
    for path in unused:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)  # it may have been inside a folder that is gone by now


def _compile(folder: Path, config: StageConfig) -> None:
    """Put bytecode beside the sources: /var/task is read-only, so Lambda would compile at every cold start.

    Only the runtime's own version can. Unchecked, because unzipping changes the times that Python would compare.
    """
    if _runs_here(config):
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        compileall.compile_dir(
            folder, quiet=2, maxlevels=20, stripdir=str(folder), prependdir="/var/task", invalidation_mode=mode
        )


def _zip(folder: Path, archive: Path, config: StageConfig) -> None:
    """Append every file of the folder, the same bytes whenever and wherever it is done."""
    # The local emulator unpacks it for every worker it starts, and nobody pays for sending it.
    compression = zipfile.ZIP_STORED if config.stage == Stage.LOCAL else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(archive, "a") as file:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix())
            entry.external_attr = 0o644 << 16
            file.writestr(entry, path.read_bytes(), compression)


def _unzipped_mb(archive: Path) -> float:
    with zipfile.ZipFile(archive) as file:
        return sum(entry.file_size for entry in file.infolist()) / 1e6


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A file that appears at `path` once it is whole, whoever else makes it at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        draft = Path(folder) / path.name
        yield draft
        draft.replace(path)


def _sha256(*parts: str | bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def _main(stages: list[str]) -> None:
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    for stage in stages:
        config = StageConfig.from_context({**context, "stage": stage}.get)
        hint = "" if _runs_here(config) else f"; without bytecode, for want of {config.runtime}: cold starts are slower"
        for contents in Contents:
            asset = build_asset(config, contents)
            print(f"{stage}: {asset.path.relative_to(ROOT)}, {asset.size_mb:.0f} MB unzipped{hint}")


if __name__ == "__main__":
    try:
        _main(sys.argv[1:])
    except (AssetError, ConfigError) as error:
        sys.exit(str(error))
