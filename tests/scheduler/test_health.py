"""What outcomes say about the destination itself."""

import pytest

from mta.protocol.reply import Reply
from mta.queue.destinations import Health
from mta.scheduler.health import Impression, Verdict
from mta.transports.base import Outcome, Result


def outcome(code: int, status: str, command: str = "RCPT", *, unreachable: bool = False) -> Outcome:
    result = {2: Result.SENT, 4: Result.DEFERRED, 5: Result.BOUNCED}[code // 100]
    reply = Reply(code, status, "text")
    return Outcome(1, result, reply, command=command, unreachable=unreachable)


@pytest.mark.parametrize(
    ("outcomes", "health", "pause"),
    [
        ([outcome(250, "2.0.0")], Health.OK, False),
        ([outcome(550, "5.1.1")], Health.OK, False),
        ([outcome(452, "4.2.2")], Health.OK, False),
        ([outcome(250, "2.0.0"), outcome(450, "4.7.1")], Health.THROTTLED, False),
        ([outcome(421, "4.3.0")], Health.THROTTLED, False),
        ([outcome(451, "4.4.1", "", unreachable=True)], Health.DOWN, True),
        ([outcome(421, "4.3.0", "", unreachable=True)], Health.THROTTLED, True),
        ([outcome(250, "2.0.0"), outcome(451, "4.4.1", "", unreachable=True)], Health.OK, False),
    ],
)
def test_the_worst_counts_unless_a_session_came_about(outcomes, health, pause):
    impression = Impression()
    for each in outcomes:
        impression.add(each)
    verdict = impression.verdict()
    assert (verdict.health, verdict.pause) == (health, pause)


def test_what_we_said_ourselves_teaches_nothing():
    impression = Impression()
    impression.add(outcome(451, "4.3.0", ""))
    assert impression.verdict() is None


def test_the_reply_is_kept():
    impression = Impression()
    impression.add(outcome(250, "2.0.0"))
    assert impression.verdict() == Verdict(Health.OK, "250 2.0.0 text")
