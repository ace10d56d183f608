"""The laptop's AWS starts, says how it is, and goes without a trace, however its user ends."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import cloud as cloud_module
from local.cloud import LocalCloud, LocalCloudError
from local.emulator import neutral
from tests.conftest import free_port
from tests.infra.conftest import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def cloud(port: int) -> Iterator[LocalCloud]:
    cloud = LocalCloud(port)
    yield cloud
    cloud.stop()
    shutil.rmtree(cloud.folder)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_it_runs_for_a_with_block_and_leaves_neither_process_nor_files(cloud: LocalCloud, port: int) -> None:
    with cloud.running():
        pid = cloud.status().pid
        assert pid is not None
        assert cloud.clients.s3.list_buckets()["Buckets"] == []
        assert (cloud.folder / "tmp").exists()
    assert cloud.status().pid is None
    assert is_free(port)
    assert not (cloud.folder / "tmp").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_it_stays_when_left_and_is_found_again_by_its_port(cloud: LocalCloud, port: int) -> None:
    cloud.start()
    pid = cloud.status().pid
    LocalCloud(port).start()
    assert LocalCloud(port).status().pid == pid
    LocalCloud(port).stop()
    assert cloud.status().pid is None


def test_reset_empties_it(cloud: LocalCloud) -> None:
    with cloud.running():
        cloud.clients.s3.create_bucket(Bucket="images")
        cloud.reset()
        assert cloud.clients.s3.list_buckets()["Buckets"] == []
    with pytest.raises(LocalCloudError, match="nothing to reset"):
        cloud.reset()


def test_what_somebody_else_runs_is_neither_used_nor_stopped(cloud: LocalCloud, port: int) -> None:
    cloud.start()
    with (
        pytest.raises(LocalCloudError, match=f"RELOOK_LOCAL_PORT={port} relook local down"),
        LocalCloud(port).running(),
    ):
        pytest.fail("it ran")
    assert cloud.status().pid is not None


def test_stopping_what_does_not_run_is_fine(cloud: LocalCloud) -> None:
    cloud.stop()
    assert cloud.status().pid is None


def test_a_port_that_another_program_has_is_refused(cloud: LocalCloud, port: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(LocalCloudError, match=f"port {port} is used by another program"):
            cloud.start()
    assert cloud.status().pid is None


def test_without_the_cdk_command_line_it_says_what_to_install(
    cloud: LocalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_module, "ROOT", tmp_path)
    with pytest.raises(LocalCloudError, match="npm ci"):
        cloud.deploy()


# Shells start background jobs with SIGINT ignored, and children inherit that.
USER = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from local.cloud import LocalCloud
with LocalCloud(int(sys.argv[1])).running() as cloud:
    print(cloud.status().pid, flush=True)
    exec(sys.argv[2])
"""


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_it_ends_when_its_user_is_ended(cloud: LocalCloud, port: int, end: signal.Signals) -> None:
    user = subprocess.Popen(
        [sys.executable, "-c", USER, str(port), "time.sleep(60)"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with user:
        assert user.stdout is not None
        assert int(user.stdout.readline()) == cloud.status().pid
        user.send_signal(end)
    assert user.returncode != 0
    assert cloud.status().pid is None


def test_it_ends_when_its_user_crashes(cloud: LocalCloud, port: int) -> None:
    crashed = subprocess.run(
        [sys.executable, "-c", USER, str(port), "1 / 0"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "ZeroDivisionError" in crashed.stderr
    assert cloud.status().pid is None


def test_nothing_of_the_user_s_own_account_reaches_it() -> None:
    mine = {
        "AWS_PROFILE": "mine",
        "AWS_CA_BUNDLE": "/ca.pem",
        "PYTHONPATH": "/src",
        "HTTPS_PROXY": "http://proxy",
        "A": "1",
    }
    assert neutral(mine) == {
        "HTTPS_PROXY": "http://proxy",
        "A": "1",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
