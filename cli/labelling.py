"""What a person says an image is, and paints on it: an entry of a dataset, and a review where it was inspected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from cli import reviewing
from cli.dataset_entries import Mask, join_dataset, label_entry, store_mask
from cli.stack import Stack
from relook.aws.bucket import S3Uri
from relook.detection.image import read_header
from relook.detection.rendering import mask_png
from relook.detection.result import is_background
from relook.errors import InvalidRequestError
from relook.learning.data.mask_colors import free_color
from relook.learning.data.masks import read_labels
from relook.quality.records import InspectionStatus
from relook.quality.summary import is_truly_anomalous
from relook.registry.contention import beside_others
from relook.registry.dataset_type import DatasetType
from relook.registry.datasets import StoredEntry, list_datasets, read_entries
from relook.registry.manifest_entry import ANOMALY, NORMAL, ManifestEntry
from relook.registry.reviewed_entries import ReviewedEntry, refuse_elsewhere
from relook.registry.reviews import Review, ReviewVerdict

_MOST_TYPES, _MOST_KNOWN = 20, 100
"""Types in one mask, and of one project, as Lookout for Vision had it."""


@dataclass(frozen=True)
class Label:
    """What a person says of an image.

    Attributes:
        painting: None where nothing is painted.
        keeps_mask: the mask that the image has already stays as it is.
    """

    is_anomalous: bool
    painting: Painting | None = None
    keeps_mask: bool = False


@dataclass(frozen=True)
class Painting:
    """A mask as it was painted.

    Attributes:
        png: of the image's full size.
        colors: type name -> `#RRGGBB`.
    """

    png: bytes
    colors: Mapping[str, str]


@dataclass(frozen=True)
class Entry:
    """An entry of one of the project's datasets."""

    dataset: DatasetType
    stored: StoredEntry


@beside_others
def list_entries(stack: Stack, project: str) -> list[Entry]:
    """All entries, of both datasets, in their order."""
    datasets = list_datasets(stack.registry, project)
    return [Entry(each.type, stored) for each in datasets for stored in _snapshot(stack.datasets, each)]


_snapshot = lru_cache(maxsize=4)(read_entries)
"""Kept, since a page asks for each of its pictures; what it holds is never changed, and a change has another one."""


def label_inspection(
    stack: Stack, record: Mapping[str, Any], dataset: DatasetType, label: Label, *, current: ManifestEntry | None
) -> ReviewedEntry:
    """Say what an inspected image is, which is a review of its verdict, and have it join a dataset.

    Args:
        record: as the person saw it.
        current: what a dataset says of it now.
    Raises:
        InvalidRequestError: the mask is not one of this image, it was rejected, or the dataset refuses it.
        ConflictError: it is in the other dataset.
        ReviewedMeanwhileError: somebody said something else since; nothing was changed.
        NoSuchObjectError: the upload is gone; what was said is kept.
    """
    refuse_elsewhere(record, dataset)
    if record["status"] != InspectionStatus.INSPECTED:
        raise InvalidRequestError(
            f"{record['image_uri']} was rejected ({record['reason']}); no model can learn from it"
        )
    mask = _mask(stack, record["project"], label, current, (int(record["height"]), int(record["width"])))
    review = Review.of(record)
    if review is None or review.verdict is ReviewVerdict.UNSURE or is_truly_anomalous(record) != label.is_anomalous:
        record = reviewing.say(stack, record, _opinion(record, label, mask))
    return join_dataset(stack, record, dataset, mask=mask)


def relabel_entry(stack: Stack, project: str, entry: Entry, label: Label) -> ReviewedEntry:
    """Say what an image is that came with a manifest.

    Raises:
        InvalidRequestError: the mask is not one of this image, or the dataset refuses it.
        NoSuchObjectError: the image is gone.
    """
    current = entry.stored.entry
    size = (0, 0)
    if label.painting:
        header = read_header(stack.read(S3Uri.parse(current.source_ref)))
        size = (header.height, header.width)
    mask = _mask(stack, project, label, current, size)
    return label_entry(stack, project, entry.dataset, current, is_anomalous=label.is_anomalous, mask=mask)


def known_types(*maps: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Type name -> `#RRGGBB`, each its own: of what masks call their types, the first come first, 100 at most."""
    colors: dict[str, str] = {}
    for name, color in (each for one in maps for each in one):
        if name not in colors and not is_background(name) and len(colors) < _MOST_KNOWN:
            colors[name] = color.upper() if color.upper() not in colors.values() else free_color(colors.values())
    return colors


def free_colors(colors: Mapping[str, str]) -> list[str]:
    """For types that nobody has named yet: as many as a mask may have, beside those of the others."""
    taken = list(colors.values())
    for _ in range(_MOST_TYPES):
        taken.append(free_color(taken))
    return taken[len(colors) :]


def checked(painting: Painting, size: tuple[int, int], image: str) -> Painting:
    """The mask as it is stored: in exactly its colours on white, with the types that are painted and no others.

    Args:
        size: (height, width) of the image, px.
        image: its name, for messages.
    Raises:
        InvalidRequestError, ImageRejectedError, TrainingDataError: it is no mask of this image; says why.
    """
    if len(painting.colors) > _MOST_TYPES:
        raise InvalidRequestError(f"A mask with {len(painting.colors)} types; {_MOST_TYPES} are possible at most")
    labels = read_labels(painting.png, painting.colors, name=image)
    if labels.shape != size:
        height, width = labels.shape
        raise InvalidRequestError(
            f"The mask is {width} x {height} pixels, and {image} is {size[1]} x {size[0]}; paint it at that size"
        )
    numbers = [number for number in np.unique(labels).tolist() if number]
    if not numbers:
        raise InvalidRequestError(f"Nothing is painted in the mask of {image}; paint the anomaly, or send no mask")
    types = [each for each in painting.colors.items() if not is_background(each[0])]
    if NORMAL in painting.colors:
        raise InvalidRequestError(f"No type of anomaly can be called {NORMAL!r}; name what is anomalous")
    used = dict(types[number - 1] for number in numbers)
    table = np.zeros(256, np.uint8)
    table[numbers] = range(1, len(numbers) + 1)
    return Painting(mask_png(table[labels], list(used.values())), used)


def _mask(
    stack: Stack, project: str, label: Label, current: ManifestEntry | None, size: tuple[int, int]
) -> Mask | None:
    if label.keeps_mask and label.is_anomalous and current is not None and current.mask_ref is not None:
        return Mask(current.mask_ref, current.colors)
    if label.painting is None:
        return None
    if not label.is_anomalous:
        raise InvalidRequestError("A normal image has no mask; say that it is an anomaly, or send none")
    painting = checked(label.painting, size, "the image")
    return store_mask(stack, project, painting.png, painting.colors)


def _opinion(record: Mapping[str, Any], label: Label, mask: Mask | None) -> reviewing.Opinion:
    if label.is_anomalous == record["is_anomalous"]:
        return reviewing.Opinion(ReviewVerdict.RIGHT)
    if not label.is_anomalous:
        return reviewing.Opinion(ReviewVerdict.WRONG, NORMAL)
    types = list(mask.colors) if mask else []
    return reviewing.Opinion(ReviewVerdict.WRONG, types[0] if len(types) == 1 else ANOMALY)
