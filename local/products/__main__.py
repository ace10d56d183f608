"""Write sample pictures of every product, and a sheet of them, for people who look.

Example: python -m local.products /tmp/parts --count 6
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from local.products.dataset import write_dataset
from local.products.picture import PRODUCTS, Picture, render

TILE_WIDTH = 480  # three beside each other fit a screen


def contact_sheet(product: str, seed: int) -> Image.Image:
    """One row a defect type: the sound piece, the same piece spoiled, and where."""
    item = PRODUCTS[product]
    tile_height = TILE_WIDTH * item.height // item.width
    sheet = Image.new("RGB", (3 * TILE_WIDTH, tile_height * len(item.defects)))
    for row, name in enumerate(item.defects):
        sound, spoiled = render(product, seed + row), render(product, seed + row, [name])
        for column, image in enumerate((sound.image, spoiled.image, _painted(spoiled, item.defects[name].color))):
            tile = Image.fromarray(image).resize((TILE_WIDTH, tile_height), Image.Resampling.LANCZOS)
            sheet.paste(tile, (column * TILE_WIDTH, row * tile_height))
        draw = ImageDraw.Draw(sheet)
        draw.text((2 * TILE_WIDTH + 12, row * tile_height + 10), name, font=ImageFont.load_default(22))
    return sheet


def _painted(picture: Picture, color: str) -> NDArray[np.uint8]:
    share = 0.6 * (picture.mask > 0)[..., None]
    painted: NDArray[np.uint8] = picture.image * (1 - share) + np.array(ImageColor.getrgb(color)) * share
    return painted.astype(np.uint8)


def main() -> None:
    """Write products, and a sheet that shows them, to a folder."""
    parser = argparse.ArgumentParser(prog="python -m local.products", description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--count", type=int, default=6, help="normal and anomalous pictures of each product")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for product in PRODUCTS:
        folder = arguments.out / product
        write_dataset(folder, product, normal=arguments.count, anomalous=arguments.count, seed=arguments.seed)
        contact_sheet(product, arguments.seed).save(arguments.out / f"{product}.png")
        print(f"{folder} and {folder}.png")


if __name__ == "__main__":
    main()
