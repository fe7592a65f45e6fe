"""What the scheduler, routing, addresses and reports promise, on the running appliance."""

import json
import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.e2e.letters import Letter, letter, relayed, report_to, status_fields
from tests.support.appliance import Appliance, transfer, wait_for
from tests.support.sink import ALL_EXTENSIONS, Sink

pytestmark = pytest.mark.e2e

DOMAIN = "delivery.test"
OLGA, PAUL = f"olga@{DOMAIN}", f"paul@{DOMAIN}"
PASSWORD = "correct horse"
STRANGER = "stranger@elsewhere.example"
LATER = "451 4.7.1 come back later"


@pytest.fixture(scope="module")
def site(appliance: Appliance) -> Appliance:
    """The appliance with a domain, two people and a limit on their mailboxes."""
    appliance.manage("domain", "add", DOMAIN)
    for address in (OLGA, PAUL):
        appliance.manage("mailbox", "add", address, "--password", PASSWORD)
    return appliance


@pytest.fixture(scope="module")
def sink(site: Appliance) -> Iterator[Sink]:
    """The other host: for later.example it always says later, "nobody" it does not know."""
    replies = {"RCPT nobody@there.example": "550 5.1.1 no such person"}
    replies |= {f"RCPT {name}@later.example": LATER for name in ("one", "two", "three")}
    with Sink(replies) as sink:
        for domain in ("there.example", "later.example"):
            site.manage("route", "set", domain, f"127.0.0.1:{sink.port}")
        yield sink


def send(site: Appliance, to: str, mail: Letter, *options: str, rcpt: tuple[str, ...] = ()) -> str:
    """From Olga, signed in; gives the queue id."""
    with site.submission(OLGA, PASSWORD) as client:
        return transfer(client, OLGA, [to], mail.content, options, rcpt)


def recipient(site: Appliance, queue_id: str) -> dict[str, Any]:
    (found,) = site.trace(queue_id)["recipients"]
    return found


def when(text: str) -> datetime:
    return datetime.fromisoformat(text)


@contextmanager
def setting(site: Appliance, name: str, value: str, back: str) -> Iterator[None]:
    site.manage("setting", "set", name, value)
    try:
        yield
    finally:
        site.manage("setting", "set", name, back)


# --- the scheduler ------------------------------------------------------------------------------


def test_verbs_on_all_that_match(site: Appliance, sink: Sink) -> None:
    ids = [send(site, f"{name}@later.example", letter()) for name in ("one", "two")]
    match = ("--match", "recipient=@later.example")
    wait_for(
        lambda: [q for q in ids if LATER in recipient(site, q)["last_reply"]] == ids,
        "two deferrals",
    )
    assert "2 recipients would be held" in site.manage("hold", *match, "--dry-run")
    assert "2 recipients" in site.manage("hold", *match)
    assert {recipient(site, queue_id)["state"] for queue_id in ids} == {"held"}
    assert "2 recipients" in site.manage("release", *match, "--match", "state=held")
    # Another host for one, an end for the other.
    with Sink() as elsewhere:
        site.manage("reroute", f"[127.0.0.1]:{elsewhere.port}", ids[0])
        wait_for(lambda: elsewhere.messages, "the rerouted message")
    site.manage("expiry", "0s", ids[1])
    wait_for(lambda: recipient(site, ids[1])["state"] == "expired", "the other one to be given up")


def test_a_paused_destination(site: Appliance, sink: Sink) -> None:
    nexthop = f"relay:[127.0.0.1]:{sink.port}"
    site.manage("destination", "pause", nexthop)
    mail = letter()
    queue_id = send(site, "friend@there.example", mail)
    witness = letter()
    send(site, PAUL, witness)
    site.maildir(PAUL).wait_for_messages(1, witness.token)
    assert recipient(site, queue_id)["attempts"] == 0
    site.manage("destination", "resume", nexthop)
    relayed(sink, mail)


