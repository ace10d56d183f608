"""One deployment is in one region, whatever regions its clients ask."""

from __future__ import annotations

from typing import Any

import pytest

from relook.aws.clients import Clients
from relook.lookout import service_model
from tests.contract.front_door import opened
from tests.unit.parts import part_png, register_hosted, segmentation_package

pytestmark = pytest.mark.slow

REGIONS = (
    "us-east-1",
    "us-east-2",
    "us-west-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "eu-central-1",
    "eu-west-1",
)


def test_a_model_is_counted_once_by_a_program_that_goes_through_regions() -> None:
    with opened() as door:
        register_hosted(door.registry, door.cloud.s3, door.settings.models_bucket, "part", segmentation_package())

        def client(region: str) -> Any:
            return service_model.client(Clients.of_emulator(door.endpoint, region), door.endpoint)

        counted = [
            model["ModelArn"]
            for region in REGIONS
            for page in client(region).get_paginator("list_projects").paginate()
            for project in page["Projects"]
            for model in client(region).list_models(ProjectName=project["ProjectName"])["Models"]
        ]
        assert counted == ["arn:aws:lookoutvision:us-east-1:123456789012:model/part/1"]

        # Who names a model gets it: an endpoint says already where it is.
        model = {"ProjectName": "part", "ModelVersion": "1"}
        answer = client("eu-west-1").detect_anomalies(**model, Body=part_png(1000), ContentType="image/png")
        assert answer["DetectAnomalyResult"]["IsAnomalous"] is False
