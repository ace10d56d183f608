"""How records of the Inspections table are read, wherever they are: nothing but their attributes is asked."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class InspectionStatus(StrEnum):
    """How an inspection ended."""

    INSPECTED = "INSPECTED"
    REJECTED = "REJECTED"


UNKNOWN = "unknown"
"""The group of records whose metadata does not name one."""


def group_of(record: Mapping[str, Any], name: str) -> str:
    """What the upload's metadata has under a name, such as `camera` or `line`."""
    return str((record.get("metadata") or {}).get(name, UNKNOWN))


def image_key(record: Mapping[str, Any]) -> str:
    """The key of its image without the bucket; of a file that was never uploaded, its path."""
    return str(record["image_uri"]).split("/", 3)[3]


def image_name(record: Mapping[str, Any]) -> str:
    """The last part of the key."""
    return image_key(record).rpartition("/")[2]
