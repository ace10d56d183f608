"""What benches compute by themselves; the engine they measure has tests of its own."""

from __future__ import annotations

import json
from dataclasses import fields
from io import BytesIO
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image

from bench.ablation import AS_IT_SHIPS, Row, recipes, weights
from bench.patchcore_graph import nearest_distance
from bench.records import records_of
from bench.robustness import ALTERATIONS, altered
from bench.sets import deal, evenly
from cli.stack import Stack
from relook.aws.clients import Clients
from relook.detection.arrays import ByteArray
from relook.events import DetailType
from relook.inspection.publish import detail_types, event_detail
from relook.learning.data.samples import LabeledImage
from relook.learning.recipe import Recipe
from relook.quality.summary import summarize
from tests.account import Cloud
from tests.unit.learning.pictures import encode

EVENTS = Path(__file__).parents[2] / "events" / "outbound"


def picture(name: str, pixels: ByteArray | None = None) -> LabeledImage:
    data = encode(Image.fromarray(np.zeros((64, 64, 3), np.uint8) if pixels is None else pixels))
    return LabeledImage(name, lambda: data, False)


def pixels_of(image: LabeledImage) -> ByteArray:
    with Image.open(BytesIO(image.read())) as opened:
        return np.asarray(opened)


def test_made_records_are_what_the_pipeline_s_own_functions_understand(cloud: Cloud) -> None:
    stack = Stack({"ImagesBucket": "images", "ResultsBucket": "results"}, Clients())
    made = list(records_of(stack, "bracket", 1000))
    assert len({(each["image_uri"], each["object_version"]) for each in made}) == 1000
    assert [each["inspected_at"] for each in made] == sorted((each["inspected_at"] for each in made), reverse=True)
    summary = summarize(made, group_by="camera")
    assert summary.total.rejected and summary.checks.missed and summary.reviews.right and len(summary.by_group) == 4
    assert 0.03 < (summary.total.anomaly_rate.share or 0) < 0.12
    assert len(summary.by_time) > 85
    assert {"review", "to_review"}.isdisjoint({*next(each for each in made if each["status"] == "REJECTED")})
    assert any("to_review" in each for each in made)
    assert not any("to_review" in each and "review" in each for each in made)
    for detail_type, folder in (
        (DetailType.ANOMALY_DETECTED, "anomaly-detected"),
        (DetailType.CHECK_FAILED, "check-failed"),
    ):
        told = next(each for each in made if detail_type in detail_types(each, every_inspection=False))
        schema = json.loads((EVENTS / folder / "schema.json").read_text())
        jsonschema.validate(event_detail(told), schema)


def test_copies_of_one_original_are_dealt_to_one_hand() -> None:
    images = [picture(f"{turn}{name}.png") for name in "abcdefg" for turn in ("", "90_", "250_")]
    hands = deal(images, 3)
    assert sorted(image.name for hand in hands for image in hand) == sorted(image.name for image in images)
    letters = [{image.name[-5] for image in hand} for hand in hands]
    assert sorted(map(len, letters)) == [2, 2, 3]
    assert sum(map(len, letters)) == 7


def test_a_few_of_many_lie_evenly_from_first_to_last() -> None:
    assert evenly(range(9), 3) == [0, 4, 8]
    assert evenly("ab", 3) == ["a", "b"]


def test_distances_are_to_the_nearest_row() -> None:
    random = np.random.default_rng(0)
    patches, bank = random.random((20, 6), np.float32), random.random((30, 6), np.float32)
    slow = [min(np.linalg.norm(patch - row) for row in bank) for patch in patches]
    assert np.allclose(nearest_distance(patches, bank), slow, atol=1e-5)


@pytest.mark.parametrize("name", ALTERATIONS)
def test_an_altered_picture_keeps_its_size_and_is_another(name: str) -> None:
    pixels = np.random.default_rng(0).integers(40, 200, (100, 150, 3)).astype(np.uint8)
    actual = pixels_of(altered(picture("a.png", pixels), name))
    assert actual.shape == pixels.shape
    assert (actual != pixels).any()


def test_light_place_and_blur_are_what_they_are_called() -> None:
    pixels = np.full((100, 200, 3), 120, np.uint8)
    pixels[50, 100] = 240
    image = picture("a.png", pixels)
    darker, brighter, moved, blurred = (
        pixels_of(altered(image, name)) for name in ("25 % darker", "25 % brighter", "moved 2 %", "blurred")
    )
    assert {*darker.ravel().tolist()} == {90, 180}
    assert {*brighter.ravel().tolist()} == {150, 255}
    assert np.argwhere(moved[..., 0] == 240).tolist() == [[52, 104]]
    assert 120 < blurred[50, 100, 0] < 240


def test_generated_sets_weigh_a_third_together_at_most() -> None:
    def row(is_generated: bool) -> Row:
        return Row("a", is_generated, "painted", AS_IT_SHIPS, 1, 1, 1, 1, 1)

    assert np.allclose(weights([row(False), row(True), row(True)]), [2 / 3, 1 / 6, 1 / 6])
    assert np.allclose(weights([row(True), *[row(False)] * 4]), 1 / 5)
    assert np.allclose(weights([row(True)] * 2), 1 / 2)


def test_every_part_of_the_recipe_is_changed_on_its_own() -> None:
    usual = Recipe()
    changed = set()
    for name, recipe in recipes().items():
        different = {
            field.name for field in fields(Recipe) if getattr(recipe, field.name) != getattr(usual, field.name)
        }
        assert len(different) == (name != AS_IT_SHIPS)
        changed |= different
    assert changed == {field.name for field in fields(Recipe)}
