"""`relook client-setup`: today's clients, and what is pasted into programs."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from botocore.loaders import Loader

from cli.clients import install, print_setup
from cli.stack import Stack
from relook.aws.clients import Clients

ENDPOINT = "http://127.0.0.1:4566/_aws/lambda-url/abc"


def stack() -> Stack:
    return Stack({"LookoutEndpoint": ENDPOINT}, Clients.of_emulator(ENDPOINT, "us-east-1"))


def test_today_s_boto3_knows_the_service_again(tmp_path: Path) -> None:
    setup = install(stack(), tmp_path, is_local=True)
    code = (
        "import boto3, json; c = boto3.client('lookoutvision', region_name='us-east-1');"
        "print(json.dumps([len(c.meta.service_model.operation_names), c.meta.endpoint_url,"
        "c.meta.service_model.signing_name, c.can_paginate('list_models')]))"
    )
    environment = {**os.environ, "AWS_DATA_PATH": str(tmp_path), "AWS_ENDPOINT_URL_LOOKOUTVISION": setup.endpoint_url}
    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout) == [22, ENDPOINT, "lambda", True]


@pytest.mark.parametrize("is_usual", [True, False])
def test_a_program_that_asks_for_regions_gets_the_deployment_s(
    is_usual: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(Loader, "CUSTOMER_DATA_PATH", str(tmp_path / ".aws" / "models"))
    monkeypatch.delenv("AWS_DATA_PATH", raising=False)
    setup = install(stack(), tmp_path / ".aws" / "models" if is_usual else tmp_path, is_local=True)
    exported = setup.lines["boto3"][0].partition("  #")[0].removeprefix("export AWS_DATA_PATH=")

    def regions(service: str) -> list[str]:
        available: list[str] = boto3.Session().get_available_regions(service)
        return available

    theirs = regions("s3")
    assert regions("lookoutvision") == []  # programs that did not ask for it keep botocore's own endpoints
    monkeypatch.setenv("AWS_DATA_PATH", exported)
    assert regions("lookoutvision") == ["us-east-1"]
    assert regions("s3") == theirs


def test_what_is_printed_can_be_pasted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    setup = install(stack(), tmp_path, is_local=True)
    print_setup(setup)
    printed = capsys.readouterr().out
    assert str(setup.models) in printed
    assert list(setup.lines) == ["boto3", "AWS CLI", "JavaScript", "Java", "Go"]
    for lines in setup.lines.values():
        assert all(line in printed for line in lines)
        assert ENDPOINT in "".join(lines)
    assert f"export AWS_DATA_PATH={tmp_path}" in setup.lines["AWS CLI"]
    assert any(f"list-projects --endpoint-url {ENDPOINT}" in line for line in setup.lines["AWS CLI"])
    assert any(line.startswith("export AWS_ENDPOINT_URL=http://127.0.0.1:4566 ") for line in setup.lines["boto3"])
    assert json.loads(json.dumps(setup.to_json()))["lines"] == setup.lines


def test_the_local_lines_hold_whatever_profile_the_shell_has(tmp_path: Path) -> None:
    *shell, _ = install(stack(), tmp_path, is_local=True).lines["boto3"]
    program = f"import boto3; print(boto3.client('lookoutvision', endpoint_url='{ENDPOINT}').meta.region_name)"
    script = "\n".join([*shell, shlex.join([sys.executable, "-c", program])])
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        environment = {**os.environ, name: "nobody-s"}
        pasted = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, check=False)
        assert pasted.stdout.strip() == "us-east-1", pasted.stderr


def test_the_usual_folder_needs_no_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("AWS_DATA_PATH", raising=False)
    install(stack(), tmp_path / ".aws" / "models", is_local=True)
    code = "import boto3; print(boto3.client('lookoutvision', region_name='us-east-1').meta.service_model.signing_name)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "lambda"
