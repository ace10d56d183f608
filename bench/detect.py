"""How long an image takes from its encoded bytes to the finished result, and how much memory, beside PatchCore.

    python -m bench.detect [--rounds 30] [--peer-python PATH] [--json]

Models are trained here, on pictures of each size; then every contestant looks at unseen JPEGs in a process of its own,
all taking turns, so that noise hits all alike. `--peer-python` names an interpreter that has torch and perhaps
anomalib; without them their lines are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.contestant import LIBRARIES
from bench.patchcore_graph import write_peer
from bench.pictures import LARGEST, OWN, PRODUCT, Size, resized, resized_jpeg
from bench.report import (
    BARS,
    ONE_CLASS,
    SEGMENTATION,
    Measurement,
    Training,
    headline_of,
    print_headline,
    print_protocol,
    print_size,
    print_trainings,
)
from cli.datasets import read_folder
from cli.output import err, print_json
from local.cloud import ROOT
from local.products import write_dataset
from local.products.dataset import JPEG_QUALITY
from relook.detection.view import View
from relook.learning.data.samples import LabeledImage
from relook.learning.training import train

NORMALS, ANOMALIES, UNSEEN = 30, 12, 8
THREADS = (1, 2)
PEER_SIDES = (256, 512)
SLOW = f"PatchCore at {PEER_SIDES[1]}"
SLOW_EVERY = 5  # a peer at 512 px takes a turn in every fifth round
WARM_UPS = 2
PAUSE_S = 0.01  # torch's threads spin for some milliseconds after they are done; not in another's turn

# Ascending: a peer lives through all of them, and its memory's peak only ever grows.
SIZES = (
    Size(256, 256),
    Size(512, 512, at_512=True),
    Size(*OWN, NORMALS, ANOMALIES, at_512=True),
    Size(1024, 1024),
    Size(*LARGEST, share_of_rounds=0.25),
)

PROTOCOL = f"""\
Encoded bytes to finished result, decode included: Relook gives the verdict and encoded PNGs of heat map and
(segmentation) mask; the peers a score and a blurred heat map as an array, of the picture squashed.
JPEG, quality {JPEG_QUALITY}, {UNSEEN} unseen pictures, half of them defective. A fresh process each, all taking turns,
{WARM_UPS} warm-ups; peak memory is the process's VmHWM, Python and libraries included.
PatchCore: ResNet-18 with random weights (they cost what trained ones cost), layers 2 and 3, a tenth of
{NORMALS} images' patches drawn at random (as large as a greedy coreset); 'at 256' is its network's input side.
At {PEER_SIDES[1]} it takes a turn in every {SLOW_EVERY}th round only."""


def main() -> None:
    """Print what one detection takes, beside the peers."""
    parser = argparse.ArgumentParser(prog="python -m bench.detect", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--peer-python", default=sys.executable, help="runs the peers in torch (default: this one)")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(Path(scratch), arguments.peer_python)
        trainings = bench.prepare()
        measurements = [measurement for threads in THREADS for measurement in bench.measure(threads, arguments.rounds)]
    report = {
        "protocol": PROTOCOL,
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "load_1_minute": os.getloadavg()[0],
            "python": platform.python_version(),
        },
        "libraries": sorted(bench.libraries),
        "absent": bench.absent,
        "seconds": time.perf_counter() - started,
    }
    if arguments.json:
        rows = [
            asdict(m) | {"median_ms": m.median_ms, "p95_ms": m.p95_ms, "ms": [round(ms, 2) for ms in m.ms]}
            for m in measurements
        ]
        headline = headline_of(measurements)
        trained = [asdict(training) for training in trainings]
        print_json(report | {"training": trained, "detection": rows, "headline": headline, "bars": BARS})
    else:
        print_protocol(report)
        print_trainings(trainings)
        for size in SIZES:
            print_size(size, bench.bytes_of[str(size)], [m for m in measurements if m.size == str(size)])
        print_headline(headline_of(measurements))


class Contestant:
    """`bench.contestant` in a fresh process; absent where its libraries are."""

    def __init__(self, python: str, kind: str, folder: Path, *, threads: int, side: int = 256) -> None:
        command = [python, "-W", "ignore", "-m", "bench.contestant", kind, str(folder), f"--side={side}"]
        paths = os.pathsep.join([str(ROOT), str(ROOT / "functions")])
        self._process = subprocess.Popen(
            [*command, f"--threads={threads}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
        )
        self._kind = kind
        loaded = self._answer()
        self.library: str | None = loaded.get("library")
        self.absent: str | None = loaded.get("absent")

    def look(self, picture: Path) -> dict[str, float]:
        """One turn: `ms` and `peak_mb`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{picture}\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"The contestant {self._kind} broke down; its words are above")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Bench:
    """Pictures, models and peers in a folder, and the turns they take."""

    def __init__(self, folder: Path, peer_python: str) -> None:
        self._folder = folder
        self._peer_python = peer_python
        self.libraries: set[str] = set()
        self.absent: dict[str, str] = {}
        self.bytes_of: dict[str, int] = {}

    def prepare(self) -> list[Training]:
        """Render, resize, train ours and fill the peers' banks."""
        with err.status("rendering"):
            write_dataset(self._folder / "train", PRODUCT, normal=NORMALS, anomalous=ANOMALIES, seed=1)
            unseen = UNSEEN // 2
            write_dataset(self._folder / "unseen", PRODUCT, normal=unseen, anomalous=unseen, seed=500)
        images = read_folder(self._folder / "train")
        trainings = []
        for size in SIZES:
            with err.status(f"training at {size}"):
                self._write_unseen(size)
                pictures = [resized(image, size) for image in _some(images, size)]
                trainings.append(self._train(pictures, SEGMENTATION, size))
        own = next(size for size in SIZES if (size.width, size.height) == OWN)
        normals = [image for image in images if not image.is_anomalous]
        trainings.append(self._train(normals, ONE_CLASS, own))
        for side in PEER_SIDES:
            view = View.stretched(side, side)
            with err.status(f"filling the peers' bank at {side}"):
                write_peer(self._peer(side), [view.cut(image.read()).pixels for image in normals], side)
        return trainings

    def measure(self, threads: int, rounds: int) -> list[Measurement]:
        """All sizes, every contestant once a round."""
        measurements = []
        with ExitStack() as peers_of_all_sizes:
            here = {
                f"PatchCore at {side}, {kind}": peers_of_all_sizes.enter_context(
                    self._running(kind, self._peer(side), threads, side)
                )
                for side in PEER_SIDES
                for kind in ("onnx", "torch", "anomalib")
            }
            here["decode and resize alone"] = peers_of_all_sizes.enter_context(
                self._running("decode", self._folder, threads)
            )
            peers = {name: each for name, each in here.items() if each.library}
            for size in SIZES:
                with ExitStack() as own, err.status(f"looking at {size}, threads: {threads}"):
                    ours = {
                        name: own.enter_context(self._running("relook", folder, threads))
                        for name in (SEGMENTATION, ONE_CLASS)
                        if (folder := self._model(name, size)).is_dir()
                    }
                    entered = ours | {n: p for n, p in peers.items() if size.at_512 or not n.startswith(SLOW)}
                    turns = max(3, round(rounds * size.share_of_rounds))
                    measurements += self._take_turns(entered, size, threads, turns)
        return measurements

    def _take_turns(
        self, contestants: dict[str, Contestant], size: Size, threads: int, rounds: int
    ) -> list[Measurement]:
        pictures = sorted((self._folder / "pictures" / str(size)).iterdir())
        by_name = {name: Measurement(name, str(size), threads) for name in contestants}
        for turn in range(-WARM_UPS, rounds):
            for name, contestant in contestants.items():
                if name.startswith(SLOW) and turn > 0 and turn % SLOW_EVERY:
                    continue
                time.sleep(PAUSE_S)
                answer = contestant.look(pictures[turn % len(pictures)])
                if turn >= 0:
                    by_name[name].ms.append(answer["ms"])
                    by_name[name].peak_mb = answer["peak_mb"]
        return list(by_name.values())

    @contextmanager
    def _running(self, kind: str, folder: Path, threads: int, side: int = 256) -> Iterator[Contestant]:
        python = self._peer_python if kind in ("torch", "anomalib") else sys.executable
        contestant = Contestant(python, kind, folder, threads=threads, side=side)
        if contestant.library:
            self.libraries.add(contestant.library)
        else:
            self.absent[LIBRARIES[kind]] = str(contestant.absent)
        try:
            yield contestant
        finally:
            contestant.close()

    def _train(self, images: Sequence[LabeledImage], name: str, size: Size) -> Training:
        started = time.perf_counter()
        trained = train(images, project=PRODUCT, version="1", seed=0)
        seconds = time.perf_counter() - started
        trained.package.write_folder(self._model(name, size))
        anomalies = sum(image.is_anomalous for image in images)
        return Training(name, str(size), len(images) - anomalies, anomalies, seconds)

    def _write_unseen(self, size: Size) -> None:
        folder = self._folder / "pictures" / str(size)
        folder.mkdir(parents=True)
        for number, path in enumerate(sorted((self._folder / "unseen").glob("*/*.jpg"))):
            # Normal and anomalous ones in turn: only what is found costs painting
            half, place = divmod(number, UNSEEN // 2)
            (folder / f"{place}-{half}.jpg").write_bytes(resized_jpeg(path.read_bytes(), size))
        self.bytes_of[str(size)] = round(statistics.mean(path.stat().st_size for path in folder.iterdir()))

    def _model(self, name: str, size: Size) -> Path:
        return self._folder / "models" / f"{name}, {size}"

    def _peer(self, side: int) -> Path:
        return self._folder / f"patchcore-{side}"


def _some(images: Sequence[LabeledImage], size: Size) -> list[LabeledImage]:
    normals = [image for image in images if not image.is_anomalous]
    anomalies = [image for image in images if image.is_anomalous]
    return normals[: size.normals] + anomalies[: size.anomalies]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


if __name__ == "__main__":
    main()
