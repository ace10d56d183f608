"""The deployed stack a command talks to: its resources are looked up in the stack's outputs, never typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from cli.output import CommandError
from local.cloud import LocalCloud
from relook.lookout import service_model
from relook.registry.projects import HostedModel, describe_project
from relook.registry.table import Table

LOCAL_STAGE = "local"


@dataclass(frozen=True)
class Stack:
    """One deployed stack.

    Attributes:
        outputs: CloudFormation output -> value.
        client: gives a boto3 client, by service name, for where the stack lives.
    """

    outputs: Mapping[str, str]
    client: Callable[[str], Any]

    @cached_property
    def s3(self) -> Any:
        """The S3 client."""
        return self.client("s3")

    @cached_property
    def lookout(self) -> Any:
        """The client of the Lookout for Vision API."""
        return self.client(service_model.SERVICE)

    @cached_property
    def registry(self) -> Table:
        """Projects, datasets and model versions."""
        return Table(self.client("dynamodb"), self.outputs["RegistryTable"])

    @cached_property
    def inspections(self) -> Table:
        """The records."""
        return Table(self.client("dynamodb"), self.outputs["InspectionsTable"])

    def hosted_model(self, project: str) -> HostedModel:
        """The model version that inspects the project's uploads.

        Raises:
            CommandError: it has none.
            ResourceNotFoundError: no such project.
        """
        hosted = describe_project(self.registry, project).hosted
        if hosted is None:
            raise CommandError(
                f"Project {project} has no hosted model version; train one: relook train {project} FOLDER"
            )
        return hosted


def connect(stage: str) -> Stack:
    """Find the stage's stack.

    Raises:
        CommandError: the local cloud is not running, there are no credentials, or the stage is not deployed.
    """
    return _local_stack() if stage == LOCAL_STAGE else _deployed_stack(stage)


def _local_stack() -> Stack:
    cloud = LocalCloud()
    status = cloud.status()
    if not status.outputs:
        problem = "is not running" if status.pid is None else "has no stack"
        raise CommandError(f"The local AWS {problem}; start it with: relook local up")
    return Stack(status.outputs, cloud.client)


def _deployed_stack(stage: str) -> Stack:
    session, name = boto3.Session(), f"Relook-{stage}"
    try:
        (described,) = session.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    except (ClientError, BotoCoreError) as error:
        raise CommandError(
            f"Stack {name} cannot be found ({error}); deploy it with: make deploy STAGE={stage}"
        ) from error
    outputs = {each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]}

    def client(service: str) -> Any:
        if service == service_model.SERVICE:
            return service_model.client(outputs["LookoutEndpoint"], Config())
        return session.client(service)

    return Stack(outputs, client)
