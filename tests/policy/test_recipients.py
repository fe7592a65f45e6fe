"""Alias expansion and de-duplication."""

from dataclasses import dataclass, field

import pytest

from mta.policy.facts import AccountFact, DomainKind, MailboxRules, Resolution, Standing
from mta.policy.recipients import expand
from mta.policy.resolution import MAX_TARGETS, resolve
from mta.protocol import srs
from mta.protocol.bang_path import Neighbourhood
from mta.protocol.envelope import Recipient

SRS_KEY, SRS_DAY = b"key", 20_000


@dataclass
class Book:
    """A directory in memory. Addresses of d.example are ours."""

    aliases: dict[str, tuple[str, ...]] = field(default_factory=dict)
    mailboxes: dict[str, bool] = field(default_factory=dict)
    postmaster: str = "postmaster@mail.example"
    quotas: dict[str, int] = field(default_factory=dict)
    sizelimits: dict[str, int] = field(default_factory=dict)

    separators_of: dict[str, str] = field(default_factory=dict)
    accounts: dict[str, AccountFact] = field(default_factory=dict)
    uucp: Neighbourhood = Neighbourhood()

    def domain_kind(self, domain: str) -> DomainKind | None:
        kinds = dict.fromkeys(("d.example", "mail.example", "v.example"), DomainKind.HOSTED)
        others = {"backup.example": DomainKind.BACKUP, "other-name.example": DomainKind.LOCAL}
        return {**kinds, **others}.get(domain)

    def separators(self, domain: str) -> str:
        return self.separators_of.get(domain, "+" if domain == "d.example" else "")

    def returns_to(self, address: str) -> str:
        return srs.reverse(address, SRS_KEY, SRS_DAY)

    def mailbox(self, address: str) -> bool | None:
        return self.mailboxes.get(address)

    def alias(self, name: str) -> tuple[str, ...] | None:
        return self.aliases.get(name)

    def system_account(self, local_part: str) -> AccountFact | None:
        return self.accounts.get(local_part)

    def quota(self, address: str) -> int:
        return self.quotas.get(address, 0)

    def sizelimit(self, address: str) -> int:
        return self.sizelimits.get(address, 0)

    def rules(self, address: str, account: str | None) -> MailboxRules | None:
        return None


def book(*mailboxes: str, **aliases: str) -> Book:
    """Names are local parts of d.example, CATCH is "@d.example"; blanks between targets."""
    return Book(
        {
            "@d.example" if name == "CATCH" else here(name): tuple(map(here, targets.split()))
            for name, targets in aliases.items()
        },
        {here(name): True for name in mailboxes},
    )


def here(name: str) -> str:
    return name if "@" in name else f"{name}@d.example"


def targets(name: str, lookup: Book) -> tuple[Standing, list[str]]:
    resolution = resolve(here(name), lookup)
    return resolution.standing, [each.removesuffix("@d.example") for each in resolution.targets]


@pytest.mark.parametrize(
    ("address", "standing"),
    [
        ("bob@d.example", Standing.MAILBOX),
        ("BOB@d.example", Standing.MAILBOX),
        ("nobody@d.example", Standing.UNKNOWN),
        ("x@backup.example", Standing.BACKUP),
        ("x@elsewhere.example", Standing.FOREIGN),
        ("x@sub.d.example", Standing.FOREIGN),
    ],
)
def test_without_aliases(address, standing):
    assert resolve(address, book("bob")).standing is standing


def test_a_disabled_mailbox():
    lookup = Book(mailboxes={"dora@d.example": False})
    assert resolve("dora@d.example", lookup).standing is Standing.DISABLED


def test_the_local_part_of_a_foreign_address_keeps_its_case():
    assert resolve("Bob@elsewhere.example", book()).targets == ("Bob@elsewhere.example",)
    assert resolve("Bob@d.example", book("bob")).targets == ("bob@d.example",)


