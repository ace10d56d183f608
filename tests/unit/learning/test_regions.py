"""Regions that are ignored: a defect in them is none, one beside them is, and nothing that happens there matters."""

from __future__ import annotations

from functools import partial
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from relook.detection.model import Model
from relook.detection.package import ModelPackage
from relook.detection.regions import Regions
from relook.detection.result import BACKGROUND
from relook.learning.data.samples import LabeledImage
from relook.learning.estimators import segmentation
from relook.learning.training import TrainedModel, train
from relook.learning.validation.evaluation import evaluate_on
from tests.unit.foreign import quick_backbone
from tests.unit.learning.pictures import HEIGHT, WIDTH, anomalies, encode, normals, plate, plate_png
from tests.unit.learning.turned import any_way_round, lying_png

pytestmark = pytest.mark.slow

IGNORED = np.zeros((HEIGHT, WIDTH), bool)
IGNORED[:, WIDTH // 2 :] = True
REGIONS = Regions.from_mask(encode(Image.fromarray(IGNORED)))
CELL_PX = 6
"""Of a plate; a defect that reaches as far into the region is cut off there."""


def stains(*, hidden: bool) -> list[int]:
    """Seeds of unseen plates with a stain in the region, or of such with one that is well beside it."""

    def is_asked_for(where: NDArray[np.bool_]) -> bool:
        return not (where & ~IGNORED).any() if hidden else not (where[:, CELL_PX:] & IGNORED[:, :-CELL_PX]).any()

    return [seed for seed in range(900, 960) if is_asked_for(plate(seed, defect="stain")[1])]


HIDDEN, BESIDE = stains(hidden=True), stains(hidden=False)


def labelled() -> list[LabeledImage]:
    return [*normals(range(14)), *anomalies(range(100, 110), "stain")]


def masked() -> list[LabeledImage]:
    return [*normals(range(14)), *anomalies(range(100, 114), "stain", with_masks=True)]


@pytest.fixture(scope="module", params=["normals", "labels", "masks"])
def trained(request: pytest.FixtureRequest) -> TrainedModel:
    images = {"normals": lambda: normals(range(14)), "labels": labelled, "masks": masked}[request.param]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmentation, "_STEPS", 200)
        return train(images, project="plate", version="1", regions=REGIONS)


@pytest.fixture(scope="module")
def model(trained: TrainedModel) -> Model:
    return Model(ModelPackage.from_files(trained.package.files()), threads=1)


def scrambled(data: bytes, regions: Regions = REGIONS) -> bytes:
    """With anything at all where it is ignored."""
    pixels = np.array(Image.open(BytesIO(data)).convert("RGB"))
    ignored = regions.on(*pixels.shape[:2])
    pixels[ignored] = np.random.default_rng(len(data)).integers(0, 256, (int(ignored.sum()), 3), np.uint8)
    return encode(Image.fromarray(pixels))


def test_a_defect_that_is_ignored_is_none_and_one_beside_is(model: Model) -> None:
    assert min(len(HIDDEN), len(BESIDE)) >= 15
    hidden = [model.detect(plate_png(seed, "stain")) for seed in HIDDEN]
    beside = [model.detect(plate_png(seed, "stain")) for seed in BESIDE]
    assert sum(each.is_anomalous for each in hidden) <= 1
    assert sum(each.is_anomalous for each in beside) >= 0.9 * len(beside)


def test_nothing_that_happens_there_changes_anything(model: Model) -> None:
    for data in (plate_png(900), *(plate_png(seed, "stain") for seed in (HIDDEN[0], BESIDE[0]))):
        assert model.detect(scrambled(data)) == model.detect(data)


def test_nothing_is_shown_there(model: Model) -> None:
    for seed in BESIDE[:4]:
        result = model.detect(plate_png(seed, "stain"))
        heat = np.asarray(Image.open(BytesIO(result.heat_map_png or b"")))
        assert heat[IGNORED].max() == 0 < heat[~IGNORED].max()
        if model.is_segmentation and result.anomalies and result.mask_png:
            painted = (np.asarray(Image.open(BytesIO(result.mask_png))) != 255).any(axis=2)
            assert painted.any() and not painted[IGNORED].any()
            areas = {each.name: each.area_share for each in result.anomalies}
            assert areas.pop(BACKGROUND) + sum(areas.values()) == pytest.approx(1)
            assert sum(areas.values()) == pytest.approx(painted.mean()), "shares of the whole image"


