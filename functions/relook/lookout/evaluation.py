"""How good a trained model is: measured on a test dataset, and written down as Lookout for Vision did."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from relook.detection.arrays import ByteArray
from relook.detection.evaluation import Evaluation, ImageOutcome, TypeMetrics, evaluate, type_metrics
from relook.detection.image import read_header
from relook.detection.masks import MASK_SIDE_PX, is_background, read_mask
from relook.detection.model import Model
from relook.detection.samples import LabeledImage
from relook.detection.training import TrainedModel
from relook.detection.training_set import OnProgress
from relook.errors import ImageRejectedError, TrainingDataError
from relook.registry.datasets import StoredEntry

TEST_PROTOCOL = "Measured on the test dataset with the finished model, which saw none of it."
_JOB = "training-job/anomaly-detection"


def evaluate_on(model: Model, images: Sequence[LabeledImage], on_progress: OnProgress) -> Evaluation:
    """Let a finished model look at images it was not trained on, as detection will.

    Raises:
        TrainingDataError: no normal image, or an image or mask that cannot be used; names it.
    """
    if all(image.is_anomalous for image in images):
        raise TrainingDataError("The test dataset has no image labelled normal; at least one is needed")
    outcomes, found, truth = [], [], []
    for index, image in enumerate(images, start=1):
        data = image.read()
        try:
            result = model.detect(data)
        except ImageRejectedError as error:
            raise TrainingDataError(f"{image.name} of the test dataset cannot be used: {error.message}") from error
        # How odd it is was measured among the training images only.
        outcomes.append(ImageOutcome(image.name, image.is_anomalous, result.is_anomalous, result.confidence, math.nan))
        if image.is_anomalous and image.read_mask is not None and result.mask_png is not None:
            painted, outline = _labels(result.mask_png), _outline(image, model)
            painted, outline = _comparable(painted, outline)
            # Where both say background, nothing is counted, and most of an image is that.
            either = (painted > 0) | (outline > 0)
            found.append(painted[either])
            truth.append(outline[either])
        on_progress("looking at the test images", index, len(images))
    probabilities = np.array([outcome.anomaly_probability for outcome in outcomes])
    types: list[TypeMetrics] = []
    if found:
        names = [each.name for each in model.manifest.classes]
        types = [type_metrics(name, number, found, truth) for number, name in enumerate(names, start=1)]
    return evaluate(TEST_PROTOCOL, outcomes, probabilities, types)


def evaluation_result(trained: TrainedModel, evaluation: Evaluation, arn: str, ended_at: datetime) -> bytes:
    """EvaluationResult: null where there was no anomalous image to measure on; no types for a classification model.

    With a single dataset every image is judged by a model that did not see it, so all are training and testing images.
    """
    metrics: dict[str, Any] = {
        "ROCAUC": evaluation.roc_auc,
        "AveragePrecision": evaluation.average_precision,
        "Precision": evaluation.precision,
        "Recall": evaluation.recall,
        "F1Score": evaluation.f1,
    }
    if trained.package.manifest.classes:
        metrics["PixelAnomalyClassMetrics"] = [
            {
                "Precision": each.precision,
                "Recall": each.recall,
                "F1Score": each.f1,
                "AIOU": each.iou,
                "ClassName": each.name,
            }
            for each in evaluation.types
        ]
    result = json.dumps(
        {
            "Version": 1,
            "EvaluationDetails": {
                "ModelArn": arn,
                "EvaluationEndTimestamp": _time(ended_at),
                "NumberOfTrainingImages": len(trained.evaluation.outcomes),
                "NumberOfTestingImages": len(evaluation.outcomes),
            },
            "AggregatedEvaluationResults": {"Metrics": metrics},
        },
        indent=2,
        allow_nan=False,
    )
    return result.encode() + b"\n"


def evaluation_manifest(
    evaluation: Evaluation, entries: Iterable[StoredEntry], arn: str, project: str, version: str, ended_at: datetime
) -> bytes:
    """EvaluationManifest, JSON Lines: what each image is labelled, and what a model that did not see it says."""
    stored = {each.entry.source_ref: each for each in entries}
    lines = [
        {
            "source-ref": outcome.name,
            "source-ref-metadata": {"creation-date": _time(stored[outcome.name].added)},
            "anomaly-label": int(outcome.is_anomalous),
            "anomaly-label-metadata": {
                "type": "groundtruth/image-classification",
                "human-annotated": "yes",
                "confidence": 1,
                "creation-date": _time(stored[outcome.name].added),
                **_label_metadata(stored[outcome.name].line),
                "class-name": _class(outcome.is_anomalous),
            },
            "anomaly-label-detected": int(outcome.is_detected),
            "anomaly-label-detected-metadata": {
                "class-name": _class(outcome.is_detected),
                "confidence": outcome.confidence,
                "type": "groundtruth/image-classification",
                "human-annotated": "no",
                "creation-date": _time(ended_at),
                "job-name": _JOB,
                "model-arn": arn,
                "project-name": project,
                "model-version": version,
            },
        }
        for outcome in evaluation.outcomes
    ]
    # Half a surrogate pair, which a user's line may escape, is escaped again.
    texts = (json.dumps(line, ensure_ascii=False) for line in lines)
    return b"".join(text.encode(errors="backslashreplace") + b"\n" for text in texts)


def _labels(mask_png: bytes) -> ByteArray:
    """Our own masks are palette images: the index is the type's number."""
    with Image.open(BytesIO(mask_png)) as image:
        return np.asarray(image)


def _outline(image: LabeledImage, model: Model) -> ByteArray:
    """The labels of an image's mask, in the model's numbers; 0 for a type that the model does not know."""
    assert image.read_mask is not None
    height, width = model.manifest.image_size or _size(image.read())
    labels = read_mask(image.read_mask(), image.colors, name=image.name, height=height, width=width)
    known = [each.name for each in model.manifest.classes]
    names = [name for name in image.colors if not is_background(name)]
    numbers = [0, *(known.index(name) + 1 if name in known else 0 for name in names)]
    return np.array(numbers, np.uint8)[labels]


def _size(data: bytes) -> tuple[int, int]:
    header = read_header(data)
    return header.height, header.width


def _comparable(painted: ByteArray, outline: ByteArray) -> tuple[ByteArray, ByteArray]:
    """The same shape: thinned as `read_mask` thins; a mask of one colour may have any size."""
    step = -(-max(painted.shape) // MASK_SIDE_PX)
    painted = painted[::step, ::step]
    return painted, outline if outline.shape == painted.shape else np.full(painted.shape, outline[0, 0], np.uint8)


def _label_metadata(line: str) -> Mapping[str, Any]:
    """What the user's own line says of its label, whatever it is called."""
    fields = json.loads(line)
    for name in fields:
        metadata = fields.get(f"{name}-metadata")
        if not name.endswith("-ref") and isinstance(metadata, dict) and "class-name" in metadata:
            return metadata
    return {}


def _class(is_anomalous: bool) -> str:
    return "anomaly" if is_anomalous else "normal"


def _time(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
