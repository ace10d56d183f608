"""Labelled sets to measure accuracy on: generated products, and folders of real images where there are any."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from bench.pictures import encoded
from cli.datasets import read_folder, read_manifest
from cli.output import err
from local.products import PRODUCTS, render
from local.products.dataset import JPEG_QUALITY
from relook.aws.clients import Clients
from relook.learning.data.mask_colors import settle_colors
from relook.learning.data.samples import LabeledImage

MAX_NORMALS = 150
"""Of a set that came with more to train on: as many as people label."""

T = TypeVar("T")


@dataclass(frozen=True)
class LabeledSet:
    """A set, split once.

    Attributes:
        split: how, in words.
        is_whole: the split was ours, so the cross-fitted figures of a training on everything are of interest too.
        is_generated: of a product that is rendered here; its defects are easier than real ones.
    """

    name: str
    train: list[LabeledImage]
    test: list[LabeledImage]
    split: str
    is_whole: bool = False
    is_generated: bool = False

    @property
    def normals(self) -> list[LabeledImage]:
        """To train on."""
        return [image for image in self.train if not image.is_anomalous]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which sets: the generated products, and those of some folders."""
    parser.add_argument("--data", action="append", type=Path, default=[], help="a set, or a folder of sets; repeatable")
    parser.add_argument("--only", "--sets", action="append", default=[], help="sets of this name; repeatable")


def chosen_sets(arguments: argparse.Namespace) -> list[LabeledSet]:
    """What `add_arguments` asked for."""
    chosen: list[str] = arguments.only
    if not arguments.data:
        err.print("no --data DIR given: generated products only")
    generated = [generated_set(name, 40, 30) for name in PRODUCTS if not chosen or name in chosen]
    real = [each for folder in arguments.data for each in real_sets(folder)]
    return generated + [each for each in real if not chosen or each.name in chosen]


def generated_set(product: str, normals: int, anomalies: int) -> LabeledSet:
    """Pictures of a generated product as JPEG, half to train on and half to test; each anomaly has one defect."""
    defects = list(PRODUCTS[product].defects)
    colors = {name: defect.color for name, defect in PRODUCTS[product].defects.items()}

    def picture(seed: int, spoiled: bool) -> LabeledImage:
        drawn = render(product, seed, (defects[seed % len(defects)],) if spoiled else ())
        image = encoded(drawn.image, "JPEG", quality=JPEG_QUALITY)
        if not spoiled:
            return LabeledImage(f"{product}/normal-{seed}.jpg", lambda: image, False)
        palette = np.array([list(bytes.fromhex(color[1:])) for color in ("#FFFFFF", *colors.values())], np.uint8)
        mask = encoded(palette[drawn.mask], "PNG")
        return LabeledImage(f"{product}/anomaly-{seed}.jpg", lambda: image, True, lambda: mask, colors)

    def part(first: int) -> list[LabeledImage]:
        spoiled = range(first + normals, first + normals + anomalies)
        return [picture(s, False) for s in range(first, first + normals)] + [picture(s, True) for s in spoiled]

    split = f"{normals} normal and {anomalies} anomalous pictures each to train and to test"
    return LabeledSet(product, part(1000), part(9000), split, is_generated=True)


def real_sets(folder: Path) -> list[LabeledSet]:
    """The sets of a folder: itself, or each folder in it, laid out as the README says, with train/ and test/, or as a
    Ground Truth manifest whose objects lie somewhere beneath it."""
    single = _real_set(folder)
    if single is not None:
        return [single]
    return [each for child in sorted(folder.iterdir()) if child.is_dir() and (each := _real_set(child)) is not None]


def evenly(items: Sequence[T], count: int) -> list[T]:
    """So many of them at even distances, or all."""
    if len(items) <= count:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, count).round().astype(int).tolist()]


def deal(images: Sequence[LabeledImage], hands: int) -> list[list[LabeledImage]]:
    """Every so-many-th original in an order drawn once; rotated copies, `<degrees>_<original>`, stay together."""
    originals = sorted({_original(image) for image in images})
    order = {each: i for i, each in enumerate(np.random.default_rng(0).permutation(originals).tolist())}
    return [[image for image in images if order[_original(image)] % hands == hand] for hand in range(hands)]


def _real_set(folder: Path) -> LabeledSet | None:
    if (folder / "train" / "normal").is_dir() and (folder / "test" / "normal").is_dir():
        images, test = (settle_colors(read_folder(folder / part))[0] for part in ("train", "test"))
        normals = evenly([image for image in images if not image.is_anomalous], MAX_NORMALS)
        anomalies = [image for image in images if image.is_anomalous]
        split = f"its own train and test folders, {len(normals)} normal and {len(anomalies)} anomalous images to train"
        return LabeledSet(folder.name, normals + anomalies, test, split)
    if (folder / "normal").is_dir():
        return _halved(folder.name, settle_colors(read_folder(folder))[0])
    manifests = sorted(folder.glob("*.manifest"), key=lambda path: ("segmentation" not in path.name, path.name))
    return _halved(folder.name, _read_manifest(manifests[0])) if manifests else None


def _halved(name: str, images: list[LabeledImage]) -> LabeledSet:
    """Both labels dealt to two halves."""
    by_label = [deal([image for image in images if image.is_anomalous is label], 2) for label in (False, True)]
    train, test = ([image for hands in by_label for image in hands[half]] for half in (0, 1))
    return LabeledSet(name, train, test, "halves drawn once, copies of one original together", is_whole=True)


def _original(image: LabeledImage) -> str:
    return re.sub(r"^\d+_(?=\D)", "", Path(image.name).name)


def _read_manifest(path: Path) -> list[LabeledImage]:
    """With each object looked for beneath the manifest's folder."""

    def local(reference: str) -> Callable[[], bytes]:
        parts = Path(reference).parts
        for start in range(len(parts)):
            candidate = path.parent.joinpath(*parts[start:])
            if start and candidate.is_file():
                return candidate.read_bytes
        raise FileNotFoundError(f"{path} names {reference}, of which no file lies beneath {path.parent}")

    return read_manifest(path, lambda: Clients().s3, local)
