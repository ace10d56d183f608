"""Files as people name them: images in folders, ONNX in one piece or two."""

from __future__ import annotations

from pathlib import Path

from cli.datasets import list_images
from cli.output import CommandError


def find_images(paths: list[Path]) -> list[Path]:
    """The files, and the images in the folders, each once.

    Raises:
        CommandError: a path does not exist, or has no images.
    """
    images: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise CommandError(f"{path} does not exist")
        found = list_images(path)
        if not found:
            raise CommandError(f"{path} has no .jpg or .png images")
        images |= dict.fromkeys(found)
    return list(images)


def read_onnx(path: Path) -> bytes:
    """The file; weights that lie beside it, as PyTorch's exporter writes them, are brought inside.

    Raises:
        CommandError: such weights are missing.
    """
    import onnx

    data = path.read_bytes()
    try:
        model = onnx.load_from_string(data)
    except Exception:  # protobuf's errors share no base; whoever wants the file says what is wrong with it
        return data
    if not any(onnx.external_data_helper.uses_external_data(constant) for constant in model.graph.initializer):
        return data
    try:
        onnx.external_data_helper.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise CommandError(f"{path} keeps its weights in another file that cannot be read: {error}") from error
    return bytes(model.SerializeToString(deterministic=True))
