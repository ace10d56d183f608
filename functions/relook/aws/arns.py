"""ARNs: the running function's taken apart, and those of what it serves put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class FunctionArn:
    """Of the running function, whose partition, region and account are those of all that it serves."""

    partition: str
    region: str
    account: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """What Lambda gives as `invoked_function_arn`, with or without an alias."""
        _, partition, _, region, account, _, name = text.split(":")[:7]
        return cls(partition, region, account, name)

    def project(self, name: str) -> str:
        """Of a project, as Lookout for Vision names it; likewise below."""
        return f"{self._lookoutvision}:project/{name}"

    def model(self, project: str, version: str) -> str:
        """Of a model version."""
        return f"{self.model_prefix}{project}/{version}"

    @property
    def model_prefix(self) -> str:
        """What every model version's ARN begins with."""
        return f"{self._lookoutvision}:model/"

    @property
    def root(self) -> str:
        """Of the account itself, as IAM names it."""
        return f"arn:{self.partition}:iam::{self.account}:root"

    def component(self, name: str, version: str) -> str:
        """Of a Greengrass component's version.

        The API's pattern wants `aws` for the account and no colon in what follows `components:`, so that Greengrass's
        own `<name>:versions:<version>` cannot be said.
        """
        return f"arn:{self.partition}:greengrass:{self.region}:aws:components:{name}/versions/{version}"

    @property
    def _lookoutvision(self) -> str:
        return f"arn:{self.partition}:lookoutvision:{self.region}:{self.account}"
