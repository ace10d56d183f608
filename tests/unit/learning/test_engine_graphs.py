"""The ONNX graphs against the same arithmetic written out in numpy, independently and slowly."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from relook.detection.session import Session
from relook.learning.assembly import (
    Engine,
    Eye,
    evidence_graph,
    features_graph,
    pixel_features_graph,
    raw_maps_graph,
    seen_channels,
    types_graph,
    whitened_graph,
)
from relook.learning.estimators.alignment import ANY_DEG, Alignment, align, alignment_graph, fit_alignment, undo_nodes
from relook.learning.estimators.evidence import SCORERS, Scale, embeddings, nearest_nodes
from relook.learning.estimators.features import CHANNELS, cell_features, filter_responses, unit_image
from relook.learning.estimators.head import fit_head
from relook.learning.estimators.normality import CellSums, fit_gaussians, fit_memory, fit_whitening
from relook.learning.estimators.pixels import PixelModel, pixel_channels
from relook.learning.old_graph import GraphBuilder
from tests.unit.foreign import quick_backbone
from tests.unit.learning.pictures import plate
from tests.unit.learning.turned import lying, squashed

D = 5
GRID = 64
Array = NDArray[np.float64]


def run(graph: bytes, **inputs: NDArray[np.generic]) -> dict[str, NDArray[np.float32]]:
    return Session(graph, threads=1)(**inputs)


def some_whitened(count: int, seed: int = 0) -> NDArray[np.float32]:
    """(n, 5, 64, 64) with structure in space, so that cells differ."""
    random = np.random.default_rng(seed)
    smooth = np.sin(np.arange(64) / 9)[:, None] * np.arange(D)[:, None, None]
    return (smooth[None] + random.normal(0, 1, (count, D, 64, 64))).astype(np.float32)


def blurred(one_map: Array) -> Array:
    kernel = np.exp(-(np.arange(-3, 4) ** 2) / 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        padded = np.pad(one_map, [(3, 3) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        one_map = np.sum([w * padded.take(range(i, i + 64), axis) for i, w in enumerate(kernel)], axis=0)
    return one_map


def doubled(coarse: Array) -> Array:
    """Bilinear from 32 x 32 to 64 x 64, centres at half pixels."""
    at = ((np.arange(64) + 0.5) / 2 - 0.5).clip(0, 31)
    low = np.minimum(at.astype(int), 30)
    part = at - low
    rows = coarse[low] * (1 - part)[:, None] + coarse[low + 1] * part[:, None]
    return np.asarray(rows[:, low] * (1 - part) + rows[:, low + 1] * part)


def test_gaussian_map() -> None:
    normals, query = some_whitened(7), some_whitened(1, seed=9)
    fitted = fit_gaussians(CellSums.of(normals))
    memory = fit_memory(normals, np.arange(7), 1.0, np.random.default_rng(0))

    found = run(raw_maps_graph(fitted, memory), whitened=query)["gaussian"][0, 0]

    cells = normals.astype(float).reshape(7, D, 32, 2, 32, 2).mean(axis=(3, 5))
    asked = query[0].astype(float).reshape(D, 32, 2, 32, 2).mean(axis=(2, 4))
    expected = np.zeros((32, 32))
    for y in range(32):
        for x in range(32):
            window = cells[:, :, max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
            samples = window.transpose(0, 2, 3, 1).reshape(-1, D)
            covariance = np.cov(samples.T, bias=True)
            shrunk = 0.9 * covariance + 0.1 * max(np.trace(covariance) / D, 0.05) * np.eye(D)
            off = asked[:, y, x] - samples.mean(axis=0)
            expected[y, x] = np.sqrt(off @ np.linalg.solve(shrunk, off) / D)
    np.testing.assert_allclose(found, np.log(blurred(doubled(expected)) + 1e-3), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("weight", [1.0, 0.0, 0.3])
def test_memory_map(weight: float) -> None:
    normals, query = some_whitened(7), some_whitened(1, seed=9)
    memory = fit_memory(normals, np.array([1, 2, 5]), weight, np.random.default_rng(0))
    gaussians = fit_gaussians(CellSums.of(normals))

    found = run(raw_maps_graph(gaussians, memory), whitened=query)["memory"][0, 0]

    expected = np.zeros((64, 64))
    for y in range(64):
        for x in range(64):
            place = np.array([(y + 0.5) / 32 - 1, (x + 0.5) / 32 - 1]) * weight * np.sqrt(D)
            patch = np.concatenate([query[0, :, y, x], place])
            expected[y, x] = np.sqrt(((memory.patches - patch) ** 2).sum(axis=1).min() / (D + 2))
    np.testing.assert_allclose(found, np.log(blurred(expected) + 1e-3), rtol=1e-4, atol=1e-4)


def test_memory_holds_patches_of_the_chosen_images_only_and_spreads_out() -> None:
    normals = some_whitened(4)
    memory = fit_memory(normals, np.array([1, 3]), 1.0, np.random.default_rng(0))
    own = {tuple(patch) for image in (1, 3) for patch in normals[image].reshape(D, -1).T}
    assert all(tuple(patch) in own for patch in memory.patches[:, :D])
    assert len(np.unique(memory.patches, axis=0)) == len(memory.patches) == 1000


def test_cell_sums_of_folds_add_up() -> None:
    normals = some_whitened(6)
    rest = CellSums.of(normals) - CellSums.of(normals[4:])
    again = CellSums.of(normals[:1]) + CellSums.of(normals[1:4])
    np.testing.assert_allclose(fit_gaussians(rest).factor, fit_gaussians(again).factor, rtol=1e-3, atol=1e-4)


def test_whitened_features_are_uncorrelated_on_the_images_they_were_fitted_on() -> None:
    image = np.array(plate(3)[0])[:112, :112]
    image = np.kron(image, np.ones((3, 3, 1), np.uint8))[:256, :256]
    backbone = quick_backbone()
    features = run(features_graph(backbone), image=image[None])["features"]
    rows = features.reshape(seen_channels(backbone), -1).T
    whitening = fit_whitening(rows)

    whitened = run(whitened_graph(Eye(backbone, whitening)), image=image[None])["whitened"]

    np.testing.assert_allclose(
        whitened.reshape(whitening.dimensions, -1).T,
        (rows - whitening.mean) @ whitening.projection,
        rtol=1e-3,
        atol=1e-3,
    )
    covariance = np.cov(whitened.reshape(whitening.dimensions, -1))
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=0.02)
    assert (np.diag(covariance) < 1.01).all()


def test_filters_answer_lines_and_colours() -> None:
    plain = np.full((256, 256, 3), (200, 100, 50), np.uint8)
    lined = plain.copy()
    lined[:, 126:130] = 255
    graph = GraphBuilder()
    cells = cell_features(graph, filter_responses(graph, unit_image(graph)), GRID)
    graph.output("features", cells, (1, CHANNELS, GRID, GRID))
    bank = Session(graph.finish(), threads=1)
    features = {name: bank(image=x[None])["features"][0] for name, x in (("plain", plain), ("lined", lined))}

    energies = features["plain"][:10]
    np.testing.assert_allclose(energies, np.log(0.004), atol=1e-2)
    red, green, blue = np.array([200, 100, 50]) / 255
    opponents = [(red + green + blue) / 3, (red - green) / 2**0.5, (red + green - 2 * blue) / 6**0.5]
    np.testing.assert_allclose(features["plain"][20:23, 32, 32], np.array(opponents) * 4, atol=1e-4)
    upright, lying_down = features["lined"][1, 32, 31], features["lined"][5, 32, 31]
    assert upright > lying_down + 1
    np.testing.assert_allclose(features["lined"][:, 32, 5], features["plain"][:, 32, 5], atol=0.05)


def statistics_of(one_map: Array) -> list[float]:
    ordered = np.sort(one_map.ravel())[::-1]
    return [ordered[0], *(ordered[:count].mean() for count in (4, 41, 205)), one_map.std()]


def scales() -> tuple[Scale, Scale]:
    """Another one at every place."""
    random = np.random.default_rng(8)
    gaussian, memory = ((random.normal(0, 0.3, (GRID, GRID)), random.uniform(0.2, 0.6, (GRID, GRID))) for _ in range(2))
    return Scale(*gaussian), Scale(*memory)


def test_evidence() -> None:
    random = np.random.default_rng(0)
    whitened = some_whitened(1)
    gaussian, memory = (random.gamma(2, 1, (1, 1, GRID, GRID)).astype(np.float32) for _ in range(2))

    found = run(evidence_graph(D), whitened=whitened, gaussian=gaussian, memory=memory)

    maps = [gaussian[0, 0], memory[0, 0]]
    average = (maps[0] + maps[1]) / 2
    np.testing.assert_allclose(found["map"][0, 0], average, rtol=1e-4, atol=1e-4)
    expected = np.concatenate([statistics_of(m) for m in (average, *maps)])
    np.testing.assert_allclose(found["statistics"][0], expected, rtol=1e-4)
    flat = whitened.reshape(D, -1).astype(float)
    texture = np.concatenate([flat.mean(axis=1), np.log(flat.std(axis=1) + 0.05)])
    np.testing.assert_allclose(found["texture"][0], texture, rtol=1e-4, atol=1e-5)


def test_the_nearest_normal_image_is_the_very_picture() -> None:
    normals = some_whitened(6) * np.linspace(0.5, 2, 6, dtype=np.float32)[:, None, None, None]
    stored = embeddings(normals)
    fields = normals[4].reshape(D, 4, 16, 4, 16).mean(axis=(2, 4))
    np.testing.assert_allclose(stored[4], fields.ravel(), rtol=1e-5, atol=1e-6)
    graph = GraphBuilder()
    whitened = graph.input("whitened", np.float32, (1, D, GRID, GRID))
    graph.output("nearest", nearest_nodes(graph, whitened, stored), (2,))
    session = Session(graph.finish(), threads=1)

    for index in range(6):
        number, distance = session(whitened=normals[index : index + 1])["nearest"]
        assert (number, distance) == (index, pytest.approx(0, abs=1e-4))
    query = some_whitened(1, seed=5)
    apart = np.sqrt(((stored - embeddings(query)) ** 2).mean(axis=1))
    np.testing.assert_allclose(session(whitened=query)["nearest"], [apart.argmin(), apart.min()], rtol=1e-4)


def some_pixel_model(dimensions: int) -> PixelModel:
    random = np.random.default_rng(3)
    widths = (pixel_channels(dimensions), 6, 3)
    layers = [(random.normal(0, 0.3, (i, o)), random.normal(0, 0.3, o)) for i, o in pairwise(widths)]
    return PixelModel(tuple((w.astype(np.float32), b.astype(np.float32)) for w, b in layers))


def some_image() -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (1, 256, 256, 3), np.uint8)


def some_eye(alignment: Alignment | None = None) -> Eye:
    features = run(features_graph(quick_backbone(), alignment), image=some_image())["features"]
    rows = features.reshape(seen_channels(quick_backbone(), alignment), -1).T
    noise = np.random.default_rng(0).normal(0, 0.1, rows.shape).astype(np.float32)
    return Eye(quick_backbone(), fit_whitening(rows + noise), alignment)


def test_pixel_types_and_their_peaks() -> None:
    eye, image = some_eye(), some_image()
    dimensions = eye.whitening.dimensions
    model = some_pixel_model(dimensions)
    found = run(types_graph(eye, model, 2), image=image)

    features = run(pixel_features_graph(eye), image=image)["features"][0]
    whitened = run(whitened_graph(eye), image=image)["whitened"][0]
    np.testing.assert_allclose(features[-dimensions:, 64, 64], wide(whitened)[:, 64, 64], rtol=1e-3, atol=1e-4)
    x = features.reshape(pixel_channels(dimensions), -1).T.astype(float)
    (w0, b0), (w1, b1) = model.layers
    odds = np.exp(np.maximum(x @ w0 + b0, 0) @ w1 + b1)
    softmax = (odds / odds.sum(axis=1, keepdims=True)).T.reshape(3, 128, 128)
    padded = np.pad(softmax, [(0, 0), (1, 1), (1, 1)], mode="edge")
    smooth = np.mean([padded[:, i : i + 128, j : j + 128] for i in range(3) for j in range(3)], axis=0)
    np.testing.assert_allclose(found["types"][0], smooth, rtol=1e-3, atol=1e-4)
    top = np.sort(smooth[1:].reshape(2, -1), axis=1)[:, -82:].mean(axis=1)
    np.testing.assert_allclose(found["peaks"][0], np.log(top / (1 - top)), rtol=1e-3, atol=1e-3)


def wide(maps: NDArray[np.float32]) -> Array:
    """(d, 64, 64) brought to 128 x 128, bilinear."""
    at = ((np.arange(128) + 0.5) / 2 - 0.5).clip(0, 63)
    low = np.minimum(at.astype(int), 62)
    part = at - low
    rows = maps[:, low] * (1 - part)[:, None] + maps[:, low + 1] * part[:, None]
    return np.asarray(rows[:, :, low] * (1 - part) + rows[:, :, low + 1] * part)


@cache
def some_alignment() -> Alignment:
    return fit_alignment(np.stack([squashed(lying(seed)) for seed in range(3)]), ANY_DEG, 1.0, threads=1)[0]


def undone(one_map: NDArray[np.float32], pose: NDArray[np.float32]) -> NDArray[np.float32]:
    graph = GraphBuilder()
    given, how = graph.input("map", np.float32, (1, 1, GRID, GRID)), graph.input("pose", np.float32, (1, 6))
    graph.output("undone", undo_nodes(graph, given, how, GRID), (1, 1, GRID, GRID))
    return np.asarray(run(graph.finish(), map=one_map[None, None], pose=pose)["undone"][0, 0])


@pytest.mark.parametrize(
    ("segments", "alignment", "scorer"),
    [
        (False, None, "object"),
        (True, None, "texture"),
        (False, some_alignment, "object"),
        (True, some_alignment, "object"),
    ],
    ids=["plain", "with types, texture", "aligned", "aligned, with types"],
)
def test_the_shipped_graph_is_the_sum_of_its_parts(
    segments: bool, alignment: Callable[[], Alignment] | None, scorer: str
) -> None:
    random = np.random.default_rng(0)
    image = squashed(lying(7, turn_deg=70, right_px=5))[None]
    eye = some_eye(alignment() if alignment else None)
    seen = align(image, eye.alignment, threads=1)[0] if eye.alignment else image
    whitened = run(whitened_graph(eye), image=seen)["whitened"]
    dimensions = eye.whitening.dimensions
    normals = (whitened + random.normal(0, 0.5, (3, *whitened.shape[1:]))).astype(np.float32)
    statistics_scale = Scale(random.normal(3, 1, 15), random.uniform(1, 2, 15))
    groups = [15, dimensions, dimensions, *([2] if segments else [])]
    evidence, label = random.normal(0, 1, (20, sum(groups))), np.arange(20) < 8
    head = fit_head(evidence, groups, label)
    engine = Engine(
        eye=eye,
        gaussians=fit_gaussians(CellSums.of(normals)),
        memory=fit_memory(normals, np.arange(3), SCORERS[scorer].position_weight, random),
        map_scales=scales(),
        statistics_scale=statistics_scale,
        scorer=SCORERS[scorer],
        head=head,
        pixel_model=some_pixel_model(dimensions) if segments else None,
        classes=2 if segments else 0,
        normals=embeddings(normals),
    )

    found = run(engine.graph(), image=image)

    raw = run(raw_maps_graph(engine.gaussians, engine.memory), whitened=whitened)
    maps = [
        ((raw[name][0, 0] - scale.center) / scale.spread).astype(np.float32)[None, None]
        for name, scale in zip(("gaussian", "memory"), scales(), strict=True)
    ]
    parts = run(evidence_graph(dimensions), whitened=whitened, gaussian=maps[0], memory=maps[1])
    z = (parts["statistics"][0] - statistics_scale.center) / statistics_scale.spread
    columns = [np.sign(z) * np.log1p(np.abs(z)), parts["texture"][0]]
    if segments:
        types = run(types_graph(eye, some_pixel_model(dimensions), 2), image=image)
        columns.append(types["peaks"][0])
        np.testing.assert_allclose(found["types"], types["types"][0], rtol=1e-4, atol=1e-4)
    standard = (np.concatenate(columns) - evidence.mean(axis=0)) / (
        (evidence.std(axis=0) + 1e-6) * np.sqrt(np.repeat(groups, groups))
    )
    kernel = np.exp(-head.gamma * ((head.support - standard) ** 2).sum(axis=1))
    one_class = z[0] + z[1] if scorer == "object" else 0.25 * z[0] + z[4]
    np.testing.assert_allclose(found["scores"], [one_class, kernel @ head.weights + head.bias], rtol=1e-4, atol=1e-4)
    shown = parts["map"][0, 0]
    if eye.alignment:
        shown = undone(shown, run(alignment_graph(eye.alignment), image=image)["pose"])
    np.testing.assert_allclose(found["map"], shown, rtol=1e-4, atol=1e-4)
    apart = np.sqrt(((engine.normals - embeddings(whitened)) ** 2).mean(axis=1))
    np.testing.assert_allclose(found["nearest"], [apart.argmin(), apart.min()], rtol=1e-4)


def test_head_separates_what_a_line_cannot() -> None:
    random = np.random.default_rng(0)
    points = random.normal(0, 1, (300, 2))
    label = np.hypot(*points.T) > 1.2
    head = fit_head(points[:200], [2], label[:200])
    assert ((head.scores(points[200:]) > 0) == label[200:]).mean() > 0.9


def test_what_is_written_twice_is_computed_once() -> None:
    graph = GraphBuilder()
    image = graph.input("image", np.float32, (1, 3, 8, 8))
    once, again = (graph.mean_filter(graph.node("Abs", image), 3) for _ in range(2))
    other = graph.mean_filter(graph.node("Abs", image), 5)
    assert once == again != other
    graph.output("sum", graph.node("Add", once, again), (1, 3, 8, 8))
    nodes = [node.op_type for node in onnx.load_from_string(graph.finish()).graph.node]
    assert nodes.count("Abs") == 1
    assert nodes.count("AveragePool") == 2
