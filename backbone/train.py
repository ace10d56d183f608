"""Train the backbone: `python -m backbone.train`.

Two views of a generated scene, moved and lit differently, one of them damaged somewhere. What is learnt:

places      a point and its counterpart look alike, points elsewhere do not (dense InfoNCE, after van den Oord et al.
            2018 and Wang et al. 2021), at all three depths; on a surface of one material, elsewhere means other scenes
damage      where something was painted, a point looks unlike its counterpart, and unlike all else in its scene
materials   at the deepest map, points of one material look alike, those of others do not (Khosla et al. 2020)

The projections that the losses look at are thrown away; the maps before them are the features.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from backbone.network import WIDTHS, Backbone, to_onnx
from backbone.procedural import NO_MATERIAL, Rng, Scene, generate, shape

SCENE_PX = 144
VIEW_PX = 96
BATCH = 24
POINTS = 24
TEMPERATURE = 0.12
NEAR = 0.12
PEAK_RATE = 2e-3
EXPORT_PX = 256
LOG_STEPS = 200


@dataclass(frozen=True)
class Ingredients:
    """What can be left out, to see what it buys."""

    places: bool = True
    damage: bool = True
    materials: bool = True


@dataclass(frozen=True)
class Scenes:
    """(n, 3, side, side) pixels 0..255, (n, 1, side, side) materials, (n,) whether one material fills the frame."""

    pixels: Tensor
    materials: Tensor
    is_surface: Tensor

    @classmethod
    def of(cls, scenes: list[Scene]) -> Scenes:
        pixels = np.stack([scene.pixels for scene in scenes]).transpose(0, 3, 1, 2)
        materials = np.stack([scene.materials for scene in scenes])[:, None]
        surfaces = torch.tensor([scene.is_surface for scene in scenes])
        return cls(torch.from_numpy(np.ascontiguousarray(pixels)), torch.from_numpy(materials), surfaces)


@dataclass(frozen=True)
class Views:
    """Two views of each scene of a batch, and points seen in both.

    Attributes:
        first, second: (b, 3, 96, 96).
        at_first, at_second: (b, k, 2) x, y of each point in each view, -1..1.
        place: (b, k, 2) of each point in the scene.
        material: (b, k).
        kept, damaged: (b, k) whether the surroundings are the same in both, whether the very point was damaged.
        is_foreign: (b,) whether the damage is of a material not from the scene itself.
        is_surface: (b,).
    """

    first: Tensor
    second: Tensor
    at_first: Tensor
    at_second: Tensor
    place: Tensor
    material: Tensor
    kept: Tensor
    damaged: Tensor
    is_foreign: Tensor
    is_surface: Tensor


def make_views(scenes: Scenes, rng: Rng) -> Views:
    """A random batch."""
    chosen = torch.from_numpy(rng.integers(0, len(scenes.pixels), BATCH))
    scene, materials = scenes.pixels[chosen].float() / 255, scenes.materials[chosen].float()
    if rng.random() < 0.5:
        scene, materials = scene.flip(3), materials.flip(3)
    if rng.random() < 0.5:
        scene, materials = scene.transpose(2, 3), materials.transpose(2, 3)
    changed, damage, is_foreign = _damage(scene, rng)
    frame = _frame()
    other = frame + 0.03 * torch.randn(BATCH, 2, 3)
    size = (BATCH, 3, VIEW_PX, VIEW_PX)
    first, second = (
        _photograph(
            functional.grid_sample(
                x, functional.affine_grid(f, size, False), align_corners=False, padding_mode="reflection"
            )
        )
        for x, f in ((scene, frame), (changed, other))
    )
    at_first = torch.rand(BATCH, POINTS, 2) * 1.7 - 0.85
    place = at_first @ frame[:, :, :2].mT + frame[:, None, :, 2]
    at_second = (place - other[:, None, :, 2]) @ torch.linalg.inv(other[:, :, :2]).mT
    near_damage = _look_up(functional.max_pool2d(damage, 5, 1, 2), place)
    inside = at_second.abs().amax(-1) < 0.95
    return Views(
        first,
        second,
        at_first,
        at_second,
        place,
        functional.grid_sample(materials, place[:, :, None], mode="nearest", align_corners=False)[:, 0, :, 0],
        inside & (near_damage < 0.01),
        inside & (_look_up(damage, place) > 0.9),
        is_foreign,
        scenes.is_surface[chosen],
    )


def loss_of(views: Views, maps: list[tuple[Tensor, Tensor]], ingredients: Ingredients) -> Tensor:
    """The sum over depths; `maps` are the projections of both views, materials last."""
    same_scene = torch.block_diag(*[torch.ones(POINTS, POINTS)] * BATCH).bool()
    near = torch.block_diag(*(torch.cdist(views.place, views.place) < NEAR)).bool()
    surface = views.is_surface.repeat_interleave(POINTS)
    # Points that nobody could tell apart are no counterexamples
    ignored = (near | (same_scene & surface[:, None])) & ~torch.eye(BATCH * POINTS, dtype=torch.bool)
    kept, damaged = views.kept.flatten(), views.damaged.flatten()
    foreign = damaged & views.is_foreign.repeat_interleave(POINTS)
    total = torch.zeros(())
    for depth, (first, second) in enumerate(maps):
        likeness = _sample(first, views.at_first) @ _sample(second, views.at_second).T
        if depth == len(WIDTHS) - 1:
            if ingredients.materials:
                total = total + 0.3 * _materials_loss(likeness, views, kept)
            continue
        if ingredients.places:
            log_odds = (likeness / TEMPERATURE).masked_fill(ignored, -1e4)
            total = total + functional.cross_entropy(log_odds[kept], torch.arange(len(kept))[kept])
        if ingredients.damage:
            if damaged.any():
                total = total + functional.relu(likeness.diagonal()[damaged] - 0.2).mean()
            if foreign.any():
                closest = likeness.masked_fill(~same_scene | ~kept[:, None], -1).amax(dim=0)[foreign]
                total = total + 0.5 * functional.relu(closest - 0.4).mean()
    return total


def train(steps: int, scenes: int, seed: int, ingredients: Ingredients, log: Callable[[str], None]) -> Backbone:
    """The same arguments give the same batches in the same order."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    data = Scenes.of([generate(rng, SCENE_PX) for _ in range(scenes)])
    network = Backbone().to(memory_format=torch.channels_last)
    projections = nn.ModuleList([nn.Conv2d(width, 64, 1) for width in (*WIDTHS[1:], WIDTHS[-1])])
    optimizer = torch.optim.AdamW([*network.parameters(), *projections.parameters()], weight_decay=1e-4)
    started, losses = time.monotonic(), []
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * min(1, step / 100) * 0.5 * (1 + math.cos(math.pi * step / steps))
        views = make_views(data, rng)
        with torch.autocast("cpu", torch.bfloat16):  # twice as fast
            maps = network(torch.cat([views.first, views.second]).contiguous(memory_format=torch.channels_last))
            both = [p(m).float() for p, m in zip(projections, (*maps, maps[-1]), strict=True)]
        projected = [tuple(m.split(BATCH)) for m in both]
        loss = loss_of(views, projected, ingredients)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % LOG_STEPS == 0:
            minutes = (time.monotonic() - started) / 60
            log(f"step {step} of {steps}  loss {np.mean(losses[-LOG_STEPS:]):.3f}  {minutes:.1f} minutes")
    return network


