"""Users of the system, and programs of aliases, as recipients."""

import pytest
from django.db import DatabaseError

from mta import runtime, system_accounts
from mta.models import Alias, Domain, Mailbox, Message, Recipient, Settings, State
from mta.protocol import envelope
from mta.protocol.envelope import Envelope, Source
from mta.system_users import SystemUser

HOST = "mail.example.test"


@pytest.fixture(autouse=True)
def users(town, monkeypatch, tmp_path) -> dict[str, SystemUser]:
    """The host has the users root and una, who has instructions for una-lists-*."""
    (tmp_path / ".courier-lists-default").touch()
    found = {
        "root": SystemUser("root", 0, str(tmp_path)),
        "una": SystemUser("una", 1000, str(tmp_path)),
    }
    monkeypatch.setattr(system_accounts, "find_user", found.get)
    Domain.objects.create(name=HOST)
    Settings.objects.update(systemaccounts=True)
    return found


def queued() -> list[tuple[str, str, str]]:
    rows = Recipient.objects.filter(state=State.QUEUED).order_by("id")
    return list(rows.values_list("address", "transport", "nexthop"))


@pytest.mark.parametrize("address", [f"una@{HOST}", f"Una@{HOST}", f"una-lists-x@{HOST}"])
def test_mail_for_a_user_is_queued_for_him(ingress, address):
    with ingress.connect() as client:
        assert client.mail(address).startswith("250")
    assert queued() == [(address.lower(), "account", "una")]


@pytest.mark.parametrize(
    "path",
    [
        *(f"nobody@{HOST}", f"root@{HOST}", f"una-else@{HOST}", f"una!x@{HOST}"),
        *(f'".una"@{HOST}', f'"una/x"@{HOST}', f'"una/../../etc/passwd"@{HOST}'),
        *(f"una-lists-{'x' * 50}!@{HOST}", f"a-b-c-d-e-f-g@{HOST}", "una@example.test"),
        *(f'".xalias/una@{HOST}"@{HOST}', f'".xalias/una"@{HOST}'),
    ],
)
def test_who_is_nobody_is_refused(ingress, path):
    with ingress.connect() as client:
        client.command("MAIL FROM:<a@b.example>")
        assert client.command(f"RCPT TO:<{path}>").startswith("550 5.1.1")
    assert queued() == []


def test_a_user_who_leaves_and_one_who_comes(ingress, users, monkeypatch):
    monkeypatch.setattr(system_accounts, "CACHE_SECONDS", 0.0)
    with ingress.connect() as client:
        client.command("MAIL FROM:<a@b.example>")
        assert client.command(f"RCPT TO:<una@{HOST}>").startswith("250")
        assert client.command(f"RCPT TO:<new@{HOST}>").startswith("550")
        users["new"] = SystemUser("new", 1001, "/nonexistent")
        del users["una"]
        assert client.command(f"RCPT TO:<una@{HOST}>").startswith("550")
        assert client.command(f"RCPT TO:<new@{HOST}>").startswith("250")


def test_a_name_service_that_is_away_is_a_temporary_answer(ingress, monkeypatch):
    def away(name: str) -> SystemUser | None:
        raise OSError(11, "the name service does not answer")

    monkeypatch.setattr(system_accounts, "find_user", away)
    with ingress.connect() as client:
        client.command("MAIL FROM:<a@b.example>")
        assert client.command(f"RCPT TO:<una@{HOST}>").startswith("451")
        assert client.command("RCPT TO:<bob@example.test>").startswith("250")


def test_programs_of_an_alias_are_one_recipient_under_its_address(ingress):
    Alias.objects.create(
        name="robot@example.test", targets=["|/bin/robot", "/srv/robot", "bob@example.test"]
    )
    with ingress.connect() as client:
        assert client.mail("Robot@example.test", "robot+x@example.test").startswith("250")
    assert queued() == [
        ("robot@example.test", "account", "alias:robot@example.test"),
        ("bob@example.test", "local", ""),
    ]


def test_an_alias_that_names_itself_keeps_the_mailbox(ingress):
    domain = Domain.objects.get(name="example.test")
    Mailbox.objects.create(domain=domain, local_part="vera")
    Alias.objects.create(name="vera@example.test", targets=["|/bin/vacation", "vera@example.test"])
    with ingress.connect() as client:
        assert client.mail("vera@example.test").startswith("250")
    assert queued() == [
        (".xalias/vera@example.test", "account", "alias:vera@example.test"),
        ("vera@example.test", "local", ""),
    ]


def test_a_program_for_a_whole_domain(ingress):
    Domain.objects.create(name="whole.example")
    Alias.objects.create(name="@whole.example", targets=["|/bin/sort-out"])
    with ingress.connect() as client:
        client.command("MAIL FROM:<a@b.example>")
        assert client.command('RCPT TO:<".xalias/x"@whole.example>').startswith("550 5.1.1")
        client.command("RSET")
        assert client.mail("any@whole.example").startswith("250")
    assert queued() == [("any@whole.example", "account", "alias:@whole.example")]


def test_what_is_made_here_waits_for_the_name_service(town, monkeypatch):
    def away(name: str) -> SystemUser | None:
        raise OSError(11, "the name service does not answer")

    monkeypatch.setattr(system_accounts, "find_user", away)
    runtime.directory.cache_clear()
    made = Envelope("a@b.example", (envelope.Recipient(f"una@{HOST}"),), Source.LOCAL)
    with pytest.raises(DatabaseError, match="cannot be looked up now"):
        runtime.enqueue(made, b"Subject: x\r\n\r\n")
    assert not Message.objects.exists()
