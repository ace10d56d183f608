"""What the pipeline costs beyond detection, how many images it passes, and how long it takes to wake up.

    python -m bench.pipeline [--images 60]

Everything runs on this machine: the handler in a process of its own, from the built asset, against the local AWS.
Machines are noisy: medians and p95 over all images of one run; CPU time is the handler process's own, which neither
the emulator nor waiting adds to.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from bench.pictures import PRODUCT, encoded
from cli.datasets import read_folder
from cli.stack import Stack
from cli.training import train_in_cloud
from infra.asset import build_asset
from infra.config import StageConfig
from local.cloud import ROOT, LocalCloud
from local.products import render, write_dataset
from local.products.dataset import JPEG_QUALITY
from relook.events import OBJECT_CREATED, S3_SOURCE

PORT = 4586
COLD_STARTS = 5
LOCAL_ENV = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}

console = Console(highlight=False)

# Runs inside the asset alone: no site-packages, nothing of this repository. Prints one JSON line.
_PROBE = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
started, cpu = time.perf_counter(), time.process_time()
import inspect_image
imported = time.perf_counter() - started

class Context:
    function_name = "inspect_image"; memory_limit_in_mb = 1769; aws_request_id = "bench"
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:inspect_image"
    def get_remaining_time_in_millis(self): return 30000

from relook.detection import model
spent = []
detect = model.Model.detect
def timed(self, *arguments):
    started, cpu = time.perf_counter(), time.process_time()
    try:
        return detect(self, *arguments)
    finally:
        spent.append((time.perf_counter() - started, time.process_time() - cpu))
model.Model.detect = timed

rows = []
for line in sys.stdin:
    record = json.loads(line)
    started, cpu = time.perf_counter(), time.process_time()
    answer = inspect_image.handler({"Records": [record]}, Context())
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    assert answer == {"batchItemFailures": []}, answer
    in_detection = spent.pop() if spent else (0.0, 0.0)
    rows.append({"wall": wall, "cpu": cpu, "detect_wall": in_detection[0], "detect_cpu": in_detection[1]})
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
peak_mb = int(status["VmHWM"].split()[0]) / 1024  # getrusage would report the parent's peak too
print("\\n" + json.dumps({"import_s": imported, "rows": rows, "peak_mb": peak_mb}), file=sys.stderr)
"""


