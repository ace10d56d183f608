"""Images and masks gathered for training."""

from __future__ import annotations

from functools import partial
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from relook.detection.levels import Levels
from relook.detection.pose import Pose
from relook.detection.regions import Regions
from relook.detection.view import Cut, View
from relook.errors import TrainingDataError
from relook.learning.data import training_set
from relook.learning.data.samples import LabeledImage
from relook.learning.data.training_set import MAX_IMAGES, TrainingSet, load_training_set
from relook.learning.estimators.viewpoint import fit_view
from relook.learning.training import train
from tests.unit.learning.pictures import anomalies, encode, normals

SIZE = (96, 64)
RED, GREEN, BLUE = "#FF0000", "#00FF00", "#0000FF"


def load(images: list[LabeledImage], regions: Regions | None = None) -> TrainingSet:
    return load_training_set(images, np.random.default_rng(0), lambda *_: None, regions)


def test_nothing_is_outlined_where_it_is_ignored() -> None:
    regions = Regions.from_mask(encode(Image.fromarray(np.arange(96)[None].repeat(64, axis=0) < 48)))
    data = load(
        [
            masked("hidden.png", (4, 4, 20, 20), RED, {"dent": RED, "crack": GREEN}),
            *plain(10),
            masked("half.png", (40, 0, 60, 64), GREEN, {"crack": GREEN}),
            masked("nothing.png", (0, 0, 0, 0), GREEN, {"crack": GREEN}),
            LabeledImage("unknown.png", plain(1)[0].read, True),
        ],
        regions,
    )
    assert [image.name for image in data.images[10:]] == ["half.png", "nothing.png", "unknown.png"]
    assert data.is_anomalous.tolist() == [False] * 10 + [True] * 3
    assert data.types == {"crack": GREEN}
    assert sorted(data.outlines) == [10, 11]
    assert data.outlines[10][:, 48:60].all() and not data.outlines[10][:, :48].any()
    assert "50.0% of the image is ignored: it is neither learned from nor judged" in data.notes
    assert "1 images have all their defects where it is ignored: they are left out" in data.notes
    assert data.regions == regions
    assert load(plain(10)).regions is None


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


def whole(data: TrainingSet, index: int) -> Cut:
    """What a model sees that looks at all of an image."""
    image = data.images[index].read()
    with Image.open(BytesIO(image)) as opened:
        width, height = opened.size
    return View((height, width), (0, 0, width, height), (64, 96)).cut(image)


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
    seen = whole(data, 12)
    assert data.coverage(12, seen, 32, 48)[1, :, :24].min() == 1
    assert data.coverage(12, seen, 32, 48)[1, :, 25:].max() == 0
    assert data.coverage(12, seen, 32, 48)[0].max() == data.coverage(3, whole(data, 3), 32, 48).max() == 0
    assert data.size == (64, 96)


def test_coverage_is_the_painted_share_of_a_cell() -> None:
    image = masked("a.png", (40, 0, 42, 256), RED, {"scratch": RED}, size=(512, 256))
    data = load([*plain(10), image])
    coverage = data.coverage(10, whole(data, 10), 64, 128)
    np.testing.assert_allclose(coverage[0, :, 10], 0.5, atol=0.01)
    assert coverage.sum() == pytest.approx(32, rel=0.02)


@pytest.mark.parametrize("turn_deg", [0.0, 30.0, -100.0])
def test_coverage_lies_where_the_cut_shows_the_mask(turn_deg: float) -> None:
    """The mask drawn as the picture itself, cut as the picture is."""
    size, box = (512, 384), (150, 120, 230, 150)
    data = load([*plain(10), masked("a.png", box, RED, {"scratch": RED}, size=size)])
    drawn = Image.new("L", size)
    drawn.paste(255, box)
    view = View((384, 512), (64, 32, 384, 288), (96, 128))
    cut = view.cut(encode(drawn), Pose(turn_deg, 0.02, -0.03, 1.1))

    coverage = data.coverage(10, cut, 48, 64)[0]

    expected = cut.pixels[..., 0].reshape(48, 2, 64, 2).mean(axis=(1, 3)) / 255
    assert expected.max() == 1 and coverage.max() == 1
    assert np.abs(coverage - expected).mean() < 0.01
    assert coverage.sum() == pytest.approx(expected.sum(), rel=0.05)


@pytest.mark.parametrize("box", [(1203, 701, 1209, 707), (301, 703, 1900, 705)], ids=["speck", "line"])
def test_small_defects_on_large_images_are_seen(box: tuple[int, int, int, int]) -> None:
    data = load([*plain(10), masked("a.png", box, RED, {"scratch": RED}, size=(2048, 1536))])
    assert data.types == {"scratch": RED}
    assert data.outlines[10].shape == (768, 1024)
    for height, width in ((384, 512), (96, 128)):
        coverage = data.coverage(10, whole(data, 10), height, width)
        assert coverage.max() > 0
        left, top, right, bottom = box
        share = (right - left) * (bottom - top) / (2048 * 1536)
        assert coverage.mean() > 0.5 * share, "what is thinner than a cell keeps its share of it"


