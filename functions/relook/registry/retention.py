"""How long records and pictures are kept: what the stage says of it, and how that is noted on them.

A record has the time of its end, which DynamoDB looks at; a picture is tagged with its verdict, which the buckets'
lifecycle rules look at. Nothing is noted where nothing ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Self

from relook.aws.bucket import Bucket
from relook.errors import NoSuchObjectError
from relook.registry.inspections import Verdict

EXPIRES_AT = "expires_at"
"""A record's attribute: seconds since 1970, from which on DynamoDB deletes it, within a few days."""
VERDICT_TAG = "relook-verdict"
"""A picture's tag, `normal` or `anomalous`; ours alone, for an uploader may well have a `verdict` of their own."""
_MOST_TAGS = 10  # S3's limit for an object


@dataclass(frozen=True)
class Retention:
    """Days from the inspection on; 0 for good.

    Attributes:
        normal_pictures_days, anomalous_pictures_days: of images by their verdict, with masks, heat maps and thumbnails.
    """

    records_days: int = 0
    normal_pictures_days: int = 0
    anomalous_pictures_days: int = 0

    @classmethod
    def of_outputs(cls, outputs: Mapping[str, str]) -> Self:
        """As a stack tells it."""
        return cls(**{name: int(outputs.get(output, 0)) for name, output in _OUTPUTS.items()})

    def to_outputs(self) -> dict[str, str]:
        """The inverse; a stack where nothing ends says nothing."""
        return {_OUTPUTS[name]: str(days) for name, days in asdict(self).items() if days}

    @property
    def pictures_days(self) -> dict[Verdict, int]:
        """By verdict; without those that are kept for good."""
        named = {Verdict.NORMAL: self.normal_pictures_days, Verdict.ANOMALOUS: self.anomalous_pictures_days}
        return {verdict: days for verdict, days in named.items() if days}

    def expires_at(self, inspected_at: datetime) -> int | None:
        """Of a record; None for never."""
        return int((inspected_at + timedelta(days=self.records_days)).timestamp()) if self.records_days else None

    def tags(self, verdict: Verdict) -> dict[str, str]:
        """Of a picture; none where pictures are kept for good, nor of a rejected image, which nobody has judged.

        Both verdicts are tagged as soon as one of them ends: the next model version may think otherwise.
        """
        return {VERDICT_TAG: verdict} if self.pictures_days and verdict is not Verdict.REJECTED else {}

    def tag_upload(self, images: Bucket, key: str, version_id: str | None, verdict: Verdict) -> None:
        """Tag an uploaded image beside the tags that its uploader gave it.

        One that is gone, or has no room for a tag more, is left as it is.
        """
        if not (tags := self.tags(verdict)):
            return
        try:
            before = images.tags(key, version_id=version_id)
            after = before | tags
            if after != before and len(after) <= _MOST_TAGS:
                images.tag(key, after, version_id=version_id)
        except NoSuchObjectError:
            return


_OUTPUTS = {
    "records_days": "KeepRecordsDays",
    "normal_pictures_days": "KeepNormalPicturesDays",
    "anomalous_pictures_days": "KeepAnomalousPicturesDays",
}
"""Field -> output of a stack."""
