"""What DetectAnomalies over HTTP costs beyond the engine's own time, and how many requests a second the API answers.

    python -m bench.api [--requests 100] [--json]

Everything runs on this machine: the stack on a local AWS of its own, asked by plain HTTP clients. The engine's time is
that of the same model on the same pictures in this process, taking turns with the requests, so that noise hits both
alike. The local AWS is one Python process in front of the function's; in AWS each concurrent request has an instance
of the function to itself.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from rich.table import Table

from bench.pictures import OWN, PRODUCT
from bench.pipeline import PORT
from cli.datasets import read_folder
from cli.output import out, print_json
from cli.stack import Stack
from cli.training import train_in_cloud
from local.cloud import LocalCloud
from local.products import write_dataset
from relook.detection.model import Model
from relook.lookout.contract import API_VERSION
from relook.registry.packages import load_package

UNSEEN = 8
CLIENTS = (1, 2, 4, 8)
WARM_UPS = 3
PAUSE_S = 0.01  # the engine's threads spin for a moment after they are done; not in the server's turn
# The local AWS wants a signature and takes any.
HEADERS = {"Content-Type": "image/jpeg", "Authorization": "AWS4-HMAC-SHA256 Credential=bench"}


@dataclass(frozen=True)
class Throughput:
    """What so many clients got, each asking again as soon as it was answered."""

    clients: int
    requests_per_s: float
    median_ms: float
    p95_ms: float


def main() -> None:
    """Print what the API takes, and its bars."""
    parser = argparse.ArgumentParser(prog="python -m bench.api", description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=100, help="of each measurement (default: 100)")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, LocalCloud(PORT).running() as cloud:
        stack = Stack(cloud.deploy(), cloud.clients)
        images = _pictures(Path(scratch), "unseen", UNSEEN // 2, UNSEEN // 2, seed=700)
        _pictures(Path(scratch), "labelled", 20, 9, seed=1)
        train_in_cloud(stack, PRODUCT, read_folder(Path(scratch) / "labelled"), host=True)
        server = Server(stack.outputs["LookoutEndpoint"])
        for image in images[:WARM_UPS]:
            server.ask(image)
        latency = _latency(server, _hosted_model(stack), images, arguments.requests)
        throughput = [_throughput(server, images, clients, arguments.requests) for clients in CLIENTS]
    report = {
        "cores": os.cpu_count(),
        "requests": arguments.requests,
        "picture": f"{'x'.join(map(str, OWN))} JPEG of {statistics.mean(map(len, images)) / 1e3:.0f} kB",
        "latency_ms": latency,
        "throughput": [vars(each) for each in throughput],
    }
    if arguments.json:
        print_json(report)
    else:
        _print(report)


class Server:
    """The API, asked on a connection that is kept."""

    def __init__(self, endpoint: str) -> None:
        address = urlsplit(endpoint)
        assert address.hostname is not None
        self._address = address.hostname, address.port
        self._path = f"{address.path}/{API_VERSION}/projects/{PRODUCT}/models/latest/detect"
        self._connection = self._connect()

    def another(self) -> Server:
        """The same on a connection of its own."""
        made = object.__new__(Server)
        made._address, made._path = self._address, self._path
        made._connection = made._connect()
        return made

    def ask(self, image: bytes) -> float:
        """Seconds from the request's first byte to the answer's last."""
        started = time.perf_counter()
        self._connection.request("POST", self._path, image, HEADERS)
        answer = self._connection.getresponse()
        body = answer.read()
        seconds = time.perf_counter() - started
        if answer.status != 200:
            raise SystemExit(f"DetectAnomalies answered {answer.status}: {body.decode()[:300]}")
        assert "AnomalyMask" in json.loads(body)["DetectAnomalyResult"]
        return seconds

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self._address, timeout=60)


def _latency(server: Server, model: Model, images: Sequence[bytes], count: int) -> dict[str, dict[str, float]]:
    """One request after the other; each beside the engine's time for the same picture."""
    for image in images[:WARM_UPS]:
        model.detect(image)
    whole, engine = [], []
    for i in range(count):
        image = images[i % len(images)]
        whole.append(server.ask(image))
        started = time.perf_counter()
        model.detect(image)
        engine.append(time.perf_counter() - started)
        time.sleep(PAUSE_S)
    beyond = [request - alone for request, alone in zip(whole, engine, strict=True)]
    rows = {"over HTTP": whole, "the engine alone": engine, "beyond the engine": beyond}
    return {name: {"median": _ms(statistics.median(each)), "p95": _p95(each)} for name, each in rows.items()}


def _throughput(server: Server, images: Sequence[bytes], clients: int, count: int) -> Throughput:
    each = max(1, count // clients)

    def ask(first: int) -> list[float]:
        own = server.another()
        own.ask(images[0])  # connects, and has the function's instances started
        all_ready.wait()
        return [own.ask(images[(first + i) % len(images)]) for i in range(each)]

    all_ready = Barrier(clients + 1)
    with ThreadPoolExecutor(clients) as pool:
        asked = pool.map(ask, range(clients))
        all_ready.wait()
        started = time.perf_counter()
        measured = [seconds for of_client in asked for seconds in of_client]
        elapsed = time.perf_counter() - started
    return Throughput(clients, len(measured) / elapsed, _ms(statistics.median(measured)), _p95(measured))


def _hosted_model(stack: Stack) -> Model:
    hosted = stack.hosted_model(PRODUCT)
    return Model(load_package(stack.models, PRODUCT, hosted.version, hosted.package_sha256))


def _pictures(scratch: Path, name: str, normal: int, anomalous: int, seed: int) -> list[bytes]:
    folder = scratch / name
    write_dataset(folder, PRODUCT, normal=normal, anomalous=anomalous, seed=seed)
    return [image.read() for image in read_folder(folder)]


def _print(report: dict[str, Any]) -> None:
    title = f"DetectAnomalies, {report['requests']} requests, {report['picture']}, {report['cores']} cores"
    table = Table("one at a time", "median ms", "p95 ms", title=title)
    for name, row in report["latency_ms"].items():
        table.add_row(name, f"{row['median']:.1f}", f"{row['p95']:.1f}")
    out.print(table)
    table = Table("clients at once", "requests/s", "median ms", "p95 ms")
    for each in report["throughput"]:
        cells = (f"{each[name]:.1f}" for name in ("requests_per_s", "median_ms", "p95_ms"))
        table.add_row(str(each["clients"]), *cells)
    out.print(table)


def _ms(seconds: float) -> float:
    return seconds * 1e3


def _p95(seconds: Sequence[float]) -> float:
    return _ms(float(np.percentile(seconds, 95)))


if __name__ == "__main__":
    main()
