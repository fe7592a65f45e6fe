"""Mail for programs: real ones, run as somebody else."""

import os
import pwd
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from mta.protocol.program import Program
from mta.transports.base import DeliveryContext, DeliveryRequest, Outcome, QueuedMessage, Result
from mta.transports.pipe import Pipe
from tests.transports import contract

USER = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
CONTENT = b"Subject: x\r\n\r\nHello\r\n"


def shell(text: str, *arguments: str, **fields) -> Program:
    """A program that does what a shell's text says."""
    words = ("/bin/sh", "-c", text, "sh", *arguments)
    return Program("archive", words, **{"user": USER, "timeout": 60.0, **fields})


def queued(*addresses: str, **fields) -> QueuedMessage:
    return replace(contract.message(1, addresses or ("ann@example.com",), CONTENT), **fields)


def delivery(program: Program | None, *messages: QueuedMessage, **context) -> Iterator[Outcome]:
    request = DeliveryRequest("pipe", "pipe:archive", messages or (queued(),))
    return Pipe().deliver(
        request,
        DeliveryContext(
            "mail.example.test",
            mail_root=None,  # type: ignore[arg-type]
            content=lambda message_id: CONTENT,
            program={"archive": program}.get,
            **context,
        ),
    )


def outcome(program: Program | None, *messages: QueuedMessage, **context) -> Outcome:
    (only,) = delivery(program, *messages, **context)
    contract.check_outcome(only)
    return only


def test_the_program_gets_the_message_and_its_arguments(tmp_path):
    got = outcome(shell('cat; echo "$0 $1 $2"', "${recipient}", "${sender}"))
    assert got.result is Result.SENT
    said = "Return-Path: <sender@example.net> Delivered-To: ann@example.com Subject: x Hello"
    assert got.reply.text == f"{said} sh ann@example.com sender@example.net"


def test_it_runs_as_its_user_without_our_environment(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret")
    said = outcome(shell("id -un; env")).reply.text
    assert said.split()[0] == USER
    assert "secret" not in said


@pytest.mark.parametrize(
    ("code", "result", "status"),
    [
        (0, Result.SENT, "2.0.0"),
        (99, Result.SENT, "2.0.0"),
        (64, Result.BOUNCED, "5.3.5"),
        (67, Result.BOUNCED, "5.1.1"),
        (69, Result.BOUNCED, "5.3.0"),
        (77, Result.BOUNCED, "5.7.1"),
        (75, Result.DEFERRED, "4.3.0"),
        (1, Result.DEFERRED, "4.3.0"),
        (126, Result.DEFERRED, "4.3.0"),
    ],
)
def test_what_its_exit_code_means(code, result, status):
    got = outcome(shell(f"exit {code}"))
    assert (got.result, got.reply.status) == (result, status)


def test_what_it_prints_tells_why():
    got = outcome(shell("echo '5.2.1 closed since May'; exit 69"))
    assert str(got.reply) == "550 5.2.1 closed since May"
    # A status of another class is only text.
    assert outcome(shell("echo '4.2.1 later'; exit 69")).reply.status == "5.3.0"


def test_what_it_prints_is_bounded_and_harmless():
    text = outcome(shell("printf '\\033[2J\\377'; head -c 1000000 /dev/zero; exit 75")).reply.text
    assert len(text) <= 4095
    assert text.isprintable()


@pytest.mark.parametrize("text", ["kill -9 $$", "kill -SEGV $$"])
def test_a_crash_loses_no_mail(text):
    got = outcome(shell(text))
    assert got.result is Result.DEFERRED
    assert "signal" in got.reply.text


def test_one_that_does_not_end(tmp_path):
    got = outcome(shell("echo begun; sleep 1000", timeout=0.5))
    assert got.result is Result.DEFERRED
    assert got.reply.text == "the program did not end within 0.5 seconds: begun"


def test_one_that_takes_too_much_memory():
    got = outcome(shell('x=$(head -c 200000000 /dev/zero | tr "\\0" x)', memory=64 << 20))
    assert got.result is Result.DEFERRED


def test_one_that_takes_too_much_of_the_processor():
    began = time.process_time()
    got = outcome(shell("while :; do :; done", cpu=1))
    assert got.result is Result.DEFERRED
    assert "signal" in got.reply.text
    assert time.process_time() - began < 30


def test_a_program_that_is_not_there():
    program = Program("archive", ("/nowhere/program",), user=USER)
    got = outcome(program)
    assert got.result is Result.DEFERRED
    assert "not found" in got.reply.text


@pytest.mark.parametrize(
    ("program", "why"),
    [
        (None, "the program 'archive' is gone"),
        (shell("exit 0", enabled=False), "the program 'archive' is switched off"),
        (shell("exit 0", user="no-such-user"), "there is no system account 'no-such-user'"),
    ],
)
def test_a_program_that_cannot_be_run_keeps_its_mail(program, why):
    got = outcome(program)
    assert got.result is Result.DEFERRED
    assert got.unreachable
    assert got.reply.text == why


def test_never_as_root():
    got = outcome(shell("exit 0", user="root"))
    assert got.result is Result.DEFERRED
    assert "root" in got.reply.text


def test_one_run_for_each_recipient_or_one_for_all():
    message = queued("a@example.com", "b@example.com")
    each = shell('echo "$@"; [ "$1" != b@example.com ] || exit 67', "${recipient}")
    results = {got.recipient_id: (got.result, got.reply.text) for got in delivery(each, message)}
    assert results == {
        101: (Result.SENT, "a@example.com"),
        102: (Result.BOUNCED, "b@example.com"),
    }
    together = shell('echo "$@"', "${recipient}", separately=False)
    assert {got.reply.text for got in delivery(together, message)} == {
        "a@example.com b@example.com"
    }


def test_an_address_that_would_be_an_option_bounces_before_it_is_run(tmp_path):
    mark = tmp_path / "mark"
    got = outcome(shell(f"touch {mark}", "${recipient}"), queued("-rf@example.com"))
    assert (got.result, got.reply.status) == (Result.BOUNCED, "5.1.3")
    assert not mark.exists()


def test_the_attempt_is_on_record_before_the_program_runs(tmp_path):
    noted: list[list[int]] = []
    messages = [queued("a@example.com", "b@example.com")]
    running = delivery(
        shell("exit 0"), *messages, committing=lambda recipients: noted.append(list(recipients))
    )
    assert [next(running).recipient_id, noted] == [101, [[101]]]
    list(running)
    assert noted == [[101], [102]]


def test_a_worker_that_ends_finishes_what_it_runs():
    stops = iter([False, False, True])
    done = list(
        delivery(
            shell("exit 0"), queued("a@example.com", "b@example.com"), stopping=lambda: next(stops)
        )
    )
    assert [got.recipient_id for got in done] == [101]


def test_verp_is_told_to_a_program_of_one_recipient():
    got = outcome(shell('echo "$1"', "${sender}"), queued(verp=True))
    assert got.reply.text == "sender-ann=example.com@example.net"
