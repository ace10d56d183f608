"""The console in a real browser, on what the deployed stack inspected: walked through as a person would.

Chromium is taken where it is (`apt-get install chromium`); its pictures stay in build/screenshots/ to be looked at.
"""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from cli.console.app import HOST, create_app
from cli.training import train_in_cloud
from local.cloud import ROOT
from relook.aws.bucket import S3Uri
from relook.detection.image import decode_mask
from relook.registry.inspections import RecordId
from relook.registry.manifest_entry import ManifestEntry, entry_line, parse_entry
from relook.registry.projects import create_project, describe_project
from relook.registry.regions import read_regions
from tests.conftest import free_port
from tests.integration.conftest import CLASSIFICATION, SEGMENTATION, Deployed, wait_for
from tests.unit.parts import HEIGHT, WIDTH, labeled_parts, part_png

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SCREENSHOTS = ROOT / "build" / "screenshots"
RETRAINED = "retrained"
LONG = ("comparison", "model", "project", "report", "retrained", "overview")
"""Pages that are looked at to their end."""
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDE, PHONE = ViewportSize(width=1440, height=900), ViewportSize(width=390, height=844)
DEVICES = {"wide": WIDE, "phone": PHONE}

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def origin(deployed: Deployed) -> Iterator[str]:
    """The console, served, with four inspections to look at."""
    for number, (seed, is_scratched) in enumerate([(4001, False), (4002, True), (4003, False), (4004, True)]):
        deployed.upload(f"{SEGMENTATION}/seen/{number}.png", part_png(seed, is_scratched=is_scratched), line="seen")
    for number in range(4):
        deployed.records(f"{SEGMENTATION}/seen/{number}.png")
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(create_app(deployed.stack, "local", port), HOST, port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for(lambda: server.started or None, "console", 10)
    yield f"http://{HOST}:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        # A container's root has no sandbox of its own to start.
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser, origin: str) -> Iterator[Page]:
    """A fresh session; whatever a page complains of in its console fails the test."""
    context = browser.new_context(base_url=origin, viewport=WIDE)
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    context.close()
    assert not complaints


def test_filter_open_and_look_at_the_layers_by_keys_alone(page: Page) -> None:
    page.goto("/")
    expect(page.locator(".card")).not_to_have_count(0)
    page.keyboard.press("/")
    page.get_by_label("Project").select_option(SEGMENTATION)
    page.get_by_label("Verdict").select_option("anomalous")
    page.get_by_label("Line, camera").fill("line=seen")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".card.anomalous")).to_have_count(2)
    expect(page.locator(".card.normal")).to_have_count(0)
    page.wait_for_load_state()  # its script has run: keys do something
    page.locator("h1").click()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("anomalous")
    page.wait_for_load_state()
    mask = page.locator('[data-layer="mask"]')
    expect(mask).to_be_hidden()
    page.keyboard.press("m")
    expect(mask).to_be_visible()
    page.keyboard.press("h")
    expect(page.locator('[data-layer="heat"]')).to_be_visible()
    page.keyboard.press("m")
    expect(mask).to_be_hidden()
    page.get_by_label("Opacity").fill("20")
    assert page.locator('[data-layer="heat"]').evaluate("each => each.style.opacity") == "0.2"
    page.keyboard.press("+")
    assert "scale(1.25)" in page.locator(".layers").evaluate("each => each.style.transform")
    page.keyboard.press("0")
    page.keyboard.press("Escape")
    expect(page.locator(".card.anomalous")).to_have_count(2)


def test_a_verdict_is_reviewed_by_keys(page: Page, deployed: Deployed) -> None:
    page.goto(f"/inspections?project={SEGMENTATION}&line=line%3Dseen&verdict=anomalous")
    page.locator(".card a").first.click()
    page.wait_for_url("**/inspections/*")  # whose script hears keys once it is loaded
    page.wait_for_load_state()
    page.keyboard.press("w")
    page.keyboard.press("0")
    expect(page.locator(".note")).to_contain_text("wrong")
    reviewed = [each for number in range(4) for each in deployed.records(f"{SEGMENTATION}/seen/{number}.png")]
    assert [each["review_label"] for each in reviewed if "review" in each] == ["normal"]


def test_a_picture_that_is_tried_arrives_live_on_an_open_page(page: Page, origin: str, tmp_path: Path) -> None:
    watching = page.context.new_page()
    watching.goto(f"/inspections?project={SEGMENTATION}")
    before = watching.locator(".card").count()
    picture = tmp_path / "tried.png"
    picture.write_bytes(part_png(4100, is_scratched=True))
    page.goto(f"/projects/{SEGMENTATION}/try")
    page.locator('input[type="file"]').set_input_files(picture)
    page.get_by_role("button", name="Inspect").click()
    page.wait_for_url("**/inspections?project=*")
    expect(watching.locator(".card")).to_have_count(before + 1, timeout=20_000)
    expect(watching.locator(".card").first).to_contain_text("tried.png")


