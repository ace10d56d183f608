"""The sheet of the console, its files and the command tell the same numbers."""

from __future__ import annotations

import csv
import re
from io import StringIO
from urllib.parse import urlencode

import pytest

from cli.console.pages import Console
from cli.console.report import document
from cli.output import rate_text
from cli.period import Period
from cli.report import read
from tests.console.conftest import Seen, png

PERIOD = {"since": "2026-11-26T09:00Z", "until": "2026-11-26T09:30Z"}


@pytest.fixture
def shift(seen: Seen) -> Seen:
    """Twelve images of two lines, two of them after the period."""
    seen.stack.bucket("results").write("mask.png", png("#F5A623"), "image/png")
    for number in range(12):
        dent = [{"name": "dent", "area_share": 0.01, "color": "#F5A623"}] if number < 3 else []
        seen.record(
            f"<{number}>.png",
            number if number < 10 else number + 30,
            is_anomalous=number < 3,
            anomaly_probability=0.9 if number < 3 else 0.1,
            anomalies=dent,
            metadata={"line": str(number % 2)},
            mask_uri="s3://results/mask.png" if number < 3 else None,
        )
    return seen


def figures(text: str) -> list[tuple[str, str]]:
    return re.findall(r"<div><b>(.*?)</b><span>(.*?)</span>", text)


def test_the_page_the_file_and_the_command_tell_the_same(shift: Seen) -> None:
    counted = read(shift.stack, ["bracket"], Period.parse(PERIOD["since"], PERIOD["until"]), "line")
    page = shift.browser.get(f"/report?{urlencode({'project': 'bracket', 'by': 'line', **PERIOD})}").text
    total = counted.summary.total
    assert (total.inspected, total.anomalous) == (10, 3)
    assert figures(page)[:3] == [
        ("10", "inspected"),
        ("3", f"anomalous, {rate_text(total.anomaly_rate)}"),
        ("0", "rejected"),
    ]
    assert figures(document(Console(shift.stack, "local"), counted)) == figures(page)
    for name, counts in counted.summary.by_group.items():
        assert re.search(rf"<td>{name}</td><td[^>]*>{counts.inspected}</td><td[^>]*>{counts.anomalous}</td>", page)


def test_its_files_are_offered_for_the_same_period(shift: Seen) -> None:
    page = shift.browser.get(f"/report?{urlencode({'project': 'bracket', 'by': 'line', **PERIOD})}").text
    for kind in ("html", "csv"):
        (link,) = re.findall(rf'href="(/report\.{kind}\?[^"]*)"', page)
        answer = shift.browser.get(link.replace("&amp;", "&"))
        assert answer.headers["content-disposition"] == f'attachment; filename="bracket.{kind}"'
        assert answer.headers["content-type"].startswith(f"text/{kind}")
        if kind == "csv":
            rows = list(csv.DictReader(StringIO(answer.text.removeprefix("\ufeff"))))
            assert len(rows) == 10
            assert {each["group"] for each in rows} == {"0", "1"}
        else:
            assert figures(answer.text) == figures(page)


def test_pictures_are_shown_with_their_masks_and_names_are_text(shift: Seen) -> None:
    page = shift.browser.get(f"/report?{urlencode({'project': 'bracket', **PERIOD})}").text
    assert "<0>.png" not in page
    assert "&lt;0&gt;.png" in page
    sources = re.findall(r'<img src="(/pictures/[^"]*)"', page)
    assert len(sources) == 10
    painted, plain = (shift.browser.get(sources[number]) for number in (0, 9))
    assert painted.headers["content-type"] == plain.headers["content-type"] == "image/jpeg"
    assert painted.content != plain.content


def test_a_picture_that_is_gone_or_archived_is_named_so(shift: Seen) -> None:
    archived = shift.stack.images.client.put_object(
        Bucket="images", Key="bracket/archived.png", Body=png(), StorageClass="GLACIER"
    )
    shift.record("archived.png", 6, anomaly_probability=0.98, object_version=f"{archived['VersionId']}#1")
    record = shift.record("gone.png", 5, anomaly_probability=0.99)
    shift.stack.images.client.delete_object(
        Bucket="images", Key="bracket/gone.png", VersionId=record["object_version"].removesuffix("#1")
    )
    counted = read(shift.stack, ["bracket"], Period.parse(PERIOD["since"], PERIOD["until"]), None)
    assert document(Console(shift.stack, "local"), counted).count("the picture is no longer at hand") == 2


@pytest.mark.parametrize(
    ("asked", "status", "sentence"),
    [
        ({"since": "noon"}, 400, "is no time"),
        ({"since": "1h", "until": "2h"}, 400, "the end must come after the beginning"),
        ({"project": "nowhere"}, 404, "nowhere"),
        ({"since": "2020-01-01", "until": "2020-01-02"}, 200, "Nothing was inspected in that time"),
    ],
)
def test_what_cannot_be_reported_is_said(shift: Seen, asked: dict[str, str], status: int, sentence: str) -> None:
    answer = shift.browser.get(f"/report?{urlencode(asked)}")
    assert answer.status_code == status
    assert sentence in answer.text
