"""Whatever is sent, through the real door: what was taken is well-formed, and harmed by nobody."""

import email
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mta.models import Content, Recipient, Settings
from tests.ingress.conftest import PASSWORD
from tests.protocol.test_valid_output import assert_valid, built, mutated
from tests.support.messages import BROKEN, GOOD
from tests.support.smtp_session import Client, Ingress

EXAMPLES = 600
ANY_SIZE = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]


@pytest.fixture
def doors(ingress: Ingress) -> Iterator[dict[bool, Client]]:
    """A stranger's session and a user's, which may make any number of mistakes."""
    Settings.objects.update(maxerrors=1_000_000, maxunknown=1_000_000, checkdns=False)
    with ingress.connect() as stranger, ingress.connect("smtps") as user:
        assert user.login("bob@example.test", PASSWORD).startswith("235")
        yield {False: stranger, True: user}


def sent(client: Client, content: bytes, *, smtputf8: bool) -> bool:
    """Whether it was taken."""
    parameter = " SMTPUTF8" if smtputf8 else ""
    opened = client.commands(
        f"MAIL FROM:<bob@example.test>{parameter}", "RCPT TO:<ann@example.test>", "DATA"
    )
    assert opened[2].startswith("354"), opened
    dotted = content.replace(b"\r\n.", b"\r\n..")
    dotted = b"." + dotted if dotted.startswith(b".") else dotted
    ending = b".\r\n" if content.endswith(b"\r\n") or not content else b"\r\n.\r\n"
    client.send(dotted + ending)
    reply = client.reply()
    assert reply.startswith(("250 2.0.0", "5")), reply
    return reply.startswith("250")


def stored() -> bytes:
    """The one message of the queue, which is then emptied."""
    (data,) = Content.objects.values_list("data", flat=True)
    Content.objects.all().delete()
    Recipient.objects.all().delete()
    return bytes(data)


def check(doors: dict[bool, Client], content: bytes, *, user: bool, smtputf8: bool) -> None:
    if not sent(doors[user], content, smtputf8=smtputf8):
        return
    taken = stored()
    assert_valid(taken, smtputf8=smtputf8)
    names = [name.lower() for name in email.message_from_bytes(taken)]
    assert names[0] == "received"
    # A signature may say that there is none of these.
    if user and "dkim-signature" not in names:
        assert {"date", "message-id"} <= set(names)


@pytest.mark.parametrize("user", [False, True], ids=["stranger", "user"])
@pytest.mark.parametrize("smtputf8", [False, True], ids=["ascii", "utf8"])
def test_the_collection(doors: dict[bool, Client], user: bool, smtputf8: bool) -> None:
    for content in [*GOOD.values(), *BROKEN.values()]:
        check(doors, content, user=user, smtputf8=smtputf8)


def test_messages_that_are_well_formed_are_taken(doors: dict[bool, Client]) -> None:
    refused = [
        name
        for name, content in GOOD.items()
        if not any(sent(doors[False], content, smtputf8=smtputf8) for smtputf8 in (False, True))
    ]
    assert refused == []


def test_messages_built_and_mutated(doors: dict[bool, Client]) -> None:
    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=ANY_SIZE
    )
    @given(st.one_of(mutated(), built()), st.booleans(), st.booleans())
    def run(content: bytes, user: bool, smtputf8: bool) -> None:
        check(doors, content, user=user, smtputf8=smtputf8)

    run()