def _damage(scene: Tensor, rng: Rng) -> tuple[Tensor, Tensor, Tensor]:
    """A copy of (b, 3, side, side) in which most scenes have something painted, where, and whether it is foreign."""
    changed, where = scene.clone(), torch.zeros(len(scene), 1, SCENE_PX, SCENE_PX)
    is_foreign = torch.zeros(len(scene), dtype=torch.bool)
    for index, original in enumerate(scene):
        if rng.random() < 0.3:
            continue
        cover = torch.from_numpy(shape(rng, SCENE_PX, rng.uniform(3, 16)))[None] * rng.uniform(0.2, 1)
        kind = rng.random()
        if kind < 0.5:
            paint = torch.from_numpy(rng.random((3, 1, 1))).float().expand_as(original)
        elif kind < 0.65:  # darker or brighter, as scratches, dents and stains are
            paint = original * rng.choice([0.3, 0.6, 1.4, 1.8])
        elif kind < 0.8:
            paint = scene[rng.integers(len(scene))]
        else:
            paint = original.roll(tuple(rng.integers(8, 60, 2).tolist()), (1, 2))
        is_foreign[index] = kind < 0.8
        changed[index] = (original * (1 - cover) + paint * cover).clamp(0, 1)
        where[index] = ((changed[index] - original).abs().mean(0, keepdim=True) > 0.04).float()
    return changed, where, is_foreign


