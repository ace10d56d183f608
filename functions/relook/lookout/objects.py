"""Whether what lines name is there and is an image, seen before anything is trained with it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relook.aws.bucket import Bucket, S3Uri
from relook.aws.refusals import why_unreadable
from relook.detection.image import check_size, check_start
from relook.errors import AwsError, ImageRejectedError
from relook.registry.manifest import LineProblem, UsableLine

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

MAX_LOOKED_AT = 2_000
"""Images and masks of one dataset. Each is one small request of some 4 ms of a whole processor: 10 s of the minute that
the function has. Of more than that, so many at even distances are looked at; a training looks at all it draws."""
_BUDGET_S = 20
"""After which the rest is left to the training, so that slow storage does not cost the caller its answer."""
_AT_ONCE = 10  # as many connections as a client keeps open
_START_BYTES = 32  # more than any signature of an image format is long


@dataclass(frozen=True)
class Sighting:
    """What was seen of the objects that lines name.

    Attributes:
        problems: images and masks that are missing, may not be read, are too large or of a wrong format.
        named, looked_at: how many images and masks there are, each counted once.
    """

    problems: list[LineProblem]
    named: int
    looked_at: int

    @property
    def left_out(self) -> str:
        """A sentence on what nobody has looked at yet, if there is any."""
        if self.looked_at == self.named:
            return ""
        return (
            f" Of {self.named:,} images and masks that the lines name, {self.looked_at:,} were looked at; whether the"
            " others are there and can be read, training finds out."
        )


class Objects:
    """What was found of objects, each looked at once.

    Args:
        s3: a boto3 client.
        expiring_bucket: whose pictures end after some days; empty for none.
    """

    def __init__(self, s3: S3Client, expiring_bucket: str) -> None:
        self._s3 = s3
        self._expiring_bucket = expiring_bucket
        self._answers: dict[tuple[str, bool], str | None] = {}

    def look(self, lines: Iterable[UsableLine]) -> Sighting:
        """Look at what labelled lines name.

        Raises:
            AwsUnavailableError: it may pass.
        """
        named = [(line.number, *place) for line in lines for place in _places(line)]
        step = max(1, -(-len(named) // MAX_LOOKED_AT))
        deadline = time.monotonic() + _BUDGET_S

        def look(place: tuple[int, str, bool]) -> None:
            if place[1:] not in self._answers and time.monotonic() < deadline:
                self._answers[place[1:]] = self._look(*place[1:])

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(look, named[::step]):
                pass
        answers = ((number, self._ends(uri) or self._answers.get((uri, is_mask))) for number, uri, is_mask in named)
        problems = [LineProblem(number, problem) for number, problem in answers if problem is not None]
        places = {place[1:] for place in named}
        return Sighting(problems, len(places), len(places & self._answers.keys()))

    def _ends(self, uri: str) -> str | None:
        if S3Uri.parse(uri).bucket != self._expiring_bucket:
            return None
        return (
            f"{uri} will be deleted, for this stack keeps the pictures of that bucket for some days only; copy it to"
            " another one, or have the inspection join: relook review PROJECT IMAGE --add train"
        )

    def _look(self, uri: str, is_mask: bool) -> str | None:
        place = S3Uri.parse(uri)
        try:
            start, size_bytes = Bucket(self._s3, place.bucket).read_start(place.key, _START_BYTES)
        except AwsError as error:
            if error.is_transient:
                raise
            return why_unreadable(place, error)
        if not size_bytes and place.key.endswith("/"):
            return f"{uri} is a folder and no image; take its line out"
        try:
            check_size(size_bytes)
            check_start(start, is_mask=is_mask)
        except ImageRejectedError as error:
            return f"{uri} cannot be used: {error.message}"
        return None


def _places(line: UsableLine) -> list[tuple[str, bool]]:
    """The locations that a training reads, and whether each is a mask's."""
    entry = line.entry
    if entry.is_anomalous is None:
        return []
    mask = [(entry.mask_ref, True)] if entry.mask_ref and entry.is_anomalous else []
    return [(entry.source_ref, False), *mask]
