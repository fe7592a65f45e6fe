"""Nudges as the workers get them, through a real broker."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from celery import current_app

from mta.nudge import REPORT, Nudger


@pytest.fixture
def broker() -> Iterator[Any]:
    """The broker's client, with both queues empty."""
    with current_app.connection_for_read() as connection:
        client = connection.default_channel.client
        client.delete("local", "remote")
        yield client
        client.delete("local", "remote")


def sent(broker: Any, *names: str) -> dict[str, list[dict[str, Any]]]:
    """The headers of the tasks in each queue after these nudges."""
    nudger = Nudger()
    for name in names:
        nudger(name)
    nudger.drain(10)
    return {
        queue: [json.loads(task)["headers"] for task in broker.lrange(queue, 0, -1)]
        for queue in ("local", "remote")
    }


def test_each_kind_goes_to_its_worker(broker: Any) -> None:
    queues = sent(broker, "local", "esmtp", REPORT)
    assert sorted(task["task"] for task in queues["local"]) == ["mta.deliver", "mta.report"]
    assert [task["argsrepr"] for task in queues["remote"]] == ["['esmtp']"]


def test_nudges_that_come_together_are_one(broker: Any) -> None:
    assert len(sent(broker, *["local"] * 50)["local"]) <= 2


def test_a_call_to_deliver_goes_stale_and_a_report_does_not(broker: Any) -> None:
    """A worker that is busy delivering looks again by itself; nobody else sends the reports."""
    expires = {task["task"]: task["expires"] for task in sent(broker, "local", REPORT)["local"]}
    assert expires["mta.deliver"] is not None
    assert expires["mta.report"] is None
