"""`relook report`: the numbers of a period, on a sheet and as rows, over tables in process."""

from __future__ import annotations

import csv
import json
import re
import tracemalloc
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import cli.main
import cli.quality
from cli import report
from cli.period import Period
from cli.report_csv import BYTE_ORDER_MARK, header, row, write
from cli.stack import Stack
from relook.aws.clients import Clients
from relook.registry.projects import create_project
from tests.account import Cloud
from tests.unit.parts import part, png
from tests.unit.quality.test_summary import record, rejected, types_shown

PERIOD = ("--from", "2026-11-01T00:00Z", "--to", "2026-11-03T00:00Z")


@pytest.fixture
def stack(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """`bracket` with four images of two lines, a rejected one, a check, and others that are out of the period."""
    picture, mask = part(1, is_scratched=True)
    names = {"RegistryTable": "registry", "InspectionsTable": "inspections", "ImagesBucket": "images"}
    stack = Stack(names, Clients())
    create_project(stack.registry, "bracket")
    version = stack.images.write("bracket/1.jpg", png(picture), "image/png")
    stack.bucket("results").write("mask.png", png(mask), "image/png")
    records = [
        record(1, 1, "0.9", metadata={"line": "=1+1"}, anomalies=types_shown(("dent", "0.25"), ("scratch", "0.5")))
        | {"object_version": f"{version}#1", "mask_uri": "s3://results/mask.png"},
        record(2, 1, "0.8", metadata={"line": "2"}, review="wrong", review_label="normal", review_note="@home"),
        record(3, 2, "0.1", metadata={"line": "2"}, review="right"),
        record(4, 2, "0.2", metadata={"line": "2", "operator": "Jürgen"}),
        rejected(5, 2, metadata={"line": "2"}),
        record(6, 2, "0.7", expected="normal", is_expected_met=False),
        record(7, 3, "0.99"),
        record(8, 1, "0.99", project="board"),
    ]
    for each in records:
        stack.inspections.put(each)
    monkeypatch.setattr(cli.quality, "connect", lambda stage: stack)
    return stack


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli.main.app, ["report", "bracket", *PERIOD, *arguments])
    assert result.exit_code == code, result.output
    return result.stdout


def test_the_numbers_are_of_the_period_alone(stack: Stack) -> None:
    told = json.loads(run("--by", "line", "--json"))
    assert (told["inspected"], told["anomalous"], told["rejected"]) == (4, 2, 1)
    assert told["anomaly_rate"]["share"] == 0.5
    assert told["anomaly_rate"]["low"] == pytest.approx(0.150, abs=1e-3)  # statsmodels: proportion_confint(2, 4)
    slots = [Period.parse(PERIOD[1], PERIOD[3]).slot(f"2026-11-0{day}T08:30:00.000Z") for day in (1, 2)]
    assert [(each["time"], each["inspected"]) for each in told["by_time"]] == [(slot, 2) for slot in slots]
    assert {name: each["anomalous"] for name, each in told["by_group"].items()} == {"2": 1, "=1+1": 1}
    assert [each["name"] for each in told["types"]] == ["dent", "scratch"]
    assert told["rejections"] == {"CORRUPT": 1}
    assert (told["checks"]["missed"], told["checks"]["met"]) == (1, 0)
    assert (told["reviews"]["right"], told["reviews"]["wrong"]) == (1, 1)
    assert told["reviews"]["false_alarm_rate"]["hits"] == 1
    assert [each["inspection_id"] for each in told["worst"]] == ["id1", "id2", "id4", "id3"]


def test_people_read_the_same(stack: Stack) -> None:
    text = run("--by", "line")
    assert "4 images, 2 anomalous: 50.0% (15.0% to 85.0%); 1 rejected" in text
    assert "0 met, 1 missed" in text
    lines = [line.split() for line in text.splitlines()]
    assert ["2", "2", "100.0%", "(34.2%", "to", "100.0%)", "0"] in [line[2:] for line in lines]
    assert ["dent", "1", "25.00%"] in lines
    assert ["CORRUPT", "1"] in lines


def test_nothing_inspected_is_said(stack: Stack) -> None:
    arguments = ["report", "bracket", "--from", "2020-01-01", "--to", "2020-01-02"]
    assert "Nothing was inspected in that time." in CliRunner().invoke(cli.main.app, arguments).output