def test_nested_lists_name_everybody_once_in_order():
    lookup = book("ann", "bob", "carl", team="ann bob", all="team carl bob", boss="all")
    assert targets("boss", lookup) == (Standing.ALIAS, ["ann", "bob", "carl"])
    assert resolve("boss@d.example", lookup).is_list
    assert not resolve("ann@d.example", lookup).is_list


def test_an_alias_for_one_is_no_list():
    lookup = book("bob", sales="bob", out="friend@elsewhere.example")
    assert not resolve("sales@d.example", lookup).is_list
    assert targets("out", lookup) == (Standing.ALIAS, ["friend@elsewhere.example"])


def test_an_alias_that_names_itself_means_the_mailbox():
    lookup = book("bob", bob="bob friend@elsewhere.example")
    assert targets("bob", lookup) == (Standing.ALIAS, ["bob", "friend@elsewhere.example"])


def test_an_alias_covers_a_mailbox_of_the_same_name():
    assert targets("bob", book("bob", "ann", bob="ann")) == (Standing.ALIAS, ["ann"])


@pytest.mark.parametrize("length", [1, 2, 50])
def test_a_loop_leads_nowhere(length):
    ring = {f"a{number}": f"a{(number + 1) % length}" for number in range(length)}
    assert targets("a0", book(**ring)) == (Standing.LOOP, [])


@pytest.mark.parametrize("length", [2, 50])
def test_a_loop_with_a_way_out_takes_it(length):
    ring = {f"a{number}": f"a{(number + 1) % length}" for number in range(length)}
    ring["a1"] += " bob"
    assert targets("a0", book("bob", **ring)) == (Standing.ALIAS, ["bob"])


@pytest.mark.parametrize(
    ("length", "standing"), [(100, Standing.ALIAS), (101, Standing.LOOP), (5000, Standing.LOOP)]
)
def test_a_chain_has_its_length(length, standing):
    chain = {f"a{number}": f"a{number + 1}" for number in range(length)}
    assert targets("a0", book(f"a{length}", **chain))[0] is standing


def test_catch_all():
    lookup = book("bob", "ann", CATCH="bob", sales="ann")
    assert targets("anything", lookup) == (Standing.ALIAS, ["bob"])
    assert targets("ann", lookup) == (Standing.MAILBOX, ["ann"])
    assert targets("sales", lookup) == (Standing.ALIAS, ["ann"])


def test_a_catch_all_for_nobody_leads_nowhere():
    assert targets("anything", book(CATCH="ghost")) == (Standing.LOOP, [])


def test_a_member_that_is_nobody_stays_and_fails_where_it_can_be_seen():
    lookup = book("ann", team="ann ghost")
    assert targets("team", lookup) == (Standing.ALIAS, ["ann", "ghost"])


def crowd(size: int) -> str:
    return " ".join(f"m{number}@elsewhere.example" for number in range(size))


def test_a_list_has_so_many_members_and_no_more():
    assert len(resolve("all@d.example", book(all=crowd(MAX_TARGETS))).targets) == MAX_TARGETS
    assert targets("all", book(all=crowd(MAX_TARGETS + 1))) == (Standing.LOOP, [])


def test_a_list_with_too_large_a_list_in_it_is_not_delivered_in_part():
    lookup = book("bob", huge=crowd(MAX_TARGETS + 1), both="huge bob")
    assert targets("both", lookup) == (Standing.LOOP, [])


# --- de-duplication ------------------------------------------------------------------------------

TEAM = ("ann@d.example", "bob@d.example")


def list_of(name: str, *members: str) -> tuple[Recipient, Resolution]:
    address = here(name)
    return Recipient(address), Resolution(address, Standing.ALIAS, members, is_list=True)


def direct(name: str, notify: str = "", target: str = "") -> tuple[Recipient, Resolution]:
    address = here(name)
    return (
        Recipient(address, notify),
        Resolution(address, Standing.MAILBOX, (here(target or name),)),
    )


