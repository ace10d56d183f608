"""The gallery and the page of one inspection."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from cli.console.pictures import thumbnail
from cli.stack import Stack
from relook.detection.levels import Levels
from relook.detection.model import Model
from relook.detection.result import DetectAnomalyResult
from relook.inspection.publish import event_detail
from relook.registry.inspections import RecordId
from relook.registry.projects import create_project, describe_project
from relook.registry.regions import set_regions
from relook.registry.trainings import create_model, finish_training
from tests.console.conftest import Seen, png
from tests.unit.detection.test_levels import deep_png
from tests.unit.parts import WHO, classification_package, part_png, register_hosted


def names(text: str) -> list[str]:
    return re.findall(r'<span class="file">([^<]+)</span>', text)


def test_without_projects_it_says_what_to_do_first(seen: Seen) -> None:
    from relook.registry.projects import delete_project

    delete_project(seen.stack.registry, "bracket")
    assert "relook train cup photos/cup" in seen.browser.get("/inspections").text


def test_newest_first_whatever_the_project(seen: Seen) -> None:
    create_project(seen.stack.registry, "board")
    seen.record("old.png", 1)
    seen.record("newest.png", 3)
    seen.record("middle.png", 2, project="board")
    assert names(seen.browser.get("/inspections").text) == ["newest.png", "middle.png", "old.png"]
    assert names(seen.browser.get("/inspections?project=board").text) == ["middle.png"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ("verdict=anomalous", ["dent.png"]),
        ("verdict=normal", ["good.png"]),
        ("verdict=rejected", ["notes.png"]),
        ("type=dent", ["dent.png"]),
        ("type=scratch", []),
        ("line=line%3D2", ["dent.png"]),
        ("line=2", ["dent.png"]),
        ("above=90", ["dent.png"]),
        ("below=80", ["good.png"]),
        ("review=reviewed", ["good.png"]),
        ("review=unreviewed", ["notes.png", "dent.png"]),
        ("since=2026-11-26T09:02", ["notes.png", "dent.png"]),
        ("until=2026-11-25", []),
        ("until=2026-11-26", ["notes.png", "dent.png", "good.png"]),
    ],
)
def test_filters(seen: Seen, filters: str, expected: list[str]) -> None:
    seen.record("good.png", 1, review="right")
    dent = [{"name": "dent", "area_share": 0.0049, "color": "#F5A623"}]
    seen.record("dent.png", 2, is_anomalous=True, confidence=0.95, anomalies=dent, metadata={"line": "2"})
    seen.record(
        "notes.png",
        3,
        status="REJECTED",
        reason="EMPTY",
        message="It is empty.",
        is_anomalous=None,
        confidence=None,
        anomalies=None,
    )
    assert names(seen.browser.get(f"/inspections?{filters}").text) == expected


def test_a_filter_that_nothing_can_match_gets_a_sentence(seen: Seen) -> None:
    answer = seen.browser.get("/inspections?verdict=strange")
    assert answer.status_code == 400
    assert "strange" in answer.text


def test_pages_follow_each_other_without_gap_or_overlap(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    from cli.console import inspections

    monkeypatch.setattr(inspections, "PAGE_SIZE", 2)
    for minute in range(5):
        seen.record(f"{minute}.png", minute)
    address: str | None = "/inspections?project=bracket"
    shown = []
    while address:
        text = seen.browser.get(address).text
        shown += names(text)
        older = re.search(r'href="([^"]+)" rel="next"', text)
        address = older[1].replace("&amp;", "&") if older else None
    assert shown == ["4.png", "3.png", "2.png", "1.png", "0.png"]


def test_what_arrived_since_is_told_once_it_is_there(seen: Seen) -> None:
    seen.record("old.png", 1)
    seen.record("new.png", 2)
    text = seen.browser.get("/inspections/new?newer=2026-11-26T09:02:00.000Z").text
    assert names(text) == ["new.png"]
    assert "<html" not in text


def test_one_inspection_shows_what_the_record_says(seen: Seen) -> None:
    dent = [{"name": "dent", "area_share": 0.0049, "color": "#F5A623"}]
    record = seen.record("dent.png", 2, is_anomalous=True, confidence=0.95, anomalies=dent, metadata={"line": "2"})
    text = seen.browser.get(f"/inspections/{RecordId.of(record)}").text
    for part in ("anomalous", "95.0%", "dent", "0.49%", "bracket/1", "bracket/dent.png"):
        assert part in text
    assert seen.browser.get(f"/pictures/{RecordId.of(record)}/image").headers["content-type"] == "image/png"


def test_other_versions_verdicts_are_named(seen: Seen) -> None:
    record = seen.record("dent.png", 2)
    version = record["object_version"].partition("#")[0]
    other = {**record, "object_version": f"{version}#2", "model_version": "2", "is_anomalous": True}
    seen.stack.inspections.put(other)
    assert "model 2" in seen.browser.get(f"/inspections/{RecordId.of(record)}").text


def test_the_picture_is_the_version_that_was_inspected(seen: Seen) -> None:
    first = seen.record("a.png", 1)
    seen.stack.images.write("bracket/a.png", png("#ff0000"), "image/png")
    assert seen.browser.get(f"/pictures/{RecordId.of(first)}/image").content == png()


def test_a_thumbnail_is_made_once_and_outlives_the_image(seen: Seen) -> None:
    record = seen.record("a.png", 1)
    address = f"/pictures/{RecordId.of(record)}/thumbnail"
    first = seen.browser.get(address)
    assert first.headers["content-type"] == "image/jpeg"
    seen.stack.clients.s3.delete_object(
        Bucket="images", Key="bracket/a.png", VersionId=record["object_version"].partition("#")[0]
    )
    assert seen.browser.get(address).content == first.content
    assert seen.browser.get(f"/pictures/{RecordId.of(record)}/image").status_code == 404


@pytest.mark.parametrize(
    ("outputs", "tags"),
    [({}, {}), ({"KeepNormalPicturesDays": "7"}, {"relook-verdict": "normal"})],
    ids=["kept", "ending"],
)
def test_a_thumbnail_ends_with_its_image(seen: Seen, outputs: dict[str, str], tags: dict[str, str]) -> None:
    stack = replace(seen.stack, outputs={**seen.stack.outputs, **outputs})
    thumbnail(stack, seen.record("a.png", 1))
    results = stack.bucket("results")
    (key,) = results.etags("bracket/thumbnails/")
    assert results.tags(key) == tags


def test_an_image_whose_key_is_strange_is_found(seen: Seen) -> None:
    record = seen.record("dir/ä ö+%2F?#&.png", 1)
    assert seen.browser.get(f"/inspections/{RecordId.of(record)}").status_code == 200
    assert seen.browser.get(f"/pictures/{RecordId.of(record)}/thumbnail").status_code == 200


def test_the_events_that_were_sent_are_shown(seen: Seen) -> None:
    record = seen.record("<b>.png", 1, is_anomalous=True, expected="normal", is_expected_met=False)
    text = seen.browser.get(f"/inspections/{RecordId.of(record)}").text
    assert "Sent as Anomaly Detected and Check Failed" in text
    shown = re.search(r'<pre class="raw" tabindex="0">(.*?)</pre>', text, re.DOTALL)
    assert shown and json.loads(html.unescape(shown[1])) == event_detail(record)
    normal = seen.record("normal.png", 2)
    assert "A normal image sends no event" in seen.browser.get(f"/inspections/{RecordId.of(normal)}").text


def test_one_goes_on_to_what_came_before_and_after(seen: Seen) -> None:
    create_project(seen.stack.registry, "board")
    records = [seen.record(f"{minute}.png", minute) for minute in range(7)]
    seen.record("other.png", 3, project="board")

    def shown(number: int) -> tuple[str | None, str | None, list[str]]:
        text = seen.browser.get(f"/inspections/{RecordId.of(records[number])}").text
        newer, older = (re.search(rf'href="/inspections/([^"]+)" rel="{rel}"', text) for rel in ("prev", "next"))
        return (newer and newer[1], older and older[1], names(text))

    ids = [str(RecordId.of(each)) for each in records]
    assert shown(3) == (ids[4], ids[2], ["5.png", "4.png", "2.png", "1.png"])
    assert shown(0) == (ids[1], None, ["2.png", "1.png"])
    assert shown(6) == (None, ids[5], ["5.png", "4.png"])


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every image that a model looks at in the test."""
    images: list[bytes] = []
    detect = Model.detect

    def noted(model: Model, data: bytes) -> DetectAnomalyResult:
        images.append(data)
        return detect(model, data)

    monkeypatch.setattr(Model, "detect", noted)
    return images


