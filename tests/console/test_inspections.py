"""The gallery and the page of one inspection."""

from __future__ import annotations

import re

import pytest

from relook.registry.inspections import RecordId
from tests.console.conftest import Seen


def names(text: str) -> list[str]:
    return re.findall(r'<span class="file">([^<]+)</span>', text)


def test_without_projects_it_says_what_to_do_first(seen: Seen) -> None:
    from relook.registry.projects import delete_project

    delete_project(seen.stack.registry, "bracket")
    assert "relook train cup photos/cup" in seen.browser.get("/inspections").text


def test_newest_first_whatever_the_project(seen: Seen) -> None:
    from relook.registry.projects import create_project

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
    from tests.console.conftest import png

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


def test_an_image_whose_key_is_strange_is_found(seen: Seen) -> None:
    record = seen.record("dir/ä ö+%2F?#&.png", 1)
    assert seen.browser.get(f"/inspections/{RecordId.of(record)}").status_code == 200
    assert seen.browser.get(f"/pictures/{RecordId.of(record)}/thumbnail").status_code == 200
