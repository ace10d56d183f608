"""Charts as inline SVG, from numbers. No style attributes: the page's own style sheet colours them by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from relook.quality.stability import DRIFT, WATCH

WIDTH, HEIGHT = 640, 220  # of the drawing's own pixels, which the style sheet scales to the column
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 16, 12, 34  # what the labels of the axes need
_TICKS = 4  # quarters: their labels do not touch on a phone
_LABEL_CHARS = 20  # of a bar that lies: what its 138 px hold of Latin letters
_CHARACTER = 10
"""Pixels of a letter on a phone, where the style sheet writes larger into the same drawing."""
_WIDEST = 48
"""Pixels of a bar: a single day is no wall."""


@dataclass(frozen=True)
class Line:
    """A horizontal or vertical line with a word.

    Attributes:
        at: in the axis's own units.
        kind: class of the style sheet: `limit`, `center` or `threshold`.
    """

    at: float
    label: str
    kind: str = "limit"


def bars(labels: Sequence[str], series: Sequence[tuple[str, Sequence[float]]], *, title: str, unit: str) -> Markup:
    """Stacked bars, one for each label; `series` are (class of the style sheet, values), from the bottom up."""
    totals = [sum(values[index] for _, values in series) for index in range(len(labels))]
    scale = _Scale(0, _nice_count(max(totals, default=1)))
    step = (WIDTH - _LEFT - _RIGHT) / max(len(labels), 1)
    parts = [_grid(scale, unit)]
    for index, label in enumerate(labels):
        base = 0.0
        width = min(step * 0.76, _WIDEST)
        left = _LEFT + step * (index + 0.5) - width / 2
        for kind, values in series:
            value = values[index]
            if value:
                top, bottom = scale.y(base + value), scale.y(base)
                parts.append(
                    f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" '
                    f'height="{max(bottom - top, 1):.1f}"><title>{escape(label)}: {value:g} {kind}</title></rect>'
                )
            base += value
    parts.append(_labels(labels, step))
    return _svg(parts, title)


def pareto(labels: Sequence[str], values: Sequence[float], colors: Sequence[str], *, title: str) -> Markup:
    """Horizontal bars, the longest first, each with its label and number; a label that has no room is cut."""
    height = 30 * len(labels) + 8
    longest = max(values, default=1) or 1
    parts = []
    for index, (label, value, color) in enumerate(zip(labels, values, colors, strict=True)):
        top = 30 * index + 4
        width = (WIDTH - 240) * value / longest
        parts.append(
            f'<rect class="swatch" x="1" y="{top + 5}" width="12" height="12" rx="2" fill="{escape(color)}"/>'
            f'<text class="label" x="22" y="{top + 16}">{escape(_cut(label))}</text>'
            f'<rect class="images" x="160" y="{top + 3}" width="{max(width, 2):.1f}" height="16" rx="2"/>'
            f'<text class="value" x="{168 + width:.1f}" y="{top + 16}">{value:g}</text>'
        )
    return _svg(parts, title, height)


def _cut(label: str) -> str:
    return label if len(label) <= _LABEL_CHARS else f"{label[: _LABEL_CHARS - 1]}…"


def p_chart(
    labels: Sequence[str],
    shares: Sequence[float],
    limits: Sequence[tuple[float, float]],
    center: float,
    is_out: Sequence[bool],
    *,
    title: str,
) -> Markup:
    """Shares 0..1 of samples in time, with control limits that follow the samples' sizes."""
    top = max([*shares, *(high for _, high in limits), 0.01])
    scale = _Scale(0, _nice(top))
    step = (WIDTH - _LEFT - _RIGHT) / max(len(labels), 1)
    parts = [_grid(scale, "", is_share=True)]
    for kind, side in (("limit", 0), ("limit", 1)):
        path: list[str] = []
        for index, pair in enumerate(limits):
            left, y = _LEFT + step * index, scale.y(pair[side])
            path.append(f"{'M' if not path else 'L'}{left:.1f} {y:.1f}L{left + step:.1f} {y:.1f}")
        parts.append(f'<path class="{kind}" d="{"".join(path)}"/>')
    y = scale.y(center)
    parts.append(f'<path class="center" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>')
    points = [(_LEFT + step * (index + 0.5), scale.y(share)) for index, share in enumerate(shares)]
    parts.append(f'<polyline class="line" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>')
    for (x, y), share, out, label in zip(points, shares, is_out, labels, strict=True):
        kind = "point out" if out else "point"
        note = ", out of control" if out else ""
        parts.append(
            f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{5 if out else 3.5}">'
            f"<title>{escape(label)}: {share:.1%}{note}</title></circle>"
        )
    parts.append(_labels(labels, step))
    return _svg(parts, title)


