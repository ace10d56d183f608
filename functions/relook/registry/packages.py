"""Model packages in the models bucket, one folder a model version, verified whenever they are loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from relook.detection.package import GRAPH_FILE, MANIFEST_FILE, ModelPackage
from relook.errors import PackageError


def save_package(s3: Any, bucket: str, project: str, version: str, package: ModelPackage) -> str:
    """Store the package's files.

    Args:
        s3: a boto3 S3 client.
    Returns:
        SHA-256 over the files, for the registry to keep and `load_package` to check.
    """
    files = package.files()
    for name, data in files.items():
        s3.put_object(Bucket=bucket, Key=f"{project}/{version}/{name}", Body=data)
    return package_sha256(files)


def load_package(s3: Any, bucket: str, project: str, version: str, expected_sha256: str) -> ModelPackage:
    """Load and verify a package.

    Raises:
        PackageError: a file is missing, or the files are not the ones that were registered.
    """
    files = {}
    for name in (GRAPH_FILE, MANIFEST_FILE):
        key = f"{project}/{version}/{name}"
        try:
            files[name] = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except s3.exceptions.NoSuchKey:
            raise PackageError(f"Model package of {project}/{version} has no {name} (s3://{bucket}/{key})") from None
    found = package_sha256(files)
    if found != expected_sha256:
        raise PackageError(
            f"Model package of {project}/{version} has SHA-256 {found}, registered was {expected_sha256}"
        )
    return ModelPackage.from_files(files)


def package_sha256(files: Mapping[str, bytes]) -> str:
    """One SHA-256 over names and contents, independent of order."""
    lines = [f"{name} {hashlib.sha256(data).hexdigest()}\n" for name, data in sorted(files.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
