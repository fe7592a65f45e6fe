"""The spine as users see it: mail in by SMTP, out to Maildirs and other hosts, and the commands."""

import email
import email.policy
import json
import re
import smtplib
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.letters import Letter, body_of, letter, relayed, report_to, status_fields
from tests.support.appliance import ROOT, Appliance, Refused, transfer, wait_for
from tests.support.sink import Sink

pytestmark = pytest.mark.e2e

ANNA, BERT, CARL = "anna@example.test", "bert@example.test", "carl@example.test"
PASSWORD = "correct horse"
STRANGER = "stranger@elsewhere.example"
GREYLISTED = "451 4.7.1 greylisted, come back later"


@pytest.fixture(scope="module")
def site(appliance: Appliance) -> Appliance:
    """The appliance with a domain and three people."""
    appliance.manage("domain", "add", "example.test")
    for address in (ANNA, BERT, CARL):
        appliance.manage("mailbox", "add", address, "--password", PASSWORD)
    return appliance


@pytest.fixture(scope="module")
def sink(site: Appliance) -> Iterator[Sink]:
    """The other host: where mail for far.example goes. It greylists and refuses some."""
    replies = {
        "RCPT nobody@far.example": "550 5.1.1 no such person",
        "RCPT later@far.example": [GREYLISTED, "250 2.1.5 ok now"],
        "RCPT held@far.example": [GREYLISTED, "250 2.1.5 ok now"],
        "RCPT never@far.example": GREYLISTED,
    }
    with Sink(replies) as sink:
        site.manage("route", "set", "far.example", f"127.0.0.1:{sink.port}")
        yield sink


def send_as_anna(
    site: Appliance, to: str, mail: Letter, *options: str, notify: str = "NOTIFY=FAILURE"
) -> str:
    with site.submission(ANNA, PASSWORD) as client:
        return transfer(client, ANNA, [to], mail.content, options, [notify])


def queued(site: Appliance, queue_id: str) -> dict[str, Any]:
    """The only recipient of a message that is in the queue, {} when it is not there."""
    for message in site.mailq():
        if message["queue_id"] == queue_id:
            (recipient,) = message["recipients"]
            return recipient
    return {}


def deferred(site: Appliance, to: str, mail: Letter) -> str:
    """The queue id of a message that the other host has put off."""
    queue_id = send_as_anna(site, to, mail)
    wait_for(lambda: queued(site, queue_id).get("last_reply"), f"{queue_id} to be deferred")
    return queue_id


@contextmanager
def refused(code: int, status: str) -> Iterator[None]:
    with pytest.raises(smtplib.SMTPResponseException) as caught:
        yield
    assert caught.value.smtp_code == code
    assert caught.value.smtp_error.decode().startswith(f"{status} ")


# --- in: who is taken, and who is not -----------------------------------------------------------


def test_to_a_mailbox(site: Appliance) -> None:
    mail = letter()
    site.send(STRANGER, [BERT], mail.content)
    (stored,) = site.maildir(BERT).wait_for_messages(1, mail.token)
    message = email.message_from_bytes(stored, policy=email.policy.default)
    assert message["Return-Path"] == f"<{STRANGER}>"
    assert "by mail.example.test" in message["Received"]
    assert body_of(stored) == b"Hello\n"


def test_to_a_list_and_one_of_its_members(site: Appliance) -> None:
    site.manage("alias", "set", "team@example.test", ANNA, BERT, CARL)
    mail = letter()
    site.send(STRANGER, ["team@example.test", BERT], mail.content)
    for member in (ANNA, BERT, CARL):
        site.maildir(member).wait_for_messages(1, mail.token)
    wait_for(lambda: not site.mailq(), "an empty queue")
    assert len(site.maildir(BERT).messages(mail.token)) == 1


def test_an_unknown_user_is_refused(site: Appliance) -> None:
    with refused(550, "5.1.1"):
        site.send(STRANGER, ["nobody@example.test"], letter().content)


def test_relaying_is_refused_to_strangers(site: Appliance, sink: Sink) -> None:
    with refused(550, "5.7.1"):
        site.send(ANNA, ["friend@far.example"], letter().content)


def test_submission_is_for_users(site: Appliance) -> None:
    with site.submission() as client, refused(530, "5.7.0"):
        transfer(client, ANNA, [BERT], letter().content)


