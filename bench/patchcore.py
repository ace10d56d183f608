"""The peer: PatchCore on ResNet-18, as one ONNX graph, in torch and as anomalib has it.

Source: Roth et al. 2022, "Towards Total Recall in Industrial Anomaly Detection": layers 2 and 3, averaged over 3 x 3
cells, the deeper one enlarged to the finer, the nearest of a tenth of the normals' patches. The bank is drawn
at random, where the paper takes a greedy coreset: as large, hence as slow to ask. In our two versions the score is not
weighed by the neighbours of the nearest patch, in the peer's favour. The weights are random, which costs what trained
ones cost; all three hold the same, and agree: scores to 1e-4, maps too but for anomalib's borders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from relook.detection.arrays import ByteArray, FloatArray
from relook.detection.session import Session

BLUR_SIGMA_PX = 4.0  # as PatchCore smooths its maps
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as every ResNet expects


@dataclass(frozen=True)
class Verdict:
    """What the peer finishes with: no thresholds and no PNGs, which would come on top.

    Attributes:
        score: of the image.
        heat: (side, side), upsampled and blurred.
    """

    score: float
    heat: FloatArray


Look = Callable[[ByteArray], Verdict]
"""(side, side, 3) uint8 RGB to a verdict."""


def load_onnx(folder: Path, threads: int) -> Look:
    """As one graph in onnxruntime, set as for ours."""
    session = Session((folder / "graph.onnx").read_bytes(), threads=threads)

    def look(image: ByteArray) -> Verdict:
        answer = session(image=image[None])
        return Verdict(float(answer["score"]), answer["heat"])

    return look


def load_torch(folder: Path, threads: int) -> Look:
    """In torch, by its functions alone; batch normalisation folded as in the graph.

    Raises:
        ImportError: torch is not installed.
    """
    import torch

    functional = torch.nn.functional
    torch.set_num_threads(threads)
    strides = {name: stride for name, _, stride in convolutions()}
    with np.load(folder / "weights.npz") as stored:
        weights = {name: torch.from_numpy(stored[name]) for name in strides}
    bank = torch.from_numpy(np.load(folder / "bank.npy"))
    lengths = (bank**2).sum(dim=1)
    kernel = torch.from_numpy(gaussian())

    def convolve(x: Any, name: str) -> Any:
        return functional.conv2d(x, weights[name], stride=strides[name], padding=weights[name].shape[-1] // 2)

    def layer(x: Any, number: int) -> Any:
        for block in (f"layer{number}.0", f"layer{number}.1"):
            shortcut = f"{block}.downsample.0"
            past = convolve(x, shortcut) if shortcut in weights else x
            x = convolve(convolve(x, f"{block}.conv1").relu_(), f"{block}.conv2").add_(past).relu_()
        return x

    def look(image: ByteArray) -> Verdict:
        with torch.inference_mode():
            x = functional.max_pool2d(convolve(_as_tensor(image), "conv1").relu_(), 3, 2, 1)
            fine = layer(layer(x, 1), 2)
            deep = functional.avg_pool2d(layer(fine, 3), 3, 1, 1)
            deep = functional.interpolate(deep, fine.shape[-2:], mode="bilinear")
            patches = torch.cat([functional.avg_pool2d(fine, 3, 1, 1), deep], dim=1)[0].flatten(1).T
            squares = torch.addmm(lengths, patches, bank.T, alpha=-2).amin(dim=1) + (patches**2).sum(dim=1)
            distance = squares.clamp_min(0).sqrt()
            heat = functional.interpolate(distance.reshape(1, 1, *fine.shape[-2:]), image.shape[:2], mode="bilinear")
            padded = functional.pad(heat, [len(kernel) // 2] * 4, mode="reflect")
            heat = functional.conv2d(functional.conv2d(padded, kernel[None, None, None]), kernel[None, None, :, None])
            return Verdict(float(distance.max()), heat[0, 0].numpy())

    return look


def load_anomalib(folder: Path, threads: int) -> Look:
    """anomalib's own model, at its own settings.

    Raises:
        ImportError: anomalib is not installed.
    """
    import torch
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel

    torch.set_num_threads(threads)
    model = PatchcoreModel(backbone="resnet18", layers=["layer2", "layer3"], pre_trained=False).eval()
    network = model.feature_extractor.feature_extractor
    with np.load(folder / "weights.npz") as stored:
        kernels = {f"{name}.weight": torch.from_numpy(stored[name]) for name in stored.files}
    if network.load_state_dict(kernels, strict=False).unexpected_keys:
        raise ValueError("anomalib's ResNet-18 names its convolutions otherwise")
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_parameters()  # timm starts some at zero; now none has an effect, as in the graph
    model.memory_bank = torch.from_numpy(np.load(folder / "bank.npy"))

    def look(image: ByteArray) -> Verdict:
        with torch.inference_mode():
            answer = model(_as_tensor(image))
            return Verdict(float(answer.pred_score), answer.anomaly_map[0, 0].numpy())

    return look


def convolutions() -> Iterator[tuple[str, tuple[int, int, int, int], int]]:
    """ResNet-18's up to layer 3: torchvision's name, kernel shape, stride; in the order they are met."""
    yield "conv1", (64, 3, 7, 7), 2
    before = 64
    for layer, width in enumerate((64, 128, 256), start=1):
        for block in (0, 1):
            stride = 2 if width != before else 1
            yield f"layer{layer}.{block}.conv1", (width, before, 3, 3), stride
            yield f"layer{layer}.{block}.conv2", (width, width, 3, 3), 1
            if stride == 2:
                yield f"layer{layer}.{block}.downsample.0", (width, before, 1, 1), stride
            before = width


def gaussian() -> FloatArray:
    """(2n + 1,) weights of the blur of anomaly maps, cut off at four spreads; their sum is 1."""
    reach = int(4 * BLUR_SIGMA_PX + 0.5)
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / BLUR_SIGMA_PX) ** 2)
    return np.asarray(bell / bell.sum(), np.float32)


def _as_tensor(image: ByteArray) -> Any:
    import torch

    pixels = torch.from_numpy(image).permute(2, 0, 1).float().div_(255)
    return ((pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(SPREAD)[:, None, None])[None]
