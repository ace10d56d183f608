"""AWS's SDKs for Java and Go, each the last that has the service, in a program of their users.

The programs beside this file call `setup`, which is made of the lines that `relook client-setup` prints. Maven and Go
keep what they download and compile where they always do, so that only a machine's first run takes minutes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.clients import install
from cli.stack import Stack
from local.cloud import LocalCloud
from relook.aws.clients import Clients as AwsClients
from relook.aws.table import Table
from relook.lookout import service_model
from tests.contract.clients import HERE, INSTALLED, JAVASCRIPT_VERSION
from tests.contract.conftest import Clients
from tests.contract.front_door import opened
from tests.unit.parts import part_png, register_hosted, segmentation_package

pytestmark = pytest.mark.slow

_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
    # Programs that end within seconds: to compile them well takes longer than they run.
    "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}


@dataclass(frozen=True)
class Compiled:
    """A program's sources, and how they become a command.

    Attributes:
        tools: that the machine must have.
        build: a folder with the sources -> the command that runs the program.
        setup: file and text of `setup`, made of imports and statements.
    """

    language: str
    tools: tuple[str, ...]
    build: Callable[[Path], list[str]]
    setup: tuple[str, str]


def _maven(folder: Path) -> list[str]:
    _run(["mvn", "--batch-mode", "--quiet", "compile"], folder)
    built = folder / "target"
    return ["java", "-cp", f"{built / 'classes'}:{(built / 'classpath').read_text()}", "Inspect"]


def _go(folder: Path) -> list[str]:
    _run(["go", "build", "-o", "inspect", "."], folder)
    return [str(folder / "inspect")]


_JAVA_SETUP = "{imports}\nclass Setup {{ static LookoutVisionClient client() {{\n{statements}\nreturn client; }} }}\n"
_GO_SETUP = (
    "package main\n{imports}\nfunc setup() *lookoutforvision.LookoutForVision {{\n{statements}\nreturn client\n}}\n"
)
PROGRAMS = (
    Compiled("Java", ("java", "javac", "mvn"), _maven, ("src/main/java/Setup.java", _JAVA_SETUP)),
    Compiled("Go", ("go",), _go, ("setup.go", _GO_SETUP)),
)


@pytest.fixture(params=PROGRAMS, ids=lambda program: program.language)
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., list[str]]:
    """Builds the program for an endpoint, and runs it; the lines it printed."""
    compiled: Compiled = request.param
    missing = [tool for tool in compiled.tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"no {' and no '.join(missing)} on this machine: the {compiled.language} client was not run")

    def run(endpoint: str, *arguments: str) -> list[str]:
        sources = tmp_path / "program"
        shutil.copytree(HERE / compiled.language.lower(), sources)
        lines = pasted(compiled.language, endpoint, tmp_path)
        imports = [line for line in lines if line.startswith("import ")]
        name, text = compiled.setup
        statements = "\n".join(lines[len(imports) :])
        (sources / name).write_text(text.format(imports="\n".join(imports), statements=statements))
        return _run([*compiled.build(sources), *arguments], tmp_path).splitlines()

    return run


def test_a_program_against_the_api_in_this_process(program: Callable[..., list[str]], tmp_path: Path) -> None:
    with opened() as door:
        register_hosted(door.registry, door.cloud.s3, door.settings.models_bucket, "part", segmentation_package())
        inspects(program, door.endpoint, tmp_path)
        assert {signed.split("/", 2)[2] for signed in door.signed} == {"us-east-1/lambda/aws4_request"}


@pytest.mark.integration
def test_a_program_against_the_local_cloud(
    program: Callable[..., list[str]], cloud: LocalCloud, tmp_path: Path
) -> None:
    outputs = cloud.status().outputs
    registry = Table(cloud.clients.dynamodb, outputs["RegistryTable"])
    name = f"compiled-{tmp_path.name.replace('[', '-').replace(']', '')}"
    register_hosted(registry, cloud.clients.s3, outputs["ModelsBucket"], name, segmentation_package())
    inspects(program, outputs["LookoutEndpoint"], tmp_path, name)


def inspects(program: Callable[..., list[str]], endpoint: str, folder: Path, project: str = "part") -> None:
    """Starts, detects, lists, meets an error and stops, as boto3 sees the same."""
    photo = folder / "photo.png"
    photo.write_bytes(part_png(1001, is_scratched=True))
    boto3 = service_model.client(AwsClients.of_emulator(endpoint, "us-east-1"), endpoint)
    model = {"ProjectName": project, "ModelVersion": "1"}
    result: dict[str, Any] = boto3.detect_anomalies(**model, Body=photo.read_bytes(), ContentType="image/png")[
        "DetectAnomalyResult"
    ]
    assert result["IsAnomalous"] is True
    boto3.stop_model(**model)
    detected = f"true {result['Confidence']:.6f} background,scratch {len(result['AnomalyMask'])}"
    assert program(endpoint, project, str(photo)) == [
        "start STARTING_HOSTING",
        "f1 0.0",  # of a model that no anomalies were there to measure
        f"bytes {detected}",
        f"path {detected}",
        "model 1",
        "error 404 MODEL",
        "stop STOPPING_HOSTING",
    ]
    assert boto3.describe_model(**model)["ModelDescription"]["Status"] == "TRAINED"


def test_the_lines_for_javascript_sign_for_a_function_url(clients: Clients, tmp_path: Path) -> None:
    clients[f"javascript-{JAVASCRIPT_VERSION}"]  # installs it
    code = "\nconst { ListProjectsCommand: List } = await import('@aws-sdk/client-lookoutvision');"
    code += "console.log((await client.send(new List({}))).Projects.length);"
    with opened() as door:
        lines = "\n".join(pasted("JavaScript", door.endpoint, tmp_path))
        node = ["node", "--input-type=module", "--eval", lines + code]
        assert _run(node, INSTALLED / f"javascript-{JAVASCRIPT_VERSION}") == "0\n"
        assert [signed.split("/", 2)[2] for signed in door.signed] == ["us-east-1/lambda/aws4_request"]


def pasted(client: str, endpoint: str, folder: Path) -> list[str]:
    """What `relook client-setup` prints for a client."""
    stack = Stack({"LookoutEndpoint": endpoint}, AwsClients.of_emulator(endpoint, "us-east-1"))
    return install(stack, folder / "models", is_local=True).lines[client]


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **_ENVIRONMENT}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