def test_two_lists_share_a_member():
    expanded = expand([list_of("team", *TEAM), list_of("all", "bob@d.example", "carl@d.example")])
    assert [each.address for each in expanded.recipients] == [
        "ann@d.example",
        "bob@d.example",
        "carl@d.example",
    ]
    assert {each.notify for each in expanded.recipients} == {"NEVER"}
    assert [each.address for each in expanded.lists] == ["team@d.example", "all@d.example"]


def test_a_list_given_twice():
    expanded = expand([list_of("team", *TEAM), list_of("team", *TEAM)])
    assert [each.address for each in expanded.recipients] == list(TEAM)
    assert len(expanded.lists) == 1


def test_a_recipient_given_twice():
    assert len(expand([direct("bob"), direct("bob")]).recipients) == 1


@pytest.mark.parametrize("turn", [1, -1])
def test_a_direct_recipient_keeps_its_wishes(turn):
    pair = [direct("bob", "SUCCESS"), list_of("team", *TEAM)][::turn]
    found = {each.address: each.notify for each in expand(pair).recipients}
    assert found == {"bob@d.example": "SUCCESS", "ann@d.example": "NEVER"}


def test_the_address_that_was_given_is_remembered():
    (replaced,) = expand([direct("sales", "DELAY", target="bob")]).recipients
    assert replaced == Recipient("bob@d.example", "DELAY", "rfc822;sales@d.example")
    assert not replaced.forwarded_by
    given = Recipient("sales@d.example", "", "rfc822;orig@x.example")
    resolution = Resolution("sales@d.example", Standing.ALIAS, ("bob@d.example",))
    assert expand([(given, resolution)]).recipients[0].original_recipient == "rfc822;orig@x.example"


def test_every_domain_has_a_postmaster() -> None:
    directory = Book(mailboxes={"postmaster@mail.example": True})
    resolution = resolve("Postmaster@d.example", directory)
    assert resolution.standing is Standing.ALIAS
    assert resolution.targets == ("postmaster@mail.example",)


def test_a_postmaster_of_its_own_comes_first() -> None:
    directory = Book(mailboxes={"postmaster@mail.example": True, "postmaster@d.example": True})
    assert resolve("postmaster@d.example", directory).standing is Standing.MAILBOX


def test_behind_an_alias_the_sender_of_verp_mail_knows_nobody():
    alias = Recipient("sales@d.example", notify="SUCCESS")
    standing = Resolution(alias.address, Standing.ALIAS, ("bob@d.example",))
    plain = expand([(alias, standing)])
    assert [each.notify for each in plain.recipients] == ["SUCCESS"]
    verp = expand([(alias, standing), direct("ann", "FAILURE")], verp=True)
    assert {each.address: each.notify for each in verp.recipients} == {
        "ann@d.example": "FAILURE",
        "bob@d.example": "NEVER",
    }
    assert verp.lists == (alias,)


def test_another_name_of_this_host_means_the_hosts_own_domain():
    lookup = Book(
        mailboxes={"bob@mail.example": True}, aliases={"sales@mail.example": ("bob@mail.example",)}
    )
    assert resolve("Bob@other-name.example", lookup).targets == ("bob@mail.example",)
    assert resolve("Bob@other-name.example", lookup).standing is Standing.MAILBOX
    assert resolve("sales@other-name.example", lookup).targets == ("bob@mail.example",)
    assert resolve("nobody@other-name.example", lookup).standing is Standing.UNKNOWN


def test_another_name_of_a_host_that_hosts_nothing_has_nobody():
    lookup = Book(postmaster="postmaster@elsewhere.example")
    assert resolve("bob@other-name.example", lookup).standing is Standing.UNKNOWN
    lookup = Book(postmaster="postmaster@other-name.example")
    assert resolve("bob@other-name.example", lookup).standing is Standing.UNKNOWN


