"""The lists of the policy, the listeners, and what deliveries have taught, from a shell."""

from datetime import timedelta

import pytest
from django.core.management.base import CommandError
from django.utils import timezone

from mta.models import AddressTrouble, DnsList, DsnRefuser, Listener, PolicyChange

pytestmark = pytest.mark.django_db

LISTS = {
    "badsender": ("@.Junk.example", "@.junk.example", "pattern"),
    "freemail": ("Free.example", "free.example", "domain"),
    "badmx": ("192.0.2.7", "192.0.2.7/32", "network"),
    "uucp": ("food!fruits", "food!fruits", "path"),
    "spamtrap": ("Trap@Example.test", "trap@example.test", "address"),
}


@pytest.mark.parametrize("command", LISTS)
def test_an_entry_comes_and_goes(run, listed, command):
    typed, stored, key = LISTS[command]
    for _ in range(2):
        assert stored in run(command, "set", typed)
    (row,) = listed(command, "list")
    assert row[key] == stored
    assert stored in run(command, "list")
    run(command, "remove", typed)
    assert listed(command, "list") == []
    with pytest.raises(CommandError, match="is no"):
        run(command, "remove", typed)


def test_an_entry_has_further_words(run, listed):
    run("freemail", "set", "free.example", "--partners", "Other.example another.example")
    run("badsender", "set", "@junk.example", "--note", "since May")
    run("badsender", "set", "@junk.example")
    assert listed("freemail", "list")[0]["partners"] == "other.example another.example"
    assert listed("badsender", "list")[0]["note"] == "since May"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("badsender", "set", "junk"), "user@domain"),
        (("uucp", "set", "food!"), "not NODE"),
        (("uucp", "set", "food", "--flags", "FX"), "the flags are"),
        (("setting", "set", "uucpme", "a!b"), "not a node name"),
        (("setting", "set", "uuxflags", "-j; id"), "option of uux"),
        (("freemail", "set", "not a domain"), "valid name"),
        (("freemail", "set", "free.example", "--partners", "a b!"), "valid name"),
        (("badmx", "set", "192.0.2.1/24"), "host bits"),
        (("spamtrap", "set", "trap"), "domain"),
        (("dnslist", "set", "zen example"), "valid name"),
        (("dnslist", "set", "zen.example", "--state", "maybe"), "invalid choice"),
        (("dnslist", "set", "zen.example", "--answers", "yes"), "--answers"),
        (("dnslist", "remove", "zen.example"), "not asked"),
        (("listener", "set", "imap"), "invalid choice"),
        (("listener", "set", "smtp", "--sizelimit", "big"), "--sizelimit"),
        (("listener", "set", "smtp", "--sizelimit", "1"), "greater than or equal"),
        (("sendas", "add", "bob@example.test", "@x.example"), "no mailbox"),
        (("rule", "set", "nothing", "off"), "no rule nothing"),
        (("rule", "set", "denied", "off"), "always in force"),
        (("backscatter", "clear", "bob@example.test"), "nothing is known"),
        (("dsnrefuser", "clear", "rude.example"), "nothing is known"),
        (("dsnrefuser", "exempt", "rude.example", "--off"), "nothing is known"),
        (("dsnrefuser", "exempt", "not a domain"), "valid name"),
    ],
)
def test_mistakes_are_one_sentence_and_change_nothing(run, arguments, words):
    with pytest.raises(CommandError, match=words):
        run(*arguments)
    assert not PolicyChange.objects.exists()


def test_a_dns_list_is_asked_in_some_way(run, listed):
    run("dnslist", "set", "Zen.example.", "--state", "log", "--text", "*")
    run("dnslist", "set", "zen.example", "--state", "enforce", "--position", "5")
    run("dnslist", "set", "friends.example", "--allow")
    rows = {row["zone"]: row for row in listed("dnslist", "list")}
    assert (rows["zen.example"]["state"], rows["zen.example"]["text"]) == ("enforce", "*")
    assert (rows["zen.example"]["position"], rows["zen.example"]["action"]) == (5, "block")
    assert rows["friends.example"]["action"] == "allow"
    run("dnslist", "remove", "ZEN.example")
    assert DnsList.objects.get().zone == "friends.example"


