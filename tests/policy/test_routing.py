"""Where an address goes, in the words that transports understand."""

import pytest

from mta.policy import routing
from mta.policy.facts import DomainKind, Policy, RouteFact


def policy(*routes: RouteFact) -> Policy:
    return Policy(
        1,
        "mail.example.test",
        domains={
            "here.example": DomainKind.HOSTED,
            "backup.example": DomainKind.BACKUP,
            "other-name.example": DomainKind.LOCAL,
            ".wild.example": DomainKind.BACKUP,
        },
        routes={route.domain: route for route in routes},
    )


SMARTHOST = RouteFact("*", "smart.example", 587, "REQUIRED")
ROUTES = policy(
    RouteFact("x.example", "relay.example", 25),
    RouteFact(".x.example", "[192.0.2.1]", 2525),
    RouteFact(".deep.x.example", "[2001:db8::1]", 465, "SMTPS"),
    RouteFact("nowhere.example", "discard", 25),
    RouteFact("dove.example", "lmtp:/run/lmtp", 25),
    SMARTHOST,
)


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("a@here.example", ""),
        ("a@other-name.example", ""),
        ("a@x.example", "relay:relay.example:25"),
        ("a@dove.example", "lmtp:/run/lmtp"),
        ("a@sub.x.example", "relay:[192.0.2.1]:2525"),
        ("a@deep.x.example", "relay:[192.0.2.1]:2525"),
        ("a@very.deep.x.example", "relay:[2001:db8::1]:465/SMTPS"),
        ("a@nowhere.example", "discard:"),
        ("a@elsewhere.example", "relay:smart.example:587/REQUIRED"),
        ("a@backup.example", "relay:smart.example:587/REQUIRED"),
    ],
)
def test_the_nearest_route_wins(address, word):
    assert routing.nexthop(address, ROUTES) == word


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("a@elsewhere.example", "mx:elsewhere.example"),
        ("a@backup.example", "mx:backup.example"),
        ("a@[192.0.2.1]", "mx:[192.0.2.1]"),
        ("a@b@odd.example", "mx:odd.example"),
        ("a@here.example", ""),
    ],
)
def test_without_routes_the_dns_decides(address, word):
    assert routing.nexthop(address, policy()) == word


def for_senders(**tables: dict[str, RouteFact]) -> Policy:
    return Policy(
        1,
        "mail.example.test",
        domains={"here.example": DomainKind.HOSTED},
        routes={"x.example": RouteFact("x.example", "general.example", 25), "*": SMARTHOST},
        sender_routes=tables,
    )


def everything_via(relay: str) -> dict[str, RouteFact]:
    return {"*": RouteFact("*", relay, 25)}


BY_SENDER = for_senders(
    **{
        "ann@acme.example": {"x.example": RouteFact("x.example", "ann.example", 25)},
        "acme.example": everything_via("acme-relay.example"),
        ".acme.example": everything_via("branches.example"),
    }
)


@pytest.mark.parametrize(
    ("sender", "address", "relay"),
    [
        ("ann@acme.example", "a@x.example", "ann.example:25"),
        ("Ann@Acme.Example", "a@x.example", "ann.example:25"),
        ("ann@acme.example", "a@y.example", "acme-relay.example:25"),
        ("bob@acme.example", "a@x.example", "acme-relay.example:25"),
        ("bob@sub.acme.example", "a@x.example", "branches.example:25"),
        ("bob@other.example", "a@x.example", "general.example:25"),
        ("bob@other.example", "a@y.example", "smart.example:587/REQUIRED"),
        ("", "a@x.example", "general.example:25"),
    ],
)
def test_the_sender_goes_before_the_domain_of_the_recipient(sender, address, relay):
    assert routing.nexthop(address, BY_SENDER, sender) == f"relay:{relay}"


def test_mail_for_here_stays_here_whoever_sends_it():
    assert routing.nexthop("a@here.example", BY_SENDER, "bob@acme.example") == ""


def test_an_empty_relay_is_an_exception_from_the_smarthost():
    routes = policy(
        RouteFact("direct.example", "", 25, "REQUIRED", ip_version="IPV4ONLY"),
        RouteFact("here.example", "", 25),
        SMARTHOST,
    )
    assert routing.nexthop("a@direct.example", routes) == "mx:direct.example/REQUIRED/IPV4ONLY"
    assert routing.nexthop("a@here.example", routes) == ""


def test_the_word_names_the_route_to_sign_in_with_and_no_secret():
    routes = policy(RouteFact("*", "smart.example", 587, "REQUIRED", credentials=7))
    assert routing.nexthop("a@y.example", routes) == "relay:smart.example:587/REQUIRED/AUTH=7"


def test_only_a_route_of_its_own_takes_a_hosted_domain_away():
    moved = policy(RouteFact("here.example", "new.example", 25))
    assert routing.nexthop("a@here.example", moved) == "relay:new.example:25"


@pytest.mark.parametrize(
    ("domain", "kind"),
    [
        ("here.example", DomainKind.HOSTED),
        ("sub.here.example", None),
        ("wild.example", None),
        ("sub.wild.example", DomainKind.BACKUP),
        ("a.b.wild.example", DomainKind.BACKUP),
        ("xwild.example", None),
        ("", None),
    ],
)
def test_what_a_domain_is_to_us(domain, kind):
    assert policy().domain_kind(domain) is kind


class Claimant:
    def __init__(self, name: str, hop: str | None) -> None:
        self.name = name
        self._hop = hop

    def claim(self, address: str, book: object) -> str | None:
        return self._hop


def test_the_first_claimant_takes_the_address():
    claimants = [Claimant("no", None), Claimant("local", ""), Claimant("esmtp", "mx:x.example")]
    assert routing.choose("a@x.example", claimants, None) == ("local", "")
    assert routing.choose("a@x.example", claimants[:1], None) is None