@pytest.mark.parametrize(
    ("address", "quota", "sizelimit"),
    [
        ("BOB@d.example", 1000, 50),
        ("sales@d.example", 1000, 50),
        ("team@d.example", 0, 0),
        ("ann@d.example", 0, 0),
        ("bob@elsewhere.example", 0, 0),
    ],
)
def test_limits_count_where_one_mailbox_gets_it_all(address, quota, sizelimit):
    lookup = book("ann", "bob", sales="bob", team="ann bob")
    lookup.quotas["bob@d.example"] = 1000
    lookup.sizelimits["bob@d.example"] = 50
    found = resolve(address, lookup)
    assert (found.quota, found.sizelimit) == (quota, sizelimit)


# --- extensions ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("ann+lists", "ann"),
        ("ANN+Lists", "ann"),
        ("ann+a+b", "ann"),
        ("ann+own", "ann+own"),
        ("ann+own+more", "ann+own"),
        ("ann+a+b+c+d+e", "ann"),
        ("sales+q1", "bob"),
    ],
)
def test_an_extension_is_dropped_when_the_address_has_no_mailbox_of_its_own(name, end):
    lookup = book("ann", "ann+own", "bob", sales="bob")
    assert targets(name, lookup)[1] == [end]


@pytest.mark.parametrize("name", ["nobody+x", "+ann", "+", "ann-x", "a+b+c+d+e+f"])
def test_an_extension_of_nobody_is_nobody(name):
    assert targets(name, book("ann", "a+b+c+d+e")) == (Standing.UNKNOWN, [])


def test_extensions_are_a_matter_of_the_domain():
    lookup = book("ann")
    lookup.separators_of = {"d.example": ""}
    assert targets("ann+x", lookup)[0] is Standing.UNKNOWN
    lookup.separators_of = {"d.example": "+-"}
    assert targets("ann-x+y", lookup) == (Standing.MAILBOX, ["ann"])


@pytest.mark.parametrize("separators", ["", "+", "-"])
def test_a_bounce_of_verp_mail_finds_its_sender(separators):
    lookup = book("ann", sales="ann")
    lookup.separators_of = {"d.example": separators}
    assert targets("ann-bob+2Bx=far.example", lookup) == (Standing.MAILBOX, ["ann"])
    assert targets("sales-bob=far.example", lookup) == (Standing.ALIAS, ["ann"])
    assert targets("nobody-bob=far.example", lookup)[0] is Standing.UNKNOWN


def test_an_extension_comes_before_the_catch_all():
    assert targets("ann+x", book("ann", "bob", CATCH="bob"))[1] == ["ann"]


def test_an_extension_of_a_disabled_mailbox_is_disabled():
    lookup = Book(mailboxes={"dora@d.example": False})
    assert resolve("dora+x@d.example", lookup).standing is Standing.DISABLED


def test_the_extension_stays_in_the_original_recipient():
    given = Recipient("Ann+Lists@d.example", "SUCCESS")
    (final,) = expand([(given, resolve(given.address, book("ann")))]).recipients
    assert final.address == "ann@d.example"
    assert final.original_recipient == "rfc822;Ann+Lists@d.example"
    assert final.notify == "SUCCESS"


def test_the_sender_of_verp_mail_does_not_know_who_has_the_extension():
    given = Recipient("ann+lists@d.example")
    expanded = expand([(given, resolve(given.address, book("ann")))], verp=True)
    assert [each.notify for each in expanded.recipients] == ["NEVER"]
    assert expanded.lists == (given,)


def test_an_alias_that_names_itself_with_an_extension_means_the_mailbox():
    lookup = book("bob", **{"bob+x": "bob+x friend@elsewhere.example"})
    assert targets("bob+x", lookup)[1] == ["bob", "friend@elsewhere.example"]


# --- virtual domains -----------------------------------------------------------------------------


