"""Labelled images read, checked and brought to the shape the engine learns from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from relook.detection.arrays import ByteArray, FloatArray
from relook.detection.image import decode_for_model, read_header
from relook.detection.package import TYPE_GRID
from relook.errors import ImageRejectedError, TrainingDataError
from relook.learning.data.masks import is_background, read_mask, reduce_labels
from relook.learning.data.samples import LabeledImage
from relook.learning.estimators.features import INPUT_SIDE_PX

MIN_NORMAL_IMAGES = 10
MAX_IMAGES = 1000
_FEW_NORMAL_IMAGES = 15
_FEW_IMAGES_OF_A_TYPE = 5
_OUTLINE_SIDE_PX = 512
_SEEN_WHOLE_PX = 1024
_SIZED = 16

OnProgress = Callable[[str, int, int], None]


@dataclass
class TrainingSet:
    """Everything training looks at, in memory.

    Attributes:
        images: what was read, in the order given.
        pixels: (n, 256, 256, 3) uint8.
        is_anomalous: (n,) bool.
        size: (height, width) of every image, None when they differ.
        aspect: width / height of the usual image.
        tiles: into how many tiles a side images are cut for a second look; 1 where they are small.
        types: name -> colour, only types that some mask shows.
        outlines: image index -> (h, w) uint8 labels, 0 background, i the i-th type; longest side at most 512.
        notes: sentences for the person who labelled the images.
    """

    images: list[LabeledImage]
    pixels: ByteArray
    is_anomalous: NDArray[np.bool_]
    size: tuple[int, int] | None
    aspect: float
    tiles: int
    types: dict[str, str]
    outlines: dict[int, ByteArray]
    notes: list[str] = field(default_factory=list)

    def coverage(self, index: int) -> FloatArray:
        """(types, 128, 128) share of every cell that the image's mask paints; 0 for an image without a mask."""
        shares = np.zeros((len(self.types), TYPE_GRID, TYPE_GRID), np.float32)
        if index in self.outlines:
            for kind in range(len(self.types)):
                painted = Image.fromarray((self.outlines[index] == kind + 1).astype(np.uint8) * 255)
                small = painted.resize((TYPE_GRID, TYPE_GRID), Image.Resampling.BOX)
                shares[kind] = np.asarray(small, np.float32) / 255
        return shares


def load_training_set(
    images: Sequence[LabeledImage], generator: np.random.Generator, on_progress: OnProgress
) -> TrainingSet:
    """Read every image and mask once.

    Raises:
        TrainingDataError: too few normal images, or an image or mask that cannot be used; names it.
    """
    normals = sum(not image.is_anomalous for image in images)
    if normals < MIN_NORMAL_IMAGES:
        raise TrainingDataError(
            f"There are {normals} normal images; at least {MIN_NORMAL_IMAGES} are needed, and 20 or more are better"
        )
    chosen = _sample(images, generator)
    pixels = np.empty((len(chosen), INPUT_SIDE_PX, INPUT_SIDE_PX, 3), np.uint8)
    sizes: Counter[tuple[int, int]] = Counter()
    types: dict[str, str] = {}
    outlines: dict[int, ByteArray] = {}
    tiles = _tiles(chosen)
    for index, image in enumerate(chosen):
        size = _read_image(image, pixels[index], tiles)
        sizes[size] += 1
        if image.is_anomalous and image.read_mask is not None:
            outlines[index] = _read_outline(image, image.read_mask, size, types)
        on_progress("reading images", index + 1, len(chosen))
    data = TrainingSet(
        images=chosen,
        pixels=pixels,
        is_anomalous=np.array([image.is_anomalous for image in chosen]),
        size=next(iter(sizes)) if len(sizes) == 1 else None,
        aspect=_usual_aspect(sizes),
        tiles=tiles,
        types=types,
        outlines=outlines,
    )
    _drop_unseen_types(data)
    data.notes += _notes(data, len(images), normals, sizes)
    return data


