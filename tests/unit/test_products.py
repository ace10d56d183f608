"""The generated pictures: repeatable, varied, and with masks that are exact."""

from __future__ import annotations

import json
import math
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pytest import MonkeyPatch

from local.products import PRODUCTS, Picture, render, write_dataset
from local.products.__main__ import main
from local.products.picture import SMALLEST_DEFECT_PX, VISIBLE_LEVELS

pytestmark = pytest.mark.slow

SIZES = {"bracket": (576, 768), "board": (640, 640), "screw": (512, 512), "tile": (360, 480)}
EVERY_DEFECT = [(product, name) for product, item in PRODUCTS.items() for name in item.defects]
SPREAD = [("bracket", "dent"), ("board", "stain"), ("screw", "head"), ("tile", "fray")]


@cache
def photographed(product: str, seed: int, *defects: str) -> Picture:
    """One rendering for all the tests that look at it."""
    return render(product, seed, defects)


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_normal_piece_has_the_product_s_size_and_no_mask(product: str) -> None:
    picture = photographed(product, 0)

    height, width = SIZES[product]
    assert picture.image.shape == (height, width, 3)
    assert picture.image.dtype == picture.mask.dtype == np.uint8
    assert picture.mask.shape == (height, width)
    assert not picture.mask.any()
    assert picture.types == ()


def test_every_product_has_colours_and_names_that_lookout_takes() -> None:
    assert set(PRODUCTS) == set(SIZES)
    for item in PRODUCTS.values():
        assert len(item.defects) >= 2
        assert all(re.fullmatch("[a-zA-Z0-9]+", name) for name in item.defects)
        colors = [defect.color for defect in item.defects.values()]
        assert all(re.fullmatch("#[0-9A-F]{6}", color) for color in colors)
        assert len({*colors, "#FFFFFF"}) == len(colors) + 1


@pytest.mark.parametrize(("product", "name"), SPREAD)
def test_the_same_seed_gives_the_same_pixels_and_another_seed_another_piece(product: str, name: str) -> None:
    first, again, other = photographed(product, 0, name), render(product, 0, [name]), render(product, 1, [name])

    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.mask, again.mask)
    assert np.abs(first.image.astype(int) - other.image).mean() > 2


@pytest.mark.parametrize(("product", "name"), EVERY_DEFECT)
def test_a_defect_changes_the_pixels_of_its_mask_and_no_others(product: str, name: str) -> None:
    sound, spoiled = photographed(product, 0), photographed(product, 0, name)

    index = 1 + list(PRODUCTS[product].defects).index(name)
    inside = spoiled.mask == index
    change = np.abs(spoiled.image.astype(int) - sound.image).max(axis=2)
    assert spoiled.types == (name,)
    assert set(np.unique(spoiled.mask)) == {0, index}
    assert np.count_nonzero(inside) >= SMALLEST_DEFECT_PX
    # One level of slack: noise is scaled by the light, then rounded.
    assert change[~inside].max() <= VISIBLE_LEVELS + 1
    assert np.mean(change[inside] >= VISIBLE_LEVELS - 1) > 0.6


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_type_can_be_on_one_piece(product: str) -> None:
    names = list(PRODUCTS[product].defects)

    picture = render(product, 9, names)

    assert picture.types == tuple(names)
    assert set(np.unique(picture.mask)) == {0, 1, 2, 3}