def test_a_dns_list_has_a_row_for_each_kind_of_answer(run):
    run("dnslist", "set", "zen.example", "--answers", "127.0.0.2", "127.0.0.3", "--text", "spam")
    run("dnslist", "set", "zen.example", "--answers", "127.0.0.10", "--state", "log")
    with pytest.raises(CommandError, match="--answers"):
        run("dnslist", "set", "zen.example", "--state", "off")
    assert set(DnsList.objects.values_list("answers", "state")) == {
        ("127.0.0.2 127.0.0.3", "enforce"),
        ("127.0.0.10", "log"),
    }
    run("dnslist", "remove", "zen.example", "--answers", "127.0.0.10")
    assert DnsList.objects.count() == 1


def test_a_listener_is_changed_and_the_others_are_shown_as_they_are(run, listed):
    run("listener", "set", "smtp", "--sizelimit", "10M", "--tls-required")
    run("listener", "set", "smtp", "--mime", "wrap")
    rows = {row.pop("name"): row for row in listed("listener", "list")}
    assert rows["smtp"] == {"sizelimit": "10M", "mime": "wrap", "tls_required": True}
    assert rows["submission"] == {"sizelimit": "default", "mime": "reject", "tls_required": False}
    run("listener", "set", "smtp", "--sizelimit", "default", "--no-tls-required")
    row = Listener.objects.get()
    assert (row.sizelimit, row.tls_required, row.mime) == (None, False, "wrap")


def test_a_user_may_send_as_somebody(run, listed):
    run("domain", "add", "example.test")
    run("mailbox", "add", "bob@example.test", "--password", "x")
    run("sendas", "add", "BOB@example.test", "@Sales.example")
    run("sendas", "add", "bob@example.test", "*")
    with pytest.raises(CommandError, match="there already"):
        run("sendas", "add", "bob@example.test", "@sales.example")
    assert [row["pattern"] for row in listed("sendas", "list", "bob@example.test")] == [
        "*",
        "@sales.example",
    ]
    run("sendas", "remove", "bob@example.test", "@SALES.example")
    assert listed("sendas", "list") == [{"mailbox": "bob@example.test", "pattern": "*"}]
    with pytest.raises(CommandError, match="may not send"):
        run("sendas", "remove", "bob@example.test", "@sales.example")


def test_failing_addresses_are_seen_and_cleared(run, listed):
    now = timezone.now()
    for age, name in enumerate(("ann", "bob", "carl")):
        AddressTrouble.objects.create(
            address=f"{name}@example.test",
            permanent=name == "bob",
            reply="550 no",
            at=now - timedelta(minutes=age),
        )
    assert [row["address"][:3] for row in listed("backscatter", "list")] == ["ann", "bob", "car"]
    run("backscatter", "clear", "Bob@example.test")
    assert len(listed("backscatter", "list")) == 2
    assert "2 addresses" in run("backscatter", "clear", "all")
    assert run("backscatter", "list") == ""


def test_a_domain_that_refuses_reports_is_exempted_and_cleared(run, listed):
    now = timezone.now()
    DsnRefuser.objects.create(
        domain="rude.example", reply="550 no", host="mx", first_at=now, last_at=now, expires_at=now
    )
    run("dsnrefuser", "exempt", "Rude.example")
    run("dsnrefuser", "exempt", "friend.example")
    assert {row["domain"]: row["exempt"] for row in listed("dsnrefuser", "list")} == {
        "rude.example": True,
        "friend.example": True,
    }
    run("dsnrefuser", "exempt", "rude.example", "--off")
    assert not DsnRefuser.objects.get(domain="rude.example").exempt
    run("dsnrefuser", "clear", "rude.example")
    assert DsnRefuser.objects.count() == 1


def test_the_rules_are_listed_in_order_with_their_hits(run, listed):
    rows = listed("rule", "list")
    assert rows[0]["stage"] == "connect"
    by_name = {(row["stage"], row["rule"]): row for row in rows}
    denied = by_name["rcpt", "denied"]
    assert (denied["state"], denied["refused_24h"]) == ("always", 0)
    assert denied["about"]
    assert "denied" in run("rule", "list")
