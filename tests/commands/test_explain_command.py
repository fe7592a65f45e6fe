"""explain, as an administrator types it."""

import io
import json
import sys

import pytest
from django.core.management.base import CommandError

from mta import runtime, system_accounts
from mta.models import Alias, Domain, Mailbox, Message, Refusal, Settings
from mta.system_users import SystemUser
from tests.support.smtp_session import disconnect_others

SESSION = ("explain", "--client", "203.0.113.9", "--from", "a@b.example")


@pytest.fixture(autouse=True)
def town(transactional_db, fresh_directory):
    here = Domain.objects.create(name="example.test")
    Mailbox.objects.create(domain=here, local_part="bob")
    Alias.objects.create(name="sales@example.test", targets=["bob@example.test"])
    # No DNS is asked about the sender here.
    row = Settings.load()
    row.checkdns = False
    row.save()
    yield
    disconnect_others()


def test_the_text_tells_each_rule_the_reply_and_the_way(run):
    told = run(*SESSION, "--to", "sales@example.test")
    for part in ("CONNECT 203.0.113.9", "MAIL a@b.example", "stands for bob@example.test"):
        assert part in told
    assert "* alias" in told
    assert "Accepted: 250 2.1.5" in told
    assert "bob@example.test: local" in told


def test_a_user_of_the_system_and_a_program(run, monkeypatch):
    user = SystemUser("una", 1000, "/nonexistent")
    monkeypatch.setattr(system_accounts, "find_user", {"una": user}.get)
    here = runtime.hostname()
    Domain.objects.create(name=here)
    Alias.objects.create(name="robot@example.test", targets=["|/bin/robot"])
    Settings.objects.update(systemaccounts=True)
    told = run(*SESSION, "--to", f"una@{here}")
    assert "a user of this system" in told
    assert "Accepted: 250 2.1.5" in told
    told = run(*SESSION, "--to", f"una-x@{here}")
    assert "Refused: 550 5.1.1" in told
    assert "robot@example.test stands for |/bin/robot" in run(
        *SESSION, "--to", "robot@example.test"
    )


def test_a_refusal_is_an_answer_and_no_error(run):
    told = run(*SESSION, "--to", "x@elsewhere.example")
    assert "Refused: 550 5.7.1" in told
    assert "* denied" in told
    assert not Refusal.objects.exists()


def test_json_is_for_programs(run):
    told = run(*SESSION, "--to", "bob@example.test", "--helo", "mx.b.example", "--tls", "--json")
    answer = json.loads(told)
    assert answer["verdict"] == "accept"
    assert answer["request"]["helo"] == "mx.b.example"
    assert answer["request"]["tls"]
    assert answer["recipients"][0]["transport"] == "local"


def test_a_message_is_judged_too(run, tmp_path):
    letter = tmp_path / "letter"
    letter.write_bytes(b"Received: x\n" * 60 + b"Subject: x\n\nx\n")
    told = run(*SESSION, "--to", "bob@example.test", "--message", str(letter))
    assert "CONTENT" in told
    assert "* hops" in told
    assert not Message.objects.exists()


def test_a_message_comes_by_a_pipe(run, monkeypatch):
    pipe = io.TextIOWrapper(io.BytesIO(b"From: a@b.example\nSubject: x\n\nx\n"))
    monkeypatch.setattr(sys, "stdin", pipe)
    assert "CONTENT" in run(*SESSION, "--to", "bob@example.test", "--message", "-")


def test_the_null_sender_is_typed_as_on_the_wire(run):
    told = run("explain", "--client", "203.0.113.9", "--from", "<>", "--to", "bob@example.test")
    assert "MAIL <>: accepted" in told


def test_submission_without_a_user(run):
    told = run(*SESSION, "--listener", "submission", "--to", "bob@example.test")
    assert "Refused: 530" in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--client", "example", "--from", "", "--to", "a@b.c"), "not an IP address"),
        (("--client", "192.0.2.1", "--from", ""), "--to"),
        (("--client", "192.0.2.1", "--to", "a@b.c"), "--from"),
        (
            ("--client", "192.0.2.1", "--from", "", "--to", "a@b.c", "--listener", "imap"),
            "invalid choice",
        ),
        (
            ("--client", "192.0.2.1", "--from", "", "--to", "a@b.c", "--message", "/nowhere"),
            "No such file",
        ),
    ],
)
def test_mistakes_are_one_sentence(run, arguments, words):
    with pytest.raises(CommandError, match=words):
        run("explain", *arguments)


def test_mail_that_is_sent_on_says_as_from_whom(run, listed):
    Settings.objects.update(srs=True)
    Alias.objects.create(name="out@example.test", targets=["pal@elsewhere.example"])
    (end,) = listed(*SESSION, "--to", "out@example.test")["recipients"]
    assert end["return_path"].startswith("SRS0=")
    assert f"as from {end['return_path']}" in run(*SESSION, "--to", "out@example.test")
