"""Limits, live changes, TLS, AUTH and hostile clients, through a real session."""

import base64
import socket

import pytest

from mta.models import AccessRule, Alias, Domain, Mailbox, Message, Refusal, Settings
from tests.ingress.conftest import PASSWORD
from tests.support.smtp_session import Hangup
from tests.support.waiting import eventually

MAIL = "MAIL FROM:<a@b.example>"


def test_what_is_pipelined_behind_starttls_is_forgotten(ingress):
    with ingress.connect() as client:
        client.send(f"STARTTLS\r\nEHLO injected.example\r\n{MAIL}\r\n")
        assert client.reply().startswith("220 ")
        client.wrap()
        assert client.command(MAIL) == "503 5.5.1 say HELO or EHLO first"


def test_a_transaction_does_not_outlive_starttls(ingress):
    with ingress.connect() as client:
        client.command(MAIL)
        client.starttls()
        client.command("EHLO client.example.org")
        assert client.command("RCPT TO:<bob@example.test>").startswith("503")


def test_a_handshake_that_fails_ends_the_session(ingress):
    with ingress.connect() as client:
        client.command("STARTTLS")
        client.send("this is no TLS\r\n" * 20)
        with pytest.raises(Hangup):
            client.reply()
    with ingress.connect() as client:
        assert client.mail("bob@example.test").startswith("250")


def test_auth_login_with_initial_response_and_wrong_passwords(ingress):
    with ingress.connect("smtps") as client:
        assert client.login("bob@example.test", "wrong") == "535 5.7.8 authentication failed"
        assert client.login("nobody@example.test", PASSWORD).startswith("535")
        assert client.command(MAIL).startswith("530")
        assert client.login("dora@example.test", PASSWORD).startswith("535")
        assert client.reply() == "421 4.7.0 too many errors"
        assert client.at_end()
    assert eventually(lambda: Refusal.objects.count() == 4)
    assert not Refusal.objects.filter(trace__icontains="wrong").exists()
    assert set(Refusal.objects.values_list("stage", "rule")) == {
        ("auth", "credentials"),
        ("mail", "authentication_required"),
    }


@pytest.mark.parametrize(
    "response",
    ["AAAA", "Ym9iAGJvYg==", "/////w==", "QUFB\x00", "=", "A" * 12_000, "A" * 20_000],
)
def test_a_malformed_auth_response_costs_only_an_error(ingress, response):
    with ingress.connect("smtps") as client:
        assert client.command("AUTH PLAIN").startswith("334")
        reply = client.command(response)
        assert reply[:3] in ("501", "535")
        assert client.login("bob@example.test", PASSWORD).startswith("235")


def test_nobody_signs_in_as_another(ingress):
    with ingress.connect("smtps") as client:
        response = base64.b64encode(f"ann@example.test\0bob@example.test\0{PASSWORD}".encode())
        assert client.command(f"AUTH PLAIN {response.decode()}").startswith("535")


def test_auth_in_clear_on_loopback_only_when_allowed(ingress, change):
    with ingress.connect() as client:
        assert "AUTH" not in client.command("EHLO local.example")
        assert client.login("bob@example.test", PASSWORD).startswith("538 5.7.11")
        change(auth_in_clear_on_loopback=True)
        assert client.login("bob@example.test", PASSWORD).startswith("235")


def test_a_new_password_is_in_force_at_once(ingress):
    with ingress.connect("smtps") as client:
        assert client.login("bob@example.test", PASSWORD).startswith("235")
    bob = Mailbox.objects.get(local_part="bob")
    bob.set_password("another")
    bob.save()
    with ingress.connect("smtps") as client:
        assert client.login("bob@example.test", PASSWORD).startswith("535")
        assert client.login("bob@example.test", "another").startswith("235")


def test_a_change_is_in_force_for_the_next_mail_of_an_open_session(ingress, town):
    with ingress.connect() as client:
        assert client.mail("eve@example.test").startswith("550 5.1.1")
        client.command("RSET")
        Mailbox.objects.create(domain=town, local_part="eve")
        before = Message.objects.count()
        assert client.mail("eve@example.test").startswith("250")
        assert Message.objects.count() == before + 1
        Mailbox.objects.filter(local_part="eve").delete()
        assert client.mail("eve@example.test").startswith("550 5.1.1")


def test_a_change_under_an_open_transaction_does_not_disturb_it(ingress, change):
    """The policy of its MAIL judges a transaction, whatever comes in between."""
    with ingress.connect() as client, ingress.connect() as other:
        client.command(MAIL)
        client.command("RCPT TO:<bob@example.test>")
        change(sizelimit=2000)
        other.command(MAIL)
        assert client.command("DATA").startswith("354")
        client.send(b"Subject: x\r\n\r\n" + b"x" * 990 + b"\r\n" + b"y" * 990 + b"\r\n.\r\n")
        assert client.reply().startswith("250")
        assert other.command("RCPT TO:<bob@example.test>").startswith("250")
        assert other.command("DATA").startswith("354")
        other.send(b"x" * 998 + b"\r\n" + b"y" * 998 + b"\r\n" + b"z" * 998 + b"\r\n.\r\n")
        assert other.reply().startswith("552 5.3.4")


def test_a_denied_network_gets_no_session(ingress):
    with ingress.connect() as client:
        AccessRule.objects.create(prefix="127.0.0.0/8", action="deny", text="go away")
        assert client.command(MAIL) == "554 5.7.1 go away"
    with ingress.connect(greet=False) as client:
        assert client.reply() == "554 5.7.1 go away"
        assert client.at_end()
    assert set(eventually(lambda: _refusals(2))) == {
        ("connect", "denied_network"),
        ("mail", "denied_network"),
    }


