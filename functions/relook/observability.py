"""The one logger, the one tracer, and the metrics."""

from __future__ import annotations

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

METRICS_NAMESPACE = "Relook"

logger = Logger(service="relook")
# No automatic patching: one segment a step tells the story, one an HTTP request would bury it and cost time.
tracer = Tracer(service="relook", auto_patch=False)


def emit_inspection_metrics(
    project: str, model_version: str, *, is_rejected: bool, is_anomalous: bool, duration_ms: int
) -> None:
    """Write one line of embedded metrics, under the names and dimensions Lookout for Vision published."""
    metrics = EphemeralMetrics(namespace=METRICS_NAMESPACE)
    metrics.add_dimension("ProjectName", project)
    metrics.add_dimension("ModelVersion", model_version)
    metrics.add_metric("ProcessedImageCount", MetricUnit.Count, 0 if is_rejected else 1)
    metrics.add_metric("InvalidImageCount", MetricUnit.Count, 1 if is_rejected else 0)
    metrics.add_metric("DetectedAnomalyCount", MetricUnit.Count, 1 if is_anomalous else 0)
    if not is_rejected:
        metrics.add_metric("Time", MetricUnit.Milliseconds, duration_ms)
    metrics.flush_metrics()


def emit_drift_index(project: str, statistic: str, index: float) -> None:
    """How far a statistic of a project's images left what training saw: the population stability index."""
    metrics = EphemeralMetrics(namespace=METRICS_NAMESPACE)
    metrics.add_dimension("ProjectName", project)
    metrics.add_dimension("Statistic", statistic)
    metrics.add_metric("DriftIndex", MetricUnit.NoUnit, index)
    metrics.flush_metrics()


def emit_overdue_checks(count: int) -> None:
    """How many projects had no check in time, all together: an alarm cannot follow projects that come and go."""
    metrics = EphemeralMetrics(namespace=METRICS_NAMESPACE)
    metrics.add_dimension("Function", "watch_quality")
    metrics.add_metric("OverdueChecks", MetricUnit.Count, count)
    metrics.flush_metrics()
