"""A script of a mailbox as its owner sees it: mail by SMTP, folders and answers on the disk."""

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
