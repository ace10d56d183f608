"""A project's own backbone: in the models bucket beside the model versions, and in the project's item with its SHA-256.

Only its bytes matter here; what makes a backbone is `learning`'s to say. The object's key cannot be a package's: those
have a version, a number, where this one has a file name.
"""

from __future__ import annotations

import hashlib

from relook.aws.bucket import Bucket
from relook.aws.table import Table
from relook.errors import BackboneError, NoSuchObjectError
from relook.registry.projects import describe_project, set_backbone


def save_backbone(table: Table, models: Bucket, project: str, data: bytes) -> None:
    """Have the project's next trainings use a feature ONNX, which the caller has checked.

    Raises:
        ResourceNotFoundError: no such project.
    """
    describe_project(table, project)
    models.write(_key(project), data)
    set_backbone(table, project, hashlib.sha256(data).hexdigest())


def load_backbone(table: Table, models: Bucket, project: str) -> bytes | None:
    """The project's own backbone, the very bytes that were saved; None where it has none.

    Raises:
        BackboneError: it is gone, or not the one that was imported.
        ResourceNotFoundError: no such project.
    """
    expected = describe_project(table, project).backbone_sha256
    if expected is None:
        return None
    try:
        data = models.read(_key(project))
    except NoSuchObjectError:
        raise BackboneError(f"The backbone of {project} is gone ({models.uri(_key(project))})") from None
    actual = hashlib.sha256(data).hexdigest()
    if actual != expected:
        raise BackboneError(f"The backbone of {project} has SHA-256 {actual}, imported was {expected}")
    return data


def delete_backbone(table: Table, models: Bucket, project: str) -> bool:
    """Have the project's next trainings use ours again; whether it had one of its own.

    Raises:
        ResourceNotFoundError: no such project.
    """
    had_one = describe_project(table, project).backbone_sha256 is not None
    set_backbone(table, project, None)  # first: a pointer to nothing would stop trainings
    models.delete(_key(project))
    return had_one


def _key(project: str) -> str:
    return f"{project}/backbone.onnx"
