"""What of an image is looked at: never squashed, cut in one go, and brought back to where it was."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from relook.detection.image import decode, decode_reduced
from relook.detection.pose import Pose, Template, prepared
from relook.detection.regions import Regions
from relook.detection.view import Cut, View, thumbnail
from relook.errors import ImageRejectedError, PackageError
from tests.unit.learning.pictures import encode
from tests.unit.learning.turned import HEIGHT, lying

FRAME = (HEIGHT, HEIGHT)
WHOLE = View(FRAME, (0, 0, HEIGHT, HEIGHT), (128, 128))
POSES = (Pose(), Pose(7, 0.02, -0.03, 1.05), Pose(90))


def any_way_round() -> View:
    image = decode_reduced(encode(lying(0)), lambda height, width: 1.0)
    return View(FRAME, (24, 36, 144, 120), (160, 192), Template.of(prepared(*thumbnail(image, FRAME)), 0.12))


def disc(width: int, height: int, x: float, y: float, radius: float) -> bytes:
    image = Image.new("L", (width * 4, height * 4), 40)
    box = tuple(4 * value for value in (x - radius, y - radius, x + radius, y + radius))
    ImageDraw.Draw(image).ellipse(box, fill=230)
    return encode(image.resize((width, height), Image.Resampling.BOX))


def middle_and_reach(cut: Cut) -> tuple[float, float, float, float]:
    """Centre x, y and standard deviations of what is bright in the image itself, mirrored pieces aside."""
    y, x = np.mgrid[0 : cut.pixels.shape[0], 0 : cut.pixels.shape[1]] + 0.5
    image_x, image_y = np.tensordot(cut.matrix, np.stack([x, y, np.ones_like(x)]), 1)
    inside = (image_x > 0) & (image_x < cut.size[1]) & (image_y > 0) & (image_y < cut.size[0])
    bright = inside & (cut.pixels[..., 0] > 135)
    return x[bright].mean(), y[bright].mean(), x[bright].std(), y[bright].std()


@pytest.mark.parametrize("size", [(200, 300), (100, 150), (120, 300), (700, 500)])
@pytest.mark.parametrize("rectangle", [(0, 0, 300, 200), (60, 40, 150, 100), (-15, -10, 330, 220)])
@pytest.mark.parametrize("jitter", POSES)
def test_a_circle_stays_a_circle_and_lies_where_the_cut_says(
    size: tuple[int, int], rectangle: tuple[float, float, float, float], jitter: Pose
) -> None:
    view = View((200, 300), rectangle, (128, 192))
    height, width = size
    radius = 0.15 * min(size)

    cut = view.cut(disc(width, height, width * 0.52, height * 0.47, radius), jitter)

    x, y, reach_x, reach_y = middle_and_reach(cut)
    assert reach_x == pytest.approx(reach_y, rel=0.03)
    assert cut.matrix @ (x, y, 1) == pytest.approx((width * 0.52, height * 0.47), abs=0.01 * max(size))
    assert 2 * reach_x * np.hypot(*cut.matrix[:, 0]) == pytest.approx(radius, rel=0.06)
    assert cut.size == size and cut.likeness == 1.0


def test_beyond_an_image_of_other_proportions_it_is_mirrored() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 128, 3), np.uint8)
    cut = View((128, 128), (0, 0, 128, 128), (128, 128)).cut(encode(Image.fromarray(pixels)))
    np.testing.assert_array_equal(cut.pixels, np.pad(pixels, ((32, 32), (0, 0), (0, 0)), mode="symmetric"))


def test_without_a_change_of_size_nothing_is_resampled() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)
    cut = View((200, 300), (40, 30, 192, 128), (128, 192)).cut(encode(Image.fromarray(pixels)))
    np.testing.assert_array_equal(cut.pixels, pixels[30:158, 40:232])


@pytest.mark.parametrize("jitter", POSES)
@pytest.mark.parametrize("scale", [2.1, 4.6, 9.0])
def test_a_jpeg_decoded_smaller_is_the_same_picture(scale: float, jitter: Pose) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (320, 600, 3), np.uint8)
    image = Image.fromarray(noise).filter(ImageFilter.GaussianBlur(5))
    image = Image.eval(image, lambda value: min(max(4 * (value - 96), 0), 255))
    view = View((320, 600), (20, 20, round(64 * scale), round(32 * scale)), (32, 64))
    jpeg = encode(image, "JPEG", quality=97, subsampling=0)
    as_decoded = encode(Image.fromarray(decode(jpeg)))

    drafted, full = view.cut(jpeg, jitter).pixels, view.cut(as_decoded, jitter).pixels

    assert np.abs(drafted.astype(int) - full).mean() < 1.5


@pytest.mark.parametrize("image_format", ["PNG", "JPEG"])
@pytest.mark.parametrize("value", range(1, 9))
def test_orientation_is_applied_at_every_size(image_format: str, value: int) -> None:
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    smooth = np.random.default_rng(0).integers(0, 255, (5, 7, 3), np.uint8)
    image = Image.fromarray(smooth).resize((707, 501), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = value
    stored = image.transpose(Image.Transpose(undo[value])) if value in undo else image
    view = View((501, 707), (100, 50, 384, 288), (96, 128))

    cut = view.cut(encode(stored, image_format, exif=exif))

    upright = view.cut(encode(image))
    assert cut.size == (501, 707)
    assert np.abs(cut.pixels.astype(int) - upright.pixels).max() < 8
    np.testing.assert_array_equal(cut.matrix, upright.matrix)


def test_grey_of_16_bits_keeps_its_high_byte_and_transparency_is_white() -> None:
    grey = Image.fromarray(np.full((HEIGHT, HEIGHT), 0x9A12, np.uint16))
    assert (WHOLE.cut(encode(grey)).pixels == 0x9A).all()
    clear = Image.new("RGBA", (4 * HEIGHT, 4 * HEIGHT), (0, 0, 0, 0))
    assert (WHOLE.cut(encode(clear)).pixels == 255).all()


def test_what_cannot_be_read_is_rejected() -> None:
    with pytest.raises(ImageRejectedError):
        WHOLE.cut(encode(lying(0), "JPEG")[:900])


@pytest.mark.parametrize("turn", [0.0, 33.0, -120.0, 180.0])
def test_a_turned_part_is_cut_as_if_it_were_not(turn: float) -> None:
    view = any_way_round()
    straight = view.cut(encode(lying(1)))

    cut = view.cut(encode(lying(1, turn_deg=turn, right_px=9, down_px=-7)))

    difference = np.abs(cut.pixels.astype(int) - straight.pixels)
    assert np.quantile(difference, 0.95) < 25
    assert cut.likeness > 0.9


def test_a_part_that_is_missing_is_unlike() -> None:
    empty = np.random.default_rng(1).normal(72, 2, (HEIGHT, HEIGHT, 3)).astype(np.uint8)
    assert any_way_round().cut(encode(Image.fromarray(empty))).likeness < 0.5


@pytest.mark.parametrize("turn", [0.0, 50.0, -100.0])
@pytest.mark.parametrize(("height", "width"), [(48, 48), (192, 192), (1000, 1000)])
def test_what_is_hot_on_the_canvas_is_hot_where_the_defect_is(turn: float, height: int, width: int) -> None:
    image = lying(2, turn_deg=turn, right_px=8, down_px=5)
    cosine, sine = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    x, y = 40.0, -12.0  # in the part, from the picture's middle
    at = (96 + 8 + cosine * x - sine * y, 96 + 5 + sine * x + cosine * y)
    ImageDraw.Draw(image).ellipse((at[0] - 3, at[1] - 3, at[0] + 3, at[1] + 3), fill=(255, 0, 0))
    cut = any_way_round().cut(encode(image))
    red = (cut.pixels[..., 0].astype(np.float32) - cut.pixels[..., 1]) / 255
    cells = red.reshape(40, 4, 48, 4).mean(axis=(1, 3))

    on_image = cut.on_image(cells, height, width, -1.0)

    assert on_image.shape == (height, width) and on_image.dtype == np.float32
    hot_y, hot_x = np.unravel_index(on_image.argmax(), on_image.shape)
    assert (hot_x + 0.5) / width * HEIGHT == pytest.approx(at[0], abs=4)
    assert (hot_y + 0.5) / height * HEIGHT == pytest.approx(at[1], abs=4)
    assert on_image[0, 0] == on_image[-1, -1] == -1.0


def test_the_whole_image_is_stretched_as_pillow_does() -> None:
    values = np.random.default_rng(0).random((16, 12), np.float32)
    cut = Cut(np.zeros((128, 96, 3), np.uint8), np.array([[5.0, 0, 0], [0, 5, 0]]), 1.0, (640, 480))
    expected = np.asarray(Image.fromarray(values).resize((240, 320), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(cut.on_image(values, 320, 240, 0.0), expected, atol=1e-6)
    np.testing.assert_array_equal(cut.on_image(values, 16, 12, 0.0), values)


@pytest.mark.parametrize("jitter", [Pose(), Pose(20), Pose(20, scale=0.3)])
def test_values_come_back_where_the_matrix_says(jitter: Pose) -> None:
    """Against sampling one by one."""
    view = View((200, 300), (60.5, 40.25, 150, 100), (64, 96))
    cut = view.cut(encode(Image.new("L", (300, 200))), jitter)
    values = np.random.default_rng(0).random((8, 12), np.float32)

    on_image = cut.on_image(values, 400, 600, -1.0)

    back = np.linalg.inv(np.vstack([cut.matrix, (0, 0, 1)]))
    misses = 0
    for row, column in np.random.default_rng(1).integers(0, (400, 600), (500, 2)):
        x, y, _ = back @ ((column + 0.5) / 2, (row + 0.5) / 2, 1) / 8
        if min(x, y, 12 - x, 8 - y) < -0.3:
            assert on_image[row, column] == -1.0
        elif min(x, y, 12 - x, 8 - y) > 0.3:
            x, y = np.clip(x - 0.5, 0, 11), np.clip(y - 0.5, 0, 7)
            left, top = min(int(x), 10), min(int(y), 6)
            square = values[top : top + 2, left : left + 2]
            expected = (1 - (y - top), y - top) @ square @ (1 - (x - left), x - left)
            misses += abs(on_image[row, column] - expected) > 0.08
    assert misses <= 5


def left(share: float) -> Regions:
    """So much of the picture's left side."""
    painted = np.arange(192)[None].repeat(192, axis=0) < 192 * share
    return Regions.from_mask(encode(Image.fromarray(painted)))


