"""How a part lies in a picture: found by a small grey template, coarsely by Fourier transforms, then by Gauss-Newton.

All of it happens on thumbnails: `SIDE` x `SIDE` grey squares around the frame's middle, as wide as its longer side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property
from io import BytesIO
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from relook.detection.arrays import FloatArray

SIDE = 96  # Gauss-Newton is right to .05 of its pixels, .05 % of the side; twice the side costs four times as much
_COARSE = SIDE // 2
_STEP_DEG = 4.0  # half a step moves the rim by less than a coarse pixel
_POINTS = 2000  # of 9,216; those with the steepest slopes say where the part is, the others cost time
_UNTURNED = 0.02  # of likeness that the widest turn must be worth, so that round parts are not turned by noise
_ROUND = 6e-4  # for the same end damps turns, hardly for parts that reach further than 1/20 of the side
_ROUNDS = 8  # of Gauss-Newton at most, so that a picture in which it does not settle costs no more time
_STILL_PX = 0.03  # less than the .05 that it is right to: another round would gain nothing
_NO_GAIN = 1e-6  # parts have about .03, noise .001; nothing is there to follow
_STRAYED_PX = 6.0  # two coarse pixels and a step of the angle: further off than the coarse search can have been

Matrix: TypeAlias = NDArray[np.float64]
Spectra: TypeAlias = NDArray[np.complex64]


@dataclass(frozen=True)
class Pose:
    """Where a point of the template's frame is seen: turned and scaled about a centre, then moved.

    Attributes:
        angle_deg: clockwise as displayed.
        x: to the right, and `y` down, as shares of the frame's longer side.
    """

    angle_deg: float = 0.0
    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0

    def matrix(self, center: tuple[float, float], side: float) -> Matrix:
        """(3, 3) homogeneous, on (x, y, 1) in px of a frame whose longer side is `side`."""
        cos, sin = (self.scale * f(math.radians(self.angle_deg)) for f in (math.cos, math.sin))
        (x, y), right, down = center, self.x * side, self.y * side
        right, down = right + x - cos * x + sin * y, down + y - sin * x - cos * y
        return np.array([[cos, -sin, right], [sin, cos, down], [0, 0, 1]])

    def after(self, first: Pose) -> Pose:
        """`first`, then this one, about the same centre."""
        x, y, _ = self.matrix((0, 0), 1) @ (first.x, first.y, 1)
        return Pose(self.angle_deg + first.angle_deg, float(x), float(y), self.scale * first.scale)


def outlines(grey: FloatArray) -> FloatArray:
    """(SIDE, SIDE) root of the gradient's length in a thumbnail: where a part has edges, however it is lit."""
    padded = np.pad(grey, 1, mode="edge")
    smooth = np.sum([padded[y : y + SIDE, x : x + SIDE] for y in range(3) for x in range(3)], axis=0) / 9
    return np.asarray(np.sqrt(np.hypot(*np.gradient(smooth))), np.float32)


def prepared(grey: FloatArray, known: NDArray[np.bool_]) -> FloatArray:
    """What `Template.find` takes: a thumbnail's outlines minus what changes slowly in them, NaN where not `known`."""
    lines, weights, box = outlines(grey), known.astype(np.float32), _box()
    slow = (box @ (lines * weights) @ box) / np.maximum(box @ weights @ box, 1)
    return np.where(known, lines - slow, np.float32(np.nan))


def sample(picture: FloatArray, places: FloatArray) -> FloatArray:
    """(m,) values of an (n, n) picture at (2, m) places x, y in px from its middle; NaN beyond its outer pixels."""
    side = len(picture)
    padded = np.full((side + 2, side + 2), np.nan, np.float32)
    padded[1:-1, 1:-1] = picture
    at = np.clip(places + np.float32((side + 1) / 2), 0, np.float32(side + 0.99))
    whole = at.astype(np.intp)
    right, down = at - whole
    corner = whole[1] * (side + 2) + whole[0]
    a, b, c, d = (np.take(padded, corner + step) for step in (0, 1, side + 2, side + 3))
    upper, lower = a + (b - a) * right, c + (d - c) * right
    return np.asarray(upper + (lower - upper) * down, np.float32)