def test_training_says_what_is_ignored_and_leaves_out_what_only_shows_there(trained: TrainedModel) -> None:
    assert any(note.startswith("50.0% of the image is ignored") for note in trained.notes)
    left_out = [note for note in trained.notes if "left out" in note]
    hidden = sum(not (plate(seed, defect="stain")[1] & ~IGNORED).any() for seed in range(100, 114))
    if trained.package.manifest.classes:
        assert left_out == [f"{hidden} images have all their defects where it is ignored: they are left out"]
        assert len(trained.evaluation.outcomes) == 28 - hidden
    else:
        assert left_out == [], "nobody knows where their defects are"


def test_a_test_dataset_is_judged_by_what_is_looked_at(trained: TrainedModel) -> None:
    if not trained.package.manifest.classes:
        return
    seeds = [*HIDDEN[:3], *BESIDE[:5]]
    images = [*normals(range(800, 803)), *anomalies(seeds, "stain", with_masks=True)]
    model = Model(trained.package, threads=1)
    evaluation = evaluate_on(model, images, lambda *_: None, REGIONS)
    assert len(evaluation.outcomes) == 3 + 5
    without = evaluate_on(model, images, lambda *_: None)
    assert len(without.outcomes) == 3 + 8
    assert without.recall is not None and evaluation.recall is not None
    assert evaluation.recall > without.recall
    assert evaluation.types[0].recall > without.types[0].recall


def test_a_region_stays_where_it_is_while_parts_are_turned() -> None:
    """A strip at the left, as of a fixture; parts lie anyhow, so it covers another piece of each."""
    regions = Regions.from_mask(encode(Image.fromarray(np.arange(192)[None].repeat(192, axis=0) < 40)))
    trained = train(any_way_round(range(24)), project="part", version="1", regions=regions)
    model = Model(trained.package, threads=1)
    assert model.manifest.view.template is not None
    seeds = range(900, 912)
    assert sum(model.detect(lying_png(seed)).is_anomalous for seed in seeds) <= 2
    assert sum(model.detect(lying_png(seed, is_scratched=True)).is_anomalous for seed in seeds) >= 8
    for seed in (900, 901):
        data = lying_png(seed)
        result = model.detect(scrambled(data, regions))
        assert result == model.detect(data)
        assert np.asarray(Image.open(BytesIO(result.heat_map_png or b"")))[:, :40].max() == 0


def test_a_second_look_ignores_the_same() -> None:
    def large(seed: int, defect: str | None = None) -> bytes:
        return encode(Image.fromarray(plate(seed, defect=defect, scale=8)[0]), "JPEG", quality=90)

    images = [LabeledImage(f"{seed}.jpg", partial(large, seed), False) for seed in range(10)]
    trained = train(images, project="plate", version="1", regions=REGIONS, backbone=quick_backbone())
    model = Model(trained.package, threads=1)
    assert dict(trained.package.manifest.choices[2].scores).keys() == {"first", "second"}
    hidden, beside = (model.detect(large(seed, "stain")) for seed in (HIDDEN[0], BESIDE[0]))
    assert (hidden.is_anomalous, beside.is_anomalous) == (False, True)


def test_the_same_regions_give_the_same_package_and_others_another() -> None:
    images, backbone = normals(range(10)), quick_backbone()

    def graph(regions: Regions | None) -> bytes:
        return train(images, project="plate", version="1", regions=regions, backbone=backbone).package.graph

    assert graph(REGIONS) == graph(REGIONS) != graph(None)
    assert b"kept_0" in graph(REGIONS)
    assert b"kept_0" not in graph(None), "nothing is asked where nothing is ignored"


def test_types_that_show_only_where_it_is_ignored_are_not_known() -> None:
    hidden = anomalies(HIDDEN[:3], "stain", with_masks=True)
    beside = anomalies(range(100, 106), "scratch", with_masks=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmentation, "_STEPS", 50)
        trained = train([*normals(range(12)), *beside, *hidden], project="plate", version="1", regions=REGIONS)
    assert [each.name for each in trained.package.manifest.classes] == ["scratch"]
    assert "No mask shows stain; the model will not know it" in trained.notes
