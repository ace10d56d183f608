"""The normal training image that a model finds most like an inspected one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from threading import Lock
from typing import Any

from cli.stack import Stack
from relook.aws.bucket import S3Uri
from relook.detection.result import NearestNormal
from relook.registry.inspections import image_of
from relook.registry.models import describe_model
from relook.registry.packages import LoadedModels

_REMEMBERED = 1_000
"""Inspections: a name and a number each."""


class NearestNormals:
    """No record keeps it, so the model looks again at an image that somebody asks about; the answer is remembered."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._models = LoadedModels(stack.models)
        self._lock = Lock()
        self._find = lru_cache(_REMEMBERED)(self._detect)

    def of(self, record: Mapping[str, Any]) -> NearestNormal | None:
        """Of an inspected image; None where its model remembers no normal images, or is not there any more.

        Raises:
            NoSuchObjectError: the image is gone.
            ResourceNotFoundError, PackageError: the model is.
        """
        with self._lock:
            return self._find(record["project"], record["model_version"], *image_of(record))

    def _detect(self, project: str, version: str, image: S3Uri, image_version: str) -> NearestNormal | None:
        package_sha256 = describe_model(self._stack.registry, project, version).package_sha256
        if package_sha256 is None:
            return None
        model = self._models.get(project, version, package_sha256)
        return model.detect(self._stack.bucket(image.bucket).read_version(image.key, image_version)).nearest_normal
