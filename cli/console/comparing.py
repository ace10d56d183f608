"""Comparisons of model versions that go on in the background, and are kept while the console runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from cli.output import CommandError
from cli.retraining import OnStep, VersionComparison, compare_versions
from cli.stack import Stack
from relook.errors import RelookError
from relook.registry.datasets import list_datasets
from relook.registry.models import describe_model

_KEPT = 32
"""Comparisons, the newest: some hundred kilobytes each where a thousand images were judged."""


@dataclass(frozen=True)
class Comparing:
    """A comparison that goes on, or is over, at one moment.

    Attributes:
        step: how far it is, in a sentence.
        result: None while it goes on, or where it failed.
        failure: why; None where it did not fail.
        began: on the clock of `time.monotonic`.
    """

    step: str = "It waits for another comparison."
    result: VersionComparison | None = None
    failure: str | None = None
    began: float = field(default_factory=time.monotonic)

    @property
    def is_running(self) -> bool:
        """Whether there is more to come."""
        return self.result is None and self.failure is None

    @property
    def lasts_s(self) -> float:
        """Seconds since it began, while it goes on."""
        return time.monotonic() - self.began


class Comparisons:
    """Those of one console, one at a time: a person's machine has other things to do.

    A result belongs to what it was made of: once a threshold is moved or a dataset changes, it is made anew. It is
    seconds of work, so a console that starts again makes it again, and nothing is stored.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], Comparing] = {}
        self._lock, self._turn = threading.Lock(), threading.Lock()

    def of(self, stack: Stack, project: str, hosted: str, candidate: str) -> Comparing:
        """The comparison, which begins when it is first asked for.

        Raises:
            ResourceNotFoundError: no such project or version.
        """
        key = _made_of(stack, project, hosted, candidate)
        with self._lock:
            if key in self._known:
                return self._known[key]
            comparing = self._known[key] = Comparing()
            if len(self._known) > _KEPT:
                del self._known[next(iter(self._known))]
        # A daemon: whoever ends the console does not wait for it.
        arguments = (key, lambda on_step: compare_versions(stack, project, hosted, candidate, on_step))
        threading.Thread(target=self._make, args=arguments, daemon=True).start()
        return comparing

    def forget(self, stack: Stack, project: str, hosted: str, candidate: str) -> None:
        """Have it made again when it is next asked for."""
        with self._lock:
            self._known.pop(_made_of(stack, project, hosted, candidate), None)

    def _make(self, key: tuple[Any, ...], make: Callable[[OnStep], VersionComparison]) -> None:
        def note(**changes: Any) -> None:
            with self._lock:
                if key in self._known:  # else so many others were asked for since that it was given up
                    self._known[key] = replace(self._known[key], **changes)

        try:
            with self._turn:
                note(step="The evaluations are being read.")
                note(result=make(lambda step: note(step=step)))
        except (CommandError, RelookError) as error:
            note(failure=str(error))
        except Exception as error:  # whatever it is, whoever waits must hear of it
            note(failure=f"{type(error).__name__}: {error}")


def _made_of(stack: Stack, project: str, hosted: str, candidate: str) -> tuple[Any, ...]:
    """What a comparison depends on, as far as it can change."""
    versions = [describe_model(stack.registry, project, version) for version in (hosted, candidate)]
    entries = sorted(each.entries_key or "" for each in list_datasets(stack.registry, project))
    return project, *((each.version, each.created_at, each.threshold) for each in versions), *entries
