"""Other pages of the same browser, and hostile names, change nothing and run nothing."""

from __future__ import annotations

import base64
import re

import pytest
from starlette.testclient import TestClient

from cli.console import projects
from cli.console.app import create_app
from cli.console.safety import COOKIE, TOKEN_FIELD, TOKEN_HEADER
from tests.console.conftest import ORIGIN, PORT, Seen, png

TRY = "/projects/bracket/try"


def uploads(seen: Seen) -> list[str]:
    return sorted(seen.stack.images.etags("bracket/"))


@pytest.mark.parametrize("host", ["relook.example", "127.0.0.1", "127.0.0.1:80", "127.0.0.1.example:8321", "evil:8321"])
def test_a_foreign_host_gets_no_page(seen: Seen, host: str) -> None:
    seen.record("a.png", 1)
    answer = seen.browser.get("/inspections", headers={"host": host})
    assert answer.status_code == 421
    assert "a.png" not in answer.text


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "https://127.0.0.1:8321", None]
)
def test_a_form_on_another_origin_changes_nothing(seen: Seen, origin: str | None) -> None:
    headers = {TOKEN_HEADER: seen.token(), **({"origin": origin} if origin else {})}
    answer = seen.browser.post(TRY, headers=headers, files={"images": ("a.png", png(), "image/png")})
    assert answer.status_code == 403
    assert not uploads(seen)


@pytest.mark.parametrize("token", ["", "0" * 64, "é"])
def test_a_stale_token_changes_nothing(seen: Seen, token: str) -> None:
    seen.token()
    images = {"images": ("a.png", png(), "image/png")}
    answer = seen.browser.post(TRY, headers={"origin": ORIGIN}, data={TOKEN_FIELD: token}, files=images)
    assert answer.status_code == 403
    assert "reload" in answer.text
    assert not uploads(seen)


def test_a_token_is_of_one_session_alone(seen: Seen) -> None:
    token = seen.token()
    seen.browser.cookies.clear()
    answer = seen.browser.post(
        TRY, headers={"origin": ORIGIN, TOKEN_HEADER: token}, files={"images": ("a.png", png(), "image/png")}
    )
    assert answer.status_code == 403
    assert not uploads(seen)


@pytest.mark.parametrize("other", ['theme={"dark": true}', "k@y=1", "bare"])
def test_cookies_of_other_programs_of_this_machine_do_not_matter(seen: Seen, other: str) -> None:
    token = seen.token()
    cookie = f"{other}; {COOKIE}={seen.browser.cookies[COOKIE]}"
    answer = seen.change(
        TRY,
        headers={"cookie": cookie, TOKEN_HEADER: token},
        files={"images": ("a.png", png(), "image/png")},
    )
    assert answer.status_code == 303


def test_our_own_page_may(seen: Seen) -> None:
    answer = seen.change(TRY, files={"images": ("a.png", png(), "image/png")})
    assert answer.status_code == 303
    assert [key.rpartition("/")[2] for key in uploads(seen)] == ["a.png"]


def test_an_svg_renamed_to_png_is_not_taken(seen: Seen) -> None:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    answer = seen.change(TRY, files={"images": ("a.png", svg, "image/png")})
    assert answer.status_code == 400
    assert not uploads(seen)


def test_a_stored_svg_is_never_handed_to_the_browser(seen: Seen) -> None:
    record = seen.record("a.png", 1)
    version = seen.stack.images.write("bracket/a.png", b"<svg><script>alert(1)</script></svg>", "image/svg+xml")
    seen.stack.inspections.put({**record, "object_version": f"{version}#1", "inspected_at": "2026-11-26T10:00:00.000Z"})
    page = seen.browser.get("/inspections").text
    for each in re.findall(r'data-id="([^"]+)"', page):
        for kind in ("image", "thumbnail"):
            answer = seen.browser.get(f"/pictures/{each}/{kind}")
            assert answer.headers["content-type"].partition(";")[0] in {"image/png", "image/jpeg", "text/plain"}
            assert b"<svg" not in answer.content


def test_names_with_markup_are_text(seen: Seen) -> None:
    hostile = '"><script>alert(1)</script>.png'
    seen.record(
        hostile,
        1,
        metadata={"<b>line": "<img src=x onerror=alert(1)>"},
        is_anomalous=True,
        anomalies=[{"name": "<i>dent", "area_share": 0.01, "color": '"><script>'}],
    )
    for address in ("/inspections", "/overview?since=2026-11-01", *links(seen), *painted(seen)):
        page = seen.browser.get(address)
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text
        assert "<i>dent" not in page.text


def links(seen: Seen) -> list[str]:
    return re.findall(r'href="(/inspections/[^"?]+)"', seen.browser.get("/inspections").text)


def painted(seen: Seen) -> list[str]:
    """The pages that paint."""
    images = [each.rpartition("/")[2] for each in links(seen)]
    return ["/projects/bracket/regions", *(f"/projects/bracket/label?image={image}" for image in images)]


@pytest.mark.parametrize("address", ["/inspections", "/static/console.js", "/nowhere", "/pictures/x/image"])
def test_pages_may_load_our_own_files_only(seen: Seen, address: str) -> None:
    headers = seen.browser.get(address).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers


def test_no_page_has_inline_scripts_or_styles(seen: Seen) -> None:
    seen.record("a.png", 1, is_anomalous=True, anomalies=[{"name": "dent", "area_share": 0.01, "color": "#F5A623"}])
    pages = ("/inspections", "/overview?since=2026-11-01", "/projects", "/projects/bracket")
    for address in (*pages, *links(seen), *painted(seen)):
        text = seen.browser.get(address).text
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=", text)
        assert not re.search(r"<script(?![^>]*\bsrc=)", text)


DEEP = base64.urlsafe_b64encode(b"[" * 20_000).decode().rstrip("=")


@pytest.mark.parametrize("name", ["x", "W10", "eyJhIjoxfQ", "....", "WzEsMiwzXQ", pytest.param(DEEP, id="deep")])
def test_an_address_that_was_made_up_gets_a_sentence(seen: Seen, name: str) -> None:
    answer = seen.browser.get(f"/inspections/{name}")
    assert answer.status_code in (400, 404)
    assert "Traceback" not in answer.text


def test_a_page_that_breaks_says_so_and_leads_back(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> None:
        raise KeyError("status")

    monkeypatch.setattr(projects, "describe_project", breaks)
    app = create_app(seen.stack, "local", PORT)
    with TestClient(app, base_url=ORIGIN, raise_server_exceptions=False) as browser:
        answer = browser.get("/projects/bracket")
    assert answer.status_code == 500
    assert "a mistake of the console" in answer.text and "KeyError" in answer.text
    assert 'href="/inspections"' in answer.text
