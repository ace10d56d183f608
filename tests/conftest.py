"""A local cloud of the tests' own with the deployed stack, which all tests that need one share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.cloud import LocalCloud

PORT = 4596


@pytest.fixture(scope="session")
def cloud() -> Iterator[LocalCloud]:
    """Started and deployed by the first test that asks for it."""
    with LocalCloud(PORT).running() as running:
        running.deploy()
        yield running
