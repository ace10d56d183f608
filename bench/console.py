"""How long the console's pages take on a table of 100,000 inspections, what they weigh, and what memory they take.

    python -m bench.console [--records 100000] [--repeats 7] [--json]

Protocol. The stack on a local AWS of its own, filled by bench.records. `relook console` runs as a process of its own
and is asked by one plain HTTP client, on a connection that is kept: each page once to warm up, then --repeats times, to
the last byte of its HTML and without its pictures. `first` is the time of the warm-up, when nothing is remembered yet.
Weight is the page's HTML and the style sheets and scripts that it names, not compressed. Memory is the process's own
peak after all of it. `one query` and what is said of CPU are as in bench.quality.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlencode

from rich.table import Table

from bench.printing import console, tracked
from bench.quality import BAR_MS, add_arguments, cpu_ms, milliseconds, p95, raw_query_ms
from bench.records import LARGEST, filled_cloud
from cli.output import print_json
from cli.stack import Stack
from local.cloud import ROOT, LocalCloud
from relook.registry.inspections import RecordId, Wanted, newest

CONSOLE_PORT = 8341
INSPECTION_BAR_MS, WEIGHT_BAR_KB = 200, 120
FILTERS: tuple[dict[str, str], ...] = (
    {},
    {"project": LARGEST},
    {"verdict": "anomalous"},
    {"verdict": "normal"},
    {"verdict": "rejected"},
    {"type": "scratch"},
    {"line": "camera=3"},
    {"line": "serial=00000000"},
    {"above": "90"},
    {"below": "60"},
    {"review": "reviewed"},
    {"review": "unreviewed"},
)
_RESOURCE = re.compile(r'(?:href|src)="(/static/[^"]+\.(?:css|js))"')


@dataclass(frozen=True)
class Row:
    """One page: times in milliseconds, weight in kB."""

    page: str
    first_ms: float
    median_ms: float
    p95_ms: float
    own_cpu_ms: float
    cloud_cpu_ms: float
    weight_kb: float


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    arguments = parser.parse_args()
    with filled_cloud(arguments.records) as (cloud, stack):
        rows, peak_mb = measure(cloud, stack, arguments.repeats)
        query_ms = raw_query_ms(stack, arguments.repeats)
    if arguments.json:
        pages = [asdict(row) for row in rows]
        print_json({"records": arguments.records, "query_ms": query_ms, "peak_mb": peak_mb, "pages": pages})
        return
    console.print((__doc__ or "").split("Protocol. ")[-1])
    columns = ("page", "first ms", "median ms", "p95 ms", "own CPU ms", "cloud CPU ms", "weight kB")
    table = Table(*columns, title=f"{arguments.records:,} records", box=None)
    for row in rows:
        times = (row.first_ms, row.median_ms, row.p95_ms, row.own_cpu_ms, row.cloud_cpu_ms)
        table.add_row(row.page, *(f"{value:.0f}" for value in (*times, row.weight_kb)))
    table.add_row("(one query)", "", f"{query_ms:.0f}")
    console.print(table)
    console.print(f"Peak memory of the console: {peak_mb:.0f} MB")
    slow = [row.page for row in rows if row.median_ms >= (INSPECTION_BAR_MS if "ID" in row.page else BAR_MS)]
    heavy = [row.page for row in rows if row.weight_kb >= WEIGHT_BAR_KB]
    console.print(f"Bars: {BAR_MS} ms in the median, {INSPECTION_BAR_MS} of an inspection; {WEIGHT_BAR_KB} kB")
    console.print(f"Above them: {', '.join(slow + heavy) or 'none'}")


def measure(cloud: LocalCloud, stack: Stack, repeats: int) -> tuple[list[Row], float]:
    """Each page's times and weight; the peak memory in MB."""
    record = next(newest(stack.inspections, [LARGEST], Wanted()))
    pages = {f"/inspections?{urlencode(each)}" if each else "/inspections": "" for each in FILTERS}
    pages |= {f"/inspections/{RecordId.of(record)}": "/inspections/ID"}
    pages |= dict.fromkeys(("/review", "/overview", f"/overview?project={LARGEST}", "/projects"), "")
    pages |= dict.fromkeys((f"/projects/{LARGEST}", f"/projects/{LARGEST}/models/1"), "")
    with _console(cloud.port) as process:
        pids = process.pid, cloud.status().pid or 0
        browser = _Browser()
        rows = []
        for address, name in tracked(list(pages.items()), "measuring"):
            first = milliseconds(lambda address=address: browser.get(address))  # type: ignore[misc]
            before = [cpu_ms(pid) for pid in pids]
            times = [milliseconds(lambda address=address: browser.get(address)) for _ in range(repeats)]  # type: ignore[misc]
            own, of_cloud = ((cpu_ms(pid) - spent) / repeats for pid, spent in zip(pids, before, strict=True))
            weight_kb = browser.weight(address) / 1e3
            rows.append(Row(name or address, first, statistics.median(times), p95(times), own, of_cloud, weight_kb))
        return rows, _peak_mb(process.pid)


class _Browser:
    """Asks for pages as a browser does that has the console's cookie."""

    def __init__(self) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", CONSOLE_PORT, timeout=600)
        self._headers: dict[str, str] = {}

    def get(self, address: str) -> bytes:
        self._connection.request("GET", address, headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{address} answered {answer.status}: {body.decode()[:300]}")
        if cookie := answer.headers.get("set-cookie"):
            self._headers = {"Cookie": cookie.partition(";")[0]}
        return body

    def weight(self, address: str) -> int:
        """Bytes of the page with its style sheets and scripts."""
        page = self.get(address)
        return len(page) + sum(len(self.get(each)) for each in sorted(set(_RESOURCE.findall(page.decode()))))


@contextmanager
def _console(port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The command, until the block ends."""
    arguments = ["console", "--no-open", "--port", str(CONSOLE_PORT)]
    with subprocess.Popen(
        [sys.executable, "-c", "from cli.main import run; run()", *arguments],
        cwd=ROOT,
        env={**os.environ, "RELOOK_LOCAL_PORT": str(port)},
    ) as process:
        try:
            deadline = time.monotonic() + 60
            while not _answers():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("relook console did not start")
                time.sleep(0.1)
            yield process
        finally:
            process.terminate()


def _answers() -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", CONSOLE_PORT, timeout=5)
    try:
        connection.request("GET", "/static/console.css")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _peak_mb(pid: int) -> float:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


if __name__ == "__main__":
    main()