def main() -> None:
    """Print what an upload takes to its verdict, and by which steps."""
    parser = argparse.ArgumentParser(prog="python -m bench.pipeline", description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, LocalCloud(PORT).running() as cloud:
        stack = Stack(cloud.deploy(), cloud.clients)
        folder = Path(scratch) / PRODUCT
        write_dataset(folder, PRODUCT, normal=20, anomalous=9, seed=1)
        train_in_cloud(stack, PRODUCT, read_folder(folder), host=True)
        images = [_picture(seed, defects) for seed, defects in zip(range(700, 712), [[], ["scratch"]] * 6, strict=True)]
        handler = Handler(cloud, stack, Path(scratch) / "asset")
        _report_overhead(handler, images, arguments.images)
        _report_cold_start(handler, images[1])
        _report_memory(handler)
        _report_throughput(stack, images, arguments.images)


class Handler:
    """The function's code from its built asset, run by hand against the local AWS."""

    def __init__(self, cloud: LocalCloud, stack: Stack, folder: Path) -> None:
        context = json.loads((ROOT / "cdk.json").read_text())["context"]
        asset = build_asset(StageConfig.from_context({**context, "stage": "local"}.get))
        with zipfile.ZipFile(asset.path) as archive:
            archive.extractall(folder)
        function = cloud.clients.lambda_.get_function_configuration(FunctionName=stack.outputs["InspectImageFunction"])
        self._env = {**LOCAL_ENV, "AWS_ENDPOINT_URL": cloud.endpoint_url, **function["Environment"]["Variables"]}
        self._folder = folder
        self.stack = stack

    def run(self, messages: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Give messages to the handler, one by one, in a fresh and isolated interpreter."""
        run = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _PROBE, str(self._folder)],
            input="\n".join(json.dumps(message) for message in messages),
            env=self._env,
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode:
            raise SystemExit(run.stderr)
        result: dict[str, Any] = json.loads(run.stderr.splitlines()[-1])
        return result

    def message(self, name: str, data: bytes, project: str = PRODUCT) -> dict[str, Any]:
        """The queue message of an object in a bucket nobody listens to, so that the stack leaves it alone."""
        bucket, key = self.stack.bucket("bench-images"), f"{project}/{name}"
        bucket.create()
        etag = bucket.write(key, data)
        detail = {"bucket": {"name": bucket.name}, "object": {"key": key, "size": len(data), "etag": etag}}
        body = {"source": S3_SOURCE, "detail-type": OBJECT_CREATED, "detail": detail}
        return {"messageId": key, "body": json.dumps(body)}


def _report_overhead(handler: Handler, images: Sequence[bytes], count: int) -> None:
    messages = [handler.message(f"overhead/{i}.jpg", images[i % len(images)]) for i in range(count + 1)]
    measured = handler.run(messages)["rows"][1:]  # the first one loads the model
    table = Table("per image, one at a time", "median ms", "p95 ms", title=f"{count} images of 768x576")
    rows = {
        "whole handler, wall": [row["wall"] for row in measured],
        "detection, wall": [row["detect_wall"] for row in measured],
        "beyond detection, wall (with the emulator's answers)": [row["wall"] - row["detect_wall"] for row in measured],
        "beyond detection, own CPU": [row["cpu"] - row["detect_cpu"] for row in measured],
    }
    for name, seconds in rows.items():
        table.add_row(name, f"{statistics.median(seconds) * 1e3:.1f}", f"{_p95(seconds) * 1e3:.1f}")
    console.print(table)


def _report_cold_start(handler: Handler, image: bytes) -> None:
    runs = [handler.run([handler.message(f"cold/{i}.jpg", image)]) for i in range(COLD_STARTS)]
    console.print(
        f"Cold start, median of {COLD_STARTS} fresh interpreters from the built asset:"
        f" import {statistics.median(run['import_s'] for run in runs):.2f} s,"
        f" first invocation {statistics.median(run['rows'][0]['wall'] for run in runs):.2f} s (loads the model),"
        f" peak memory {statistics.median(run['peak_mb'] for run in runs):.0f} MB"
    )


def _report_memory(handler: Handler) -> None:
    """The largest images there can be, refused or not by the model: what counts is what decoding them takes."""
    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 255, (512, 512, 3), np.uint8)).resize((4096, 4096))
    project = "large"
    with tempfile.TemporaryDirectory() as scratch:
        for i in range(12):
            target = Path(scratch) / "normal" / f"{i}.jpg"
            target.parent.mkdir(exist_ok=True)
            Image.fromarray(np.roll(np.asarray(coarse.resize((256, 256))), i, 0)).resize((4096, 4096)).save(
                target, quality=40
            )
        train_in_cloud(handler.stack, project, read_folder(Path(scratch)), host=True)
    for name, options in (("JPEG", {"quality": 80}), ("JPEG", {"quality": 80, "progressive": True}), ("PNG", {})):
        picture = coarse if name == "JPEG" else coarse.resize((64, 64)).resize((4096, 4096), Image.Resampling.NEAREST)
        stream = BytesIO()
        picture.save(stream, name, **options)
        if stream.tell() > 8 * 1024 * 1024:
            console.print(f"{name} {options}: {stream.tell() / 1e6:.1f} MB, too large to be accepted")
            continue
        message = handler.message(f"big-{len(options)}.{name.lower()}", stream.getvalue(), project)
        run = handler.run([message])
        console.print(
            f"4096x4096 {name}{' progressive' if options.get('progressive') else ''} of {stream.tell() / 1e6:.1f} MB:"
            f" {run['rows'][0]['wall']:.2f} s with loading the model, peak memory {run['peak_mb']:.0f} MB"
        )


def _report_throughput(stack: Stack, images: Sequence[bytes], count: int) -> None:
    started = time.perf_counter()
    uris = set()
    for i in range(count):
        key = f"{PRODUCT}/throughput/{i}.jpg"
        stack.images.write(key, images[i % len(images)])
        uris.add(str(stack.images.uri(key)))
    while uris:
        records = stack.inspections.query(("project", PRODUCT), index="by_project", newest_first=True)
        uris -= {record["image_uri"] for record in records}
        time.sleep(0.1)
    seconds = time.perf_counter() - started
    console.print(
        f"Through the local cloud, first upload to last record: {count / seconds:.1f} images/s ({count} images)"
    )


def _picture(seed: int, defects: Sequence[str]) -> bytes:
    return encoded(render(PRODUCT, seed, defects).image, "JPEG", quality=JPEG_QUALITY)


def _p95(values: Sequence[float]) -> float:
    return float(np.percentile(values, 95))


if __name__ == "__main__":
    main()
