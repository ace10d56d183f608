"""The clock's function as it was deployed: records in, events out."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from relook.registry.checks import ask_for_checks
from relook.registry.inspections import stamp
from relook.registry.projects import create_project
from tests.integration.conftest import Deployed, wait_for
from tests.unit.parts import register_hosted
from tests.unit.test_watch_quality import WHO, package, record

pytestmark = pytest.mark.integration

STEADY, DARKER, UNSEEN = "watch-steady", "watch-darker", "watch-unseen"


def look(deployed: Deployed, subject: str, at: datetime) -> None:
    answer = deployed.stack.clients.lambda_.invoke(
        FunctionName=deployed.stack.outputs["WatchQualityFunction"],
        Payload=json.dumps({"look_for": subject, "at": stamp(at)}).encode(),
    )
    assert "FunctionError" not in answer, answer["Payload"].read()


def told(deployed: Deployed, detail_type: str, *asked: str) -> list[str]:
    """Those of the projects that the bus was told about, as soon as there is one."""
    watched: list[str] = []

    def of_the_kind() -> list[str] | None:
        events = [event["detail"] for event in deployed.receive(1) if event["detail-type"] == detail_type]
        watched.extend(detail["project"] for detail in events if detail["project"] in asked)
        return watched or None

    wait_for(of_the_kind, detail_type, 30)
    of_the_kind()
    return watched


def test_a_stream_that_became_darker_is_told_and_an_unchanged_one_is_not(deployed: Deployed) -> None:
    now = datetime.now(UTC)
    models = deployed.stack.outputs["ModelsBucket"]
    for project, darker in ((STEADY, 0.0), (DARKER, 3.0)):
        register_hosted(deployed.stack.registry, deployed.stack.clients.s3, models, project, package())
        for number in range(110):
            item = record(number, now - timedelta(minutes=number + 1), project=project)
            uri = f"s3://images/{project}/{number}.png"
            deployed.stack.inspections.put({**item, "image_uri": uri, "brightness": item["brightness"] - darker})

    look(deployed, "drift", now)

    assert told(deployed, "Drift Detected", STEADY, DARKER) == [DARKER]


def test_a_check_that_did_not_come_is_told(deployed: Deployed) -> None:
    create_project(deployed.stack.registry, UNSEEN)
    ask_for_checks(deployed.stack.registry, UNSEEN, timedelta(hours=8), who=WHO)

    look(deployed, "checks", datetime.now(UTC) + timedelta(hours=9))

    assert told(deployed, "Check Overdue", UNSEEN) == [UNSEEN]
