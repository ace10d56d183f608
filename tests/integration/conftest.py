"""The deployed stack, with the same trained models the unit tests use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from cli.stack import Stack
from cli.tailing import subscription
from local.cloud import ROOT, LocalCloud
from local.emulator import neutral
from relook.aws.table import Item
from relook.registry.projects import create_project
from tests.unit.parts import classification_package, part_png, register_hosted, segmentation_package

T = TypeVar("T")
Relook = Callable[..., subprocess.CompletedProcess[str]]
"""The command; `typed` is what it is given on standard input."""

SEGMENTATION, CLASSIFICATION, UNHOSTED = "bracket", "plain", "unhosted"


@dataclass
class Deployed:
    """The stack, seen from outside."""

    stack: Stack
    receive: Callable[[int], list[dict[str, Any]]]
    _events: list[dict[str, Any]] = field(default_factory=list)

    def upload(self, key: str, data: bytes, **metadata: str) -> str:
        """Put an object; its version id, or its etag."""
        return self.stack.images.write(key, data, metadata=metadata)

    def uri(self, key: str) -> str:
        return str(self.stack.images.uri(key))

    def records(self, key: str, count: int = 1, limit_s: float = 60) -> list[Item]:
        """The records of a key, as soon as there are `count`."""

        def read() -> list[Item]:
            return list(self.stack.inspections.query(("image_uri", self.uri(key))))

        return wait_for(lambda: records if len(records := read()) >= count else None, f"records of {key}", limit_s)

    def events_about(self, key: str, count: int = 1, limit_s: float = 30) -> list[dict[str, Any]]:
        """The events about a key, as soon as there are `count`."""

        def about() -> list[dict[str, Any]] | None:
            self._events += self.receive(1)
            arrived = [event for event in self._events if event["detail"].get("image", {}).get("key") == key]
            return arrived if len(arrived) >= count else None

        return wait_for(about, f"events about {key}", limit_s)

    def dead_letters(self) -> int:
        answer = self.stack.clients.sqs.get_queue_attributes(
            QueueUrl=self.stack.outputs["DeadLetterQueueUrl"], AttributeNames=["ApproximateNumberOfMessages"]
        )
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])


def wait_for(look: Callable[[], T | None], what: str, limit_s: float) -> T:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if (value := look()) is not None:
            return value
        time.sleep(0.1)
    raise AssertionError(f"no {what} within {limit_s:g} s")


@pytest.fixture(scope="session")
def deployed(cloud: LocalCloud) -> Iterator[Deployed]:
    stack = Stack(cloud.status().outputs, cloud.clients)
    models = stack.outputs["ModelsBucket"]
    register_hosted(stack.registry, stack.clients.s3, models, SEGMENTATION, segmentation_package())
    register_hosted(stack.registry, stack.clients.s3, models, CLASSIFICATION, classification_package())
    with subscription(stack) as receive:
        yield Deployed(stack, receive)


@pytest.fixture(scope="session", autouse=True)
def sent_in_vain(deployed: Deployed) -> str:
    """The key of an image whose project hosts no model. It and a message that is no event go first of all, since both
    are tried for half a minute before they are dead letters: other tests run meanwhile."""
    create_project(deployed.stack.registry, UNHOSTED)
    key = f"{UNHOSTED}/early.png"
    deployed.upload(key, part_png(3005, is_scratched=True))
    queue_url = deployed.stack.outputs["InspectionQueueUrl"]
    deployed.stack.clients.sqs.send_message(QueueUrl=queue_url, MessageBody='{"not": "an event"}')
    return key


@pytest.fixture(scope="session")
def redriven(deployed: Deployed, sent_in_vain: str) -> list[Item]:
    """Both dead letters sent back, once a model is hosted; what was recorded of the image until then."""
    wait_for(lambda: deployed.dead_letters() == 2 or None, "dead letters", limit_s=120)
    before = list(deployed.stack.inspections.query(("image_uri", deployed.uri(sent_in_vain))))
    stack = deployed.stack
    register_hosted(stack.registry, stack.clients.s3, stack.outputs["ModelsBucket"], UNHOSTED, segmentation_package())
    redrive(deployed)
    return before


def redrive(deployed: Deployed) -> None:
    """Move every dead letter back, as SQS's own StartMessageMoveTask does, which the emulator lacks."""
    sqs, outputs = deployed.stack.clients.sqs, deployed.stack.outputs
    while messages := sqs.receive_message(QueueUrl=outputs["DeadLetterQueueUrl"]).get("Messages"):
        for message in messages:
            sqs.send_message(QueueUrl=outputs["InspectionQueueUrl"], MessageBody=message["Body"])
            sqs.delete_message(QueueUrl=outputs["DeadLetterQueueUrl"], ReceiptHandle=message["ReceiptHandle"])


@pytest.fixture
def relook(cloud: LocalCloud, deployed: Deployed, tmp_path: Path) -> Relook:
    """Runs the `relook` command as a user without an AWS account would, in a folder of its own."""

    def run(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from cli.main import run; run()", *arguments],
            cwd=tmp_path,
            env={
                **neutral(os.environ),
                "HOME": str(tmp_path),
                "RELOOK_LOCAL_PORT": str(cloud.port),
                "PYTHONPATH": f"{ROOT}:{ROOT / 'functions'}",
            },
            input=typed,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]
