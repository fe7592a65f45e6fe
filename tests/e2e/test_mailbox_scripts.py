"""A script of a mailbox as its owner sees it: mail by SMTP, folders and answers on the disk."""

import json
import smtplib

import pytest

from tests.e2e.letters import letter
from tests.support.appliance import Appliance, Maildir, transfer, wait_for

pytestmark = pytest.mark.e2e

RITA, SAUL = "rita@rules.example", "saul@rules.example"
PASSWORD = "correct horse"
SCRIPT = """
require ["fileinto", "vacation"];
# rule:[Lists]
if header :contains "subject" "list" { fileinto "Lists/news"; stop; }
vacation :days 1 "I am away.";
"""
SAVE = (
    "from mta import mailbox_scripts as s; from mta.models import Mailbox;"
    f"m = Mailbox.objects.get(local_part='rita'); s.save(m, 'main', '''{SCRIPT}''', saved_by='x');"
    "s.activate(m, 'main')"
)


def test_a_script_files_and_answers(appliance: Appliance) -> None:
    appliance.manage("domain", "add", "rules.example")
    for address in (RITA, SAUL):
        appliance.manage("mailbox", "add", address, "--password", PASSWORD)
    appliance.manage("shell", "-c", SAVE)
    listed = letter(b"Hi\r\n", b"Subject: the list")
    personal = letter(b"Hi\r\n", b"To: " + RITA.encode())
    with appliance.submission(SAUL, PASSWORD) as client:
        queue_id = transfer(client, SAUL, [RITA], listed.content)
        transfer(client, SAUL, [RITA], personal.content)
    home = appliance.maildir(RITA)
    Maildir(home.path / ".Lists.news").wait_for_messages(1, listed.token)
    home.wait_for_messages(1, personal.token)
    (answer,) = appliance.maildir(SAUL).wait_for_messages(1, b"I am away.")
    assert b"Return-Path: <>\n" in answer
    assert b"In-Reply-To: <" + personal.token in answer
    wait_for(
        lambda: "folder Lists/news" in str(appliance.trace(queue_id)), "the timeline to tell of it"
    )


TARA, URSULA = "tara@actions.example", "ursula@actions.example"
# One rule for each action; the subject says which.
ACTIONS = """
require ["fileinto", "copy", "reject", "ereject", "imap4flags", "editheader", "duplicate",
         "enotify"];
if header "subject" "keep" { keep; }
elsif header "subject" "discard" { discard; }
elsif header "subject" "file" { fileinto "Filed"; }
elsif header "subject" "copy" { fileinto :copy "Copied"; }
elsif header "subject" "redirect" { redirect "ursula@actions.example"; }
elsif header "subject" "redirect copy" { redirect :copy "ursula@actions.example"; }
elsif header "subject" "outside" { redirect "somebody@elsewhere.example"; }
elsif header "subject" "reject" { reject "Not for me."; }
elsif header "subject" "ereject" { ereject "Never for me."; }
elsif header "subject" "flag" { setflag ["\\\\Seen", "\\\\Flagged"]; fileinto "Flagged"; }
elsif header "subject" "edit" { addheader "X-Edited" "yes"; keep; }
elsif header "subject" "duplicate" { if duplicate { discard; } }
elsif header "subject" "notify" { notify :message "You have mail" "mailto:ursula@actions.example"; }
"""
SAVE_ACTIONS = (
    "import sys; from mta import mailbox_scripts as s; from mta.models import Mailbox;"
    "m = Mailbox.objects.get(local_part='tara'); s.save(m, 'main', sys.stdin.read(), saved_by='x');"
    "s.activate(m, 'main')"
)


@pytest.fixture(scope="module")
def tara(appliance: Appliance) -> Maildir:
    """Her mailbox, with a rule for each action."""
    appliance.manage("domain", "add", "actions.example")
    for address in (TARA, URSULA):
        appliance.manage("mailbox", "add", address, "--password", PASSWORD)
    appliance.manage("shell", "-c", SAVE_ACTIONS, text=ACTIONS)
    return appliance.maildir(TARA)


