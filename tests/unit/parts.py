"""Pictures of a small made-up part, and models trained on them once per test run."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from relook.aws.bucket import Bucket
from relook.aws.table import Table
from relook.detection.package import FORMAT_VERSION, ModelPackage
from relook.learning.data.samples import LabeledImage
from relook.learning.training import train
from relook.registry.hosting import finish_hosting, start_hosting
from relook.registry.packages import save_package
from relook.registry.projects import create_project
from relook.registry.trainings import create_model, finish_training
from tests.once import once_per_run
from tests.unit.foreign import quick_backbone

SCRATCH_COLOR = "#7ED321"
WIDTH, HEIGHT = 160, 120
WHO = "arn:aws:sts::123456789012:assumed-role/Quality/jo"
"""Who changes things."""


def part(seed: int, *, is_scratched: bool = False) -> tuple[Image.Image, Image.Image]:
    """A grey plate with a dark disc, and the mask of its scratch, if any, in green on white."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    pixels = 150 + 20 * random.normal() * 0.2 + random.normal(0, 4, (HEIGHT, WIDTH))
    pixels[np.hypot(y - 60, x - 80) < 25] -= 60
    mask = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    if is_scratched:
        middle, slope = random.uniform(30, 90), random.uniform(-0.3, 0.3)
        line = np.abs(y - middle - slope * (x - 80)) < 3
        pixels[line] += 90
        mask[line] = (0x7E, 0xD3, 0x21)
    grey = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    return grey.convert("RGB"), Image.fromarray(mask)


def png(image: Image.Image) -> bytes:
    """Encoded as PNG."""
    stream = BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def part_png(seed: int, *, is_scratched: bool = False) -> bytes:
    """A part that no model below was trained on, when the seed is 1000 or more."""
    return png(part(seed, is_scratched=is_scratched)[0])


def labeled_parts(normal: int, scratched: int, *, with_masks: bool) -> list[LabeledImage]:
    """Labelled images, ready to train on."""
    images = [LabeledImage(f"normal/{i}.png", lambda i=i: part_png(i), False) for i in range(normal)]  # type: ignore[misc]
    for i in range(500, 500 + scratched):
        picture, mask = part(i, is_scratched=True)
        read_mask = (lambda mask=mask: png(mask)) if with_masks else None
        images.append(
            LabeledImage(
                f"anomaly/{i}.png",
                lambda picture=picture: png(picture),  # type: ignore[misc]
                True,
                read_mask,
                {"scratch": SCRATCH_COLOR} if with_masks else {},
            )
        )
    return images


@once_per_run
def segmentation_package() -> ModelPackage:
    """Knows normal parts and scratches."""
    return train(labeled_parts(12, 10, with_masks=True), project="bracket", version="1").package


@once_per_run
def classification_package() -> ModelPackage:
    """Knows normal parts only, with a small backbone: what is tested is what happens around it."""
    images = labeled_parts(12, 0, with_masks=False)
    return train(images, project="bracket", version="1", backbone=quick_backbone()).package


def outdated_package() -> ModelPackage:
    """As an older Relook wrote them, which this one refuses to read."""
    package = classification_package()
    return replace(package, manifest=replace(package.manifest, format_version=FORMAT_VERSION - 1))


OUTDATED = (
    f"model.json has format version {FORMAT_VERSION - 1}; this Relook reads {FORMAT_VERSION}: "
    "train or register the model again"
)
"""What is said about it, wherever it is met."""


def hosted_package(registry: Table, s3: Any, project: str, package: ModelPackage | None = None) -> str:
    """Register a hosted model version in the unit tests' models bucket; the version."""
    return register_hosted(registry, s3, "models", project, package or segmentation_package())


def register_hosted(registry: Table, s3: Any, models_bucket: str, project: str, package: ModelPackage) -> str:
    """Register a trained, hosted model version of a project, which is made if need be; the version."""
    if registry.get({"pk": f"PROJECT#{project}", "sk": "PROJECT"}) is None:
        create_project(registry, project)
    version = create_model(registry, project).version
    sha256 = save_package(Bucket(s3, models_bucket), project, version, package)
    finish_training(registry, project, version, sha256, None, "Trained.")
    start_hosting(registry, project, version)
    finish_hosting(registry, project, version, who=WHO)
    return version
