"""Parts that lie a little or completely differently in every picture, brought to the pose of a template.

The pose is searched in the graph itself, at 64 x 64: coarsely among turned templates, then among turned images, then
among half steps around the best. Angles are those of the real picture, whose proportions the squashed
input has lost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relook.detection.arrays import ByteArray, FloatArray
from relook.detection.session import Session
from relook.learning.estimators.features import INPUT_SIDE_PX, OPPONENTS, unit_image
from relook.learning.old_graph import GraphBuilder, Tensor

SLIGHT_DEG = 15.0
ANY_DEG = 180.0
_FINE = 64
_SHIFTS = 6
_STRIDE = 2
_LIGHT_CELLS = 31
_NUDGE_CELLS = 3
_STEP_DEG = 4.0
_TURNS_DEG = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
_ROUNDS = 2
_LEARNT_FROM = 16


@dataclass(frozen=True)
class Alignment:
    """A template and how far from it a part may be turned.

    Attributes:
        template: (3, 64, 64) opponent colours without slow changes of light, as `_opponents` makes them.
        reach_deg: 15 or 180, either way.
        aspect: width / height of the real pictures.
    """

    template: FloatArray
    reach_deg: float
    aspect: float


@dataclass(frozen=True)
class Aligned:
    """What alignment gives.

    Attributes:
        image: (1, 3, 256, 256), in the template's pose.
        pose: (1, 6): a picture's point (x, y) in -1..1 is (p0 x + p1 y + p2, p3 x + p4 y + p5) of the template's.
        likeness: (1,) normalised cross-correlation with the template, -1..1.
    """

    image: Tensor
    pose: Tensor
    likeness: Tensor


def alignment_nodes(graph: GraphBuilder, image: Tensor, alignment: Alignment) -> Aligned:
    """Nodes from (1, 3, 256, 256) RGB 0..1."""
    opponents = graph.convolve(image, OPPONENTS[:, :, None, None])
    fine = graph.to_grid(opponents, 3, INPUT_SIDE_PX, _FINE)
    fine = graph.node("Sub", fine, graph.mean_filter(fine, _LIGHT_CELLS))
    window = _window(alignment)
    pattern = _pattern(alignment.template, window)
    guesses, count = _guess(graph, fine, alignment, window)
    # The picture turned by nearby angles, over small shifts
    near = np.zeros((len(_TURNS_DEG), 3))
    near[:, 0] = np.deg2rad(_TURNS_DEG)
    poses = graph.node("Add", graph.reshape(guesses, count, 1, 3), graph.constant(near))
    tried = count * len(near)
    turned = _sample(graph, fine, graph.reshape(poses, tried, 3), tried, alignment.aspect)
    pads = graph.constant(np.array([0, 0, _NUDGE_CELLS, _NUDGE_CELLS] * 2))
    likeness = graph.convolve(graph.node("Pad", turned, pads, mode="edge"), pattern[None])
    # A picture that is turned is blurred a little, one that is not turned is not: by product alone it would win
    likeness = graph.node("Div", likeness, graph.reshape(_lengths(graph, turned, window), tried, 1, 1, 1))
    best = graph.node("ArgMax", graph.reshape(likeness, -1), axis=0, keepdims=1)
    nudges = np.arange(-_NUDGE_CELLS, _NUDGE_CELLS + 1) * 2 / _FINE
    turn, dy, dx = np.meshgrid(near[:, 0], nudges, nudges, indexing="ij")
    steps = np.stack([turn, dx, dy], axis=-1).reshape(-1, 3)
    which = graph.node("Gather", graph.constant(np.repeat(np.arange(count), len(steps))), best, axis=0)
    step = graph.node("Gather", graph.constant(np.tile(steps, (count, 1))), best, axis=0)
    guess = _move(graph, graph.node("Gather", guesses, which, axis=0), step, alignment.aspect)
    # Half steps in every direction
    half = np.stack(np.meshgrid(np.deg2rad([-0.5, 0, 0.5]), *[[-1 / _FINE, 0, 1 / _FINE]] * 2, indexing="ij"), -1)
    poses = _move(graph, guess, graph.constant(half.reshape(-1, 3)), alignment.aspect)
    turned = _sample(graph, fine, poses, 27, alignment.aspect)
    likeness = _correlation(graph, turned, pattern, window)
    best = graph.node("ArgMax", likeness, axis=0, keepdims=1)
    pose = graph.node("Gather", poses, best, axis=0)
    matrix = _matrix(graph, pose, alignment.aspect)
    moved = graph.node("GridSample", image, _places(graph, matrix, 1, INPUT_SIDE_PX), padding_mode="border")
    # Rounded to bytes, so that training may keep it as bytes and yet see what detection will
    levels = graph.node("Round", graph.node("Mul", moved, graph.constant(255.0)))
    aligned = graph.node("Mul", levels, graph.constant(1 / 255))
    return Aligned(aligned, matrix, graph.node("Gather", likeness, best, axis=0))


def undo_nodes(graph: GraphBuilder, aligned_map: Tensor, pose: Tensor, grid: int) -> Tensor:
    """Nodes from a (1, c, grid, grid) map of the aligned picture to one of the picture as it came."""
    a, b, x, c, d, y = (graph.take(pose, i, i + 1, axis=1) for i in range(6))
    determinant = graph.node("Sub", graph.node("Mul", a, d), graph.node("Mul", b, c))
    back = [graph.node("Div", value, determinant) for value in (d, b, c, a)]
    linear = [back[0], graph.node("Neg", back[1]), graph.node("Neg", back[2]), back[3]]

    def shift(first: Tensor, second: Tensor) -> Tensor:
        return graph.node("Neg", graph.node("Add", graph.node("Mul", first, x), graph.node("Mul", second, y)))

    inverse = [*linear[:2], shift(linear[0], linear[1]), *linear[2:], shift(linear[2], linear[3])]
    matrix = graph.node("Concat", *inverse, axis=1)
    return graph.node("GridSample", aligned_map, _places(graph, matrix, 1, grid), padding_mode="border")


def alignment_graph(alignment: Alignment) -> bytes:
    """`image` (1, 256, 256, 3) uint8 to `aligned` (1, 3, 256, 256) 0..1, `likeness` (1,) and `pose` (1, 6)."""
    graph = GraphBuilder()
    found = alignment_nodes(graph, unit_image(graph), alignment)
    graph.output("aligned", found.image, (1, 3, INPUT_SIDE_PX, INPUT_SIDE_PX))
    graph.output("likeness", found.likeness, (1,))
    graph.output("pose", found.pose, (1, 6))
    return graph.finish()


def align(pixels: ByteArray, alignment: Alignment, threads: int) -> tuple[ByteArray, FloatArray]:
    """(n, 256, 256, 3) pixels in the template's pose, and their (n,) likeness to it."""
    session = Session(alignment_graph(alignment), threads=threads)
    aligned, likeness = np.empty_like(pixels), np.empty(len(pixels), np.float32)
    for index, image in enumerate(pixels):
        found = session(image=image[None])
        aligned[index] = np.rint(found["aligned"][0].transpose(1, 2, 0) * 255)
        likeness[index] = found["likeness"][0]
    return aligned, likeness


