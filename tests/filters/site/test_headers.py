"""The filter `headers`: its ready rules and its rows, as verdicts."""

import pytest

from mta.filters.site.headers import Headers
from mta.protocol.site_filter import FilterAction
from tests.filters.site.asking import ask

PLAIN = b"From: a@b.test\r\nSubject: hello\r\n\r\nx\r\n"


@pytest.mark.parametrize(
    ("text", "action", "reply"),
    [
        ("", FilterAction.PASS, None),
        ("Subject is hello -> pass\nTo missing -> hold", FilterAction.PASS, None),
        ("Subject is hello -> hold", FilterAction.HOLD, None),
        ("Subject is hello -> discard", FilterAction.DISCARD, None),
        ("Subject is hello -> refuse Not today", FilterAction.REFUSE, "550 5.7.1 Not today"),
        (
            "Subject is hello -> refuse",
            FilterAction.REFUSE,
            "550 5.7.1 the header of the message is not acceptable",
        ),
    ],
)
def test_what_a_row_does(text, action, reply):
    verdict = ask(Headers(), text)(content=PLAIN)
    assert verdict.action is action
    assert (str(verdict.reply) if verdict.reply else None) == reply


def test_a_change_goes_with_the_message_and_is_told():
    verdict = ask(Headers(), "Subject is hello -> add X-Seen: yes")(content=PLAIN)
    assert verdict.action is FilterAction.PASS
    assert verdict.content == PLAIN.replace(b"\r\n\r\n", b"\r\nX-Seen: yes\r\n\r\n")
    assert verdict.detail == "line 1: Subject is hello -> add X-Seen: yes"


def test_the_ready_rules_are_asked_first():
    old = b"Date: Thu, 1 Jan 1970 00:00:00 +0000\r\nSubject: hello\r\n\r\nx\r\n"
    verdict = ask(Headers(), "Subject is hello -> pass")(content=old)
    assert verdict.reply.text.startswith("the header of the message is not acceptable: the message")
    assert verdict.detail.startswith("the message does not say who it is from; the date of the")
    held = ask(Headers(), action="hold")(content=old)
    assert held.action is FilterAction.HOLD
    off = ask(Headers(), date_hours=0, require_from=False)(content=old)
    assert off.action is FilterAction.PASS


@pytest.mark.parametrize(
    ("text", "options"),
    [("Subject is", {}), ("", {"action": "bounce"}), ("", {"date_hours": -1}), ("", {"x": 1})],
)
def test_a_row_that_cannot_work_is_not_saved(text, options):
    with pytest.raises(ValueError, match="expected|no option"):
        ask(Headers(), text, **options)
