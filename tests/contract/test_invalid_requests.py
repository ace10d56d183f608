"""Whatever breaks one limit of the contract is answered with a ValidationException that names it, and never with a 500.

Sent as raw HTTP, since clients refuse to send some of it.
"""

from __future__ import annotations

import base64
import json
from io import BytesIO
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from relook.lookout.contract import OPERATIONS, Operation
from relook.registry.projects import create_project
from tests.contract.front_door import Answer, FrontDoor
from tests.contract.requests import Case, cases, send, valid
from tests.unit.parts import classification_package, part_png, register_hosted

pytestmark = pytest.mark.slow

PROJECT = "any"
few = hypothesis_settings(max_examples=6, deadline=None)
some = hypothesis_settings(max_examples=40, deadline=None)

PAGED = [operation for operation in OPERATIONS.values() if operation.result_key]
IN_BODY = [operation for operation in OPERATIONS.values() if operation.method in ("POST", "PATCH")]


@pytest.fixture(scope="module", autouse=True)
def one_of_everything(door: FrontDoor) -> None:
    """A project with a dataset and a hosted model, so that requests fail for what is wrong with them."""
    register_hosted(door.registry, door.cloud.s3, "models", PROJECT, classification_package())
    made = send(door, OPERATIONS["CreateDataset"], {"ProjectName": PROJECT, "DatasetType": "train"})
    assert made.status == 202, made


def is_refused(answer: Answer, place: str) -> None:
    assert (answer.status, answer.error) == (400, "ValidationException"), answer
    assert set(answer.body) == {"Message"}
    assert place in answer.body["Message"]


@pytest.mark.parametrize("case", list(cases()), ids=str)
@few
@given(data=st.data())
def test_one_broken_limit_is_named(door: FrontDoor, case: Case, data: st.DataObject) -> None:
    broken = data.draw(case.broken)
    is_refused(send(door, case.operation, {**valid(case.operation), case.member: broken}), case.place)


@pytest.mark.parametrize("operation", list(OPERATIONS.values()), ids=lambda operation: operation.name)
def test_the_same_requests_unbroken_are_not_refused_for_their_form(door: FrontDoor, operation: Operation) -> None:
    elsewhere = {
        "ProjectName": f"elsewhere-{operation.name}",  # that no other of these requests has made
        "ResourceArn": valid(operation).get("ResourceArn", "").replace("any", "no"),
    }
    answer = send(door, operation, {**valid(operation), **elsewhere})
    assert answer.status in (200, 202, 404), answer


@pytest.mark.parametrize("operation", PAGED, ids=lambda operation: operation.name)
@some
@given(
    token=st.text("abcXYZ019/+=", min_size=1, max_size=60)
    | st.binary(min_size=1).map(lambda b: base64.b64encode(b).decode())
)
@example(token="=")
@example(token=base64.b64encode(b"projects\n").decode())
@example(token=base64.b64encode(b"models\nx").decode())
@example(token=base64.b64encode(b"\n").decode())
def test_a_page_token_that_no_list_gave_is_refused(door: FrontDoor, operation: Operation, token: str) -> None:
    values = {name: value for name, value in valid(operation).items() if name in ("ProjectName", "DatasetType")}
    is_refused(send(door, operation, {**values, "NextToken": token}), "NextToken")


def test_a_page_token_of_another_list_is_refused(door: FrontDoor) -> None:
    for name in ("token-a", "token-b"):
        create_project(door.registry, name)
    token = send(door, OPERATIONS["ListProjects"], {"MaxResults": "1"}).body["NextToken"]
    is_refused(send(door, OPERATIONS["ListModels"], {"ProjectName": PROJECT, "NextToken": token}), "NextToken")


@pytest.mark.parametrize(
    "name", ["CreateProject", "CreateDataset", "UpdateDatasetEntries", "CreateModel", "StartModel", "TagResource"]
)
@few
@given(
    body=st.binary(min_size=1, max_size=50) | st.sampled_from([b"[]", b"7", b'"text"', b"null", b"{", b"[" * 20_000])
)
def test_a_body_that_is_no_json_object_is_refused(door: FrontDoor, name: str, body: bytes) -> None:
    operation = OPERATIONS[name]
    path = f"/2020-11-20{operation.path}"
    for place in ("projectName", "datasetType", "modelVersion", "resourceArn"):
        path = path.replace("{" + place + "}", {"datasetType": "train", "modelVersion": "1"}.get(place, PROJECT))
    if not body.strip():  # nothing is an empty object, and something needed is missing
        return
    is_refused(door.send(operation.method, path, body, {"Content-Type": "application/json"}), "body")


def detect(door: FrontDoor, body: bytes | None, content_type: str) -> Answer:
    values = {"ProjectName": PROJECT, "ModelVersion": "1", "Body": body, "ContentType": content_type}
    return send(door, OPERATIONS["DetectAnomalies"], values)


