"""One way to look at pictures, in a process of its own: what it takes in time, and in memory at its peak.

    python -m bench.contestant (relook|decode|onnx|torch|anomalib) FOLDER --side 256 --threads 2

Once loaded it says so on standard output; then, for each path that comes in, one JSON line. `bench.detect` talks to it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from relook.detection.view import View

Look = Callable[[bytes], object]

# The interpreter's name of what a contestant stands or falls with.
LIBRARIES = {
    "relook": "onnxruntime",
    "decode": "pillow",
    "onnx": "onnxruntime",
    "torch": "torch",
    "anomalib": "anomalib",
}


def main() -> None:
    """Look at each image whose path comes in on standard input; answer with what it took, a JSON line each."""
    parser = argparse.ArgumentParser(prog="python -m bench.contestant", description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=LIBRARIES)
    parser.add_argument("folder", type=Path, help="a model package, or what bench.patchcore wrote")
    parser.add_argument("--side", type=int, default=256, help="of the square input of a peer's network, px")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    answers, sys.stdout = sys.stdout, sys.stderr  # libraries may print; answers stay alone on their line
    try:
        look = _load(arguments.kind, arguments.folder, arguments.side, arguments.threads)
    except ImportError as error:
        print(json.dumps({"absent": str(error)}), file=answers, flush=True)
        return
    library = LIBRARIES[arguments.kind]
    print(json.dumps({"library": f"{library} {version(library)}"}), file=answers, flush=True)
    for line in sys.stdin:
        data = Path(line.strip()).read_bytes()
        started = time.perf_counter()
        look(data)
        seconds = time.perf_counter() - started
        print(json.dumps({"ms": seconds * 1e3, "peak_mb": _peak_mb()}), file=answers, flush=True)


def _load(kind: str, folder: Path, side: int, threads: int) -> Look:
    """Each imports what it needs and nothing else: imports count towards the peak."""
    if kind == "decode":
        return lambda data: View.stretched(side, side).cut(data).pixels
    if kind == "relook":
        from relook.detection.model import Model
        from relook.detection.package import ModelPackage

        return Model(ModelPackage.read_folder(folder), threads=threads).detect
    from bench import patchcore

    load = {"onnx": patchcore.load_onnx, "torch": patchcore.load_torch, "anomalib": patchcore.load_anomalib}[kind]
    look = load(folder, threads)
    return lambda data: look(View.stretched(side, side).cut(data).pixels)


def _peak_mb() -> float:
    """Since this program was started; getrusage would report the parent's peak too."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


if __name__ == "__main__":
    main()
