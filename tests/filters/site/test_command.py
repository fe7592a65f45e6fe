"""Commands of the administrator as filters: real ones, run as somebody else."""

import asyncio
import os
import pwd
from typing import Any

import pytest

from mta.filters.base import Trouble
from mta.filters.site.command import Command
from mta.protocol.envelope import Source
from mta.protocol.reply import Reply
from mta.protocol.site_filter import (
    FilterAction,
    FilterRequest,
    FilterStage,
    FilterState,
    FilterTerms,
    FilterVerdict,
)

USER = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
CONTENT = b"Subject: x\r\n\r\nHello\r\n"


def terms(text: str, timeout: float = 60.0, **options: Any) -> FilterTerms:
    filled = {"argv": ["/bin/sh", "-c", text], "user": USER, **options}
    return FilterTerms(
        "test", "command", FilterStage.CONTENT, FilterState.ENFORCE, timeout=timeout, options=filled
    )


def judge(row: FilterTerms, **values: Any) -> FilterVerdict:
    known: dict[str, Any] = {
        "stage": FilterStage.CONTENT,
        "source": Source.ESMTP,
        "hostname": "mail.example.test",
        "client_ip": "192.0.2.1",
        "helo": "there.example",
        "reverse_path": "eve@example.org",
        "recipients": ("ann@example.test", "bob@example.test"),
        "content": CONTENT,
        "queue_id": "ABC",
        **values,
    }
    return asyncio.run(Command().judge(FilterRequest(**known), row))


def test_it_reads_the_message_and_passes():
    said = judge(terms("cat; exit 0"))
    assert (said.action, said.detail) == (FilterAction.PASS, "Subject: x\nHello")


def test_line_ends_are_as_the_row_says():
    assert judge(terms("wc -c")).detail == "18"
    assert judge(terms("wc -c", crlf=True)).detail == "21"


def test_the_envelope_is_in_its_environment_and_nothing_of_ours(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret")
    said = judge(terms("env")).detail.splitlines()
    assert "SENDER=eve@example.org" in said
    assert "RECIPIENTS=ann@example.test" in said
    assert "bob@example.test" in said
    assert {"STAGE=content", "CLIENT_IP=192.0.2.1", "HELO=there.example", "QUEUE_ID=ABC"} <= {*said}
    assert not [line for line in said if "secret" in line]


def test_before_mail_there_is_no_sender():
    said = judge(
        terms('echo "${SENDER-none}"; wc -c'),
        stage=FilterStage.CONNECT,
        reverse_path=None,
        recipients=(),
        content=None,
    )
    assert said.detail == "none\n0"


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("echo spam; exit 77", Reply(550, "5.7.1", "spam")),
        ("echo spam >&2; exit 65", Reply(550, "5.7.1", "spam")),
        ("echo 554 5.6.0 a virus; exit 77", Reply(554, "5.6.0", "a virus")),
        ("echo 451 come again; exit 77", Reply(451, "4.7.1", "come again")),
        ("exit 77", Reply(550, "5.7.1", "the message is not accepted")),
    ],
)
def test_a_refusal_has_the_text_that_it_printed(text, reply):
    said = judge(terms(text))
    assert (said.action, said.reply) == (FilterAction.REFUSE, reply)


def test_99_asks_no_further_filter():
    assert judge(terms("exit 99")).action is FilterAction.ACCEPT


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("exit 75", "the command ended with code 75"),
        ("echo no config; exit 1", "the command ended with code 1: no config"),
        ("kill -9 $$", "the command was ended by signal 9"),
    ],
)
def test_any_other_end_is_trouble(text, trouble):
    with pytest.raises(Trouble, match=f"^{trouble}$"):
        judge(terms(text))


def test_a_command_that_does_not_end_is_ended():
    with pytest.raises(Trouble, match="^the command did not end in time$"):
        judge(terms("sleep 1000", timeout=0.2))


def test_a_command_that_is_not_there_is_trouble():
    with pytest.raises(Trouble, match="code 127"):
        judge(terms("", argv=["/no/such/command"]))


def test_so_many_recipients_as_there_is_room_for():
    many = tuple(f"{'x' * 60}{number}@example.test" for number in range(2000))
    said = judge(terms('echo "$RECIPIENT_COUNT"; echo "$RECIPIENTS" | wc -l'), recipients=many)
    count, told = map(int, said.detail.split())
    assert (count, 0 < told < 2000) == (2000, True)


def test_many_run_at_once():
    async def several() -> list[FilterVerdict]:
        request = FilterRequest(FilterStage.CONTENT, Source.ESMTP, "here", content=CONTENT)
        row = terms("sleep 0.3")
        async with asyncio.timeout(5):
            return await asyncio.gather(*(Command().judge(request, row) for _ in range(20)))

    assert len(asyncio.run(several())) == 20


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"argv": []}, "argv: the command and its arguments, one a line"),
        ({"argv": ["sh"]}, "argv: the first line is the command by its absolute path"),
        ({"user": "root"}, "user: nothing that mail starts may run as root"),
        ({"user": "no-such-user"}, "user: there is no system account 'no-such-user' on this host"),
        ({"memory": 1}, "memory: no program runs in less than 16 MiB"),
        ({"memory": "much"}, "memory: to be of the type int"),
        ({"colour": "red"}, "there is no option colour"),
    ],
)
def test_rows_that_cannot_work(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Command().check(terms("true", **options))
