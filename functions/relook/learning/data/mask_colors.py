"""What is painted in masks that came without a colour map: decided once, over all of them.

Tools write white on black, black on white, colours or numbers on either, or on nothing. One mask does not tell which,
for a defect may cover most of an image; all of them together do, for defects are small as a rule.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from relook.detection.image import decode_mask
from relook.detection.rendering import mask_png
from relook.detection.result import BACKGROUND, BACKGROUND_COLOR
from relook.errors import ImageRejectedError, TrainingDataError
from relook.learning.data.masks import is_background, read_labels
from relook.learning.data.samples import LabeledImage

_NUMBERS = 31  # what is darker than this throughout is a label's number and no colour
_NEAR = 40  # levels of a channel that compression and smooth outlines change a colour by
_CERTAIN = 0.2  # of -1..1; two of five masks the other way round, or defects that cover two fifths of all images
_ALMOST_ALL = 0.9  # painted: rarely a defect
_MANY, _MANY_SHARE = 2, 0.2
_SHOWN = ("#000000", "#D62728", "#1F77B4", "#2CA02C", "#FF7F0E", "#9467BD", "#8C564B", "#E377C2")
_ADVICE = 'say what is painted in masks/colors.json, such as {"scratch": "#FFFFFF", "background": "#000000"}'

_Color = tuple[int, int, int]
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


def settle_colors(images: Sequence[LabeledImage]) -> tuple[list[LabeledImage], list[str]]:
    """The same images, each mask with a colour map and on white, and sentences about what was decided.

    A mask whose map gives a type the colour white is painted anew as well: answers have a white background.

    Raises:
        TrainingDataError: it cannot be told what is painted; says how to say it.
    """
    images = [_repainted(each, each.colors) if _has_white_type(each) else each for each in images]
    unsettled = [each for each in images if each.is_anomalous and each.read_mask and not each.colors]
    found = [summary for each in unsettled if (summary := _summary(each))]
    if not found:
        return list(images), []
    total = sum((each.counts for each in found), Counter[_Color]())
    numbered = max(map(max, total), default=0) <= _NUMBERS
    if any(each.is_cut_out for each in found):
        background, notes = None, ["The masks are transparent where nothing is painted"]
    else:
        background, notes = _background(found, numbered)
    near = 0 if numbered else _NEAR
    flat = set().union(*(each.flat for each in found)) or set(total)
    types: list[_Color] = []
    for color, _ in sorted(total.items(), key=lambda item: (-item[1], item[0])):
        if color in flat and all(
            _distance(color, known) > near for known in [*types, *([background] if background else [])]
        ):
            types.append(color)
    if len(types) > len(_SHOWN):
        raise TrainingDataError(f"The masks have {len(types)} colours, as pictures have them; {_ADVICE}")
    types.sort()
    if len(types) > 1:
        numbers = ", ".join(f"{_hex(color)} for {number}" for number, color in enumerate(types, start=1))
        notes.append(f"The masks have {len(types)} colours, taken for types by number: {numbers}; colors.json names them")
    settled = [_settled(each, types, background) if each in unsettled else each for each in images]
    return settled, notes


def _has_white_type(image: LabeledImage) -> bool:
    types = [color.upper() for name, color in image.colors.items() if not is_background(name)]
    return image.is_anomalous and image.read_mask is not None and BACKGROUND_COLOR in types


def _settled(image: LabeledImage, types: list[_Color], background: _Color | None) -> LabeledImage:
    if len(types) == 1:
        colors = {image.mask_type: _hex(types[0])}
    else:
        colors = {f"{image.mask_type}{number}": _hex(color) for number, color in enumerate(types, start=1)}
    return _repainted(image, {**colors, BACKGROUND: _hex(background)} if background else colors)


def _repainted(image: LabeledImage, colors: Mapping[str, str]) -> LabeledImage:
    """On white, in colours that can be told from it and from each other, as answers show them."""
    assert image.read_mask
    names = [name for name in colors if not is_background(name)]
    shown = dict(zip(names, _SHOWN, strict=False))

    def read(read_mask: Callable[[], bytes] = image.read_mask) -> bytes:
        return mask_png(read_labels(read_mask(), colors, name=image.name), list(shown.values()))

    return replace(image, read_mask=read, colors=shown)


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


def _hex(color: _Color) -> str:
    return f"#{bytes(color).hex().upper()}"


def _distance(one: _Color, other: _Color) -> int:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))
