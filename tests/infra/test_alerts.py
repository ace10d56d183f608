"""What people are told, and who may tell it to the topic."""

from __future__ import annotations

from typing import Any

from aws_cdk.assertions import Match, Template

from tests.infra.conftest import Synthesize
from tests.infra.test_inspection import plain


def lines_told(template: Template) -> dict[str, list[str]]:
    """Detail types -> the lines that reach the topic, with the fields' paths in them."""
    pattern = {"Properties": {"EventPattern": {"source": ["relook"]}}}
    texts = {}
    for rule in template.find_resources("AWS::Events::Rule", pattern).values():
        properties: dict[str, Any] = rule["Properties"]
        assert plain(properties["EventBusName"]) == "<InspectionBus>"
        (target,) = properties["Targets"]
        assert plain(target["Arn"]) == "<AlertsTopic>"
        transformer = target["InputTransformer"]
        text = transformer["InputTemplate"]
        for name, path in transformer["InputPathsMap"].items():
            text = text.replace(f"<{name}>", path)
        texts[", ".join(properties["EventPattern"]["detail-type"])] = text.splitlines()
    return texts


def test_what_people_should_know_is_told_as_three_readable_lines(synthesize: Synthesize) -> None:
    first = ['"$.detail-type: $.detail.summary"', '"Project: $.detail.project"']
    assert lines_told(synthesize()) == {
        "Anomaly Detected": [*first, '"Image: $.detail.image.uri"'],
        "Check Failed, Image Rejected": [*first, '"Image: $.detail.image.uri"'],
        "Drift Detected, Check Overdue": [*first, '"Seen at: $.detail.observed_at"'],
        "Model Training Failed": [*first, '"Model version: $.detail.model_version"'],
    }


def test_of_golden_parts_only_those_that_were_missed_are_told(synthesize: Synthesize) -> None:
    rules = synthesize().find_resources("AWS::Events::Rule").values()
    patterns = [rule["Properties"]["EventPattern"] for rule in rules if "EventPattern" in rule["Properties"]]
    details = {name: pattern.get("detail") for pattern in patterns for name in pattern["detail-type"]}
    assert details["Anomaly Detected"] == {"expected": [{"exists": False}]}
    assert details["Check Failed"] is None


def test_the_topic_takes_rules_and_this_account_s_alarms_over_tls_only(synthesize: Synthesize) -> None:
    (policy,) = synthesize().find_resources("AWS::SNS::TopicPolicy").values()
    refuse, alarms, rules = policy["Properties"]["PolicyDocument"]["Statement"]
    assert (refuse["Effect"], refuse["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert alarms["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert alarms["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    assert rules["Principal"] == {"Service": "events.amazonaws.com"}
    assert {each["Action"] for each in (refuse, alarms, rules)} == {"sns:Publish"}


def test_nobody_is_mailed_unless_the_stage_names_an_address(synthesize: Synthesize) -> None:
    synthesize().resource_count_is("AWS::SNS::Subscription", 0)
    synthesize(alert_email="quality@example.com").has_resource_properties(
        "AWS::SNS::Subscription",
        {
            "Protocol": "email",
            "Endpoint": "quality@example.com",
            "TopicArn": {"Ref": Match.string_like_regexp("^AlertsTopic")},
        },
    )
