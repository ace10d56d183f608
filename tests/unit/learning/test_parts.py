"""Parts that lie anyhow: found, judged in one pose, shown as they came; and what lies beside them."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageDraw

from relook.detection.model import Model
from relook.learning.training import TrainedModel, train
from tests.unit.learning.pictures import encode
from tests.unit.learning.turned import HEIGHT, any_way_round, lying, lying_png

pytestmark = pytest.mark.slow

UNSEEN = range(900, 908)


@pytest.fixture(scope="module")
def trained() -> TrainedModel:
    return train(any_way_round(range(24)), project="part", version="1")  # of a dozen, poses alone decide the threshold


@pytest.fixture(scope="module")
def model(trained: TrainedModel) -> Model:
    return Model(trained.package)


def alarms(model: Model, pictures: list[bytes]) -> int:
    return sum(model.detect(picture).is_anomalous for picture in pictures)


def spotted(data: bytes, x: float, y: float) -> bytes:
    """With a bright spot of 8 pixels."""
    picture = Image.open(BytesIO(data)).convert("RGB")
    ImageDraw.Draw(picture).ellipse((x - 4, y - 4, x + 4, y + 4), fill=(250, 250, 250))
    return encode(picture)


def empty_png(seed: int) -> bytes:
    """The table without a part."""
    random = np.random.default_rng(seed)
    table = np.array([70, 74, 80]) * (1 + 0.02 * random.normal()) + random.normal(0, 2, (HEIGHT, HEIGHT, 3))
    return encode(Image.fromarray(table.clip(0, 255).astype(np.uint8)))


def test_a_scratch_is_found_on_parts_that_lie_anyhow(model: Model) -> None:
    assert model.manifest.view.template is not None
    assert alarms(model, [lying_png(seed) for seed in UNSEEN]) <= 1
    assert alarms(model, [lying_png(seed, is_scratched=True) for seed in UNSEEN]) >= 7


def test_a_part_that_is_not_there_is_an_anomaly(model: Model) -> None:
    assert alarms(model, [empty_png(seed) for seed in UNSEEN]) == len(UNSEEN)


def test_a_part_where_none_ever_lay_is_an_anomaly(model: Model) -> None:
    """All lay within 8 pixels of the middle."""
    for right, down in ((60, 0), (-45, 45)):
        pictures = [encode(lying(seed, turn_deg=40 * seed, right_px=right, down_px=down)) for seed in UNSEEN]
        assert alarms(model, pictures) == len(UNSEEN)


def test_a_spot_beside_the_part_is_none_and_on_it_is_one(model: Model) -> None:
    clean = [model.detect(lying_png(seed)) for seed in UNSEEN]
    for x, y in ((6, 6), (HEIGHT - 6, HEIGHT - 6)):
        beside = [model.detect(spotted(lying_png(seed), x, y)) for seed in UNSEEN]
        assert sum(a.is_anomalous != b.is_anomalous for a, b in zip(clean, beside, strict=True)) <= 1
    on_it = []
    for seed in UNSEEN:
        matrix = model.look(lying_png(seed)).cut.matrix
        x, y = matrix @ (0.3 * model.manifest.view.canvas[1], 0.35 * model.manifest.view.canvas[0], 1)
        on_it.append(spotted(lying_png(seed), x, y))
    assert alarms(model, on_it) >= 7


@pytest.mark.parametrize("turn_deg", [-120, -30, 60, 150])
def test_the_map_shows_the_picture_as_it_came(model: Model, turn_deg: float) -> None:
    """The part is judged in the template's pose, the heat lies where the scratch is in the picture."""
    clean, scratched = (lying(910, turn_deg=turn_deg, is_scratched=each) for each in (False, True))
    changed = np.abs(np.asarray(scratched).astype(int) - np.asarray(clean)).max(axis=2) > 30
    actual = model.look(encode(scratched)).on_image(HEIGHT, HEIGHT)
    assert actual[changed].mean() > actual[~changed].mean() + 2
    assert actual[changed].mean() > max(actual[np.rot90(changed, quarters)].mean() for quarters in (1, 2, 3))


def test_every_choice_is_in_the_manifest_with_what_was_measured(
    trained: TrainedModel, from_normals: TrainedModel
) -> None:
    for each in (trained, from_normals):
        choices = each.package.manifest.choices
        assert choices
        for choice in choices:
            assert choice.name and choice.chosen and choice.measure
            assert np.isfinite(list(choice.scores.values())).all()
    chosen, still = ({c.name: c.chosen for c in each.package.manifest.choices} for each in (trained, from_normals))
    assert chosen["parts lie"] != still["parts lie"]
