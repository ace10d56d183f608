"""Tags, which model versions have."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from relook.errors import InvalidRequestError
from relook.lookout.service import Service
from relook.registry.models import change_tags, describe_model

_MAX_TAGS = 200  # on one model, as many as one request may bring
_NUMBER = re.compile("[1-9][0-9]*")


def tag_resource(service: Service, given: Mapping[str, Any]) -> dict[str, Any]:
    """Add tags, or change their values."""
    project, version = _model(service, given["ResourceArn"])
    new = tags_of(given["Tags"])

    def change(tags: dict[str, str]) -> dict[str, str]:
        changed = {**tags, **new}
        if len(changed) > _MAX_TAGS:
            raise InvalidRequestError(f"Tags would make {len(changed)} tags on the model; at most {_MAX_TAGS} may be")
        return changed

    change_tags(service.registry, project, version, change)
    return {}


def untag_resource(service: Service, given: Mapping[str, Any]) -> dict[str, Any]:
    """Remove the tags with these keys; those that are not there do not matter."""
    project, version = _model(service, given["ResourceArn"])
    gone = set(given["TagKeys"])
    change_tags(service.registry, project, version, lambda tags: {k: v for k, v in tags.items() if k not in gone})
    return {}


def list_tags_for_resource(service: Service, given: Mapping[str, Any]) -> dict[str, Any]:
    """A model version's tags, by key."""
    tags = describe_model(service.registry, *_model(service, given["ResourceArn"])).tags
    return {"Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())]}


def tags_of(given: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Tags as a request has them, by key.

    Raises:
        InvalidRequestError: a key comes twice.
    """
    tags = {tag["Key"]: tag["Value"] for tag in given}
    if len(tags) < len(given):
        raise InvalidRequestError("Tags names a key twice; each key may come once")
    return tags


def _model(service: Service, arn: str) -> tuple[str, str]:
    """Project and version of a model's ARN.

    Raises:
        InvalidRequestError: no ARN of a model here.
    """
    prefix = service.function.model_prefix
    project, _, version = arn.removeprefix(prefix).partition("/")
    if not arn.startswith(prefix) or not project or not _NUMBER.fullmatch(version):
        raise InvalidRequestError(f"ResourceArn {arn!r} is not that of a model, such as {prefix}<project>/<version>")
    return project, version
