"""Whether a changed camera or file is taken for a defect: false alarms and AUROC on altered images.

    python -m bench.robustness [--data DIR ...] [--only NAME ...] [--json]

Protocol. A model of each set learns from its training part's normal images as they are, nothing else. It then looks at
the test part, normal and anomalous images alike, as they are and in seven ways altered, each time at the default
threshold. `JPEG`: encoded anew at that quality, colours at half the resolution (4:2:0). `darker`, `brighter`: all
values times .75 or 1.25, cut off at 255. `blurred`: a Gaussian whose sigma is half a pixel where the picture has 65,536
of them (256 x 256), more pixels in a larger one. `moved`: to the right and down, by 2 % of the width and of the height,
mirrored at the border. What is not said to be a JPEG is encoded without loss. Splits are those of bench.accuracy.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from PIL import Image, ImageFilter
from rich.table import Table

from bench.judging import judge
from bench.pictures import encoded
from bench.printing import console, mean, shown, tracked
from bench.sets import LabeledSet, add_arguments, chosen_sets
from relook.detection.arrays import ByteArray
from relook.detection.image import MAX_IMAGE_BYTES, decode
from relook.detection.model import Model
from relook.learning.data.samples import LabeledImage
from relook.learning.training import train

AS_THEY_ARE = "as they are"
_AT_PX = 256
_MOVED_SHARE = 0.02


@dataclass(frozen=True)
class Row:
    """One model on one set's test part, altered in one way."""

    data: str
    altered: str
    false_alarms: float
    auroc: float
    f1: float


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="JSON lines instead of tables")
    arguments = parser.parse_args()
    sets = chosen_sets(arguments)
    rows: list[Row] = []
    for data in tracked(sets, "measuring"):
        model = Model(train(data.normals, project=data.name, version="1").package)
        for name in (AS_THEY_ARE, *ALTERATIONS):
            judged = judge(model, [altered(image, name) for image in data.test])
            rows.append(Row(data.name, name, judged.false_alarms, judged.auroc, judged.f1))
            if arguments.json:
                print(json.dumps(asdict(rows[-1])), flush=True)
    if not arguments.json:
        console.print((__doc__ or "").split("Protocol. ")[-1])
        _print("share of normal images called anomalous", {(r.data, r.altered): r.false_alarms for r in rows}, sets)
        _print("AUROC", {(r.data, r.altered): r.auroc for r in rows}, sets)


def altered(image: LabeledImage, name: str) -> LabeledImage:
    """In one of `ALTERATIONS`, or as it is."""
    return image if name == AS_THEY_ARE else replace(image, read=lambda: ALTERATIONS[name](decode(image.read())))


def _jpeg(quality: int) -> Callable[[ByteArray], bytes]:
    return lambda pixels: encoded(pixels, "JPEG", quality=quality, subsampling="4:2:0")


def lit(gain: float) -> Callable[[ByteArray], bytes]:
    """All values times so much, cut off at 255."""
    return lambda pixels: _lossless(np.rint(pixels * np.float32(gain)).clip(0, 255).astype(np.uint8))


def blurred(sigma_px: float) -> Callable[[ByteArray], bytes]:
    """By a Gaussian whose sigma is this in a picture of 256 x 256 pixels, and more in a larger one."""

    def blur(pixels: ByteArray) -> bytes:
        height, width = pixels.shape[:2]
        sigma = sigma_px * math.sqrt(height * width) / _AT_PX
        return _lossless(np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(sigma))))

    return blur


def _moved(pixels: ByteArray) -> bytes:
    height, width = pixels.shape[:2]
    down, right = round(_MOVED_SHARE * height), round(_MOVED_SHARE * width)
    return _lossless(np.pad(pixels, ((down, 0), (right, 0), (0, 0)), mode="symmetric")[:height, :width])


def _lossless(pixels: ByteArray) -> bytes:
    """As PNG; where that is more than detection accepts, as a JPEG of the highest quality."""
    data = encoded(pixels, "PNG", compress_level=1)
    return data if len(data) <= MAX_IMAGE_BYTES else encoded(pixels, "JPEG", quality=98, subsampling="4:4:4")


ALTERATIONS: dict[str, Callable[[ByteArray], bytes]] = {
    "JPEG 95": _jpeg(95),
    "JPEG 75": _jpeg(75),
    "JPEG 60": _jpeg(60),
    "25 % darker": lit(0.75),
    "25 % brighter": lit(1.25),
    "blurred": blurred(0.5),
    "moved 2 %": _moved,
}


def _print(title: str, figures: dict[tuple[str, str], float], sets: Sequence[LabeledSet]) -> None:
    """A line a set, a column an alteration, means last."""
    table = Table("", *(AS_THEY_ARE, *ALTERATIONS), title=title, title_justify="left", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    groups = {data.name: [data] for data in sets}
    groups["mean of the generated"] = [data for data in sets if data.is_generated]
    groups["mean of the real"] = [data for data in sets if not data.is_generated]
    for name, group in groups.items():
        if group:
            cells = (mean(figures[data.name, way] for data in group) for way in (AS_THEY_ARE, *ALTERATIONS))
            table.add_row(name, *map(shown, cells))
    console.print(table)


if __name__ == "__main__":
    main()