def on_picture(page: Page) -> Callable[[float, float], tuple[float, float]]:
    """From pixels of a part's picture, as it lies fitted into its box, to those of the screen."""
    box = page.locator("[data-zoom]").bounding_box()
    assert box is not None
    scale = min(box["width"] / WIDTH, box["height"] / HEIGHT)
    left, top = box["x"] + (box["width"] - WIDTH * scale) / 2, box["y"] + (box["height"] - HEIGHT * scale) / 2
    return lambda x, y: (left + x * scale, top + y * scale)


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=5)
    page.mouse.up()


def test_a_painted_mask_is_in_the_manifest(page: Page, deployed: Deployed) -> None:
    key = f"{CLASSIFICATION}/painted.png"
    deployed.upload(key, part_png(4200, is_scratched=True))
    (record,) = deployed.records(key)
    page.goto(f"/inspections/{RecordId.of(record)}")
    page.keyboard.press("l")
    page.wait_for_url("**/label?image=*")
    expect(page.get_by_role("radio", name="Brush")).to_be_visible()
    at = on_picture(page)

    page.get_by_label("New type").fill("scratch")
    page.keyboard.press("Enter")
    page.mouse.click(*at(-5, 60))  # beside the picture
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    drag(page, at(20.5, 30.5), at(60.5, 30.5))
    expect(page.get_by_role("radio", name="anomaly")).to_be_checked()
    drag(page, at(20.5, 100.5), at(60.5, 100.5))
    page.keyboard.press("z")  # the second one
    page.get_by_label("New type").fill("dent")
    page.get_by_role("button", name="Add").click()
    page.keyboard.press("p")
    for corner in ((100, 80), (140, 80), (140, 110), (100, 110)):
        page.mouse.click(*at(*corner))
    page.keyboard.press("Enter")
    page.keyboard.press("e")
    page.mouse.click(*at(120.5, 95.5))
    page.keyboard.press("b")
    page.mouse.move(*at(80.5, 60.5))
    page.mouse.wheel(0, -100)  # zooms about this very point
    page.mouse.click(*at(80.5, 60.5))
    page.keyboard.press("1")
    page.locator("[data-zoom]").focus()
    for _ in range(10):
        page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press(" ")
    page.get_by_role("radio", name="test").check()
    page.keyboard.press("s")
    page.wait_for_url("**/inspections/*")
    expect(page.locator(".judge")).to_contain_text("In the test dataset as an anomaly, with a mask")

    listed = deployed.stack.lookout.list_dataset_entries(ProjectName=CLASSIFICATION, DatasetType="test")
    (entry,) = map(parse_entry, listed["DatasetEntries"])
    assert entry.is_anomalous
    assert deployed.stack.read(S3Uri.parse(entry.source_ref)) == part_png(4200, is_scratched=True)
    assert entry.mask_ref is not None
    pixels = decode_mask(deployed.stack.read(S3Uri.parse(entry.mask_ref)))[..., :3]
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    scratch, dent = (tuple(bytes.fromhex(entry.colors[name][1:])) for name in ("scratch", "dent"))
    assert {tuple(color) for color in pixels.reshape(-1, 3).tolist()} == {(255, 255, 255), scratch, dent}
    assert (pixels[30, 20:60] == scratch).all()
    assert (pixels[36, 20:60] == 255).all()
    assert (pixels[100, 20:60] == 255).all()
    assert (pixels[80:110, 100:115] == dent).all()
    assert (pixels[70:79, 100:140] == 255).all()
    assert (pixels[95, 120] == 255).all()
    assert (pixels[60, 80] == dent).all()
    assert (pixels[70, 80] == scratch).all()


def test_a_painted_region_is_ignored_from_the_next_training_on(page: Page, deployed: Deployed) -> None:
    stack, project = deployed.stack, "regional"
    create_project(stack.registry, project)
    stack.lookout.create_dataset(ProjectName=project, DatasetType="train")
    stack.datasets.write("images/regional.png", part_png(4300))
    line = entry_line(ManifestEntry(str(stack.datasets.uri("images/regional.png")), False))
    stack.lookout.update_dataset_entries(ProjectName=project, DatasetType="train", Changes=line)
    page.goto(f"/projects/{project}")
    page.get_by_role("link", name="Regions").click()
    expect(page.get_by_role("radio", name="Brush")).to_be_visible()
    at = on_picture(page)
    page.keyboard.press("p")
    for corner in ((0, 0), (WIDTH, 0), (WIDTH, 30), (0, 30)):
        page.mouse.click(*at(*corner))
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("25.00% of the image is ignored")).to_be_visible()
    kept = describe_project(stack.registry, project).regions
    assert kept is not None
    ignored = read_regions(stack.datasets, kept.key).ignored
    assert ignored.shape == (HEIGHT, WIDTH)
    assert ignored[:30].all() and not ignored[30:].any()
    expect(page.locator("[data-share]")).to_have_text("25.00%")  # painted again from what is kept
    page.get_by_role("button", name="Ignore nothing").click()
    expect(page.get_by_text("of the image is ignored")).to_have_count(0)
    assert describe_project(stack.registry, project).regions is None