NEARLY = [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a" + bytes(50), b"BM" + bytes(60), b"RIFF....WEBP"]


@pytest.mark.parametrize("content_type", ["image/png", "image/jpeg"])
@some
@given(
    body=st.binary(max_size=400) | st.sampled_from(NEARLY) | st.binary(max_size=99).map(lambda b: part_png(1)[:60] + b)
)
def test_what_is_no_image_is_refused(door: FrontDoor, content_type: str, body: bytes) -> None:
    answer = detect(door, body, content_type)
    assert (answer.status, answer.error) == (400, "ValidationException"), answer
    assert answer.body["Message"]


@some
@given(data=st.data())
def test_a_damaged_image_is_refused_or_inspected(door: FrontDoor, data: st.DataObject) -> None:
    image = bytearray(data.draw(st.sampled_from([part_png(1000), jpeg()])))
    for place in data.draw(st.lists(st.integers(0, len(image) - 1), max_size=4)):
        image[place] ^= 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.integers(1, len(image)))
    assert detect(door, bytes(image[:cut]), "image/png").status in (200, 400)


def test_an_image_of_another_size_or_format_is_refused(door: FrontDoor) -> None:
    assert "160" in detect(door, encoded("PNG", (161, 120)), "image/png").body["Message"]
    for image in (encoded("GIF", (160, 120)), encoded("BMP", (160, 120)), encoded("PNG", (32, 32))):
        assert detect(door, image, "image/png").error == "ValidationException"


@pytest.mark.parametrize("content_type", ["image/gif", "text/plain", "application/json", "image", "png", "image/png2"])
def test_another_content_type_is_refused_with_the_original_words(door: FrontDoor, content_type: str) -> None:
    answer = detect(door, part_png(1000), content_type)
    assert answer.error == "ValidationException"
    assert answer.body["Message"] == "content-type must be one of the following. image/jpeg, image/png"


nasty = st.sampled_from(["\ud800", "\0", "", "\x7f", "a" * 300, "..", "../../x", "%00", "'; --", "{}", "\u202e", "🧨"])


@some
@given(data=st.data())
def test_free_text_is_answered_whatever_it_is(door: FrontDoor, data: st.DataObject) -> None:
    """The members that may hold anything: none of it is a failure of ours."""
    text = nasty | st.text(min_size=1, max_size=40)
    s3_object = {
        "Bucket": data.draw(st.sampled_from(["data", "...", "gone", "a_b"])),
        "Key": data.draw(st.sampled_from(["a", "..", "a//b"])),
    }
    if data.draw(st.booleans()):
        s3_object["VersionId"] = data.draw(text)
    greengrass = {
        "CompilerOptions": data.draw(text),
        "TargetDevice": "jetson_xavier",
        "S3OutputLocation": {"Bucket": "data"},
        "ComponentName": "part",
    }
    asked: dict[str, dict[str, Any]] = {
        "CreateDataset": {"DatasetType": "test", "DatasetSource": {"GroundTruthManifest": {"S3Object": s3_object}}},
        "StartModelPackagingJob": {"ModelVersion": "1", "Configuration": {"Greengrass": greengrass}},
        "TagResource": {"ResourceArn": data.draw(text).encode(errors="replace").decode(), "Tags": []},
    }
    for name, values in asked.items():
        answer = send(door, OPERATIONS[name], {"ProjectName": PROJECT, **values})
        assert answer.status < 500, (name, values, answer)
    send(door, OPERATIONS["DeleteDataset"], {"ProjectName": PROJECT, "DatasetType": "test"})


@some
@given(
    lines=st.binary(min_size=1, max_size=200)
    | st.lists(
        st.sampled_from(
            [
                '{"source-ref": "s3://data/a.png"}',
                '{"source-ref": 7}',
                '{"source-ref": "s3://"}',
                '{"source-ref": "s3://data/b.png", "x-metadata": []}',
                '{"source-ref": "s3://data/c.png", "l": 1, "l-metadata": {"type": "groundtruth/image-classification"}}',
                '{"source-ref": "s3://data/d.png", "m-ref": 1, "m-ref-metadata": {"internal-color-map": {"0": 5}}}',
                '{"source-ref": "\\ud800"}',
                '{"source-ref": "s3://data/e.png", "n": 1e999}',
                "{}",
                "[]",
                "",
                "null",
            ]
        ),
        min_size=1,
        max_size=5,
    ).map(lambda lines: "\n".join(lines).encode())
)
def test_dataset_entries_are_taken_or_refused_whatever_they_are(door: FrontDoor, lines: bytes) -> None:
    names = {"ProjectName": PROJECT, "DatasetType": "train"}
    changes = {**names, "Changes": base64.b64encode(lines).decode()}
    assert send(door, OPERATIONS["UpdateDatasetEntries"], changes).status in (202, 400)
    listed = send(door, OPERATIONS["ListDatasetEntries"], names)
    assert listed.status == 200, listed
    assert all(isinstance(json.loads(entry), dict) for entry in listed.body["DatasetEntries"])
    door.cloud.s3.put_object(Bucket="data", Key="fuzzed.manifest", Body=lines)
    source = {"GroundTruthManifest": {"S3Object": {"Bucket": "data", "Key": "fuzzed.manifest"}}}
    test = {"ProjectName": PROJECT, "DatasetType": "test"}
    assert send(door, OPERATIONS["CreateDataset"], {**test, "DatasetSource": source}).status in (202, 400)
    send(door, OPERATIONS["DeleteDataset"], test)


def jpeg() -> bytes:
    return encoded("JPEG", (160, 120))


def encoded(format: str, size: tuple[int, int]) -> bytes:
    stream = BytesIO()
    Image.new("RGB", size, (150, 150, 150)).save(stream, format)
    return stream.getvalue()
