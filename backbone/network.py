"""The network, and its way into an ONNX file."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

WIDTHS = (24, 40, 64, 96)


class Backbone(nn.Module):
    """Six convolutions; 224 thousand weights.

    From (n, 3, side, side) RGB 0..1 to three maps: 40 channels at stride 4, 64 and 96 at stride 8.
    """

    def __init__(self) -> None:
        super().__init__()
        stem, fine, middle, coarse = WIDTHS
        self.stem = _convolution(3, stem, size=5, stride=2)
        self.stages = nn.ModuleList(
            [
                nn.Sequential(_convolution(stem, fine, stride=2), _convolution(fine, fine)),
                nn.Sequential(_convolution(fine, middle, stride=2), _convolution(middle, middle)),
                nn.Sequential(_convolution(middle, coarse, dilation=2), _convolution(coarse, coarse)),
            ]
        )

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """The three maps, finest first."""
        x = self.stem(image * 2 - 1)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps)


def to_onnx(network: Backbone, side: int) -> bytes:
    """A feature ONNX as `relook backbone import` takes it: `image` (1, 3, side, side) 0..1 to maps of any size."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights = [], []

    def add(op: str, inputs: list[str], output: str, **attributes: object) -> str:
        nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def constant(name: str, value: Tensor) -> str:
        weights.append(numpy_helper.from_array(value.detach().float().contiguous().numpy(), name))
        return name

    def convolution(block: nn.Module, x: str, name: str) -> str:
        kernel, bias = _fold(cast(nn.Sequential, block))
        conv = cast(nn.Conv2d, block[0])  # type: ignore[index]
        inputs = [x, constant(f"{name}.kernel", kernel), constant(f"{name}.bias", bias)]
        pads, strides, dilations = (list(cast(tuple[int, ...], v)) for v in (conv.padding, conv.stride, conv.dilation))
        x = add("Conv", inputs, f"{name}.conv", pads=pads * 2, strides=strides, dilations=dilations)
        return add("Relu", [x], f"{name}.out")

    network.eval()
    x = add("Mul", ["image", constant("two", torch.tensor(2.0))], "doubled")
    x = add("Sub", [x, constant("one", torch.tensor(1.0))], "centred")
    x = convolution(network.stem, x, "stem")
    outputs = []
    for depth, stage in enumerate(network.stages):
        for index, block in enumerate(cast(nn.Sequential, stage)):
            x = convolution(block, x, f"stage{depth}.{index}")
        outputs.append(add("Identity", [x], f"features{depth}"))
    shapes = [tuple(m.shape) for m in network(torch.zeros(1, 3, side, side))]
    graph = helper.make_graph(
        nodes,
        "relook-backbone",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, side, side))],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in zip(outputs, shapes, strict=True)],
        weights,
    )
    model = helper.make_model(graph, producer_name="relook", opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _convolution(inputs: int, outputs: int, *, size: int = 3, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, size, stride, dilation * (size // 2), dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


def _fold(block: nn.Sequential) -> tuple[Tensor, Tensor]:
    """Kernel and bias of a convolution with its batch normalisation multiplied in."""
    conv, norm = cast(nn.Conv2d, block[0]), cast(nn.BatchNorm2d, block[1])
    variance, mean = cast(Tensor, norm.running_var), cast(Tensor, norm.running_mean)
    gain = norm.weight / torch.sqrt(variance + norm.eps)
    return conv.weight * gain[:, None, None, None], norm.bias - mean * gain
