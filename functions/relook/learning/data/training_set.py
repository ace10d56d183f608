"""Labelled images checked, counted and drawn; their masks read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from relook.detection.arrays import ByteArray, FloatArray
from relook.detection.image import decode, read_header, read_reach
from relook.detection.levels import WHOLE_RANGE, Levels, Reach, fit_levels
from relook.detection.regions import Regions
from relook.detection.result import is_background, is_type_name
from relook.detection.view import Cut
from relook.errors import ImageRejectedError, TrainingDataError
from relook.learning.data.mask_colors import free_color, settle_colors
from relook.learning.data.masks import outside, read_mask
from relook.learning.data.samples import LabeledImage

MIN_NORMAL_IMAGES = 10  # of fewer, spreads and quantiles would say nothing
MAX_IMAGES = 1000  # what a training's memory holds at the usual number of pixels
_FEW_NORMAL_IMAGES = 15  # of fewer, thresholds were fragile in the first experiments
_FEW_IMAGES_OF_A_TYPE = 5  # of fewer, most folds would hold none to check outlines by

OnProgress = Callable[[str, int, int], None]


@dataclass
class TrainingSet:
    """What there is to learn from, besides pixels.

    Attributes:
        images: those drawn, in the order given.
        is_anomalous: (n,) bool.
        size: (height, width) of every image, None when they differ.
        types: name -> colour, only types that some mask shows.
        outlines: image index -> (h, w) uint8 labels, 0 background, i the i-th type; longest side at most 1024.
        levels: what is black and white in the normal images of 16 bits a channel; None where there are none.
        regions: of every image, that are ignored: nothing is outlined there. None for none.
        notes: sentences for the person who labelled the images.
    """

    images: list[LabeledImage]
    is_anomalous: NDArray[np.bool_]
    size: tuple[int, int] | None
    types: dict[str, str]
    outlines: dict[int, ByteArray]
    levels: Levels | None = None
    regions: Regions | None = None
    notes: list[str] = field(default_factory=list)

    def limited(self, count: int, generator: np.random.Generator) -> TrainingSet:
        """So many of the images at most, for those that take more memory each."""
        kept = _drawn(self.is_anomalous, count, generator)
        note = f"{count} of the {len(self.images)} images were drawn: they are seen at many pixels"
        return self if len(kept) == len(self.images) else self._only(kept, note)

    def outside(self, regions: Regions) -> TrainingSet:
        """Where nothing of these regions is known, and no image that shows its defects nowhere else."""
        outlines = {index: outside(outline, regions) for index, outline in self.outlines.items()}
        hidden = [index for index, outline in self.outlines.items() if outline.any() and not outlines[index].any()]
        notes = [*self.notes, f"{regions.share:.1%} of the image is ignored: it is neither learned from nor judged"]
        data = replace(self, outlines=outlines, regions=regions, notes=notes)
        if not hidden:
            return data
        kept = np.setdiff1d(np.arange(len(self.images)), hidden)
        return data._only(kept, f"{len(hidden)} images have all their defects where it is ignored: they are left out")

    def _only(self, kept: NDArray[np.intp], note: str) -> TrainingSet:
        places = {int(index): place for place, index in enumerate(kept)}
        return replace(
            self,
            images=[self.images[index] for index in kept],
            is_anomalous=self.is_anomalous[kept],
            outlines={places[index]: outline for index, outline in self.outlines.items() if index in places},
            notes=[*self.notes, note],
        )

    def coverage(self, index: int, cut: Cut, height: int, width: int) -> FloatArray:
        """(types, height, width) share of each cell of the cut's canvas that the image's mask paints; 0 without one."""
        shares = np.zeros((len(self.types), height, width), np.float32)
        if index not in self.outlines:
            return shares
        for kind in range(len(self.types)):
            shares[kind] = cut.shares(self.outlines[index] == kind + 1, height, width)
        return shares


def load_training_set(
    images: Sequence[LabeledImage],
    generator: np.random.Generator,
    on_progress: OnProgress,
    regions: Regions | None = None,
) -> TrainingSet:
    """Read every image's header and every mask.

    Args:
        regions: that are ignored.
    Raises:
        TrainingDataError: too few normal images, or an image or mask that cannot be used; names it.
    """
    normals = sum(not image.is_anomalous for image in images)
    if normals < MIN_NORMAL_IMAGES:
        raise TrainingDataError(
            f"There are {normals} normal images; at least {MIN_NORMAL_IMAGES} are needed, and 20 or more are better"
        )
    labels = np.array([image.is_anomalous for image in images])
    chosen, notes = settle_colors([images[index] for index in _drawn(labels, MAX_IMAGES, generator)])
    sizes: Counter[tuple[int, int]] = Counter()
    types: dict[str, str] = {}
    outlines: dict[int, ByteArray] = {}
    reaches: list[Reach] = []
    problems: list[str] = []
    for index, image in enumerate(chosen):
        try:
            encoded = image.read()
            header = read_header(encoded)
            reach = None if image.is_anomalous else read_reach(encoded)
            reaches += [reach] if reach else []
            size = header.height, header.width
            sizes[size] += 1
            if image.is_anomalous and image.read_mask is not None:
                outlines[index] = _read_outline(image, image.read_mask, size, types)
        except (ImageRejectedError, OSError, TrainingDataError) as error:
            problems.append(_problem(image, error))
        on_progress("reading images", index + 1, len(chosen))
    if problems:
        raise _unusable(problems)
    data = TrainingSet(
        images=chosen,
        is_anomalous=np.array([image.is_anomalous for image in chosen]),
        size=next(iter(sizes)) if len(sizes) == 1 else None,
        types=types,
        outlines=outlines,
        levels=fit_levels(reaches) if reaches else None,
        notes=notes,
    )
    if data.levels and data.levels != WHOLE_RANGE:
        seen = f"levels {data.levels.black} to {data.levels.white - 1} of 16 bits a channel"
        data.notes.append(
            f"{len(reaches)} normal images use {seen}: those are taken for black to white, in every image"
        )
    data = data.outside(regions) if regions else data
    _drop_unseen_types(data)
    data.notes += _notes(data, len(images), normals, sizes)
    return data


def _drawn(is_anomalous: NDArray[np.bool_], count: int, generator: np.random.Generator) -> NDArray[np.intp]:
    """Indices of all images, or of `count`: as many of the rarer label as half of that allows."""
    if len(is_anomalous) <= count:
        return np.arange(len(is_anomalous))
    by_label = [np.flatnonzero(is_anomalous == label) for label in (False, True)]
    rarer = min(min(map(len, by_label)), count // 2)
    kept = []
    for indices in by_label:
        quota = rarer if len(indices) == min(map(len, by_label)) else count - rarer
        kept.append(generator.permutation(indices)[:quota])
    return np.sort(np.concatenate(kept))


def damaged_images(images: Sequence[LabeledImage]) -> TrainingDataError:
    """What to raise when the pixels of one image could not be decoded: names all such images, of whatever label."""
    problems = []
    for image in images:
        try:
            decode(image.read())
        except (ImageRejectedError, OSError, TrainingDataError) as error:
            problems.append(_problem(image, error))
    return _unusable(problems)


_SHOWN_PROBLEMS = 10  # a status message has to stay readable; whoever mends these sees the next


def _problem(image: LabeledImage, error: Exception) -> str:
    if isinstance(error, TrainingDataError):  # which names it
        return str(error)
    return f"{image.name} cannot be used: {error.message if isinstance(error, ImageRejectedError) else error}"


def _unusable(problems: Sequence[str]) -> TrainingDataError:
    if len(problems) == 1:
        return TrainingDataError(problems[0])
    more = "; …" if len(problems) > _SHOWN_PROBLEMS else ""
    return TrainingDataError(f"{len(problems)} images cannot be used: {'; '.join(problems[:_SHOWN_PROBLEMS])}{more}")


def _read_outline(
    image: LabeledImage, read: Callable[[], bytes], size: tuple[int, int], types: dict[str, str]
) -> ByteArray:
    """The labels of one mask, renumbered to the whole set's `types`, which grows by those that are new."""
    labels = read_mask(read(), image.colors, name=image.name, height=size[0], width=size[1])
    own = [(name, color) for name, color in image.colors.items() if not is_background(name)]
    numbers = [0]
    for name, color in own:
        if not is_type_name(name):
            raise TrainingDataError(
                f"Anomaly type {name!r} of {image.name} must be 1 to 256 characters, without control characters"
            )
        if name not in types:
            # Masks painted black on white are alike for every type.
            is_taken = color.upper() in {each.upper() for each in types.values()}
            types[name] = free_color(types.values()) if is_taken else color
        numbers.append(list(types).index(name) + 1)
    return np.array(numbers, np.uint8)[labels]


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
