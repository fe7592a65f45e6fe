"""The filter `attachments`: what a message with such a part is answered."""

import pytest

from mta.filters.site.attachments import Attachments
from mta.protocol.site_filter import FilterAction
from tests.filters.site.asking import ask
from tests.filters.test_attachment_rules import archive
from tests.filters.test_parts import message

PROGRAM = message('attachment; filename="a.exe"', body=b"MZ")


def test_a_program_is_refused_and_the_reply_says_what_it_was():
    verdict = ask(Attachments())(content=PROGRAM)
    assert verdict.action is FilterAction.REFUSE
    assert str(verdict.reply) == (
        "550 5.7.1 attachments of this kind are not accepted here: the attachment 'a.exe' ends in"
        " .exe; the attachment 'a.exe' is a Windows program"
    )


def test_a_row_may_hold_instead():
    verdict = ask(Attachments(), action="hold", extensions=[], types=["application/*"])(
        content=PROGRAM
    )
    assert verdict.action is FilterAction.HOLD
    assert "is of type application/octet-stream" in verdict.detail


@pytest.mark.parametrize("size", [10, 200_000])
def test_archives_are_looked_into_also_in_large_messages(size):
    body = archive(("x.txt", b"x" * size), ("y.vbs", b""), method=0)
    content = message('attachment; filename="a.zip"', body=body)
    assert ask(Attachments())(content=content).action is FilterAction.REFUSE
    assert ask(Attachments(), archives=False)(content=content).action is FilterAction.PASS


def test_a_letter_passes():
    assert ask(Attachments())(content=b"Subject: x\r\n\r\nMZ\r\n").action is FilterAction.PASS


def test_a_message_that_nobody_can_take_apart_is_no_way_round():
    many = b"".join(b"--b\r\n\r\nx\r\n" for _ in range(1500))
    content = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + many + b"--b--\r\n"
    verdict = ask(Attachments())(content=content)
    assert verdict.action is FilterAction.REFUSE
    assert "more than 1000 parts" in verdict.detail


@pytest.mark.parametrize(
    "options",
    [
        {"action": "keep"},
        {"max_size": -1},
        {"executables": 1},
        {"names": ["x" * 201]},
        {"nmes": []},
    ],
)
def test_a_row_that_cannot_work_is_not_saved(options):
    with pytest.raises(ValueError, match="expected|too long|no option"):
        ask(Attachments(), **options)
