"""Labelling and painting: what a page sends becomes an entry of a dataset, by way of the API in this process."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from cli.console.app import create_app
from cli.labelling import known_types
from cli.period import Period
from cli.stack import Stack
from relook.aws.bucket import S3Uri
from relook.aws.table import Item
from relook.detection.image import decode_mask
from relook.registry.history import list_history
from relook.registry.inspections import RecordId
from relook.registry.manifest_entry import ManifestEntry, entry_line, parse_entry
from relook.registry.projects import create_project
from relook.registry.reviews import waiting
from tests.console.conftest import ORIGIN, PORT, Seen
from tests.console.conftest import png as picture
from tests.contract.front_door import opened
from tests.unit.parts import png

SIZE = (96, 72)
COLORS = '{"scratch": "#7ED321", "dent": "#F5A623"}'
GREEN, ORANGE, BLUE = (0x7E, 0xD3, 0x21), (0xF5, 0xA6, 0x23), (0, 0, 255)


@pytest.fixture(scope="module")
def account() -> Iterator[Stack]:
    """The API in this process, which the tests of this module share."""
    with opened() as door:
        yield door.stack()


@pytest.fixture
def project(request: pytest.FixtureRequest) -> str:
    """Of one test alone."""
    return re.sub(r"\W", "-", request.node.name)


@pytest.fixture
def seen(account: Stack, project: str) -> Iterator[Seen]:
    create_project(account.registry, project)
    with TestClient(create_app(account, "local", PORT), base_url=ORIGIN) as browser:
        yield Seen(account, browser)


def painted(*strokes: tuple[tuple[int, int, int], tuple[slice, slice]], size: tuple[int, int] = SIZE) -> bytes:
    """A mask: strokes on white."""
    pixels = np.full((size[1], size[0], 3), 255, np.uint8)
    for color, where in strokes:
        pixels[where] = color
    return png(Image.fromarray(pixels))


SCRATCH = (GREEN, (slice(10, 20), slice(30, 60)))


def save(seen: Seen, project: str, image: str, label: str | None, mask: bytes | None = None, /, **fields: str) -> Any:
    said = {"image": image, "dataset": "train", **({"label": label} if label else {}), **fields}
    files = {"mask": ("mask.png", mask, "image/png")} if mask is not None else None
    return seen.change(f"/projects/{project}/label", data=said, files=files)


def entries(seen: Seen, project: str, dataset: str = "train") -> list[ManifestEntry]:
    """As a client of Lookout for Vision is told them."""
    listed = seen.stack.lookout.list_dataset_entries(ProjectName=project, DatasetType=dataset)
    return [parse_entry(line) for line in listed["DatasetEntries"]]


def imported(seen: Seen, project: str, name: str, is_anomalous: bool | None, **mask: Any) -> str:
    """An image that came with a manifest; its location."""
    place = seen.stack.datasets.uri(f"images/{project}/{name}")
    seen.stack.datasets.write(place.key, picture())
    which = {"ProjectName": project, "DatasetType": "train"}
    if not list(seen.stack.lookout.describe_project(ProjectName=project)["ProjectDescription"]["Datasets"]):
        seen.stack.lookout.create_dataset(**which)
    line = entry_line(ManifestEntry(str(place), is_anomalous, **mask))
    seen.stack.lookout.update_dataset_entries(**which, Changes=line)
    return str(place)


def stored(seen: Seen, record: Item) -> Item:
    kept = seen.stack.inspections.get(RecordId.of(record).key)
    assert kept is not None
    return kept


def test_an_inspection_is_painted_and_its_mask_is_in_the_manifest(seen: Seen, project: str) -> None:
    record = seen.record("a.png", 1, project)
    image = str(RecordId.of(record))
    assert f"/pictures/{image}/image" in seen.browser.get(f"/projects/{project}/label?image={image}").text
    answer = save(seen, project, image, "anomaly", painted(SCRATCH), colors=COLORS)
    assert answer.headers["location"] == f"/inspections/{image}"
    (entry,) = entries(seen, project)
    assert (entry.is_anomalous, dict(entry.colors)) == (True, {"scratch": "#7ED321"})
    assert seen.stack.read(S3Uri.parse(entry.source_ref)) == picture()
    assert entry.mask_ref is not None and entry.mask_ref.startswith(f"s3://datasets/images/{project}/painted/")
    pixels = decode_mask(seen.stack.read(S3Uri.parse(entry.mask_ref)))[..., :3]
    assert pixels.shape == (72, 96, 3)
    assert (pixels[SCRATCH[1]] == GREEN).all()
    assert (pixels == 255).all(axis=2).sum() == 96 * 72 - 10 * 30
    after = stored(seen, record)
    assert (after["review"], after["review_label"]) == ("wrong", "scratch")
    assert [each.what for each in list_history(seen.stack.registry, project)] == [
        "Dataset Changed",
        "Inspection Reviewed",
    ]
    assert "In the train dataset as an anomaly, with a mask" in seen.browser.get(f"/inspections/{image}").text


def test_a_label_again_replaces_the_entry(seen: Seen, project: str) -> None:
    record = seen.record("a.png", 1, project, is_anomalous=True)
    image = str(RecordId.of(record))
    save(seen, project, image, "anomaly", painted(SCRATCH), colors=COLORS)
    assert stored(seen, record)["review"] == "right"
    (first,) = entries(seen, project)
    page = seen.browser.get(f"/projects/{project}/label?image={image}").text
    assert "It is in the train dataset" in page
    assert f'data-stored="/projects/{project}/entries/mask' in page
    both = painted(SCRATCH, (ORANGE, (slice(50, 60), slice(5, 9))))
    at = stored(seen, record)["reviewed_at"]
    save(seen, project, image, "anomaly", both, colors=COLORS, seen=at, dataset="test")
    (second,) = entries(seen, project)
    assert first.source_ref == second.source_ref
    assert first.mask_ref != second.mask_ref
    assert set(second.colors) == {"scratch", "dent"}
    save(seen, project, image, "normal", seen=at)
    (third,) = entries(seen, project)
    assert (third.is_anomalous, third.mask_ref) == (False, None)
    changes = [each for each in list_history(seen.stack.registry, project) if each.what == "Dataset Changed"]
    assert [(each.after or {}).get("mask_ref") for each in changes] == [None, second.mask_ref, first.mask_ref]


def test_without_paint_the_mask_that_is_there_stays_and_a_cleared_one_goes(seen: Seen, project: str) -> None:
    image = imported(seen, project, "a.png", None)
    save(seen, project, image, "anomaly", painted(SCRATCH), colors=COLORS)
    (first,) = entries(seen, project)
    save(seen, project, image, "anomaly")
    assert entries(seen, project) == [first]
    save(seen, project, image, "anomaly", colors="{}")
    assert [each.mask_ref for each in entries(seen, project)] == [None]


@pytest.mark.parametrize(
    ("mask", "colors", "label", "words"),
    [
        (painted(SCRATCH, size=(72, 96)), COLORS, "anomaly", "is 72 x 96 pixels, and the image is 96 x 72"),
        (painted(), COLORS, "anomaly", "Nothing is painted"),
        (painted((BLUE, SCRATCH[1])), COLORS, "anomaly", "#0000FF"),
        (painted(SCRATCH), COLORS, "normal", "A normal image has no mask"),
        (painted(SCRATCH), COLORS, None, "Say what the image is"),
        (painted(SCRATCH), COLORS, "scratch", "Say what the image is"),
        (painted(SCRATCH), "#7ED321", "anomaly", "expected JSON"),
        (painted(SCRATCH), '["#7ED321"]', "anomaly", "expected JSON"),
        (painted(SCRATCH), '{"scratch": "green"}', "anomaly", "colours look like"),
        (painted(SCRATCH), str({f"t{i}": f"#0000{i:02}" for i in range(21)}).replace("'", '"'), "anomaly", "20 are"),
        (painted(SCRATCH), '{"a\\u0000b": "#7ED321"}', "anomaly", "without control characters"),
        (painted(SCRATCH), '{"normal": "#7ED321"}', "anomaly", "No type of anomaly can be called 'normal'"),
        (b"<svg/>", COLORS, "anomaly", "no image"),
        (b"", COLORS, "anomaly", "no image"),
    ],
)
def test_what_is_no_mask_of_the_image_gets_a_sentence(
    seen: Seen, project: str, mask: bytes, colors: str, label: str | None, words: str
) -> None:
    image = imported(seen, project, "a.png", None)
    answer = save(seen, project, image, label, mask, colors=colors)
    assert answer.status_code == 400
    assert words in answer.text
    assert [each.is_anomalous for each in entries(seen, project)] == [None]
    assert not list(list_history(seen.stack.registry, project))


def test_images_without_a_label_come_first_and_one_after_the_other(seen: Seen, project: str) -> None:
    assert "have no images yet" in seen.browser.get(f"/projects/{project}/label").text
    for name, is_anomalous in (("good.png", False), ("x.png", None), ("bad.png", True), ("y.png", None)):
        imported(seen, project, name, is_anomalous)
    here = f"/projects/{project}/label"
    page = seen.browser.get(here).text
    assert re.findall(r'<span class="file">(\w+)\.png', page) == ["x", "y", "good", "bad"]
    assert "4 images" in page and "2 without a label" in page
    x, y = (f"s3://datasets/images/{project}/{name}.png" for name in "xy")
    assert seen.browser.get(save(seen, project, x, "normal").headers["location"]).text.count(f'value="{y}"') == 1
    assert save(seen, project, y, "anomaly").headers["location"] == here
    assert save(seen, project, x, "anomaly").headers["location"] == here
    assert [each.is_anomalous for each in entries(seen, project)] == [False, True, True, True]


def test_an_entry_that_an_inspection_became_is_that_inspection(seen: Seen, project: str) -> None:
    record = seen.record("a.png", 1, project)
    save(seen, project, str(RecordId.of(record)), "normal")
    (entry,) = entries(seen, project)
    page = seen.browser.get(f"/projects/{project}/label", params={"image": entry.source_ref}).text
    assert f"/pictures/{RecordId.of(record)}/image" in page
    save(seen, project, entry.source_ref, "anomaly", seen=stored(seen, record)["reviewed_at"])
    after = stored(seen, record)
    assert (after["review_label"], after["dataset_entry"]["is_anomalous"]) == ("anomaly", True)


def test_the_list_tells_which_images_have_a_mask(seen: Seen, project: str) -> None:
    imported(seen, project, "a.png", False)
    seen.stack.datasets.write("mask.png", painted(SCRATCH))
    mask = {"mask_ref": "s3://datasets/mask.png", "colors": {"scratch": "#7ED321", "dent": "#F5A623"}}
    imported(seen, project, "b.png", True, **mask)
    text = seen.browser.get(f"/projects/{project}/label").text
    assert text.count("train, with a mask") == 1
    assert "scratch" not in text  # a manifest's colours are a legend, and tell of no image what is painted in it


def test_of_two_labellers_the_later_one_is_told(seen: Seen, project: str) -> None:
    record = seen.record("a.png", 1, project)
    image = str(RecordId.of(record))
    save(seen, project, image, "normal")
    answer = save(seen, project, image, "anomaly")
    assert answer.status_code == 400
    assert "say it again to replace that" in answer.text
    assert [each.is_anomalous for each in entries(seen, project)] == [False]


def test_a_label_counts_as_a_review_at_once(seen: Seen, project: str) -> None:
    record = seen.record("a.png", 1, project)
    reports, period = seen.browser.app.state.console.reports, Period.parse("2026-11-01", None)  # type: ignore[attr-defined]
    assert reports.read([project], period, None).summary.reviews.wrong == 0
    save(seen, project, str(RecordId.of(record)), "anomaly")
    assert reports.read([project], period, None).summary.reviews.wrong == 1


def test_an_address_beyond_all_images_gets_a_sentence(seen: Seen, project: str) -> None:
    answer = seen.browser.get(f"/projects/{project}/label", params={"after": "9" * 5_000})
    assert (answer.status_code, "no number of images" in answer.text) == (400, True)


def test_types_keep_their_colours_and_new_ones_get_others(seen: Seen, project: str) -> None:
    mask = {"mask_ref": "s3://datasets/mask.png", "colors": {"scratch": "#7ed321", "dent": "#F5A623"}}
    seen.stack.datasets.write("mask.png", painted(SCRATCH))
    image = imported(seen, project, "a.png", True, **mask)
    stain = [{"name": "stain", "area_share": 0.1, "color": "#7ED321"}]
    seen.record("b.png", 1, project, is_anomalous=True, anomalies=stain)
    page = seen.browser.get(f"/projects/{project}/label", params={"image": image}).text
    types = dict(re.findall(r'name="type" value="(\w+)" data-color="(#\w{6})"', page))
    assert (types["scratch"], types["dent"]) == ("#7ED321", "#F5A623")
    assert types["stain"] not in {"#7ED321", "#F5A623", "#FFFFFF"}
    free = re.findall(r"#[0-9A-F]{6}", page.partition("data-new-type='")[2].partition("'")[0])
    assert len(free) == len(set(free)) == 20
    assert not set(free) & set(types.values())


def test_no_more_types_are_offered_than_a_project_may_have() -> None:
    types = known_types([(f"type{number}", f"#0000{number % 256:02x}") for number in range(300)])
    assert len(types) == len(set(types.values())) == 100


def test_what_the_model_outlined_can_be_begun_with(seen: Seen, project: str) -> None:
    anomalies = [{"name": "scratch", "area_share": 0.1, "color": "#7ED321"}]
    record = seen.record("a.png", 1, project, is_anomalous=True, anomalies=anomalies, mask_uri="s3://results/m.png")
    page = seen.browser.get(f"/projects/{project}/label?image={RecordId.of(record)}").text
    assert f'data-start="/pictures/{RecordId.of(record)}/mask" data-colors=\'{{"scratch": "#7ED321"}}\'' in page
    plain = seen.record("b.png", 2, project)
    assert "data-start" not in seen.browser.get(f"/projects/{project}/label?image={RecordId.of(plain)}").text


def test_pictures_of_entries_and_of_nothing_else(seen: Seen, project: str) -> None:
    mask = {"mask_ref": "s3://datasets/black.png", "colors": {"scratch": "#ffffff"}}
    pixels = np.zeros((72, 96, 4), np.uint8)
    pixels[SCRATCH[1]] = (*GREEN, 255)
    seen.stack.datasets.write("black.png", png(Image.fromarray(pixels)))
    mask["colors"] = {"scratch": "#7ed321"}
    image = imported(seen, project, "a.png", True, **mask)
    here = f"/projects/{project}/entries"
    kinds = {"image": "image/png", "thumbnail": "image/jpeg", "mask": "image/png"}
    for kind, content_type in kinds.items():
        answer = seen.browser.get(f"{here}/{kind}", params={"image": image})
        assert (answer.status_code, answer.headers["content-type"]) == (200, content_type)
    shown = decode_mask(answer.content)[..., :3]
    assert (shown[0, 0] == 255).all()
    assert (shown[SCRATCH[1]] == GREEN).all()
    secret = f"s3://datasets/images/{project}/secret.png"
    seen.stack.datasets.write(S3Uri.parse(secret).key, picture())
    assert seen.browser.get(f"{here}/image", params={"image": secret}).status_code == 400
    seen.stack.datasets.delete(S3Uri.parse(image).key)
    assert seen.browser.get(f"{here}/thumbnail", params={"image": image}).status_code == 404


def test_a_rejected_image_and_one_of_another_project_are_not_labelled(seen: Seen, project: str) -> None:
    rejected = seen.record("a.png", 1, project, status="REJECTED", reason="CORRUPT", message="It is damaged.")
    assert "data-label" not in seen.browser.get(f"/inspections/{RecordId.of(rejected)}").text
    answer = save(seen, project, str(RecordId.of(rejected)), "normal")
    assert answer.status_code == 400 and "was rejected (CORRUPT)" in answer.text
    other = seen.record("a.png", 1, "other")
    assert save(seen, project, str(RecordId.of(other)), "normal").status_code == 400
    assert save(seen, project, "s3://datasets/nowhere.png", "normal").status_code == 400
    assert save(seen, "no-such-project", str(RecordId.of(other)), "normal").status_code in (400, 404)


def test_the_queue_goes_on_after_a_label(seen: Seen, project: str) -> None:
    for name, minute, probability in (("near.png", 1, 0.51), ("far.png", 2, 0.7)):
        judged: dict[str, Any] = {"anomaly_probability": probability, "threshold": 0.5, "is_anomalous": True}
        record = seen.record(name, minute, project, **judged)
        seen.stack.inspections.put(record | waiting(record))
    queue = seen.browser.get(f"/review?project={project}").text
    link = re.search(r'href="([^"]+)" data-label', queue)
    assert link
    page = seen.browser.get(html.unescape(link[1])).text
    assert "Label near.png" in page and "Painting needs JavaScript" in page
    image, following = (re.search(rf'name="{name}" value="([^"]+)"', page) for name in ("image", "following"))
    assert image and following
    answer = save(seen, project, image[1], "anomaly", following=html.unescape(following[1]))
    after = seen.browser.get(answer.headers["location"]).text
    assert "far.png" in after and "near.png" not in after


def test_no_hostile_page_labels(seen: Seen, project: str) -> None:
    record = seen.record("a.png", 1, project)
    said = {"image": str(RecordId.of(record)), "label": "normal", "dataset": "train"}
    answer = seen.browser.post(f"/projects/{project}/label", data=said, headers={"origin": "http://evil.example"})
    assert answer.status_code == 403
    answer = seen.browser.post(f"/projects/{project}/label", data=said, headers={"origin": ORIGIN})
    assert answer.status_code == 403
    assert "review" not in stored(seen, record)