def test_the_times_that_are_told_are_kept(site: Appliance, sink: Sink) -> None:
    times = ("--retryalpha", "2s", "--retrybeta", "2", "--retrygamma", "1h", "--queuetime", "1d")
    site.manage("retryoverride", "set", "domain", "later.example", *times)
    queue_id = send(site, "three@later.example", letter())

    def deferrals() -> list[datetime]:
        events = site.trace(queue_id)["events"]
        return [when(event["at"]) for event in events if event["kind"] == "deferred"]

    first, second = wait_for(
        lambda: found if len(found := deferrals()) == 2 else [], "two attempts"
    )
    assert (second - first).total_seconds() >= 1.9
    next_attempt = when(recipient(site, queue_id)["next_attempt"])
    assert (next_attempt - second).total_seconds() > 3500
    (forecast,) = json.loads(site.manage("retrytimes", queue_id, "--json"))
    assert when(forecast["times"][0]) == next_attempt
    assert [when(b) - when(a) for a, b in pairwise(forecast["times"][:3])] == [
        timedelta(seconds=2),
        timedelta(hours=4),
    ]
    site.manage("cancelmsg", queue_id)
    site.manage("retryoverride", "remove", "domain", "later.example")


def test_a_delay_is_told_and_then_the_end(site: Appliance, sink: Sink) -> None:
    times = ("--retryalpha", "1s", "--retrybeta", "9", "--warntime", "1s", "--queuetime", "4s")
    site.manage("retryoverride", "set", "domain", "later.example", *times)
    mail = letter()
    send(site, "one@later.example", mail, rcpt=("NOTIFY=DELAY,FAILURE",))
    reports = wait_for(
        lambda: [m for m in site.maildir(OLGA).messages(mail.token) if b"Action: failed" in m],
        "the report of the end",
    )
    assert LATER.encode() in reports[0]
    assert any(b"Action: delayed" in m for m in site.maildir(OLGA).messages(mail.token))
    site.manage("retryoverride", "remove", "domain", "later.example")


def test_a_limit_on_mailboxes_lets_mail_through(site: Appliance) -> None:
    site.manage("limit", "set", "mailbox", PAUL, "--simultaneous", "1")
    mails = [letter() for _ in range(3)]
    for mail in mails:
        site.send(STRANGER, [PAUL, OLGA], mail.content)
    for mail in mails:
        site.maildir(PAUL).wait_for_messages(1, mail.token)
        site.maildir(OLGA).wait_for_messages(1, mail.token)
    site.manage("limit", "remove", "mailbox", PAUL)


def test_without_room_intake_says_452_and_delivery_waits(site: Appliance, sink: Sink) -> None:
    mail = letter()
    site.manage("destination", "pause", f"relay:[127.0.0.1]:{sink.port}")
    queue_id = send(site, "friend@there.example", mail)
    with setting(site, "minfree", "900000G", "100M"):
        with pytest.raises(smtplib.SMTPResponseException) as refused:
            site.send(STRANGER, [PAUL], letter().content)
        assert refused.value.smtp_code == 452
        site.manage("destination", "resume", f"relay:[127.0.0.1]:{sink.port}")
        assert recipient(site, queue_id)["state"] == "queued"
    site.manage("flush", queue_id)
    relayed(sink, mail)


# --- routing and addresses ----------------------------------------------------------------------


def test_a_smarthost_that_wants_a_password_and_a_route_of_one_sender(site: Appliance) -> None:
    with Sink(extensions=(*ALL_EXTENSIONS, "AUTH PLAIN"), users={"ann": "secret"}) as smart:
        key = ("*", f"127.0.0.1:{smart.port}", "--sender", OLGA)
        site.manage(
            "route", "set", *key, "--security", "NONE", "--user", "ann", "--password-stdin",
            text="secret\n",
        )  # fmt: skip
        mail = letter()
        send(site, "anybody@nowhere-at-all.example", mail)
        assert relayed(smart, mail).session.user == "ann"
        assert "secret" not in site.manage("route", "list", "--json")
        site.manage("route", "remove", "*", "--sender", OLGA)


