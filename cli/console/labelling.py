"""Labelling: what an image is, and which of its pixels are anomalous; of an inspection, or of a dataset's entry."""

from __future__ import annotations

import json
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from cli.console.pages import Console, Sent, address, change, console_of, record_of, render
from cli.console.pictures import as_itself, as_model_sees, as_png, jpeg, reduced
from cli.console.reviewing import following_page, recent
from cli.dataset_entries import inspection_of
from cli.labelling import (
    Entry,
    Label,
    Painting,
    free_colors,
    known_types,
    label_inspection,
    list_entries,
    relabel_entry,
)
from relook.aws.bucket import S3Uri
from relook.aws.table import Item
from relook.detection.rendering import mask_png
from relook.errors import (
    ImageRejectedError,
    InvalidRequestError,
    NoSuchObjectError,
    ReviewedMeanwhileError,
    TrainingDataError,
)
from relook.learning.data.masks import read_labels
from relook.quality.records import image_name
from relook.quality.summary import is_truly_anomalous
from relook.registry.dataset_type import DatasetType
from relook.registry.inspections import RecordId
from relook.registry.manifest_entry import ANOMALY, NORMAL, class_name
from relook.registry.projects import describe_project
from relook.registry.reviewed_entries import ReviewedEntry
from relook.registry.reviews import Review, ReviewVerdict

PAGE_SIZE = 60  # whole rows of 2, 3, 4, 5 or 6
_MOST_DIGITS = 10
"""Of a number of images."""


@dataclass(frozen=True)
class _Subject:
    """What is labelled: an inspection, an entry, or an inspection that became one.

    Attributes:
        image: what addresses call it.
        dataset: which one it is in already.
    """

    image: str
    name: str
    record: Item | None
    entry: Entry | None

    @property
    def dataset(self) -> DatasetType | None:
        return self.entry.dataset if self.entry else None

    @property
    def label(self) -> str | None:
        """What it is, as far as a person has said."""
        is_anomalous = self.entry.stored.entry.is_anomalous if self.entry else None
        review = Review.of(self.record) if self.record else None
        if self.record and review and review.verdict is not ReviewVerdict.UNSURE:
            is_anomalous = is_truly_anomalous(self.record)
        return None if is_anomalous is None else class_name(is_anomalous)


def label(request: Request) -> Response:
    """GET /projects/{project}/label: with `image`, an inspection's id or an entry's location, a page to label it on;
    without it, the images of the datasets."""
    console = console_of(request)
    project = describe_project(console.stack.registry, request.path_params["project"]).name
    if not request.query_params.get("image"):
        return _images(request, console, project)
    subject = _subject(console, project, request.query_params["image"])
    record, entry = subject.record, subject.entry.stored.entry if subject.entry else None
    detected = _colors_of(record) if record else {}
    others = (each.stored.entry.colors.items() for each in list_entries(console.stack, project))
    types = known_types(
        entry.colors.items() if entry else [],
        detected.items(),
        *others,
        *(_colors_of(each).items() for each in recent(console, project)),
    )
    return render(
        request,
        "label.html",
        project=project,
        subject=subject,
        picture=_picture(project, subject),
        stored_mask=entry_address(project, "mask", entry.source_ref) if entry and entry.mask_ref else None,
        stored_colors=dict(entry.colors) if entry else {},
        detected_colors=detected if record and record.get("mask_uri") else {},
        types=types,
        free_colors=free_colors(types),
        following=request.query_params.get("following") or "",
    )


@change
def save(request: Request, sent: Sent) -> Response:
    """POST /projects/{project}/label: `image` is a `label`; a file is its mask, in the `colors` of its types as JSON.

    Without `colors` nobody painted, and the mask that is there stays.
    """
    console, project = console_of(request), request.path_params["project"]
    subject = _subject(console, project, sent.get("image") or "")
    said = _label(sent)
    if subject.record is None:
        assert subject.entry is not None
        relabel_entry(console.stack, project, subject.entry, said)
        return RedirectResponse(_next(console, project, subject.entry), 303)
    review = Review.of(subject.record)
    if review is not None and review.at != sent.get("seen"):
        raise ReviewedMeanwhileError(subject.record["image_uri"], review.said, review.who, review.at)
    current = subject.entry.stored.entry if subject.entry else None
    try:
        label_inspection(console.stack, subject.record, subject.dataset or _dataset(sent), said, current=current)
    finally:  # what was said is kept, even where the dataset refuses the image
        console.reports.forget()
    return RedirectResponse(following_page(sent, subject.record), 303)