def _sample(images: Sequence[LabeledImage], generator: np.random.Generator) -> list[LabeledImage]:
    """All images, or a thousand of them: as many of the rarer label as half of that allows."""
    if len(images) <= MAX_IMAGES:
        return list(images)
    by_label = [[i for i, image in enumerate(images) if image.is_anomalous is label] for label in (False, True)]
    rarer = min(min(map(len, by_label)), MAX_IMAGES // 2)
    kept: list[int] = []
    for indices in by_label:
        quota = rarer if len(indices) == min(map(len, by_label)) else MAX_IMAGES - rarer
        kept += generator.permutation(indices)[:quota].tolist()
    return [images[i] for i in sorted(kept)]


# As clients of the API expect, and event schemas demand.
_TYPE_NAME = re.compile(r"[a-zA-Z0-9]{1,256}")


def _tiles(images: Sequence[LabeledImage]) -> int:
    """By the longest side of some of the images: none up to 1024 px, then about 512 px a tile, an even number."""
    sides = []
    for image in images[:: -(-len(images) // _SIZED)]:
        with _blaming(image):
            header = read_header(image.read())
        sides.append(max(header.height, header.width))
    usual = float(np.median(sides))
    return 1 if usual <= _SEEN_WHOLE_PX else 2 * min(max(round(usual / 1024), 1), 4)


def _read_image(image: LabeledImage, into: ByteArray, tiles: int) -> tuple[int, int]:
    data = image.read()
    with _blaming(image):
        header = read_header(data)
        large = decode_for_model(data, INPUT_SIDE_PX * tiles, INPUT_SIDE_PX * tiles)
    fields = large.reshape(INPUT_SIDE_PX, tiles, INPUT_SIDE_PX, tiles, 3)
    into[:] = np.rint(fields.mean(axis=(1, 3), dtype=np.float32))
    return header.height, header.width


@contextmanager
def _blaming(image: LabeledImage) -> Iterator[None]:
    try:
        yield
    except ImageRejectedError as error:
        raise TrainingDataError(f"{image.name} cannot be used: {error.message}") from error


def _read_outline(
    image: LabeledImage, read: Callable[[], bytes], size: tuple[int, int], types: dict[str, str]
) -> ByteArray:
    """The labels of one mask, renumbered to the whole set's `types`, which grows by those that are new."""
    labels = read_mask(read(), image.colors, name=image.name, height=size[0], width=size[1])
    own = [(name, color) for name, color in image.colors.items() if not is_background(name)]
    numbers = [0]
    for name, color in own:
        if not _TYPE_NAME.fullmatch(name):
            raise TrainingDataError(f"Anomaly type {name!r} of {image.name} must be 1 to 256 letters and digits")
        types.setdefault(name, color)
        numbers.append(list(types).index(name) + 1)
    return np.array(numbers, np.uint8)[reduce_labels(labels, _OUTLINE_SIDE_PX)]


def _drop_unseen_types(data: TrainingSet) -> None:
    """Leave only types that some mask shows, numbered anew; without any, the set is one for classification."""
    seen = sorted({int(i) for outline in data.outlines.values() for i in np.unique(outline)} - {0})
    names = list(data.types)
    unseen = [name for i, name in enumerate(names, start=1) if i not in seen]
    if unseen:
        data.notes.append(f"No mask shows {', '.join(unseen)}; the model will not know it")
    numbers = np.zeros(len(names) + 1, np.uint8)
    numbers[seen] = np.arange(1, len(seen) + 1)
    data.outlines = {i: numbers[outline] for i, outline in data.outlines.items()} if seen else {}
    data.types = {names[i - 1]: data.types[names[i - 1]] for i in seen}


def _usual_aspect(sizes: Counter[tuple[int, int]]) -> float:
    ((height, width), _), *_ = sizes.most_common(1)
    return width / height


def _notes(data: TrainingSet, given: int, normals: int, sizes: Counter[tuple[int, int]]) -> list[str]:
    notes = []
    if given > MAX_IMAGES:
        notes.append(f"{MAX_IMAGES} of the {given} images were drawn for training")
    if normals < _FEW_NORMAL_IMAGES:
        notes.append(f"Only {normals} normal images: thresholds are fragile below {_FEW_NORMAL_IMAGES}, aim for 20")
    if len(sizes) > 1:
        usual = ", ".join(f"{width} x {height} ({count})" for (height, width), count in sizes.most_common(3))
        notes.append(
            f"The images have {len(sizes)} sizes, such as {usual}: any size will be accepted, but one is better"
        )
    unmasked = int(data.is_anomalous.sum()) - len(data.outlines)
    if data.types and unmasked:
        notes.append(f"{unmasked} anomalous images have no mask: they help the verdict, not the outlines")
    for number, name in enumerate(data.types, start=1):
        count = sum(bool((outline == number).any()) for outline in data.outlines.values())
        if count < _FEW_IMAGES_OF_A_TYPE:
            notes.append(f"Only {count} images show {name}: its outlines are fragile below {_FEW_IMAGES_OF_A_TYPE}")
    return notes
