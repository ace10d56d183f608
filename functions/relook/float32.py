"""Numbers of which clients know that they are float32. Standard library only."""

from __future__ import annotations

import struct


def exact_float32(number: float) -> float:
    """The nearest float32 value, widened exactly; 0 where it is below a millionth.

    Every number the service answered was one, and clients rely on it: DynamoDB keeps 38 decimal digits, which such a
    value fits and an ordinary double mostly does not.
    """
    value: float = struct.unpack("<f", struct.pack("<f", number))[0]
    return value if abs(value) >= 1e-6 else 0.0
