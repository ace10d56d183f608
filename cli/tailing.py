"""`relook events tail`: a queue of its own on the Relook bus, for as long as it is wanted."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import islice
from typing import Any

from cli.stack import Stack
from relook.events import SOURCE


@contextmanager
def subscription(stack: Stack) -> Iterator[Any]:
    """A temporary rule and queue that receive every Relook event; gives a function that receives a batch of them."""
    sqs, events = stack.clients.sqs, stack.clients.events
    name, bus = f"relook-tail-{uuid.uuid4().hex[:12]}", stack.outputs["EventBus"]
    queue_url = sqs.create_queue(QueueName=name, Attributes={"MessageRetentionPeriod": "3600"})["QueueUrl"]
    try:
        queue_arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        pattern = json.dumps({"source": [SOURCE]})
        rule_arn = events.put_rule(Name=name, EventBusName=bus, EventPattern=pattern)["RuleArn"]
        sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"Policy": _policy(queue_arn, rule_arn)})
        events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "tail", "Arn": queue_arn}])

        def receive(wait_s: int) -> list[dict[str, Any]]:
            answer = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=wait_s)
            messages = answer.get("Messages", [])
            for message in messages:
                sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
            return [json.loads(message["Body"]) for message in messages]

        try:
            yield receive
        finally:
            events.remove_targets(Rule=name, EventBusName=bus, Ids=["tail"])
            events.delete_rule(Name=name, EventBusName=bus)
    finally:
        sqs.delete_queue(QueueUrl=queue_url)


def tail(stack: Stack, *, count: int | None, timeout_s: float | None) -> Iterator[dict[str, Any]]:
    """Events as they come; ends after `count` events, after `timeout_s` seconds, or with Ctrl-C."""
    deadline = time.monotonic() + timeout_s if timeout_s is not None else float("inf")

    def arriving() -> Generator[dict[str, Any], None, None]:
        with subscription(stack) as receive:
            while (left := deadline - time.monotonic()) > 0:
                yield from receive(max(1, round(min(10, left))))

    with closing(arriving()) as events, suppress(KeyboardInterrupt):
        yield from islice(events, count)


def _policy(queue_arn: str, rule_arn: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
