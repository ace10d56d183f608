"""What names of folders and files say of the images in them, in the words of labelling tools and public sets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png"}
CONVERTED_SUFFIXES = {".bmp", ".dib", ".tif", ".tiff"}
NAMES_SHOWN = 10  # in a message
# fmt: off
_NORMAL = frozenset(
    (
        "normal", "normals", "good", "goods", "ok", "okay", "pass", "passed", "fine", "perfect", "intact",
        "undamaged", "healthy", "conform", "conforming", "non_defective", "nondefective", "no_defect",
        "no_defects", "defect_free", "without_defect", "io", "i_o", "in_ordnung", "gut",
    )
)
_ANOMALOUS = frozenset(
    (
        "anomaly", "anomalies", "anomalous", "abnormal", "abnormality", "defect", "defects", "defective",
        "bad", "ng", "n_g", "nok", "not_ok", "n_ok", "ko", "no_good", "not_good", "fail", "failed", "failure",
        "faulty", "fault", "faults", "damaged", "damage", "broken", "flawed", "reject", "rejected",
        "nonconforming", "non_conforming", "scrap", "nio", "n_i_o", "schlecht", "defekt",
    )
)
# fmt: on
_MASKS = frozenset(("mask", "masks", "ground_truth", "groundtruth", "gt", "mask_images", "maskimages"))
_TRAIN = frozenset(("train", "training"))
_TEST = frozenset(("test", "testing", "val", "valid", "validation"))
_OF_IMAGES = re.compile(r"_(images?|imgs?|parts?|samples?|pictures?|photos?)$")
_OF_MASK = re.compile(r"[ _.\-]+(masks?|gt|ground[_\-]?truth)$", re.IGNORECASE)
_LITTER = {"thumbs.db", "desktop.ini", "__macosx"}


def plain(name: str) -> str:
    """In small letters, with one `_` for whatever parts its words."""
    return re.sub(r"[\s_.\-]+", "_", name.strip().casefold()).strip("_")


def label_of(folder: Path) -> bool | None:
    """Whether a folder's name says anomalous (True) or normal (False); None where it says neither."""
    name = plain(folder.name)
    for each in (name, _OF_IMAGES.sub("", name)):
        if each in _NORMAL or each in _ANOMALOUS:
            return each in _ANOMALOUS
    return None


def holds_masks(folder: Path) -> bool:
    """Whether a folder's name says that masks are in it."""
    return plain(folder.name) in _MASKS


def is_training(folder: Path) -> bool:
    """Whether a folder's name says that one is to train with what is in it."""
    return plain(folder.name) in _TRAIN


def is_part(folder: Path) -> bool:
    """Whether a folder's name says that it is one part of a set that was split, to train or to test with."""
    return plain(folder.name) in _TRAIN | _TEST


def without_mask(stem: str) -> str:
    """The name of the image whose mask `NAME_mask` is; other names as they are. In small letters."""
    return _OF_MASK.sub("", stem).casefold()


def is_image(path: Path) -> bool:
    """Whether a file's name says that it is an image that can be read."""
    return path.suffix.lower() in IMAGE_SUFFIXES | CONVERTED_SUFFIXES


def folders_in(path: Path) -> list[Path]:
    """By name."""
    return sorted(each for each in path.iterdir() if each.is_dir() and not _is_litter(each))


def files_in(path: Path) -> list[Path]:
    """Directly in it, by name; links that lead nowhere too, for they are meant to be files."""
    return sorted(each for each in path.iterdir() if not each.is_dir() and not _is_litter(each))


def files_below(path: Path) -> list[Path]:
    """In it and in all folders of it, by name."""
    return sorted(_walk(path))


def list_of_files(names: Sequence[str], reason: str) -> str:
    """One sentence: how many files are not read, why, and the first ten."""
    count = "1 file is" if len(names) == 1 else f"{len(names):,} files are"
    more = ", …" if len(names) > NAMES_SHOWN else ""
    return f"{count} not read, for {reason}: {', '.join(sorted(names)[:NAMES_SHOWN])}{more}"


def _walk(folder: Path) -> Iterator[Path]:
    yield from files_in(folder)
    for each in folders_in(folder):
        yield from _walk(each)


def _is_litter(path: Path) -> bool:
    """What operating systems leave behind."""
    return path.name.startswith(".") or path.name.casefold() in _LITTER
