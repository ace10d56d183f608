"""Pictures of a verdict: the image with what was found painted on it, and a sheet that explains it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from cli.output import print_note
from relook.detection.image import decode, read_reach
from relook.detection.levels import Levels, fit_levels
from relook.detection.regions import Regions
from relook.detection.result import BACKGROUND, DetectAnomalyResult
from relook.detection.view import Cut
from relook.quality.rates import percent

MAX_SIDE_PX = 1024  # of a picture for a screen
_MAX_NAME_BYTES = 230  # of the 255 that file systems allow, less the kind and the suffix


def as_seen(image: bytes, levels: Levels | None) -> Image.Image:
    """The picture as the model sees it; one of 16 bits by its own levels, where the model's are not known.

    Raises:
        ImageRejectedError: it is no image.
    """
    reach = None if levels else read_reach(image)
    return Image.fromarray(decode(image, fit_levels([reach]) if reach else levels))


def overlay(
    image: bytes,
    mask_png: bytes | None,
    heat_map_png: bytes | None,
    levels: Levels | None = None,
    regions: Regions | None = None,
) -> Image.Image:
    """The image with its mask painted on, and beside it the heat map blended over; whichever there are.

    Args:
        image: an encoded image that was inspected.
        levels: of the model that looked at it, if it is at hand.
        regions: that the model ignored, which are hatched.
    """
    picture = as_seen(image, levels)
    picture.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
    panels = [with_mask(picture, mask_png) if mask_png else picture]
    if heat_map_png:
        panels.append(_with_heat(picture, heat_map_png))
    panels = [_with_regions(panel, regions) for panel in panels]
    sheet = Image.new("RGB", (sum(panel.width for panel in panels), picture.height))
    left = 0
    for panel in panels:
        sheet.paste(panel, (left, 0))
        left += panel.width
    return sheet


def save_picture(folder: Path, name: str, kind: str, draw: Callable[[], Image.Image]) -> Path | None:
    """Draw a picture and write it below a folder; where it is, or None, which a note explains: a verdict is worth
    having without its picture.

    Args:
        name: of the image; folders of it are kept, and a file's name that leaves no room for the kind is cut.
        kind: what the picture is, part of its file's name.
    """
    *folders, last = name.split("/")
    if len(last.encode(errors="surrogateescape")) > _MAX_NAME_BYTES:
        digest = hashlib.sha256(last.encode(errors="surrogateescape")).hexdigest()[:12]
        last = f"{last.encode(errors='ignore')[: _MAX_NAME_BYTES - 20].decode(errors='ignore')}~{digest}"
    target = folder.joinpath(*folders, f"{last}.{kind}.jpg")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draw().save(target, quality=90)
    except OSError as error:
        print_note(f"The {kind} of {name} could not be written: {error}")
        return None
    return target


@dataclass(frozen=True)
class _Panel:
    """A picture with what it shows, and lines under that: a colour, if any, and a text."""

    picture: Image.Image
    title: str
    lines: list[tuple[str | None, str]]
    scale: Image.Image | None = None


def explanation(
    image: bytes,
    result: DetectAnomalyResult,
    name: str,
    threshold: float,
    nearest: bytes | None,
    cut: Cut | None = None,
    levels: Levels | None = None,
) -> Image.Image:
    """A sheet: the verdict, and below it the image, its heat map, its types and the nearest normal image side by side.

    Args:
        image: an encoded image that was inspected.
        threshold: the anomaly probability from which an image is anomalous.
        nearest: the nearest normal image, encoded; None where it is not at hand.
        cut: what of the image was looked at; the rest is shown paler.
        levels: the model's.
    """
    whole = as_seen(image, levels)
    picture = ImageOps.contain(whole, (_PANEL_PX, _PANEL_PX))
    lines: list[tuple[str | None, str]] = [(None, f"{whole.width} x {whole.height} pixels")]
    shown = picture
    if cut and not (is_seen := _seen(cut, picture)).all():
        shown = Image.composite(picture, Image.blend(picture, _paper(picture), 0.6), Image.fromarray(is_seen))
        lines.append((None, "what is pale is not looked at"))
    regions = cut.regions if cut else None
    shown = _with_regions(shown, regions)
    panels = [_Panel(shown, "image", lines)]
    known = result.nearest_normal
    if known and not nearest:
        panels[0].lines.append((None, f"most similar: {known.name}"))
    if result.heat_map_png:
        heat = _with_heat(picture, result.heat_map_png)
        heat = _with_regions(heat, regions)
        panels.append(_Panel(heat, "how odd each place is", [], _heat_scale(result.heat_map_png)))
    if result.mask_png:
        anomalies = [each for each in result.anomalies or () if each.name != BACKGROUND]
        lines = [(each.color, f"{each.name}  {percent(each.area_share)}") for each in anomalies]
        painted = _with_regions(with_mask(picture, result.mask_png), regions)
        panels.append(_Panel(painted, "types", lines or [(None, "none found")]))
    if known and nearest:
        fitted = ImageOps.pad(as_seen(nearest, levels), picture.size, color=_FAINT)
        lines = [(None, known.name), (None, f"distance {known.distance:.2f}")]
        panels.append(_Panel(fitted, "most similar normal image", lines))
    return _sheet(panels, result, name, threshold)


# Three panels fit a screen of 1920 px.
_PANEL_PX, _MIN_PANEL_PX = 480, 300
_MARGIN_PX, _GAP_PX, _LINE_PX, _HEADER_PX = 32, 24, 30, 116
_INK, _SOFT, _FAINT, _PAPER = "#1F2328", "#656D76", "#EAEEF2", "#FFFFFF"
_HATCH_PX, _HATCH_LINE_PX = 12, 2
_GOOD, _BAD = "#1A7F37", "#CF222E"


def _sheet(panels: list[_Panel], result: DetectAnomalyResult, name: str, threshold: float) -> Image.Image:
    height = panels[0].picture.height
    step = max(panels[0].picture.width, _MIN_PANEL_PX) + _GAP_PX
    captions = max(len(panel.lines) + bool(panel.scale) for panel in panels) + 1
    width = 2 * _MARGIN_PX - _GAP_PX + step * len(panels)
    sheet = Image.new("RGB", (width, _HEADER_PX + height + _MARGIN_PX + _LINE_PX * captions + 12), _PAPER)
    draw = ImageDraw.Draw(sheet)
    _header(draw, result, name, threshold, width)
    for number, panel in enumerate(panels):
        left, top = _MARGIN_PX + step * number, _HEADER_PX
        sheet.paste(panel.picture, (left, top))
        top += height + 12
        room = step - _GAP_PX
        draw.text((left, top), panel.title, _INK, _font(20))
        if panel.scale:
            top += _LINE_PX
            _scale(sheet, draw, panel.scale, left, top, room)
        for color, text in panel.lines:
            top += _LINE_PX
            if color:
                draw.rounded_rectangle((left, top + 4, left + 16, top + 20), 4, color)
            indent = 26 if color else 0
            draw.text((left + indent, top), _fitting(text, room - indent, 18), _SOFT, _font(18))
    return sheet


def _header(draw: ImageDraw.ImageDraw, result: DetectAnomalyResult, name: str, threshold: float, width: int) -> None:
    """The verdict and the file's name; under them the probability as a bar, with a tick at the threshold."""
    color = _BAD if result.is_anomalous else _GOOD
    verdict = "anomalous" if result.is_anomalous else "normal"
    text = f"{verdict}, {result.confidence:.1%} sure"
    draw.text((_MARGIN_PX, 22), text, color, _font(30))
    left = _MARGIN_PX + round(_font(30).getlength(text)) + _GAP_PX
    draw.text((left, 32), _fitting(name, width - _MARGIN_PX - left, 20), _SOFT, _font(20))
    left, right, top = _MARGIN_PX, _MARGIN_PX + _BAR_PX, 80
    draw.rounded_rectangle((left, top, right, top + 10), 5, _FAINT)
    end = left + max(10, round(_BAR_PX * result.anomaly_probability))
    draw.rounded_rectangle((left, top, end, top + 10), 5, color)
    tick = left + round(_BAR_PX * threshold)
    draw.rectangle((tick - 1, top - 5, tick + 1, top + 15), _INK)
    text = f"anomaly probability {result.anomaly_probability:.3f}, threshold {threshold:g}"
    draw.text((right + 14, top - 7), text, _SOFT, _font(18))


