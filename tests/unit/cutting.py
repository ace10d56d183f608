"""A process that is cut off at one of its AWS calls, softly or for good, before the call took effect or after it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError


class ProcessKilled(BaseException):
    """The container goes away: no `except Exception` and no clean-up sees it."""


def soft_error() -> BaseException:
    error: BaseException = ClientError({"Error": {"Code": "InternalError", "Message": "injected"}}, "injected")
    return error


@contextmanager
def failing_call(
    number: int | None,
    error: Callable[[], BaseException] = ProcessKilled,
    *,
    after: bool = False,
    of: Collection[Any] | None = None,
) -> Iterator[list[str]]:
    """Within it one AWS call fails; gives the names of those that were made, that one included.

    Args:
        number: which, from 1 on; None for none.
        after: whether it takes effect first, whatever its answer.
        of: the clients whose calls count; all of them unless given.
    """
    original, names = BaseClient._make_api_call, list[str]()

    def call(self: BaseClient, name: str, arguments: dict[str, Any]) -> Any:
        if of is not None and self not in of:
            return original(self, name, arguments)
        names.append(name)
        is_cut_off = len(names) == number
        if is_cut_off and not after:
            raise error()
        try:
            return original(self, name, arguments)
        finally:
            if is_cut_off:
                raise error()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", call)
        yield names