def virtual(target: str, *mailboxes: str, **aliases: str) -> Book:
    """v.example is virtual; this host is mail.example."""
    lookup = book(*(f"{name}@mail.example" for name in mailboxes), **aliases)
    lookup.aliases["@v.example"] = (target,)
    return lookup


@pytest.mark.parametrize(
    ("target", "end"),
    [
        ("web", "web-info@mail.example"),
        ("web!", "webinfo@mail.example"),
        ("*@mail.example", "info@mail.example"),
        ("old-*@mail.example", "old-info@mail.example"),
    ],
)
def test_a_virtual_domain_gives_each_address_a_name(target, end):
    lookup = virtual(target, end.split("@")[0])
    resolution = resolve("Info@v.example", lookup)
    assert (resolution.standing, resolution.targets) == (Standing.ALIAS, (end,))
    assert not resolution.is_list


def test_what_the_account_has_no_name_for_is_the_accounts():
    resolution = resolve("info@v.example", virtual("web", "web"))
    assert (resolution.standing, resolution.targets) == (Standing.ALIAS, ("web@mail.example",))
    assert any("web-info@mail.example" in step for step in resolution.steps)
    hosted = virtual("web-*@d.example")
    hosted.mailboxes["web@d.example"] = True
    assert resolve("info@v.example", hosted).targets == ("web@d.example",)


def test_an_account_may_have_aliases_for_its_names():
    lookup = virtual("web", "web", "ann")
    lookup.aliases["web-info@mail.example"] = ("ann@mail.example",)
    assert resolve("info@v.example", lookup).targets == ("ann@mail.example",)
    assert resolve("other@v.example", lookup).targets == ("web@mail.example",)


@pytest.mark.parametrize(
    ("target", "mailboxes"),
    [("web", ()), ("web!", ("web",)), ("*@mail.example", ("other",)), ("a*@mail.example", ("a",))],
)
def test_nobody_in_a_virtual_domain_is_refused_and_not_bounced(target, mailboxes):
    resolution = resolve("info@v.example", virtual(target, *mailboxes))
    assert (resolution.standing, resolution.targets) == (Standing.UNKNOWN, ())


def test_a_virtual_domain_of_a_disabled_account():
    lookup = virtual("web")
    lookup.mailboxes["web@mail.example"] = False
    assert resolve("info@v.example", lookup).standing is Standing.DISABLED


def test_addresses_of_their_own_come_before_the_virtual_domain():
    lookup = virtual("web", "web", "ann")
    lookup.aliases["info@v.example"] = ("ann@mail.example",)
    lookup.mailboxes["box@v.example"] = True
    assert resolve("info@v.example", lookup).targets == ("ann@mail.example",)
    assert resolve("box@v.example", lookup).standing is Standing.MAILBOX


def test_a_domain_that_is_a_foreign_one_keeps_the_case_of_names():
    lookup = virtual("*@elsewhere.example")
    assert resolve("Info@v.example", lookup).targets == ("Info@elsewhere.example",)


def test_domains_that_stand_for_each_other_lead_nowhere():
    lookup = virtual("*@d.example")
    lookup.aliases["@d.example"] = ("*@v.example",)
    assert resolve("info@v.example", lookup).standing is Standing.LOOP


def test_a_virtual_domain_on_a_host_that_hosts_nothing_has_nobody():
    lookup = virtual("web", "web")
    lookup.postmaster = "postmaster@elsewhere.example"
    assert resolve("info@v.example", lookup).standing is Standing.UNKNOWN


def test_patterns_among_several_targets():
    lookup = virtual("*@mail.example", "info")
    lookup.aliases["@v.example"] = ("*@mail.example", "ann@elsewhere.example")
    assert resolve("info@v.example", lookup).targets == (
        "info@mail.example",
        "ann@elsewhere.example",
    )


def test_a_second_way_to_somebody_is_told_and_gives_no_second_copy():
    resolution = resolve("all@d.example", book("ann", team="ann", all="team ann"))
    assert resolution.targets == ("ann@d.example",)
    assert "ann@d.example has its copy already" in resolution.steps


