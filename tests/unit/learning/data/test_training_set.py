"""Images and masks gathered for training."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from relook.learning.assembly import Eye, seen_channels
from relook.learning.data import training_set
from relook.learning.data.samples import LabeledImage
from relook.learning.data.training_set import TrainingSet, load_training_set
from relook.learning.estimators.features import CHANNELS
from relook.learning.estimators.normality import Whitening
from relook.learning.estimators.pixels import PixelModel, fit_pixel_model
from relook.learning.validation import crossfit
from tests.unit.foreign import quick_backbone
from tests.unit.learning.pictures import anomalies, encode, normals

SIZE = (96, 64)
RED, GREEN, BLUE = "#FF0000", "#00FF00", "#0000FF"


def load(images: list[LabeledImage]) -> TrainingSet:
    return load_training_set(images, np.random.default_rng(0), lambda *_: None)


def masked(
    name: str,
    box: tuple[int, int, int, int],
    color: str,
    colors: dict[str, str],
    size: tuple[int, int] = SIZE,
) -> LabeledImage:
    mask = Image.new("RGB", size, "white")
    mask.paste(color, box)
    return LabeledImage(name, partial(encode, Image.new("RGB", size, "grey")), True, partial(encode, mask), colors)


def plain(count: int) -> list[LabeledImage]:
    return [LabeledImage(f"{i}.png", partial(encode, Image.new("RGB", SIZE, (i, 0, 0))), False) for i in range(count)]


def test_types_are_numbered_over_all_images_whatever_each_map_says() -> None:
    box = (0, 0, 48, 64)
    data = load(
        [
            *plain(10),
            masked("a.png", box, GREEN, {"dent": RED, "crack": GREEN}),
            masked("b.png", box, RED, {"crack": RED, "unseen": GREEN}),
            masked("c.png", box, BLUE, {"BACKGROUND": "#ffffff", "stain": BLUE, "crack": RED}),
        ]
    )
    assert data.types == {"crack": GREEN, "stain": BLUE}
    assert {index: set(np.unique(outline)) for index, outline in data.outlines.items()} == {
        10: {0, 1},
        11: {0, 1},
        12: {0, 2},
    }
    assert any("No mask shows dent, unseen" in note for note in data.notes)
    assert data.coverage(12)[1, :, :64].min() == 1
    assert data.coverage(12)[1, :, 64:].max() == 0
    assert data.coverage(12)[0].max() == data.coverage(3).max() == 0
    assert data.size == (64, 96)


def test_coverage_is_the_painted_share_of_a_cell() -> None:
    image = masked("a.png", (40, 0, 42, 256), RED, {"scratch": RED}, size=(512, 256))
    coverage = load([*plain(10), image]).coverage(10)
    np.testing.assert_allclose(coverage[0, :, 10], 0.5, atol=0.01)
    assert coverage.sum() == pytest.approx(64, rel=0.02)


@pytest.mark.parametrize("box", [(1203, 701, 1209, 707), (301, 703, 1900, 705)], ids=["speck", "line"])
def test_small_defects_on_large_images_are_seen(box: tuple[int, int, int, int]) -> None:
    data = load([*plain(10), masked("a.png", box, RED, {"scratch": RED}, size=(2048, 1536))])
    assert data.types == {"scratch": RED}
    assert data.outlines[10].shape == (384, 512)
    assert data.coverage(10).max() > 0


def test_large_sets_are_sampled_with_both_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_set, "MAX_IMAGES", 16)
    data = load([*normals(range(30)), *anomalies(range(100, 104), "stain")])
    assert len(data.images) == 16
    assert int(data.is_anomalous.sum()) == 4
    assert len({image.name for image in data.images}) == 16
    assert any("16 of the 34 images" in note for note in data.notes)


def some_eye() -> Eye:
    backbone = quick_backbone()
    mean = np.zeros(seen_channels(backbone), np.float32)
    return Eye(backbone, Whitening(mean, np.eye(len(mean), 4, dtype=np.float32)))


@pytest.mark.parametrize(
    ("sizes", "tiles"),
    [
        ([(1024, 768)], 1),
        ([(1025, 768)], 2),
        ([(2048, 1536)], 4),
        ([(3000, 4096)], 8),
        ([(96, 64)] * 3 + [(4000, 64)], 1),
    ],
)
def test_large_pictures_are_cut_by_their_usual_side(sizes: list[tuple[int, int]], tiles: int) -> None:
    pictures = [encode(Image.new("L", size, 90)) for size in sizes]
    images = [LabeledImage(f"{i}.png", partial(bytes, pictures[i % len(sizes)]), False) for i in range(12)]
    data = load(images)
    assert data.tiles == tiles
    assert data.pixels.shape == (12, 256, 256, 3)
    usual = sizes[0]
    assert data.aspect == pytest.approx(usual[0] / usual[1])


def test_pixels_of_a_held_back_image_are_not_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every image has one colour of its own, so that its feature rows can be told from all others."""
    count = 12
    pixels = np.stack([np.full((256, 256, 3), (20 * i, 255 - 20 * i, 90), np.uint8) for i in range(count)])
    outline = np.zeros((64, 64), np.uint8)
    outline[20:40, 20:40] = 1
    data = TrainingSet(
        images=plain(count),
        pixels=pixels,
        is_anomalous=np.arange(count) < 6,
        size=None,
        aspect=1.5,
        tiles=1,
        types={"dent": RED},
        outlines=dict.fromkeys(range(6), outline),
    )
    folds = np.arange(count) % 4
    learnt: list[set[bytes]] = []

    def watched(rows: NDArray[np.float32], *rest: NDArray[np.intp]) -> PixelModel:
        learnt.append({row.round(2).tobytes() for row in rows[:, CHANNELS : 2 * CHANNELS]})
        return fit_pixel_model(rows, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(crossfit, "fit_pixel_model", watched)
    types = crossfit.held_back_types(data, some_eye(), folds, np.random.default_rng(0), lambda *_: None)

    *rounds, everything = learnt
    assert len(rounds) == 4
    assert len(everything) == count
    for seen in rounds:
        assert len(seen) == count - 3
    assert set.union(*rounds) == everything
    assert set(types.probabilities) == set(range(6))
    assert types.peaks.shape == (count, 1)
