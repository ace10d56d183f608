"""The console over tables and buckets in this process (moto), with a few inspections in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from cli.console.app import create_app
from cli.console.safety import TOKEN_HEADER
from cli.stack import Stack
from relook.aws.clients import Clients
from relook.aws.table import Item
from relook.registry.projects import create_project
from tests.account import SETTINGS, account

PORT = 8321
ORIGIN = f"http://127.0.0.1:{PORT}"


def png(color: str = "#888888", size: tuple[int, int] = (96, 72)) -> bytes:
    written = BytesIO()
    Image.new("RGB", size, color).save(written, "PNG")
    return written.getvalue()


@dataclass
class Seen:
    """What a person's browser sees, and the stack behind it."""

    stack: Stack
    browser: TestClient

    def record(
        self, name: str, minute: int, project: str = "bracket", *, data: bytes | None = None, **more: Any
    ) -> Item:
        """An inspection of a picture that is really there, a grey one unless given."""
        version = self.stack.images.write(f"{project}/{name}", data or png(), "image/png")
        is_anomalous = more.get("is_anomalous", False)
        item = {
            "image_uri": str(self.stack.images.uri(f"{project}/{name}")),
            "object_version": f"{version}#1",
            "project": project,
            "model_version": "1",
            "status": "INSPECTED",
            "is_anomalous": is_anomalous,
            "confidence": 0.75,
            "anomalies": [],
            "inspected_at": f"2026-11-26T09:{minute:02d}:00.000Z",
            "duration_ms": 30,
            "inspection_id": f"{minute:032x}",
            "width": 96,
            "height": 72,
            "size_bytes": 300,
            "metadata": {},
            "anomalous_project": project if is_anomalous else None,
            **more,
        }
        self.stack.inspections.put(item)
        return {key: value for key, value in item.items() if value is not None}

    def token(self) -> str:
        """The one that the browser's pages hold."""
        text = self.browser.get("/nowhere").text  # of all pages the one that asks least of the stack
        return text.partition('name="relook-token" content="')[2].partition('"')[0]

    def change(self, address: str, **arguments: Any) -> Any:
        """A change as one of our own pages makes it."""
        headers = {"origin": ORIGIN, TOKEN_HEADER: self.token(), **arguments.pop("headers", {})}
        return self.browser.post(address, headers=headers, follow_redirects=False, **arguments)


@pytest.fixture
def seen() -> Iterator[Seen]:
    """A console on a project `bracket` without inspections."""
    with account():
        outputs = {
            "ImagesBucket": "images",
            "ResultsBucket": SETTINGS.results_bucket,
            "DatasetsBucket": "datasets",
            "ModelsBucket": SETTINGS.models_bucket,
            "InspectionsTable": SETTINGS.inspections_table,
            "RegistryTable": SETTINGS.registry_table,
            "EventBus": SETTINGS.event_bus,
        }
        stack = Stack(outputs, Clients())
        stack.datasets.create()
        create_project(stack.registry, "bracket")
        with TestClient(create_app(stack, "local", PORT), base_url=ORIGIN) as browser:
            yield Seen(stack, browser)