# --- return paths (SRS) --------------------------------------------------------------------------


def return_path(sender: str = "friend@elsewhere.example", domain: str = "d.example") -> str:
    return srs.forward(sender, domain, SRS_KEY, SRS_DAY)


def test_a_bounce_of_forwarded_mail_is_for_its_sender():
    resolution = resolve(return_path(), book())
    assert resolution.standing is Standing.RETURN_PATH
    assert resolution.targets == ("friend@elsewhere.example",)


def test_the_sender_may_be_somebody_here_by_now():
    assert resolve(return_path("bob@d.example"), book("bob")).targets == ("bob@d.example",)
    assert resolve(return_path("bob@d.example"), book()).standing is Standing.UNKNOWN


@pytest.mark.parametrize("domain", ["v.example", "d.example"])
def test_return_paths_come_before_catch_alls_and_virtual_domains(domain):
    lookup = virtual("web", "web", CATCH="bob")
    resolution = resolve(return_path(domain=domain), lookup)
    assert resolution.targets == ("friend@elsewhere.example",)


def test_return_paths_that_are_not_ours():
    resolution = resolve("SRS0=AAAAAA=RA=a.example=ann@d.example", book(CATCH="bob"))
    assert resolution.standing is Standing.BAD_RETURN_PATH
    assert resolution.steps[-1] == "the return path is not one that we made"
    assert resolve("SRS0=A=RA=a.example=ann@x.example", book()).standing is Standing.FOREIGN


def test_who_put_an_address_in_its_place_is_known():
    lookup = book("ann", team="ann x@elsewhere.example", out="y@elsewhere.example")
    names = ("team@d.example", "out@d.example", "ann+x@d.example", "z@elsewhere.example")
    given = [(Recipient(name), resolve(name, lookup)) for name in names]
    assert {each.address: each.forwarded_by for each in expand(given).recipients} == {
        "ann@d.example": "",
        "x@elsewhere.example": "team@d.example",
        "y@elsewhere.example": "out@d.example",
        "z@elsewhere.example": "",
    }


TOWN = Neighbourhood("here", "mail.example", neighbours={"apple": "", "food": "F"})


@pytest.mark.parametrize(
    ("address", "standing"),
    [
        ("apple!John@d.example", Standing.UUCP),
        ("food!fruits!banana@mail.example", Standing.UUCP),
        # Another name of this host.
        ("apple!john@other-name.example", Standing.UUCP),
        ("apple!pie!john@d.example", Standing.UNKNOWN),
        ("apple!@d.example", Standing.UNKNOWN),
        ("stranger!john@d.example", Standing.UNKNOWN),
        ("apple!john@elsewhere.example", Standing.FOREIGN),
        ("apple!john@host.example", Standing.UUCP),
        ("stranger!john@host.example", Standing.FOREIGN),
        ("odd!name@d.example", Standing.MAILBOX),
    ],
)
def test_paths_to_neighbours(address, standing):
    lookup = book("odd!name")
    lookup.uucp = TOWN
    if address.endswith("host.example"):
        lookup.postmaster = "postmaster@host.example"
    resolution = resolve(address, lookup)
    assert resolution.standing is standing
    if standing is Standing.UUCP:
        local, home = address.partition("@")[0], lookup.postmaster.partition("@")[2]
        assert resolution.targets == (f"{local}@{home}",)


def test_without_neighbours_there_are_no_paths():
    assert resolve("apple!john@d.example", book("bob")).standing is Standing.UNKNOWN


def test_an_alias_may_lead_to_a_neighbour():
    lookup = book(john="apple!john@mail.example")
    lookup.uucp = TOWN
    resolution = resolve("john@d.example", lookup)
    assert (resolution.standing, resolution.targets) == (
        Standing.ALIAS,
        ("apple!john@mail.example",),
    )
