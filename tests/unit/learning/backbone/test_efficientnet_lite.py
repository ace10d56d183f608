"""The pretrained network against itself, written out, and against numbers it gave when torch agreed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from relook.detection.arrays import FloatArray
from relook.detection.session import Session
from relook.learning.backbone.efficientnet_lite import CHANNELS, MEASURED_STRIDES, EfficientNetLite0, pretrained
from relook.learning.backbone.protocol import Backbone
from relook.learning.backbone.weights import SHA256, installed_weights
from relook.learning.graph.builder import Graph

ALL = (2, 4, 8, 16)
Convolve = Callable[[NDArray[Any], FloatArray, int], NDArray[Any]]


def picture(height: int, width: int, seed: int = 0) -> FloatArray:
    """Waves and edges, (1, 3, height, width) bytes."""
    y, x = np.mgrid[:height, :width] + np.array(5 * seed)
    waves = [np.sin(x / 5 + c) * np.cos(y / 7 - c) + ((x // 8 + y // 8) % 2) for c in range(3)]
    return np.asarray(np.rint(np.clip(80 + 60 * np.stack(waves)[None], 0, 255)), np.float32)


def run(backbone: Backbone, images: FloatArray) -> list[FloatArray]:
    graph = Graph()
    for place, actual in enumerate(backbone.maps(graph.input("image", np.float32, images.shape))):
        graph.output(f"map_{place}", actual)
    return list(Session(graph.finish(), threads=1)(image=images).values())


def in_floats(strides: tuple[int, ...]) -> EfficientNetLite0:
    return replace(pretrained(strides), is_quantised=False)


STAGES = ((1, 3, 1, 16, 1), (2, 3, 6, 24, 2), (2, 5, 6, 40, 2), (3, 3, 6, 80, 2), (3, 5, 6, 112, 1))
"""Repeats, kernel, expansion, channels, stride: table 1 of EfficientNet, to the last stage of stride 16."""


def written_out(weights: Mapping[str, FloatArray], image: FloatArray, convolve: Convolve) -> list[NDArray[Any]]:
    """The maps behind every block in float64, nothing folded."""

    def layer(x: NDArray[Any], name: str, norm: str, stride: int, clip: bool) -> NDArray[Any]:
        kernel = weights[f"{name}.weight"]
        pads = []
        for size, window in zip(x.shape[2:], kernel.shape[2:], strict=True):
            total = max((int(np.ceil(size / stride)) - 1) * stride + window - size, 0)
            pads.append((total // 2, total - total // 2))
        x = convolve(np.pad(x, [(0, 0), (0, 0), *pads]), kernel, stride)
        mean, variance, gain, bias = (
            weights[f"{norm}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        x = (x - mean) / np.sqrt(variance + 1e-3) * gain + bias
        return np.clip(x, 0, 6) if clip else x

    x = layer((image.astype(np.float64) - 127) / 128, "_conv_stem", "_bn0", 2, True)
    actual: list[NDArray[Any]] = []
    for repeats, size, expansion, channels, first_stride in STAGES:
        for repeat in range(repeats):
            name, before, stride = f"_blocks.{len(actual)}", x, first_stride if repeat == 0 else 1
            if expansion > 1:
                x = layer(x, f"{name}._expand_conv", f"{name}._bn0", 1, True)
            assert x.shape[1] == expansion * before.shape[1]
            assert weights[f"{name}._depthwise_conv.weight"].shape == (x.shape[1], 1, size, size)
            x = layer(x, f"{name}._depthwise_conv", f"{name}._bn1", stride, True)
            x = layer(x, f"{name}._project_conv", f"{name}._bn2", 1, False)
            assert x.shape[1] == channels
            if repeat:
                x = x + before
            actual.append(x)
    return actual


def convolve_in_numpy(x: NDArray[Any], kernel: FloatArray, stride: int) -> NDArray[Any]:
    cut = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    if kernel.shape[1] == 1:
        return np.asarray(np.einsum("nchwij,cij->nchw", cut, kernel[:, 0]))
    return np.asarray(np.einsum("nchwij,ocij->nohw", cut, kernel, optimize=True))


def convolve_in_torch(x: NDArray[Any], kernel: FloatArray, stride: int) -> NDArray[Any]:
    torch = pytest.importorskip("torch", reason="torch is no requirement; numpy's own turn is the same check")
    group = x.shape[1] // kernel.shape[1]
    weights = torch.tensor(kernel, dtype=torch.float64)
    return np.asarray(torch.nn.functional.conv2d(torch.tensor(x), weights, stride=stride, groups=group).numpy())


@pytest.mark.parametrize("convolve", [convolve_in_numpy, convolve_in_torch])
@pytest.mark.parametrize(("height", "width"), [(64, 96), (37, 50)], ids=["even", "odd"])
def test_it_is_the_published_network(convolve: Convolve, height: int, width: int) -> None:
    image = picture(height, width)
    blocks = written_out(installed_weights(), image, convolve)
    expected = [blocks[index] for index in (0, 2, 4, 10)]
    actual = run(in_floats(ALL), image)
    assert [each.shape[1] for each in actual] == list(pretrained(ALL).channels) == [16, 24, 40, 112]
    for ours, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


def test_it_gives_what_it_gave_when_torch_agreed() -> None:
    actual = run(in_floats(ALL), picture(96, 64))
    told = [(each.mean(), each.std(), each[0, 3, 1, 2], each[0, -1, -1, -1]) for each in actual]
    np.testing.assert_allclose(told, TOLD, rtol=1e-3, atol=1e-3)


TOLD = [
    (0.0546, 7.2530, 4.0074, -3.2094),
    (-0.7869, 11.6928, 0.3316, 7.6701),
    (0.5316, 9.5944, -13.8491, 12.9114),
    (0.1130, 5.0581, 2.3152, -2.6028),
]
"""Mean, standard deviation and two values of each map."""


def test_bytes_say_what_floats_say() -> None:
    image = picture(96, 128)
    for exact, rounded in zip(run(in_floats(ALL), image), run(pretrained(ALL), image), strict=True):
        assert np.corrcoef(exact.ravel(), rounded.ravel())[0, 1] > 0.96
        assert abs(float(rounded.mean() - exact.mean())) < 0.1 * float(exact.std())


def test_bytes_are_computed_with_as_bytes() -> None:
    graph = Graph()
    graph.output("map", pretrained((4,)).maps(graph.input("image", np.float32, (1, 3, 64, 64)))[0])
    kernels = [each for each in onnx.load_from_string(graph.finish()).graph.initializer if len(each.dims) == 4]
    assert len(kernels) == 9
    assert {each.data_type for each in kernels} == {onnx.TensorProto.INT8}


def test_images_of_a_batch_do_not_see_each_other() -> None:
    images = np.concatenate([picture(48, 80, seed) for seed in range(3)])
    together = run(pretrained(), images)
    for place in range(3):
        for all_of_them, alone in zip(together, run(pretrained(), images[place : place + 1]), strict=True):
            np.testing.assert_allclose(all_of_them[place], alone[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("strides", [(2,), (4, 8), (8,), MEASURED_STRIDES])
def test_nothing_is_computed_behind_what_is_asked_for(strides: tuple[int, ...]) -> None:
    backbone, image = pretrained(strides), picture(64, 64)
    graph = Graph()
    maps = backbone.maps(graph.input("image", np.float32, image.shape))
    assert [each.shape for each in maps] == [(1, CHANNELS[stride], 64 // stride, 64 // stride) for stride in strides]
    assert backbone.channels == tuple(CHANNELS[stride] for stride in strides)
    graph.output("last", maps[-1])
    convolutions = {2: 3, 4: 9, 8: 15, 16: 33}  # a stem, two in the first block, three in each of the others
    nodes = onnx.load_from_string(graph.finish()).graph.node
    assert sum(node.op_type == "Conv" for node in nodes) == convolutions[strides[-1]]
    everything = dict(zip(ALL, run(pretrained(ALL), image), strict=True))
    for stride, actual in zip(strides, run(backbone, image), strict=True):
        np.testing.assert_allclose(actual, everything[stride], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("strides", [(), (4, 2), (3,), (4, 4), (32,)])
def test_only_maps_that_there_are(strides: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="not some of"):
        EfficientNetLite0({}, strides)


def test_what_a_manifest_says_of_it() -> None:
    assert (pretrained().identity.name, pretrained().identity.sha256) == ("efficientnet-lite0", SHA256)
    assert pretrained() is pretrained()
