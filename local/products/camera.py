"""Lighting a surface and taking its picture: lamp, table, pose, lens and sensor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from local.products.surface import Color, Field, Surface

WHITE_LEVEL = 4.0  # linear light, four times a white surface's: what shines brighter still has no more shape


@dataclass(frozen=True)
class Shot:
    """Everything about one photograph that is not the part.

    Attributes:
        turn: radians, counter-clockwise.
        shift: (y, x) px.
        zoom: about 1.
        lamp: (y, x, z) px from the picture's middle.
        lamp_color: linear RGB strength, exposure included.
        ambient: linear strength of the light that comes from everywhere, exposure included.
        defocus: px, radius of the blur.
        grain: standard deviation of the sensor's noise, of 255.
    """

    turn: float
    shift: tuple[float, float]
    zoom: float
    lamp: tuple[float, float, float]
    lamp_color: Color
    ambient: float
    defocus: float
    grain: float

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Shot:
        """The spread of a fixture on a line: the part lies about right, the lamp is about the same."""
        azimuth = math.radians(rng.normal(-125, 16))
        reach = rng.uniform(280, 430)
        exposure = math.exp(rng.normal(0.12, 0.07))
        strength, warmth = exposure * rng.normal(1, 0.06), rng.normal(0, 0.03)
        return cls(
            turn=math.radians(rng.normal(0, 1.8)),
            shift=(rng.normal(0, 5), rng.normal(0, 7)),
            zoom=rng.normal(1, 0.006),
            lamp=(reach * math.sin(azimuth), reach * math.cos(azimuth), rng.uniform(520, 680)),
            lamp_color=(strength * (1 + warmth), strength, strength * (1 - 1.4 * warmth)),
            ambient=exposure * rng.uniform(0.28, 0.4),
            defocus=rng.uniform(0, 0.4),
            grain=rng.uniform(1.6, 3.0),
        )


def photograph(surface: Surface, table: Field, shot: Shot) -> Field:
    """The picture before the sensor's noise.

    Args:
        table: (H, W, 3) linear 0..1, what the part lies on.
    Returns:
        (H, W, 3) float32 of whole numbers 0..255, gamma-encoded.
    """
    height, width = surface.height.shape
    part = np.empty((height, width, 4), np.uint8)
    part[..., :3] = _developed(_lit(surface, shot))
    part[..., 3] = surface.cover * 255
    posed = np.asarray(_posed(Image.fromarray(part), shot), np.float32)
    cover = posed[..., 3:] / 255
    picture = _developed(table * _light_on_table(cover[..., 0], shot))
    picture += cover * (posed[..., :3] - picture)
    picture *= _vignette(height, width)[..., None]
    blurred = Image.fromarray(picture.astype(np.uint8)).filter(ImageFilter.BoxBlur(shot.defocus))
    return np.asarray(blurred, np.float32)


def expose(picture: Field, shot: Shot, rng: np.random.Generator) -> NDArray[np.uint8]:
    """(H, W, 3) uint8: the picture with the sensor's noise, which gamma makes stronger in the dark."""
    noise = rng.standard_normal(picture.shape, dtype=np.float32)
    noise *= shot.grain * 1.3 - picture * (shot.grain / 400)
    exposed: NDArray[np.uint8] = np.clip(picture + noise + 0.5, 0, 255).astype(np.uint8)
    return exposed


def _lit(surface: Surface, shot: Shot) -> Field:
    """(H, W, 3) linear light from the part: diffuse, the lamp's reflection, the room's reflection.

    The lamp's lobe is Beckmann's exp(-|n - h|² / rough²) on slopes, which needs no normalised vectors.
    """
    height = surface.height
    slope_y, slope_x = np.zeros_like(height), np.zeros_like(height)
    slope_y[1:-1] = (height[2:] - height[:-2]) / 2
    slope_x[:, 1:-1] = (height[:, 2:] - height[:, :-2]) / 2
    to_y, to_x, to_z = _towards_lamp(height, shot, shot.turn)
    diffuse = np.maximum((to_z - slope_y * to_y - slope_x * to_x) / np.sqrt(1 + slope_y**2 + slope_x**2), 0)
    miss_y = (slope_y + to_y / (1 + to_z)) / (surface.rough * surface.brush)
    miss_x = (slope_x + to_x / (1 + to_z)) / surface.rough
    lobe = np.exp(-(miss_y**2) - miss_x**2) / (surface.rough * np.sqrt(surface.brush) + 0.08)
    shadow = _cast_shadow(height, shot)
    metal, dull = surface.metal, 1 - surface.metal
    lamp = shadow * (diffuse * (0.08 + 0.87 * dull) + lobe * (0.4 * metal))
    room = shot.ambient * _openness(height) * (dull + 1.1 * metal * _mirrored_room(slope_y, slope_x))
    light: Field = surface.albedo * (lamp[..., None] * np.array(shot.lamp_color, np.float32) + room[..., None])
    light += (0.022 * shadow * lobe * dull)[..., None]
    return light


