"""A database that is away means 4xx: never 250, never 5xx, and it heals by itself."""

from django.db import connection

from mta.models import Message
from tests.ingress.conftest import PASSWORD
from tests.support.smtp_session import database_away, disconnect_others
from tests.support.threads import beside, waiting_for_locks
from tests.support.waiting import eventually

MAIL = "MAIL FROM:<a@b.example>"
TROUBLE = "451 4.3.0 temporary trouble here, try again later"


def test_every_stage_says_try_again_and_works_afterwards(ingress):
    with ingress.connect() as waiting, ingress.connect() as late, ingress.connect("smtps") as user:
        waiting.commands(MAIL, "RCPT TO:<bob@example.test>", "DATA")
        late.command(MAIL)
        with database_away():
            waiting.send("Subject: x\r\n\r\n.\r\n")
            assert waiting.reply() == TROUBLE
            assert waiting.command(MAIL) == TROUBLE
            assert late.command("RCPT TO:<ann@example.test>") == TROUBLE
            assert user.login("bob@example.test", PASSWORD) == TROUBLE
            with ingress.connect() as new:
                assert new.command(MAIL) == TROUBLE
        assert not Message.objects.exists()
        assert waiting.mail("bob@example.test").startswith("250")
        assert late.command("RCPT TO:<ann@example.test>").startswith("250")
        assert user.login("bob@example.test", PASSWORD).startswith("235")
    assert Message.objects.count() == 1


def test_connections_that_the_database_cut_are_made_anew(ingress):
    with ingress.connect() as client:
        assert client.mail("bob@example.test").startswith("250")
        disconnect_others()
        assert client.command(MAIL).startswith("250")
        assert client.command("RCPT TO:<bob@example.test>").startswith("250")
        client.command("DATA")
        # The commit finds its connection cut only now; whether it was written is not known.
        first = client.command(".")
        assert first == TROUBLE or first.startswith("250")
        assert client.mail("bob@example.test").startswith("250")


def test_nothing_is_said_before_the_commit(ingress):
    """While the queue is locked the client waits; it hears 250 when the row is there."""
    with ingress.connect() as client, ingress.connect() as other:
        with beside(lock_contents):
            client.commands(MAIL, "RCPT TO:<bob@example.test>", "DATA")
            client.send(".\r\n")
            assert eventually(waiting_for_locks)
            assert other.command("NOOP").startswith("250")
            assert client.is_silent()
        assert client.reply().startswith("250")
    assert Message.objects.count() == 1


def lock_contents() -> None:
    with connection.cursor() as cursor:
        cursor.execute("LOCK TABLE mta_content IN ACCESS EXCLUSIVE MODE")