_BAR_PX = 220  # width of the scale, which the threshold divides


def _scale(sheet: Image.Image, draw: ImageDraw.ImageDraw, colors: Image.Image, left: int, top: int, width: int) -> None:
    """The heat map's colours between the words for their ends."""
    font = _font(18)
    before, after = round(font.getlength("usual")) + 10, round(font.getlength("odd")) + 10
    sheet.paste(colors.resize((width - before - after, 12)), (left + before, top + 7))
    draw.text((left, top), "usual", _SOFT, font)
    draw.text((left + width - after + 10, top), "odd", _SOFT, font)


def _heat_scale(heat_map_png: bytes) -> Image.Image | None:
    """The map's palette as a strip, darkest first."""
    palette = Image.open(BytesIO(heat_map_png)).getpalette("RGB")
    return Image.fromarray(np.array(palette, np.uint8).reshape(1, -1, 3)) if palette else None


def _seen(cut: Cut, picture: Image.Image) -> NDArray[np.bool_]:
    """(height, width) of the picture: what the cut covers."""
    return cut.on_image(np.ones((64, 64), np.float32), picture.height, picture.width, beyond=0.0) > 0.5


def _paper(picture: Image.Image) -> Image.Image:
    return Image.new("RGB", picture.size, _PAPER)


