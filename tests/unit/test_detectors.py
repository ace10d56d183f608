"""The two remote detectors, against a local HTTP server that answers as theirs do."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from relook.aws.table import to_attributes
from relook.detection.result import Anomaly
from relook.errors import (
    DetectorUnavailableError,
    ImageRejectedError,
    ModelNotHostedError,
    RejectionReason,
    ResourceNotFoundError,
)
from relook.inspection.detect import Detector, LookoutVisionDetector, SageMakerDetector
from relook.lookout.result import read_result
from relook.registry.projects import HostedModel
from relook.settings import DetectorKind
from tests.account import Cloud, forget_process_state
from tests.unit.parts import part_png

MODEL = HostedModel("bracket", "3", "")
MASK = b"\x89PNG mask"
# The documented example of a segmentation model's answer, mask replaced.
RESULT = {
    "Source": {"Type": "direct"},
    "IsAnomalous": True,
    "Confidence": 0.9996814727783203,
    "Anomalies": [
        {"Name": "background", "PixelAnomaly": {"TotalPercentageArea": 0.998999834060669, "Color": "#FFFFFF"}},
        {"Name": "scratch", "PixelAnomaly": {"TotalPercentageArea": 0.0004034999874420464, "Color": "#7ED321"}},
        {"Name": "dent", "PixelAnomaly": {"TotalPercentageArea": 0.0005966666503809392, "Color": "#4DD8FF"}},
    ],
    "AnomalyMask": base64.b64encode(MASK).decode(),
}


@dataclass
class Server:
    """Answers every request with the same status, headers and body, and remembers what it was asked."""

    url: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def answer(self, body: Any, status: int = 200, **headers: str) -> None:
        self.body, self.status = json.dumps(body).encode(), status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(state.status)
            for name, value in {"Content-Type": "application/json", **state.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(state.body)))
            self.end_headers()
            self.wfile.write(state.body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        state.url = f"http://127.0.0.1:{listening.server_port}"
        yield state
        listening.shutdown()
        thread.join()


@pytest.fixture(params=list(DetectorKind)[1:])
def detector(request: pytest.FixtureRequest, server: Server, monkeypatch: pytest.MonkeyPatch) -> Detector:
    """Each remote detector in turn, pointed at the server."""
    for name, value in {"ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    if request.param is DetectorKind.LOOKOUTVISION:
        return LookoutVisionDetector(server.url, "3")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", server.url)
    return SageMakerDetector("defects", "3")


def answer_of(detector: Detector, result: Any) -> Any:
    return {"DetectAnomalyResult": result} if isinstance(detector, LookoutVisionDetector) else result


def test_a_segmentation_answer_is_understood(detector: Detector, server: Server) -> None:
    server.answer(answer_of(detector, RESULT))
    result = detector.detect(detector.choose_model("bracket"), b"image bytes", "image/png")

    assert (result.is_anomalous, result.confidence) == (True, 0.9996814727783203)
    assert result.anomalies is not None
    assert result.anomalies[0] == Anomaly("background", 0.998999834060669, "#FFFFFF")
    assert [anomaly.name for anomaly in result.anomalies] == ["background", "scratch", "dent"]
    assert result.mask_png == MASK
    assert result.heat_map_png is None

    ((path, headers, body),) = server.requests
    assert body == b"image bytes"
    assert headers["content-type"] == "image/png"
    if isinstance(detector, LookoutVisionDetector):
        assert path == "/2020-11-20/projects/bracket/models/3/detect"
        # A Lambda function URL verifies signatures for the service `lambda`.
        assert "/us-east-1/lambda/aws4_request" in headers["authorization"]
    else:
        assert path == "/endpoints/defects/invocations"


def test_a_classification_answer_is_understood(detector: Detector, server: Server) -> None:
    bare = {name: RESULT[name] for name in ("Source", "IsAnomalous", "Confidence")}
    server.answer(answer_of(detector, bare))
    result = detector.detect(MODEL, b"image", "image/jpeg")
    assert (result.anomalies, result.mask_png) == (None, None)


def test_an_image_beyond_the_front_door_s_limit_is_final(detector: Detector, server: Server) -> None:
    server.answer({"Message": "too large"}, 413, x_amzn_errortype="RequestEntityTooLargeException")
    with pytest.raises(ImageRejectedError, match="too large for the remote detector"):
        detector.detect(MODEL, b"image", "image/png")


def test_a_name_no_project_can_have_is_not_asked_for(detector: Detector) -> None:
    with pytest.raises(ResourceNotFoundError):
        detector.choose_model("x" * 300)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_trouble_on_the_other_side_is_transient(detector: Detector, server: Server, status: int) -> None:
    server.answer({"Message": "later"}, status, x_amzn_errortype="ThrottlingException")
    with pytest.raises(DetectorUnavailableError) as caught:
        detector.detect(MODEL, b"image", "image/png")
    assert caught.value.is_transient


def test_no_answer_at_all_is_transient(detector: Detector, server: Server) -> None:
    server.answer({}, 200)
    server.body = b"<html>not json</html>"
    with pytest.raises(DetectorUnavailableError):
        detector.detect(MODEL, b"image", "image/png")


@pytest.mark.parametrize(
    ("detector", "error_type", "status", "expected"),
    [
        (DetectorKind.LOOKOUTVISION, "ValidationException", 400, ImageRejectedError),
        (DetectorKind.LOOKOUTVISION, "ResourceNotFoundException", 404, ResourceNotFoundError),
        (DetectorKind.LOOKOUTVISION, "ConflictException", 409, ModelNotHostedError),
        (DetectorKind.LOOKOUTVISION, "AccessDeniedException", 403, DetectorUnavailableError),
        (DetectorKind.SAGEMAKER, "ModelError", 424, DetectorUnavailableError),
    ],
    indirect=["detector"],
)
def test_errors_are_told_apart(
    detector: Detector, server: Server, error_type: str, status: int, expected: type[Exception]
) -> None:
    body = {"Message": "told why", "ResourceId": "bracket", "ResourceType": "PROJECT", "OriginalStatusCode": 500}
    server.answer(body, status, x_amzn_errortype=error_type)
    with pytest.raises(expected):
        detector.detect(MODEL, b"image", "image/png")


@pytest.mark.parametrize("detector", [DetectorKind.SAGEMAKER], indirect=True)
@pytest.mark.parametrize("original", [408, 429])
def test_a_sagemaker_container_that_is_busy_is_transient(detector: Detector, server: Server, original: int) -> None:
    server.answer({"Message": "busy", "OriginalStatusCode": original}, 424, x_amzn_errortype="ModelError")
    with pytest.raises(DetectorUnavailableError):
        detector.detect(MODEL, b"image", "image/png")


@pytest.mark.parametrize("detector", [DetectorKind.SAGEMAKER], indirect=True)
def test_a_sagemaker_container_that_refuses_the_image_is_final(detector: Detector, server: Server) -> None:
    body = {"Message": "cannot identify image", "OriginalStatusCode": 415}
    server.answer(body, 424, x_amzn_errortype="ModelError")
    with pytest.raises(ImageRejectedError, match="cannot identify image") as caught:
        detector.detect(MODEL, b"image", "image/png")
    assert caught.value.reason is RejectionReason.REFUSED_BY_DETECTOR


@pytest.mark.parametrize("confidence", [0.95, 0.9, 0.9378743361326908, 1e-7, 1.0])
def test_any_confidence_fits_dynamodb(confidence: float) -> None:
    result = read_result({"IsAnomalous": True, "Confidence": confidence})
    stored = to_attributes({"confidence": result.confidence})["confidence"]["N"]
    assert float(Decimal(stored)) == result.confidence == pytest.approx(confidence, abs=1e-6)


def test_the_guide_s_spelling_of_background_is_accepted() -> None:
    background = {"Name": "BACKGROUND", "PixelAnomaly": {"TotalPercentageArea": 1.0, "Color": "#ffffff"}}
    result = read_result({"IsAnomalous": False, "Confidence": 0.5, "Anomalies": [background]})
    assert result.anomalies == (Anomaly("background", 1.0, "#ffffff"),)


@pytest.mark.parametrize("kind", list(DetectorKind)[1:])
def test_the_pipeline_with_a_remote_detector(
    cloud: Cloud, server: Server, kind: DetectorKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_lookout = kind is DetectorKind.LOOKOUTVISION
    variables = {
        "DETECTOR": kind,
        "REMOTE_ENDPOINT": server.url if is_lookout else "defects",
        "REMOTE_MODEL_VERSION": "3",
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": server.url,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    forget_process_state()
    server.answer({"DetectAnomalyResult": RESULT} if is_lookout else RESULT)

    assert cloud.deliver(cloud.upload("bracket/a.png", part_png(1))) == []
    (record,) = cloud.records()
    assert record["model_version"] == "3"
    assert [each["name"] for each in record["anomalies"]] == ["scratch", "dent"]
    assert "heat_map_uri" not in record