def histogram(
    edges: Sequence[float],
    series: Sequence[tuple[str, Sequence[float]]],
    *,
    title: str,
    lines: Sequence[Line] = (),
) -> Markup:
    """Counts of images between edges, side by side for each of the series (class, counts), with vertical lines."""
    across = _Scale(edges[0], edges[-1])
    up = _Scale(0, _nice_count(max((value for _, values in series for value in values), default=1)))
    parts = [_grid(up, "images")]
    for number, (kind, values) in enumerate(series):
        for low, high, value in zip(edges, edges[1:], values, strict=False):
            if value:
                room = (across.x(high) - across.x(low)) / len(series)
                left = across.x(low) + room * number
                top = up.y(value)
                parts.append(
                    f'<rect class="{kind}" x="{left + 0.5:.1f}" y="{top:.1f}" width="{max(room - 1, 1):.1f}" '
                    f'height="{HEIGHT - _BOTTOM - top:.1f}"><title>{low:.2f} to {high:.2f}: {value:g} {escape(kind)}'
                    "</title></rect>"
                )
    for tick in range(_TICKS + 1):
        at = edges[0] + (edges[-1] - edges[0]) * tick / _TICKS
        parts.append(
            f'<text class="axis" x="{across.x(at):.1f}" y="{HEIGHT - 12}" text-anchor="middle">{at:.2g}</text>'
        )
    for line in lines:
        x = across.x(min(max(line.at, edges[0]), edges[-1]))
        anchor = "end" if x > WIDTH * 0.75 else "start"
        shift = -6 if anchor == "end" else 6
        parts.append(f'<path class="{line.kind}" d="M{x:.1f} {_TOP}V{HEIGHT - _BOTTOM}"/>')
        parts.append(
            f'<text class="mark" x="{x + shift:.1f}" y="{_TOP + 10}" text-anchor="{anchor}">{escape(line.label)}</text>'
        )
    return _svg(parts, title)


def curve(points: Sequence[tuple[float, float]], chosen: tuple[float, float] | None, *, title: str) -> Markup:
    """A line through (x, y) of 0..1 each, and the chosen point on it."""
    across, up = _Scale(0, 1), _Scale(0, 1)
    parts = [_grid(up, "", is_share=True)]
    for tick in range(_TICKS + 1):
        at = tick / _TICKS
        parts.append(
            f'<text class="axis" x="{across.x(at):.1f}" y="{HEIGHT - 12}" text-anchor="middle">{at:.0%}</text>'
        )
    parts.append(f'<polyline class="line" points="{" ".join(f"{across.x(x):.1f},{up.y(y):.1f}" for x, y in points)}"/>')
    if chosen:
        x, y = across.x(chosen[0]), up.y(chosen[1])
        parts.append(f'<circle class="point chosen" cx="{x:.1f}" cy="{y:.1f}" r="5"/>')
    return _svg(parts, title)


def scale(probability: float, threshold: float) -> Markup:
    """One anomaly probability on the line from 0 to 1, with the threshold it was held against."""
    left, right, y = 8.0, 312.0, 34.0

    def x(at: float) -> float:
        return left + (right - left) * at

    kind = "anomalous" if probability >= threshold else "normal"
    anchor = "start" if threshold < 0.5 else "end"
    parts = [
        f'<path class="grid" d="M{left} {y}H{right}"/>',
        f'<path class="threshold" d="M{x(threshold):.1f} {y - 10}V{y + 10}"/>',
        f'<text class="mark" x="{x(threshold):.1f}" y="{y + 24}" text-anchor="{anchor}">threshold {threshold:g}</text>',
        f'<circle class="{kind}" cx="{x(probability):.1f}" cy="{y}" r="5"/>',
        f'<text class="axis" x="{left}" y="14">anomaly probability {probability:.3g}</text>',
    ]
    text = f"anomaly probability {probability:.3g}, threshold {threshold:.3g}"
    return Markup(f'<svg class="chart line" viewBox="0 0 320 64" role="img" aria-label="{text}">{"".join(parts)}</svg>')


def drift_bar(index: float) -> Markup:
    """A population stability index, 0 or more, as a bar with the marks from which it is watched, and drift."""
    width, full = 160, 2 * DRIFT
    parts = [f'<rect x="0" y="5" width="{width * min(index / full, 1):.1f}" height="12" rx="2"/>']
    for kind, at in (("grid", WATCH), ("threshold", DRIFT)):
        parts.append(f'<path class="{kind}" d="M{width * at / full:.1f} 0V22"/>')
    return Markup(f'<svg class="chart meter" viewBox="0 0 {width} 22" aria-hidden="true">{"".join(parts)}</svg>')


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float

    def _share(self, value: float) -> float:
        return (value - self.low) / ((self.high - self.low) or 1)

    def x(self, value: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * self._share(value)

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * self._share(value)


def _nice(top: float) -> float:
    """The least 1, 2 or 5 times a power of ten that is not below `top`."""
    if top <= 0:
        return 1
    power = 1.0
    while power < top:
        power *= 10
    while power > top * 10:
        power /= 10
    return next((power / share for share in (10, 5, 2) if power / share >= top), power)


def _nice_count(top: float) -> float:
    """The same for what is counted: every tick is a whole number."""
    return _TICKS * max(_nice(top / _TICKS), 1)


def _grid(scale: _Scale, unit: str, *, is_share: bool = False) -> str:
    parts = []
    for tick in range(_TICKS + 1):
        value = scale.low + (scale.high - scale.low) * tick / _TICKS
        y = scale.y(value)
        text = f"{value * 100:.3g}%" if is_share else f"{value:g}"
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>')
        parts.append(f'<text class="axis" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    if unit:
        parts.append(f'<text class="axis unit" x="{_LEFT + 4}" y="{_TOP + 2}">{escape(unit)}</text>')
    return "".join(parts)


def _labels(labels: Sequence[str], step: float) -> str:
    """As many as there is room for, evenly."""
    room = max(max((len(label) for label in labels), default=1) * _CHARACTER + 12, 1)
    every = max(1, -(-room // max(int(step), 1)))
    return "".join(
        f'<text class="axis" x="{_LEFT + step * (index + 0.5):.1f}" y="{HEIGHT - 12}" text-anchor="middle">'
        f"{escape(label)}</text>"
        for index, label in enumerate(labels)
        if index % every == 0
    )


def _svg(parts: Sequence[str], title: str, height: int = HEIGHT) -> Markup:
    body = "".join(parts)
    return Markup(
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">{body}</svg>'
    )
