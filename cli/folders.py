"""Folders of labelled images as people have them: labels by the folder's name, masks by the file's.

What is common is read, what is ambiguous is refused, and what is left out is said: no file goes without a word.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from cli.conversion import reader
from cli.folder_names import (
    CONVERTED_SUFFIXES,
    NAMES_SHOWN,
    files_below,
    files_in,
    folders_in,
    holds_masks,
    is_image,
    is_part,
    is_training,
    label_of,
    list_of_files,
    plain,
    without_mask,
)
from cli.output import CommandError
from relook.learning.data.samples import LabeledImage

_COLORS_FILE = "colors.json"
_WANTED = "normal/ (or good, ok, pass) for normal images, anomaly/ (or defect, bad, ng, fail) for anomalous ones"
_HOMELESS = "they lie in no folder that says what they are"
_NEITHER = "their folder's name is neither that of normal nor of anomalous images"


class LabeledImages(list[LabeledImage]):
    """Labelled images.

    Attributes:
        notes: sentences about what was left out, for the person who keeps them.
    """

    def __init__(self, images: Iterable[LabeledImage], notes: Sequence[str] = ()) -> None:
        super().__init__(images)
        self.notes = list(notes)


def read_folder(folder: Path) -> LabeledImages:
    """The images below `normal/` and `anomaly/`, or folders whose names say the same, with the masks below `masks/`.

    They may lie in the folder itself or in its train/ and test/. There, as MVTec AD has it, `test/<type>` holds
    anomalous images of that type, and `ground_truth/<type>/NAME_mask.png` their masks.

    Raises:
        CommandError: there are no normal images, or it is not clear what is meant; says what would be.
    """
    sorted_files = _Sorted(folder)
    children = folders_in(folder)
    parts = [each for each in children if is_part(each)]
    if parts and all(label_of(each) is None for each in children):
        sorted_files.read_parts(children, parts)
    else:
        sorted_files.read_labels(folder, {})
    if not sorted_files.normal:
        raise CommandError(_why_no_normals(folder, children, sorted_files.normal_folders))
    masks = sorted_files.match_masks()
    images = [LabeledImage(sorted_files.name(path), reader(path), False) for path in sorted(sorted_files.normal)]
    for path, (_, kind) in sorted(sorted_files.anomalous.items()):
        mask = masks.get(path)
        image = LabeledImage(sorted_files.name(path), reader(path), True, mask_type=kind or "anomaly")
        images.append(replace(image, read_mask=reader(mask), colors=sorted_files.colors_of(mask)) if mask else image)
    return LabeledImages(images, sorted_files.notes())


Place = tuple[str, ...]
"""Where a file lies within its folder of images or masks: the folders' plain names, and the file's, without suffix."""


@dataclass
class _Sorted:
    """A folder's files, by what they are.

    Attributes:
        anomalous: image -> its place, and its type where the folder names one.
        left: why not -> files that are not read.
    """

    folder: Path
    normal: list[Path] = field(default_factory=list)
    anomalous: dict[Path, tuple[Place, str | None]] = field(default_factory=dict)
    masks: dict[Path, Place] = field(default_factory=dict)
    colors: dict[Path, dict[str, str]] = field(default_factory=dict)
    normal_folders: list[Path] = field(default_factory=list)
    left: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    remarks: list[str] = field(default_factory=list)

    def name(self, path: Path) -> str:
        """As people know the file: within the folder."""
        return str(path.relative_to(self.folder))

    def notes(self) -> list[str]:
        """How the folder was understood, and a sentence for each reason why files were left out."""
        return [
            *self.remarks,
            *(list_of_files([self.name(each) for each in paths], why) for why, paths in self.left.items() if paths),
        ]

    def read_parts(self, children: Sequence[Path], parts: Sequence[Path]) -> None:
        """A set that was split into train/ and test/, beside which ground_truth/ may lie."""
        truths = [each for each in children if holds_masks(each)]
        types = _types(parts, truths)
        for part in parts:
            self.read_labels(part, types)
        for truth in truths:
            self._read_masks(truth)
        for other in children:
            if other not in (*parts, *truths):
                self.left[_NEITHER] += files_below(other)
        self._read_loose(self.folder)
        if len(parts) > 1:
            names = " and ".join(f"{each.name}/" for each in parts)
            self.remarks.append(f"Images of {names} are learned from alike; each is judged by a model without it")
        if types:
            self.remarks.append(f"Folders read as types of anomalies: {', '.join(sorted(set(types.values())))}")

    def read_labels(self, root: Path, types: Mapping[Path, str]) -> None:
        """A folder whose folders are labels, types or masks."""
        for each in folders_in(root):
            label = label_of(each)
            if each in types:
                self._read_images(each, each, True, types[each])
            elif label is not None:
                self.normal_folders += [each] * (not label)
                self._read_images(each, each, label, None)
            elif holds_masks(each):
                self._read_masks(each)
            else:
                self.left[_NEITHER] += files_below(each)
        self._read_loose(root)

    def match_masks(self) -> dict[Path, Path]:
        """Anomalous image -> its mask: by the folders that both lie in, else by the file's name alone.

        Raises:
            CommandError: several images could be meant by one mask, or an image has several masks.
        """
        by_name: dict[str, list[Path]] = defaultdict(list)
        for path in self.anomalous:
            for name in {path.stem.casefold(), path.name.casefold()}:
                by_name[name].append(path)
        normals = {name for path in self.normal for name in (path.stem.casefold(), path.name.casefold())}
        claims: dict[Path, list[Path]] = defaultdict(list)
        for mask, place in self.masks.items():
            names = (place[-1], without_mask(place[-1]))
            images = next((by_name[name] for name in names if name in by_name), [])
            meant = self._nearest(images, partial(self._nearness, mask))
            if len(meant) > 1:
                raise CommandError(
                    f"{self.name(mask)} could be the mask of {' and '.join(map(self.name, meant[:NAMES_SHOWN]))}; give"
                    " the masks the subfolders of their images, or the images different names"
                )
            if meant:
                claims[meant[0]].append(mask)
            else:
                is_of_normal = any(name in normals for name in names)
                reason = "normal images need no masks" if is_of_normal else "they are masks of no anomalous image"
                self.left[reason].append(mask)
        return {image: self._only(image, masks) for image, masks in claims.items()}

    def colors_of(self, mask: Path) -> dict[str, str]:
        """What a mask's colours mean, by the nearest colors.json above it; empty without one: all masks decide."""
        for folder in mask.parents:
            if folder in self.colors:
                return self.colors[folder]
        return {}

    def _read_images(self, folder: Path, top: Path, is_anomalous: bool, kind: str | None) -> None:
        """The images of one label, and the masks that lie among them."""
        files = files_in(folder)
        stems = {each.stem.casefold() for each in files if is_image(each)}
        for path in files:
            if self._takes_colors(path):
                continue
            stem = path.stem.casefold()
            if not is_image(path):
                self.left["only PNG, JPEG, BMP and TIFF are"].append(path)
            elif without_mask(stem) != stem and without_mask(stem) in stems:
                self.masks[path] = _place(path, top)
            elif is_anomalous:
                self.anomalous[path] = _place(path, top), kind
            else:
                self.normal.append(path)
        for child in folders_in(folder):
            if holds_masks(child):
                self._read_masks(child)
            elif label_of(child) is (not is_anomalous):
                words = ("anomalous", "normal") if is_anomalous else ("normal", "anomalous")
                raise CommandError(
                    f"{child} lies in a folder of {words[0]} images, but its name says {words[1]}; move or rename it"
                )
            else:
                self._read_images(child, top, is_anomalous, kind)

    def _read_masks(self, folder: Path) -> None:
        for path in files_below(folder):
            if self._takes_colors(path):
                continue
            if path.suffix.lower() in {".png", *CONVERTED_SUFFIXES}:
                self.masks[path] = _place(path, folder)
            else:
                self.left["masks must be PNG, which keeps their colours exact"].append(path)

    def _read_loose(self, root: Path) -> None:
        self.left[_HOMELESS] += [each for each in files_in(root) if not self._takes_colors(each)]

    def _takes_colors(self, path: Path) -> bool:
        """Read a colors.json; whether it is one."""
        if path.name == _COLORS_FILE:
            self.colors[path.parent] = _read_colors(path)
        return path.name == _COLORS_FILE

    def _only(self, image: Path, masks: list[Path]) -> Path:
        """The image's mask. Where images of one name lie in train/ and in test/, say, the nearest is meant.

        Raises:
            CommandError: there are several.
        """
        nearest = self._nearest(masks, lambda mask: self._nearness(mask, image))
        if len(nearest) > 1:
            raise CommandError(
                f"{self.name(image)} has several masks, {' and '.join(map(self.name, nearest[:NAMES_SHOWN]))}; keep"
                " one, with all types painted into it"
            )
        self.left["another mask lies nearer to their image"] += [each for each in masks if each not in nearest]
        return nearest[0]

    def _nearness(self, mask: Path, image: Path) -> tuple[bool, int]:
        """Whether both lie in the same subfolders, and how many folders hold both."""
        place, _ = self.anomalous[image]
        folders = place[:-1]
        label = plain(image.parents[len(folders)].name)
        is_same = self.masks[mask][:-1] in (folders, (label, *folders))
        return is_same, sum(parent in image.parents for parent in mask.parents)

    @staticmethod
    def _nearest(paths: list[Path], nearness: Callable[[Path], tuple[bool, int]]) -> list[Path]:
        best = max(map(nearness, paths), default=None)
        return [each for each in paths if nearness(each) == best]