def fit_alignment(normals: ByteArray, reach_deg: float, aspect: float, threads: int) -> tuple[Alignment, float]:
    """A template from (n, 256, 256, 3) normal pictures: the most usual one, then the mean of those that fit it best.

    Returns:
        the alignment, and the mean likeness of the pictures to its template.
    """
    some = normals[:: -(-len(normals) // _LEARNT_FROM)]
    small = _opponents(some)
    usual = ((small - small.mean(axis=0)) ** 2).sum(axis=(1, 2, 3)).argmin()
    alignment = Alignment(small[usual], reach_deg, aspect)
    for _ in range(_ROUNDS):
        aligned, likeness = align(some, alignment, threads)
        # The half that fits best: those it takes upside down fit worse, and must not blur it
        best = likeness >= np.median(likeness)
        alignment = Alignment(_opponents(aligned[best]).mean(axis=0), reach_deg, aspect)
    return alignment, float(align(some, alignment, threads)[1].mean())


def likeness_as_they_are(normals: ByteArray) -> FloatArray:
    """(n,) normalised cross-correlation of normal pictures with their mean, nothing moved."""
    small = _opponents(normals)
    mean = small.mean(axis=0)
    rows = (small - small.mean(axis=(2, 3), keepdims=True)).reshape(len(small), -1)
    template = (mean - mean.mean(axis=(1, 2), keepdims=True)).ravel()
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(template) + 1e-6
    return np.asarray(np.einsum("ni,i->n", rows, template) / lengths, np.float32)


def _guess(graph: GraphBuilder, fine: Tensor, alignment: Alignment, window: FloatArray) -> tuple[Tensor, int]:
    """(k, 3) rough poses, and k: turned templates over all shifts, as one convolution with kernels as large as the
    picture. Of a part that may lie anyhow also the best pose the other way round, which is easily mistaken for it."""
    angles = _coarse_angles(alignment.reach_deg)
    kernels = np.stack([_pattern(*_turned(alignment, window, a)) for a in angles])
    padded = graph.pad_edges(fine, _SHIFTS * _STRIDE, _SHIFTS * _STRIDE)
    likeness = graph.convolve(padded, kernels, strides=[_STRIDE, _STRIDE])
    rows = graph.reshape(likeness, len(angles), (2 * _SHIFTS + 1) ** 2)
    by_angle = graph.node("ReduceMax", rows, graph.constant(np.array([1])), keepdims=0)
    chosen = graph.node("ArgMax", by_angle, axis=0, keepdims=1)
    count = 1
    if alignment.reach_deg == ANY_DEG:
        apart = np.abs((angles[:, None] - angles + 180) % 360 - 180)
        others = graph.node("Gather", graph.constant(np.where(apart > 90, 0.0, -1e3)), chosen, axis=0)
        second = graph.node("ArgMax", graph.node("Add", by_angle, graph.reshape(others, -1)), axis=0, keepdims=1)
        chosen, count = graph.node("Concat", chosen, second, axis=0), 2
    shift = graph.node("ArgMax", graph.node("Gather", rows, chosen, axis=0), axis=1, keepdims=0)
    cells = np.arange(-_SHIFTS, _SHIFTS + 1) * _STRIDE * 2 / _FINE
    y, x = np.meshgrid(cells, cells, indexing="ij")
    shifts = graph.node("Gather", graph.constant(np.stack([x.ravel(), y.ravel()], axis=1)), shift, axis=0)
    turns = graph.node("Gather", graph.constant(np.deg2rad(angles)[:, None]), chosen, axis=0)
    return graph.node("Concat", turns, shifts, axis=1), count


def _coarse_angles(reach_deg: float) -> FloatArray:
    if reach_deg == ANY_DEG:
        return np.arange(0, 360, _STEP_DEG, dtype=np.float32)
    return np.arange(-reach_deg, reach_deg + 1, _STEP_DEG - 1, dtype=np.float32)


def _opponents(pixels: ByteArray) -> FloatArray:
    """(n, 3, 64, 64) as `alignment_nodes` sees pictures: in opponent colours, without slow changes of light."""
    step = INPUT_SIDE_PX // _FINE
    small = pixels.reshape(len(pixels), _FINE, step, _FINE, step, 3).mean(axis=(2, 4), dtype=np.float32) / 255
    colors = (small @ OPPONENTS.T.astype(np.float32)).transpose(0, 3, 1, 2)
    reach = _LIGHT_CELLS // 2
    padded = np.pad(colors, ((0, 0), (0, 0), (reach + 1, reach), (reach + 1, reach)), mode="edge")
    padded[:, :, 0], padded[:, :, :, 0] = 0, 0
    total = padded.cumsum(axis=2, dtype=np.float64).cumsum(axis=3)
    size = _LIGHT_CELLS
    light = (
        total[:, :, size:, size:]
        - total[:, :, :-size, size:]
        - total[:, :, size:, :-size]
        + total[:, :, :-size, :-size]
    )
    return np.ascontiguousarray(colors - light / size**2, np.float32)


def _window(alignment: Alignment) -> FloatArray:
    """(64, 64) weights: all that stays in the picture however far the part is turned."""
    axis = (np.arange(_FINE) + 0.5) / _FINE * 2 - 1
    y, x = np.meshgrid(axis, axis, indexing="ij")
    if alignment.reach_deg < ANY_DEG:
        return np.ones((_FINE, _FINE), np.float32)
    width, height = max(alignment.aspect, 1.0), max(1 / alignment.aspect, 1.0)
    radius = np.hypot(x * width, y * height)
    return np.asarray(np.clip((1 - radius) * 8 + 0.5, 0, 1), np.float32)


def _pattern(template: FloatArray, window: FloatArray) -> FloatArray:
    """The template as a kernel: no mean under the window, length 1."""
    mean = (template * window).sum(axis=(1, 2), keepdims=True) / window.sum()
    kernel = (template - mean) * window
    return np.asarray(kernel / (np.linalg.norm(kernel) + 1e-9), np.float32)


def _turned(alignment: Alignment, window: FloatArray, degrees: float) -> tuple[FloatArray, FloatArray]:
    """Template and window as a part turned by `degrees` would look."""
    angle, aspect = np.deg2rad(degrees), alignment.aspect
    axis = (np.arange(_FINE) + 0.5) / _FINE * 2 - 1
    y, x = np.meshgrid(axis, axis, indexing="ij")
    # The inverse of what `_matrix` does
    back_x = np.cos(angle) * x + np.sin(angle) / aspect * y
    back_y = -np.sin(angle) * aspect * x + np.cos(angle) * y
    row, column = ((v + 1) * _FINE / 2 - 0.5 for v in (back_y, back_x))
    row, column = row.clip(0, _FINE - 1.001), column.clip(0, _FINE - 1.001)
    top, left = row.astype(int), column.astype(int)
    below, right = row - top, column - left
    planes = np.concatenate([alignment.template, window[None]])
    turned = (
        planes[:, top, left] * (1 - below) * (1 - right)
        + planes[:, top, left + 1] * (1 - below) * right
        + planes[:, top + 1, left] * below * (1 - right)
        + planes[:, top + 1, left + 1] * below * right
    )
    return np.asarray(turned[:3], np.float32), np.asarray(turned[3], np.float32)


def _matrix(graph: GraphBuilder, poses: Tensor, aspect: float) -> Tensor:
    """(k, 6) matrices of (k, 3) poses: angle, x, y of the part in the picture."""
    angle, x, y = (graph.take(poses, i, i + 1, axis=1) for i in range(3))
    cos, sin = graph.node("Cos", angle), graph.node("Sin", angle)
    across = graph.node("Mul", sin, graph.constant(-1 / aspect))
    down = graph.node("Mul", sin, graph.constant(aspect))
    return graph.node("Concat", cos, across, x, down, cos, y, axis=1)


def _move(graph: GraphBuilder, pose: Tensor, steps: Tensor, aspect: float) -> Tensor:
    """(k, 3) poses: a step in the template's frame, taken from one (1, 3) pose in the picture's."""
    step_angle, step_x, step_y = (graph.take(steps, i, i + 1, axis=1) for i in range(3))
    angle, x, y = (graph.take(pose, i, i + 1, axis=1) for i in range(3))
    angle = graph.node("Add", angle, step_angle)
    cos, sin = graph.node("Cos", angle), graph.node("Sin", angle)
    across = graph.node("Mul", graph.node("Mul", sin, step_y), graph.constant(-1 / aspect))
    down = graph.node("Mul", graph.node("Mul", sin, step_x), graph.constant(aspect))
    moved_x = graph.node("Add", x, graph.node("Add", graph.node("Mul", cos, step_x), across))
    moved_y = graph.node("Add", y, graph.node("Add", down, graph.node("Mul", cos, step_y)))
    return graph.node("Concat", angle, moved_x, moved_y, axis=1)


def _places(graph: GraphBuilder, matrices: Tensor, count: int, side: int) -> Tensor:
    """(k, side, side, 2) sampling places of (k, 6) matrices."""
    axis = (np.arange(side) + 0.5) / side * 2 - 1
    y, x = np.meshgrid(axis, axis, indexing="ij")
    frame = np.stack([x.ravel(), y.ravel(), np.ones(side**2)])
    places = graph.node("MatMul", graph.reshape(matrices, count, 2, 3), graph.constant(frame))
    return graph.reshape(graph.node("Transpose", places, perm=[0, 2, 1]), count, side, side, 2)


def _sample(graph: GraphBuilder, fine: Tensor, poses: Tensor, count: int, aspect: float) -> Tensor:
    """(k, 3, 64, 64): the picture as seen from each of (k, 3) poses."""
    many = graph.node("Expand", fine, graph.constant(np.array([count, 3, _FINE, _FINE])))
    places = _places(graph, _matrix(graph, poses, aspect), count, _FINE)
    return graph.node("GridSample", many, places, padding_mode="border")


def _correlation(graph: GraphBuilder, pictures: Tensor, pattern: FloatArray, window: FloatArray) -> Tensor:
    """(k,) normalised cross-correlation of (k, 3, 64, 64) pictures with the pattern, under the window."""
    axes = graph.constant(np.array([1, 2, 3]))
    common = graph.node("ReduceSum", graph.node("Mul", pictures, graph.constant(pattern)), axes, keepdims=0)
    scale = np.sqrt(((pattern**2) / np.maximum(window, 1e-6)).sum())
    length = graph.node("Mul", _lengths(graph, pictures, window), graph.constant(float(scale)))
    # A plain picture, or a plain template, has none
    return graph.node("Div", common, graph.node("Add", length, graph.constant(1e-6)))


def _lengths(graph: GraphBuilder, pictures: Tensor, window: FloatArray) -> Tensor:
    """(k,) lengths above 0 of (k, 3, 64, 64) pictures without their mean, under the window."""
    weights = np.broadcast_to(window / window.sum(), (3, _FINE, _FINE))
    mean = graph.node(
        "ReduceSum", graph.node("Mul", pictures, graph.constant(weights)), graph.constant(np.array([2, 3]))
    )
    centred = graph.node("Mul", graph.node("Sub", pictures, mean), graph.constant(np.sqrt(window)))
    axes = graph.constant(np.array([1, 2, 3]))
    energy = graph.node("ReduceSum", graph.node("Mul", centred, centred), axes, keepdims=0)
    return graph.node("Add", graph.node("Sqrt", energy), graph.constant(1e-6))
