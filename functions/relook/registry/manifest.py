"""Ground Truth manifests: JSON Lines, one `ManifestEntry` each. Split into lines and checked as a whole here alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from relook.aws.bucket import S3Uri
from relook.registry.manifest_entry import MAX_LINE_CHARS, ManifestEntry, parse_entry

_SHOWN_PROBLEMS = 10  # in a message; the report has them all
_MAX_SHOWN_CHARS = 300  # of one problem: a line's own text may be in it
_LINE_END = re.compile(rb"\r\n|\n|\r")
# A character of UTF-8 has at most 4 bytes: a longer line has too many characters, and its rest need not be kept.
_KEPT_BYTES = 4 * MAX_LINE_CHARS + 8
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True)
class LineProblem:
    """Why one line (counted from 1) cannot be used."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


@dataclass(frozen=True)
class UsableLine:
    """A line (counted from 1) as it came, without the white space around it, and what it says."""

    number: int
    line: str
    entry: ManifestEntry


@dataclass(frozen=True)
class CheckedLines:
    """The lines of a manifest.

    Attributes:
        count: of lines that are not empty.
        usable: by source-ref, in the order in which each first came.
        problems: of lines that make the manifest unusable.
        unlabeled: of usable lines that no model is trained with.
    """

    count: int
    usable: dict[str, UsableLine]
    problems: list[LineProblem]
    unlabeled: list[LineProblem]


def check_lines(
    lines: Iterable[str], bucket: str | None, *, may_repeat: bool, may_be_local: bool = False
) -> CheckedLines:
    """Read every line of a manifest; a bad one is reported and does not stop the others. Empty lines are skipped.

    Args:
        bucket: where the dataset's images lie; None where it has none yet, and the first usable line decides.
        may_repeat: the last of several lines for one image counts; otherwise all but the first are problems.
        may_be_local: images and masks may lie anywhere, beside the manifest too.
    """
    usable: dict[str, UsableLine] = {}
    problems = []
    count = 0
    for number, line in enumerate(lines, 1):
        if is_blank(line):
            continue
        count += 1
        try:
            entry = parse_entry(line)
            if not may_be_local:
                bucket = _check_places(entry, bucket)
            if entry.source_ref in usable and not may_repeat:
                raise ValueError(f"source-ref {entry.source_ref!r} stands in an earlier line too")
        except ValueError as error:
            problems.append(LineProblem(number, str(error)))
        else:
            usable[entry.source_ref] = UsableLine(number, line.strip(), entry)
    unlabeled = [
        LineProblem(each.number, each.entry.why_unlabeled)
        for each in usable.values()
        if each.entry.is_anomalous is None
    ]
    return CheckedLines(count, usable, problems, unlabeled)


def first_problems(problems: Sequence[LineProblem]) -> str:
    """The first ten, for a sentence that has their number."""
    more = "; …" if len(problems) > _SHOWN_PROBLEMS else ""
    return "; ".join(_shortened(str(each)) for each in problems[:_SHOWN_PROBLEMS]) + more


def lines_of(chunks: Iterable[bytes]) -> Iterator[str]:
    """The lines in UTF-8 bytes that come in chunks of any size; of a line beyond the limit, no more than shows that.

    Raises:
        UnicodeError: names the first line that is not UTF-8.
    """
    rest, number = b"", 0
    for chunk in chunks:
        data = rest + chunk
        held = b"\r" if data.endswith(b"\r") else b""  # perhaps half of a line end
        *whole, rest = _LINE_END.split(data.removesuffix(held))
        for line in whole:
            number += 1
            yield _text(line, number)
        rest = rest[:_KEPT_BYTES] + held
    if rest:
        yield _text(rest.removesuffix(b"\r"), number + 1)


def is_blank(line: str) -> bool:
    """Whether the line holds nothing; one beyond the limit always holds something."""
    return len(line) <= MAX_LINE_CHARS and not line.strip()


def _text(line: bytes, number: int) -> str:
    is_cut = len(line) >= _KEPT_BYTES  # perhaps within a character
    try:
        text = line.decode(errors="replace" if is_cut else "strict")
    except UnicodeDecodeError:
        raise UnicodeError(f"line {number} is not UTF-8 text") from None
    return text.removeprefix(_BYTE_ORDER_MARK)  # of any line: manifests are made of others, one behind the other


def _check_places(entry: ManifestEntry, bucket: str | None) -> str:
    """The bucket of the image, which must be the dataset's.

    Raises:
        ValueError: it is in another one, or the image or the mask is not in S3 at all.
    """
    image_bucket = S3Uri.parse(entry.source_ref).bucket
    if entry.mask_ref is not None:
        S3Uri.parse(entry.mask_ref)
    if bucket is not None and image_bucket != bucket:
        raise ValueError(f"source-ref {entry.source_ref!r} must lie in bucket {bucket!r} as the dataset's other images")
    return image_bucket


def _shortened(text: str) -> str:
    return f"{text[:_MAX_SHOWN_CHARS]}…" if len(text) > _MAX_SHOWN_CHARS else text
