"""`relook client-setup`: today's clients, and what is pasted into programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.clients import install, print_setup
from cli.stack import Stack

ENDPOINT = "http://127.0.0.1:4566/_aws/lambda-url/abc"


def stack() -> Stack:
    return Stack({"LookoutEndpoint": ENDPOINT}, lambda service: pytest.fail(f"asked for {service}"))


def test_today_s_boto3_knows_the_service_again(tmp_path: Path) -> None:
    setup = install(stack(), tmp_path, is_local=True)
    code = (
        "import boto3, json; c = boto3.client('lookoutvision', region_name='us-east-1');"
        "print(json.dumps([len(c.meta.service_model.operation_names), c.meta.endpoint_url,"
        "c.meta.service_model.signing_name, c.can_paginate('list_models')]))"
    )
    environment = {**os.environ, "AWS_DATA_PATH": str(tmp_path), "AWS_ENDPOINT_URL_LOOKOUTVISION": setup.endpoint_url}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(found.stdout) == [22, ENDPOINT, "lambda", True]


def test_what_is_printed_can_be_pasted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    setup = install(stack(), tmp_path, is_local=True)
    print_setup(setup)
    printed = capsys.readouterr().out
    assert str(setup.models) in printed
    assert list(setup.lines) == ["boto3", "AWS CLI", "JavaScript", "Java"]
    for lines in setup.lines.values():
        assert all(line in printed for line in lines)
        assert ENDPOINT in "".join(lines)
    assert f"export AWS_DATA_PATH={tmp_path}" in setup.lines["AWS CLI"]
    assert any(line.startswith("export AWS_ENDPOINT_URL=http://127.0.0.1:4566 ") for line in setup.lines["boto3"])
    assert json.loads(json.dumps(setup.to_json()))["lines"] == setup.lines


def test_the_usual_folder_needs_no_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    setup = install(stack(), tmp_path / ".aws" / "models", is_local=True)
    assert (setup.models / "service-2.json").is_file()
    assert not any("AWS_DATA_PATH" in line for lines in setup.lines.values() for line in lines)