def _fitting(text: str, width: int, size: int) -> str:
    """The text, or as much of its end as there is room for."""
    if _font(size).getlength(text) <= width:
        return text
    while text and _font(size).getlength("…" + text) > width:
        text = text[1:]
    return "…" + text


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # Pillow's wheels have FreeType
    return font


def with_mask(picture: Image.Image, mask_png: bytes) -> Image.Image:
    """What is anomalous, filled in its type's colour and outlined."""
    mask = Image.open(BytesIO(mask_png)).convert("RGB").resize(picture.size, Image.Resampling.NEAREST)
    is_painted = Image.fromarray((np.asarray(mask) != 255).any(axis=2).astype(np.uint8) * 255)
    filled = Image.composite(Image.blend(picture, mask, 0.45), picture, is_painted)
    # A line in the type's full colour around each area, so that a small one is seen too.
    edge = np.asarray(is_painted.filter(ImageFilter.MaxFilter(5))) != np.asarray(is_painted)
    spread = mask.filter(ImageFilter.MinFilter(5))
    return Image.composite(spread, filled, Image.fromarray(edge.astype(np.uint8) * 255))


def regions_layer(regions: Regions, size: tuple[int, int]) -> Image.Image:
    """An RGBA picture of (width, height) px to lay over one: what is ignored becomes paler, is hatched and has a line
    around it; the rest is transparent."""
    width, height = size
    ignored = regions.on(height, width)
    area = Image.fromarray(ignored.astype(np.uint8) * 255)
    edge = np.asarray(area.filter(ImageFilter.MaxFilter(5))) != np.asarray(area)
    diagonal = np.add.outer(np.arange(height), np.arange(width)) % _HATCH_PX
    layer = Image.new("RGBA", size, _PAPER)
    layer.putalpha(area.point(lambda value: value // 2))
    layer.paste(_SOFT, mask=Image.fromarray(edge | (ignored & (diagonal < _HATCH_LINE_PX))))
    return layer


def _with_regions(picture: Image.Image, regions: Regions | None) -> Image.Image:
    if regions is None:
        return picture
    return Image.alpha_composite(picture.convert("RGBA"), regions_layer(regions, picture.size)).convert("RGB")


def _with_heat(picture: Image.Image, heat_map_png: bytes) -> Image.Image:
    heat_map = Image.open(BytesIO(heat_map_png)).convert("RGB").resize(picture.size, Image.Resampling.BICUBIC)
    return Image.blend(ImageOps.grayscale(picture).convert("RGB"), heat_map, 0.6)
