"""The deployed stack a command talks to: its resources are looked up in the stack's outputs, never typed."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cli.output import CommandError, print_note
from local.cloud import LocalCloud
from relook.aws.bucket import Bucket, S3Uri
from relook.aws.clients import FRONT_DOOR_S, Clients, known_endpoints, known_profiles
from relook.aws.errors import translated
from relook.aws.table import Table
from relook.errors import AwsError, EventNotPublishedError
from relook.lookout import service_model
from relook.registry.history import HistoryEntry, tell_change
from relook.registry.inspections import image_of
from relook.registry.projects import HostedModel, describe_project
from relook.registry.retention import Retention

LOCAL_STAGE = "local"


@dataclass(frozen=True)
class Stack:
    """One deployed stack.

    Attributes:
        outputs: CloudFormation output -> value.
        clients: of where the stack lives.
    """

    outputs: Mapping[str, str]
    clients: Clients

    @cached_property
    def images(self) -> Bucket:
        """What is uploaded to be inspected."""
        return self.bucket(self.outputs["ImagesBucket"])

    @cached_property
    def datasets(self) -> Bucket:
        """Images to train with, their manifests and evaluations."""
        return self.bucket(self.outputs["DatasetsBucket"])

    @cached_property
    def models(self) -> Bucket:
        """Model packages and backbones."""
        return self.bucket(self.outputs["ModelsBucket"])

    @cached_property
    def retention(self) -> Retention:
        """How long records and pictures are kept."""
        return Retention.of_outputs(self.outputs)

    def bucket(self, name: str) -> Bucket:
        """Any one."""
        return Bucket(self.clients.s3, name)

    def read(self, uri: S3Uri) -> bytes:
        """An object, in whatever bucket."""
        return self.bucket(uri.bucket).read(uri.key)

    def read_upload(self, record: Mapping[str, Any]) -> bytes:
        """The very image that an inspection looked at.

        Raises:
            NoSuchObjectError: it was deleted or overwritten.
        """
        uri, version = image_of(record)
        return self.bucket(uri.bucket).read_version(uri.key, version)

    @cached_property
    def lookout(self) -> Any:
        """The client of the Lookout for Vision API."""
        return service_model.client(self.clients, self.outputs["LookoutEndpoint"])

    @cached_property
    def registry(self) -> Table:
        """Projects, datasets and model versions."""
        return Table(self.clients.dynamodb, self.outputs["RegistryTable"])

    @cached_property
    def inspections(self) -> Table:
        """The records."""
        return Table(self.clients.dynamodb, self.outputs["InspectionsTable"])

    def tell(self, entry: HistoryEntry) -> None:
        """Put the event about a change that was made; it stands, whether the bus takes the event or not."""
        try:
            tell_change(self.clients.events, self.outputs["EventBus"], entry)
        except (AwsError, EventNotPublishedError) as error:
            print_note(f"The change stands, but the event bus was not told: {error}")

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


def stack_name(stage: str) -> str:
    """Of the CloudFormation stack, which its resources' names begin with."""
    return f"Relook-{stage}"


def _local_stack() -> Stack:
    cloud = LocalCloud()
    status = cloud.status()
    if not status.outputs:
        problem = "is not running" if status.pid is None else "has no stack"
        raise CommandError(f"The local AWS {problem}; start it with: relook local up")
    return Stack(status.outputs, cloud.clients)


def _deployed_stack(stage: str) -> Stack:
    name = stack_name(stage)
    try:
        clients = Clients(read_timeout_s=FRONT_DOOR_S)
        with translated():
            (described,) = clients.cloudformation.describe_stacks(StackName=name)["Stacks"]
    except AwsError as error:
        wrong = _wrong_setup(error)
        missing = f"Stack {name} cannot be found ({error}); deploy it with: make deploy STAGE={stage}"
        raise CommandError(wrong or missing) from error
    return Stack({each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]}, clients)


def _wrong_setup(error: AwsError) -> str | None:
    """What of the environment keeps AWS from being asked at all, with what would be right; None where it was asked."""
    env = os.environ
    endpoint = env.get("AWS_ENDPOINT_URL_CLOUDFORMATION") or env.get("AWS_ENDPOINT_URL")
    match error.code:
        case "ProfileNotFound":
            given = env.get("AWS_PROFILE") or env.get("AWS_DEFAULT_PROFILE")
            known = f"expected one of {', '.join(profiles)}" if (profiles := known_profiles()) else "none is configured"
            return f"AWS_PROFILE is {given!r}, which this machine does not know; {known}: aws configure --profile NAME"
        case "NoCredentialsError" | "PartialCredentialsError":
            return "There are no AWS credentials; set AWS_PROFILE to a profile that has some, or run: aws configure"
        case "NoRegionError":
            return "No AWS region is set; set AWS_DEFAULT_REGION to the one of the stack, such as us-east-1"
        case "InvalidEndpoint" | "EndpointConnectionError" if endpoint:
            return f"Nothing answers at AWS_ENDPOINT_URL, which is {endpoint!r}; unset it to ask AWS itself"
        case "InvalidRegionError" | "EndpointConnectionError":
            region = Clients().region or ""
            known_regions = [each for partition in known_endpoints()["partitions"] for each in partition["regions"]]
            if region not in known_regions:
                like = difflib.get_close_matches(region, known_regions, n=1, cutoff=0) or ["us-east-1"]
                return f"There is no AWS region {region!r}; set AWS_DEFAULT_REGION to the stack's, such as {like[0]}"
    return None