def send(appliance: Appliance, subject: str, *fields: bytes) -> tuple[str, bytes]:
    """From Ursula; gives the queue id and the words by which the message is known."""
    mail = letter(b"Hi\r\n", b"Subject: " + subject.encode(), *fields)
    # The first Subject of the letter would be another one.
    content = mail.content.replace(b"Subject: Test\r\n", b"")
    with appliance.submission(URSULA, PASSWORD) as client:
        return transfer(client, URSULA, [TARA], content), mail.token


def folder(mailbox: Maildir, name: str) -> Maildir:
    return Maildir(mailbox.path / f".{name}")


def wait_for_end(appliance: Appliance, queue_id: str) -> None:
    def is_delivered() -> bool:
        (recipient,) = appliance.trace(queue_id)["recipients"]
        return recipient["state"] == "delivered"

    wait_for(is_delivered, f"the end of {queue_id}")


def test_keep(appliance: Appliance, tara: Maildir) -> None:
    tara.wait_for_messages(1, send(appliance, "keep")[1])


def test_discard(appliance: Appliance, tara: Maildir) -> None:
    queue_id, token = send(appliance, "discard")
    wait_for_end(appliance, queue_id)
    assert "discarded by" in json.dumps(appliance.trace(queue_id))
    assert not [
        path for path in tara.path.rglob("*") if path.is_file() and token in path.read_bytes()
    ]


def test_file_and_copy(appliance: Appliance, tara: Maildir) -> None:
    filed, copied = send(appliance, "file")[1], send(appliance, "copy")[1]
    folder(tara, "Filed").wait_for_messages(1, filed)
    folder(tara, "Copied").wait_for_messages(1, copied)
    tara.wait_for_messages(1, copied)
    assert not tara.messages(filed)


def test_redirect(appliance: Appliance, tara: Maildir) -> None:
    away, both = send(appliance, "redirect")[1], send(appliance, "redirect copy")[1]
    ursula = appliance.maildir(URSULA)
    ursula.wait_for_messages(1, away)
    ursula.wait_for_messages(1, both)
    tara.wait_for_messages(1, both)
    assert not tara.messages(away)


def test_a_redirect_elsewhere_is_kept_until_somebody_there_agrees(
    appliance: Appliance, tara: Maildir
) -> None:
    tara.wait_for_messages(1, send(appliance, "outside")[1])


@pytest.mark.parametrize(
    ("subject", "text"), [("reject", b"Not for me."), ("ereject", b"Never for me.")]
)
def test_a_refusal_is_a_refusal_and_no_bounce(
    appliance: Appliance, tara: Maildir, subject: str, text: bytes
) -> None:
    mail = b"From: %s\r\nSubject: %s\r\n\r\nHi\r\n" % (URSULA.encode(), subject.encode())
    with (
        appliance.submission(URSULA, PASSWORD) as client,
        pytest.raises(smtplib.SMTPDataError) as refused,
    ):
        client.sendmail(URSULA, [TARA], mail)
    assert refused.value.smtp_code == 550
    assert text in refused.value.smtp_error


def test_flags(appliance: Appliance, tara: Maildir) -> None:
    token = send(appliance, "flag")[1]
    folder(tara, "Flagged").wait_for_messages(1, token)
    (path,) = folder(tara, "Flagged").files()
    assert (path.parent.name, path.name.rpartition(":")[2]) == ("cur", "2,FS")


def test_edited_headers(appliance: Appliance, tara: Maildir) -> None:
    (message,) = tara.wait_for_messages(1, send(appliance, "edit")[1])
    assert b"\nX-Edited: yes\n" in message


def test_a_duplicate(appliance: Appliance, tara: Maildir) -> None:
    same = b"Message-ID: <the-same@test>"
    mail = b"\r\n".join([b"From: " + URSULA.encode(), b"Subject: duplicate", same, b"", b"Hi", b""])
    for _ in range(2):
        with appliance.submission(URSULA, PASSWORD) as client:
            wait_for_end(appliance, transfer(client, URSULA, [TARA], mail))
    assert len(tara.messages(same)) == 1


def test_a_notice(appliance: Appliance, tara: Maildir) -> None:
    tara.wait_for_messages(1, send(appliance, "notify")[1])
    appliance.maildir(URSULA).wait_for_messages(1, b"You have mail")
