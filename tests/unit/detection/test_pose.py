"""A part is found however it lies and however it is lit, and nowhere where it may not lie."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from relook.detection.arrays import FloatArray
from relook.detection.image import decode_reduced
from relook.detection.pose import SIDE, Pose, Template, grid, prepared, sample
from relook.detection.view import thumbnail
from tests.unit.learning.pictures import encode
from tests.unit.learning.turned import HEIGHT, lying

ALTERED = {
    "as it is": lambda pixels: pixels,
    "darker": lambda pixels: pixels * 0.75,
    "brighter": lambda pixels: pixels * 1.25,
    "noisy": lambda pixels: pixels + np.random.default_rng(5).normal(0, 10, pixels.shape),
}


def seen(image: Image.Image) -> FloatArray:
    reduced = decode_reduced(encode(image), lambda height, width: 1.0)
    return prepared(*thumbnail(reduced, (image.height, image.width)))


@pytest.mark.parametrize("alteration", ALTERED)
@pytest.mark.parametrize("aspect", [1.0, 1.5])
def test_a_part_is_found_to_half_a_degree_and_a_third_of_a_percent(aspect: float, alteration: str) -> None:
    template = Template.of(seen(lying(0, aspect=aspect)), 0.1)
    side = HEIGHT * max(aspect, 1.0)
    for turn, right, down in ((0, 0, 0), (162, 9, -14), (-72, -13, 6), (110, 2, 12), (9, -4, 3)):
        image = lying(3, turn_deg=turn, right_px=right, down_px=down, aspect=aspect)
        altered = ALTERED[alteration](np.asarray(image, np.float32)).clip(0, 255).astype(np.uint8)

        pose, likeness = template.find(seen(Image.fromarray(altered)))

        assert abs((pose.angle_deg - turn + 180) % 360 - 180) < 0.5
        assert max(abs(pose.x * side - right), abs(pose.y * side - down)) < 0.003 * side
        assert likeness > 0.9


def test_a_missing_part_is_unlike() -> None:
    template = Template.of(seen(lying(0)), 0.1)
    nothing = np.random.default_rng(1).normal(72, 2, (HEIGHT, HEIGHT, 3)).astype(np.uint8)
    assert template.find(seen(Image.fromarray(nothing)))[1] < 0.5


def test_a_part_that_lies_too_far_off_is_not_followed() -> None:
    template = Template.of(seen(lying(0)), 0.05)
    pose, likeness = template.find(seen(lying(1, right_px=30)))
    assert abs(pose.x) < 0.05 + 1.5 / SIDE
    assert likeness < 0.8


def test_a_template_is_the_same_from_its_bytes() -> None:
    template = Template.of(seen(lying(0)), 0.1)
    assert Template(template.png, 0.1).find(seen(lying(1))) == template.find(seen(lying(1)))


def test_poses_follow_each_other() -> None:
    first, second = Pose(30, 0.1, -0.05, 1.1), Pose(-70, -0.02, 0.2, 0.9)
    together = second.matrix((0, 0), 1) @ first.matrix((0, 0), 1)
    np.testing.assert_allclose(second.after(first).matrix((0, 0), 1), together)


def test_a_pose_turns_clockwise_about_its_centre_and_moves_by_shares_of_the_side() -> None:
    right_of_it = Pose(90, 0.1, 0.0).matrix((50, 40), 200) @ (60, 40, 1)
    np.testing.assert_allclose(right_of_it, (70, 50, 1))


def test_sampling_is_bilinear_and_knows_where_the_picture_ends() -> None:
    picture = np.arange(16, dtype=np.float32).reshape(4, 4)
    sampled = sample(picture, grid(4)).reshape(4, 4)
    np.testing.assert_allclose(sampled[:-1, :-1], picture[:-1, :-1])
    np.testing.assert_allclose(sample(picture, np.array([[0.0], [0.0]], np.float32)), [7.5])
    assert np.isnan(sample(picture, np.array([[3.0, 0.0], [0.0, -9.0]], np.float32))).all()
