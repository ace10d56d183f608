"""What is painted in masks that came without a colour map: decided once, over all of them.

Tools write white on black, black on white, colours or numbers on either, or on nothing. One mask does not tell which,
for a defect may cover most of an image; all of them together do, for defects are small as a rule.
"""

from __future__ import annotations

import colorsys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from relook.detection.image import decode_mask
from relook.detection.rendering import mask_png
from relook.detection.result import BACKGROUND, BACKGROUND_COLOR, is_background
from relook.errors import ImageRejectedError, TrainingDataError
from relook.learning.data.masks import hex_color, read_labels
from relook.learning.data.samples import LabeledImage

_NUMBERS = 31  # what is darker than this throughout is a label's number and no colour
_NEAR = 40  # levels of a channel that compression and smooth outlines change a colour by
_CERTAIN = 0.2  # of -1..1; two of five masks the other way round, or defects that cover two fifths of all images
_ALMOST_ALL = 0.9  # painted: rarely a defect
_MANY, _MANY_SHARE = 2, 0.2  # masks painted almost all over; a single one may be true
_MOST_TYPES = 8  # a mask has a colour a type; a picture taken for a mask has hundreds
_ADVICE = 'say what is painted in masks/colors.json, such as {"scratch": "#FFFFFF", "background": "#000000"}'

_Color = tuple[int, int, int]
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)  # RGB


def settle_colors(images: Sequence[LabeledImage]) -> tuple[list[LabeledImage], list[str]]:
    """The same images, each mask with a colour map and on white, and sentences about what was decided.

    A mask whose map gives a type the colour white is painted anew as well: answers have a white background.

    Raises:
        TrainingDataError: it cannot be told what is painted; says how to say it.
    """
    given = [(name, color.upper()) for each in images for name, color in each.colors.items()]
    taken = {BACKGROUND_COLOR, *(color for name, color in given if not is_background(name))}
    shown = _Shown(color for color in map(type_color, count()) if color not in taken)
    images = [_repainted(each, each.colors, shown) if _has_white_type(each) else each for each in images]
    summaries = [summary for each in images if _is_unsettled(each) and (summary := _summary(each))]
    if not summaries:
        return images, []
    total = sum((each.counts for each in summaries), Counter[_Color]())
    numbered = max(map(max, total), default=0) <= _NUMBERS
    cut_out = [each.name for each in summaries if each.is_cut_out]
    if not cut_out:
        background, notes = _background(summaries, numbered)
    elif any(len(each.counts) > 1 for each in summaries if not each.is_cut_out):
        raise TrainingDataError(
            f"{len(cut_out)} of {len(summaries)} masks are transparent in part, the others not; {_ADVICE}"
        )
    else:
        background, notes = None, ["The masks are transparent where nothing is painted"]
    types = _types(total, set().union(*(each.flat for each in summaries)), background, 0 if numbered else _NEAR)
    if len(types) > _MOST_TYPES:
        raise TrainingDataError(f"The masks have {len(types)} colours, as pictures have them; {_ADVICE}")
    types.sort()
    if not types:
        notes.append("The masks have one colour, so nothing is painted in them")
    if len(types) > 1:
        numbers = ", ".join(f"{hex_color(color)} for {number}" for number, color in enumerate(types, start=1))
        notes.append(
            f"The masks have {len(types)} colours, taken for types by number: {numbers}; colors.json names them"
        )
    settled = [_settled(each, types, background, shown) if _is_unsettled(each) else each for each in images]
    return settled, notes


def type_color(number: int) -> str:
    """The colour of a type that has none yet, #RRGGBB: black for 0, then hues as far from those before as can be.

    The golden ratio parts a circle most evenly.
    """
    levels = colorsys.hsv_to_rgb(number * 0.618 % 1, 0.85, 0.8) if number else _BLACK
    return hex_color([round(255 * level) for level in levels])


def free_color(taken: Iterable[str]) -> str:
    """Of a type, #RRGGBB: the first that no other type has, nor the background."""
    used = {BACKGROUND_COLOR, *(color.upper() for color in taken)}
    return next(color for color in map(type_color, count(1)) if color not in used)


def _is_unsettled(image: LabeledImage) -> bool:
    return image.is_anomalous and image.read_mask is not None and not image.colors


def _has_white_type(image: LabeledImage) -> bool:
    types = [color.upper() for name, color in image.colors.items() if not is_background(name)]
    return image.is_anomalous and image.read_mask is not None and BACKGROUND_COLOR in types


class _Shown(dict[str, str]):
    """Type -> the colour that answers paint it in; each gets one of its own."""

    def __init__(self, colors: Iterator[str]) -> None:
        super().__init__()
        self._colors = colors

    def __missing__(self, name: str) -> str:
        self[name] = next(self._colors)
        return self[name]


