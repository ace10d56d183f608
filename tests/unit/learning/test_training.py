"""Training end to end on small pictures: what is learnt, what is reported, what is refused."""

from __future__ import annotations

import dataclasses
from decimal import Context, Inexact
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from relook.detection.model import Model
from relook.detection.package import ModelPackage
from relook.detection.result import DetectAnomalyResult
from relook.errors import ImageRejectedError, PackageError, RejectionReason, TrainingDataError
from relook.learning import training
from relook.learning.data.samples import LabeledImage
from relook.learning.estimators import segmentation
from relook.learning.recipe import Recipe
from relook.learning.training import TrainedModel, train
from tests.unit.foreign import quick_backbone
from tests.unit.learning.pictures import COLORS, HEIGHT, WIDTH, anomalies, encode, mask_png, normals, plate, plate_png

pytestmark = pytest.mark.slow

UNSEEN = range(900, 908)


def opened(data: bytes | None) -> Image.Image:
    assert data is not None
    return Image.open(BytesIO(data), formats=("PNG",))


def detections(trained: TrainedModel, defect: str | None) -> list[DetectAnomalyResult]:
    model = Model(trained.package, threads=1)
    return [model.detect(plate_png(seed, defect)) for seed in UNSEEN]


def test_normals_alone_find_anomalies_never_shown(from_normals: TrainedModel) -> None:
    verdicts = {defect: detections(from_normals, defect) for defect in (None, "scratch", "stain")}
    assert sum(result.is_anomalous for result in verdicts[None]) <= 1
    assert sum(result.is_anomalous for result in verdicts["scratch"]) >= 7
    assert sum(result.is_anomalous for result in verdicts["stain"]) >= 7
    for result in (*verdicts[None], *verdicts["stain"]):
        assert (result.anomalies, result.mask_png) == (None, None)
        assert opened(result.heat_map_png).size == (WIDTH, HEIGHT)


def test_the_heat_map_is_hot_where_the_defect_is(from_normals: TrainedModel) -> None:
    for seed, result in zip(UNSEEN, detections(from_normals, "stain"), strict=True):
        heat = np.asarray(opened(result.heat_map_png)).astype(float)
        where = plate(seed, defect="stain")[1]
        assert heat[where].mean() > heat[~where].mean() + 20
    usual = [np.asarray(opened(result.heat_map_png)).mean() for result in detections(from_normals, None)]
    assert np.mean(usual) < 20


def test_labelled_anomalies_make_the_verdict_sure(from_labels: TrainedModel) -> None:
    assert not any(result.is_anomalous for result in detections(from_labels, None))
    assert all(result.is_anomalous for result in detections(from_labels, "scratch"))
    assert not Model(from_labels.package).is_segmentation


def test_a_type_nobody_labelled_is_still_found(from_labels: TrainedModel) -> None:
    assert sum(result.is_anomalous for result in detections(from_labels, "stain")) >= 7


@pytest.mark.parametrize("defect", ["scratch", "stain"])
def test_masked_types_are_named_measured_and_painted(from_masks: TrainedModel, defect: str) -> None:
    assert Model(from_masks.package).is_segmentation
    overlaps = []
    for seed, result in zip(UNSEEN, detections(from_masks, defect), strict=True):
        where = plate(seed, defect=defect)[1]
        mask = opened(result.mask_png)
        assert mask.size == (WIDTH, HEIGHT)
        rgb = np.asarray(mask.convert("RGB"))
        assert result.is_anomalous
        assert result.anomalies is not None
        assert (result.anomalies[0].name, result.anomalies[0].color) == ("background", "#FFFFFF")
        assert sum(anomaly.area_share for anomaly in result.anomalies) == pytest.approx(1.0, abs=1e-6)
        for anomaly in result.anomalies:
            painted = (rgb == tuple(bytes.fromhex(anomaly.color[1:]))).all(axis=2)
            assert anomaly.area_share == pytest.approx(painted.mean(), abs=1e-6)
            if anomaly.name == defect:
                assert anomaly.color == COLORS[defect]
                overlaps.append((painted & where).sum() / (painted | where).sum())
    assert len(overlaps) >= 7
    assert np.mean(overlaps) > 0.4


