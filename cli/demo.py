"""`make demo`: the main job, on a laptop's AWS of its own that is gone afterwards; `relook console --demo` keeps it.

Two products are trained on generated pictures; then unseen pictures, a file that is no image and a truncated one are
dropped, and everything that comes of them is shown. At last a threshold is chosen, and a golden part misses its check
and is reviewed.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from rich.syntax import Syntax
from rich.table import Table

from cli.datasets import read_folder
from cli.dropping import Drop, drop
from cli.output import errors_in_one_line, print_verdicts
from cli.output import out as console
from cli.reviewing import Opinion, say, waiting_reviews
from cli.stack import Stack
from cli.tailing import subscription
from cli.threshold import change_to, choice_for, read_judge, take
from cli.training import train_in_cloud
from local.cloud import LocalCloud
from local.products import PRODUCTS, render, write_dataset
from relook.events import DetailType
from relook.quality.records import InspectionStatus, image_key
from relook.registry.reviews import ReviewVerdict

# Not the port of `relook local up`: a demo never touches what its user has running.
PORT = 4576
PICTURES = Path("relook-pictures") / "demo"
SHOWN = ("bracket", "board")
TRAINING_SEED, UNSEEN_SEED = 1, 9000  # far apart: each picture takes a seed of its own, and none is drawn twice


def main() -> None:
    """Run the demo and clean up after it, whatever happens."""
    started = time.monotonic()
    with LocalCloud(usual_port=PORT).running() as cloud:
        console.rule("[bold]deploy the stack to a local AWS")
        stack = Stack(cloud.deploy(), cloud.clients)
        _show_outputs(stack)
        run(stack)
    console.rule(f"[bold green]done in {time.monotonic() - started:.0f} s")
    console.print(f"The pictures, each image with its mask and its heat map: [bold]{PICTURES}[/bold]")
    console.print("The same to look at in a browser, on a local AWS that stays: [bold].venv/bin/relook console --demo")
    console.print("The same with your own images: relook local up, relook train, relook drop (see README.md)")


def run(stack: Stack) -> None:
    """Train, drop and show, on a stack that has none of the demo's products."""
    shutil.rmtree(PICTURES, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        console.rule("[bold]train a model for each product")
        for product in SHOWN:
            _train(stack, product, Path(scratch))
        console.rule("[bold]drop unseen images")
        with subscription(stack) as receive:
            drops = [each for product in SHOWN for each in _drop_unseen(stack, product, Path(scratch))]
            records = [each.record for each in drops]
            print_verdicts(records, [each.overlay for each in drops if each.overlay])
            _show_score(records)
            console.rule("[bold]what a consumer of the event bus received")
            wanted = sum(record["status"] == InspectionStatus.REJECTED or record["is_anomalous"] for record in records)
            events: list[dict[str, Any]] = []
            while len(events) < wanted:
                events += receive(5)
            _show_events(events)
            console.rule("[bold]a quality engineer's day")
            _show_quality(stack, Path(scratch), receive)


def _show_score(records: list[Mapping[str, Any]]) -> None:
    """How many verdicts agree with what was drawn; the files are named for it."""
    judged = {image_key(record): record["is_anomalous"] for record in records if "confidence" in record}
    wrong = [key for key, is_anomalous in judged.items() if is_anomalous == ("/normal-" in key)]
    console.print(f"\n{len(judged) - len(wrong)} of {len(judged)} verdicts are right", end="")
    console.print(f"; wrong: {', '.join(wrong)}" if wrong else "")


def _show_outputs(stack: Stack) -> None:
    table = Table(box=None, show_header=False)
    for name in ("ImagesBucket", "ResultsBucket", "InspectionsTable", "EventBus"):
        table.add_row(name, stack.outputs[name])
    console.print(table)


def _train(stack: Stack, product: str, scratch: Path) -> None:
    started = time.monotonic()
    folder = scratch / product
    write_dataset(folder, product, normal=40, anomalous=30, seed=TRAINING_SEED)
    drawn = time.monotonic()
    report = train_in_cloud(stack, product, read_folder(folder), host=True)
    console.print(
        f"[bold]{product}[/bold]: {report.place} hosted; 70 images drawn in {drawn - started:.1f} s,"
        f" trained in {time.monotonic() - drawn:.1f} s; cross-validated F1 {report.findings['evaluation']['f1']:.2f}"
    )


def _drop_unseen(stack: Stack, product: str, scratch: Path) -> list[Drop]:
    folder = scratch / "unseen" / product
    folder.mkdir(parents=True)
    orders: list[tuple[str, list[str]]] = [("normal-1", []), ("normal-2", [])]
    orders += [(name, [name]) for name in PRODUCTS[product].defects]
    paths = []
    for seed, (name, defects) in enumerate(orders, UNSEEN_SEED):
        paths.append(folder / f"{name}.jpg")
        Image.fromarray(render(product, seed, defects).image).save(paths[-1], quality=92)
    if product == SHOWN[0]:
        paths += [folder / "notes.jpg", folder / "truncated.jpg"]
        paths[-2].write_text("These are the notes of the night shift, saved under the wrong name.\n")
        paths[-1].write_bytes(paths[0].read_bytes()[:20_000])
    return drop(stack, product, paths, {"line": "1"}, timeout_s=60, pictures=PICTURES)


def _show_events(events: list[dict[str, Any]]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("detail-type")
    table.add_column("summary")
    for event in events:
        table.add_row(event["detail-type"], event["detail"]["summary"])
    console.print(table)
    for kind in (DetailType.ANOMALY_DETECTED, DetailType.IMAGE_REJECTED):
        event = next(each for each in events if each["detail-type"] == kind)
        console.print(f"\nOne [bold]{kind}[/bold], whole:")
        console.print(Syntax(json.dumps(event, indent=2), "json", background_color="default", word_wrap=True))


def _show_quality(stack: Stack, scratch: Path, receive: Callable[[int], list[dict[str, Any]]]) -> None:
    """A threshold's choice, a golden part that misses its check, and what a person says of it: a line each."""
    product, (defect, *_) = SHOWN[0], PRODUCTS[SHOWN[0]].defects
    judge = read_judge(stack, product, None)
    choice = choice_for(judge, false_alarms=0.01, recall=None, value=None, revoke=False)
    assert choice is not None
    change = change_to(judge, choice)
    take(stack, judge, choice)
    golden = scratch / "golden.jpg"
    shutil.copy(scratch / "unseen" / product / f"{defect}.jpg", golden)
    drop(stack, product, [golden], {"expected": "normal"}, timeout_s=60, pictures=PICTURES)
    told: list[dict[str, Any]] = []
    while not told:
        told = [event for event in receive(5) if event["detail-type"] == DetailType.CHECK_FAILED]
    (waiting,) = waiting_reviews(stack, product, limit=1)
    reviewed = say(stack, waiting, Opinion(ReviewVerdict.RIGHT, note="The golden part is scratched; use another one."))
    before, after = change.before.confusion, change.after.confusion
    alarms = (
        f"{after.false_alarm_rate.hits} of {after.false_alarm_rate.total} instead of {before.false_alarm_rate.hits}"
    )
    anomalous = f"{after.recall.hits} of {after.recall.total} instead of {before.recall.hits}"
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row(
        "threshold",
        f"{judge.model.name} judges by {choice.value:.3f} instead of {judge.in_force:.3f}, chosen by {choice.how}: of "
        f"the evaluation's normal images {alarms} alarm, of the anomalous ones {anomalous} are found",
    )
    table.add_row("check", f"an alert is mailed. {told[0]['detail']['summary']}")
    table.add_row(
        "review", f"{image_key(waiting)} waits first of all; {reviewed['reviewed_by']} says {reviewed['review']}"
    )
    console.print(table)


if __name__ == "__main__":
    with errors_in_one_line():
        main()
