"""What is costly to make is made once a run, by whichever of its processes needs it first."""

from __future__ import annotations

import fcntl
import os
import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

RUN_FOLDER = "RELOOK_TEST_RUN"
"""The variable that names the folder of this run; it goes with the run, so nothing outlives a change of the code."""


def once_per_run(make: Callable[[], T]) -> Callable[[], T]:
    """Call a function without arguments once, however many processes ask; the others wait and read what it returned."""

    @cache
    def made() -> T:
        path = Path(os.environ[RUN_FOLDER]) / f"{make.__module__}.{make.__qualname__}"
        with path.with_name(f"{path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                path.write_bytes(pickle.dumps(make()))
        value: T = pickle.loads(path.read_bytes())
        return value

    return made
