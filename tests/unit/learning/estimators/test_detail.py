"""Large pictures, looked at tile by tile."""

from __future__ import annotations

from functools import cache, partial
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from relook.detection.calibration import probability
from relook.detection.model import Model
from relook.detection.package import ModelPackage
from relook.detection.session import Session
from relook.learning.data.samples import LabeledImage
from relook.learning.estimators.detail import DETAIL_GRID, Detail
from relook.learning.estimators.evidence import Scale, blur_nodes
from relook.learning.estimators.features import FINE_CHANNELS, fine_features, unit_image
from relook.learning.estimators.normality import MAP_GRID, Memory, Whitening, memory_map, whitening_nodes
from relook.learning.old_graph import GraphBuilder
from relook.learning.training import TrainedModel, train
from tests.unit.foreign import quick_backbone
from tests.unit.learning.pictures import encode

SIDE = 2048
TILES = 4
UNSEEN = range(900, 903)


@cache
def sheet(seed: int, *, is_scratched: bool = False) -> tuple[bytes, tuple[int, int]]:
    """A JPEG of a metal sheet with a bore, 2048 x 2048, lying within some pixels; and where (y, x) its scratch is: 20
    pixels long and 3 wide."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    light = 150 + 10 * np.sin(x / 500 + random.normal() * 0.1) + 3 * random.normal()
    down, right = random.uniform(-4, 4, 2)
    metal = np.where(np.hypot(y - 1024 - down, x - 1100 - right) < 300, light - 60, light)
    where = int(random.integers(150, 600)), int(random.integers(150, SIDE - 150))
    pixels = np.repeat(metal[:, :, None], 3, axis=2) + 3 * random.standard_normal((SIDE, SIDE, 1), np.float32)
    if is_scratched:
        pixels[where[0] - 1 : where[0] + 2, where[1] - 10 : where[1] + 10] += 50
    return encode(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), "JPEG", quality=92), where


def sheet_jpeg(seed: int) -> bytes:
    return sheet(seed)[0]


@pytest.fixture(scope="module")
def from_large() -> TrainedModel:
    """Ten normal sheets and nothing else; a quick backbone, since the second look uses none."""
    images = [LabeledImage(f"normal/{seed}.jpg", partial(sheet_jpeg, seed), False) for seed in range(10)]
    return train(images, project="sheet", version="1", backbone=quick_backbone())


@pytest.fixture(scope="module")
def model(from_large: TrainedModel) -> Model:
    return Model(from_large.package)


def test_a_large_picture_is_given_to_the_graph_in_its_tiles(from_large: TrainedModel, model: Model) -> None:
    manifest = from_large.package.manifest
    assert manifest.input_size == (256 * TILES, 256 * TILES)
    assert manifest.image_size == (SIDE, SIDE)
    assert len(manifest.calibration) == 2
    assert Session(from_large.package.graph, threads=1).shapes["image"] == (1, 256 * TILES, 256 * TILES, 3)
    outputs = model.look(sheet_jpeg(900))
    assert outputs["map"].shape == (DETAIL_GRID, DETAIL_GRID)
    assert outputs["scores"].shape == (2,)


def test_the_package_of_a_second_look_reads_back_to_the_same(from_large: TrainedModel, model: Model) -> None:
    again = Model(ModelPackage.from_files(from_large.package.files()))
    assert again.detect(sheet_jpeg(901)) == model.detect(sheet_jpeg(901))


def test_normal_sheets_are_let_pass(from_large: TrainedModel, model: Model) -> None:
    assert not any(model.detect(sheet_jpeg(seed)).is_anomalous for seed in UNSEEN)
    assert from_large.evaluation.false_alarm_share <= 0.2  # ten sheets, each judged by what nine have taught


def test_a_scratch_of_twenty_pixels_is_found_where_it_is(from_large: TrainedModel, model: Model) -> None:
    alarm = from_large.package.manifest.calibration[1]
    for seed in UNSEEN:
        data, place_yx = sheet(seed, is_scratched=True)
        outputs = model.look(data)
        assert probability(outputs["scores"][1:], [alarm]) > 0.9, "the second look sees it by itself"
        hottest = np.unravel_index(outputs["map"].argmax(), outputs["map"].shape)
        assert np.abs(np.array(hottest) - np.array(place_yx) * DETAIL_GRID / SIDE).max() < 2
        result = model.detect(data)
        assert result.is_anomalous
        heat = np.asarray(Image.open(BytesIO(result.heat_map_png or b"")))
        y, x = (round(place * 512 / SIDE) for place in place_yx)
        assert heat.shape == (512, 512)
        assert heat[y - 3 : y + 4, x - 3 : x + 4].max() > 200
        assert heat.mean() < 30


def test_the_second_look_alone_is_never_why_a_picture_passes(from_large: TrainedModel) -> None:
    """It may add alarms only: whatever it says, what the first look finds stays found."""
    first, second = from_large.package.manifest.calibration
    odd = first.center + 5 * first.scale
    assert probability([odd, -1e6], [first, second]) == pytest.approx(probability([odd], [first]))


def some_detail(tiles: int) -> Detail:
    random = np.random.default_rng(tiles)
    dimensions = 6
    patches = np.concatenate([random.normal(0, 1, (50, dimensions)), np.zeros((50, 2))], axis=1).astype(np.float32)
    projection = random.normal(0, 0.3, (FINE_CHANNELS, dimensions)).astype(np.float32)
    return Detail(
        tiles=tiles,
        whitening=Whitening(np.full(FINE_CHANNELS, -3, np.float32), projection),
        memory=Memory(patches, 0.0),
        usual=Scale(
            random.normal(1, 0.1, (DETAIL_GRID, DETAIL_GRID)), random.uniform(0.5, 1, (DETAIL_GRID, DETAIL_GRID))
        ),
        statistics_scale=Scale(np.array([3.0, 2.0]), np.array([0.5, 0.25])),
        usual_peak=4.0,
    )


def one_tile(detail: Detail) -> Session:
    """A 256 x 256 picture to its (64, 64) map of distances, without any loop."""
    graph = GraphBuilder()
    whitened = whitening_nodes(graph, fine_features(graph, unit_image(graph), MAP_GRID), detail.whitening)
    found = blur_nodes(graph, memory_map(graph, whitened, detail.memory))
    graph.output("found", found, (1, 1, MAP_GRID, MAP_GRID))
    return Session(graph.finish(), threads=1)


@pytest.mark.parametrize("tiles", [2, 4, 6])
def test_the_loop_of_the_graph_is_a_loop_over_tiles(tiles: int) -> None:
    detail = some_detail(tiles)
    side = 256 * tiles
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (side // 8, side // 8, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    graph = GraphBuilder()
    fields, score = detail.nodes(graph, graph.input("image", np.uint8, (1, side, side, 3)))
    graph.output("map", fields, (1, 1, DETAIL_GRID, DETAIL_GRID))
    graph.output("score", score, (1,))

    found = Session(graph.finish(), threads=1)(image=pixels[None])

    look = one_tile(detail)
    cells = np.empty((MAP_GRID * tiles, MAP_GRID * tiles))
    for row in range(tiles):
        for column in range(tiles):
            tile = pixels[256 * row : 256 * (row + 1), 256 * column : 256 * (column + 1)]
            place = slice(MAP_GRID * row, MAP_GRID * (row + 1)), slice(MAP_GRID * column, MAP_GRID * (column + 1))
            cells[place] = look(image=np.ascontiguousarray(tile)[None])["found"][0, 0]
    size = MAP_GRID * tiles // DETAIL_GRID
    oddest = cells.reshape(DETAIL_GRID, size, DETAIL_GRID, size).max(axis=(1, 3))
    expected = (oddest - detail.usual.center) / detail.usual.spread
    np.testing.assert_allclose(found["map"][0, 0], expected, rtol=1e-4, atol=1e-4)
    ordered = np.sort(expected, axis=None)
    statistics = np.array([ordered[-1], ordered[-8:].mean()])
    assert found["score"] == pytest.approx(((statistics - [3.0, 2.0]) / [0.5, 0.25]).sum(), rel=1e-4)
