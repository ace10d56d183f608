"""What operators watch: alarms that say what to do, and one dashboard."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from constructs import Construct

from infra.alerts import Alerts
from infra.inspection import Inspection
from infra.training import Training
from infra.watching import Watching
from relook.observability import METRICS_NAMESPACE
from relook.quality.stability import DRIFT

_FIVE_MINUTES = Duration.minutes(5)


class Monitoring(Construct):
    """Alarms on the queues, their dead letters and the functions, told to the alert topic.

    Attributes:
        dashboard: images by project, then the queue and the function, then drift.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        inspection: Inspection,
        training: Training,
        watching: Watching,
        alerts: Alerts,
    ) -> None:
        super().__init__(scope, id)
        self._action = actions.SnsAction(alerts.topic)
        dead_letters = inspection.dead_letters.metric_approximate_number_of_messages_visible(
            statistic="Maximum", period=_FIVE_MINUTES
        )
        oldest_message = inspection.queue.metric_approximate_age_of_oldest_message(
            statistic="Maximum", period=_FIVE_MINUTES
        )
        errors = inspection.function.metric_errors(statistic="Sum", period=_FIVE_MINUTES)
        throttles = inspection.function.metric_throttles(statistic="Sum", period=_FIVE_MINUTES)
        self._alarm(
            "DeadLetters",
            dead_letters,
            threshold=0,
            todo="Images could not be inspected. Find their messages in the log of inspect_image, remove the cause "
            "(most often: the project has no hosted model version), then redrive the dead-letter queue.",
        )
        self._alarm(
            "OldestMessage",
            oldest_message,
            threshold=900,
            todo="An image has waited for its verdict for over 15 minutes. If throttles are high, raise the account's "
            "concurrency; if the queue grows steadily, raise the stage's max_concurrency.",
        )
        self._alarm(
            "Errors",
            errors,
            threshold=0,
            todo="inspect_image crashed, timed out or ran out of memory. Read the end of its log; its images are tried "
            "again, and go to the dead-letter queue if that does not help.",
        )
        self._alarm(
            "Throttles",
            throttles,
            threshold=0,
            todo="Lambda refused to run inspect_image. Raise the account's concurrency, or lower the stage's "
            "max_concurrency below what is left to it.",
        )
        self._watch_training(training)
        self._watch_watching(watching)
        self.dashboard = cloudwatch.Dashboard(self, "Dashboard", default_interval=Duration.days(1))
        self.dashboard.add_widgets(
            _by_project("Images inspected", "ProcessedImageCount", "Sum"),
            _by_project("Anomalous images", "DetectedAnomalyCount", "Sum"),
            _by_project("Rejected images", "InvalidImageCount", "Sum"),
            _by_project("Milliseconds an image, 95th percentile", "Time", "p95"),
        )
        waiting = inspection.queue.metric_approximate_number_of_messages_visible(
            statistic="Maximum", period=_FIVE_MINUTES
        )
        self.dashboard.add_widgets(
            _graph("Waiting images", waiting, dead_letters),
            _graph("Seconds the oldest image has waited", oldest_message),
            _graph("Batches", inspection.function.metric_invocations(period=_FIVE_MINUTES), errors, throttles),
            _graph("Milliseconds a batch, 95th percentile", inspection.function.metric_duration(statistic="p95")),
        )
        drift = _search("DriftIndex", "Maximum", "${PROP('Dim.ProjectName')} ${PROP('Dim.Statistic')}")
        self.dashboard.add_widgets(_graph(f"Drift index; drift from {DRIFT} on", drift))

    def _watch_training(self, training: Training) -> None:
        self._alarm(
            "TrainingDeadLetters",
            training.dead_letters.metric_approximate_number_of_messages_visible(
                statistic="Maximum", period=_FIVE_MINUTES
            ),
            threshold=0,
            todo="Trainings could neither be ended nor told about. Read the log of train_model, remove the cause, then "
            "redrive the dead-letter queue of trainings.",
        )
        self._alarm(
            "TrainingErrors",
            training.function.metric_errors(statistic="Sum", period=_FIVE_MINUTES),
            threshold=0,
            todo="train_model crashed, timed out or ran out of memory. Read the end of its log; the model version is "
            "trained again or fails with a message. Raise training_memory_mb if memory was the cause.",
        )

    def _watch_watching(self, watching: Watching) -> None:
        overdue = cloudwatch.Metric(
            namespace=METRICS_NAMESPACE,
            metric_name="OverdueChecks",
            dimensions_map={"Function": "watch_quality"},
            statistic="Maximum",
            period=Duration.hours(1),
        )
        self._alarm(
            "OverdueChecks",
            overdue,
            threshold=0,
            todo="A project that asks for checks had none in time. Read the Check Overdue event for which one, and "
            "upload its golden part; or ask for fewer: relook checks PROJECT --every, or --off.",
        )
        self._alarm(
            "WatchingDeadLetters",
            watching.dead_letters.metric_approximate_number_of_messages_visible(
                statistic="Maximum", period=_FIVE_MINUTES
            ),
            threshold=0,
            todo="Drift or overdue checks could not be looked for. Read the log of watch_quality and remove the cause; "
            "the next round looks at the same, so the dead letters can be deleted.",
        )

    def _alarm(self, id: str, metric: cloudwatch.IMetric, *, threshold: int, todo: str) -> None:
        alarm = cloudwatch.Alarm(
            self,
            id,
            metric=metric,
            alarm_description=todo,
            threshold=threshold,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=1,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(self._action)


def _by_project(title: str, metric: str, statistic: str) -> cloudwatch.GraphWidget:
    return _graph(title, _search(metric, statistic, "${PROP('Dim.ProjectName')} ${PROP('Dim.ModelVersion')}"))


def _search(metric: str, statistic: str, label: str) -> cloudwatch.MathExpression:
    """Projects come and go, so the graph searches for them."""
    search = f'''SEARCH('Namespace="{METRICS_NAMESPACE}" MetricName="{metric}"', '{statistic}', 300)'''
    return cloudwatch.MathExpression(expression=search, using_metrics={}, label=label, period=_FIVE_MINUTES)


def _graph(title: str, *metrics: cloudwatch.IMetric) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), width=6)
