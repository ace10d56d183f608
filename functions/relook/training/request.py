"""What asks for a training: a message of the training queue."""

from __future__ import annotations

import json
from dataclasses import dataclass

from relook.errors import MalformedMessageError


@dataclass(frozen=True)
class TrainingRequest:
    """A message of the training queue.

    Attributes:
        attempt: how often the message was received, this time included.
    """

    project: str
    version: str
    attempt: int


def parse_request(body: str, receive_count: str) -> TrainingRequest:
    """
    Raises:
        MalformedMessageError: no request of ours.
    """
    try:
        fields = json.loads(body)
        return TrainingRequest(str(fields["project"]), str(fields["version"]), int(receive_count))
    except (ValueError, TypeError, KeyError) as error:
        raise MalformedMessageError(f'Expected {{"project": ..., "version": ...}}, got {body[:200]!r}') from error