def host(stack: Stack, project: str) -> dict[int, bytes]:
    """A model of this project and its normal images where training found them; their contents by number."""
    package = classification_package()
    normals = {int(name.split("/")[1].removesuffix(".png")): name for name in package.manifest.normals}
    places = tuple(f"s3://images/trained/{number}.png" for number in normals)
    models = stack.outputs["ModelsBucket"]
    manifest = replace(package.manifest, normals=places)
    register_hosted(stack.registry, stack.clients.s3, models, project, replace(package, manifest=manifest))
    for number in normals:
        stack.images.write(f"trained/{number}.png", part_png(number))
    return {number: part_png(number) for number in normals}


def test_the_nearest_normal_lies_beside_it_on_demand(seen: Seen, looked_at: list[bytes]) -> None:
    normals = host(seen.stack, "bracket")
    record = seen.record("like-5.png", 1, data=normals[5])
    address = f"/inspections/{RecordId.of(record)}"
    assert f'data-nearest href="{address}?nearest=1"' in seen.browser.get(address).text
    assert looked_at == [], "the page does not wait for it unless asked"
    text = seen.browser.get(f"{address}?nearest=1").text
    assert '0.00 away: <span title="s3://images/trained/5.png">5.png</span>' in text
    assert f'data-nearest href="{address}"' in text, "and back"
    assert seen.browser.get(f"/pictures/{RecordId.of(record)}/nearest").content == normals[5]
    assert looked_at == [normals[5]], "the answer is remembered"


