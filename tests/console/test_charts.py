"""Charts are well-formed, to scale, and hold no markup from outside."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from cli.console import charts


def rects(svg: str, kind: str) -> list[dict[str, str]]:
    return [each.attrib for each in ElementTree.fromstring(svg).iter("rect") if each.get("class") == kind]


def test_bars_are_as_high_as_their_values() -> None:
    svg = charts.bars(["a", "b"], [("normal", [10, 5]), ("anomalous", [0, 5])], title="t", unit="images")
    normal = [float(each["height"]) for each in rects(svg, "normal")]
    assert normal[0] == pytest.approx(2 * normal[1], abs=0.2)
    (anomalous,) = rects(svg, "anomalous")
    assert float(anomalous["height"]) == pytest.approx(normal[1], abs=0.2)
    assert float(anomalous["y"]) + float(anomalous["height"]) == pytest.approx(
        float(rects(svg, "normal")[1]["y"]), abs=0.2
    )


def test_a_p_chart_draws_limits_that_follow_the_samples() -> None:
    svg = charts.p_chart(["1", "2"], [0.1, 0.5], [(0.0, 0.3), (0.0, 0.2)], 0.1, [False, True], title="t")
    circles = list(ElementTree.fromstring(svg).iter("circle"))
    assert [each.get("class") for each in circles] == ["point", "point out"]
    assert float(circles[1].get("cy", 0)) < float(circles[0].get("cy", 0))


@pytest.mark.parametrize(
    ("highest", "ticks"),
    [(0.4, ["0%", "12.5%", "25%", "37.5%", "50%"]), (0.008, ["0%", "0.25%", "0.5%", "0.75%", "1%"])],
)
def test_shares_on_an_axis_are_not_rounded(highest: float, ticks: list[str]) -> None:
    svg = charts.p_chart(["a", "b"], [highest, 0.0], [(0.0, highest)] * 2, 0.0, [False, False], title="t")
    texts = [each.text or "" for each in ElementTree.fromstring(svg).iter("text")]
    assert [text for text in texts if text.endswith("%")] == ticks


@pytest.mark.parametrize(
    ("highest", "top"), [(0, "4"), (1, "4"), (5, "8"), (33, "40"), (41, "80"), (80, "80"), (801, "2000")]
)
def test_counts_on_an_axis_are_whole(highest: int, top: str) -> None:
    for svg in (
        charts.bars(["a"], [("normal", [highest])], title="t", unit="images"),
        charts.histogram([0.5, 1], [("images", [highest])], title="t"),
    ):
        texts = [
            each.text or "" for each in ElementTree.fromstring(svg).iter("text") if each.get("text-anchor") == "end"
        ]
        assert texts[-1] == top and all(text.isdecimal() for text in texts)


def test_a_histogram_marks_its_threshold_in_place() -> None:
    svg = charts.histogram(
        [0, 0.5, 1], [("images", [3, 1])], title="t", lines=[charts.Line(0.5, "threshold", "threshold")]
    )
    (line,) = [each for each in ElementTree.fromstring(svg).iter("path") if each.get("class") == "threshold"]
    second = rects(svg, "images")[1]
    assert float(line.attrib["d"].partition("V")[0].split()[0][1:]) == pytest.approx(float(second["x"]), abs=1)


@pytest.mark.parametrize("label", ['"><script>', "a & b", "<i>"])
def test_labels_are_text(label: str) -> None:
    for svg in (
        charts.bars([label], [("normal", [1])], title=label, unit=label),
        charts.pareto([label], [1], [label], title=label),
        charts.histogram([0, 1], [("images", [1])], title=label, lines=[charts.Line(0, label)]),
    ):
        assert "<script" not in svg
        ElementTree.fromstring(svg)


def test_a_label_that_has_no_room_beside_its_bar_is_cut() -> None:
    text = charts.pareto(["x" * 300, "dent"], [2, 1], ["#F5A623", "#7ED321"], title="t")
    assert f">{'x' * 19}…<" in text and ">dent<" in text


def test_nothing_to_draw_is_drawn_as_nothing() -> None:
    ElementTree.fromstring(charts.bars([], [("normal", [])], title="t", unit="images"))
    ElementTree.fromstring(charts.histogram([0, 1], [("images", [0])], title="t"))


@pytest.mark.parametrize(("index", "width"), [(0.0, 0), (0.25, 80), (0.5, 160), (7.0, 160)])
def test_drift_begins_in_the_middle_of_its_bar(index: float, width: float) -> None:
    svg = ElementTree.fromstring(charts.drift_bar(index))
    assert [float(each.attrib["width"]) for each in svg.iter("rect")] == [width]
    assert [each.attrib["d"] for each in svg.iter("path") if each.get("class") == "threshold"] == ["M80.0 0V22"]