@pytest.mark.parametrize("turn", [0.0, 33.0, -120.0])
def test_regions_lie_in_the_image_however_the_part_lies(turn: float) -> None:
    regions = left(0.3)
    view = replace(any_way_round(), regions=regions)
    picture = lying(1, turn_deg=turn, right_px=9)

    cut = view.cut(encode(picture))

    kept = cut.kept(40, 48)
    x, y = np.meshgrid((np.arange(48) + 0.5) * 4, (np.arange(40) + 0.5) * 4)
    at = np.tensordot(cut.matrix, np.stack([x, y, np.ones_like(x)]), 1)[0]
    inside = (at > 3) & (np.abs(at - 0.3 * HEIGHT) > 3)
    np.testing.assert_array_equal(kept[inside], (at > 0.3 * HEIGHT)[inside])
    on_image = cut.on_image(np.ones((40, 48), np.float32), 192, 192, -1.0)
    assert (on_image[:, : int(0.3 * 192)] == -1).all()
    whole = replace(cut, regions=None).on_image(np.ones((40, 48), np.float32), 192, 192, -1.0)
    np.testing.assert_array_equal(on_image[:, 58:], whole[:, 58:])


@pytest.mark.parametrize(
    "view", [WHOLE, View.stretched(128, 160), any_way_round()], ids=["fixed", "stretched", "turned"]
)
def test_nothing_of_a_region_is_seen_nor_does_it_help_to_find_the_part(view: View) -> None:
    view = replace(view, regions=left(0.3))
    picture = np.array(lying(3, turn_deg=50))
    other = picture.copy()
    other[:, : int(0.3 * HEIGHT)] = np.random.default_rng(0).integers(0, 256, (HEIGHT, int(0.3 * HEIGHT), 3))

    cut, again = (view.cut(encode(Image.fromarray(each))) for each in (picture, other))

    np.testing.assert_array_equal(cut.pixels, again.pixels)
    np.testing.assert_array_equal(cut.matrix, again.matrix)
    assert cut.likeness == again.likeness
    assert not np.array_equal(cut.pixels, replace(view, regions=None).cut(encode(Image.fromarray(picture))).pixels)