def test_paint_goes_and_comes_with_fingers_and_with_what_the_model_outlined(browser: Browser, origin: str) -> None:
    context = browser.new_context(base_url=origin, viewport=PHONE, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(f"/inspections?project={SEGMENTATION}&verdict=anomalous&line=line%3Dseen")
    page.locator(".card a").first.click()
    page.get_by_role("link", name="Label and paint").click()
    share = page.locator("[data-share]").first
    page.get_by_role("button", name="Start from the detected mask").click()
    expect(share).to_have_text(re.compile(r"^\d+\.\d\d%$"))
    page.get_by_role("button", name="Clear").click()
    expect(share).to_be_empty()
    page.evaluate("scrollTo(0, 0)")
    x, y = on_picture(page)(WIDTH / 2, HEIGHT / 2)
    fingers = context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        named = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": named})

    touch("touchStart", (x - 20, y))
    touch("touchMove", (x - 25, y))
    touch("touchStart", (x - 25, y), (x + 20, y))  # two of them zoom, and what the first one painted was not meant
    touch("touchMove", (x - 60, y), (x + 60, y))
    touch("touchEnd")
    assert "scale(2.6" in page.locator(".layers").evaluate("each => each.style.transform")
    expect(share).to_be_empty()
    touch("touchStart", (x, y))
    touch("touchMove", (x + 30, y))
    touch("touchEnd")
    expect(share).not_to_be_empty()
    context.close()


def test_a_form_of_another_page_changes_nothing(browser: Browser, origin: str, deployed: Deployed) -> None:
    context = browser.new_context()
    mine, hostile = context.new_page(), context.new_page()
    mine.goto(f"{origin}/inspections?project={SEGMENTATION}&verdict=normal")
    target = mine.locator(".card a").first.get_attribute("href")
    hostile.set_content(
        f'<form method="post" action="{origin}{target}/review"><button name="said" value="unsure">x</button></form>'
    )
    hostile.get_by_role("button").click()
    expect(hostile.locator("body")).to_contain_text("Only the console's own pages")
    mine.goto(f"{origin}{target}")
    expect(mine.locator(".note")).to_have_count(0)
    context.close()


def test_a_model_is_retrained_compared_hosted_and_taken_back(page: Page, deployed: Deployed) -> None:
    """The long work goes on while nobody looks, and each step is one press away from the one before."""
    stack, here, problems = deployed.stack, f"/projects/{RETRAINED}", []
    train_in_cloud(stack, RETRAINED, labeled_parts(12, 6, with_masks=False), host=True)
    deployed.upload(f"{RETRAINED}/faint.png", part_png(4300, is_scratched=True), line="2", expected="anomaly")
    deployed.records(f"{RETRAINED}/faint.png")
    stack.datasets.write("images/faint.png", part_png(4300, is_scratched=True))
    line = entry_line(ManifestEntry(str(stack.datasets.uri("images/faint.png")), True))
    stack.lookout.update_dataset_entries(ProjectName=RETRAINED, DatasetType="train", Changes=line)

    page.goto(here)
    page.get_by_role("button", name="Retrain").click()
    progress = page.locator(".note")
    expect(progress).to_contain_text("The model is being trained")
    expect(progress).to_contain_text(re.compile(r"\w+, \d+ of \d+\."), timeout=60_000)
    page.screenshot(path=SCREENSHOTS / "training-light-wide.png")
    page.goto("about:blank")
    page.goto(here)
    expect(page.get_by_role("button", name="Retrain")).to_have_count(0)
    expect(progress).to_contain_text("Version 2 is trained and not hosted", timeout=120_000)

    page.get_by_role("link", name="Compare it with version 1").click()
    expect(page.locator(".reading")).to_be_visible(timeout=60_000)
    expect(page.locator("#comparison")).to_contain_text("Judged on 19 images")
    page.reload()
    expect(page.locator(".reading")).to_be_visible()
    problems += looked_at(page, "comparison")

    page.get_by_role("button", name="Host version 2").click()
    page.wait_for_url("**/models/2")
    expect(page.locator("main")).to_contain_text("HOSTED: it inspects the uploads")
    deployed.upload(f"{RETRAINED}/later.png", part_png(4301, is_scratched=True))
    (later,) = deployed.records(f"{RETRAINED}/later.png")
    assert later["model_version"] == "2"
    problems += looked_at(page, "model")
    page.get_by_role("button", name="Go back to version 1").click()
    page.wait_for_url("**/models/1")
    expect(page.locator("main")).to_contain_text("HOSTED: it inspects the uploads")

    page.goto(here)
    hosted = page.locator("tr", has_text="Model Hosted")
    expect(hosted).to_have_count(3)
    expect(hosted.first).to_contain_text("model_version 2")
    expect(hosted.first).to_contain_text("model_version 1")
    expect(page.locator("tr", has_text="faint.png")).to_contain_text("met")
    problems += looked_at(page, "retrained")
    assert not problems


def test_every_page_is_accessible_and_fits(browser: Browser, origin: str) -> None:
    context = browser.new_context(base_url=origin, viewport=WIDE)
    page = context.new_page()
    page.goto(f"/inspections?project={SEGMENTATION}&verdict=anomalous")
    one = page.locator(".card a").first.get_attribute("href")
    pages = {
        "inspections": "/inspections",
        "inspection": one,
        "review": "/review",
        "overview": "/overview",
        "report": f"/report?project={SEGMENTATION}&by=line",
        "projects": "/projects",
        "project": f"/projects/{SEGMENTATION}",
        "try": f"/projects/{SEGMENTATION}/try",
        "label": f"/projects/{SEGMENTATION}/label?image={str(one).rpartition('/')[2]}",
        "images": f"/projects/{CLASSIFICATION}/label",
        "regions": f"/projects/{SEGMENTATION}/regions",
        "message": "/nowhere",
    }
    problems = []
    for name, address in pages.items():
        page.goto(str(address))
        problems += looked_at(page, name)
    context.close()
    assert not problems


def test_a_report_is_one_file_that_prints_on_a4(page: Page, origin: str, tmp_path: Path) -> None:
    """Whatever the reader's colours: paper is white and its text black."""
    file = tmp_path / "shift.html"
    file.write_bytes(page.request.get(f"/report.html?project={SEGMENTATION}&by=line").body())
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.partition(":")[0]))
    page.emulate_media(color_scheme="dark")
    page.goto(file.as_uri())
    expect(page.locator(".figures")).to_contain_text("inspected")
    assert "rgb(255, 255, 255)" in page.locator("body").evaluate("each => getComputedStyle(each).background")
    pictures = page.locator(".worst img")
    expect(pictures).not_to_have_count(0)
    assert pictures.evaluate_all("all => all.every(each => each.naturalWidth > 100)")
    assert set(asked) <= {"file", "data"}
    page.emulate_media(color_scheme="dark", media="print")
    assert page.locator("body").evaluate("each => getComputedStyle(each).color") == "rgb(0, 0, 0)"
    printed = page.pdf(path=SCREENSHOTS / "report.pdf", prefer_css_page_size=True)
    assert {tuple(map(round, map(float, box.split()))) for box in re.findall(rb"/MediaBox \[([^\]]*)\]", printed)} == {
        (0, 0, 595, 842)
    }


