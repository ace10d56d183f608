"""The one way to do again what other writers have foiled."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from relook.errors import ThrottledError

P = ParamSpec("P")
T = TypeVar("T")

# Of all writers of one thing, one succeeds in each round.
_ATTEMPTS = 16
# A write takes some 10 ms; pauses grow to many times that, and all of them together stay below a client's patience.
_PAUSE_S, _LONGEST_PAUSE_S = 0.01, 0.5


def beside_others(attempt: Callable[P, T]) -> Callable[P, T]:
    """Have a function that reads, decides and writes do so anew, further and further apart, while it is foiled.

    Args:
        attempt: raises ThrottledError when another writer was faster; nothing was done then.
    Raises:
        ThrottledError: other writers were always faster.
    """

    @wraps(attempt)
    def attempts(*args: P.args, **kwargs: P.kwargs) -> T:
        for number in range(1, _ATTEMPTS):
            try:
                return attempt(*args, **kwargs)
            except ThrottledError:
                time.sleep(random.uniform(0, min(_PAUSE_S * 2**number, _LONGEST_PAUSE_S)))
        return attempt(*args, **kwargs)

    return attempts
