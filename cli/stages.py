"""The stack that a stage's name stands for. What AWS takes to load is loaded when a stack is looked for."""

from __future__ import annotations

import difflib
import os
from typing import TYPE_CHECKING

from cli.output import CommandError
from infra.names import stack_name
from local.cloud import LocalCloud
from relook.errors import AwsError

if TYPE_CHECKING:
    from cli.stack import Stack

LOCAL_STAGE = "local"


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
    from cli.stack import Stack

    return Stack(status.outputs, cloud.clients)


def _deployed_stack(stage: str) -> Stack:
    from cli.stack import Stack
    from relook.aws.clients import FRONT_DOOR_S, Clients

    name = stack_name(stage)
    try:
        clients = Clients(read_timeout_s=FRONT_DOOR_S)
        (described,) = clients.cloudformation.describe_stacks(StackName=name)["Stacks"]
    except AwsError as error:
        wrong = _wrong_setup(error)
        missing = f"Stack {name} cannot be found ({error}); deploy it with: make deploy STAGE={stage}"
        raise CommandError(wrong or missing) from error
    return Stack({each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]}, clients)


def _wrong_setup(error: AwsError) -> str | None:
    """What of the environment keeps AWS from being asked at all, with what would be right; None where it was asked."""
    from relook.aws.clients import Clients, known_endpoints, known_profiles

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
