"""What a packaging job ships, run as a device would: our files and three libraries, no AWS."""

from __future__ import annotations

import base64
import http.client
import json
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from relook.detection.model import Model
from relook.detection.package import GRAPH_FILE, ModelPackage
from relook.detection.regions import Regions
from relook.learning.training import train
from relook.lookout.component import component_zip
from relook.lookout.result import write_result
from tests.unit.foreign import quick_backbone
from tests.unit.parts import classification_package, labeled_parts, part, part_png, png, segmentation_package

# -S leaves out the .pth files, and with them this repository; what is imported of ours comes out of the zip.
PRELUDE = """
import importlib.abc, runpy, sys
class NoAws(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"boto3", "botocore", "s3transfer", "aws_lambda_powertools", "aws_xray_sdk"}:
            raise ImportError(f"a device has no {name}")
sys.meta_path.insert(0, NoAws())
folder, *libraries = sys.argv[1].split(":")
sys.path[:0] = [folder, *libraries]
sys.argv[1:2] = []
runpy.run_module("relook.lookout.device", run_name="__main__", alter_sys=True)
"""


@contextmanager
def running(folder: Path) -> Iterator[http.client.HTTPConnection]:
    """The unpacked component at work, and a connection to it."""
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    path = ":".join([str(folder), *sorted(libraries)])
    command = [sys.executable, "-I", "-S", "-c", PRELUDE, path, "--model", str(folder / "model"), "--port", "0"]
    log = folder / "log.txt"
    with (
        log.open("w") as stderr,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("Listening at http://127.0.0.1:"), log.read_text()
            connection = http.client.HTTPConnection("127.0.0.1", int(line.rsplit(":", 1)[1]), timeout=30)
            yield connection
            connection.close()
        finally:
            process.terminate()


def unpack(data: bytes, folder: Path) -> Path:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[http.client.HTTPConnection]:
    """Version 7 of `plate`, whatever the package was called where it was trained."""
    folder = tmp_path_factory.mktemp("device")
    with running(unpack(component_zip(classification_package(), "plate", "7"), folder)) as connection:
        yield connection


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], dict[str, Any]]:
    wire_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, f"/2020-11-20{path}", body, wire_headers)
    answer = connection.getresponse()
    return answer.status, {k.lower(): v for k, v in answer.getheaders()}, json.loads(answer.read())


def detect(
    connection: http.client.HTTPConnection,
    body: bytes,
    *,
    model: str = "plate/models/7",
    content_type: str = "image/png",
) -> tuple[int, dict[str, str], dict[str, Any]]:
    return ask(connection, "POST", f"/projects/{model}/detect", body, Content_Type=content_type)


@pytest.mark.parametrize("is_scratched", [False, True])
def test_a_device_says_what_the_model_says(device: http.client.HTTPConnection, is_scratched: bool) -> None:
    image = part_png(1000, is_scratched=is_scratched)

    status, headers, answer = detect(device, image)

    assert (status, headers["content-type"]) == (200, "application/json")
    assert headers["x-amzn-requestid"]
    assert answer == {"DetectAnomalyResult": write_result(Model(classification_package()).detect(image))}
    assert set(answer["DetectAnomalyResult"]) == {"Source", "IsAnomalous", "Confidence"}


def test_a_segmentation_model_sends_types_and_mask(tmp_path: Path) -> None:
    image = part_png(1001, is_scratched=True)
    expected = write_result(Model(segmentation_package()).detect(image))

    with running(unpack(component_zip(segmentation_package(), "bracket", "1"), tmp_path)) as connection:
        status, _, answer = detect(connection, image, model="bracket/models/latest")

    result = answer["DetectAnomalyResult"]
    assert status == 200
    assert [each["Name"] for each in result["Anomalies"]] == ["background", "scratch"]
    assert base64.b64decode(result.pop("AnomalyMask")) == expected.pop("AnomalyMask")
    assert result == expected


def test_a_device_ignores_what_the_model_ignores(tmp_path: Path) -> None:
    regions = Regions.from_mask(png(Image.fromarray(np.arange(160)[None].repeat(120, axis=0) < 60)))
    images = labeled_parts(12, 0, with_masks=False)
    package = train(images, project="plate", version="1", backbone=quick_backbone(), regions=regions).package
    picture = np.array(part(1000)[0])
    picture[:, :58] = 0

    with running(unpack(component_zip(package, "plate", "7"), tmp_path)) as connection:
        answers = [detect(connection, png(Image.fromarray(each)))[2] for each in (picture, np.fliplr(picture))]

    assert answers[0] == {"DetectAnomalyResult": write_result(Model(package).detect(part_png(1000)))}
    assert [each["DetectAnomalyResult"]["IsAnomalous"] for each in answers] == [False, True]