def test_what_its_mail_hosts_do_not_take_goes_to_the_backup_relay(site: Appliance) -> None:
    site.manage("retryoverride", "set", "domain", "broken.example", "--warntime", "1s")
    with Sink() as backup, setting(site, "backuprelay", f"127.0.0.1:{backup.port}", ""):
        mail = letter()
        send(site, "someone@broken.example", mail)

        def taken_over() -> bool:
            # Else the next attempt is some minutes away.
            site.manage("flush", "--match", "recipient=someone@broken.example")
            return any(mail.token in each.content for each in backup.messages)

        wait_for(taken_over, "the backup relay to get the message")
    site.manage("retryoverride", "remove", "domain", "broken.example")


def test_an_alias_that_forwards_rewrites_the_return_path(site: Appliance, sink: Sink) -> None:
    site.manage("alias", "set", f"away@{DOMAIN}", "friend@there.example")
    with setting(site, "srs", "on", "off"):
        mail = letter()
        site.send(STRANGER, [f"away@{DOMAIN}"], mail.content)
        path = relayed(sink, mail).reverse_path
    assert path.startswith("SRS0=")
    assert "elsewhere.example=stranger@" in path


def test_extensions_virtual_domains_and_where_they_end(site: Appliance) -> None:
    site.manage("domain", "add", "virtual-delivery.test")
    site.manage("alias", "set", "@virtual-delivery.test", f"paul-*@{DOMAIN}")
    for address in (f"paul+lists@{DOMAIN}", "info@virtual-delivery.test"):
        mail = letter()
        site.send(STRANGER, [address], mail.content)
        site.maildir(PAUL).wait_for_messages(1, mail.token)
        assert PAUL in site.manage("aliaslookup", address)


# --- reports ------------------------------------------------------------------------------------


def test_a_report_keeps_what_the_sender_asked_for(site: Appliance, sink: Sink) -> None:
    site.manage("reporttext", "set", "subject_failed", "Back to you")
    mail = letter(b"the body of it\r\n")
    wishes = ("NOTIFY=FAILURE", "ORCPT=rfc822;first+40there.example")
    send(site, "nobody@there.example", mail, "RET=HDRS", "ENVID=number-7", rcpt=wishes)
    report = report_to(site, OLGA, mail)
    message, failed = status_fields(report)
    assert report["Subject"] == "Back to you"
    assert message["Original-Envelope-Id"] == "number-7"
    assert failed["Original-Recipient"] == "rfc822; first@there.example"
    assert b"the body of it" not in report.as_bytes()
    site.manage("reporttext", "remove", "subject_failed")


def test_who_wants_no_report_gets_none_and_the_postmaster_gets_double_bounces(
    site: Appliance, sink: Sink
) -> None:
    silent, twice = letter(), letter()
    send(site, "nobody@there.example", silent, rcpt=("NOTIFY=NEVER",))
    with setting(site, "dsn_postmaster", PAUL, ""):
        site.manage("sendmail", "-f", "", "nobody@there.example", text=twice.content)
        report = report_to(site, PAUL, twice)
    assert report["Subject"].startswith("A message without a return address")
    assert report["Return-Path"] == "<#@[]>"
    assert site.maildir(OLGA).messages(silent.token) == []


def test_verp_mail_tells_by_its_bounce_whom_it_did_not_reach(site: Appliance, sink: Sink) -> None:
    mail = letter()
    send(site, "friend@there.example", mail, "VERP")
    path = relayed(sink, mail).reverse_path
    assert path == f"olga-friend=there.example@{DOMAIN}"
    bounce = letter()
    site.send("", [path], bounce.content)
    (returned,) = site.maildir(OLGA).wait_for_messages(1, bounce.token)
    assert path.encode() in returned
