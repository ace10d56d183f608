"""How long a quality engineer's commands take on a table of 100,000 inspections.

    python -m bench.quality [--records 100000] [--repeats 7] [--json]

Protocol. The stack on a local AWS of its own, its table filled by bench.records: four projects, ninety days, the
largest with half of the records and a hosted model. Each command runs in this process from its arguments to its last
line, once to warm up and then --repeats times: no interpreter starts and nothing is imported, but it finds the stack
and connects anew. `as a process` is the same typed in a shell, to its first line. `one query` is a raw Query of sixty
records by a connected client: what the local AWS takes by itself, and any command asks for more than that. On a busy
machine times say little: `own CPU` and `cloud CPU`, means of what this process and the local AWS spent, add up to the
time on an idle one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.table import Table
from typer.testing import CliRunner

import cli.main
from bench.printing import console, tracked
from bench.records import LARGEST, filled_cloud
from cli.output import print_json
from cli.stack import Stack
from local.cloud import ROOT, LocalCloud

BAR_MS = 300
COMMANDS: dict[str, str] = {
    f"results --project {LARGEST}": "",
    "results": "",
    "results --anomalous": "",
    f"review {LARGEST}": "q\n",
    f"checks {LARGEST}": "",
    f"checks {LARGEST} --by camera": "",
    f"history {LARGEST}": "",
    f"drift {LARGEST}": "",
    f"drift {LARGEST} --by camera": "",
    f"threshold {LARGEST} --show": "",
    "status": "",
    f"report {LARGEST} --from 8h": "",
}
"""With what is typed when they ask."""


@dataclass(frozen=True)
class Row:
    """One command's times, milliseconds."""

    command: str
    median_ms: float
    p95_ms: float
    as_process_ms: float
    own_cpu_ms: float
    cloud_cpu_ms: float


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    arguments = parser.parse_args()
    with filled_cloud(arguments.records) as (cloud, stack):
        rows = measure(cloud, arguments.repeats)
        query_ms = raw_query_ms(stack, arguments.repeats)
    if arguments.json:
        print_json({"records": arguments.records, "query_ms": query_ms, "commands": [asdict(row) for row in rows]})
        return
    console.print((__doc__ or "").split("Protocol. ")[-1])
    columns = ("relook", "median ms", "p95 ms", "as a process ms", "own CPU ms", "cloud CPU ms")
    table = Table(*columns, title=f"{arguments.records:,} records", box=None)
    for row in rows:
        times = (row.median_ms, row.p95_ms, row.as_process_ms, row.own_cpu_ms, row.cloud_cpu_ms)
        table.add_row(row.command, *(f"{value:.0f}" for value in times))
    table.add_row("(one query)", f"{query_ms:.0f}")
    console.print(table)
    slow = [row.command for row in rows if row.median_ms >= BAR_MS]
    console.print(f"Bar: {BAR_MS} ms in the median; above it: {', '.join(slow) or 'none'}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How much is looked at, and how often."""
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true")


def measure(cloud: LocalCloud, repeats: int) -> list[Row]:
    """Each command's times."""
    os.environ["RELOOK_LOCAL_PORT"] = str(cloud.port)
    pids = os.getpid(), cloud.status().pid or 0
    rows = []
    for command, typed in tracked(list(COMMANDS.items()), "measuring"):

        def run(command: str = command, typed: str = typed) -> None:
            result = CliRunner().invoke(cli.main.app, command.split(), input=typed)
            if result.exit_code:
                raise SystemExit(f"relook {command}: {result.exception!r} {result.output}")

        def start(command: str = command, typed: str = typed) -> None:
            with subprocess.Popen(
                [sys.executable, "-c", "from cli.main import run; run()", *command.split()],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            ) as process:
                assert process.stdin and process.stdout
                process.stdin.write(typed)
                process.stdin.close()
                process.stdout.readline()

        run()
        before = [cpu_ms(pid) for pid in pids]
        in_process = [milliseconds(run) for _ in range(repeats)]
        own, of_cloud = ((cpu_ms(pid) - spent) / repeats for pid, spent in zip(pids, before, strict=True))
        as_process = [milliseconds(start) for _ in range(max(1, repeats // 2))]
        times = (statistics.median(in_process), p95(in_process), statistics.median(as_process))
        rows.append(Row(command, *times, own, of_cloud))
    return rows


def raw_query_ms(stack: Stack, repeats: int) -> float:
    """Median time of the query that every list begins with."""

    def ask() -> None:
        stack.clients.dynamodb.query(
            TableName=stack.inspections.name,
            IndexName="by_project",
            KeyConditionExpression="#project = :project",
            ExpressionAttributeNames={"#project": "project"},
            ExpressionAttributeValues={":project": {"S": LARGEST}},
            ScanIndexForward=False,
            Limit=60,
        )

    ask()
    return statistics.median(milliseconds(ask) for _ in range(repeats))


def cpu_ms(pid: int) -> float:
    """What a process has spent so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(each) for each in fields[11:13]) * 1e3 / os.sysconf("SC_CLK_TCK")  # utime and stime of proc(5)


def milliseconds(act: Callable[[], object]) -> float:
    """How long it takes, once."""
    started = time.perf_counter()
    act()
    return (time.perf_counter() - started) * 1e3


def p95(values: Sequence[float]) -> float:
    """By linear interpolation."""
    return float(np.percentile(values, 95))


if __name__ == "__main__":
    main()
