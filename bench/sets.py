"""Labelled sets to measure accuracy on: generated products, and folders of real images where there are any."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from cli.datasets import read_folder
from local.products import PRODUCTS, render
from relook.learning.data.samples import LabeledImage
from relook.registry.manifest import parse_manifest


@dataclass(frozen=True)
class LabeledSet:
    """A set, split once.

    Attributes:
        split: how, in words.
        is_whole: the split was ours, so the cross-fitted figures of a training on everything are of interest too.
    """

    name: str
    train: list[LabeledImage]
    test: list[LabeledImage]
    split: str
    is_whole: bool


def generated_set(product: str, normals: int, anomalies: int) -> LabeledSet:
    """Pictures of a generated product as JPEG, half to train on and half to test; each anomaly has one defect."""
    defects = list(PRODUCTS[product].defects)
    colors = {name: defect.color for name, defect in PRODUCTS[product].defects.items()}

    def picture(seed: int, spoiled: bool) -> LabeledImage:
        found = render(product, seed, (defects[seed % len(defects)],) if spoiled else ())
        image = _encoded(found.image, "JPEG")
        if not spoiled:
            return LabeledImage(f"{product}/normal-{seed}.jpg", lambda: image, False)
        palette = np.array([list(bytes.fromhex(color[1:])) for color in ("#FFFFFF", *colors.values())], np.uint8)
        mask = _encoded(palette[found.mask], "PNG")
        return LabeledImage(f"{product}/anomaly-{seed}.jpg", lambda: image, True, lambda: mask, colors)

    def part(first: int) -> list[LabeledImage]:
        spoiled = range(first + normals, first + normals + anomalies)
        return [picture(s, False) for s in range(first, first + normals)] + [picture(s, True) for s in spoiled]

    split = f"{normals} normal and {anomalies} anomalous pictures each to train and to test"
    return LabeledSet(product, part(1000), part(9000), split, is_whole=False)


def real_sets(folder: Path) -> list[LabeledSet]:
    """The sets of a folder: itself, or each folder in it, laid out as the README says, with train/ and test/, or as a
    Ground Truth manifest whose objects lie somewhere beneath it."""
    found = _real_set(folder)
    if found is not None:
        return [found]
    return [each for child in sorted(folder.iterdir()) if child.is_dir() and (each := _real_set(child)) is not None]


def _real_set(folder: Path) -> LabeledSet | None:
    if (folder / "train" / "normal").is_dir() and (folder / "test" / "normal").is_dir():
        return LabeledSet(
            folder.name,
            read_folder(folder / "train"),
            read_folder(folder / "test"),
            "its own train and test folders",
            is_whole=False,
        )
    if (folder / "normal").is_dir():
        return _halved(folder.name, read_folder(folder))
    manifests = sorted(folder.glob("*.manifest"), key=lambda path: ("segmentation" not in path.name, path.name))
    return _halved(folder.name, _read_manifest(manifests[0])) if manifests else None


def _halved(name: str, images: list[LabeledImage]) -> LabeledSet:
    """Every other original of each label; rotated copies, named `<degrees>_<original>`, stay together."""
    halves: tuple[list[LabeledImage], list[LabeledImage]] = ([], [])
    for label in (False, True):
        own = [image for image in images if image.is_anomalous is label]
        originals = sorted({_original(image) for image in own})
        order = {each: i for i, each in enumerate(np.random.default_rng(0).permutation(originals).tolist())}
        for image in own:
            halves[order[_original(image)] % 2].append(image)
    return LabeledSet(name, *halves, "halves drawn once, copies of one original together", is_whole=True)


def _original(image: LabeledImage) -> str:
    return re.sub(r"^\d+_(?=\D)", "", Path(image.name).name)


def _read_manifest(path: Path) -> list[LabeledImage]:
    """Like `cli.datasets.read_manifest`, with each object looked for beneath the manifest's folder."""

    def local(reference: str) -> Callable[[], bytes]:
        parts = Path(reference).parts
        for start in range(len(parts)):
            candidate = path.parent.joinpath(*parts[start:])
            if start and candidate.is_file():
                return candidate.read_bytes
        raise FileNotFoundError(f"{path} names {reference}, of which no file lies beneath {path.parent}")

    return [
        LabeledImage(
            entry.source_ref,
            local(entry.source_ref),
            bool(entry.is_anomalous),
            local(entry.mask_ref) if entry.mask_ref and entry.is_anomalous else None,
            entry.colors,
        )
        for entry in parse_manifest(path.read_text("utf-8").splitlines()).entries
        if entry.is_anomalous is not None
    ]


def _encoded(pixels: np.ndarray, format_: str) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, format_, quality=92)
    return file.getvalue()
