"""An ImageNet ResNet of torchvision as a feature ONNX: `python -m backbone.export_torchvision resnet18`.

torchvision fetches the weights on the machine that runs this, under their own licence; nothing of them is in Relook.
`relook backbone import PROJECT resnet18.onnx` then trains a project with it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

NAMES = ("resnet18", "resnet34", "resnet50", "wide_resnet50_2")
EXPORT_PX = 256
OPSET = 18
# The mean and spread of ImageNet's colours, which torchvision's weights were trained with
MEAN = (0.485, 0.456, 0.406)
SPREAD = (0.229, 0.224, 0.225)


class Features(nn.Module):
    """From (1, 3, side, side) RGB 0..1 to the maps behind the first three stages, at strides 4, 8 and 16.

    The fourth stage is left out: it knows what kind of thing is shown, not what it looks like in one place.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.register_buffer("spread", torch.tensor(SPREAD)[:, None, None])

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The three maps, finest first."""
        network = self.network
        x = (image - cast(Tensor, self.mean)) / cast(Tensor, self.spread)
        for name in ("conv1", "bn1", "relu", "maxpool"):
            x = network.get_submodule(name)(x)
        fine = network.get_submodule("layer1")(x)
        middle = network.get_submodule("layer2")(fine)
        return fine, middle, network.get_submodule("layer3")(middle)


def export(network: nn.Module, path: Path) -> None:
    """Write the network's features as one ONNX file, batch normalisations folded into the convolutions."""
    torch.onnx.export(
        Features(network).eval(),
        (torch.zeros(1, 3, EXPORT_PX, EXPORT_PX),),
        str(path),
        opset_version=OPSET,
        input_names=["image"],
        output_names=["layer1", "layer2", "layer3"],
        dynamo=True,
        external_data=False,
    )


def main() -> None:
    import torchvision

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--output", type=Path, help="the file; NAME.onnx unless given")
    parser.add_argument("--random", action="store_true", help="random weights, to try things without a download")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    network = torchvision.models.get_model(arguments.name, weights=None if arguments.random else "DEFAULT")
    path = arguments.output or Path(f"{arguments.name}.onnx")
    export(network, path)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
