"""An ImageNet network of torchvision as a feature ONNX: `python docs/export_backbone.py resnet18`.

torchvision fetches the weights on the machine that runs this, under their own licence; nothing of them is in Relook.
`relook backbone import PROJECT resnet18.onnx` then trains a project with it. docs/backbones.md says what else would do.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import cast

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor

# Ends of the stages at strides 4, 8 and 16. The last stage is left out: it knows what kind of thing is shown, not what
# it looks like in one place.
_RESNET = ("layer1", "layer2", "layer3")
STAGES = {
    **dict.fromkeys(("resnet18", "resnet34", "resnet50", "wide_resnet50_2"), _RESNET),
    "mobilenet_v2": ("features.3", "features.6", "features.13"),
}
SIDE_PX = 256
OPSET = 18
# The mean and spread of ImageNet's colours, which torchvision's weights were trained with
MEAN = (0.485, 0.456, 0.406)
SPREAD = (0.229, 0.224, 0.225)


class Features(nn.Module):
    """From (1, 3, side, side) RGB 0..1 to the maps behind three stages, finest first."""

    def __init__(self, network: nn.Module, stages: tuple[str, ...]) -> None:
        super().__init__()
        self.network = create_feature_extractor(network.eval(), list(stages))
        self.stages = stages
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.register_buffer("spread", torch.tensor(SPREAD)[:, None, None])

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        found = self.network((image - cast(Tensor, self.mean)) / cast(Tensor, self.spread))
        return tuple(found[stage] for stage in self.stages)


def export(name: str, path: Path, *, side: int = SIDE_PX, with_weights: bool = True) -> None:
    """Write a network's features as one ONNX file, batch normalisations folded into the convolutions."""
    torch.manual_seed(0)
    network = torchvision.models.get_model(name, weights="DEFAULT" if with_weights else None)
    torch.onnx.export(
        Features(network, STAGES[name]).eval(),
        (torch.zeros(1, 3, side, side),),
        str(path),
        opset_version=OPSET,
        input_names=["image"],
        output_names=["stride_4", "stride_8", "stride_16"],
        dynamo=True,
        external_data=False,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(STAGES))
    parser.add_argument("--output", type=Path, help="the file; NAME.onnx unless given")
    parser.add_argument("--side", type=int, default=SIDE_PX, help="of the square image it will take, pixels")
    parser.add_argument("--random", action="store_true", help="random weights, to try things without a download")
    arguments = parser.parse_args()
    path = arguments.output or Path(f"{arguments.name}.onnx")
    export(arguments.name, path, side=arguments.side, with_weights=not arguments.random)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
