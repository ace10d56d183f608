"""The commands that README.md and docs/lookout.md print, in their order, on generated pictures."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.cloud import ROOT, LocalCloud
from tests.contract.clients import command_line
from tests.contract.samples import classification_line
from tests.unit.foreign import anomalib_metadata, anomalib_onnx, feature_onnx
from tests.unit.parts import part

pytestmark = pytest.mark.integration

_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.M | re.S)
# The local cloud is up already, and stays for other tests; the console serves until somebody ends it.
_NOT_HERE = re.compile(r"make |source |aws s3 |RELOOK_STAGE=|relook local |\.venv/bin/relook console ")
_INSTALLED = {
    "relook": [sys.executable, "-c", "from cli.main import run; run()"],
    "aws": [sys.executable, "-I", "-S", "-c", "import sys; sys.path.insert(0, sys.argv.pop(1));"
            "from awscli.clidriver import main; sys.exit(main())"],
}  # fmt: skip
ANOMALOUS = 3


def commands(page: str) -> Iterator[str]:
    """Each command in a block of shell, without its comment; and each within the text that names the pictures."""
    text = (ROOT / page).read_text().replace("\\\n", " ")
    for block in re.finditer(rf"{_BLOCK.pattern}|`(relook [^`]*(?:photos/|new-picture)[^`]*)`", text, re.M | re.S):
        for line in (block[1] or block[2]).splitlines():
            command = re.split(r"\s+#", line)[0]
            if command and not _NOT_HERE.match(command):
                yield command


@dataclass
class Shell:
    """A user's, in a folder with the pictures.

    Attributes:
        home: the user's, where there is no AWS account.
        port: of the local AWS.
    """

    folder: Path
    home: Path
    port: int

    def __post_init__(self) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.environment = kept | {
            "HOME": str(self.home),
            "RELOOK_LOCAL_PORT": str(self.port),
            "PYTHONPATH": f"{ROOT}:{ROOT / 'functions'}",
            "COLUMNS": "200",
        }

    def start(self, command: str) -> subprocess.Popen[str]:
        program, *arguments = shlex.split(command)
        packages = [str(command_line())] if program == "aws" else []
        return subprocess.Popen(
            [*_INSTALLED[program], *packages, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, command: str, code: int = 0) -> str:
        """What it prints, if it ends as it should."""
        with self.start(command) as process:
            out, err = process.communicate()
        assert process.returncode == code, f"{command}\n{out}{err}"
        return out


@pytest.fixture
def shell(cloud: LocalCloud, tmp_path: Path) -> Shell:
    """With photos/cup as the README says, one more picture, which is bad, and two models of others."""
    normal, home = tmp_path / "photos" / "cup" / "normal", tmp_path / "home"
    normal.mkdir(parents=True)
    home.mkdir()
    for seed in range(12):
        part(seed)[0].save(normal / f"{seed}.jpg", quality=95)
    part(1001, is_scratched=True)[0].save(tmp_path / "new-picture.jpg", quality=95)
    (tmp_path / "resnet18.onnx").write_bytes(feature_onnx())
    (tmp_path / "model.onnx").write_bytes(anomalib_onnx())
    (tmp_path / "metadata.json").write_bytes(anomalib_metadata())
    return Shell(tmp_path, home, cloud.port)


def test_the_readme(shell: Shell) -> None:
    ran = []
    for command in commands("README.md"):
        ran.append(command)
        if command == "relook events tail":
            assert "Anomaly Detected" in next_event(shell, command)
        elif command.startswith(("relook drop", "relook detect", "relook explain")):
            assert "ANOMALOUS" in shell.run(command, code=ANOMALOUS)
        else:
            printed = shell.run(command)
            if command == "relook results --anomalous":
                assert "cup/new-picture.jpg" in printed
            if command == "relook train cup photos/cup":
                assert "cup/1" in printed and "hosted" in printed
    assert {"relook train", "relook drop", "relook results", "relook events"} <= {
        " ".join(command.split()[:2]) for command in ran
    }


def next_event(shell: Shell, command: str) -> str:
    """The first line that `relook events tail` prints while pictures are dropped."""
    with shell.start(command) as tail:
        assert tail.stdout is not None
        os.set_blocking(tail.stdout.fileno(), False)
        try:
            for _ in range(20):
                shell.run("relook drop cup new-picture.jpg", code=ANOMALOUS)
                if line := tail.stdout.readline():
                    return line
        finally:
            tail.terminate()
    raise AssertionError("no event came")


def test_coming_from_lookout_for_vision(shell: Shell, cloud: LocalCloud) -> None:
    s3, bucket = cloud.clients.s3, "my-datasets"
    s3.create_bucket(Bucket=bucket)
    lines = []
    for picture in sorted((shell.folder / "photos" / "cup" / "normal").iterdir()):
        s3.put_object(Bucket=bucket, Key=picture.name, Body=picture.read_bytes())
        lines.append(classification_line(f"s3://{bucket}/{picture.name}", is_anomalous=False))
    s3.put_object(Bucket=bucket, Key="mug.manifest", Body="\n".join(lines).encode())
    shell.environment |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    shell.environment["AWS_DEFAULT_REGION"] = "us-east-1"

    answers: dict[str, dict[str, Any]] = {}
    for printed in commands("docs/lookout.md"):
        command = printed.replace("cup", "mug")  # README's is another one
        if command.startswith("export "):
            name, value = command.removeprefix("export ").split("=")
            assert value == "..."
            shell.environment[name] = answers["client-setup"]["endpoint_url"]
        elif command == "relook client-setup":
            answers["client-setup"] = json.loads(shell.run(f"{command} --json"))
        else:
            operation = command.split()[2]
            answers[operation] = json.loads(shell.run(command))
            if operation == "describe-model":
                answers[operation] = once_trained(shell, command)
    assert answers["create-project"]["ProjectMetadata"]["ProjectName"] == "mug"
    assert answers["create-dataset"]["DatasetMetadata"]["Status"] == "CREATE_IN_PROGRESS"
    assert answers["create-model"]["ModelMetadata"]["Status"] == "TRAINING"
    assert answers["describe-model"]["ModelDescription"]["Status"] == "TRAINED"
    assert answers["start-model"] == {"Status": "STARTING_HOSTING"}
    result = answers["detect-anomalies"]["DetectAnomalyResult"]
    assert (result["Source"], result["IsAnomalous"]) == ({"Type": "direct"}, True)
    assert answers["stop-model"] == {"Status": "STOPPING_HOSTING"}


def once_trained(shell: Shell, command: str) -> dict[str, Any]:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        answer: dict[str, Any] = json.loads(shell.run(command))
        if answer["ModelDescription"]["Status"] != "TRAINING":
            return answer
    raise AssertionError("still training")
