"""The closed relay: no way of spelling a foreign address gets mail out without a grant."""

import pytest

from mta.models import AccessRule, Message, Recipient, Refusal, UucpNeighbor
from mta.policy.decision import RULES, Stage
from tests.ingress.conftest import PASSWORD
from tests.support.waiting import eventually

FOREIGN = "victim@elsewhere.example"

TRICKS = [
    f"<{FOREIGN}>",
    f"< {FOREIGN} >",
    "<victim%elsewhere.example@example.test>",
    "<victim%elsewhere.example@mail.example.test>",
    "<victim%elsewhere.example@[127.0.0.1]>",
    "<victim%elsewhere.example>",
    "<elsewhere.example!victim>",
    "<elsewhere.example!victim@example.test>",
    "<elsewhere.example!victim@mail.example.test>",
    f'<"{FOREIGN}">',
    f'<"{FOREIGN}"@example.test>',
    f'<"{FOREIGN}"@mail.example.test>',
    '<"victim%elsewhere.example"@example.test>',
    '<"elsewhere.example!victim"@example.test>',
    f"<{FOREIGN}@example.test>",
    f"<@example.test:{FOREIGN}>",
    f"<@mail.example.test:{FOREIGN}>",
    f"<@elsewhere.example,@example.test:{FOREIGN}>",
    "<@example.test:victim%elsewhere.example@mail.example.test>",
    "<victim@[192.0.2.1]>",
    "<victim@[IPv6:2001:db8::1]>",
    "<victim@[127.0.0.1]>",
    "<bob@[127.0.0.1]>",
    "<victim@elsewhere.example.>",
    "<victim@ELSEWHERE.EXAMPLE>",
    "<victim@example.test.elsewhere.example>",
    "<victim@xexample.test>",
    "<victim@sub.example.test>",
    "<victim@sub.backup.example>",
    "<victim@test>",
    "<victim@.example.test>",
    "<victim@example..test>",
    "<victim@mail.example.test>",
    "<victim@localhost>",
    "<victim@127.0.0.1>",
    "<victim@2130706433>",
    "<victim@xn--bcher-kva.example>",
    "<bob@example.test,victim@elsewhere.example>",
    "<bob@example.test> <victim@elsewhere.example>",
    "<bob@example.test>,<victim@elsewhere.example>",
    "<victim\\@elsewhere.example@example.test>",
    '<"victim\\"@elsewhere.example>',
    "<victim@elsewhere.example\\@example.test>",
    "<|cat@example.test>",
    "<$(id)@example.test>",
    "<../../bob@example.test>",
    "<@example.test>",
    "<@>",
    "<bob@>",
    "<victim@elsewhere.example",
    "victim@elsewhere.example",
    "<mailto:victim@elsewhere.example>",
    "<bob@example.test\t,victim@elsewhere.example>",
    "<postmaster@elsewhere.example>",
]

SENDERS = ["<alice@example.org>", "<bob@example.test>", "<>", "<postmaster@mail.example.test>"]


def test_no_trick_relays(ingress, change):
    change(maxerrors=1000, maxunknown=1000)
    relayed = []
    for sender in SENDERS:
        with ingress.connect() as client:
            assert client.command(f"MAIL FROM:{sender}").startswith("250")
            for trick in TRICKS:
                reply = client.command(f"RCPT TO:{trick}")
                if not reply.startswith("5"):
                    relayed.append((sender, trick, reply))
    assert relayed == []
    assert not Message.objects.exists()


def test_who_may_relay(ingress):
    with ingress.connect() as client:
        client.command("MAIL FROM:<alice@example.org>")
        assert client.command(f"RCPT TO:<{FOREIGN}>").startswith("550 5.7.1 relaying denied")
        client.command("RSET")
        client.starttls()
        client.command("EHLO client.example.org")
        assert client.login("bob@example.test", PASSWORD).startswith("235")
        assert client.mail(FOREIGN, sender="bob@example.test").startswith("250")

    AccessRule.objects.create(prefix="127.0.0.0/8", relay=True)
    with ingress.connect() as client:
        assert client.mail(FOREIGN).startswith("250")


def test_the_longest_prefix_alone_decides_about_relaying(ingress):
    AccessRule.objects.create(prefix="127.0.0.0/8", relay=True)
    AccessRule.objects.create(prefix="127.0.0.1/32", relay=False)
    with ingress.connect() as client:
        assert client.mail(FOREIGN).startswith("550 5.7.1")


def test_an_alias_may_lead_out_and_a_backup_domain_is_passed_on(ingress):
    with ingress.connect() as client:
        assert client.mail("away@example.test").startswith("250")
        assert client.mail("anyone@backup.example").startswith("250")
    hops = dict(Recipient.objects.values_list("address", "nexthop"))
    assert hops == {
        "friend@elsewhere.example": "mx:elsewhere.example",
        "anyone@backup.example": "mx:backup.example",
    }


def test_a_path_is_taken_as_long_as_its_neighbour_is_listed(ingress):
    def reply(recipient: str) -> str:
        with ingress.connect() as client:
            return client.mail(recipient)

    assert reply("apple!john@example.test").startswith("550 5.1.1")
    neighbour = UucpNeighbor.objects.create(path="apple")
    assert reply("apple!john@example.test").startswith("250")
    assert reply("apple!far!john@example.test").startswith("550 5.1.1")
    assert reply("apple!john@elsewhere.example").startswith("550 5.7.1")
    neighbour.delete()
    assert reply("apple!john@example.test").startswith("550 5.1.1")
    row = Recipient.objects.get()
    assert (row.transport, row.nexthop) == ("uucp", "uucp:apple")
    assert row.address.startswith("apple!john@")


@pytest.mark.parametrize(
    ("recipient", "reply"),
    [
        ("nobody@example.test", "550 5.1.1 <nobody@example.test>: no such user here"),
        ("dora@example.test", "550 5.2.1 the mailbox is disabled"),
        ("ping@example.test", "550 5.4.6 the alias leads nowhere"),
        ("'; DROP TABLE mta_mailbox; --@example.test", "501"),
        ("%@example.test", "550 5.1.1"),
        ("b_b@example.test", "550 5.1.1"),
    ],
)
def test_nobody_of_that_name(ingress, recipient, reply):
    with ingress.connect() as client:
        client.command("MAIL FROM:<alice@example.org>")
        assert client.command(f"RCPT TO:<{recipient}>").startswith(reply)


def test_a_refusal_is_on_record_with_its_rule_and_trace(ingress):
    with ingress.connect() as client:
        client.command("MAIL FROM:<alice@example.org>")
        client.command(f"RCPT TO:<{FOREIGN}>")
        client.command("QUIT")
    refusal = _refusal()
    assert (refusal.stage, refusal.rule, refusal.code) == ("rcpt", "denied", 550)
    assert (refusal.reverse_path, refusal.recipient) == ("alice@example.org", FOREIGN)
    assert (refusal.client_ip, refusal.helo) == ("127.0.0.1", "client.example.org")
    assert [step["rule"] for step in refusal.trace] == [rule.__name__ for rule in RULES[Stage.RCPT]]
    assert [step["rule"] for step in refusal.trace if step["matched"]] == ["denied"]


def _refusal() -> Refusal:
    """The one refusal; it is written right after the client has heard of it."""
    return eventually(lambda: Refusal.objects.first())
