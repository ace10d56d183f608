"""`relook backbone`: a project's own feature ONNX in place of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cli.files import read_onnx
from cli.output import facts, out
from cli.stack import Stack
from cli.training import ensure_project, refuse_name
from relook.learning.backbone.imported import ImportedBackbone
from relook.registry import backbones


def read_backbone(path: Path) -> ImportedBackbone:
    """
    Raises:
        BackboneError: the file cannot serve as a backbone.
    """
    return ImportedBackbone.from_bytes(read_onnx(path))


def import_file(stack: Stack, project: str, path: Path) -> ImportedBackbone:
    """Have the project train with this backbone from now on; the project is made if need be."""
    data = read_onnx(path)
    backbone = ImportedBackbone.from_bytes(data)  # before a project is made for it
    refuse_name(project)
    ensure_project(stack, project)
    backbones.save_backbone(stack.registry, stack.models, project, data)
    return backbone


def load(stack: Stack, project: str) -> ImportedBackbone | None:
    """The project's own backbone; None where it trains with ours."""
    data = backbones.load_backbone(stack.registry, stack.models, project)
    return ImportedBackbone.from_bytes(data) if data is not None else None


def remove(stack: Stack, project: str) -> bool:
    """Have the project train with ours again; whether it had its own."""
    return backbones.delete_backbone(stack.registry, stack.models, project)


def describe(project: str, backbone: ImportedBackbone) -> dict[str, Any]:
    """What it is, and what one forward pass takes on this machine."""
    return {
        "project": project,
        "side_px": backbone.side,
        "maps": [list(shape) for shape in backbone.map_shapes],
        "channels": sum(backbone.channels),
        "size_bytes": len(backbone.model),
        "sha256": backbone.sha256,
        "cost_ms": {str(threads): round(backbone.cost_ms(threads=threads), 1) for threads in (1, 2)},
    }


def print_description(described: dict[str, Any]) -> None:
    """The same for people."""
    told = facts()
    side = described["side_px"]
    told.add_row("project", described["project"])
    told.add_row("takes", f"{side} x {side} pixels")
    told.add_row("gives", ", ".join(" x ".join(map(str, shape)) for shape in described["maps"]))
    told.add_row("channels", str(described["channels"]))
    told.add_row("size", f"{described['size_bytes'] / 1e6:.1f} MB")
    told.add_row("SHA-256", described["sha256"])
    one, two = described["cost_ms"]["1"], described["cost_ms"]["2"]
    told.add_row("costs", f"{one} ms an image on one thread, {two} ms on two, on this machine")
    out.print(told)
