"""The deployed stack a command talks to: its resources are looked up in the stack's outputs, never typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cli.output import CommandError, print_note
from relook.aws.bucket import Bucket, S3Uri
from relook.aws.clients import Clients
from relook.aws.table import Table
from relook.errors import AwsError, EventNotPublishedError
from relook.lookout import service_model
from relook.registry.history import HistoryEntry, tell_change
from relook.registry.inspections import image_of
from relook.registry.projects import HostedModel, describe_project
from relook.registry.retention import Retention


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

    def tell(self, entry: HistoryEntry | None) -> None:
        """Put the event about a change that was made, if any; it stands, whether the bus takes the event or not."""
        if entry is None:
            return
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