def test_a_wrong_password_opens_nothing(site: Appliance) -> None:
    with site.submission() as client:
        with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
            client.login(ANNA, "wrong")
        assert caught.value.smtp_code == 535


def test_auth_is_not_offered_in_clear(site: Appliance) -> None:
    with site.smtp() as client:
        assert not client.has_extn("auth")
        assert client.docmd("AUTH PLAIN AGFubmEAeA==")[0] == 538


def test_a_user_relays_to_another_host(site: Appliance, sink: Sink) -> None:
    mail = letter()
    send_as_anna(site, "friend@far.example", mail)
    message = relayed(sink, mail)
    assert (message.reverse_path, message.recipients) == (ANNA, ["friend@far.example"])


def test_a_user_signs_in_on_the_tls_port(site: Appliance, sink: Sink) -> None:
    mail = letter()
    with site.smtps() as client:
        client.login(ANNA, PASSWORD)
        transfer(client, ANNA, ["friend@far.example"], mail.content)
    relayed(sink, mail)


def test_policy_is_in_force_for_the_next_mail(site: Appliance, sink: Sink) -> None:
    """One open session sees a new mailbox and a granted, then taken back, right to relay."""
    with site.smtp() as client:
        with refused(550, "5.1.1"):
            transfer(client, STRANGER, ["dora@example.test"], letter().content)
        client.rset()
        site.manage("mailbox", "add", "dora@example.test", "--password", PASSWORD)
        mail = letter()
        transfer(client, STRANGER, ["dora@example.test"], mail.content)
        site.maildir("dora@example.test").wait_for_messages(1, mail.token)

        site.manage("access", "set", "127.0.0.1", "allow", "relay")
        mail = letter()
        transfer(client, ANNA, ["friend@far.example"], mail.content)
        relayed(sink, mail)
        site.manage("access", "remove", "127.0.0.1")
        with refused(550, "5.7.1"):
            transfer(client, ANNA, ["friend@far.example"], letter().content)


# --- what is in a message stays as it is --------------------------------------------------------


