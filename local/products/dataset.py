"""Labelled folders of pictures, as `relook train PROJECT FOLDER` reads them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from local.products.picture import PRODUCTS, render

JPEG_QUALITY = 92  # as cameras save


def write_dataset(folder: Path, product: str, *, normal: int, anomalous: int, seed: int) -> list[Path]:
    """Write `normal/*.jpg`, `anomaly/*.jpg`, `masks/<stem>.png` and `masks/colors.json`.

    Picture i has the seed `seed + i`, normals first, so that two sets are apart when their ranges are. The types take
    turns; every fifth anomalous picture carries a second one.

    Returns:
        The pictures' paths, normals first.
    """
    for name in ("normal", "anomaly", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    colors = {name: defect.color for name, defect in PRODUCTS[product].defects.items()}
    (folder / "masks" / "colors.json").write_text(json.dumps(colors, indent=2) + "\n")
    types = list(colors)
    orders: list[list[str]] = [[] for _ in range(normal)]
    for number in range(anomalous):
        orders.append([types[number % len(types)]])
        if number % 5 == 4:
            orders[-1].append(types[(number + 1) % len(types)])
    # Threads: numpy and Pillow let go of the interpreter's lock while they work.
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda task: _write_picture(folder, product, *task), enumerate(orders, start=seed)))


def _write_picture(folder: Path, product: str, seed: int, defects: list[str]) -> Path:
    picture = render(product, seed, defects)
    path = folder / ("anomaly" if defects else "normal") / f"{product}-{seed:05d}.jpg"
    Image.fromarray(picture.image).save(path, quality=JPEG_QUALITY)
    if defects:
        # White background first, then each class in its own colour.
        colors = ["#FFFFFF", *(defect.color for defect in PRODUCTS[product].defects.values())]
        mask = Image.fromarray(picture.mask)
        mask.putpalette(b"".join(bytes.fromhex(color[1:]) for color in colors))
        mask.save(folder / "masks" / f"{path.stem}.png")
    return path
