"""Every client in turn, and the API for each: the deployed one, and the one in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.clients import CLIENTS, Caller, Client
from tests.contract.front_door import FrontDoor, opened


class Clients:
    """Each client as it was released, installed and started when it is first asked for."""

    def __init__(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        self._homes = tmp_path_factory
        self._running: dict[str, Client] = {}

    def __getitem__(self, name: str) -> Client:
        if name not in self._running:
            self._running[name] = CLIENTS[name](self._homes.mktemp("home"))
        return self._running[name]

    def close(self) -> None:
        for client in self._running.values():
            client.close()


@pytest.fixture(scope="session")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    """All of them, by name."""
    clients = Clients(tmp_path_factory)
    yield clients
    clients.close()


@pytest.fixture(scope="session", params=list(CLIENTS))
def client(clients: Clients, request: pytest.FixtureRequest) -> Client:
    """Each of them in turn."""
    return clients[request.param]


@pytest.fixture(scope="module")
def door() -> Iterator[FrontDoor]:
    """The API in this process, on an account that the tests of a module share."""
    with opened() as door:
        yield door


@pytest.fixture
def call(client: Client, door: FrontDoor) -> Caller:
    """A client at the API in this process."""
    return Caller(client, door.endpoint)
