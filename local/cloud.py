"""A laptop's AWS: the emulator, and the stack deployed to it by the stock CDK command line."""

from __future__ import annotations

import atexit
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from infra.names import stack_name
from local.emulator import Emulator, LocalCloudError, neutral
from relook.errors import AwsError

if TYPE_CHECKING:
    from relook.aws.clients import Clients

__all__ = ["CloudStatus", "LocalCloud", "LocalCloudError"]

ROOT = Path(__file__).parents[1]
STACK = stack_name("local")


@dataclass(frozen=True)
class CloudStatus:
    """What is up.

    Attributes:
        pid: the emulator's process, None when it is down.
        outputs: the deployed stack's, empty when there is none.
    """

    pid: int | None
    outputs: Mapping[str, str]


class LocalCloud:
    """One laptop's AWS, told from others by its port.

    Args:
        port: RELOOK_LOCAL_PORT, or else `usual_port`, unless given.
    Raises:
        LocalCloudError: RELOOK_LOCAL_PORT is no port.
    """

    def __init__(self, port: int | None = None, *, usual_port: int = 4566) -> None:
        self.port = port = port or _port(os.environ.get("RELOOK_LOCAL_PORT") or str(usual_port))
        self.endpoint_url = f"http://127.0.0.1:{port}"
        self.folder = ROOT / ".relook" / str(port)
        self._emulator = Emulator(port, self.folder)

    @contextmanager
    def running(self) -> Iterator[LocalCloud]:
        """Start it for the length of a `with` block, and stop it however the block or the process ends.

        Raises:
            LocalCloudError: the port is taken, be it by another of these, or the emulator does not come up.
        """
        if self.status().pid is not None:
            raise LocalCloudError(
                f"port {self.port} is used by a local AWS that runs already: stop that with "
                f"RELOOK_LOCAL_PORT={self.port} relook local down, or set RELOOK_LOCAL_PORT to a free one"
            )
        atexit.register(self.stop)
        # By default these end Python without `finally` and without `atexit`.
        before = {number: signal.signal(number, _exit) for number in (signal.SIGTERM, signal.SIGHUP)}
        try:
            self.start()
            yield self
        finally:
            self.stop()
            for number, handler in before.items():
                signal.signal(number, handler)
            atexit.unregister(self.stop)

    def start(self) -> None:
        """Start it and leave it running; does nothing when it runs already.

        Raises:
            LocalCloudError: the port is taken by another program, or the emulator does not come up.
        """
        self._emulator.start()

    def stop(self) -> None:
        """Stop it, if it runs, and forget all it holds but its logs."""
        self._emulator.stop()
        shutil.rmtree(self.folder / "cdk.out", ignore_errors=True)

    def status(self) -> CloudStatus:
        """Whether it runs, and what is deployed."""
        pid = self._emulator.pid()
        return CloudStatus(pid, self._outputs() if pid is not None else {})

    def reset(self) -> None:
        """Empty it: no stack, no data, as after `start`.

        Raises:
            LocalCloudError: it does not run.
        """
        self._emulator.reset()

    def deploy(self, **context: str) -> Mapping[str, str]:
        """Deploy the local stage and return the stack's outputs.

        Args:
            context: fields of `StageConfig` that differ from the local stage's.
        Raises:
            LocalCloudError: the CDK command line is not installed, or the deployment failed.
        """
        cdk = ROOT / "node_modules" / ".bin" / "cdk"
        if not cdk.exists():
            raise LocalCloudError("the CDK command line is not installed: npm ci")
        self._bootstrap()
        command = [str(cdk), "deploy", STACK, "--app", shlex.join([sys.executable, "app.py"])]
        command += ["--output", str(self.folder / "cdk.out"), "--method", "direct", "--require-approval", "never"]
        for name, value in {"stage": "local", **context}.items():
            command += ["--context", f"{name}={value}"]
        env = {**neutral(os.environ), **_DEPLOYMENT, "AWS_ENDPOINT_URL": self.endpoint_url}
        deployment = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        (self.folder / "deploy.log").write_text(deployment.stdout + deployment.stderr)
        if deployment.returncode:
            raise LocalCloudError(f"the deployment failed:\n{deployment.stderr[-2000:]}")
        return self._outputs()

    @cached_property
    def clients(self) -> Clients:
        """Of this cloud, whatever account the environment is set up for."""
        from relook.aws.clients import Clients

        return Clients.of_emulator(self.endpoint_url, _REGION)

    def _bootstrap(self) -> None:
        """The two things of `cdk bootstrap` that a deployment looks for; the rest takes ten seconds to make."""
        from relook.aws.bucket import Bucket

        Bucket(self.clients.s3, f"cdk-hnb659fds-assets-{_ACCOUNT}-{_REGION}").create()
        self.clients.ssm.put_parameter(
            Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String", Overwrite=True
        )

    def _outputs(self) -> Mapping[str, str]:

        try:
            stacks = self.clients.cloudformation.describe_stacks(StackName=STACK)["Stacks"]
        except AwsError as error:  # "does not exist" has no code of its own
            if error.is_transient:
                raise
            return {}
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stacks[0].get("Outputs", [])}
        return {name: self._reachable(value) for name, value in outputs.items()}

    def _reachable(self, value: str) -> str:
        """A function URL as this cloud answers it: its own name is known to AWS's name servers alone."""
        match = _FUNCTION_URL.fullmatch(value)
        return f"{self.endpoint_url}/_aws/lambda-url/{match[1]}" if match else value


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= 65535):
        raise LocalCloudError(f"RELOOK_LOCAL_PORT is {text!r}; expected the number of a port, 1 to 65535, such as 4566")
    return int(text)


_FUNCTION_URL = re.compile(r"https://(\w+)\.lambda-url\.[\w-]+\.on\.aws/?")
_ACCOUNT = "000000000000"
_REGION = "us-east-1"

_DEPLOYMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": _REGION,
    "AWS_DEFAULT_REGION": _REGION,
    "CDK_DISABLE_CLI_TELEMETRY": "true",
    # No check of the template against AWS's schemas, which takes seconds: the tests and `cdk synth` make it.
    "CDK_VALIDATION": "false",
    "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20",
}


def _exit(number: int, _: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
