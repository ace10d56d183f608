"""Regions painted on a page: kept with who and when, used from the next training on."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from relook.detection.image import decode_mask
from relook.registry.history import list_history
from relook.registry.inspections import RecordId
from relook.registry.projects import describe_project
from relook.registry.regions import read_regions
from tests.console.conftest import ORIGIN, Seen
from tests.unit.parts import png

HERE = "/projects/bracket/regions"


def painted(where: tuple[slice, slice], color: tuple[int, int, int] = (0xD9, 0x46, 0xA6)) -> bytes:
    """As the page sends it: in a colour on black."""
    pixels = np.zeros((72, 96, 3), np.uint8)
    pixels[where] = color
    return png(Image.fromarray(pixels))


EDGE = (slice(0, 12), slice(0, 96))
WHOLE = (slice(0, 72), slice(0, 96))


def test_what_is_painted_is_ignored_and_told_with_who_and_when(seen: Seen) -> None:
    record = seen.record("a.png", 1)
    seen.record("b.png", 2, status="REJECTED", reason="CORRUPT", message="It is damaged.")
    page = seen.browser.get(HERE).text
    assert f'src="/pictures/{RecordId.of(record)}/image"' in page
    assert "data-stored" not in page and 'name="clear"' not in page
    answer = seen.change(HERE, files={"mask": ("mask.png", painted(EDGE), "image/png")})
    assert (answer.status_code, answer.headers["location"]) == (303, HERE)
    kept = describe_project(seen.stack.registry, "bracket").regions
    assert kept is not None
    ignored = read_regions(seen.stack.datasets, kept.key).ignored
    assert ignored[EDGE].all() and ignored.sum() == 12 * 96
    page = seen.browser.get(HERE).text
    assert (
        "16.67% of the image" in page.partition("</noscript>")[2].partition('<p class="note">')[2].partition("</p>")[0]
    )
    assert kept.who.rpartition("/")[2] in page
    assert "next training" in page
    shown = decode_mask(seen.browser.get(f"{HERE}/mask").content)[..., :3]
    assert (shown[EDGE] == 255).all() and (shown[12:] == 0).all()
    (change,) = list_history(seen.stack.registry, "bracket")
    assert change.what == "Regions Changed"


def test_regions_are_cleared(seen: Seen) -> None:
    seen.record("a.png", 1)
    seen.change(HERE, files={"mask": ("mask.png", painted(EDGE), "image/png")})
    assert 'name="clear"' in seen.browser.get(HERE).text
    assert seen.change(HERE, data={"clear": "yes"}).headers["location"] == HERE
    assert describe_project(seen.stack.registry, "bracket").regions is None
    assert len(list(list_history(seen.stack.registry, "bracket"))) == 2
    assert seen.browser.get(f"{HERE}/mask").status_code == 400


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (None, "Nothing new is painted"),
        (painted(EDGE, (0, 0, 0)), "paints nothing"),
        (painted(WHOLE), "paints the whole image"),
        (b"<svg/>", "cannot be used"),
    ],
)
def test_what_are_no_regions_gets_a_sentence(seen: Seen, mask: bytes | None, words: str) -> None:
    answer = seen.change(HERE, files={"mask": ("mask.png", mask, "image/png")} if mask else None, data={"x": "y"})
    assert answer.status_code == 400
    assert words in answer.text
    assert describe_project(seen.stack.registry, "bracket").regions is None


def test_no_hostile_page_paints(seen: Seen) -> None:
    files = {"mask": ("mask.png", painted(EDGE), "image/png")}
    for headers in ({"origin": "http://evil.example"}, {"origin": ORIGIN}):
        assert seen.browser.post(HERE, files=files, headers=headers).status_code == 403
    assert describe_project(seen.stack.registry, "bracket").regions is None


def test_without_a_picture_it_says_what_to_do_first(seen: Seen) -> None:
    page = seen.browser.get(HERE).text
    assert "no picture of bracket yet" in page
    assert "paint.js" not in page
    assert seen.browser.get("/projects/nothing/regions").status_code == 404
