"""What goes with a project that is deleted."""

from __future__ import annotations

from relook.lookout.projects import delete_project
from relook.lookout.service import Service
from relook.registry.projects import create_project, describe_project
from relook.registry.regions import set_regions
from tests.unit.parts import WHO
from tests.unit.test_regions import FIRST, SECOND


def test_masks_of_regions_go_with_their_project_and_with_no_other(service: Service) -> None:
    for name in ("bracket", "bracket-2"):
        create_project(service.registry, name)
        for mask in (FIRST, SECOND):
            set_regions(service.registry, service.datasets_bucket, name, mask, who=WHO)
    assert len(service.datasets_bucket.etags("regions/bracket/")) == 2

    delete_project(service, {"ProjectName": "bracket"})

    assert not service.datasets_bucket.etags("regions/bracket/")
    assert len(service.datasets_bucket.etags("regions/bracket-2/")) == 2
    create_project(service.registry, "bracket")
    assert describe_project(service.registry, "bracket").regions is None