def looked_at(page: Page, name: str) -> list[str]:
    """Screenshots of the page, wide and on a phone, in light and dark; what is wrong with it."""
    problems = []
    for device, size in DEVICES.items():
        page.set_viewport_size(size)
        page.reload()
        page.wait_for_load_state("networkidle")
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wider > 0:
            problems.append(f"{name} is {wider} px too wide on a {device} screen")
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.screenshot(path=SCREENSHOTS / f"{name}-{scheme}-{device}.png", full_page=name.startswith(LONG))
            if size == PHONE:  # which holds what the wide page does, and its menu
                for each in Axe().run(page).response["violations"]:
                    problems.append(f"{name} in {scheme}: {each['id']}: {each['nodes'][0]['html'][:120]}")
    page.set_viewport_size(WIDE)
    return problems


@pytest.mark.parametrize("paints", [False, True], ids=["longest", "most scripts"])
def test_pages_are_light(page: Page, origin: str, paints: bool) -> None:
    """HTML, CSS and JavaScript of a page, without its pictures."""
    address = f"/inspections?project={SEGMENTATION}"
    if paints:
        one = page.request.get(address).text().partition('data-id="')[2].partition('"')[0]
        address = f"/projects/{SEGMENTATION}/label?image={one}"
    loaded: list[int] = []
    kinds = ("document", "stylesheet", "script")
    page.on("response", lambda got: loaded.append(len(got.body())) if got.request.resource_type in kinds else None)
    started = time.monotonic()
    page.goto(address)
    page.wait_for_load_state("networkidle")
    assert time.monotonic() - started < 10
    assert 10_000 < sum(loaded) < 120_000