def test_a_deny_rule_is_in_force_for_the_next_connection(ingress):
    AccessRule.objects.create(prefix="127.0.0.1/32", action="deny")
    with ingress.connect(greet=False) as client:
        assert client.reply().startswith("554 5.7.1")


def _refusals(count: int) -> list[tuple[str, str]]:
    found = list(Refusal.objects.values_list("stage", "rule"))
    return found if len(found) == count else []


def test_too_many_connections_altogether(ingress, change):
    change(maxdaemons=1)
    with ingress.connect() as client:
        client.command(MAIL)
        with ingress.connect(greet=False) as second:
            assert second.reply() == "421 4.3.2 too busy, try later"
            assert second.at_end()
    assert eventually(lambda: ingress.house.connections.total == 0)
    with ingress.connect() as client:
        assert client.command("NOOP").startswith("250")


def test_who_never_begins_tls_counts_as_a_connection(ingress):
    """On the port where TLS begins at once there is no session before the handshake."""
    AccessRule.objects.create(prefix="127.0.0.0/8", maxperip=2)
    address = ("127.0.0.1", ingress.port("smtps"))
    silent = [socket.create_connection(address) for _ in range(2)]

    def gets_a_session() -> bool:
        try:
            with ingress.connect("smtps") as client:
                return client.command("NOOP").startswith("250")
        except (OSError, Hangup):
            return False

    assert not gets_a_session()
    silent.pop().close()
    assert eventually(gets_a_session)
    silent.pop().close()


def test_recipients_beyond_the_limit_wait_for_another_transaction(ingress, change):
    """However many they are: the client goes on with DATA for those that were taken."""
    change(maxrcpts=2)
    with ingress.connect() as client:
        client.command(MAIL)
        replies = client.commands(*["RCPT TO:<bob@example.test>"] * 60)
        assert [reply[:9] for reply in replies] == ["250 2.1.5"] * 2 + ["452 4.5.3"] * 58
        assert client.command("DATA").startswith("354")
        assert client.command(".").startswith("250")


def test_size_limit(ingress, change):
    change(sizelimit=2000)
    with ingress.connect() as client:
        assert client.command(MAIL + " SIZE=2001").startswith("552 5.3.4")
        assert client.command(MAIL + " SIZE=2000").startswith("250")
        client.command("RCPT TO:<bob@example.test>")
        client.command("DATA")
        client.send((b"RSET" * 240 + b"\r\n") * 50 + b".\r\n")
        assert client.reply().startswith("552 5.3.4")
        assert "SIZE 2000" in client.command("EHLO client.example.org")
        exact = b"x" * 998 + b"\r\n" + b"y" * 998 + b"\r\n"
        assert client.mail("bob@example.test", content=exact).startswith("250")
        assert client.mail("bob@example.test", content=b"z" + exact).startswith("552")
    assert ingress.house.budget.used == 0


def test_errors_end_a_session(ingress):
    with ingress.connect() as client:
        for _ in range(9):
            assert client.command("GET / HTTP/1.1").startswith("500")
        assert client.command("Host: x").startswith("500")
        assert client.reply() == "421 4.7.0 too many errors"
        assert client.at_end()


def test_commands_that_do_not_end_in_crlf_are_not_carried_out(ingress):
    with ingress.connect() as client:
        client.send(f"{MAIL}\n")
        assert client.reply() == "500 5.5.2 lines must end in CRLF"
        client.send("RSET\r\r\n")
        assert client.reply() == "500 5.5.2 lines must end in CRLF"
        client.send("NOOP " + "x" * 5000 + "\r\n")
        assert client.reply() == "500 5.5.2 line too long"
        client.send(b"MAIL FROM:<\xff@b.example>\r\n")
        assert client.reply() == "501 5.5.2 the command is not valid UTF-8"
        assert client.command(MAIL).startswith("250")


def test_a_storm_of_harmless_commands(ingress):
    with ingress.connect() as client:
        client.send("NOOP\r\nRSET\r\n" * 2000)
        assert {client.reply() for _ in range(4000)} == {"250 2.0.0 Ok"}


def test_garbage_and_hangups_leave_nothing_behind(ingress):
    for garbage in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"",
        b"\x00" * 9000,
        b"SSH-2.0-x\r\n",
    ):
        with ingress.connect(greet=False) as client:
            client.send(garbage)
    with ingress.connect() as client:
        client.commands(MAIL, "RCPT TO:<bob@example.test>", "DATA")
        client.send(b"Subject: half\r\n\r\nno end")
    assert eventually(lambda: ingress.house.connections.total == 0)
    assert eventually(lambda: ingress.house.budget.used == 0)
    assert not Message.objects.exists()


def test_a_client_that_says_everything_and_closes_its_side_is_heard(ingress):
    with ingress.connect() as client:
        client.send(
            f"{MAIL}\r\nRCPT TO:<bob@example.test>\r\nDATA\r\nSubject: x\r\n\r\n.\r\nQUIT\r\n"
        )
        client.sock.shutdown(socket.SHUT_WR)
        assert [client.reply()[:3] for _ in range(5)] == ["250", "250", "354", "250", "221"]


def test_the_postmaster_of_our_own_name(ingress, town):
    with ingress.connect() as client:
        Domain.objects.create(name="mail.example.test")
        Alias.objects.create(name="postmaster@mail.example.test", targets=["bob@example.test"])
        assert client.mail("Postmaster").startswith("250")


def test_settings_may_be_missing(ingress):
    """A database restored without them has the defaults."""
    Settings.objects.all().delete()
    with ingress.connect() as client:
        assert client.mail("bob@example.test", sender="").startswith("250")
