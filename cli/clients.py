"""`relook client-setup`: clients that knew Lookout for Vision know it again."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.text import Text

from cli.output import out
from cli.stack import Stack
from relook.aws.clients import known_endpoints
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
    region = "us-east-1" if is_local else stack.clients.region or "us-east-1"
    models = write_models(folder)
    # botocore reads the regions of all services from the first endpoints.json it meets, and then resolves some of their
    # endpoints differently: in the usual folder it would do so for every program of this user.
    is_usual = folder == Path("~/.aws/models").expanduser()
    regions = folder / SERVICE if is_usual else folder
    _write_regions(regions, region)
    shell = [f"export AWS_DATA_PATH={regions}" + ("  # only for get_available_regions" if is_usual else "")]
    if is_local:
        shell.append("unset AWS_PROFILE AWS_DEFAULT_PROFILE")  # a profile that is not there stops every client
        shell.append("export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1")
        local_aws = urlsplit(endpoint_url)
        shell.append(f"export AWS_ENDPOINT_URL={local_aws.scheme}://{local_aws.netloc}  # S3 too is on this machine")
    lines = {
        "boto3": [*shell, f'lookout = boto3.client("{SERVICE}", endpoint_url="{endpoint_url}")'],
        "AWS CLI": [
            *shell,
            f"export AWS_ENDPOINT_URL_LOOKOUTVISION={endpoint_url}",
            f"aws {SERVICE} list-projects",
            f"aws {SERVICE} list-projects --endpoint-url {endpoint_url}  # an old one reads no variable",
        ],
        "JavaScript": [
            'import { LookoutVisionClient } from "@aws-sdk/client-lookoutvision";',
            f'const client = new LookoutVisionClient({{ endpoint: "{endpoint_url}", region: "{region}",',
            f'  signingName: "{SIGNING_NAME}" }});',
        ],
        "Java": [
            "import java.net.URI;",
            "import java.util.List;",
            "import software.amazon.awssdk.http.auth.aws.scheme.AwsV4AuthScheme;",
            "import software.amazon.awssdk.http.auth.aws.signer.AwsV4HttpSigner;",
            "import software.amazon.awssdk.http.auth.spi.scheme.AuthSchemeOption;",
            "import software.amazon.awssdk.regions.Region;",
            "import software.amazon.awssdk.services.lookoutvision.LookoutVisionClient;",
            "LookoutVisionClient client = LookoutVisionClient.builder()",
            f'    .endpointOverride(URI.create("{endpoint_url}")).region(Region.of("{region}"))',
            "    .authSchemeProvider(p -> List.of(AuthSchemeOption.builder().schemeId(AwsV4AuthScheme.SCHEME_ID)",
            f'        .putSignerProperty(AwsV4HttpSigner.SERVICE_SIGNING_NAME, "{SIGNING_NAME}")',
            "        .putSignerProperty(AwsV4HttpSigner.REGION_NAME, p.region().id()).build())).build();",
        ],
        "Go": [
            'import "github.com/aws/aws-sdk-go/aws"',
            'import "github.com/aws/aws-sdk-go/aws/session"',
            'import "github.com/aws/aws-sdk-go/service/lookoutforvision"',
            "client := lookoutforvision.New(session.Must(session.NewSession()),",
            f'    aws.NewConfig().WithEndpoint("{endpoint_url}").WithRegion("{region}"))',
            f'client.SigningName = "{SIGNING_NAME}"',
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


def _write_regions(folder: Path, region: str) -> None:
    """botocore's own regions of all services, and the one region of this service: the deployment's."""
    endpoints = known_endpoints()
    for partition in endpoints["partitions"]:
        if re.match(partition["regionRegex"], region):
            partition["services"][SERVICE] = {"endpoints": {region: {}}}
    (folder / "endpoints.json").write_text(json.dumps(endpoints, separators=(",", ":")))
