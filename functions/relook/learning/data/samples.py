"""Labelled images as training takes them, wherever they are stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class LabeledImage:
    """One labelled image, read when it is needed so that a large dataset need not fit in memory.

    Attributes:
        name: what people call it (a path, an S3 key); shown in reports.
        read: gives the encoded PNG or JPEG bytes.
        is_anomalous: the label.
        read_mask: gives the encoded PNG mask, for an anomalous image of a segmentation dataset.
        colors: type name -> `#RRGGBB` in that mask; empty where nobody said, which `settle_colors` decides over all.
        mask_type: what such a mask shows.
    """

    name: str
    read: Callable[[], bytes]
    is_anomalous: bool
    read_mask: Callable[[], bytes] | None = None
    colors: Mapping[str, str] = field(default_factory=dict)
    mask_type: str = "anomaly"