def test_the_sheet_needs_nothing_else(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "shift.html"
    run("--by", "line", "--output", str(file))
    text = file.read_text("utf-8")
    assert not re.findall(r"<script|<link|@import|url\(|https?://|src=\"/", text)
    assert re.findall(r'src="(data:image/jpeg;base64,)', text) == ["data:image/jpeg;base64,"]
    assert text.count("the picture is no longer at hand") == 3
    assert ">4</b><span>inspected" in text
    assert "<td>=1+1</td>" in text
    assert "@page" in text


def test_a_row_for_each_inspection(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "shift.csv"
    told = json.loads(run("--by", "line", "--output", str(file), "--json"))
    text = file.read_bytes().decode("utf-8")
    assert text.startswith(BYTE_ORDER_MARK)
    assert text.count("\r\n") == text.count("\n") == 7
    rows = list(csv.DictReader(StringIO(text.removeprefix(BYTE_ORDER_MARK))))
    assert [each["image_uri"][-5:] for each in rows] == ["6.jpg", "5.jpg", "4.jpg", "3.jpg", "2.jpg", "1.jpg"]
    verdicts = [each["verdict"] for each in rows if not each["check"]]
    assert verdicts.count("anomalous") == told["anomalous"]
    assert verdicts.count("rejected") == told["rejected"]
    first = rows[-1]
    assert (first["group"], first["types"], float(first["area_share"])) == ("'=1+1", "dent; scratch", 0.75)
    assert float(first["anomaly_probability"]) == pytest.approx(0.9)
    assert (rows[0]["check"], rows[0]["expected"], rows[1]["reason"]) == ("missed", "normal", "CORRUPT")
    assert (rows[4]["review"], rows[4]["review_label"], rows[4]["review_note"]) == ("wrong", "normal", "'@home")
    assert json.loads(rows[2]["metadata"]) == {"line": "2", "operator": "Jürgen"}
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    "text", ["=1", "+1", "-1", "@x", "\tx", "\rx", "\n=1", "\uff1d1", 'say "=1", twice\r\nand more']
)
def test_no_cell_is_a_formula_and_every_text_comes_back(text: str) -> None:
    item = record(1, review_note=text)
    ((*_, cells),) = [list(csv.reader(StringIO(header() + row(item, None), newline="")))]
    note = dict(zip(next(csv.reader([header()])), cells, strict=True))["review_note"]
    assert note == (text if text.startswith("say") else f"'{text}")


def test_the_columns_are_those_that_are_described() -> None:
    page = Path(__file__).parents[2] / "docs" / "report.md"
    described = re.findall(r"^\| `(\w+)` \|", page.read_text(), re.M)
    assert described == header().strip().split(",")


@pytest.mark.parametrize("name", ["shift.pdf", "shift"])
def test_other_files_are_refused(stack: Stack, name: str) -> None:
    result = CliRunner().invoke(cli.main.app, ["report", "bracket", "--output", name])
    assert result.exit_code == 2
    assert "neither .html" in result.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["bracket", "--from", "1h", "--to", "2h"], "the end must come after the beginning"),
        (["nowhere"], "nowhere"),
        (["bracket", "--from", "noon"], "'noon' is no time"),
    ],
)
def test_what_cannot_be_reported_is_said_in_a_sentence(stack: Stack, arguments: list[str], sentence: str) -> None:
    result = CliRunner().invoke(cli.main.app, ["report", *arguments])
    assert result.exit_code == 1
    assert sentence in str(result.exception)


def test_memory_does_not_grow_with_the_records(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def records(count: int) -> Iterator[dict[str, Any]]:
        return (record(number, 1, "0.2", metadata={"line": "1"}) for number in range(count))

    def peak(count: int) -> int:
        monkeypatch.setattr(report, "newest", lambda *_, **__: records(count))
        tracemalloc.start()
        run("--by", "line", "--output", str(tmp_path / "shift.csv"), "--json")
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(10)  # what the first run imports
    assert peak(5_000) < peak(500) + 500_000


def test_a_report_that_is_cut_off_leaves_no_half_a_file(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "shift.csv"
    run("--output", str(file))
    whole = file.read_bytes()
    monkeypatch.setattr("cli.report_csv.row", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(stack, "bracket", Period.parse("2026-11-01", None), None, file)
    assert file.read_bytes() == whole


def test_reading_once_gives_the_numbers_and_every_record(stack: Stack) -> None:
    seen: list[str] = []
    period = Period.parse("2026-11-01T00:00Z", "2026-11-03T00:00Z")
    counted = report.read(stack, ["bracket"], period, None, each=lambda item: seen.append(item["inspection_id"]))
    assert seen == ["id6", "id5", "id4", "id3", "id2", "id1"]
    assert counted.colors == {"dent": "#FF0000", "scratch": "#FF0000"}