def entry_picture(request: Request) -> Response:
    """GET /projects/{project}/entries/{kind}: `image` itself, a thumbnail of it, or its mask on white."""
    console, project = console_of(request), request.path_params["project"]
    entry = _entry(console, project, request.query_params.get("image", "")).stored.entry
    kind = request.path_params["kind"]
    try:
        if kind == "mask":
            if entry.mask_ref is None:
                return PlainTextResponse("It has no mask", 404)
            labels = read_labels(console.stack.read(S3Uri.parse(entry.mask_ref)), entry.colors, name=entry.source_ref)
            return as_png(mask_png(labels, list(entry.colors.values())), is_kept=False)
        data = console.stack.read(S3Uri.parse(entry.source_ref))
        hosted = describe_project(console.stack.registry, project).hosted
        version = hosted.version if hosted else None
        if kind == "thumbnail":
            return jpeg(reduced(as_model_sees(console.stack, project, version, data)))
        return as_itself(console.stack, project, version, data)
    except NoSuchObjectError:
        return PlainTextResponse("The picture is no longer there", 404)
    except (ImageRejectedError, TrainingDataError) as error:
        return PlainTextResponse(str(error), 404)


def _images(request: Request, console: Console, project: str) -> Response:
    """Those without a label first."""
    entries = sorted(list_entries(console.stack, project), key=lambda each: each.stored.entry.is_anomalous is not None)
    start = _start(request.query_params.get("after"))
    shown = entries[start : start + PAGE_SIZE]
    more = address(request.url.path, after=start + PAGE_SIZE) if len(entries) > start + PAGE_SIZE else None
    unlabeled = sum(each.stored.entry.is_anomalous is None for each in entries)
    return render(
        request,
        "label_images.html",
        project=project,
        entries=[(each, entry_address(project, "thumbnail", each.stored.entry.source_ref)) for each in shown],
        total=len(entries),
        unlabeled=unlabeled,
        more=more,
    )


def _start(text: str | None) -> int:
    if text and not (text.isascii() and text.isdecimal() and len(text) < _MOST_DIGITS):
        raise InvalidRequestError(f"The address goes on after {text[:80]!r}, which is no number of images")
    return int(text or 0)


def _subject(console: Console, project: str, image: str) -> _Subject:
    """
    Raises:
        InvalidRequestError: there is nothing of this name in the project.
        NotThereError: as `record_of`.
    """
    if image.startswith(S3Uri.SCHEME):
        entry = _entry(console, project, image)
        record = inspection_of(console.stack, project, image)
        return _Subject(image, image.rpartition("/")[2] if record is None else image_name(record), record, entry)
    record = record_of(console, image)
    if record.get("project") != project:
        raise InvalidRequestError(f"{project} has no such inspection")
    joined = ReviewedEntry.of(record)
    known = {each.stored.entry.source_ref: each for each in list_entries(console.stack, project)} if joined else {}
    return _Subject(image, image_name(record), record, known.get(joined.source_ref) if joined else None)


def _entry(console: Console, project: str, image: str) -> Entry:
    """
    Raises:
        InvalidRequestError: no dataset of the project has it; nothing else in S3 is read for an address.
    """
    for each in list_entries(console.stack, project):
        if each.stored.entry.source_ref == image:
            return each
    raise InvalidRequestError(f"No dataset of {project} has an image {image[:200]!r}")


def _next(console: Console, project: str, labeled: Entry) -> str:
    """The page after one that was labelled: the next without a label, or all of them."""
    here = f"/projects/{project}/label"
    if labeled.stored.entry.is_anomalous is not None:
        return here
    waiting = (each.stored.entry for each in list_entries(console.stack, project))
    return address(here, image=next((each.source_ref for each in waiting if each.is_anomalous is None), None))


def _label(sent: Sent) -> Label:
    said, colors = sent.get("label"), sent.get("colors")
    if said not in (NORMAL, ANOMALY):
        raise InvalidRequestError(f"Say what the image is: {NORMAL} or {ANOMALY}")
    painting = Painting(sent.files[0][1], _colors(colors)) if sent.files and colors else None
    return Label(said == ANOMALY, painting, keeps_mask=colors is None)


def _colors(text: str) -> dict[str, str]:
    try:
        colors = json.loads(text)
    except ValueError:
        colors = None
    if not isinstance(colors, dict) or not all(isinstance(each, str) for each in colors.values()):
        raise InvalidRequestError(f'colors is {text[:80]!r}; expected JSON such as {{"scratch": "#7ED321"}}')
    return colors


def _dataset(sent: Sent) -> DatasetType:
    name = sent.get("dataset")
    if name not in list(DatasetType):
        raise InvalidRequestError(f"Say which dataset the image joins: {' or '.join(DatasetType)}")
    return DatasetType(name)


def _colors_of(record: Item) -> dict[str, str]:
    """Of what was found on it."""
    return {each["name"]: each["color"] for each in record.get("anomalies") or ()}


def _picture(project: str, subject: _Subject) -> str:
    if subject.record is not None:
        return f"/pictures/{RecordId.of(subject.record)}/image"
    return entry_address(project, "image", subject.image)


def entry_address(project: str, kind: str, image: str) -> str:
    """Of a picture of a dataset's entry; `kind` as for `entry_picture`."""
    return address(f"/projects/{project}/entries/{kind}", image=image)
