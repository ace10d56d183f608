"""What all tests of a run share, and the processes that run them side by side: threads, models, one local cloud."""

from __future__ import annotations

import gc
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from functools import cache

# Read by numpy's BLAS when it is loaded, so before any import of it: processes share the cores, not each its threads.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1", VECLIB_MAXIMUM_THREADS="1")

import botocore.session
import pytest
from botocore.loaders import create_loader
from xdist.scheduler import LoadScopeScheduling

from local import cloud as cloud_module
from local.cloud import ROOT, LocalCloud
from tests.once import RUN_FOLDER

# A loader keeps the service models that it has read, and every session makes one of its own; to read them takes longer
# than most tests.
botocore.session.create_loader = cache(create_loader)


def pytest_configure(config: pytest.Config) -> None:
    """The first process of a run makes the folder that all share; those it starts inherit the variable."""
    if not hasattr(config, "workerinput"):
        os.environ[RUN_FOLDER] = tempfile.mkdtemp(prefix="relook-tests-")


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(RUN_FOLDER), ignore_errors=True)


def pytest_collection_finish() -> None:
    """What is loaded by now stays; to look through it for garbage every few tests takes a tenth of them."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)  # of objects made since, not 700: moto makes thousands a call


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are cores where the local cloud is: whoever has it waits more than it computes."""
    return (os.cpu_count() or 1) + ("not integration" not in config.option.markexpr)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that need the local cloud come first and other slow ones next: short ones fill the gaps at the end."""
    items.sort(key=lambda item: [item.get_closest_marker(name) is None for name in ("integration", "slow")])


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """Side by side, a file's tests stay together with their fixtures, and those of a folder that need the local cloud:
    one for what real clients ask, one for what people do."""
    return _Files(config, log)


class _Files(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file.rpartition("/")[0] if _needs_cloud(file) else file


@cache
def _needs_cloud(file: str) -> bool:
    return "pytest.mark.integration" in (ROOT / file).read_text()


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """Started and deployed by the first test that asks for it, as from a checkout below a folder with a space."""
    checkout = tmp_path_factory.mktemp("my project") / "relook"
    checkout.symlink_to(ROOT)
    python = checkout.with_name("python")
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cloud_module, "ROOT", checkout)
        cloud = LocalCloud(free_port())
        with cloud.running():
            patch.setattr(sys, "executable", str(python))
            cloud.deploy()
            patch.undo()
            yield cloud
    shutil.rmtree(cloud.folder)
