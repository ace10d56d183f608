"""What a training came to, for its owner: the report, the status message and the performance of the version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from relook.registry.model_version import Performance

if TYPE_CHECKING:
    from relook.learning.training import TrainedModel
    from relook.learning.validation.evaluation import Evaluation

_SHOWN_NOTES = 5  # in the status message, which consoles show in one paragraph; the report has them all


def training_report(trained: TrainedModel, evaluation: Evaluation | None = None) -> dict[str, Any]:
    """What training chose, how good the model became and what its owner should know.

    Args:
        evaluation: on a test dataset; training's own unless given.
    """
    manifest, measured = trained.package.manifest, asdict(evaluation or trained.evaluation)
    del measured["outcomes"]  # of single images, of which there may be thousands
    return {
        "trained_on": {
            "normal_images": trained.evaluation.normal_images,
            "anomalous_images": trained.evaluation.anomalous_images,
        },
        "backbone": asdict(manifest.backbone) if manifest.backbone else None,
        "choices": [asdict(choice) for choice in manifest.choices],
        "evaluation": measured,
        "notes": list(trained.notes),
    }


def performance(evaluation: Evaluation) -> Performance | None:
    """What DescribeModel tells of it; None where there was nothing to measure it on."""
    if evaluation.f1 is None or evaluation.recall is None or evaluation.precision is None:
        return None
    return Performance(evaluation.f1, evaluation.recall, evaluation.precision)


def status_message(notes: Sequence[str]) -> str:
    """A few sentences with the first of the notes; how many more there are is said."""
    sentences = ["The model is trained.", *(f"{note}." for note in notes[:_SHOWN_NOTES])]
    if len(notes) > _SHOWN_NOTES:
        sentences.append(f"The training report has {len(notes) - _SHOWN_NOTES} more notes.")
    return " ".join(sentences)