def _types(parts: Sequence[Path], truths: Sequence[Path]) -> dict[Path, str]:
    """Folders of test/ that are named for a type: those that ground_truth/ has too; without one, all that are named for
    nothing else, if none is named for anomalies."""
    labels = {each: label_of(each) for part in parts for each in folders_in(part)}
    if False not in labels.values():
        return {}
    if truths:
        named = {plain(each.name) for truth in truths for each in folders_in(truth)}
        chosen = [each for each, label in labels.items() if plain(each.name) in named and label is not False]
    else:
        chosen = [each for each, label in labels.items() if label is None and not holds_masks(each)]
        chosen = [] if True in labels.values() else chosen
    return {each: each.name for each in chosen if not is_training(each.parent)}


def _why_no_normals(folder: Path, children: Sequence[Path], normal_folders: Sequence[Path]) -> str:
    if normal_folders:
        return f"{normal_folders[0]} has no images in PNG, JPEG, BMP or TIFF; put images of normal parts there"
    names = ", ".join(f"{each.name}/" for each in children[:NAMES_SHOWN])
    return f"{folder} has {names or 'no folders'}, none of normal images; name them {_WANTED}"


def _place(path: Path, top: Path) -> Place:
    inside = path.relative_to(top)
    return (*(plain(each) for each in inside.parent.parts), inside.stem.casefold())


def _read_colors(path: Path) -> dict[str, str]:
    try:
        return {str(name): str(color) for name, color in json.loads(path.read_text("utf-8-sig")).items()}
    except (ValueError, AttributeError) as error:
        raise CommandError(f'{path} must look like {{"scratch": "#7ED321"}}: {error}') from error
