"""cdk-nag findings that are accepted: one finding, on one construct, with a reason."""

from __future__ import annotations

from typing import Any

from aws_cdk import Acknowledgment, Stack, Validations
from constructs import IConstruct


def acknowledge(construct: IConstruct, finding: str, *, reason: str) -> None:
    """Accept one finding on this construct and below; `reason` says why it is no problem here."""
    Validations.of(construct).acknowledge(Acknowledgment(id=f"AwsSolutions-{finding}", reason=reason))


def acknowledge_resource(construct: IConstruct, arn: str, *, reason: str) -> None:
    """Accept that a policy below this construct names this ARN, which ends in a wildcard."""
    acknowledge(construct, f"IAM5[Resource::{_plain(Stack.of(construct).resolve(arn))}]", reason=reason)


def _plain(value: Any) -> str:
    """An ARN as cdk-nag prints it: references in angle brackets."""
    match value:
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(map(_plain, parts))
        case {"Fn::GetAtt": [resource, attribute]}:
            return f"<{resource}.{attribute}>"
        case {"Ref": name}:
            return f"<{name}>"
    return str(value)
