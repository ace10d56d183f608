"""`relook review`: people say of verdicts whether they are right, and which of the images join a dataset."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from rich.text import Text

from cli.dataset_entries import join_dataset
from cli.dropping import save_overlay
from cli.output import CommandError, out, print_note, print_verdicts, rate_text
from cli.stack import Stack
from relook.aws.bucket import S3Uri
from relook.errors import ConflictError, InvalidRequestError, NoSuchObjectError, ReviewedMeanwhileError
from relook.quality.summary import Reviews, summarize
from relook.registry.dataset_type import DatasetType
from relook.registry.inspections import RecordId, types_of
from relook.registry.manifest_entry import ANOMALY, NORMAL
from relook.registry.reviews import ReviewVerdict, latest_reviews, open_reviews, review

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Opinion:
    """What somebody says of a verdict.

    Attributes:
        label: what it is instead; with `wrong`.
        dataset: which one the image is to join, if any.
    """

    verdict: ReviewVerdict
    label: str | None = None
    note: str | None = None
    dataset: DatasetType | None = None


def opinion(
    *, is_right: bool, wrong: str | None, is_unsure: bool, note: str | None, dataset: DatasetType | None
) -> Opinion | None:
    """What a command's options say; None where they say nothing.

    Raises:
        CommandError: they contradict each other, or a note or a dataset goes with nothing.
    """
    given = [
        *([Opinion(ReviewVerdict.RIGHT, None, note, dataset)] if is_right else []),
        *([Opinion(ReviewVerdict.WRONG, wrong, note, dataset)] if wrong is not None else []),
        *([Opinion(ReviewVerdict.UNSURE, None, note, dataset)] if is_unsure else []),
    ]
    if len(given) > 1:
        raise CommandError("Say one of --right, --wrong LABEL and --unsure")
    if not given and (note or dataset):
        raise CommandError("--note and --add go with --right, --wrong LABEL or --unsure")
    return given[0] if given else None


def say(stack: Stack, record: Record, opinion: Opinion) -> dict[str, Any]:
    """Keep what somebody says, tell it, and have the image join a dataset if they want that; the record after it.

    Args:
        record: as the reviewer saw it.
    Raises:
        InvalidRequestError: it makes no sense of this verdict, or nobody knows what is to join.
        ReviewedMeanwhileError: somebody said something else since; nothing was changed.
        ConflictError: the image is in the other dataset; the review is kept.
        NoSuchObjectError: the upload is gone, so that it cannot join a dataset; the review is kept.
    """
    after, change = review(
        stack.inspections,
        stack.registry,
        record,
        opinion.verdict,
        label=opinion.label,
        note=opinion.note,
        who=stack.clients.caller,
    )
    stack.tell(change)
    if opinion.dataset is not None:
        join_dataset(stack, after, opinion.dataset)
        return stack.inspections.get(RecordId.of(after).key) or after
    return after


def find_record(stack: Stack, project: str, image: str) -> dict[str, Any]:
    """The newest inspection of an image, by its `s3://` location, or its key.

    Raises:
        CommandError: there is none of this project.
    """
    uri = image if image.startswith(S3Uri.SCHEME) else str(stack.images.uri(image))
    records = [each for each in stack.inspections.query(("image_uri", uri)) if each.get("project") == project]
    if not records:
        raise CommandError(f"{uri} was not inspected for {project}; relook results --project {project} lists what was")
    return max(records, key=lambda record: str(record["inspected_at"]))


def waiting_reviews(stack: Stack, project: str, limit: int) -> list[dict[str, Any]]:
    """Inspections that wait for a review, nearest the threshold first."""
    return list(islice(open_reviews(stack.inspections, project, page_size=limit), limit))


def go_through(stack: Stack, project: str, limit: int, pictures: Path) -> int:
    """Ask a person about one after the other until there is none, or they end it; how many they reviewed."""
    count = 0
    for number, record in enumerate(waiting := waiting_reviews(stack, project, limit), start=1):
        print_case(stack, record, f"{number} of {len(waiting)}", pictures)
        try:
            opinion = _ask_opinion(record)
            if opinion is None:
                continue
            say(stack, record, opinion)
            count += 1
        except EOFError:
            break
        except (ConflictError, InvalidRequestError, NoSuchObjectError, ReviewedMeanwhileError) as error:
            print_note(str(error))
    return count


def print_case(stack: Stack, record: Record, number: str, pictures: Path) -> None:
    """The verdict, how near the threshold it is, and where its picture is."""
    shown = None
    try:
        shown = save_overlay(stack, record, partial(stack.read_upload, record), pictures)
    except NoSuchObjectError as error:
        print_note(f"The picture is no longer there ({error})")
    probability = "-"
    if "anomaly_probability" in record:
        probability = f"{float(record['anomaly_probability']):.3f} (threshold {float(record['threshold']):g})"
    print_verdicts([record], [shown] if shown else [], {"anomaly probability": [probability], "case": [number]})


def production(stack: Stack, project: str) -> Reviews:
    """What all reviews of the project come to."""
    return summarize(latest_reviews(stack.registry, project)).reviews


def to_json(reviews: Reviews) -> dict[str, Any]:
    """For scripts."""
    return {
        "reviewed": {"right": reviews.right, "wrong": reviews.wrong, "unsure": reviews.unsure},
        "precision": reviews.confusion.precision.share,
        "false_alarm_rate": reviews.confusion.false_alarm_rate.share,
        "recall": reviews.confusion.recall.share,
        "images": {
            "called_anomalous": reviews.confusion.precision.total,
            "normal": reviews.confusion.false_alarm_rate.total,
            "anomalous": reviews.confusion.recall.total,
        },
    }


def print_production(reviews: Reviews) -> None:
    """What all reviews of the project come to, in two lines."""
    count = reviews.right + reviews.wrong + reviews.unsure
    split = f"{reviews.right} right, {reviews.wrong} wrong, {reviews.unsure} unsure"
    out.print(Text("reviewed", "bold"), f"{count} images: {split}", markup=False)
    precision = rate_text(reviews.confusion.precision, "alarms")
    false_alarms = rate_text(reviews.confusion.false_alarm_rate, "normal images")
    out.print(
        Text("among them", "bold"),
        f"precision {precision}, false alarms {false_alarms}; in brackets, 95 % intervals",
        markup=False,
    )


_VERDICTS = {each[0]: each for each in ReviewVerdict}


def _ask_opinion(record: Record) -> Opinion | None:
    """None for one that is passed over.

    Raises:
        EOFError: they want no more.
    """
    key = _ask("right, wrong, unsure, skip, quit? [r/w/u/s/q] ", lambda text: text in {*_VERDICTS, "s", "q"})
    if key == "q":
        raise EOFError
    if key == "s":
        return None
    verdict, label = _VERDICTS[key], None
    if verdict is ReviewVerdict.WRONG:
        usual = NORMAL if record["is_anomalous"] else ANOMALY
        known = ", ".join([NORMAL, *types_of(record)] if record["is_anomalous"] else [ANOMALY, "or its type"])
        label = _ask(f"what is it? ({known}) [{usual}] ") or usual
    # What was said counts from here on: who ends the input now has no note, and wants it in no dataset.
    note = _ask("note, or Enter: ", at_end="") or None
    dataset = None
    if verdict is not ReviewVerdict.UNSURE:
        chosen = {"y": DatasetType.TRAIN, "test": DatasetType.TEST, "n": None, "": None}
        dataset = chosen[_ask("add it to the train dataset? [y/N, or test] ", chosen.__contains__, at_end="")]
    return Opinion(verdict, label, note, dataset)


def _ask(question: str, is_answer: Callable[[str], bool] = lambda _: True, *, at_end: str | None = None) -> str:
    """A line of standard input, a terminal's or a pipe's, asked for again until it is an answer.

    Args:
        at_end: the answer where there is no more input.
    Raises:
        EOFError: there is no more, and no answer for that.
    """
    for line in _lines(question):
        answer = line.strip()
        if is_answer(answer):
            return answer
        out.print(f"{answer!r} is none of these", markup=False)
    if at_end is None:
        raise EOFError
    return at_end


def _lines(question: str) -> Iterator[str]:
    while True:
        out.print(question, end="", markup=False)
        line = sys.stdin.readline()
        if not line:
            return
        yield line