def test_its_one_model_is_described_as_hosted(device: http.client.HTTPConnection) -> None:
    for version in ("7", "latest"):
        status, _, answer = ask(device, "GET", f"/projects/plate/models/{version}")
        assert status == 200
        assert answer["ModelDescription"] == {
            "ModelVersion": "7",
            "ModelArn": "arn:aws:lookoutvision:::model/plate/7",
            "Status": "HOSTED",
            "StatusMessage": "The model is running.",
        }


def test_other_content_types_are_refused_in_the_services_words(device: http.client.HTTPConnection) -> None:
    status, headers, answer = detect(device, part_png(1000), content_type="image/gif")

    assert (status, headers["x-amzn-errortype"]) == (400, "ValidationException")
    assert answer == {"Message": "content-type must be one of the following. image/jpeg, image/png"}


def test_a_content_type_is_needed(device: http.client.HTTPConnection) -> None:
    status, headers, answer = ask(device, "POST", "/projects/plate/models/7/detect", part_png(1000))

    assert (status, headers["x-amzn-errortype"]) == (400, "ValidationException")
    assert answer["Message"].startswith("ContentType is missing")


@pytest.mark.parametrize(
    ("body", "words"),
    [(b"", "0 bytes"), (b"not an image", "PNG"), (part_png(1000)[:200], "")],
)
def test_what_is_no_image_is_refused(device: http.client.HTTPConnection, body: bytes, words: str) -> None:
    status, headers, answer = detect(device, body)

    assert (status, headers["x-amzn-errortype"]) == (400, "ValidationException")
    assert words in answer["Message"]


@pytest.mark.parametrize(
    ("model", "resource"),
    [("other/models/7", ("PROJECT", "other")), ("plate/models/8", ("MODEL", "plate/8"))],
)
def test_other_models_are_not_found(device: http.client.HTTPConnection, model: str, resource: tuple[str, str]) -> None:
    status, headers, answer = detect(device, part_png(1000), model=model)

    assert (status, headers["x-amzn-errortype"]) == (404, "ResourceNotFoundException")
    assert (answer["ResourceType"], answer["ResourceId"]) == resource


@pytest.mark.parametrize("path", ["/projects", "/nothing"])
def test_other_operations_are_unknown(device: http.client.HTTPConnection, path: str) -> None:
    status, headers, _ = ask(device, "GET", path)

    assert (status, headers["x-amzn-errortype"]) == (404, "UnknownOperationException")


def test_an_operation_that_a_device_lacks_is_named(device: http.client.HTTPConnection) -> None:
    _, _, answer = ask(device, "GET", "/projects")

    assert answer["Message"] == "ListProjects is not for a device, which answers DetectAnomalies and DescribeModel"


def test_a_body_beyond_the_limit_is_refused_unread_and_the_connection_closed(
    device: http.client.HTTPConnection,
) -> None:
    device.putrequest("POST", "/2020-11-20/projects/plate/models/7/detect")
    device.putheader("Content-Type", "image/png")
    device.putheader("Content-Length", str(8 * 1024 * 1024 + 1))
    device.endheaders()
    answer = device.getresponse()

    assert (answer.status, answer.getheader("x-amzn-errortype")) == (400, "ValidationException")
    assert "8,388,609 bytes" in json.loads(answer.read())["Message"]
    assert answer.getheader("Connection") == "close"


@pytest.mark.parametrize("headers", [{"Transfer-Encoding": "chunked"}, {"Content-Length": "many"}])
def test_a_body_of_unknown_length_is_refused(device: http.client.HTTPConnection, headers: dict[str, str]) -> None:
    device.putrequest("POST", "/2020-11-20/projects/plate/models/7/detect")
    for name, value in headers.items():
        device.putheader(name, value)
    device.endheaders()
    answer = device.getresponse()

    assert (answer.status, answer.getheader("x-amzn-errortype")) == (400, "ValidationException")
    assert "Content-Length" in json.loads(answer.read())["Message"]


def test_a_damaged_model_is_named_at_the_start(tmp_path: Path) -> None:
    ModelPackage.write_folder(classification_package(), tmp_path)
    (tmp_path / GRAPH_FILE).write_bytes(b"other")
    command = [sys.executable, "-m", "relook.lookout.device", "--model", str(tmp_path)]

    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, cwd=Path(__file__).parents[3] / "functions"
    )

    assert done.returncode == 1
    assert done.stderr.startswith(f"{tmp_path}: {GRAPH_FILE} has SHA-256")