def _frame() -> Tensor:
    """(b, 2, 3) affine maps from a view's -1..1 to the scene's: a little turned, scaled and moved."""
    turn, scale = 0.12 * torch.randn(BATCH), torch.exp(0.08 * torch.randn(BATCH)) * VIEW_PX / SCENE_PX
    cos, sin = scale * turn.cos(), scale * turn.sin()
    shift = 0.25 * (torch.rand(BATCH, 2) - 0.5)
    return torch.stack([cos, -sin, shift[:, 0], sin, cos, shift[:, 1]], dim=1).view(BATCH, 2, 3)


def _photograph(view: Tensor) -> Tensor:
    """Another light, another white balance, another noise."""
    view = view * (1 + 0.12 * torch.randn(BATCH, 1, 1, 1)) + 0.05 * torch.randn(BATCH, 1, 1, 1)
    view = view * (1 + 0.04 * torch.randn(BATCH, 3, 1, 1))
    return (view + 0.02 * torch.rand(BATCH, 1, 1, 1) * torch.randn_like(view)).clamp(0, 1)


def _look_up(field: Tensor, place: Tensor) -> Tensor:
    """(b, k) values of a (b, 1, h, w) field at (b, k, 2) places."""
    return functional.grid_sample(field, place[:, :, None], align_corners=False)[:, 0, :, 0]


def _sample(features: Tensor, place: Tensor) -> Tensor:
    """(b k, c) features of unit length at the points."""
    found = functional.grid_sample(features, place[:, :, None], align_corners=False)[..., 0].mT
    return functional.normalize(found.reshape(-1, features.shape[1]), dim=1)


def _materials_loss(likeness: Tensor, views: Views, kept: Tensor) -> Tensor:
    """Supervised contrast between the points of one material and all others."""
    known = kept & (views.material.flatten() != NO_MATERIAL)
    number = views.material.flatten() + 1000 * torch.arange(BATCH).repeat_interleave(POINTS)
    same = (number[:, None] == number[None]) & known[None]
    odds = functional.log_softmax((likeness / TEMPERATURE).masked_fill(~known[None], -1e4), dim=1)
    share = same.sum(1).clamp_min(1)
    return -((odds * same).sum(1) / share)[known].mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument("--scenes", type=int, default=12_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--without", action="append", default=[], choices=["places", "damage", "materials"])
    parser.add_argument("--output", type=Path, default=Path("functions/relook/learning/backbone.onnx"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    ingredients = Ingredients(**dict.fromkeys(arguments.without, False))
    network = train(
        arguments.steps, arguments.scenes, arguments.seed, ingredients, lambda line: print(line, flush=True)
    )
    arguments.output.write_bytes(to_onnx(network, EXPORT_PX))
    print(json.dumps({"output": str(arguments.output), "bytes": arguments.output.stat().st_size}))


if __name__ == "__main__":
    main()
