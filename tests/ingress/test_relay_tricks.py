"""The closed relay, provably: every trick of tests/data/relay_tricks.txt, through every door."""

import socket
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from mta.ingress.doors import open_door
from mta.ingress.house import Listener
from mta.models import AccessRule, Alias, Domain, Mailbox, Recipient
from mta.protocol import address
from tests.support import relay_tricks
from tests.support.relay_tricks import Kind, Trick
from tests.support.smtp_session import SECONDS, Client, Ingress

TRICKS = relay_tricks.read()
ADDRESSES = list(relay_tricks.of_kinds(TRICKS, Kind.TO, Kind.OURS))
SENDERS = list(relay_tricks.of_kinds(TRICKS, Kind.FROM))
DIALOGS = list(relay_tricks.of_kinds(TRICKS, Kind.TRICK))

ANYBODY, ONE_OF_US, NOBODY = "<alice@example.org>", "<bob@example.test>", "<>"
HERE = {"example.test", "everything.example", "alias.example", "backup.example"}
# Of nobody who speaks in these tests, but of whom they may claim to be.
MAY_RELAY = "192.0.2.0/24"
STRANGERS = {
    "IPv4": "PROXY TCP4 198.51.100.7 203.0.113.1 40000 25",
    "IPv6": "PROXY TCP6 2001:db8::7 2001:db8::1 40000 25",
    "IPv4 mapped to IPv6": "PROXY TCP6 ::ffff:198.51.100.7 ::ffff:203.0.113.1 40000 25",
    "loopback mapped to IPv6": "PROXY TCP6 ::ffff:127.0.0.1 ::ffff:127.0.0.1 40000 25",
}


@pytest.fixture
def tricked(ingress: Ingress, change: Callable[..., None]) -> Iterator[Ingress]:
    """The ingress of a town that the file describes. Afterwards nothing may be on its way out."""
    everything = Domain.objects.create(name="everything.example")
    Domain.objects.create(name="alias.example")
    Domain.objects.create(name=".wild.example", kind=Domain.Kind.BACKUP)
    Domain.objects.create(name="home.example", kind=Domain.Kind.LOCAL)
    Alias.objects.create(name=f"@{everything.name}", targets=["bob@example.test"])
    for name in ("elsewhere.example@example.test", "victim%elsewhere.example@alias.example"):
        Alias.objects.create(name=name, targets=["bob@example.test"])
    Mailbox.objects.create(domain=Domain.objects.get(name="example.test"), local_part="empty")
    AccessRule.objects.create(prefix=MAY_RELAY, relay=True)
    # So that one session bears hundreds of refusals, and strangers need not wait for theirs.
    change(maxerrors=10_000, maxunknown=10_000, tarpit=False)
    yield ingress
    assert [row for row in _destinations() if not _is_ours(row[0])] == []


def test_there_are_enough_tricks():
    assert len({(trick.kind, trick.text) for trick in TRICKS}) == len(TRICKS) >= 200


@pytest.mark.parametrize("sender", [ANYBODY, ONE_OF_US, NOBODY])
def test_no_spelling_of_an_address_relays(tricked, sender):
    with tricked.connect() as client:
        assert _taken(client, ADDRESSES, sender) == []


def test_no_sender_is_a_grant(tricked):
    with tricked.connect() as client:
        assert _taken(client, SENDERS, ANYBODY) == []


def test_no_dialog_relays(tricked):
    connect = partial(tricked.connect, greet=False)
    wrong = {str(trick): relay_tricks.play(connect, trick) for trick in DIALOGS}
    assert {trick: reply for trick, reply in wrong.items() if reply} == {}


@pytest.mark.parametrize("encrypted", [False, True], ids=["in clear", "under TLS"])
def test_submission_without_auth_takes_nothing(tricked, encrypted):
    with tricked.connect("submission") as client:
        if encrypted:
            client.starttls()
            client.command("EHLO client.example.org")
        assert _taken(client, [*ADDRESSES, *SENDERS], ONE_OF_US, ours_too=True) == []
    assert not Recipient.objects.exists()


def test_nor_does_the_listener_under_tls(tricked):
    with tricked.connect("smtps") as client:
        assert _taken(client, [*ADDRESSES, *SENDERS], ONE_OF_US, ours_too=True) == []
    assert not Recipient.objects.exists()


@pytest.mark.parametrize("header", STRANGERS.values(), ids=STRANGERS.keys())
def test_from_wherever_the_client_comes(tricked, header):
    """A listed balancer tells where that is; the grant of some other network is of no use."""
    AccessRule.objects.create(prefix="127.0.0.1/32", proxy=True)
    with tricked.connect(greet=False) as client:
        client.send(f"{header}\r\n")
        assert client.reply().startswith("220 ")
        client.command("EHLO client.example.org")
        assert _taken(client, [*ADDRESSES, *SENDERS], ONE_OF_US) == []


def test_over_ipv6(tricked):
    """Also with a grant for all of IPv4's loopback, which ::1 is not."""
    AccessRule.objects.create(prefix="127.0.0.0/8", relay=True)
    with _over_ipv6(tricked) as client:
        assert _taken(client, [*ADDRESSES, *SENDERS], ONE_OF_US) == []


def test_a_relay_rule_for_the_network_is_what_would_open_it(tricked):
    """The proof of the proof: with a grant the plain attempt does get through."""
    rule = AccessRule.objects.create(prefix="127.0.0.1/32", relay=True)
    with tricked.connect() as client:
        assert client.mail(relay_tricks.VICTIM).startswith("250")
        assert [domain for domain, _ in _destinations()] == ["elsewhere.example"]
        rule.delete()
        Recipient.objects.all().delete()
        assert client.mail(relay_tricks.VICTIM).startswith("550 5.7.1")


def _taken(
    client: Client, tricks: list[Trick], sender: str, *, ours_too: bool = False
) -> list[tuple[str, str]]:
    """The tricks whose recipient was not refused, and the reply; what may be OURS is not told
    unless not even that may be taken."""
    replies = [(trick, relay_tricks.try_address(client, trick, sender)) for trick in tricks]
    return [
        (str(trick), reply)
        for trick, reply in replies
        if reply[0] not in "45" and (ours_too or trick.kind is not Kind.OURS)
    ]


def _over_ipv6(ingress: Ingress) -> Client:
    """A session over ::1, EHLO said. Skips the test on a host without it."""
    try:
        sock = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this host has no ::1")
    sock.setblocking(False)
    port = sock.getsockname()[1]
    ingress.run(open_door(ingress.house, Listener("smtp"), sock, set()))
    client = Client(socket.create_connection(("::1", port), SECONDS))
    assert client.reply().startswith("220 ")
    client.command("EHLO client.example.org")
    return client


def _destinations() -> list[tuple[str, str]]:
    """(domain, transport) of every recipient in the queue."""
    rows = Recipient.objects.values_list("address", "transport")
    return [(address.split(recipient)[1], transport) for recipient, transport in rows]


def _is_ours(domain: str) -> bool:
    return domain in HERE or domain.endswith(".wild.example")
