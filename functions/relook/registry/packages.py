"""Model packages in the models bucket, one folder a model version, verified whenever they are loaded."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from relook.aws.bucket import Bucket
from relook.detection.package import GRAPH_FILE, MANIFEST_FILE, ModelManifest, ModelPackage
from relook.errors import NoSuchObjectError, PackageError

if TYPE_CHECKING:
    from relook.detection.model import Model


def save_package(models: Bucket, project: str, version: str, package: ModelPackage) -> str:
    """Store the package's files.

    Returns:
        SHA-256 over the files, for the registry to keep and `load_package` to check.
    """
    files = package.files()
    for name, data in files.items():
        models.write(f"{project}/{version}/{name}", data)
    return package_sha256(files)


def load_package(models: Bucket, project: str, version: str, expected_sha256: str) -> ModelPackage:
    """Load and verify a package.

    Raises:
        PackageError: a file is missing, or the files are not the ones that were registered.
    """
    files = {name: _read(models, project, version, name) for name in (GRAPH_FILE, MANIFEST_FILE)}
    actual = package_sha256(files)
    if actual != expected_sha256:
        raise PackageError(
            f"Model package of {project}/{version} has SHA-256 {actual}, registered was {expected_sha256}"
        )
    return ModelPackage.from_files(files)


def load_manifest(models: Bucket, project: str, version: str) -> ModelManifest:
    """What a package says of itself; not verified, for that takes its graph too: whoever detects does.

    Raises:
        PackageError: there is none, or of another format version.
    """
    return ModelManifest.from_json(_read(models, project, version, MANIFEST_FILE))


def delete_package(models: Bucket, project: str, version: str) -> None:
    """Remove the package's files; none need be there."""
    for name in (GRAPH_FILE, MANIFEST_FILE):
        models.delete(f"{project}/{version}/{name}")


def _read(models: Bucket, project: str, version: str, name: str) -> bytes:
    key = f"{project}/{version}/{name}"
    try:
        return models.read(key)
    except NoSuchObjectError:
        raise PackageError(f"Model package of {project}/{version} has no {name} ({models.uri(key)})") from None


def package_sha256(files: Mapping[str, bytes]) -> str:
    """One SHA-256 over names and contents, independent of order."""
    lines = [f"{name} {hashlib.sha256(data).hexdigest()}\n" for name, data in sorted(files.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


class LoadedModels:
    """Packages that were loaded and are kept for the next images."""

    KEPT = 4  # an account hosts few versions at once, and each takes memory beside the image being looked at

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._loaded: OrderedDict[tuple[str, str, str], Model] = OrderedDict()

    def get(self, project: str, version: str, package_sha256: str) -> Model:
        """The model, loaded at first use.

        Raises:
            PackageError: the package is not the one that was registered, or cannot be loaded.
        """
        key = (project, version, package_sha256)
        if key not in self._loaded:
            from relook.detection.model import Model  # brings onnxruntime, which few operations need

            self._loaded[key] = Model(load_package(self._bucket, *key))
            if len(self._loaded) > self.KEPT:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(key)
        return self._loaded[key]
