"""Drift of what a project's hosted model version inspects: the same for the clock as for whoever asks."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice

from relook.aws.bucket import Bucket
from relook.aws.table import Table
from relook.errors import InvalidRequestError
from relook.quality.drift import COUNTED_BY, StreamDrift, drift
from relook.registry.inspections import Wanted, newest, stamp
from relook.registry.packages import load_manifest
from relook.registry.projects import HostedModel

REACH = timedelta(days=7)
"""How far back is looked unless somebody says: slow lines take days for the hundred images that a reading needs."""
_LOOKED_AT = 1_200
"""Records, the newest: at most a quarter of a second, and in one of two pages what a stream is read by, with room for
rejections and checks. A line of 100,000 images a day sends them in a quarter of an hour, and is judged by what it sends
now."""


def hosted_drift(
    inspections: Table, models: Bucket, hosted: HostedModel, *, since: datetime, until: datetime, by: str | None = None
) -> tuple[StreamDrift, ...]:
    """The project's newest images against the training normals of its hosted version; none where none was inspected.

    Args:
        by: a name in the uploads' metadata to tell streams apart by.
    Raises:
        InvalidRequestError: the model keeps nothing of its training normals.
        PackageError: it has no package.
    """
    known = load_manifest(models, hosted.project, hosted.version).statistics
    if not known:
        raise InvalidRequestError(
            f"Model version {hosted.project}/{hosted.version} keeps nothing of its training normals to hold images "
            "against; train it again"
        )
    reference = {name: each.normals for name, each in known.items()}
    records = newest(
        inspections,
        [hosted.project],
        Wanted(since=stamp(since), until=stamp(until)),
        page_size=_LOOKED_AT // 2,
        attributes=[*COUNTED_BY, *reference],
    )
    return drift(islice(records, _LOOKED_AT), reference, model_version=hosted.version, group_by=by)
