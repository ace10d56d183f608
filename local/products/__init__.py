"""Products of the demo and the benchmarks: photographs of parts that never existed, with exact masks of their defects.

numpy and Pillow only; nothing is downloaded and the same seed gives the same bytes.
"""

from __future__ import annotations

from local.products.dataset import write_dataset
from local.products.picture import PRODUCTS, Defect, Picture, Product, render

__all__ = ["PRODUCTS", "Defect", "Picture", "Product", "render", "write_dataset"]
