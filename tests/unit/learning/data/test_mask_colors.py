"""Masks that came without a colour map, as tools write them: what is painted is told by all of them together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from relook.errors import TrainingDataError
from relook.learning.data.mask_colors import settle_colors
from relook.learning.data.masks import read_labels
from relook.learning.data.samples import LabeledImage
from tests.unit.learning.pictures import encode

HEIGHT, WIDTH = 60, 80
Truth = NDArray[np.uint8]


def truths(count: int = 6, types: int = 1) -> list[Truth]:
    """Where defects of types 1, 2 and so on are: one in each image, squares of 9 to 14 px."""
    painted = []
    for number in range(count):
        truth = np.zeros((HEIGHT, WIDTH), np.uint8)
        side, place = 9 + number, 5 + 6 * number
        truth[place : place + side, place : place + side] = 1 + number % types
        painted.append(truth)
    return painted


def mostly(share: float) -> Truth:
    truth = np.zeros((HEIGHT, WIDTH), np.uint8)
    truth[: round(HEIGHT * share)] = 1
    return truth


def labeled(masks: Sequence[bytes], colors: dict[str, str] | None = None) -> list[LabeledImage]:
    def reader(data: bytes) -> Callable[[], bytes]:
        return lambda: data

    return [
        LabeledImage(f"bad{number}.png", reader(b""), True, reader(mask), colors or {})
        for number, mask in enumerate(masks)
    ]


def table(*colors: tuple[int, ...]) -> Callable[[Truth], bytes]:
    """How a tool paints: background, then types."""
    return lambda truth: encode(Image.fromarray(np.array(colors, np.uint8)[truth]))


def palette(*colors: tuple[int, int, int]) -> Callable[[Truth], bytes]:
    def paint(truth: Truth) -> bytes:
        image = Image.fromarray(truth)
        image.putpalette([level for color in colors for level in color])
        return encode(image)

    return paint


def deep(*levels: int) -> Callable[[Truth], bytes]:
    return lambda truth: encode(Image.fromarray(np.array(levels, np.uint16)[truth]))


def compressed(back: int, front: int) -> Callable[[Truth], bytes]:
    """Through a JPEG, and kept as a PNG."""

    def paint(truth: Truth) -> bytes:
        stream = BytesIO()
        Image.fromarray(np.array([back, front], np.uint8)[truth]).save(stream, "JPEG", quality=75)
        return encode(Image.open(stream))

    return paint


def smooth(back: int, front: int) -> Callable[[Truth], bytes]:
    """With outlines that are blurred over a pixel or two."""

    def paint(truth: Truth) -> bytes:
        image = Image.fromarray(np.array([back, front], np.uint8)[truth])
        return encode(image.resize((4 * WIDTH, 4 * HEIGHT), Image.Resampling.BICUBIC).reduce(4))

    return paint


def check(painted: list[bytes], expected: list[Truth]) -> list[str]:
    """Settled, each mask reads as was meant; the notes."""
    settled, notes = settle_colors(labeled(painted))
    for image, truth in zip(settled, expected, strict=True):
        assert image.read_mask
        labels = read_labels(image.read_mask(), image.colors, name=image.name)
        np.testing.assert_array_equal(labels, truth)
    return notes


WAYS = {
    "black on white": table((255,) * 3, (0,) * 3),
    "white on black": table((0,) * 3, (255,) * 3),
    "grey, white on black": table((0, 0, 0, 255), (255, 255, 255, 255)),
    "bilevel": lambda truth: encode(Image.fromarray(truth * 255).convert("1")),
    "0 and 1": lambda truth: encode(Image.fromarray(truth)),
    "0 and 1 in 16 bits": deep(0, 1),
    "0 and 65535": deep(0, 65535),
    "65535 and 0": deep(65535, 0),
    "palette, red on black": palette((0, 0, 0), (128, 0, 0)),
    "red on black": table((0, 0, 0), (255, 0, 0)),
    "red on white": table((255, 255, 255), (255, 0, 0)),
    "grey on black": table((0, 0, 0), (128, 128, 128)),
    "white on nothing": table((0, 0, 0, 0), (255, 255, 255, 255)),
    "black on nothing": table((255, 255, 255, 0), (0, 0, 0, 255)),
    "red on nothing": table((255, 0, 0, 0), (255, 0, 0, 200)),
    "compressed, white on black": compressed(0, 255),
    "compressed, black on white": compressed(255, 0),
    "smooth, white on black": smooth(0, 255),
    "smooth, black on white": smooth(255, 0),
}


@pytest.mark.parametrize("paint", WAYS.values(), ids=WAYS.keys())
def test_what_is_painted_is_read_however_it_is_painted(paint: Callable[[Truth], bytes]) -> None:
    notes = check([paint(truth) for truth in truths()], truths())
    assert all("mostly black" in note or "transparent" in note for note in notes)


def test_what_was_decided_is_said() -> None:
    (note,) = check([WAYS["white on black"](truth) for truth in truths()], truths())
    assert note == "The masks are mostly black (97%): what is not black was taken for the anomaly"
    assert check([WAYS["black on white"](truth) for truth in truths()], truths()) == []


@pytest.mark.parametrize("way", ["white on black", "black on white", "0 and 1", "compressed, white on black"])
@pytest.mark.parametrize("share", [0.6, 0.85])
def test_one_mask_may_cover_most_of_its_image(way: str, share: float) -> None:
    expected = [*truths(), mostly(share)]
    notes = check([WAYS[way](truth) for truth in expected], expected)
    assert not any("wrong way round" in note for note in notes)


def test_one_that_covers_all_of_it_is_read_and_named() -> None:
    expected = [*truths(), mostly(1)]
    notes = check([WAYS["white on black"](truth) for truth in expected], expected)
    assert "The mask of bad6.png paints almost all of it; is it the wrong way round?" in notes


@pytest.mark.parametrize(
    "paint",
    [
        lambda truth: encode(Image.fromarray(truth)),
        palette((0, 0, 0), (128, 0, 0), (0, 128, 0)),
        table((255, 255, 255), (200, 0, 0), (0, 0, 200)),
        table((0, 0, 0, 0), (200, 0, 0, 255), (255, 255, 255, 255)),
    ],
    ids=["0, 1 and 2", "palette", "on white", "on nothing"],
)
def test_colours_are_types_by_number(paint: Callable[[Truth], bytes]) -> None:
    painted = [paint(truth) for truth in truths(types=2)]
    settled, notes = settle_colors(labeled(painted))
    assert set(settled[0].colors) == {"anomaly1", "anomaly2"}
    assert "#FFFFFF" not in settled[0].colors.values()
    assert any("2 colours" in note and "colors.json" in note for note in notes)
    seen = [read_labels(each.read_mask(), each.colors, name="") for each in settled if each.read_mask]
    for labels, truth in zip(seen, truths(types=2), strict=True):
        np.testing.assert_array_equal(labels > 0, truth > 0)
        assert len(np.unique(labels)) == 2
    assert seen[0].max() != seen[1].max()


@pytest.mark.parametrize("way", ["white on black", "black on white", "0 and 1", "red on black", "red on nothing"])
def test_lines_that_fill_no_area_are_read(way: str) -> None:
    lines = [np.zeros((HEIGHT, WIDTH), np.uint8) for _ in range(4)]
    for number, line in enumerate(lines):
        line[10 + number, 5:70] = 1
    check([WAYS[way](line) for line in lines], lines)


def test_masks_of_one_colour_paint_nothing() -> None:
    for value in (0, 255):
        blank = encode(Image.new("L", (WIDTH, HEIGHT), value))
        notes = check([blank] * 3, [np.zeros((HEIGHT, WIDTH), np.uint8)] * 3)
        assert any("nothing is painted" in note for note in notes)


def refusal(masks: list[bytes]) -> str:
    with pytest.raises(TrainingDataError) as caught:
        settle_colors(labeled(masks))
    assert "colors.json" in str(caught.value)
    return str(caught.value)


def test_what_stays_ambiguous_is_refused_with_the_way_out() -> None:
    ways = [WAYS["white on black"], WAYS["black on white"]]
    mixed = [ways[number % 2](truth) for number, truth in enumerate(truths())]
    assert "6 masks" in refusal(mixed)
    assert "2 would be painted" in refusal([ways[number < 2](truth) for number, truth in enumerate(truths())])
    refusal([ways[0](mostly(0.5))] * 4)
    assert "3 of 6 masks are transparent" in refusal(
        [WAYS["white on nothing" if number % 2 else "white on black"](truth) for number, truth in enumerate(truths())]
    )
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    refusal([encode(Image.fromarray(noise).resize((4 * WIDTH, 4 * HEIGHT), Image.Resampling.NEAREST))])


def test_a_colour_map_decides_where_there_is_one() -> None:
    painted = [WAYS["white on black"](truth) for truth in truths()]
    settled, notes = settle_colors(labeled(painted, {"hole": "#000000"}))
    assert notes == []
    assert [each.colors for each in settled] == [{"hole": "#000000"}] * 6
    assert settled[0].read_mask and settled[0].read_mask() == painted[0]


def test_a_type_that_is_white_is_shown_in_another_colour() -> None:
    painted = [WAYS["white on black"](truth) for truth in truths()]
    settled, _ = settle_colors(labeled(painted, {"chip": "#ffffff", "background": "#000000"}))
    for image, truth in zip(settled, truths(), strict=True):
        assert image.colors == {"chip": "#000000"}
        assert image.read_mask
        pixels = np.asarray(Image.open(BytesIO(image.read_mask())))
        np.testing.assert_array_equal((pixels == 0).all(axis=2), truth == 1)


def test_the_types_of_folders_are_kept_each_in_a_colour_of_its_own() -> None:
    painted = [WAYS["white on black"](truth) for truth in truths()]
    images = [replace(each, mask_type=f"type{number}") for number, each in enumerate(labeled(painted))]
    given = replace(labeled(painted[:1], {"chip": "#000000"})[0], name="other.png")
    settled, _ = settle_colors([*images, given])
    assert [list(each.colors) for each in settled] == [*([f"type{number}"] for number in range(6)), ["chip"]]
    assert len({color for each in settled for color in each.colors.values()}) == 7
    for image, truth in zip(settled, truths(), strict=False):
        assert image.read_mask
        np.testing.assert_array_equal(read_labels(image.read_mask(), image.colors, name=""), truth)