def test_five_megabytes(site: Appliance) -> None:
    line = bytes(range(33, 109)) + b"\r\n"
    mail = letter(line * (5 * 1024 * 1024 // len(line) + 1))
    site.send(STRANGER, [BERT], mail.content, f"SIZE={len(mail.content)}")
    (stored,) = site.maildir(BERT).wait_for_messages(1, mail.token)
    assert body_of(stored) == body_of(mail.content.replace(b"\r\n", b"\n"))


def test_dots_and_a_pipelined_session(site: Appliance) -> None:
    """The whole dialogue in one packet, with dots where they would hurt."""
    mail = letter(b".\r\n..\r\n.dot\r\n...\r\nend.\r\n")
    stuffed = mail.content.replace(b"\r\n.", b"\r\n..")
    commands = [
        b"EHLO client.example.org",
        f"MAIL FROM:<{STRANGER}>".encode(),
        f"RCPT TO:<{BERT}>".encode(),
        b"DATA",
    ]
    with socket.create_connection(("127.0.0.1", site.ports["SMTP"]), timeout=60) as connection:
        replies = connection.makefile("rb")
        assert replies.readline().startswith(b"220 mail.example.test ")
        connection.sendall(b"".join(command + b"\r\n" for command in commands))
        while not (line := replies.readline()).startswith(b"354"):
            assert line.startswith(b"250"), line
        connection.sendall(stuffed + b".\r\nQUIT\r\n")
        assert replies.readline().startswith(b"250 2.0.0 ")
        assert replies.readline().startswith(b"221 ")
    (stored,) = site.maildir(BERT).wait_for_messages(1, mail.token)
    assert body_of(stored) == b".\n..\n.dot\n...\nend.\n"


def test_eight_bit_text(site: Appliance) -> None:
    text = "Grüße aus Köln\r\n".encode("latin-1")
    with refused(550, "5.6.0"):
        site.send(STRANGER, [BERT], letter(text).content, "BODY=8BITMIME")
    mime = [
        b"MIME-Version: 1.0",
        b"Content-Type: text/plain; charset=iso-8859-1",
        b"Content-Transfer-Encoding: 8bit",
    ]
    mail = letter(text, *mime)
    site.send(STRANGER, [BERT], mail.content, "BODY=8BITMIME")
    (stored,) = site.maildir(BERT).wait_for_messages(1, mail.token)
    assert body_of(stored) == "Grüße aus Köln\n".encode("latin-1")


def test_international_address_and_header(site: Appliance) -> None:
    site.manage("mailbox", "add", "jörg@example.test", "--password", PASSWORD)
    subject = "Subject: Grüße aus Köln".encode()
    mail = letter(b"Hello\r\n", subject)
    with site.smtp() as client:
        with refused(553, "5.6.7"):
            client.command_encoding = "utf-8"
            transfer(client, "renée@elsewhere.example", [BERT], mail.content)
        client.rset()
        transfer(
            client, "renée@elsewhere.example", ["jörg@example.test"], mail.content, ["SMTPUTF8"]
        )
    (stored,) = site.maildir("jörg@example.test").wait_for_messages(1, mail.token)
    assert subject in stored
    assert "Return-Path: <renée@elsewhere.example>".encode() in stored


def test_a_message_with_bare_line_feeds_is_refused_whole(site: Appliance) -> None:
    mail = letter(b"one\n.\nMAIL FROM:<evil@elsewhere.example>\r\n")
    with refused(550, "5.6.11"):
        site.send(STRANGER, [BERT], mail.content)


# --- reports ------------------------------------------------------------------------------------


def test_a_report_of_success(site: Appliance) -> None:
    mail = letter()
    send_as_anna(site, BERT, mail, "ENVID=my-id", "RET=HDRS", notify="NOTIFY=SUCCESS")
    report = report_to(site, ANNA, mail)
    message, recipient = status_fields(report)
    assert message["Reporting-MTA"] == "dns; mail.example.test"
    assert message["Original-Envelope-Id"] == "my-id"
    assert recipient["Action"] == "delivered"
    assert recipient["Status"].startswith("2.")
    assert recipient["Final-Recipient"] == f"rfc822; {BERT}"


def test_a_report_of_failure(site: Appliance, sink: Sink) -> None:
    mail = letter()
    send_as_anna(site, "nobody@far.example", mail)
    report = report_to(site, ANNA, mail)
    _, recipient = status_fields(report)
    assert recipient["Action"] == "failed"
    assert recipient["Status"] == "5.1.1"
    assert recipient["Final-Recipient"] == "rfc822; nobody@far.example"
    assert recipient["Diagnostic-Code"].startswith("smtp; 550 5.1.1 no such person")
    assert "127.0.0.1" in recipient["Remote-MTA"]
    assert report["Return-Path"] == "<>"
    assert report["Auto-Submitted"] == "auto-replied"


def test_a_domain_that_does_not_exist(site: Appliance) -> None:
    """The name server of COURIERWEB_DNS is asked, and its word is final."""
    mail = letter()
    send_as_anna(site, "someone@nowhere.example", mail)
    _, recipient = status_fields(report_to(site, ANNA, mail))
    assert recipient["Status"].startswith("5.1.")


def test_a_domain_that_takes_no_mail(site: Appliance) -> None:
    mail = letter()
    send_as_anna(site, "someone@null-mx.example", mail)
    _, recipient = status_fields(report_to(site, ANNA, mail))
    assert recipient["Status"] == "5.1.10"


def test_a_name_server_in_trouble_delays(site: Appliance) -> None:
    queue_id = deferred(site, "someone@broken.example", letter())
    assert queued(site, queue_id)["last_reply"].startswith("4")
    site.manage("cancelmsg", queue_id)


# --- the queue and its commands -----------------------------------------------------------------


def test_deferred_mail_waits_and_is_flushed(site: Appliance, sink: Sink) -> None:
    mail = letter()
    queue_id = deferred(site, "later@far.example", mail)
    recipient = queued(site, queue_id)
    assert recipient["state"] == "queued"
    assert recipient["attempts"] == 1
    assert recipient["next_attempt"] > site.trace(queue_id)["created_at"]
    assert GREYLISTED in recipient["last_reply"]
    site.manage("flush", queue_id)
    relayed(sink, mail)
    wait_for(lambda: not queued(site, queue_id), f"{queue_id} to leave the queue")


def test_held_mail_stays_until_it_is_released(site: Appliance, sink: Sink) -> None:
    mail = letter()
    queue_id = deferred(site, "held@far.example", mail)
    site.manage("hold", queue_id)
    assert queued(site, queue_id)["state"] == "held"
    site.manage("flush")
    witness = letter()
    send_as_anna(site, "friend@far.example", witness)
    relayed(sink, witness)
    assert queued(site, queue_id)["state"] == "held"
    site.manage("release", queue_id)
    site.manage("flush", queue_id)
    relayed(sink, mail)


def test_cancelled_mail_is_returned_with_the_reason(site: Appliance, sink: Sink) -> None:
    mail = letter()
    queue_id = deferred(site, "never@far.example", mail)
    site.manage("cancelmsg", queue_id, "written", "in", "anger")
    report = report_to(site, ANNA, mail)
    _, recipient = status_fields(report)
    assert recipient["Action"] == "failed"
    assert "written in anger" in recipient["Diagnostic-Code"]
    with pytest.raises(Refused):
        site.manage("cancelmsg", queue_id)


def test_the_trace_of_a_message(site: Appliance) -> None:
    queue_id = site.send(STRANGER, [BERT], letter().content)
    wait_for(lambda: not queued(site, queue_id), f"{queue_id} to be delivered")
    message = site.trace(queue_id)
    assert message["reverse_path"] == STRANGER
    assert message["recipients"][0]["state"] == "delivered"
    kinds = [event["kind"] for event in message["events"]]
    assert kinds[0] == "session"
    steps = [kinds.index(kind) for kind in ("connect", "mail", "rcpt", "queued", "sent")]
    assert steps == sorted(steps)
    times = [event["at"] for event in message["events"]]
    assert times == sorted(times)


def test_the_trace_of_what_never_was(site: Appliance) -> None:
    with pytest.raises(Refused, match="there is no message"):
        site.trace("0" * 13)


def test_a_local_program_sends(site: Appliance, sink: Sink) -> None:
    mail = letter()
    options = ["-f", ANNA, "--", BERT, "friend@far.example"]
    site.manage("sendmail", *options, text=mail.content.replace(b"\r\n", b"\n"))
    site.maildir(BERT).wait_for_messages(1, mail.token)
    assert relayed(sink, mail).reverse_path == ANNA


def test_any_program_of_the_host_sends(site: Appliance) -> None:
    mail = letter()
    subprocess.run(
        [str(ROOT / "deploy" / "sendmail"), "-oi", BERT],
        input=mail.content.replace(b"\r\n", b"\n"),
        cwd="/",
        env={"COURIERWEB_HOME": str(site.home)},
        check=True,
        timeout=60,
    )
    site.maildir(BERT).wait_for_messages(1, mail.token)


def test_the_queue_by_its_old_name(site: Appliance) -> None:
    listing = subprocess.run(
        [str(ROOT / "deploy" / "mailq"), "-sort", "-batch"],
        capture_output=True,
        text=True,
        cwd="/",
        env={"COURIERWEB_HOME": str(site.home), "PATH": "/usr/bin:/bin"},
        check=True,
        timeout=60,
    )
    assert listing.stdout.splitlines()[-1].startswith("messages: ")


def test_a_listing_of_everything_that_was_set(site: Appliance) -> None:
    listed = json.loads(site.manage("mailbox", "list", "--json"))
    assert {ANNA, BERT, CARL} <= {row["address"] for row in listed}
    status = json.loads(site.manage("status", "--json"))
    assert all(part["up"] for part in status["parts"])


# --- what a browser and a monitor see -----------------------------------------------------------


def test_health_metrics_and_the_door(site: Appliance) -> None:
    status, body = site.get("/healthz")
    assert (status, json.loads(body)["down"]) == (200, [])
    status, body = site.get("/metrics")
    assert status == 200
    assert re.search(r'^courierweb_part_up\{part="ingress"\} 1', body, re.MULTILINE)
    status, body = site.get("/")
    assert status == 200
    assert 'type="password"' in body


def test_the_start_has_tested_itself(site: Appliance) -> None:
    assert re.search(r"self-test: ok, .* in \d+ ms", site.output)
    assert site.admin_password not in site.output
