"""Pictures of nothing in particular: all that the backbone ever sees in training.

Every scene comes with a map of its materials, so that a network can be taught what belongs together without a label
that a person wrote. numpy and Pillow only; the same generator state gives the same picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Floats: TypeAlias = NDArray[np.floating]
Bytes: TypeAlias = NDArray[np.uint8]
Rng: TypeAlias = np.random.Generator

NO_MATERIAL = 255


@dataclass(frozen=True)
class Scene:
    """A generated picture.

    Attributes:
        pixels: (side, side, 3) uint8.
        materials: (side, side) uint8 number of the material of each pixel, 255 where that makes no sense.
        is_surface: one material fills the frame.
    """

    pixels: Bytes
    materials: Bytes
    is_surface: bool


def generate(rng: Rng, side: int) -> Scene:
    """One scene of a kind drawn at random."""
    kind = rng.choice(len(_SCENES), p=_SHARES)
    colors, materials, is_surface = _SCENES[kind](rng, side)
    return Scene(_photograph(rng, colors), materials, is_surface)


def shape(rng: Rng, side: int, reach: float) -> Floats:
    """(side, side) coverage 0..1 of one ellipse, box, star or bent line about `reach` pixels large, somewhere."""
    canvas = Image.new("L", (side, side), 0)
    draw = ImageDraw.Draw(canvas)
    center = rng.uniform(0, side, 2)
    turn = rng.uniform(0, 2 * np.pi)
    kind = rng.integers(4)
    if kind == 3:
        points = _walk(rng, center, steps=int(rng.integers(2, 9)), stride=reach / 2, bend=0.6)
        draw.line(points, fill=255, width=int(rng.integers(1, int(max(2, reach / 4)) + 1)))
    else:
        if kind == 0:
            angles, radii = np.linspace(0, 2 * np.pi, 24, endpoint=False), np.ones(24)
        elif kind == 1:
            angles, radii = np.arange(4) * np.pi / 2 + np.pi / 4, np.full(4, 2**0.5)
        else:
            corners = int(rng.integers(3, 9))
            angles, radii = np.sort(rng.uniform(0, 2 * np.pi, corners)), rng.uniform(0.3, 1, corners)
        outline = np.stack([np.cos(angles), np.sin(angles) * rng.uniform(0.15, 1)]) * radii * reach
        turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ outline
        draw.polygon([tuple(p) for p in (turned.T + center).tolist()], fill=255)
    if rng.random() < 0.5:
        canvas = canvas.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.5)))
    return np.asarray(canvas, np.float32) / 255


def texture(rng: Rng, side: int) -> Floats:
    """(side, side, 3) colours about 0..1 of one material."""
    height = _field(rng, side)
    if rng.random() < 0.5:
        height = height + rng.uniform(0.2, 1) * _field(rng, side)
    height = (height - height.min()) / (np.ptp(height) + 1e-6)
    height = height ** rng.uniform(0.5, 2)
    dark, bright = _color(rng), _color(rng)
    if rng.random() < 0.6:  # most real surfaces are low in contrast
        bright = dark + (bright - dark) * rng.uniform(0.05, 0.5)
    return np.asarray(dark + (bright - dark) * height[..., None])


def _collage(rng: Rng, side: int) -> tuple[Floats, Bytes, bool]:
    """Dead leaves: shapes of heavy-tailed sizes thrown over each other."""
    colors, materials = texture(rng, side), np.zeros((side, side), np.uint8)
    for number in range(1, int(rng.choice([4, 12, 40])) + 1):
        cover = shape(rng, side, min(side / 3, 2 + 4 * rng.pareto(1.2)))[..., None]
        paint = texture(rng, side) if rng.random() < 0.2 else _color(rng)
        strength = rng.uniform(0.3, 1)
        colors = colors * (1 - cover * strength) + paint * cover * strength
        materials = np.where(cover[..., 0] > 0.5, np.uint8(number), materials)
    return colors, materials, False


def _surface(rng: Rng, side: int) -> tuple[Floats, Bytes, bool]:
    """One material over the whole frame: stone, metal, cloth, asphalt."""
    if rng.random() < 0.5:
        grain = sum(rng.random() * _noise(rng, side, slope) for slope in (0.0, 0.5, 1.0, 1.5))
        grain = grain / (np.abs(grain).max() + 1e-6)
        tint = np.ones(3) if rng.random() < 0.7 else rng.random(3)
        colors = _color(rng) + rng.uniform(0.05, 0.6) * grain[..., None] * tint
        if rng.random() < 0.4:  # ground or brushed
            streaks = _noise(rng, side, rng.uniform(0.3, 1), turn=rng.uniform(0, np.pi), stretch=rng.uniform(3, 8))
            colors = colors + rng.uniform(0.02, 0.2) * streaks[..., None]
    else:
        colors = texture(rng, side)
    return colors, np.zeros((side, side), np.uint8), True


def _lattice(rng: Rng, side: int) -> tuple[Floats, Bytes, bool]:
    """Parts repeated on a grid: panels, boards, woven things."""
    pitch = int(rng.integers(16, 49))
    cell = Image.new("RGB", (pitch, pitch), _rgb(_color(rng)))
    draw = ImageDraw.Draw(cell)
    for _ in range(rng.integers(1, 5)):
        (left, right), (top, bottom) = np.sort(rng.integers(0, pitch, (2, 2)), axis=1)
        box = [int(left), int(top), int(right) + 1, int(bottom) + 1]
        (draw.rectangle if rng.random() < 0.6 else draw.ellipse)(box, fill=_rgb(_color(rng)))
    copies = side // pitch + 1
    colors = np.tile(np.asarray(cell) / 255, (copies, copies, 1))[:side, :side]
    if rng.random() < 0.6:
        colors = colors + rng.uniform(0.02, 0.08) * _noise(rng, side, rng.uniform(0.3, 1.5))[..., None]
    return colors, np.full((side, side), NO_MATERIAL, np.uint8), False


def _part(rng: Rng, side: int) -> tuple[Floats, Bytes, bool]:
    """A shaded object with marks on it, on a plain or textured ground."""
    ground = np.ones((side, side, 1)) * _color(rng) if rng.random() < 0.6 else texture(rng, side)
    cover = np.max([shape(rng, side, rng.uniform(15, 55)) for _ in range(rng.integers(1, 5))], axis=0)
    rounded = np.asarray(_grey(cover).filter(ImageFilter.GaussianBlur(rng.uniform(3, 9)))) / 255
    body = _color(rng) if rng.random() < 0.4 else texture(rng, side)
    colors = ground * (1 - cover[..., None]) + body * (0.5 + 0.6 * rounded[..., None]) * cover[..., None]
    materials = (cover > 0.5).astype(np.uint8)
    for number in range(2, 2 + int(rng.integers(0, 8))):
        mark = shape(rng, side, rng.uniform(2, 10))
        colors = colors * (1 - mark[..., None]) + _color(rng) * mark[..., None]
        materials = np.where(mark > 0.5, np.uint8(number), materials)
    return colors, materials, False


def _writing(rng: Rng, side: int) -> tuple[Floats, Bytes, bool]:
    """Lettering or scribbled lines."""
    plain = Image.new("RGB", (side, side), _rgb(_color(rng)))
    page = Image.fromarray(_bytes(texture(rng, side))) if rng.random() < 0.4 else plain
    draw = ImageDraw.Draw(page)
    ink = _rgb(_color(rng))
    if rng.random() < 0.6:
        size = float(rng.uniform(8, 22))
        font = ImageFont.load_default(size)
        for top in np.arange(rng.uniform(0, 8), side, size * 1.3):
            text = "".join(map(chr, rng.integers(33, 127, 30)))
            draw.text((float(rng.uniform(-20, 20)), float(top)), text, fill=ink, font=font)
    else:
        for _ in range(rng.integers(3, 31)):
            steps, stride = int(rng.integers(2, 13)), float(rng.uniform(3, 14))
            draw.line(_walk(rng, rng.uniform(0, side, 2), steps, stride, 0.5), fill=ink, width=int(rng.integers(1, 4)))
    if rng.random() < 0.5:
        page = page.rotate(rng.uniform(-90, 90), Image.Resampling.BILINEAR, fillcolor=ink)
    return np.asarray(page) / 255, np.full((side, side), NO_MATERIAL, np.uint8), False


def _fractal(rng: Rng, side: int) -> tuple[Floats, Bytes, bool]:
    """An iterated function system played as a chaos game by 6,000 points at once."""
    count = int(rng.integers(2, 6))
    maps = rng.uniform(-1, 1, (count, 2, 3))
    for matrix in maps[:, :, :2]:
        matrix *= 0.75 * rng.uniform(0.6, 1.05) / max(0.3, float(np.linalg.norm(matrix, 2)))
    hues, points, paint = rng.random((count, 3)), 0.1 * rng.standard_normal((6000, 2)), np.full((6000, 3), 0.5)
    colors = np.ones((side, side, 3)) * _color(rng)
    for step in range(14):
        chosen = rng.integers(0, count, len(points))
        points = np.einsum("nij,nj->ni", maps[chosen][:, :, :2], points) + maps[chosen][:, :, 2]
        paint = (paint + hues[chosen]) / 2
        if step > 4:
            low, high = np.percentile(points, (1, 99), axis=0)
            places = (points - low) / (high - low + 1e-6) * (side - 1)
            seen = ((places >= 0) & (places < side)).all(axis=1)
            x, y = places[seen].astype(int).T
            colors[y, x] = paint[seen]
    return colors, np.full((side, side), NO_MATERIAL, np.uint8), False


_SCENES: list[Callable[[Rng, int], tuple[Floats, Bytes, bool]]] = [
    _collage, _surface, _lattice, _part, _writing, _fractal,
]  # fmt: skip
_SHARES = [0.30, 0.25, 0.12, 0.18, 0.09, 0.06]


def _photograph(rng: Rng, colors: Floats) -> Bytes:
    """What light, lens, sensor and file do to a scene."""
    side = len(colors)
    colors = colors.clip(0, 1)
    if rng.random() < 0.35:
        y, x = np.mgrid[0:side, 0:side] / side - 0.5
        turn = rng.uniform(0, 2 * np.pi)
        colors = colors * (1 + rng.uniform(0, 0.8) * (x * np.cos(turn) + y * np.sin(turn)))[..., None]
    if rng.random() < 0.25:
        colors = colors * (1 + 0.3 * rng.random() * _noise(rng, side, 2.5)[..., None])
    image = Image.fromarray(_bytes(colors))
    if rng.random() < 0.35:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.3)))
    if rng.random() < 0.25:
        image = image.convert("L").convert("RGB")
    if rng.random() < 0.4:
        file = BytesIO()
        image.save(file, "JPEG", quality=int(rng.integers(35, 96)))
        image = Image.open(file).convert("RGB")
    pixels = np.asarray(image, float)
    if rng.random() < 0.4:
        pixels = pixels + rng.uniform(1, 7) * rng.standard_normal(pixels.shape)
    return pixels.clip(0, 255).astype(np.uint8)


def _field(rng: Rng, side: int) -> Floats:
    """(side, side) heights of one material: clouds, fibres, ripples, weaves or blotches."""
    kind = rng.integers(5)
    if kind == 0:
        return _noise(rng, side, rng.uniform(0.5, 2))
    if kind == 1:
        return _noise(rng, side, rng.uniform(0.5, 2), turn=rng.uniform(0, np.pi), stretch=rng.uniform(1.5, 5))
    if kind == 2:
        return _ripples(rng, side)
    if kind == 3:
        return _weave(rng, side)
    return np.asarray(np.sign(_noise(rng, side, rng.uniform(1, 2.5)) - rng.uniform(-1, 1)))


def _noise(rng: Rng, side: int, slope: float, *, turn: float = 0.0, stretch: float = 1.0) -> Floats:
    """Gaussian noise of spectrum 1 / frequency**slope, unit variance; stretched along one direction on demand."""
    v, u = np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None]
    along, across = u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn)
    frequency = np.hypot(along * stretch, across / stretch)
    frequency[0, 0] = 1
    return _unit(np.fft.ifft2(np.fft.fft2(rng.standard_normal((side, side))) / frequency**slope).real)


def _ripples(rng: Rng, side: int) -> Floats:
    """Noise of nearly one frequency and direction."""
    v, u = np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None]
    frequency, turn, width = rng.uniform(0.03, 0.3), rng.uniform(0, np.pi), rng.uniform(0.005, 0.05)
    away = (u - frequency * np.cos(turn)) ** 2 + (v - frequency * np.sin(turn)) ** 2
    passed = np.fft.fft2(rng.standard_normal((side, side))) * np.exp(-away / (2 * width**2))
    return _unit(np.fft.ifft2(passed).real)


def _weave(rng: Rng, side: int) -> Floats:
    """Stripes, checks and nets, straight or wavy."""
    y, x = np.mgrid[0:side, 0:side].astype(float)
    turn = rng.uniform(0, np.pi)
    bend = _noise(rng, side, 2) * rng.choice([0, 0, 1, 3])
    first = np.sin(2 * np.pi * (x * np.cos(turn) + y * np.sin(turn) + bend) / rng.uniform(4, 32))
    second = np.sin(2 * np.pi * (y * np.cos(turn) - x * np.sin(turn) + bend) / rng.uniform(4, 32))
    woven = [first, first * second, np.maximum(first, second), np.sign(first) * np.sign(second)][rng.integers(4)]
    return np.asarray(np.sign(woven - rng.uniform(-0.7, 0.7)) if rng.random() < 0.4 else woven)


def _walk(rng: Rng, start: Floats, steps: int, stride: float, bend: float) -> list[tuple[float, float]]:
    """The corners of a line that changes its direction by about `bend` radians a step."""
    turns = rng.uniform(0, 2 * np.pi) + np.cumsum(bend * rng.standard_normal(steps))
    path = start + np.cumsum(stride * np.stack([np.cos(turns), np.sin(turns)], axis=1), axis=0)
    return [(float(x), float(y)) for x, y in np.vstack([start, path])]


def _color(rng: Rng) -> Floats:
    return rng.random(3) if rng.random() < 0.65 else np.full(3, rng.random())


def _unit(field: Floats) -> Floats:
    field = field - field.mean()
    return np.asarray(field / (field.std() + 1e-6))


def _bytes(colors: Floats) -> Bytes:
    return (colors.clip(0, 1) * 255).astype(np.uint8)


def _grey(cover: Floats) -> Image.Image:
    return Image.fromarray(_bytes(cover))


def _rgb(color: Floats) -> tuple[int, int, int]:
    red, green, blue = _bytes(color).tolist()
    return red, green, blue
