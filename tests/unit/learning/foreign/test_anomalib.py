"""anomalib's exports, registered as they are: the verdict is theirs, to float precision."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from PIL import Image

from relook.detection.model import Model
from relook.detection.package import ModelPackage
from relook.detection.session import Session
from relook.detection.view import View
from relook.errors import PackageError
from relook.learning.foreign import anomalib
from relook.learning.foreign.anomalib import package_export
from tests.unit.foreign import (
    UINT8,
    Sketch,
    anomalib_metadata,
    anomalib_model,
    anomalib_onnx,
    normalized,
    with_outside_weights,
)
from tests.unit.parts import part_png

PARTS = [part_png(1000), part_png(1001, is_scratched=True), part_png(1002), part_png(1003, is_scratched=True)]


def package(export: bytes, **options: Any) -> ModelPackage:
    return package_export(export, project="part", version="7", **options)


def said_by_anomalib(export: bytes, data: bytes, batch: int = 1) -> dict[str, NDArray[np.float32]]:
    """The export's own outputs, asked as anomalib's inferencers do."""
    picture = Image.open(BytesIO(data)).convert("RGB").resize((80, 64), Image.Resampling.BILINEAR)
    image = np.asarray(picture, np.float32).transpose(2, 0, 1) / 255
    return Session(export, threads=1)(input=np.repeat(image[None], batch, axis=0))


@pytest.mark.parametrize(
    ("options", "batch"),
    [({}, 1), ({"size": None}, 1), ({"batch": 1}, 1), ({"batch": 2}, 2), ({"opset": 18, "batch": 2, "size": None}, 2)],
    ids=["fixed size", "open size", "batch of one", "batch of two", "anomalib 2.7"],
)
def test_the_verdict_is_anomalibs(options: dict[str, Any], batch: int) -> None:
    export = anomalib_onnx(**options)
    registered = package(export)
    view = registered.manifest.view
    assert view == View.stretched(64, 80)  # for an open size: what the pre-processing inside resizes to
    model = Model(registered)
    for data in PARTS:
        theirs = said_by_anomalib(export, data, batch)
        p = float(theirs["pred_score"][0, 0])
        assert 0.1 < p < 0.9, "a clipped score would prove little"
        result = model.detect(data)
        assert result.is_anomalous == bool(theirs["pred_label"][0, 0])
        assert result.confidence == pytest.approx(p if result.is_anomalous else 1 - p, abs=1e-5)
        assert (result.anomalies, result.mask_png) == (None, None)
        ours = Session(registered.graph, threads=1)(image=view.cut(data).pixels[None])
        np.testing.assert_allclose(ours["map"], theirs["anomaly_map"][0, 0], atol=1e-5)
    assert [model.detect(data).is_anomalous for data in PARTS] == [False, True, False, True]


@pytest.mark.parametrize("size", [(720, 540), (540, 720), (2000, 300)])
def test_a_large_picture_of_any_proportions_is_squashed_as_anomalib_does(size: tuple[int, int]) -> None:
    export = anomalib_onnx()
    model = Model(package(export))
    for data in PARTS:
        stream = BytesIO()
        Image.open(BytesIO(data)).resize(size, Image.Resampling.BICUBIC).save(stream, "PNG")
        theirs = said_by_anomalib(export, stream.getvalue())
        result = model.detect(stream.getvalue())
        assert result.is_anomalous == bool(theirs["pred_label"][0, 0])
        # It is made smaller in two steps, of which the first only averages pixels
        assert result.anomaly_probability == pytest.approx(float(theirs["pred_score"][0, 0]), abs=0.05)


def test_without_a_map_every_place_shows_the_score() -> None:
    result = Model(package(anomalib_onnx(has_map=False))).detect(PARTS[1])
    assert result.is_anomalous
    heat = np.asarray(Image.open(BytesIO(result.heat_map_png or b"")))
    assert heat.min() == heat.max() > 127


def test_the_same_export_gives_the_same_package() -> None:
    export = anomalib_onnx()
    assert package(export).files() == package(export).files()


@pytest.mark.parametrize("has_map", [True, False])
def test_anomalib_1_is_read_with_its_metadata(has_map: bool) -> None:
    export = anomalib_onnx(major=1, has_map=has_map)
    model = Model(package(export, metadata=anomalib_metadata()))
    for data in PARTS:
        p = float(normalized(said_by_anomalib(export, data)["361"])[0, 0])
        result = model.detect(data)
        assert result.is_anomalous == (p >= 0.5)
        assert result.confidence == pytest.approx(p if result.is_anomalous else 1 - p, abs=1e-5)


def test_where_anomalib_1_gives_a_map_alone_its_maximum_is_the_score() -> None:
    model = anomalib_model(major=1)
    del model.graph.output[1]
    export = bytes(model.SerializeToString())
    p = float(normalized(said_by_anomalib(export, PARTS[1])["output"]).max())
    assert Model(package(export, metadata=anomalib_metadata())).detect(PARTS[1]).confidence == pytest.approx(
        p, abs=1e-5
    )


def two_inputs() -> bytes:
    model = anomalib_model()
    model.graph.input.append(onnx.helper.make_tensor_value_info("image_sensitivity", 1, ()))
    return bytes(model.SerializeToString())


def taking(kind: int, *shape: int) -> bytes:
    sketch = Sketch()
    sketch.add("Cast", "input", output="pred_score", to=1)
    return bytes(sketch.model({"input": (kind, shape)}, {"pred_score": (1, shape)}).SerializeToString())


@pytest.mark.parametrize(
    ("export", "metadata", "says"),
    [
        (b"not ONNX at all", None, "not an ONNX file"),
        (with_outside_weights(anomalib_model()), None, "weights in another file; save it as one file"),
        (two_inputs(), None, r"2 inputs \(input, image_sensitivity\)"),
        (taking(UINT8, 1, 3, 64, 64), None, r"uint8 \(1, 3, 64, 64\); float \(n, 3, height, width\) is expected"),
        (taking(1, 1, 4, 64, 64), None, r"float \(1, 4, 64, 64\)"),
        (taking(1, 64, 3, 64, 64), None, r"float \(64, 3, 64, 64\)"),
        (anomalib_onnx(is_normalized=False), None, r"where 0 to 1 is expected: it is not normalised"),
        (anomalib_onnx(major=1), None, r"gives output, 361; pred_score is expected.*needs the metadata\.json"),
        (anomalib_onnx(major=1), b"{", "image_threshold"),
        (anomalib_onnx(major=1), anomalib_metadata(image_threshold=None), "image_threshold"),
        (
            anomalib_onnx(major=1),
            anomalib_metadata(**{"anomaly_maps.max": "nan"}),
            "the range 0.0 to nan for anomaly_maps",
        ),
    ],
    ids=[
        "garbage",
        "external data",
        "two inputs",
        "uint8",
        "four channels",
        "large batch",
        "raw scores",
        "anomalib 1 alone",
        "metadata no JSON",
        "metadata without threshold",
        "metadata without range",
    ],
)
def test_what_cannot_be_used_says_why(export: bytes, metadata: bytes | None, says: str) -> None:
    with pytest.raises(PackageError, match=says):
        package(export, metadata=metadata)


def test_a_graph_that_does_not_run_is_refused() -> None:
    sketch = Sketch()
    sketch.add("Reshape", "input", sketch.constant([7], np.int64), output="pred_score")
    model = sketch.model({"input": (1, ("n", 3, "height", "width"))}, {"pred_score": (1, (None,))})
    with pytest.raises(PackageError, match="does not run on an image of 256 x 256"):
        package(bytes(model.SerializeToString()))


def test_an_export_too_large_for_the_function_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anomalib, "MAX_EXPORT_BYTES", 1000)
    with pytest.raises(PackageError, match="at most 1,000 are accepted"):
        package(anomalib_onnx())
