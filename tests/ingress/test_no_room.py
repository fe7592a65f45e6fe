"""A disk that is nearly full and a database that takes no changes: 452, and it heals by itself."""

import pytest
from django.db import connection

from mta.models import Message
from tests.support.smtp_session import disconnect_others

MAIL = "MAIL FROM:<a@b.example>"
NO_ROOM = "452 4.3.1 no room to store mail, try again later"


def test_mail_is_not_taken_while_the_disk_is_nearly_full(ingress, change):
    with ingress.connect() as client:
        change(minfree=1 << 60)
        assert client.command(MAIL) == NO_ROOM
        change(minfree=0)
        assert client.mail("bob@example.test").startswith("250")


@pytest.fixture
def read_only():
    """The database lets new sessions read only, until the test is over."""
    name = connection.ops.quote_name(connection.settings_dict["NAME"])

    def switch(*, on: bool) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = off")
            cursor.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {on}")

    yield switch
    switch(on=False)


def test_a_read_only_database_takes_no_mail_and_loses_none(ingress, read_only):
    with ingress.connect() as client:
        read_only(on=True)
        disconnect_others()
        assert client.mail("bob@example.test") == NO_ROOM
        read_only(on=False)
        disconnect_others()
        client.command("RSET")
        assert client.mail("bob@example.test").startswith("250")
    assert Message.objects.count() == 1
