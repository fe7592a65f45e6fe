"""The owner of a mailbox at the portal, and mail in their Maildir."""

import dataclasses

import pytest
from django.conf import settings
from django.test import Client

from mta import mailbox_scripts
from mta.models import Domain, Mailbox

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def quick_passwords(settings):
    """A hash that takes its time on purpose would take that of the tests."""
    quick = "django.contrib.auth.hashers.MD5PasswordHasher"
    settings.PASSWORD_HASHERS = [quick, *settings.PASSWORD_HASHERS]


@pytest.fixture
def bob(db) -> Mailbox:
    domain = Domain.objects.create(name="example.test")
    mailbox = Mailbox(domain=domain, local_part="bob")
    mailbox.set_password(PASSWORD)
    mailbox.save()
    return mailbox


@pytest.fixture
def owner(bob, maildir) -> Client:
    """Bob's browser, signed in the way he does it."""
    client = Client()
    page = client.post("/mail/sign-in/", {"address": "bob@example.test", "password": PASSWORD})
    assert page.status_code == 302
    return client


@pytest.fixture
def maildir(tmp_path, monkeypatch):
    """Bob's Maildir below a home of this test."""
    monkeypatch.setattr(
        settings, "ENVIRONMENT", dataclasses.replace(settings.ENVIRONMENT, home=tmp_path)
    )
    home = tmp_path / "mail" / "example.test" / "bob" / "Maildir"
    for name in ("new", "cur", "tmp"):
        (home / name).mkdir(parents=True)
    return home


@pytest.fixture
def store(maildir):
    """Put a message into the Maildir, the last one put is the newest."""
    count = 0

    def store(subject="Hello", sender="alice@example.org", folder="", headers="", body="Text\n"):
        nonlocal count
        count += 1
        directory = maildir / folder / "new" if folder else maildir / "new"
        directory.mkdir(parents=True, exist_ok=True)
        text = (
            f"Return-Path: <{sender}>\nDelivered-To: bob@example.test\n"
            f"From: Somebody <{sender}>\nTo: bob@example.test\nSubject: {subject}\n"
            f"{headers}\n{body}"
        )
        path = directory / f"{1_790_000_000 + count}.Qabc{count}R{count}.mail.example.test,S=1"
        path.write_text(text)
        return path

    return store


@pytest.fixture
def script(bob):
    """Make this Bob's active script, as a mail program does by ManageSieve."""

    def script(text, name="rules"):
        mailbox_scripts.save(bob, name, text, saved_by="ManageSieve")
        mailbox_scripts.activate(bob, name)

    return script


@pytest.fixture
def text_now(bob):
    """The script that judges Bob's mail."""

    def text_now():
        found = mailbox_scripts.active(bob)
        return found.text if found else None

    return text_now
