"""How training finds out by itself what kind of pictures it was given."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import partial

import numpy as np
import pytest
from PIL import Image

from relook.detection.model import Model
from relook.detection.package import MANIFEST_FILE, Choice, ModelPackage
from relook.detection.session import Session
from relook.learning.data.samples import LabeledImage
from relook.learning.training import TrainedModel, train
from tests.unit.foreign import quick_backbone
from tests.unit.learning.pictures import encode
from tests.unit.learning.turned import any_way_round, lying, lying_png


def choices(trained: TrainedModel) -> Mapping[str, Choice]:
    """By name."""
    return {choice.name: choice for choice in trained.package.manifest.choices}


def said_by_place(trained: TrainedModel) -> float:
    """Share of the features' variance."""
    return choices(trained)["scorer"].scores["share"]


def quickly_trained(images: list[LabeledImage]) -> TrainedModel:
    """With a small backbone, in which some features never say anything."""
    return train(images, project="part", version="1", backbone=quick_backbone())


@pytest.fixture(scope="module")
def turned() -> TrainedModel:
    return quickly_trained(any_way_round(range(12)))


def grain_png(seed: int) -> bytes:
    """Smooth noise that is nowhere the same twice."""
    field = np.random.default_rng(seed).normal(0, 1, (96, 96))
    for _ in range(2):
        field = field + np.roll(field, 1, 0) + np.roll(field, 1, 1) + np.roll(field, (1, 1), (0, 1))
    grey = (128 + 40 * field / field.std()).clip(0, 255).astype(np.uint8)
    return encode(Image.fromarray(grey).convert("RGB"))


@pytest.fixture(scope="module")
def grainy() -> TrainedModel:
    images = [LabeledImage(f"{seed}.png", partial(grain_png, seed), False) for seed in range(10)]
    return quickly_trained(images)


def test_parts_that_lie_anyhow_are_aligned(turned: TrainedModel) -> None:
    alignment = choices(turned)["alignment"]
    assert alignment.chosen == "any angle"
    assert alignment.scores["any angle"] > alignment.scores["none"] + 0.1
    assert said_by_place(turned) > 0.25
    assert choices(turned)["scorer"].chosen == "object"


def test_a_scratch_is_found_on_parts_that_lie_anyhow(turned: TrainedModel) -> None:
    model = Model(turned.package)
    normal = [model.detect(lying_png(seed)).is_anomalous for seed in range(900, 908)]
    scratched = [model.detect(lying_png(seed, is_scratched=True)).is_anomalous for seed in range(900, 908)]
    assert sum(normal) <= 1
    assert sum(scratched) >= 7


@pytest.mark.parametrize("turn_deg", [-120, -30, 60, 150])
def test_the_map_shows_the_picture_as_it_came(turned: TrainedModel, turn_deg: float) -> None:
    """The part is judged in the template's pose, the heat lies where the scratch is in the picture."""
    model = Model(turned.package)
    clean, scratched = (lying(910, turn_deg=turn_deg, is_scratched=each) for each in (False, True))
    changed = np.abs(np.asarray(scratched).astype(int) - np.asarray(clean)).max(axis=2) > 30
    where = np.asarray(Image.fromarray(changed).resize((64, 64), Image.Resampling.BOX))
    found = model.look(encode(scratched))["map"]
    assert found[where].mean() > 3 * found[~where].mean()
    assert found[where].mean() > max(found[np.rot90(where, quarters)].mean() for quarters in (1, 2, 3))


def test_parts_that_lie_still_are_taken_as_they_are(from_normals: TrainedModel) -> None:
    assert choices(from_normals)["alignment"].chosen == "none"
    assert choices(from_normals)["scorer"].chosen == "object"
    assert said_by_place(from_normals) > 0.25


def test_a_random_grain_is_a_texture(grainy: TrainedModel) -> None:
    assert choices(grainy)["alignment"].chosen == "none"
    assert choices(grainy)["scorer"].chosen == "texture"
    assert said_by_place(grainy) < 0.25


def test_labelled_anomalies_decide_where_there_are_enough(from_masks: TrainedModel, from_normals: TrainedModel) -> None:
    assert "labelled anomalies" in choices(from_masks)["scorer"].measure
    assert set(choices(from_masks)["scorer"].scores) == {"object", "texture"}
    assert set(choices(from_normals)["scorer"].scores) == {"share"}


def test_every_choice_is_in_the_manifest_with_its_scores(
    turned: TrainedModel, grainy: TrainedModel, from_normals: TrainedModel, from_masks: TrainedModel
) -> None:
    for trained in (turned, grainy, from_normals, from_masks):
        files = trained.package.files()
        written = json.loads(files[MANIFEST_FILE])["choices"]
        assert [choice["name"] for choice in written] == ["alignment", "scorer"]
        assert ModelPackage.from_files(files).manifest.choices == trained.package.manifest.choices
        for choice in written:
            assert choice["measure"]
            assert all(math.isfinite(score) for score in choice["scores"].values())
        assert choices(trained)["alignment"].chosen in choices(trained)["alignment"].scores


def test_the_picture_compared_with_is_named(from_normals: TrainedModel) -> None:
    manifest = from_normals.package.manifest
    assert manifest.normals == tuple(f"normal/{seed}.png" for seed in range(12))
    assert Session(from_normals.package.graph, threads=1).shapes["nearest"] == (2,)
