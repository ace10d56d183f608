"""Somebody's ONNX model, its names made its own, so that it can be part of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto


@dataclass(frozen=True)
class Part:
    """What a graph takes over.

    Attributes:
        entry: name of the one input.
        outputs: name and shape of each.
    """

    entry: str
    nodes: Sequence[NodeProto]
    weights: Sequence[TensorProto]
    outputs: Sequence[tuple[str, tuple[int, ...]]]


def opened(model: bytes, *, values: str, weights: str) -> Part:
    """A checked model of one input, fixed shapes and no local functions.

    Args:
        values: put before the name of everything that is computed.
        weights: put before the name of everything that is stored.
    """
    graph = onnx.load_from_string(model).graph
    stored = {weight.name for weight in graph.initializer}
    (entry,) = (value.name for value in graph.input if value.name not in stored)
    names = _Names(values, weights, frozenset(stored))
    names.graph(graph)
    return Part(
        entry=names.new(entry),
        nodes=list(graph.node),
        weights=list(graph.initializer),
        outputs=[
            (value.name, tuple(size.dim_value for size in value.type.tensor_type.shape.dim)) for value in graph.output
        ],
    )


@dataclass(frozen=True)
class _Names:
    """One rule for all: a graph within a node sees the names around it, and none of its own may repeat one of them."""

    values: str
    weights: str
    stored: frozenset[str]

    def new(self, name: str) -> str:
        """An empty name stands for what is left out."""
        return name and (self.weights if name in self.stored else self.values) + name

    def graph(self, graph: GraphProto) -> None:
        """In place, inner graphs too."""
        for value in (*graph.input, *graph.output, *graph.initializer):
            value.name = self.new(value.name)
        for node in graph.node:
            node.name = self.new(node.name)
            node.input[:] = [self.new(name) for name in node.input]
            node.output[:] = [self.new(name) for name in node.output]
            for attribute in node.attribute:
                if attribute.type == AttributeProto.GRAPH:
                    self.graph(attribute.g)
                for inner in attribute.graphs:
                    self.graph(inner)
