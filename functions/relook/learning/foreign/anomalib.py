"""anomalib's ONNX exports as model packages, as they are: only the ends of the graph are made to fit.

An export takes one batch of RGB images 0..1, (n, 3, height, width) float32, with its pre-processing inside. Height and
width may be open, n too; anomalib 2.7 fixes n at 2 for some models, and the image is then given twice.
anomalib 2 gives `pred_score`, (n,) or (n, 1), and mostly `anomaly_map`, (n, 1, h, w), both normalised to 0..1 with the
threshold at 0.5; `pred_label` and `pred_mask` repeat that and are left out. anomalib 1 gives a map, a score or both,
raw and hardly named, and writes thresholds and ranges to `metadata.json` beside the graph.
Source: anomalib 2.7.0 and 1.2.0, `export_mixin`, `post_processor.py`, `utils/normalization/min_max.py`; real exports of
2.7.0 read the same.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, compose, helper, numpy_helper

from relook.detection.arrays import ByteArray, FloatArray
from relook.detection.calibration import probability
from relook.detection.model import Model
from relook.detection.package import Calibration, HeatMapRange, ModelManifest, ModelPackage
from relook.detection.session import Session
from relook.detection.view import View
from relook.errors import PackageError
from relook.learning.estimators.calibration import THRESHOLD
from relook.learning.foreign.anomalib_reading import Entry, Normalization, Reading
from relook.learning.graph.reading import read_onnx

# The function keeps the file, onnxruntime's copy and an image in its 1769 MB
MAX_EXPORT_BYTES = 400 * 1024 * 1024
OPEN_SIDE_PX = 256  # anomalib's usual side


def package_export(export: bytes, *, project: str, version: str, metadata: bytes | None = None) -> ModelPackage:
    """The export as a model package without types; p(anomaly) is anomalib's normalised score.

    Args:
        export: the ONNX file, all weights inside.
        metadata: `metadata.json`, which an export of anomalib 1 cannot be understood without.
    Raises:
        PackageError: no such export, or scores that are not normalised; says what was found and what to do.
    """
    model = read_onnx(export, "export", PackageError, max_bytes=MAX_EXPORT_BYTES)
    entry = Entry.of(model)
    session = Session(export, threads=_THREADS)
    entry = _settle_size(entry, session)
    noise = _noise(entry)
    probes = [noise, np.zeros_like(noise), np.full_like(noise, 255)]
    outputs = [_run(session, entry, probe) for probe in probes]
    reading = Reading.of(outputs[0], metadata)
    expected = [reading.probability(values) for values in outputs]
    wrong = [p for p in expected if not 0 <= p <= 1]
    if wrong:
        raise PackageError(
            f"The export scores a test image {wrong[0]:.4g}, where 0 to 1 is expected: it is not normalised. Fit the "
            "model with validation images, leave the post-processor's normalisation on, and export it again"
        )
    package = _package(_wrap(model, entry, reading), entry, model, project, version)
    _verify(package, probes, expected)
    return package


_THREADS = 2  # as many as training takes
_PREFIX = "anomalib_"
_NEAREST_TO_CERTAIN = 1e-6  # log odds stay finite; float32 still tells 1 - 1e-6 from 1
_TOLERANCE = 1e-3  # of a probability: what rounding may move; another reading of the export moves more


def _settle_size(entry: Entry, session: Session) -> Entry:
    """Open sides get those of the map: what the pre-processing inside resizes to, so that nothing is resized twice."""
    if entry.height and entry.width:
        return entry
    trial = Entry(entry.name, entry.batch, entry.height or OPEN_SIDE_PX, entry.width or OPEN_SIDE_PX)
    maps = [values for values in _run(session, trial, _noise(trial)).values() if values.ndim == 4]
    height, width = maps[0].shape[2:] if maps else (trial.height, trial.width)
    return Entry(entry.name, entry.batch, entry.height or height, entry.width or width)


def _noise(entry: Entry) -> ByteArray:
    return np.random.default_rng(0).integers(0, 256, (1, entry.height, entry.width, 3), np.uint8)


def _run(session: Session, entry: Entry, image: ByteArray) -> dict[str, FloatArray]:
    """The export as it was given, on one image."""
    batch = np.repeat((image / 255).astype(np.float32).transpose(0, 3, 1, 2), entry.batch, axis=0)
    try:
        return session(**{entry.name: batch})
    except Exception as error:  # onnxruntime's errors share no base but Exception
        raise PackageError(f"The export does not run on an image of {entry.width} x {entry.height}: {error}") from error


def _wrap(model: ModelProto, entry: Entry, reading: Reading) -> bytes:
    """Our input before the graph, our outputs behind it; at its own opset, as conversion could change what it does."""
    wrapped = compose.add_prefix(model, _PREFIX)
    graph = wrapped.graph
    before = _Nodes(graph.initializer)
    x = before.add("Mul", before.add("Cast", "image", to=TensorProto.FLOAT), before.constant(np.float32(1 / 255)))
    x = before.add("Transpose", x, perm=[0, 3, 1, 2])
    size = before.constant((entry.batch, 3, entry.height, entry.width), np.int64)
    before.add("Expand", x, size, output=_PREFIX + entry.name)
    nodes = [*before.nodes, *graph.node, *_outputs(graph.initializer, reading)]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(nodes)
    shape = (1, entry.height, entry.width, 3)
    graph.input.append(helper.make_tensor_value_info("image", TensorProto.UINT8, shape))
    for name, sizes in (("scores", (1,)), ("map", reading.map_size)):
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes))
    wrapped.ir_version = max(4, wrapped.ir_version)  # before 4, weights were inputs too
    return bytes(wrapped.SerializeToString(deterministic=True))


def _outputs(constants: Any, reading: Reading) -> list[Any]:
    """Nodes to `scores`, log odds that the calibration (score - 0) / 1 leaves as they are, and to `map`."""
    graph = _Nodes(constants)
    heat = graph.first(reading.map, reading.map_size) if reading.map else None
    if reading.score:
        score = graph.first(reading.score, (1,))
    else:
        assert heat is not None
        score = graph.add("Reshape", graph.add("ReduceMax", heat, keepdims=0), graph.constant([1], np.int64))
    score = graph.normalized(score, reading.score_normalization)
    heat = graph.normalized(heat, reading.map_normalization) if heat else score
    graph.add("Reshape", heat, graph.constant(reading.map_size, np.int64), output="map")
    p = graph.add("Max", score, graph.constant(_NEAREST_TO_CERTAIN))
    p = graph.add("Min", p, graph.constant(1 - _NEAREST_TO_CERTAIN))
    graph.add("Log", graph.add("Div", p, graph.add("Sub", graph.constant(1), p)), output="scores")
    return graph.nodes


class _Nodes:
    """Nodes beside an export's own. `Graph` would do, but it writes one opset; these operators mean the same
    from opset 10 on."""

    def __init__(self, constants: Any) -> None:
        self.nodes: list[Any] = []
        self._constants = constants

    def add(self, op: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"relook_{len(self._constants)}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def constant(self, values: Any, kind: type[np.generic] = np.float32) -> str:
        name = f"relook_constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def first(self, name: str, shape: tuple[int, ...]) -> str:
        """The first image's part of one of the export's outputs, as float."""
        x = self.add("Cast", _PREFIX + name, to=1)
        x = self.add("Slice", x, *(self.constant([i], np.int64) for i in (0, 1, 0)))
        return self.add("Reshape", x, self.constant(shape, np.int64))

    def normalized(self, x: str, normalization: Normalization | None) -> str:
        if normalization is None:
            return x
        x = self.add("Sub", x, self.constant(normalization.threshold))
        x = self.add("Div", x, self.constant(normalization.high - normalization.low))
        x = self.add("Add", x, self.constant(0.5))
        return self.add("Min", self.add("Max", x, self.constant(0)), self.constant(1))


def _package(graph: bytes, entry: Entry, model: ModelProto, project: str, version: str) -> ModelPackage:
    manifest = ModelManifest(
        project=project,
        version=version,
        view=View.stretched(entry.height, entry.width),  # anomalib's own transform squashes
        image_size=None,
        threshold=THRESHOLD,
        calibration=(Calibration(0.0, 1.0),),
        classes=(),
        heat_map=HeatMapRange(0.0, 1.0),
        graph_sha256=hashlib.sha256(graph).hexdigest(),
        libraries={model.producer_name or "unknown": model.producer_version},
    )
    return ModelPackage(graph, manifest)


def _verify(package: ModelPackage, probes: list[ByteArray], expected: list[float]) -> None:
    """Load the finished package and compare it with the export as it was given.

    Raises:
        PackageError: it answers otherwise.
    """
    Model(package, threads=_THREADS)
    session = Session(package.graph, threads=_THREADS)
    for probe, p in zip(probes, expected, strict=True):
        wrapped = probability(session(image=probe)["scores"], package.manifest.calibration)
        if not abs(wrapped - p) < _TOLERANCE:
            raise PackageError(f"The wrapped export scores a test image {wrapped:.4f}, the export itself {p:.4f}")
