"""Owners' own programs within the session: `.mailfilters/rcptfilter` and `smtpfilter`."""

import os
import pwd
from dataclasses import replace
from pathlib import Path

import pytest

from mta import mailbox_program
from mta.models import Domain, Mailbox, Settings
from tests.ingress.test_mailbox_filter import (
    ANN,
    BOB,
    NEWS,
    SPAM,
    data,
    lists,
    queued,
    rcpts,
    script,
)

OK = "250 2.1.5 Recipient Ok"
LATER = "451 4.3.0 the rules of the mailbox cannot be asked now, try again later"
WHO = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
NO_PILLS = """#!/bin/sh
if grep -q pills; then
    echo 550-5.7.1 no pills,
    echo 550 5.7.1 thank you
    exit 1
fi
"""


@pytest.fixture(autouse=True)
def mail_root(settings, tmp_path, town) -> Path:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, home=tmp_path)
    Settings.objects.update(aliasuser=WHO)
    Mailbox.objects.filter(local_part="ann").update(own_filter=True)
    return tmp_path / "mail"


@pytest.fixture
def client(ingress):
    with ingress.connect() as client:
        yield client


@pytest.fixture
def put(mail_root):
    """Write a program of ann's."""

    def put(name: str, text: str, mode: int = 0o700) -> None:
        folder = mail_root / "example.test" / "ann" / ".mailfilters"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        (folder / name).chmod(mode)

    return put


def says(line: str) -> str:
    return f"#!/bin/sh\n{line}\n"


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("exit 0", OK),
        ("exit 99", OK),
        ("echo no thanks; exit 1", "511 5.7.1 no thanks"),
        ("echo 553 5.1.8 who are you >&2; exit 3", "553 5.1.8 who are you"),
        ("echo 450 later; exit 1", "450 4.7.1 later"),
        ("exit 1", "571 5.7.1 refused by the recipient's filter"),
        ('echo "$3 $2 $SENDER $RECIPIENT"; exit 1',
         "511 5.7.1 alice@example.org 127.0.0.1 alice@example.org ann@example.test"),
        ("id -un; exit 1", f"511 5.7.1 {WHO}"),
        ("cat; env | grep -c DATABASE; exit 1", "511 5.7.1 0"),
        # What is broken refuses nobody for good.
        ("kill -9 $$", LATER),
        ("exit 75", LATER),
        ("exec /nonexistent", LATER),
        ("ulimit -v 50000; exec /nonexistent", LATER),
    ],
)  # fmt: skip
def test_what_rcptfilter_says(client, put, line, reply):
    put("rcptfilter", says(line))
    assert rcpts(client, ANN, BOB) == [reply, OK]


def test_what_is_no_program_or_not_allowed(client, put):
    put("rcptfilter", says("exit 1"), mode=0o600)
    assert rcpts(client, ANN) == [LATER]
    Mailbox.objects.update(own_filter=False)
    assert rcpts(client, ANN) == [OK]


def test_who_hangs_is_ended_and_the_client_comes_again(client, put, monkeypatch):
    monkeypatch.setattr(mailbox_program, "RCPT_SECONDS", 0.5)
    put("rcptfilter", says("sleep 1000"))
    assert rcpts(client, ANN) == [LATER]


def test_a_huge_output_is_cut(client, put):
    put("rcptfilter", says("yes 'not you' | head -c 10000000; exit 1"))
    (reply,) = rcpts(client, ANN)
    assert reply.startswith("511-5.7.1 not you\n511-5.7.1 not you\n")
    assert len(reply) < 2000


def test_the_content_is_judged_after_99_and_not_after_0(client, put):
    put("rcptfilter", says('[ "$3" = alice@example.org ] && exit 99; exit 0'))
    put("smtpfilter", NO_PILLS)
    rcpts(client, ANN)
    assert data(client, SPAM) == ["550-5.7.1 no pills,\n550 5.7.1 thank you"]
    rcpts(client, ANN)
    assert data(client, NEWS)[0].startswith("250 ")
    rcpts(client, ANN, sender="bob@example.org")
    assert data(client, SPAM)[0].startswith("250 ")
    assert queued() == [ANN, ANN]


def test_a_content_that_cannot_be_judged_now_waits_for_all(client, put):
    put("smtpfilter", says("kill -9 $$"))
    rcpts(client, ANN, sender="bob@example.org")
    assert data(client, NEWS) == [LATER]
    rcpts(client, ANN, BOB)
    assert data(client, NEWS)[0].startswith("450 4.7.1 ")
    rcpts(client, ANN, BOB, mail="PRDR")
    assert [each[:3] for each in data(client, NEWS)] == ["353", "451", "250", "250"]
    assert queued() == [BOB]


def test_the_classes_of_programs_are_kept_apart(client, put):
    put("rcptfilter", says("exit 0"))
    script(BOB, 'require "reject"; reject "no";')
    ann, bob = rcpts(client, ANN, BOB)
    assert (ann, bob[:9]) == (OK, "412 4.5.3")


def test_lists_and_scripts_come_first(client, put):
    put("rcptfilter", says("echo program; exit 1"))
    lists(ANN, "allow", "alice@example.org")
    assert rcpts(client, ANN) == [OK]
    assert rcpts(client, ANN, sender="bob@example.org") == ["511 5.7.1 program"]
    script(ANN, 'require "reject"; reject "script";', "recipient")
    assert rcpts(client, ANN, sender="bob@example.org") == ["550 5.7.1 script"]


def test_the_script_is_chosen_by_the_extension(client, put):
    Domain.objects.filter(name="example.test").update(separators="+")
    put("rcptfilter-lists-default", says('echo "lists $EXT"; exit 1'))
    put("rcptfilter-default", says("echo default; exit 1"))
    put("rcptfilter", says("exit 0"))
    assert rcpts(client, "ann+lists-x.y@example.test", "ann+a@example.test", ANN) == [
        "511 5.7.1 lists lists-x.y",
        "511 5.7.1 default",
        OK,
    ]


def test_too_many_at_once_come_again(client, put, monkeypatch):
    monkeypatch.setattr(mailbox_program, "TURN_WITHIN", 0.01)
    put("rcptfilter", says("exit 0"))
    turns = [mailbox_program._turns.acquire() for _ in range(mailbox_program.AT_ONCE)]
    try:
        assert rcpts(client, ANN) == [LATER]
    finally:
        mailbox_program._turns.release(len(turns))
    assert rcpts(client, ANN) == [OK]
