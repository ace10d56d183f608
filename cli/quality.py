"""The commands of a quality engineer's day: thresholds, reviews, golden parts, drift, regions and who changed what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from cli import output
from cli.arguments import By, Json, Project, Stage, parse_duration, parse_share
from cli.output import err, out, print_json
from cli.stages import LOCAL_STAGE, connect
from relook.registry.dataset_type import DatasetType

app = typer.Typer()
PANEL = "Quality"


@app.command(rich_help_panel=PANEL)
def review(
    project: Project,
    image: Annotated[
        str | None, typer.Argument(help="An inspected image, s3://bucket/key; else all that wait.")
    ] = None,
    right: Annotated[bool, typer.Option("--right", help="The verdict is right.")] = False,
    wrong: Annotated[
        str | None, typer.Option(help="It is wrong, and this is right: normal, anomaly, or a type.")
    ] = None,
    unsure: Annotated[bool, typer.Option("--unsure", help="Nobody can tell.")] = False,
    note: Annotated[str | None, typer.Option(help="In your own words; kept with it.")] = None,
    add: Annotated[DatasetType | None, typer.Option(help="Have the image join this dataset.")] = None,
    leave: Annotated[bool, typer.Option("--leave", help="Have the image leave the dataset that it joined.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most this many, nearest the threshold first.")] = 20,
    pictures: Annotated[Path, typer.Option(help="Where the overlays go.")] = Path("relook-pictures"),
    stage: Stage = LOCAL_STAGE,
    as_json: Json = False,
) -> None:
    """Say of verdicts whether they are right, borderline ones first. Example: relook review bracket"""
    from cli import dataset_entries, reviewing

    stack = connect(stage)
    opinion = reviewing.opinion(is_right=right, wrong=wrong, is_unsure=unsure, note=note, dataset=add)
    if image is None:
        if opinion or leave:
            raise typer.BadParameter("names no image; give its s3:// location, as relook results --json prints it")
        if as_json:
            for record in reviewing.waiting_reviews(stack, project, limit):
                print_json(record)
            return
        if not reviewing.go_through(stack, project, limit, pictures):
            err.print("Nothing was reviewed.")
    else:
        record = reviewing.find_record(stack, project, image)
        if leave:
            record = dataset_entries.leave_dataset(stack, record)
        elif opinion:
            record = reviewing.say(stack, record, opinion)
        if as_json:
            print_json(record)
            return
        if not (leave or opinion):
            reviewing.print_case(stack, record, "1 of 1", pictures)
    reviewing.print_production(reviewing.production(stack, project))


@app.command(rich_help_panel=PANEL)
def retrain(
    project: Project,
    host: Annotated[
        bool, typer.Option("--host", help="Let the new version inspect, whatever the comparison says.")
    ] = False,
    stage: Stage = LOCAL_STAGE,
    as_json: Json = False,
) -> None:
    """Train on the grown datasets, and compare with what is hosted. Example: relook retrain bracket"""
    from cli import retraining, training

    stack = connect(stage)
    with output.progress() as bars:
        task = bars.add_task("training", total=None)
        version, comparison = retraining.retrain(stack, project, lambda text: bars.update(task, description=text))
    if host:
        training.host_version(stack, project, version)
    if as_json:
        compared = comparison.to_json() if comparison else None
        print_json({"model": f"{project}/{version}", "is_hosted": host, "comparison": compared})
        return
    out.print(Text("model", "bold"), f"{project}/{version}{' (hosted)' if host else ''}", markup=False)
    if comparison:
        retraining.print_comparison(comparison)
    else:
        out.print(f"{project} hosted no version to compare it with", markup=False)
    if not host:
        out.print(f"Let it inspect: relook host {project} {version}", markup=False)


@app.command(rich_help_panel=PANEL)
def threshold(
    project: Project,
    show: Annotated[bool, typer.Option("--show", help="What some thresholds would have done; change nothing.")] = False,
    false_alarms: Annotated[
        str | None, typer.Option(help="So many of the normal images may be called anomalous, such as 1%.")
    ] = None,
    recall: Annotated[
        str | None, typer.Option(help="So many of the anomalous images are to be found, such as 99%.")
    ] = None,
    value: Annotated[float | None, typer.Option(help="Anomaly probability from which an image is anomalous.")] = None,
    revoke: Annotated[bool, typer.Option("--revoke", help="Go back to the one before.")] = False,
    model_version: Annotated[
        str | None, typer.Option(help="Of this model version; the hosted one unless given.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Take it without being asked.")] = False,
    stage: Stage = LOCAL_STAGE,
    as_json: Json = False,
) -> None:
    """See what thresholds would have done, and take one. Example: relook threshold bracket --false-alarms 1%"""
    from cli import threshold as thresholds

    stack = connect(stage)
    judge = thresholds.read_judge(stack, project, model_version)
    shares = {
        "false_alarms": parse_share(false_alarms) if false_alarms else None,
        "recall": parse_share(recall) if recall else None,
    }
    choice = thresholds.choice_for(judge, **shares, value=value, revoke=revoke)
    if choice is None or show:
        if as_json:
            print_json(
                thresholds.choices_json(judge)
                if choice is None
                else thresholds.change_json(judge, choice, is_taken=False)
            )
        elif choice is None:
            thresholds.print_choices(judge)
        else:
            thresholds.print_change(judge, choice)
        return
    if not as_json:
        thresholds.print_change(judge, choice)
    is_taken = yes or thresholds.confirm()
    if is_taken:
        thresholds.take(stack, judge, choice)
        thresholds.print_taken(judge, choice)
    if as_json:
        print_json(thresholds.change_json(judge, choice, is_taken=is_taken))


@app.command(rich_help_panel=PANEL)
def checks(
    project: Project,
    every: Annotated[str | None, typer.Option(help="Ask for a golden part this often, such as 8h.")] = None,
    off: Annotated[bool, typer.Option("--off", help="Ask for none any more.")] = False,
    by: By = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many, newest first.")] = 50,
    stage: Stage = LOCAL_STAGE,
    as_json: Json = False,
) -> None:
    """List golden parts and ask for them regularly. Example: relook checks bracket --every 8h"""
    from cli import checks as golden_parts

    if every and off:
        raise typer.BadParameter("--every asks for checks and --off for none; give one of them")
    stack = connect(stage)
    if every or off:
        golden_parts.ask(stack, project, parse_duration(every) if every else None)
    listed = golden_parts.find(stack, project, limit=limit)
    if as_json:
        print_json(listed.to_json())
    else:
        golden_parts.print_checks(project, listed, by)


@app.command(rich_help_panel=PANEL)
def drift(
    project: Project,
    since: Annotated[str, typer.Option(help="How far back, such as 24h or 7d; the newest 500 images decide.")] = "7d",
    by: By = None,
    stage: Stage = LOCAL_STAGE,
    as_json: Json = False,
) -> None:
    """Whether images still look like those it was trained on. Example: relook drift bracket --by camera"""
    from cli import drift as drifting

    streams = drifting.measure(connect(stage), project, parse_duration(since), by)
    if as_json:
        for stream in streams:
            print_json(drifting.to_json(stream))
    else:
        drifting.print_drift(project, streams, by)


@app.command(rich_help_panel=PANEL)
def regions(
    project: Project,
    mask: Annotated[
        Path | None,
        typer.Argument(
            help="A PNG of any size, stretched over each image. Ignored is what is opaque in it where some of it is"
            " transparent, and otherwise what is not black."
        ),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Ignore nothing any more.")] = False,
    output_file: Annotated[
        Path | None, typer.Option("--output", help="Write the mask of what is ignored, white on black, to this PNG.")
    ] = None,
    stage: Stage = LOCAL_STAGE,
    as_json: Json = False,
) -> None:
    """Areas that are ignored from the next training on. Example: relook regions bracket mask.png"""
    from cli import regions as ignoring

    if mask and clear:
        raise typer.BadParameter("MASK.png says what to ignore and --clear to ignore nothing; give one of them")
    stack = connect(stage)
    if mask or clear:
        ignoring.change(stack, project, mask)
    if output_file:
        ignoring.write_mask(stack, project, output_file)
    kept, versions = ignoring.read(stack, project)
    if as_json:
        print_json(ignoring.to_json(project, kept, versions))
    else:
        ignoring.print_regions(project, kept, versions)


@app.command(rich_help_panel=PANEL)
def history(
    project: Project,
    limit: Annotated[int, typer.Option(min=1, help="At most this many, newest first.")] = 50,
    stage: Stage = LOCAL_STAGE,
    as_json: Json = False,
) -> None:
    """Who changed what of a project, newest first. Example: relook history bracket"""
    from cli import history as changes

    entries = changes.read(connect(stage), project, limit)
    if as_json:
        for entry in entries:
            print_json(changes.to_json(entry))
    elif entries:
        changes.print_history(entries)
    else:
        err.print("No changes yet.")


@app.command(rich_help_panel=PANEL)
def report(
    project: Project,
    since: Annotated[
        str, typer.Option("--from", help="A date, a time such as 2026-11-26T06:00, or how long ago, such as 8h.")
    ] = "24h",
    until: Annotated[
        str | None, typer.Option("--to", help="The same; a date includes that day. Up to now unless given.")
    ] = None,
    by: By = None,
    output_file: Annotated[
        Path | None, typer.Option("--output", help="A sheet that prints well (.html), or a row an image (.csv).")
    ] = None,
    stage: Stage = LOCAL_STAGE,
    as_json: Json = False,
) -> None:
    """What a shift came to, as a sheet or a table. Example: relook report bracket --from 8h --output shift.html"""
    from cli import report as reports
    from cli import report_csv
    from cli.period import Period
    from relook.registry.projects import describe_project

    suffix = output_file.suffix.lower() if output_file else None
    if suffix not in (None, ".html", ".csv"):
        raise typer.BadParameter(f"{output_file} is neither .html, a sheet to print, nor .csv, a row for each image")
    period = Period.parse(since, until)
    stack = connect(stage)
    describe_project(stack.registry, project)
    with output.progress() as bars:  # a hundred thousand records take some seconds
        bars.add_task("counting", total=None)
        if output_file and suffix == ".csv":
            counted = report_csv.write(stack, project, period, by, output_file)
        else:
            counted = reports.read(stack, [project], period, by)
    if output_file and suffix == ".html":
        from cli.console import report as sheet
        from cli.console.pages import Console

        sheet.write(Console(stack, stage), counted, output_file)
    if as_json:
        print_json(reports.to_json(counted))
    else:
        reports.print_report(counted)
    if output_file:
        err.print(f"written to {output_file}", markup=False, soft_wrap=True)


@app.command(rich_help_panel=PANEL)
def status(stage: Stage = LOCAL_STAGE, as_json: Json = False) -> None:
    """A stage on one screen: buckets, what is kept, alarms, and where each project stands. Example: relook status"""
    from cli import status as standings

    told = standings.read(connect(stage), stage)
    if as_json:
        print_json(standings.to_json(told))
    else:
        standings.print_status(told)
