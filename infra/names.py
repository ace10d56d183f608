"""Names that those who deploy the stack and those who look for it agree on. Nothing of the CDK is imported."""

from __future__ import annotations


def stack_name(stage: str) -> str:
    """Of the CloudFormation stack, which its resources' names begin with."""
    return f"Relook-{stage}"
