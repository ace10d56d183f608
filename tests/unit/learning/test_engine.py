"""The engine as one: what its graph gives is what its parts give as arrays."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import onnx
import pytest

from relook.detection.arrays import ByteArray, FloatArray
from relook.detection.package import KEPT
from relook.detection.session import Session
from relook.learning.backbone.efficientnet_lite import MEASURED_STRIDES, pretrained
from relook.learning.engine import Engine
from relook.learning.estimators.classifier import fit_classifier
from relook.learning.estimators.evidence import average_map, embedding, evidence, image_score
from relook.learning.estimators.looks import FeatureExtractor, Look, Scale
from relook.learning.estimators.normality import CellSums, fit_gaussians, fit_memory, fit_whitening
from relook.learning.estimators.segmentation import SegmentationHead, peaks
from relook.learning.extraction import features_session
from tests.unit.foreign import quick_backbone

pytestmark = pytest.mark.slow

CANVAS = (64, 96)
DIMENSIONS = 6
CLASSES = 2


def picture(extractor: FeatureExtractor, seed: int = 5) -> ByteArray:
    """(1, height, width, 3), smooth enough that neighbours have to do with each other."""
    small = np.random.default_rng(seed).integers(0, 256, (1, 8, 12, 3), np.uint8)
    factor = extractor.finest[0] // 8
    return np.ascontiguousarray(small.repeat(factor, axis=1).repeat(factor, axis=2))


def features_of(extractor: FeatureExtractor, seed: int) -> list[FloatArray]:
    return list(features_session(extractor)(image=picture(extractor, seed)).values())


@cache
def some_engine(*, factor: int, learns: bool, segments: bool, own: bool = False) -> Engine:
    random = np.random.default_rng(0)
    strides = (2, *MEASURED_STRIDES) if segments else MEASURED_STRIDES
    extractor = FeatureExtractor(quick_backbone() if own else pretrained(strides), CANVAS, factor)
    seen = [features_of(extractor, seed) for seed in range(4)]
    looks = []
    for number, grid in enumerate(extractor.grids):
        rows = np.concatenate([each[number] for each in seen])
        rows = (rows + random.normal(0, 0.2, (3, *rows.shape))).reshape(-1, *rows.shape[1:]).astype(np.float32)
        flat = rows.reshape(-1, rows.shape[2])
        whitening = fit_whitening(flat, DIMENSIONS)
        memory = fit_memory(rows.astype(np.float16), np.arange(len(rows)), flat.std(axis=0) + np.float32(1e-3), random)
        gaussians = fit_gaussians(CellSums.of(whitening(rows), grid), grid)
        scales = tuple(
            Scale(*(random.uniform(0.2, 0.6, (2, grid.height, grid.width)).astype(np.float32))) for _ in range(2)
        )
        looks.append(Look(grid, whitening, gaussians, memory, scales))
    whitened = np.concatenate([looks[0].whitened(each[0]) for each in seen])
    groups = [3 * (1 + 2 * len(looks)), DIMENSIONS, *([CLASSES] if segments else [])]
    columns, label = random.normal(0, 1, (20, sum(groups))), np.arange(20) < 8
    channels = sum(extractor.backbone.channels) + extractor.backbone.channels[-1]
    layers = [
        (random.normal(0, 0.05, shape).astype(np.float32), random.normal(0, 0.3, shape[1]).astype(np.float32))
        for shape in ((channels, 8), (8, CLASSES + 1))
    ]
    return Engine(
        extractor=extractor,
        looks=looks,
        classifier=fit_classifier(columns, groups, label) if learns else None,
        segmentation=SegmentationHead(tuple(layers)) if segments else None,
        normals=embedding(whitened, looks[0].grid),
    )


def said(engine: Engine, image: ByteArray) -> dict[str, FloatArray]:
    return Session(engine.graph(), threads=1)(image=image)


KINDS = {
    "normals only": {"factor": 1, "learns": False, "segments": False},
    "with types": {"factor": 1, "learns": True, "segments": True},
    "second look": {"factor": 2, "learns": True, "segments": False},
    "second look, types": {"factor": 4, "learns": True, "segments": True},
    "own backbone": {"factor": 1, "learns": True, "segments": True, "own": True},
}


@pytest.fixture(params=list(KINDS))
def engine(request: pytest.FixtureRequest) -> Engine:
    return some_engine(**KINDS[request.param])


def test_the_shipped_graph_is_the_sum_of_its_parts(engine: Engine) -> None:
    image = picture(engine.extractor)

    actual = said(engine, image)

    features = list(features_session(engine.extractor)(image=image).values())
    types = actual["types"][None] if engine.segmentation else None
    judged = engine.judge(features, types)
    # Covariances are kept at half precision
    np.testing.assert_allclose(actual["scores"], judged.scores, rtol=0.02, atol=0.05)
    np.testing.assert_allclose(actual["map"], judged.average[0], rtol=0.02, atol=0.05)

    # And what the parts say is worked out of them here
    maps = [each for look, seen in zip(engine.looks, features, strict=True) for each in look.maps(seen)]
    average = average_map(maps)
    whitened, grid = engine.looks[0].whitened(features[0]), engine.looks[0].grid
    np.testing.assert_allclose(judged.average, average, rtol=1e-5)
    expected = [image_score(average)]
    if engine.classifier:
        groups = evidence(average, maps, whitened, grid) + ([peaks(types)] if types is not None else [])
        expected.append(engine.classifier(np.concatenate(groups, axis=1)))
    np.testing.assert_allclose(judged.scores, np.concatenate(expected), rtol=1e-5)
    apart = np.sqrt(((engine.normals - embedding(whitened, grid)) ** 2).mean(axis=1))
    np.testing.assert_allclose(actual["nearest"], [apart.argmin(), apart.min()], rtol=1e-3)


def test_at_full_precision_the_graph_says_the_same_to_four_digits(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Look, "at_half_precision", lambda look: look, raising=False)
    image = picture(engine.extractor)
    actual = said(engine, image)
    features = list(features_session(engine.extractor)(image=image).values())
    judged = engine.judge(features, actual["types"][None] if engine.segmentation else None)
    np.testing.assert_allclose(actual["scores"], judged.scores, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(actual["map"], judged.average[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["with types", "second look"])
def test_the_graph_ignores_what_its_parts_ignore(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Look, "at_half_precision", lambda look: look, raising=False)
    engine = replace(some_engine(**KINDS[kind]), has_regions=True)
    image, random = picture(engine.extractor), np.random.default_rng(2)
    kept = [(random.random((1, look.grid.height, look.grid.width)) < 0.7).astype(np.float32) for look in engine.looks]
    session = Session(engine.graph(), threads=1)
    assert {name: shape for name, shape in session.shapes.items() if name.startswith(KEPT)} == {
        f"{KEPT}{number}": each.shape for number, each in enumerate(kept)
    }

    actual = session(image=image, **{f"{KEPT}{number}": each for number, each in enumerate(kept)})

    features = list(features_session(engine.extractor)(image=image).values())
    types = actual["types"][None] if engine.segmentation else None
    judged = engine.judge(features, types, kept)
    np.testing.assert_allclose(actual["scores"], judged.scores, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(actual["map"], judged.average[0], rtol=1e-3, atol=1e-3)
    assert np.ptp(actual["map"][kept[-1][0] == 0]) < 1e-4, "nothing stands out there"
    everything = session(image=image, **{f"{KEPT}{number}": np.ones_like(each) for number, each in enumerate(kept)})
    np.testing.assert_allclose(everything["scores"], engine.judge(features, types).scores, rtol=1e-3, atol=1e-3)
    # Whatever the features say of cells that are ignored
    elsewhere = [
        np.where(each.reshape(1, -1, 1) > 0, some, 5 + random.normal(0, 9, some.shape)).astype(np.float32)
        for each, some in zip(kept, features, strict=True)
    ]
    np.testing.assert_allclose(engine.judge(elsewhere, types, kept).scores, judged.scores, rtol=1e-4)


def test_what_it_has_is_what_it_gives(engine: Engine) -> None:
    data = engine.graph()
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    shapes = Session(data, threads=1).shapes
    finest = engine.looks[-1].grid
    expected = {
        "image": (1, *engine.extractor.finest, 3),
        "scores": (1 + (engine.classifier is not None),),
        "map": (finest.height, finest.width),
        "nearest": (2,),
    }
    if engine.segmentation:
        expected["types"] = (CLASSES + 1, *shapes["types"][1:])
    assert shapes == expected
    assert engine.graph() == data, "the same every time"


def test_probabilities_of_types_sum_to_one_and_cover_the_finest_map() -> None:
    engine = some_engine(factor=2, learns=False, segments=True)
    types = said(engine, picture(engine.extractor))["types"]
    assert types.shape == (CLASSES + 1, engine.extractor.finest[0] // 2, engine.extractor.finest[1] // 2)
    np.testing.assert_allclose(types.sum(axis=0), 1, atol=1e-5)


def test_a_normal_image_it_was_fitted_on_is_its_own_nearest() -> None:
    engine = some_engine(factor=1, learns=False, segments=False)
    for number in range(4):
        index, distance = said(engine, picture(engine.extractor, number))["nearest"]
        assert int(index) == number
        assert float(distance) == pytest.approx(0, abs=1e-2)