def test_without_regions_every_cell_is_kept() -> None:
    assert (WHOLE.cut(encode(lying(0))).kept(4, 6) == np.ones((4, 6))).all()


def test_what_is_ignored_is_not_known_of_a_thumbnail() -> None:
    image = decode_reduced(encode(lying(0)), lambda height, width: 1.0)
    grey, known = thumbnail(image, FRAME, left(0.25))
    assert not known[:, :24].any() and known[:, 24:].all()
    np.testing.assert_array_equal(grey, thumbnail(image, FRAME)[0])


def test_a_view_survives_its_page() -> None:
    for view in (WHOLE, any_way_round(), replace(any_way_round(), regions=left(0.3))):
        assert View.from_json(json.loads(json.dumps(view.to_json()))) == view


@pytest.mark.parametrize(
    "change",
    [
        {"frame": [0, 10]},
        {"frame": None},
        {"frame": [10]},
        {"rectangle": [0, 0, float("nan"), 5]},
        {"rectangle": [0, 0, -4, 5]},
        {"rectangle": [0, 0, 1e9, 5]},
        {"canvas": ["a", 64]},
        {"canvas": [64, 64, 64]},
        {"template": {"png": "AAAA", "shift": 0.1}},
        {"template": {"png": "?", "shift": 0.1}},
        {"template": {"shift": 0.1}},
        {"template": 3},
        {"regions": "?"},
        {"regions": "AAAA"},
        {"regions": 3},
        {"regions": base64.b64encode(encode(Image.new("1", (8, 8)))).decode()},
        {"regions": base64.b64encode(encode(Image.new("1", (8, 8), 1))).decode()},
    ],
)
def test_a_garbled_page_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(PackageError):
        View.from_json({**any_way_round().to_json(), **change})


@pytest.mark.parametrize("change", [{"shift": -0.1}, {"shift": float("nan")}])
def test_a_garbled_template_is_refused(change: dict[str, float]) -> None:
    fields = any_way_round().to_json()
    with pytest.raises(PackageError):
        View.from_json({**fields, "template": {**fields["template"], **change}})


def test_a_view_without_a_template_looks_at_the_same_place_always() -> None:
    view = replace(any_way_round(), template=None)
    np.testing.assert_array_equal(view.cut(encode(lying(0))).matrix, view.cut(encode(lying(1, turn_deg=90))).matrix)
