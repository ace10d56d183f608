"""The AWS emulator as a process: one per port, left running or stopped with everything it holds.

`.relook/<port>/` keeps its process id, its log and, while it runs, its temporary files.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO


class LocalCloudError(Exception):
    """The laptop's AWS cannot do what was asked; the message says why and what to do."""


class Emulator:
    """ministack on 127.0.0.1.

    Attributes:
        folder: what it keeps.
        log: everything it and its functions print.
    """

    def __init__(self, port: int, folder: Path) -> None:
        self.port = port
        self.folder = folder
        self.log = folder / "emulator.log"
        self._pid_file = folder / "pid"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and leave it running; does nothing when it runs already.

        Raises:
            LocalCloudError: the port is taken by another program, or it does not come up.
        """
        # Somebody who only looks holds the lock for a moment too.
        for _ in range(20):
            if (lock := self._try_lock(fcntl.LOCK_EX)) is not None:
                with lock:
                    self._spawn(lock)
                break
            if self._answers():
                break
            time.sleep(0.05)
        if not _wait(lambda: self.pid() is None or self._answers(), limit_s=30) or self.pid() is None:
            raise LocalCloudError(f"the emulator does not come up, see {self.log}")

    def stop(self) -> None:
        """Stop it, if it runs, with all its workers; remove its temporary files."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if (pid := self.pid()) is not None:
                with suppress(ProcessLookupError):
                    os.killpg(pid, number)
                _wait(lambda: self.pid() is None, limit_s=5)
        if self._process is not None:
            self._process.wait()
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)

    def reset(self) -> None:
        """Empty it: no stack, no data.

        Raises:
            LocalCloudError: it does not run.
        """
        if self.pid() is None:
            raise LocalCloudError(f"nothing to reset: no emulator runs on port {self.port}")
        self._ask("POST", "/_ministack/reset")

    def pid(self) -> int | None:
        """Its process, None when it does not run."""
        lock = self._try_lock(fcntl.LOCK_SH)
        if lock is None:
            return int(self._pid_file.read_text())
        lock.close()
        return None

    def _spawn(self, lock: IO[bytes]) -> None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                raise LocalCloudError(
                    f"port {self.port} is used by another program: stop that, or set RELOOK_LOCAL_PORT to a free one"
                )
        temporary = self.folder / "tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        env = {
            **neutral(os.environ),
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": "127.0.0.1",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "TMPDIR": str(temporary),
        }
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "local.front_door"],
                env=env,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Its own group: Ctrl-C is ours alone, and one signal reaches it with all its workers.
                start_new_session=True,
                # It holds the lock for as long as it lives.
                pass_fds=[lock.fileno()],
            )
        self._pid_file.write_text(str(self._process.pid))

    def _answers(self) -> bool:
        try:
            return self._ask("GET", "/_ministack/health") == HTTPStatus.OK
        except (OSError, HTTPException):
            return False

    def _ask(self, method: str, path: str) -> int:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, path)
            return connection.getresponse().status

    def _try_lock(self, kind: int) -> IO[bytes] | None:
        """The lock that a running emulator holds, or None when one does. Safer than a process id, which is reused."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = (self.folder / "lock").open("wb")
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return None
        return lock


def neutral(env: Mapping[str, str]) -> dict[str, str]:
    """An environment with nobody's AWS account, no import path but the functions' own, and no proxy to this machine."""
    kept = {name: value for name, value in env.items() if not name.startswith("AWS_") and name != "PYTHONPATH"}
    return {**kept, "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}


def _wait(condition: Callable[[], bool], *, limit_s: float) -> bool:
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
