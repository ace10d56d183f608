"""Clients of Lookout for Vision that nobody here wrote, each installed as it was released and run as it is.

Each lives in a folder of its own under build/clients, installed when a test first needs it, and runs in a process of
its own, because this one has today's boto3. A small driver beside this file passes calls to it and answers back.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from relook.lookout.service_model import write_models

HERE = Path(__file__).parent
INSTALLED = HERE.parents[1] / "build" / "clients"
JAVASCRIPT_VERSION = json.loads((HERE / "javascript" / "package.json").read_text())["dependencies"][
    "@aws-sdk/client-lookoutvision"
]

# All that each needs, so that nothing is resolved: the versions of its time.
_OF_ITS_TIME = (
    "botocore==1.40.60",
    "s3transfer==0.14.0",
    "jmespath==1.0.1",
    "python-dateutil==2.9.0.post0",
    "six==1.17.0",
    "urllib3==2.5.0",
)
_BOTO3 = ("boto3==1.40.60", *_OF_ITS_TIME)
_AWSCLI = (
    "awscli==1.42.60",
    *_OF_ITS_TIME,
    "docutils==0.19",
    "PyYAML==6.0.3",
    "colorama==0.4.6",
    "rsa==4.7.2",
    "pyasn1==0.6.1",
)


class CallError(Exception):
    """The service's error, as the client reports it.

    Attributes:
        is_modeled: the client raised the error's own class; None, like the status, where the client does not say.
        members: of the error's body and headers, as far as the client gives them.
    """

    def __init__(
        self,
        code: str,
        message: str,
        is_modeled: bool | None = None,
        status: int | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.is_modeled = is_modeled
        self.status = status
        self.members = members


class Client:
    """One running client.

    Args:
        name: as tests show it.
        command: starts its driver.
        env: beyond what all clients get.
    """

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], home: Path) -> None:
        self.name = name
        given = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**given, **env}, cwd=home
        )
        self.version: str = self._read()["ready"]

    def close(self) -> None:
        """End it."""
        with self._process:  # closes the pipes, at which the driver ends
            pass

    def ask(self, endpoint: str, operation: str, members: Mapping[str, Any], attempts: int, page_size: int = 0) -> Any:
        """One call: its output, or its pages where there is a page size.

        Raises:
            CallError: the service answered with an error.
        """
        assert self._process.stdin is not None
        call = {
            "endpoint": endpoint,
            "operation": operation,
            "input": members,
            "attempts": attempts,
            "page_size": page_size,
        }
        self._process.stdin.write(json.dumps(call, default=_tagged) + "\n")
        self._process.stdin.flush()
        answer = self._read()
        if "error" in answer:
            raise CallError(**answer["error"])
        assert "unexpected" not in answer, answer["unexpected"]
        return answer["pages"] if page_size else answer["output"]

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"{self.name} ended with {self._process.wait()}"
        answer: dict[str, Any] = json.loads(line)
        return answer


@dataclass
class Caller:
    """A client that talks to one endpoint; times are seconds since 1970, bytes base64 text.

    Attributes:
        attempts: at each call, as the client's own setting has it.
        called: the operations that were.
    """

    client: Client
    endpoint: str
    attempts: int = 1

    def __post_init__(self) -> None:
        self.called: set[str] = set()

    def __call__(self, operation: str, **members: Any) -> dict[str, Any]:
        """Call an operation with members by their API names.

        Raises:
            CallError: the service answered with an error.
        """
        self.called.add(operation)
        output: dict[str, Any] = self.client.ask(self.endpoint, operation, members, self.attempts)
        return output

    def all_of(self, operation: str, result_key: str, page_size: int, **members: Any) -> list[Any]:
        """What the client's own paginator yields."""
        self.called.add(operation)
        pages = self.client.ask(self.endpoint, operation, members, self.attempts, page_size)
        return [each for page in pages for each in page.get(result_key, [])]


def released_boto3(home: Path) -> Client:
    """The last boto3 that had the service."""
    folder = _pip_installed("boto3-1.40.60", _BOTO3)
    return Client("boto3 1.40.60", _isolated("python_client.py", folder), {}, home)


def released_command_line(home: Path) -> Client:
    """The AWS command line of the same day."""
    return Client("awscli 1.42.60", _isolated("command_line_client.py", command_line()), {}, home)


def todays_boto3(home: Path) -> Client:
    """The boto3 that this repository pins, which knows the service from our model alone."""
    write_models(home / "models")
    command = [sys.executable, "-I", str(HERE / "python_client.py")]
    return Client("today's boto3", command, {"AWS_DATA_PATH": str(home / "models")}, home)


def released_javascript(home: Path) -> Client:
    """The last JavaScript client."""
    folder = _installed(f"javascript-{JAVASCRIPT_VERSION}", _npm_ci)
    return Client("JavaScript", ["node", str(HERE / "javascript" / "client.mjs"), str(folder)], {}, home)


CLIENTS: Mapping[str, Callable[[Path], Client]] = {
    "boto3-1.40.60": released_boto3,
    "awscli-1.42.60": released_command_line,
    "boto3-today": todays_boto3,
    f"javascript-{JAVASCRIPT_VERSION}": released_javascript,
}


def command_line() -> Path:
    """The folder with the AWS command line's packages."""
    return _pip_installed("awscli-1.42.60", _AWSCLI)


def released_models() -> Path:
    """The folder with the service model of the last botocore that had one."""
    return _pip_installed("boto3-1.40.60", _BOTO3) / "botocore" / "data" / "lookoutvision" / "2020-11-20"


def _isolated(driver: str, folder: Path) -> list[str]:
    return [sys.executable, "-I", "-S", str(HERE / driver), str(folder)]


def _pip_installed(name: str, requirements: Sequence[str]) -> Path:
    def install(folder: Path) -> None:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--target", str(folder), *requirements], check=True)

    return _installed(name, install)


def _npm_ci(folder: Path) -> None:
    folder.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / "javascript" / name, folder)
    subprocess.run(["npm", "ci", "--silent"], cwd=folder, check=True)


def _installed(name: str, install: Callable[[Path], None]) -> Path:
    """The folder of that name, filled once by whichever process asks first; a half-finished one never has the name."""
    folder, unfinished = INSTALLED / name, INSTALLED / f"{name}.unfinished"
    INSTALLED.mkdir(parents=True, exist_ok=True)
    with unfinished.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            shutil.rmtree(unfinished, ignore_errors=True)
            install(unfinished)
            unfinished.rename(folder)
    return folder


def _tagged(value: Any) -> dict[str, Any]:
    if isinstance(value, datetime):
        return {"$time": value.timestamp()}
    return {"$bytes": base64.b64encode(value).decode()}
