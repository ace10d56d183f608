"""Formulas written once: a `Tensor` of an ONNX graph answers numpy as an array does."""
