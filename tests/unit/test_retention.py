"""What ends after some days is noted on records and pictures as they are made; nothing is noted where nothing ends."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from relook.aws.bucket import Bucket
from relook.registry.inspections import Verdict, image_of
from relook.registry.retention import Retention
from tests.account import SETTINGS, Cloud, forget_process_state
from tests.unit.cutting import ProcessKilled, failing_call, soft_error
from tests.unit.parts import part_png
from tests.unit.test_crash_points import OWN_CALLS, run

pytestmark = pytest.mark.slow

DAY_S = 24 * 3600
SCRATCHED, GOOD = part_png(2001, is_scratched=True), part_png(2002)


@pytest.fixture
def ending(hosted: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """Records are kept for 90 days, pictures of normal images for seven, and of anomalous ones for good."""
    settings = dataclasses.replace(SETTINGS, keep_records_days=90, keep_normal_pictures_days=7)
    for name, value in settings.to_env().items():
        monkeypatch.setenv(name, value)
    forget_process_state()
    return hosted


def tags(cloud: Cloud, record: dict[str, Any]) -> dict[str, str]:
    uri, version = image_of(record)
    return Bucket(cloud.s3, uri.bucket).tags(uri.key, version_id=version)


def picture_tags(cloud: Cloud) -> list[dict[str, str]]:
    return [Bucket(cloud.s3, "results").tags(key) for key in cloud.pictures()]


@pytest.mark.parametrize(("image", "verdict"), [(SCRATCHED, "anomalous"), (GOOD, "normal")])
def test_a_record_has_its_end_and_its_pictures_their_verdict(ending: Cloud, image: bytes, verdict: str) -> None:
    assert ending.deliver(ending.upload("bracket/a.png", image)) == []
    (record,) = ending.records()
    inspected_s = datetime.fromisoformat(record["inspected_at"]).timestamp()
    assert inspected_s + 90 * DAY_S - 1 <= record["expires_at"] <= inspected_s + 90 * DAY_S + 1
    assert tags(ending, record) == {"relook-verdict": verdict}
    assert picture_tags(ending) == [{"relook-verdict": verdict}, {"relook-verdict": verdict}]


def test_nothing_is_noted_where_nothing_ends(hosted: Cloud) -> None:
    upload = hosted.upload("bracket/a.png", SCRATCHED)
    with failing_call(None) as calls:
        hosted.deliver(upload)
    assert set(calls) == OWN_CALLS
    (record,) = hosted.records()
    assert "expires_at" not in record
    assert tags(hosted, record) == {}
    assert picture_tags(hosted) == [{}, {}]


def test_a_rejected_image_is_kept_and_its_record_ends(ending: Cloud) -> None:
    ending.deliver(ending.upload("bracket/a.png", b"no image"))
    (record,) = ending.records()
    assert (record["status"], "expires_at" in record) == ("REJECTED", True)
    assert tags(ending, record) == {}


def test_the_uploader_s_own_tags_stay(ending: Cloud) -> None:
    upload = ending.upload("bracket/a.png", GOOD)
    images = Bucket(ending.s3, "images")
    images.tag("bracket/a.png", {"cost-centre": "7", "verdict": "scrap"})
    ending.deliver(upload)
    assert images.tags("bracket/a.png") == {"cost-centre": "7", "verdict": "scrap", "relook-verdict": "normal"}


def test_an_image_without_room_for_a_tag_is_inspected_and_kept(ending: Cloud) -> None:
    upload = ending.upload("bracket/a.png", GOOD)
    full = {f"tag-{number}": "x" for number in range(10)}
    Bucket(ending.s3, "images").tag("bracket/a.png", full)
    assert ending.deliver(upload) == []
    (record,) = ending.records()
    assert tags(ending, record) == full


def test_an_image_that_went_meanwhile_needs_no_tag(ending: Cloud) -> None:
    upload = ending.upload("bracket/a.png", GOOD)
    version = json.loads(upload["body"])["detail"]["object"]["version-id"]
    ending.s3.delete_object(Bucket="images", Key="bracket/a.png", VersionId=version)
    Retention(normal_pictures_days=7).tag_upload(Bucket(ending.s3, "images"), "bracket/a.png", version, Verdict.NORMAL)


def test_the_last_verdict_decides(ending: Cloud) -> None:
    """Pictures of anomalous images are kept for good here: an image that is anomalous after all must not end."""
    images = Bucket(ending.s3, "images")
    images.write("bracket/a.png", GOOD)
    kept = Retention(normal_pictures_days=7)
    for verdict in (Verdict.NORMAL, Verdict.ANOMALOUS):
        kept.tag_upload(images, "bracket/a.png", None, verdict)
    assert images.tags("bracket/a.png") == {"relook-verdict": "anomalous"}


@pytest.mark.parametrize("after", [False, True], ids=["before it took effect", "after it took effect"])
@pytest.mark.parametrize("error", [soft_error, ProcessKilled], ids=["error", "killed"])
def test_whatever_fails_the_tag_and_the_end_are_there(
    ending: Cloud, error: Callable[[], BaseException], after: bool
) -> None:
    ending.context.remaining_ms = -1
    number_of_calls = run(ending, ending.upload("bracket/0.png", GOOD), None, after=after, error=error)
    for number in range(1, number_of_calls + 1):
        forget_process_state()
        upload = ending.upload(f"bracket/{number}.png", GOOD)
        run(ending, upload, number, after=after, error=error)
        assert ending.deliver(upload) == []
    records = ending.records()
    assert len(records) == number_of_calls + 1
    assert all("expires_at" in record and tags(ending, record) == {"relook-verdict": "normal"} for record in records)
    assert picture_tags(ending) == [{"relook-verdict": "normal"}] * 2 * len(records)