@cache
def _box() -> FloatArray:
    """(SIDE, SIDE) 1 where two lines are at most a quarter of the side apart: what is wider is texture or light."""
    return np.asarray(np.abs(np.subtract.outer(np.arange(SIDE), np.arange(SIDE))) <= SIDE // 4, np.float32)


def grid(side: int) -> FloatArray:
    """(2, side * side) x, y of a thumbnail's pixels from its middle."""
    axis = np.arange(side, dtype=np.float32) + np.float32(0.5 - side / 2)
    return np.stack([np.tile(axis, side), np.repeat(axis, side)])


@dataclass(frozen=True)
class Template:
    """A picture to find the part with.

    Attributes:
        png: (SIDE, SIDE) grey, 128 for nothing; the frame's middle is the picture's.
        shift: how far they may be moved along each axis, as a share of the frame's longer side.
    """

    png: bytes
    shift: float

    @classmethod
    def of(cls, picture: FloatArray, shift: float) -> Template:
        """From a (SIDE, SIDE) prepared thumbnail."""
        levels = np.rint(np.nan_to_num(picture) * (127 / max(np.nanmax(np.abs(picture)), 1e-6)) + 128)
        buffer = BytesIO()
        Image.fromarray(levels.astype(np.uint8)).save(buffer, "PNG")
        return cls(buffer.getvalue(), shift)

    def find(self, picture: FloatArray) -> tuple[Pose, float]:
        """How the part lies in a prepared thumbnail, and the normalised cross-correlation there, -1..1."""
        tried = [self._refine(picture, *guess) for guess in self._guess(np.nan_to_num(picture))]
        return max(tried, key=lambda candidate: candidate[1])

    def _guess(self, picture: FloatArray) -> list[tuple[float, float, float]]:
        """Angles in radians, x and y in px: the best, and the best of the other way round."""
        angles, spectra, window, size = self._turned
        coarse = picture.reshape(_COARSE, 2, _COARSE, 2).mean(axis=(1, 3))
        reach = round(self.shift * _COARSE)
        near = np.arange(-reach, reach + 1)
        sums, squares = np.fft.irfft2(np.fft.rfft2(np.stack([coarse, coarse**2]), (size, size)) * window, (size, size))
        energy = (squares - sums**2 / np.count_nonzero(self._is_seen(_COARSE)))[np.ix_(near, near)]
        columns = np.fft.ifft(spectra * np.fft.rfft2(coarse, (size, size)), axis=1)[:, near]
        likeness = np.fft.irfft(columns, size, axis=2)[:, :, near]
        likeness /= np.sqrt(np.maximum(energy, energy.max() * 1e-3) + 1e-9)
        by_angle = likeness.max(axis=(1, 2)) - _UNTURNED * np.abs(angles) / 180
        chosen = [int(by_angle.argmax())]
        away = np.abs((angles - angles[chosen[0]] + 180) % 360 - 180) > 90
        chosen.append(int(np.where(away, by_angle, -2).argmax()))
        shifts = [divmod(int(likeness[index].argmax()), len(near)) for index in chosen]
        return [
            (math.radians(angles[index]), 2.0 * near[x], 2.0 * near[y])
            for index, (y, x) in zip(chosen, shifts, strict=True)
        ]

    def _refine(self, picture: FloatArray, angle: float, x: float, y: float) -> tuple[Pose, float]:
        """Inverse-compositional alignment with gain and offset projected out.

        Source: Baker and Matthews 2004, "Lucas-Kanade 20 years on", sections 3.2 and (part 3) 3.3.
        """
        places, values, steps = self._slopes
        start = now = (angle, x, y)
        for _ in range(_ROUNDS):
            seen = sample(picture, moved(places, *now))
            is_known = np.isfinite(seen)
            gain, offset = _fitted(seen[is_known], values[is_known])
            if gain < _NO_GAIN:
                break
            turn, right, down = map(float, steps @ np.where(is_known, (seen - offset) / gain - values, 0))
            angle, cos, sin = now[0] - turn, math.cos(now[0] - turn), math.sin(now[0] - turn)
            now = (angle, now[1] - cos * right + sin * down, now[2] - sin * right - cos * down)
            if max(abs(turn) * SIDE / 2, abs(right), abs(down)) < _STILL_PX:
                break
        strayed_px = max(abs(now[0] - start[0]) * SIDE / 2, abs(now[1] - start[1]), abs(now[2] - start[2]))
        if strayed_px > _STRAYED_PX or max(abs(now[1]), abs(now[2])) > self.shift * SIDE + 1:
            now = start
        pose = Pose((math.degrees(now[0]) + 180) % 360 - 180, now[1] / SIDE, now[2] / SIDE)
        places, values = self._seen_in_all
        return pose, correlation(sample(picture, moved(places, *now)), values)

    def _is_seen(self, side: int) -> NDArray[np.bool_]:
        """(side * side,) what stays in a thumbnail that is turned by any angle."""
        return np.asarray(np.hypot(*grid(side)) < side / 2)

    @cached_property
    def _picture(self) -> FloatArray:
        with Image.open(BytesIO(self.png), formats=["PNG"]) as image:
            return np.asarray(image, np.float32) - 128

    @cached_property
    def _seen_in_all(self) -> tuple[FloatArray, FloatArray]:
        within = self._is_seen(SIDE)
        return grid(SIDE)[:, within], self._picture.ravel()[within]

    @cached_property
    def _turned(self) -> tuple[Matrix, Spectra, Spectra, int]:
        """Angles, conjugate spectra of the template at each and of the window, and how large they are."""
        within = self._is_seen(_COARSE)
        angles = np.arange(-180, 180, _STEP_DEG)
        small = self._picture.reshape(_COARSE, 2, _COARSE, 2).mean(axis=(1, 3))
        pictures = np.zeros((len(angles), _COARSE**2), np.float32)
        for row, angle in zip(pictures, np.radians(angles), strict=True):
            row[within] = np.nan_to_num(sample(small, moved(grid(_COARSE)[:, within], -angle, 0, 0)))
            row[within] -= row[within].mean()
            row /= np.linalg.norm(row) + 1e-6
        # So large that what is moved does not come in again at the other side
        size = -(-(_COARSE + round(self.shift * _COARSE)) // 8) * 8
        layers = np.concatenate([pictures, within[None].astype(np.float32)]).reshape(-1, _COARSE, _COARSE)
        spectra = np.fft.rfft2(layers, (size, size)).conj().astype(np.complex64)
        return np.asarray(angles), spectra[:-1], spectra[-1], size

    @cached_property
    def _slopes(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(2, m) steepest places, (m,) values there, and the (3, m) that turns differences into angle, x and y."""
        down, right = (slope.ravel() for slope in np.gradient(self._picture))
        places = grid(SIDE)
        slopes = np.stack([right * -places[1] + down * places[0], right, down])
        within = np.where(self._is_seen(SIDE), right**2 + down**2, -1)
        steepest = np.sort(np.argsort(-within, kind="stable")[: min(_POINTS, np.count_nonzero(within >= 0))])
        values = self._picture.ravel()[steepest]
        light = np.stack([np.ones_like(values), values])
        slopes = slopes[:, steepest]
        slopes = slopes - slopes @ np.linalg.pinv(light) @ light  # what light does is no movement
        normal = slopes @ slopes.T
        normal[0, 0] += _ROUND * SIDE**2 * (normal[1, 1] + normal[2, 2])
        normal += (1e-6 * np.trace(normal) + 1e-9) * np.eye(3)
        return places[:, steepest], values, np.linalg.solve(normal, slopes).astype(np.float32)


def moved(places: FloatArray, angle: float, x: float, y: float) -> FloatArray:
    """(2, m) places turned by an angle in radians, then moved."""
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    return np.stack(
        [cos * places[0] - sin * places[1] + np.float32(x), sin * places[0] + cos * places[1] + np.float32(y)]
    )


def correlation(seen: FloatArray, values: FloatArray) -> float:
    """Normalised, -1..1, of what is known of (m,) values that are seen."""
    is_known = np.isfinite(seen)
    pair = np.stack([seen[is_known], values[is_known]])
    if pair.shape[1] < seen.size / 8:
        return 0.0  # a long frame fills a quarter of the square; what fits on less says nothing
    pair -= pair.mean(axis=1, keepdims=True)
    (a, b), (_, c) = pair @ pair.T
    return float(b / (math.sqrt(a * c) + 1e-6))


def _fitted(seen: FloatArray, values: FloatArray) -> tuple[float, float]:
    """Gain and offset with which the template's values come closest to what is seen."""
    if not len(seen):
        return 0.0, 0.0
    mean, middle = float(seen.mean()), float(values.mean())
    centered = values - middle
    gain = float(centered @ seen) / (float(centered @ centered) + 1e-9)
    return gain, mean - gain * middle