def _settled(image: LabeledImage, types: list[_Color], background: _Color | None, shown: _Shown) -> LabeledImage:
    if len(types) == 1:
        colors = {image.mask_type: hex_color(types[0])}
    else:
        colors = {f"{image.mask_type}{number}": hex_color(color) for number, color in enumerate(types, start=1)}
    return _repainted(image, {**colors, BACKGROUND: hex_color(background)} if background else colors, shown)


def _repainted(image: LabeledImage, colors: Mapping[str, str], shown: _Shown) -> LabeledImage:
    """On white, in colours that can be told from it and from each other, as answers show them."""
    assert image.read_mask
    own = {name: shown[name] for name in colors if not is_background(name)}

    def read(read_mask: Callable[[], bytes] = image.read_mask) -> bytes:
        return mask_png(read_labels(read_mask(), colors, name=image.name), list(own.values()))

    return replace(image, read_mask=read, colors=own)


@dataclass(frozen=True)
class _Mask:
    """Pixels of each colour where it is opaque; colours that fill a square of 3 x 3; whether some is transparent."""

    name: str
    counts: Counter[_Color]
    flat: set[_Color]
    is_cut_out: bool

    def share(self, color: _Color, near: int) -> float:
        """Of the mask, that has this colour or nearly so."""
        return sum(n for each, n in self.counts.items() if _distance(each, color) <= near) / self.counts.total()


def _types(total: Counter[_Color], flat: set[_Color], background: _Color | None, near: int) -> list[_Color]:
    """Colours that fill areas, most frequent first, or the most frequent alone; none like another or the background.

    What fills none lies between two others, on a smooth outline.
    """
    known = [] if background is None else [background]
    others = [each for each, _ in total.most_common() if all(_distance(each, one) > near for one in known)]
    types: list[_Color] = []
    for color in [each for each in others if each in flat] or others[:1]:
        if all(_distance(color, one) > near for one in types):
            types.append(color)
    return types


def _background(masks: list[_Mask], numbered: bool) -> tuple[_Color, list[str]]:
    """Black or white, whichever there is more of, and what to say of it."""
    light = max(max(each.counts) for each in masks) if numbered else _WHITE
    near = 0 if numbered else _NEAR
    dark = [each.share(_BLACK, near) for each in masks]
    bright = [1 - share if numbered else each.share(light, near) for each, share in zip(masks, dark, strict=True)]
    balance = float(np.mean(dark) - np.mean(bright))
    painted = [1 - share for share in (dark if balance > 0 else bright)]
    odd = [each.name for each, share in zip(masks, painted, strict=True) if share > _ALMOST_ALL]
    is_mixed = len(odd) >= _MANY and len(odd) >= _MANY_SHARE * len(masks)
    if abs(balance) < _CERTAIN or is_mixed:
        raise TrainingDataError(
            f"It cannot be told what is painted in the {len(masks)} masks: {np.mean(dark):.0%} of them is black and "
            f"{np.mean(bright):.0%} white, and {len(odd)} would be painted almost everywhere; {_ADVICE}"
        )
    notes = [f"The mask of {name} paints almost all of it; is it the wrong way round?" for name in odd]
    if balance > 0:
        notes.append(f"The masks are mostly black ({np.mean(dark):.0%}): what is not black was taken for the anomaly")
    return (_BLACK if balance > 0 else light), notes


def _summary(image: LabeledImage) -> _Mask | None:
    """None where nothing is opaque."""
    assert image.read_mask
    try:
        pixels = decode_mask(image.read_mask()).astype(np.uint32)
    except ImageRejectedError as error:
        raise TrainingDataError(f"The mask of {image.name} cannot be used: {error.message}") from error
    opaque = pixels[..., 3] >= 128
    packed = pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]
    values, counts = np.unique(packed[opaque], return_counts=True)
    if not len(values):
        return None
    packed[~opaque] = 1 << 24
    down, right = packed[1:] == packed[:-1], packed[:, 1:] == packed[:, :-1]
    rows = right[:, 1:] & right[:, :-1]
    squares = rows[2:] & rows[1:-1] & rows[:-2] & down[1:, :-2] & down[:-1, :-2]
    flat = set(np.unique(packed[:-2, :-2][squares]).tolist()) - {1 << 24}
    known = Counter({_color(value): count for value, count in zip(values.tolist(), counts.tolist(), strict=True)})
    return _Mask(image.name, known, set(map(_color, flat)), not opaque.all())


def _color(packed: int) -> _Color:
    return packed >> 16, packed >> 8 & 255, packed & 255


def _distance(one: _Color, other: _Color) -> int:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))