def test_a_normal_verdict_paints_nothing(from_masks: TrainedModel) -> None:
    results = [result for result in detections(from_masks, None) if not result.is_anomalous]
    assert len(results) >= 7
    for result in results:
        assert [(anomaly.name, anomaly.area_share) for anomaly in result.anomalies or ()] == [("background", 1.0)]
        assert opened(result.mask_png).convert("RGB").getcolors() == [(WIDTH * HEIGHT, (255, 255, 255))]


def test_confidence_belongs_to_the_verdict_and_numbers_are_float32(from_masks: TrainedModel) -> None:
    threshold = from_masks.package.manifest.threshold
    exact = Context(prec=38, traps=[Inexact])  # as boto3 writes numbers to DynamoDB
    for defect in (None, "scratch", "stain"):
        for result in detections(from_masks, defect):
            p = result.confidence if result.is_anomalous else 1 - result.confidence
            assert (p >= threshold - 1e-6) == result.is_anomalous
            for number in (result.confidence, *(anomaly.area_share for anomaly in result.anomalies or ())):
                assert number == float(np.float32(number))
                exact.create_decimal_from_float(number)


def test_a_moved_threshold_decides_and_shifts_the_confidence(from_masks: TrainedModel) -> None:
    manifest = from_masks.package.manifest
    unsure = tuple(dataclasses.replace(each, scale=20 * each.scale) for each in manifest.calibration)
    package = ModelPackage(from_masks.package.graph, dataclasses.replace(manifest, calibration=unsure))
    model, image = Model(package), plate_png(900, "scratch")
    own = model.detect(image)
    p = own.anomaly_probability
    assert 0.5 < p < 1 and own.is_anomalous and own.threshold == 0.5 and own.confidence == p
    assert model.detect(image, threshold=p).is_anomalous, "the threshold itself is anomalous"
    above = p + (1 - p) / 2
    moved = model.detect(image, threshold=above)
    assert not moved.is_anomalous
    assert moved.anomaly_probability == p
    assert moved.threshold == np.float32(above)
    odds = (1 - p) / p * above / (1 - above)  # of the verdict, normal, once the threshold's own are even
    assert moved.confidence == pytest.approx(odds / (1 + odds), abs=1e-5)
    assert [each.name for each in moved.anomalies or ()] == ["background"], "a normal verdict paints nothing"


def test_the_normals_statistics_are_kept_and_others_are_held_against_them(from_masks: TrainedModel) -> None:
    kept = from_masks.package.manifest.statistics
    assert list(kept) == ["score", "brightness", "contrast", "sharpness"]
    for statistic in kept.values():
        assert len(statistic.normals) == 14, "the anomalous images are not among them"
        assert list(statistic.normals) == sorted(statistic.normals)
        assert np.median(statistic.normals) == pytest.approx(0, abs=1e-3)
    grey = np.median([np.asarray(Image.fromarray(plate(seed)[0]).convert("L")).mean() for seed in range(14)])
    assert kept["brightness"].center == pytest.approx(grey, abs=0.5)

    model, usual, darker = Model(from_masks.package), plate(900)[0], plate(900)[0] * 0.8
    like, dark = (model.detect(encode(Image.fromarray(each.round().astype(np.uint8)))) for each in (usual, darker))
    assert like.statistics and dark.statistics and like.score is not None and dark.score is not None
    assert abs(like.statistics.brightness) < 3 and abs(like.score) < 6
    assert dark.statistics.brightness < -6 and dark.statistics.contrast < -6
    stained = model.detect(plate_png(900, "stain")).score
    assert stained is not None and stained > like.score + 6


