"""Every AWS call of one inspection fails once, before and after it took effect, softly and with the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import inspect_image
from tests.account import Cloud, forget_process_state
from tests.unit.cutting import ProcessKilled, failing_call, soft_error
from tests.unit.parts import part_png

pytestmark = pytest.mark.slow

OWN_CALLS = {
    "GetItem",  # the project and its hosted model
    "PutItem",  # idempotency in progress; the record
    "GetObject",  # the package's files; the image
    "PutObject",  # mask and heat map
    "PutEvents",
    "UpdateItem",  # idempotency done
}
MAX_CALLS = 12


def run(
    cloud: Cloud, upload: dict[str, Any], fail_at: int | None, *, after: bool, error: Callable[[], BaseException]
) -> int:
    """Deliver once, with the fail_at-th AWS call failing; how many calls there were."""
    with failing_call(fail_at, error, after=after) as names:
        try:
            cloud.deliver(upload)
        except ProcessKilled:
            forget_process_state()
    return len(names)


def final_state(cloud: Cloud) -> tuple[Any, ...]:
    """Records without their clocks, and every picture's bytes."""
    records = [{k: v for k, v in each.items() if k not in ("inspected_at", "duration_ms")} for each in cloud.records()]
    pictures = {key: cloud.s3.get_object(Bucket="results", Key=key)["Body"].read() for key in cloud.pictures()}
    return records, pictures


@pytest.fixture(params=[soft_error, ProcessKilled], ids=["error", "killed"])
def error(request: pytest.FixtureRequest) -> Iterator[Callable[[], BaseException]]:
    yield request.param


@pytest.mark.parametrize("after", [False, True], ids=["before it took effect", "after it took effect"])
def test_redelivery_ends_in_the_same_state(hosted: Cloud, error: Callable[[], BaseException], after: bool) -> None:
    # A crashed attempt blocks the next one for as long as it could still have run: not at all, here.
    hosted.context.remaining_ms = -1
    data = part_png(2001, is_scratched=True)

    forget_process_state()
    reference = hosted.upload("bracket/reference.png", data)
    number_of_calls = run(hosted, reference, None, after=after, error=error)
    assert len(OWN_CALLS) <= number_of_calls <= MAX_CALLS
    hosted.published()
    for k in range(1, number_of_calls + 1):
        forget_process_state()
        upload = hosted.upload(f"bracket/crash-{k}.png", data)
        run(hosted, upload, k, after=after, error=error)
        assert hosted.deliver(upload) == []
        assert hosted.deliver(upload) == []

        events = hosted.published()
        assert len(events) >= 1, f"the event was lost when call {k} failed"
        assert len({event["detail"]["inspection_id"] for event in events}) == 1

    records, pictures = final_state(hosted)
    assert len(records) == number_of_calls + 1
    assert len(pictures) == 2 * len(records)
    same = {k: v for k, v in records[0].items() if k in ("confidence", "anomalies", "is_anomalous", "status", "width")}
    for record in records:
        assert {k: record[k] for k in same} == same
        for uri in (record["mask_uri"], record["heat_map_uri"]):
            assert uri.removeprefix("s3://results/") in pictures
    assert len(set(pictures.values())) == 2


def test_the_calls_are_the_ones_we_know(hosted: Cloud) -> None:
    upload = hosted.upload("bracket/a.png", part_png(2001, is_scratched=True))
    with failing_call(None) as names:
        assert hosted.deliver(upload) == []
    assert set(names) == OWN_CALLS
    assert inspect_image.pipeline.cache_info().currsize == 1