def test_a_screw_lies_in_any_direction_and_wholly_in_the_frame() -> None:
    directions = []
    for seed in range(16):
        surface = PRODUCTS["screw"].build(np.random.default_rng(seed))
        directions.append(surface.sites["head"][0][2])
        assert not any(edge.any() for edge in (surface.cover[:12], surface.cover[-12:]))
        assert not any(edge.any() for edge in (surface.cover[:, :12], surface.cover[:, -12:]))

    quarters = {int(direction // (math.pi / 2)) for direction in directions}
    assert quarters == {0, 1, 2, 3}


@pytest.mark.parametrize("end", ["bent", "cut"])
def test_a_screw_s_point_is_spoiled_where_it_was(end: str) -> None:
    outlines = {}
    for seed in range(12):
        sound = PRODUCTS["screw"].build(np.random.default_rng(3))
        spoiled = sound.copy()
        PRODUCTS["screw"].defects["bend"].inflict(spoiled, np.random.default_rng(seed))
        has_grown = bool((spoiled.cover > sound.cover + 0.5).any())
        outlines["bent" if has_grown else "cut"] = (sound, spoiled)

    sound, spoiled = outlines[end]
    y, x, _ = sound.sites["bend"][0]
    rows, columns = np.nonzero(np.abs(spoiled.cover - sound.cover) > 0.01)
    assert len(rows) > 100
    assert np.hypot(rows - y, columns - x).max() < 60
    if end == "bent":
        assert spoiled.cover.sum() == pytest.approx(sound.cover.sum(), rel=0.01)


def test_a_tile_fills_the_frame_and_its_brightness_varies() -> None:
    pictures = [photographed("tile", seed).image for seed in range(6)]

    levels = [float(image.mean()) for image in pictures]
    assert min(int(image.min()) for image in pictures) > 20
    assert max(levels) - min(levels) > 10


def test_a_screw_that_is_missing_cannot_go_missing_again(monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr("local.products.bracket.SCREWS", ((340, 190),))

    with pytest.raises(ValueError, match="no place is left for missingscrew"):
        render("bracket", 0, ["missingscrew", "missingscrew"])


def test_a_defect_that_nobody_could_see_is_not_made(monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr("local.products.picture.SMALLEST_DEFECT_PX", 10**6)
    monkeypatch.setattr("local.products.picture.ATTEMPTS", 2)

    with pytest.raises(ValueError, match="no place is left where stain could be seen"):
        render("board", 0, ["stain"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("board")
    write_dataset(folder, "board", normal=2, anomalous=5, seed=40)
    return folder


def test_a_dataset_is_laid_out_as_training_reads_it(folder: Path) -> None:
    colors = {name: defect.color for name, defect in PRODUCTS["board"].defects.items()}
    normals = sorted(path.name for path in (folder / "normal").iterdir())
    anomalies = sorted(path.stem for path in (folder / "anomaly").iterdir())

    assert normals == ["board-00040.jpg", "board-00041.jpg"]
    assert anomalies == [f"board-{seed:05d}" for seed in range(42, 47)]
    assert sorted(path.stem for path in (folder / "masks").glob("*.png")) == anomalies
    assert json.loads((folder / "masks" / "colors.json").read_text()) == colors


def test_a_mask_paints_each_type_in_its_colour_on_white(folder: Path) -> None:
    colors = [defect.color for defect in PRODUCTS["board"].defects.values()]
    seen: set[int] = set()
    for path in sorted((folder / "masks").glob("*.png")):
        with Image.open(path) as mask:
            palette = bytes(mask.getpalette() or [])
            assert mask.mode == "P"
            assert mask.size == (640, 640)
            assert palette[:12].hex() == "ffffff" + "".join(color[1:].lower() for color in colors)
            indexes = set(np.unique(np.asarray(mask)).tolist())
        assert 0 in indexes
        seen |= indexes
    assert seen == {0, 1, 2, 3}


def test_a_dataset_is_written_byte_for_byte_again(folder: Path, tmp_path: Path) -> None:
    paths = write_dataset(tmp_path, "board", normal=2, anomalous=1, seed=40)

    assert [path.name for path in paths] == ["board-00040.jpg", "board-00041.jpg", "board-00042.jpg"]
    for path in paths:
        assert path.read_bytes() == (folder / path.relative_to(tmp_path)).read_bytes()


def test_the_command_writes_a_set_and_a_sheet_of_each_product(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["products", str(tmp_path), "--count", "1"])
    monkeypatch.setattr("local.products.__main__.PRODUCTS", {"board": PRODUCTS["board"]})

    main()

    assert len(list((tmp_path / "board").glob("*/*.jpg"))) == 2
    with Image.open(tmp_path / "board.png") as sheet:
        assert sheet.size == (1440, 1440)