def test_what_has_no_nearest_normal_says_why(seen: Seen) -> None:
    record = seen.record("a.png", 1)
    answer = seen.browser.get(f"/inspections/{RecordId.of(record)}?nearest=1")
    assert "Model bracket/1 does not exist" in answer.text
    assert seen.browser.get(f"/pictures/{RecordId.of(record)}/nearest").status_code == 404
    rejected = seen.record(
        "b.png", 2, status="REJECTED", reason="CORRUPT", message="It is damaged.", model_version=None
    )
    assert seen.browser.get(f"/pictures/{RecordId.of(rejected)}/nearest").status_code == 404


@pytest.mark.parametrize("levels", [None, Levels(0, 13)], ids=["its own levels", "its model's levels"])
def test_twelve_bits_are_seen_as_the_model_sees_them(seen: Seen, levels: Levels | None) -> None:
    values = np.random.default_rng(0).integers(2000, 4095, (72, 96, 1), np.uint16)
    if levels:
        package = classification_package()
        view = replace(package.manifest.view, levels=levels)
        trained = replace(package, manifest=replace(package.manifest, view=view))
        register_hosted(
            seen.stack.registry, seen.stack.clients.s3, seen.stack.outputs["ModelsBucket"], "bracket", trained
        )
    record = seen.record("deep.png", 1, data=deep_png(values))
    expected = (values >> (5 if levels else 4))[..., 0]
    with Image.open(BytesIO(seen.browser.get(f"/pictures/{RecordId.of(record)}/image").content)) as shown:
        assert shown.format == "PNG"
        np.testing.assert_array_equal(np.asarray(shown)[..., 0], expected)
    with Image.open(BytesIO(seen.browser.get(f"/pictures/{RecordId.of(record)}/thumbnail").content)) as shown:
        assert np.asarray(shown).mean() == pytest.approx(expected.mean(), abs=1)


def test_what_the_model_ignores_lies_over_the_picture(seen: Seen) -> None:
    painted = Image.new("L", (96, 72))
    painted.paste(255, (0, 0, 48, 72))
    written = BytesIO()
    painted.save(written, "PNG")
    registry = seen.stack.registry
    set_regions(registry, seen.stack.datasets, "bracket", written.getvalue(), who=WHO)
    kept = describe_project(registry, "bracket").regions
    assert kept is not None
    version = create_model(registry, "bracket").version
    finish_training(registry, "bracket", version, "sha", None, "Trained.", regions_key=kept.key)
    address = f"{RecordId.of(seen.record('a.png', 1))}"
    assert 'data-layer="regions"' in seen.browser.get(f"/inspections/{address}").text
    layer = np.asarray(Image.open(BytesIO(seen.browser.get(f"/pictures/{address}/regions").content)))
    assert layer.shape == (72, 96, 4)
    assert layer[:, :48, 3].min() > 100 and layer[:, 52:, 3].max() == 0


def test_a_model_that_ignores_nothing_has_no_layer_of_it(seen: Seen) -> None:
    host(seen.stack, "bracket")
    rejected = seen.record(
        "b.png", 2, status="REJECTED", reason="CORRUPT", message="It is damaged.", model_version=None
    )
    assert seen.browser.get(f"/pictures/{RecordId.of(rejected)}/regions").status_code == 404
    address = RecordId.of(seen.record("a.png", 1))
    assert 'data-layer="regions"' not in seen.browser.get(f"/inspections/{address}").text
    assert seen.browser.get(f"/pictures/{address}/regions").status_code == 404


def test_an_inspection_that_is_gone_is_told_in_the_same_way_everywhere(seen: Seen) -> None:
    record_id = RecordId("s3://images/bracket/gone.png", "v#1", "2026-11-26T09:00:00.000Z")
    for path in (
        f"/inspections/{record_id}",
        f"/pictures/{record_id}/image",
        f"/projects/bracket/label?image={record_id}",
    ):
        answer = seen.browser.get(path)
        assert (answer.status_code, "There is no such inspection any more" in answer.text) == (404, True), path