def test_a_model_that_keeps_nothing_of_its_normals_says_nothing_of_them(from_normals: TrainedModel) -> None:
    manifest = dataclasses.replace(from_normals.package.manifest, statistics={})
    result = Model(ModelPackage(from_normals.package.graph, manifest)).detect(plate_png(900))
    assert (result.score, result.statistics) == (None, None)


def test_an_image_of_another_size_is_refused_naming_both(from_normals: TrainedModel) -> None:
    with pytest.raises(ImageRejectedError) as caught:
        Model(from_normals.package).detect(encode(Image.new("RGB", (WIDTH, HEIGHT + 1))))
    assert caught.value.reason is RejectionReason.SIZE_MISMATCH
    assert f"{WIDTH} x {HEIGHT + 1}" in caught.value.message
    assert f"{WIDTH} x {HEIGHT}" in caught.value.message


def test_images_that_are_none_are_refused(from_normals: TrainedModel) -> None:
    with pytest.raises(ImageRejectedError) as caught:
        Model(from_normals.package).detect(plate_png(1)[:-200])
    assert caught.value.reason is RejectionReason.CORRUPT


def test_training_again_gives_the_same_and_is_checked(
    from_normals: TrainedModel, from_labels: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify, seen = training._verify, []

    def watched(*given: Any) -> None:
        seen.append(given)
        verify(*given)

    monkeypatch.setattr(training, "_verify", watched)

    again = train(normals(range(12)), project="plate", version="1")

    assert again.package.files() == from_normals.package.files()
    assert again.evaluation == from_normals.evaluation
    ((package, *parts),) = seen
    assert package == again.package
    with pytest.raises(PackageError):
        verify(from_labels.package, *parts)
    data, cuts, engine = parts
    look = engine.looks[0]
    scales = tuple(dataclasses.replace(each, spread=each.spread * np.float32(1.1)) for each in look.scales)
    other = dataclasses.replace(engine, looks=[dataclasses.replace(look, scales=scales)])
    with pytest.raises(PackageError, match=r"normal/0\.png"):
        verify(again.package, data, cuts, other)


def test_the_nearest_normal_image_is_named(from_normals: TrainedModel) -> None:
    assert from_normals.package.manifest.normals == tuple(f"normal/{seed}.png" for seed in range(12))
    model = Model(from_normals.package)
    for seed in (0, 5, 11):
        nearest = model.detect(plate_png(seed)).nearest_normal
        assert nearest is not None and nearest.name == f"normal/{seed}.png"
        assert nearest.distance < 0.1
    unseen = model.detect(plate_png(900)).nearest_normal
    assert unseen is not None and unseen.distance > 0.1


@settings(max_examples=12, deadline=None)
@given(width=st.integers(64, 400), height=st.integers(64, 400), defect=st.sampled_from([None, "scratch", "stain"]))
def test_masks_and_areas_fit_any_size(from_masks: TrainedModel, width: int, height: int, defect: str | None) -> None:
    any_size = dataclasses.replace(from_masks.package.manifest, image_size=None)
    picture = Image.fromarray(plate(910, defect=defect)[0]).resize((width, height))

    result = Model(ModelPackage(from_masks.package.graph, any_size)).detect(encode(picture))

    mask = opened(result.mask_png).convert("RGB")
    assert mask.size == (width, height)
    known = {"background": "#FFFFFF", **COLORS}
    shown, counts = np.unique(np.asarray(mask).reshape(-1, 3), axis=0, return_counts=True)
    colors = dict(zip(map(bytes, shown), counts.tolist(), strict=True))
    assert set(colors) <= {bytes.fromhex(color[1:]) for color in known.values()}
    assert result.anomalies is not None
    assert sum(anomaly.area_share for anomaly in result.anomalies) == pytest.approx(1, abs=1e-6)
    for anomaly in result.anomalies:
        assert anomaly.color == known[anomaly.name]
        painted = colors[bytes.fromhex(anomaly.color[1:])]
        assert anomaly.area_share == pytest.approx(painted / (width * height), abs=1e-6)


def test_the_package_read_back_gives_the_same_verdicts(from_masks: TrainedModel) -> None:
    again = dataclasses.replace(from_masks, package=ModelPackage.from_files(from_masks.package.files()))
    assert detections(again, "stain") == detections(from_masks, "stain")


def test_evaluation_of_separable_images_is_good(from_masks: TrainedModel) -> None:
    evaluation = from_masks.evaluation
    assert (evaluation.normal_images, evaluation.anomalous_images) == (14, 12)
    assert evaluation.roc_auc is not None and evaluation.roc_auc > 0.95
    assert evaluation.f1 is not None and evaluation.f1 > 0.85
    assert [metrics.name for metrics in evaluation.types] == ["scratch", "stain"]
    assert all(metrics.iou > 0.35 and metrics.images == 6 for metrics in evaluation.types)
    assert [outcome.name for outcome in evaluation.outcomes][-1] == "anomaly/stain-205.png"


def test_without_anomalies_nothing_is_claimed(from_normals: TrainedModel) -> None:
    evaluation = from_normals.evaluation
    assert (evaluation.precision, evaluation.recall, evaluation.f1, evaluation.roc_auc) == (None,) * 4
    assert evaluation.false_alarm_share <= 0.25


def test_a_backbone_of_ones_own_sees_scratches_and_stains_too() -> None:
    """With masks: its maps have other sizes than ours."""
    images = [
        *normals(range(12)),
        *anomalies(range(100, 106), "scratch", with_masks=True),
        *anomalies(range(200, 206), "stain", with_masks=True),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmentation, "_STEPS", 100)
        trained = train(images, project="plate", version="1", backbone=quick_backbone())
    assert trained.package.manifest.backbone == quick_backbone().identity
    assert [each.name for each in trained.package.manifest.classes] == ["scratch", "stain"]
    assert trained.evaluation.roc_auc is not None and trained.evaluation.roc_auc > 0.9
    results = detections(trained, "stain")
    assert sum(result.is_anomalous for result in results) >= 7
    assert all(opened(result.mask_png).size == (WIDTH, HEIGHT) for result in results)


def test_labels_that_mean_nothing_are_not_learnt() -> None:
    """Scoring any image by a model that saw it would show here as a good AUC."""
    steps = []
    for seed in (1, 2, 3):
        drawn = set(np.random.default_rng(seed).permutation(24)[:11].tolist())
        images = enumerate(normals(range(24)))
        shuffled = [dataclasses.replace(image, is_anomalous=number in drawn) for number, image in images]
        options: dict[str, Any] = {"backbone": quick_backbone(), "recipe": Recipe(budget_px=64 * 64, align=False)}
        evaluation = train(shuffled, project="plate", version="1", **options).evaluation
        assert evaluation.roc_auc is not None
        steps.append(evaluation.roc_auc)
    assert 0.25 < np.mean(steps) < 0.75


@dataclasses.dataclass(frozen=True)
class Untidy:
    """A training on images as people bring them, and the progress it reported."""

    trained: TrainedModel
    steps: list[tuple[str, int, int]]


@pytest.fixture(scope="module")
def untidy() -> Untidy:
    """Few images, one of another size, one mislabelled, and anomalies whose masks show nothing."""
    white = partial(encode, Image.new("RGB", (16, 16), "white"))
    images = [
        *normals(range(11)),
        LabeledImage("normal/tall.png", lambda: encode(Image.fromarray(plate(77)[0][:, :100])), False),
        LabeledImage("normal/mislabelled.png", partial(plate_png, 300, "stain"), False),
        *(
            LabeledImage(
                f"{seed}.png", partial(plate_png, seed, "stain"), True, white, {"BACKGROUND": "#fff0f0", **COLORS}
            )
            for seed in range(100, 103)
        ),
    ]
    steps: list[tuple[str, int, int]] = []
    trained = train(images, project="plate", version="1", on_progress=lambda *step: steps.append(step))
    return Untidy(trained, steps)


def test_a_few_anomalies_check_the_model_but_do_not_teach_it(untidy: Untidy) -> None:
    assert len(untidy.trained.package.manifest.calibration) == 1
    assert any("3 anomalous images are too few" in note for note in untidy.trained.notes)
    assert untidy.trained.evaluation.recall == 1.0


def test_few_normal_images_are_called_fragile(untidy: Untidy) -> None:
    assert any("13 normal images" in note and "fragile below 15" in note for note in untidy.trained.notes)


def test_an_odd_normal_image_is_pointed_out(untidy: Untidy) -> None:
    pointed_out = [note for note in untidy.trained.notes if "mislabelled" in note]
    assert len(pointed_out) == 1
    assert "check its label" in pointed_out[0]


def test_mixed_sizes_are_accepted_with_a_note(untidy: Untidy) -> None:
    assert untidy.trained.package.manifest.image_size is None
    assert any("2 sizes" in note for note in untidy.trained.notes)
    Model(untidy.trained.package).detect(encode(Image.new("RGB", (333, 77))))


def test_masks_that_show_nothing_make_a_classification_model(untidy: Untidy) -> None:
    assert untidy.trained.package.manifest.classes == ()
    assert any("No mask shows scratch, stain" in note for note in untidy.trained.notes)


def test_progress_is_told(untidy: Untidy) -> None:
    assert untidy.steps[0] == ("reading images", 1, 16)
    assert all(0 < done <= total for _, done, total in untidy.steps)
    assert untidy.steps[-1] == ("checking the package", 1, 1)


def refusal(images: list[LabeledImage]) -> str:
    with pytest.raises(TrainingDataError) as caught:
        train(images, project="plate", version="1")
    return str(caught.value)


def test_too_few_normal_images() -> None:
    message = refusal([*normals(range(9)), *anomalies(range(100, 110), "scratch")])
    assert "9 normal images" in message
    assert "at least 10" in message


def test_an_unreadable_image_is_named() -> None:
    message = refusal([*normals(range(10)), LabeledImage("broken.jpg", lambda: b"GIF89a", False)])
    assert "broken.jpg" in message
    assert "GIF" in message


@pytest.mark.parametrize(
    ("colors", "mask", "says"),
    [
        ({"scratch": "#123456"}, partial(mask_png, 1, "scratch"), "#7ED321"),
        (COLORS, lambda: encode(Image.new("RGB", (WIDTH, HEIGHT)).crop((0, 0, WIDTH, 99)), "JPEG"), "JPEG"),
        (COLORS, lambda: encode(opened(mask_png(1, "scratch")).resize((80, 56), Image.Resampling.NEAREST)), "80 x 56"),
    ],
)
def test_an_unusable_mask_is_named(colors: dict[str, str], mask: partial[bytes], says: str) -> None:
    image = LabeledImage("odd.png", partial(plate_png, 1, "scratch"), True, mask, colors)
    message = refusal([*normals(range(10)), image])
    assert "odd.png" in message
    assert says in message


def test_equal_images_train_a_model_that_accepts_them_and_nothing_else() -> None:
    picture = Image.new("RGB", (64, 64), "white")
    data = encode(picture)
    images = [LabeledImage(f"{i}.png", lambda: data, False) for i in range(10)]
    trained = train(images, project="plate", version="1")
    model = Model(trained.package)
    spoiled = picture.copy()
    spoiled.paste("red", (20, 20, 40, 30))

    assert not model.detect(data).is_anomalous
    assert model.detect(encode(spoiled)).is_anomalous
    # Nothing but their altered copies tells the folds apart: 0 to 3 of the ten, by the seed
    assert trained.evaluation.false_alarm_share <= 0.3
    assert any("copies of each other" in note for note in trained.notes)
