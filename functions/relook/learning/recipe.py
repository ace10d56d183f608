"""What the engine does unless told otherwise. docs/engine.md has the measurements that each number stands on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """The choices of a training; `python -m bench.ablation` takes them away one by one.

    Attributes:
        budget_px: pixels of the canvas that the backbone sees, whatever the part's proportions.
        crop: spend them on the part's own rectangle.
        align: find parts that lie turned or moved.
        second_look: where a camera gives many more pixels than the budget, also look at about half its resolution.
        copies: altered copies of each normal image that are learnt from.
        memory: of the most similar normal patch, averaged with the Gaussians.
        place_scales: judge a place by how odd normal images look there.
        dimensions: of whitened features. Rare directions carry the defects; fewer cost accuracy on small parts.
    """

    budget_px: int = 65_536
    crop: bool = True
    align: bool = True
    second_look: bool = True
    copies: int = 2
    memory: bool = True
    place_scales: bool = True
    dimensions: int = 100
