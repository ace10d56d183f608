"""Files as people name them: images in folders, ONNX in one piece or two."""

from __future__ import annotations

from pathlib import Path

from cli.folder_names import files_below, is_image, list_of_files
from cli.output import CommandError, print_note


def find_images(paths: list[Path]) -> list[Path]:
    """The files, and the images in the folders, each once; what else is in the folders is said.

    Raises:
        CommandError: no path exists, or none has images.
    """
    images: dict[Path, None] = {}
    missing = [path for path in paths if not path.exists()]
    if len(missing) == len(paths):
        raise CommandError(f"{missing[0]} does not exist")
    for path in paths:
        if not path.is_dir():
            images[path] = None  # also one that does not exist: it is rejected in its turn, beside the others
            continue
        files = files_below(path)
        inside = [each for each in files if is_image(each)]
        if others := [str(each.relative_to(path)) for each in files if not is_image(each)]:
            print_note(f"{path}: {list_of_files(others, 'their names are not those of images')}")
        elif not inside:
            print_note(f"{path} has no files")
        images |= dict.fromkeys(inside)
    if not images:
        raise CommandError(f"{paths[0]} has no .jpg or .png images")
    return list(images)


def short_names(paths: list[Path]) -> list[str]:
    """File names; files of one name keep as much of their folders as tells them apart."""
    resolved = [path.resolve() for path in paths]
    depth = 1
    while len({path.parts[-depth:] for path in resolved}) < len(set(resolved)):
        depth += 1
    return ["/".join(path.parts[-depth:]) for path in resolved]


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
