"""A wrong environment gets one sentence that says what would be right, and none of it disturbs the local stage."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

import cli.main
from cli.output import CommandError
from cli.stages import connect
from local.cloud import LocalCloud, LocalCloudError
from relook.aws.clients import Clients


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Somebody's, with the profiles `line` and `test-bench`."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    config = tmp_path / "config"
    config.write_text("[profile line]\nregion = eu-west-1\n[profile test-bench]\nregion = us_east 1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    yield


KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (
            {"AWS_PROFILE": "lime"},
            "AWS_PROFILE is 'lime', which this machine does not know; expected one of line, test-bench: "
            "aws configure --profile NAME",
        ),
        (
            {"AWS_PROFILE": "line"},
            "There are no AWS credentials; set AWS_PROFILE to a profile that has some, or run: aws configure",
        ),
        (KEYS, "No AWS region is set; set AWS_DEFAULT_REGION to the one of the stack, such as us-east-1"),
        (
            {**KEYS, "AWS_PROFILE": "test-bench"},
            "There is no AWS region 'us_east 1'; set AWS_DEFAULT_REGION to the stack's, such as us-east-1",
        ),
        (
            {**KEYS, "AWS_DEFAULT_REGION": "eu-west-1", "AWS_ENDPOINT_URL": "localhost"},
            "Nothing answers at AWS_ENDPOINT_URL, which is 'localhost'; unset it to ask AWS itself",
        ),
        (
            {**KEYS, "AWS_DEFAULT_REGION": "eu-west-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
            "Nothing answers at AWS_ENDPOINT_URL, which is 'http://127.0.0.1:9'; unset it to ask AWS itself",
        ),
    ],
    ids=["profile", "credentials", "no region", "region", "no URL", "nobody there"],
)
def test_a_deployed_stack_that_cannot_be_asked(
    variables: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(CommandError) as raised:
        connect("dev")
    assert str(raised.value) == sentence


def test_a_stack_that_is_not_there_is_deployed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            error = "<Code>ValidationError</Code><Message>Stack with id Relook-dev does not exist</Message>"
            self.send_response(400)
            self.end_headers()
            self.wfile.write(f"<ErrorResponse><Error>{error}</Error></ErrorResponse>".encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the test says what went wrong."""

    server = HTTPServer(("127.0.0.1", 0), Nothing)
    endpoint = f"http://127.0.0.1:{server.server_port}"
    for name, value in {**KEYS, "AWS_DEFAULT_REGION": "eu-west-1", "AWS_ENDPOINT_URL": endpoint}.items():
        monkeypatch.setenv(name, value)
    with server, ThreadPoolExecutor() as pool:
        pool.submit(server.handle_request)
        with pytest.raises(CommandError) as raised:
            connect("dev")
    assert str(raised.value) == (
        "Stack Relook-dev cannot be found (DescribeStacks: ValidationError: Stack with id Relook-dev does not exist); "
        "deploy it with: make deploy STAGE=dev"
    )


def test_nobody_s_profile_disturbs_the_local_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = {
        "AWS_PROFILE": "lime",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL_S3": "http://elsewhere",
        "AWS_ACCESS_KEY_ID": "theirs",
    }
    for name, value in foreign.items():
        monkeypatch.setenv(name, value)
    s3 = Clients.of_emulator("http://127.0.0.1:4566", "us-east-1").s3
    assert (s3.meta.endpoint_url, s3.meta.region_name) == ("http://127.0.0.1:4566", "us-east-1")
    assert s3._request_signer._credentials.access_key == "test"


@pytest.mark.parametrize("port", ["abc", "0", "65536", "-1", "4566.0", "9" * 5000])
def test_a_port_that_is_none_is_named_with_one_that_is(
    port: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RELOOK_LOCAL_PORT", port)
    with pytest.raises(LocalCloudError) as raised:
        LocalCloud()
    expected = f"RELOOK_LOCAL_PORT is {port!r}; expected the number of a port, 1 to 65535, such as 4566"
    assert str(raised.value) == expected
    monkeypatch.setattr("sys.argv", ["relook", "results"])
    with pytest.raises(SystemExit) as ended:
        cli.main.run()
    assert (ended.value.code, capsys.readouterr().err.strip()) == (1, f"error: {expected}")


def test_a_port_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELOOK_LOCAL_PORT", "4599")
    assert LocalCloud().endpoint_url == "http://127.0.0.1:4599"
    monkeypatch.delenv("RELOOK_LOCAL_PORT")
    assert LocalCloud().endpoint_url == "http://127.0.0.1:4566"


def test_the_demo_says_so_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("RELOOK_LOCAL_PORT", "[bold]")
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(Path(cli.main.__file__).with_name("demo.py")), run_name="__main__")
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("error: RELOOK_LOCAL_PORT is '[bold]'; expected the number of a port")