def deep(seed: int, factor: int) -> bytes:
    """A picture of 8 bits, stored in 16."""
    grey = np.asarray(Image.open(BytesIO(normals([seed])[0].read())).convert("L")).astype(np.uint16)
    return encode(Image.fromarray(grey * np.uint16(factor)))


def test_the_range_of_deep_images_is_that_of_the_normal_ones_and_told() -> None:
    twelve = [LabeledImage(f"{seed}.png", partial(deep, seed, 16), False) for seed in range(10)]
    brighter = LabeledImage("bad.png", partial(deep, 11, 60), True)
    data = load([*twelve, brighter])
    assert data.levels == Levels(0, 12)
    assert any("levels 0 to 4095 of 16 bits a channel" in note for note in data.notes)

    view = fit_view([image.read for image in twelve], 16_384, levels=data.levels).view
    assert view.levels == data.levels
    as_grey = BytesIO()
    Image.open(BytesIO(normals([3])[0].read())).convert("L").save(as_grey, "PNG")
    np.testing.assert_array_equal(view.cut(deep(3, 16)).pixels, view.cut(as_grey.getvalue()).pixels)


def test_images_of_eight_bits_or_of_all_sixteen_need_no_words() -> None:
    assert load(normals(range(10))).levels is None
    data = load([LabeledImage(f"{seed}.png", partial(deep, seed, 256), False) for seed in range(10)])
    assert data.levels == Levels(0, 16)
    assert not any("16 bits" in note for note in data.notes)


def test_of_more_than_a_thousand_images_the_rarer_label_is_drawn_first() -> None:
    data = load([*plain(1040), *anomalies(range(100, 104), "stain")])
    assert len(data.images) == len({image.name for image in data.images}) == MAX_IMAGES
    assert int(data.is_anomalous.sum()) == 4
    assert any("1000 of the 1044 images" in note for note in data.notes)


@pytest.mark.parametrize(("normal", "anomalous", "drawn"), [(30, 4, 4), (12, 30, 8), (20, 20, 8), (10, 6, 6)])
def test_the_rarer_label_fills_up_to_half(
    monkeypatch: pytest.MonkeyPatch, normal: int, anomalous: int, drawn: int
) -> None:
    monkeypatch.setattr(training_set, "MAX_IMAGES", 16)
    data = load([*normals(range(normal)), *anomalies(range(100, 100 + anomalous), "stain")])
    counts = int(data.is_anomalous.sum()), int((~data.is_anomalous).sum())
    assert sum(counts) == 16
    assert (counts[0] if anomalous <= normal else counts[1]) == drawn


def test_a_thousand_images_are_all_taken_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_set, "MAX_IMAGES", 12)
    data = load(normals(range(12)))
    assert [image.name for image in data.images] == [f"normal/{seed}.png" for seed in range(12)]
    assert not data.notes or "drawn" not in data.notes[0]


def test_types_keep_their_names_and_have_a_colour_each() -> None:
    box = (0, 0, 48, 64)
    kinds = ("deep scratch", "broken_large", "Öl-Fleck")
    data = load([*plain(10), *(masked(f"{kind}.png", box, "#000000", {kind: "#000000"}) for kind in kinds)])
    assert tuple(data.types) == kinds
    assert data.types["deep scratch"] == "#000000"
    assert len(set(data.types.values())) == 3
    assert {int(outline.max()) for outline in data.outlines.values()} == {1, 2, 3}


def test_every_image_that_cannot_be_used_is_named() -> None:
    bad = [LabeledImage(f"bad-{i}.png", lambda: b"GIF89a", i % 2 == 0) for i in range(12)]
    with pytest.raises(TrainingDataError) as caught:
        load([*plain(12), *bad])
    message = str(caught.value)
    assert message.startswith("12 images cannot be used: bad-0.png cannot be used: The content looks like a GIF")
    assert "bad-9.png" in message and "bad-10.png" not in message


@pytest.mark.parametrize("labels", [(False, False, True), (True, True, True)])
def test_every_image_that_is_cut_in_its_pixels_is_named(labels: tuple[bool, ...]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (112, 160, 3)).astype(np.uint8)
    cut = encode(Image.fromarray(noise), "PNG")[:20_000]
    damaged = [LabeledImage(f"cut-{i}.png", lambda: cut, label) for i, label in enumerate(labels)]
    with pytest.raises(TrainingDataError, match=r"^3 images cannot be used: cut-0.png .*; cut-1.png .*; cut-2.png "):
        train([*normals(range(12)), *damaged], project="plate", version="1")
