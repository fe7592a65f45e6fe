"""maildrop of Debian as the program that judges a user's mail within the session."""

import os
from collections.abc import Iterator

import pytest

from mta import system_accounts
from mta.models import Domain, Mailbox, Settings
from mta.system_users import SystemUser
from tests.ingress.conftest import ingress, tls, town  # noqa: F401 (fixtures)
from tests.ingress.test_mailbox_filter import NEWS, SPAM, data, rcpts
from tests.peers.test_delivery_agents import agents, ann  # noqa: F401 (fixtures)
from tests.support.accounts import User
from tests.support.smtp_session import Client

HOST = "mail.example.test"
OK = "250 2.1.5 Recipient Ok"
RCPT_SCRIPT = """\
if ($3 =~ /@example\\.org$/)
{
  EXITCODE=99
  exit
}
import SENDER
if ($SENDER eq "friend@elsewhere.example")
{
  exit
}
echo "553 5.1.8 $3 at $2 is not known here"
EXITCODE=1
"""
CONTENT_SCRIPT = """\
if (/^Subject:.*pills/)
{
  echo "no pills"
  EXITCODE=1
  exit
}
"""


@pytest.fixture
def mail(agents, ann: User, ingress, monkeypatch) -> Iterator[Client]:  # noqa: F811
    """A session of a host whose user ann may judge mail by maildrop."""
    folder = ann.home / ".mailfilters"
    folder.mkdir(0o700)
    os.chown(folder, ann.uid, ann.gid)
    user = SystemUser("ann", ann.uid, str(ann.home))
    monkeypatch.setattr(system_accounts, "find_user", {"ann": user}.get)
    Domain.objects.create(name=HOST)
    Settings.objects.update(
        systemaccounts=True, accountfilters="ann", maildropfilter=f"{agents}/maildrop"
    )
    with ingress.connect() as client:
        yield client


def test_a_user_s_maildrop_scripts_judge_at_both_moments(mail, ann):  # noqa: F811
    ann.write(".mailfilters/rcptfilter", RCPT_SCRIPT)
    ann.write(".mailfilters/smtpfilter", CONTENT_SCRIPT)
    assert rcpts(mail, f"ann@{HOST}", sender="eve@spam.example") == [
        "553 5.1.8 eve@spam.example at 127.0.0.1 is not known here"
    ]
    assert rcpts(mail, f"ann@{HOST}") == [OK]
    assert data(mail, SPAM) == ["550 5.7.1 no pills"]
    rcpts(mail, f"ann@{HOST}")
    assert data(mail, NEWS)[0].startswith("250 ")
    # Taken with 0 by the first script, so that the second is not asked.
    assert rcpts(mail, f"ann@{HOST}", sender="friend@elsewhere.example") == [OK]
    assert data(mail, SPAM)[0].startswith("250 ")


def test_a_script_that_is_broken_refuses_nobody_for_good(mail, ann):  # noqa: F811
    ann.write(".mailfilters/rcptfilter", "if (\n")
    assert rcpts(mail, f"ann@{HOST}")[0].startswith("451 4.3.0")


def test_who_is_not_named_has_no_filters(mail, ann):  # noqa: F811
    ann.write(".mailfilters/rcptfilter", "echo no\nEXITCODE=1\n")
    Settings.objects.update(accountfilters="bob una")
    assert rcpts(mail, f"ann@{HOST}") == [OK]


def test_a_virtual_mailbox_has_them_beside_its_maildir(mail, agents, ann, settings):  # noqa: F811
    # The name service of these tests is in ann's home.
    agent = f'#!/bin/sh\nHOME={ann.home} exec {agents}/maildrop "$@"\n'
    run = ann.write("maildrop", agent, mode=0o755)
    folder = settings.ENVIRONMENT.mail_root / "example.test" / "ann" / ".mailfilters"
    folder.mkdir(parents=True, exist_ok=True)
    Mailbox.objects.filter(local_part="ann").update(own_filter=True)
    Settings.objects.update(aliasuser="ann", maildropfilter=str(run))
    script = folder / "rcptfilter"
    script.write_text('echo "not from $3"\nEXITCODE=1\n')
    script.chmod(0o600)
    try:
        assert rcpts(mail, "ann@example.test") == ["511 5.7.1 not from alice@example.org"]
    finally:
        script.unlink()
