"""The pages of projects tell what the commands tell: what was changed, golden parts, drift, and what waits."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from cli import checks, drift, history, reviewing
from cli.console.pages import person
from relook.aws.table import Delete, Update
from relook.quality.stability import Reading
from relook.registry.inspections import RecordId
from relook.registry.projects import project_key
from relook.registry.reviews import waiting
from relook.watching.drift import REACH
from tests.console.conftest import Seen
from tests.unit.parts import hosted_package
from tests.unit.test_watch_quality import package, record

HERE = "/projects/bracket"
PAGES = [HERE, "/overview?project=bracket"]


@pytest.fixture
def watched(seen: Seen) -> Seen:
    """Version 1 hosted, 120 images too dark for it, two golden parts of which one was missed, three open reviews."""
    stack = seen.stack
    hosted_package(stack.registry, stack.clients.s3, "bracket", package())
    now = datetime.now(UTC)
    for number in range(120):
        item = record(number, now - timedelta(seconds=number + 1), brightness=-3.0)
        if number < 3:
            near = {"anomaly_probability": 0.49, "threshold": 0.5, "inspection_id": f"{number:032x}"}
            item |= waiting({**item, **near})
        stack.inspections.put(item)
    for number, is_met in ((200, True), (201, False)):
        golden = {"expected": "normal", "is_expected_met": is_met, "checked_project": "bracket"}
        stack.inspections.put(record(number, now - timedelta(seconds=number), **golden))
    checks.ask(stack, "bracket", timedelta(hours=8))
    return seen


def part_of(text: str, heading: str) -> str:
    return text.partition(f"<h2>{heading}</h2>")[2].partition("</table>")[0]


@pytest.mark.parametrize("address", PAGES)
def test_the_page_and_relook_drift_tell_the_same(watched: Seen, address: str) -> None:
    (stream,) = drift.measure(watched.stack, "bracket", REACH, None)
    text = watched.browser.get(address).text
    cells = (
        r'<tr><td>(\w+)</td><td><span[^>]*>\S (\w+)</span></td><td><svg.*?</svg></td><td class="number">([\d.]+)</td>'
    )
    told = re.findall(cells, part_of(text, "Drift"))
    expected = [(name, drift.READINGS[each.reading], f"{each.index:.2f}") for name, each in stream.statistics.items()]
    assert told == expected
    assert stream.statistics["brightness"].reading is Reading.DRIFT
    assert f"The newest {stream.images} images" in text


@pytest.mark.parametrize("address", PAGES)
def test_the_page_and_relook_checks_tell_the_same(watched: Seen, address: str) -> None:
    known = checks.find(watched.stack, "bracket", limit=50)
    text = watched.browser.get(address).text
    told = re.findall(r"<td>normal</td><td><span[^>]*>\S (\w+)</span>", part_of(text, "Golden parts"))
    assert told == ["met" if each["is_expected_met"] else "missed" for each in known.records] == ["met", "missed"]
    assert "asked for every 8h" in text


def test_a_golden_part_that_did_not_come_is_overdue(seen: Seen) -> None:
    asked = {"every_s": 8 * 3600, "since": (datetime.now(UTC) - timedelta(hours=9)).isoformat()}
    seen.stack.registry.update(Update(project_key("bracket"), {"checks": asked}))
    assert "One was due" in seen.browser.get(HERE).text
    assert "One was due" in seen.browser.get("/overview?project=bracket").text
    for address in ("/projects", "/overview"):
        assert "● overdue" in seen.browser.get(address).text


def test_the_page_and_relook_history_tell_the_same(watched: Seen) -> None:
    entries = history.read(watched.stack, "bracket", 50)
    table = part_of(watched.browser.get(HERE).text, "History")
    assert [each.what for each in entries] == ["Checks Changed", "Model Hosted"]
    assert re.findall(r"<td>(Checks Changed|Model Hosted)</td>", table) == [each.what for each in entries]
    assert all(f'<td title="{each.who}">{person(each.who)}</td>' in table for each in entries)
    assert "<td>every_s 28800</td>" in table


def test_images_in_the_history_are_as_short_as_their_names(seen: Seen) -> None:
    record = seen.record("scratched.png", 1)
    seen.change(f"/inspections/{RecordId.of(record)}/review", data={"said": "right"})
    table = part_of(seen.browser.get(HERE).text, "History")
    assert '<td class="long">scratched.png</td>' in table
    assert "s3://" not in table


@pytest.mark.parametrize(
    ("arn", "name"),
    [
        ("arn:aws:iam::000000000000:root", "root"),
        ("arn:aws:iam::000000000000:user/line/anna", "anna"),
        ("arn:aws:sts::000000000000:assumed-role/Quality/ben@plant.example", "ben@plant.example"),
    ],
)
def test_who_did_it_is_told_by_their_last_name(arn: str, name: str) -> None:
    assert person(arn) == name


def test_the_list_tells_of_each_project_what_waits_and_what_is_wrong(watched: Seen) -> None:
    count = len(reviewing.waiting_reviews(watched.stack, "bracket", 100))
    pages = [watched.browser.get(address).text for address in ("/projects", "/overview")]
    rows = [text.rpartition('<a href="/projects/bracket">bracket</a>')[2] for text in pages]
    assert f'<a href="/review?project=bracket">{count}</a>' in rows[0]
    assert count == 3
    for row in rows:
        assert "○ met" in row and "every 8h" in row
        assert "● DRIFT" in row and '<span class="muted">brightness</span>' in row


def test_of_a_few_images_nothing_is_said_but_how_many_they_are(watched: Seen) -> None:
    for number in range(21, 120):
        watched.stack.inspections.write(
            Delete({"image_uri": f"s3://images/bracket/{number}.png", "object_version": "1#1"})
        )
    assert "Version 1 inspected 21 images in the last 7 days; of fewer than 100" in watched.browser.get(HERE).text
    assert "too few images" in watched.browser.get("/projects").text


def test_a_project_that_hosts_nothing_says_why_nothing_is_told(seen: Seen) -> None:
    text = seen.browser.get(HERE).text
    assert "has no hosted model version" in text
    assert "None is asked for regularly" in text
    assert "No changes yet." in text