def _towards_lamp(field: Field, shot: Shot, turn: float) -> tuple[Field, Field, Field]:
    """Unit vector (y, x, z) from each pixel to the lamp, in a frame turned by `turn` against the picture's."""
    height, width = field.shape
    lamp_y, lamp_x, lamp_z = shot.lamp
    cosine, sine = math.cos(turn), math.sin(turn)
    down = np.arange(height, dtype=np.float32)[:, None] - height / 2
    along = np.arange(width, dtype=np.float32)[None, :] - width / 2
    to_y = lamp_y * cosine + lamp_x * sine - down
    to_x = lamp_x * cosine - lamp_y * sine - along
    distance: Field = np.sqrt(to_y**2 + to_x**2 + lamp_z**2)
    return to_y / distance, to_x / distance, lamp_z / distance


def _cast_shadow(height: Field, shot: Shot) -> Field:
    """(H, W) 0..1, how much of the lamp each pixel sees past what stands in a few steps' way."""
    lamp_y, lamp_x, lamp_z = shot.lamp
    distance = math.hypot(lamp_y, lamp_x)
    blocked = np.zeros_like(height)
    for step in (1, 2, 3, 5, 7, 10, 14):
        towards = (-round(step * lamp_y / distance), -round(step * lamp_x / distance))
        np.maximum(blocked, np.roll(height, towards, (0, 1)) - height - step * lamp_z / distance, out=blocked)
    return 1 - 0.8 * np.clip(0.35 * _smoothed(blocked, 2), 0, 1)


def _openness(height: Field) -> Field:
    """(H, W) 0.4..1, how much of the room a pixel sees: little beside high things."""
    return 1 - np.clip(0.07 * (_smoothed(height, 12) - height), 0, 0.6)


def _mirrored_room(slope_y: Field, slope_x: Field) -> Field:
    """(H, W) what metal mirrors of the room: a bright wall beyond the picture's top left, a dark one opposite."""
    height, width = slope_y.shape
    down = np.linspace(-0.45, 0.45, height, dtype=np.float32)[:, None]
    along = np.linspace(-0.3, 0.3, width, dtype=np.float32)[None, :]
    facing = 2 * slope_y + slope_x - down - along
    seen: Field = 0.9 + 0.85 * facing / (1 + np.abs(facing))
    return seen


def _posed(part: Image.Image, shot: Shot) -> Image.Image:
    width, height = part.size
    cosine, sine = math.cos(shot.turn) / shot.zoom, math.sin(shot.turn) / shot.zoom
    center_y, center_x = height / 2 + shot.shift[0], width / 2 + shot.shift[1]
    offset_x = width / 2 - cosine * center_x + sine * center_y
    offset_y = height / 2 - sine * center_x - cosine * center_y
    matrix = (cosine, -sine, offset_x, sine, cosine, offset_y)
    return part.transform(part.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


def _light_on_table(cover: Field, shot: Shot) -> Field:
    """(H, W, 3) linear light that reaches the table beside the part and through its holes."""
    lamp_y, lamp_x, lamp_z = shot.lamp
    drop = 16 / lamp_z
    away = (-round(drop * lamp_y), -round(drop * lamp_x))
    lamp = _towards_lamp(cover, shot, 0)[2] * (1 - 0.92 * np.roll(_smoothed(cover, 8), away, (0, 1)))
    room = shot.ambient * (1 - 0.7 * _smoothed(cover, 32))
    return lamp[..., None] * np.array(shot.lamp_color, np.float32) + room[..., None]


def _smoothed(field: Field, reach: int) -> Field:
    """(H, W) the field averaged over about `reach` px."""
    height, width = field.shape
    return np.asarray(Image.fromarray(field).reduce(reach).resize((width, height), Image.Resampling.BICUBIC))


def _vignette(height: int, width: int) -> Field:
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    along = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    return 1 - 0.11 * (down**2 + along**2)


def _developed(linear: Field) -> Field:
    """0..255: linear light through the film curve, by table."""
    return _FILM_CURVE[np.minimum(linear * (4095 / WHITE_LEVEL), 4095).astype(np.uint16)]


def _film_curve() -> Field:
    """Reinhard's curve with a white level, then gamma."""
    light = np.linspace(0, WHITE_LEVEL, 4096)
    curve = 1.25 * light * (1 + light / WHITE_LEVEL**2) / (1 + light)
    return (255 * curve.clip(0, 1) ** (1 / 2.2)).astype(np.float32)


_FILM_CURVE = _film_curve()
