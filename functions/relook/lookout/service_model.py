"""A boto3 client for `lookoutvision`, which botocore itself no longer has: its model lies beside this file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

MODELS_FOLDER = Path(__file__).parent / "models"


def client(endpoint_url: str, config: Config) -> Any:
    """A client for the server at `endpoint_url`, with requests signed as a Lambda function URL expects them."""
    session = botocore.session.get_session()
    session.get_component("data_loader").search_paths.append(str(MODELS_FOLDER))
    return boto3.Session(botocore_session=session).client("lookoutvision", endpoint_url=endpoint_url, config=config)
