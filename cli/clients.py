"""`relook client-setup`: clients that knew Lookout for Vision know it again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.text import Text

from cli.output import out
from cli.stack import Stack
from relook.lookout.service_model import SERVICE, SIGNING_NAME, write_models


@dataclass(frozen=True)
class Setup:
    """What was installed, and what programs need to know.

    Attributes:
        endpoint_url: of the API.
        models: the folder with the service model.
        lines: client -> the lines to paste.
    """

    endpoint_url: str
    models: Path
    lines: dict[str, list[str]]

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        return {"endpoint_url": self.endpoint_url, "models": str(self.models), "lines": self.lines}


def install(stack: Stack, folder: Path, *, is_local: bool) -> Setup:
    """Write the service model beneath `folder` and say how each client finds the stack's API."""
    endpoint_url = stack.outputs["LookoutEndpoint"]
    models = write_models(folder)
    variable = f"export AWS_ENDPOINT_URL_LOOKOUTVISION={endpoint_url}"
    is_default = folder == Path("~/.aws/models").expanduser()
    path = [] if is_default else [f"export AWS_DATA_PATH={folder}"]
    if is_local:
        path.append("export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1")
        local_aws = urlsplit(endpoint_url)
        path.append(f"export AWS_ENDPOINT_URL={local_aws.scheme}://{local_aws.netloc}  # S3 too is on this machine")
    region = "us-east-1" if is_local else stack.client("s3").meta.region_name
    lines = {
        "boto3": [*path, f'lookout = boto3.client("{SERVICE}", endpoint_url="{endpoint_url}")'],
        "AWS CLI": [*path, variable, f"aws {SERVICE} list-projects"],
        "JavaScript": [
            'import { LookoutVisionClient } from "@aws-sdk/client-lookoutvision";',
            f'const client = new LookoutVisionClient({{ endpoint: "{endpoint_url}", region: "{region}",',
            f'  signingName: "{SIGNING_NAME}" }});',
        ],
        "Java": [
            "LookoutVisionClient client = LookoutVisionClient.builder()",
            f'    .endpointOverride(URI.create("{endpoint_url}"))',
            f'    .region(Region.of("{region}")).overrideConfiguration(c -> c.putExecutionAttribute(',
            f'        AwsSignerExecutionAttribute.SERVICE_SIGNING_NAME, "{SIGNING_NAME}")).build();',
        ],
    }
    return Setup(endpoint_url, models, lines)


def print_setup(setup: Setup) -> None:
    """For people, ready to be copied."""
    out.print(Text("installed", "bold"), str(setup.models), soft_wrap=True, markup=False)
    for client, lines in setup.lines.items():
        out.print()
        out.print(Text(client, "bold"))
        for line in lines:
            out.print(line, soft_wrap=True, markup=False)
