"""Rates, their intervals, and control charts."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from relook.errors import InvalidRequestError
from relook.quality.rates import Confusion, Rate, control_chart


@pytest.mark.parametrize(("hits", "total"), [(0, 7), (7, 7), (1, 30), (3, 100), (250, 1000), (0, 1), (1, 1)])
def test_the_interval_is_wilsons(hits: int, total: int) -> None:
    rate = Rate.of(hits, total)
    expected = binomtest(hits, total).proportion_ci(method="wilson")
    assert rate.share == hits / total
    assert (rate.low, rate.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= rate.low <= rate.share <= rate.high <= 1


def test_nothing_has_no_share() -> None:
    assert Rate.of(0, 0) == Rate(0, 0, None, 0.0, 1.0)


@pytest.mark.parametrize(("hits", "total"), [(-1, 3), (4, 3), (0, -1)])
def test_impossible_counts_are_refused(hits: int, total: int) -> None:
    with pytest.raises(InvalidRequestError, match=f"{hits} of {total}"):
        Rate.of(hits, total)


def test_rates_of_a_confusion_table() -> None:
    table = Confusion(true_positives=8, false_positives=3, false_negatives=2, true_negatives=27)
    assert (table.recall.hits, table.recall.total) == (8, 10)
    assert (table.false_alarm_rate.hits, table.false_alarm_rate.total) == (3, 30)
    assert (table.precision.hits, table.precision.total) == (8, 11)
    assert table.f1 == pytest.approx(2 * (8 / 11) * 0.8 / (8 / 11 + 0.8))
    assert Confusion(0, 0, 0, 9).f1 is None


def test_limits_follow_the_size_of_a_subgroup() -> None:
    days = {
        "mon": Rate.of(10, 100),
        "tue": Rate.of(12, 100),
        "wed": Rate.of(0, 400),
        "thu": Rate.of(0, 0),
        "fri": Rate.of(38, 100),
        "sat": Rate.of(1, 1),
    }
    chart = control_chart(days)
    assert chart.center == pytest.approx(61 / 701)  # .087019
    mon, tue, wed, thu, _fri, sat = chart.points
    # sqrt(.087019 x .912981 / 100) = .028186; a subgroup of 400 has half that.
    assert (mon.lower, mon.upper) == pytest.approx((0.002460, 0.171577), abs=1e-5)
    assert (wed.lower, wed.upper) == pytest.approx((0.044740, 0.129298), abs=1e-5)
    assert (sat.lower, sat.upper) == pytest.approx((0.0, 0.932603), abs=1e-5)
    assert (thu.lower, thu.upper, thu.is_out_of_control) == (None, None, False)
    assert [point.name for point in chart.points if point.is_out_of_control] == ["wed", "fri", "sat"]
    assert (tue.name, tue.rate) == ("tue", days["tue"])


@pytest.mark.parametrize("hits", [0, 5])
def test_where_all_are_alike_nothing_is_out_of_control(hits: int) -> None:
    chart = control_chart({"a": Rate.of(hits, 5), "b": Rate.of(hits * 2, 10)})
    assert chart.center == hits / 5
    assert not any(point.is_out_of_control for point in chart.points)


def test_a_chart_of_nothing() -> None:
    chart = control_chart({"a": Rate.of(0, 0)})
    assert chart.center is None
    assert [point.name for point in chart.points] == ["a"]
    assert control_chart({}).points == ()
