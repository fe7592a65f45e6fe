"""SPF as RFC 7208 has it: each line is a record, a client and what must come of them.

The section numbers in the names are those of the RFC.
"""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mta.protocol.dns_resolver import DnsResolver
from mta.protocol.spf import Identity, Result, SpfResult, check
from tests.support.dns import DnsServer, Records, Trouble, reverse, txt

IP4, IP6, STRANGER = "192.0.2.1", "2001:db8::1", "198.51.100.66"

ZONE: dict[str, Records] = {
    "a.example": {"A": [IP4, "192.0.2.9"], "AAAA": [IP6]},
    "b.example": {"A": ["192.0.2.2"]},
    "mail.example": {"MX": ["10 b.example", "20 a.example"]},
    "nullmx.example": {"MX": ["0 ."]},
    "manymx.example": {"MX": [f"{n} a.example" for n in range(1, 12)] + ["0 b.example"]},
    "manya.example": {"A": [f"203.0.113.{n}" for n in range(1, 20)] + [IP4]},
    "servfail.example": Trouble.SERVFAIL,
    "slowmx.example": {"MX": ["10 servfail.example"]},
    "loop.example": {"CNAME": ["loop.example"]},
    "pass.example": {"TXT": txt("v=spf1 ip4:192.0.2.0/24 -all")},
    "fail.example": {"TXT": txt("v=spf1 -all exp=why.example")},
    "softfail.example": {"TXT": txt("v=spf1 ~all")},
    "neutral.example": {"TXT": txt("v=spf1 ?all")},
    "nothing.example": {"TXT": txt("some text", "v=spf10 -all", "spf2.0/pra -all")},
    "broken.example": {"TXT": txt("v=spf1 foo -all")},
    "two.example": {"TXT": txt("v=spf1 -all", "v=spf1 +all")},
    "circle.example": {"TXT": txt("v=spf1 include:circle.example")},
    "turn.example": {"TXT": txt("v=spf1 redirect=turn.example")},
    "alias.example": {"CNAME": ["pass.example"]},
    "why.example": {"TXT": txt("%{i} may not send for %{d}, says %{r}")},
    reverse(IP4): {"PTR": ["a.example", "lie.example"]},
    reverse(IP6): {"PTR": ["a.example"]},
    reverse("192.0.2.2"): {"PTR": ["servfail.example", "b.example"]},
    reverse("192.0.2.3"): Trouble.SERVFAIL,
    "lie.example": {"A": [STRANGER]},
}


def judge(
    server: DnsServer, record: str | list[str], client_ip: str = IP4, **more: Records
) -> SpfResult:
    """Publishes the record for case.example and lets a client send as user@case.example."""
    records = [record] if isinstance(record, str) else record
    names = {name.replace("_", "."): value for name, value in more.items()}
    server.zone = {**ZONE, **names, "case.example": {"TXT": txt(*records), "A": ["192.0.2.7"]}}
    return ask(server, "user@case.example", client_ip)


def ask(
    dns: DnsServer,
    sender: str,
    client_ip: str = IP4,
    *,
    helo: str = "helo.example",
    identity: Identity = Identity.MAILFROM,
) -> SpfResult:
    return check(identity, client_ip, helo, sender, "mx.test", DnsResolver(dns.address))


@pytest.fixture(scope="module")
def running():
    with DnsServer(ZONE) as dns:
        yield dns


@pytest.fixture
def server(running: DnsServer) -> DnsServer:
    """With the zone as it stands above; a test may add to it."""
    running.zone = dict(ZONE)
    return running


# --- 2.3, 2.4, 4.3 to 4.5: what is checked, and its record


@pytest.mark.parametrize(
    ("sender", "result"),
    [
        ("user@pass.example", Result.PASS),
        ("user@PASS.Example.", Result.PASS),
        ("@pass.example", Result.PASS),
        ("user@alias.example", Result.PASS),
        ("user@fail.example", Result.FAIL),
        ("user@softfail.example", Result.SOFTFAIL),
        ("user@neutral.example", Result.NEUTRAL),
        ("user@nothing.example", Result.NONE),
        ("user@gone.example", Result.NONE),
        ("user@b.example", Result.NONE),
        ("user@example", Result.NONE),
        ("user@a..example", Result.NONE),
        ("user@" + "x" * 64 + ".example", Result.NONE),
        ("user@" + "x." * 130 + "example", Result.NONE),
        ("user@[192.0.2.1]", Result.NONE),
        ("user@[IPv6:2001:db8::1.2]", Result.NONE),
        ("user@loop.example", Result.NONE),
        ("user@two.example", Result.PERMERROR),
        ("user@broken.example", Result.PERMERROR),
        ("user@servfail.example", Result.TEMPERROR),
    ],
)
def test_domains_and_their_records(server: DnsServer, sender: str, result: Result) -> None:
    assert ask(server, sender).result is result


def test_the_null_reverse_path_is_judged_by_the_helo_name(server: DnsServer) -> None:
    found = ask(server, "", helo="Pass.example")
    assert (found.result, found.sender) == (Result.PASS, "postmaster@pass.example")


def test_the_helo_identity_does_not_look_at_the_sender(server: DnsServer) -> None:
    found = ask(server, "user@fail.example", helo="pass.example", identity=Identity.HELO)
    assert (found.result, found.domain) == (Result.PASS, "pass.example")


def test_the_author_is_judged_by_his_own_domain(server: DnsServer) -> None:
    found = ask(server, "user@fail.example", helo="pass.example", identity=Identity.FROM)
    assert (found.result, found.identity) == (Result.FAIL, Identity.FROM)


@pytest.mark.parametrize(
    ("helo", "client_ip", "result"),
    [
        ("192.0.2.1", IP4, Result.PASS),
        ("[192.0.2.1]", IP4, Result.PASS),
        ("[192.0.2.1]", "::ffff:192.0.2.1", Result.PASS),
        ("[IPv6:2001:DB8:0:0::1]", IP6, Result.PASS),
        ("[192.0.2.2]", IP4, Result.NONE),
        ("localhost", IP4, Result.NONE),
        ("", IP4, Result.NONE),
    ],
)
def test_a_helo_that_is_an_address(
    server: DnsServer, helo: str, client_ip: str, result: Result
) -> None:
    assert ask(server, "", client_ip, helo=helo, identity=Identity.HELO).result is result


# --- 4.6, 5: mechanisms


@pytest.mark.parametrize(
    ("record", "client_ip", "result", "mechanism"),
    [
        ("v=spf1", IP4, Result.NEUTRAL, "default"),
        ("v=spf1 ", IP4, Result.NEUTRAL, "default"),
        ("V=SPF1 -ALL", IP4, Result.FAIL, "-ALL"),
        ("v=spf1   ip4:192.0.2.1   -all ", IP4, Result.PASS, "ip4:192.0.2.1"),
        ("v=spf1 +all", IP4, Result.PASS, "+all"),
        ("v=spf1 -all +all", IP4, Result.FAIL, "-all"),
        # 5.6 ip4 and ip6
        ("v=spf1 ip4:192.0.2.0/24 -all", IP4, Result.PASS, "ip4:192.0.2.0/24"),
        ("v=spf1 ip4:192.0.2.77/24 -all", IP4, Result.PASS, "ip4:192.0.2.77/24"),
        ("v=spf1 ip4:192.0.2.0/31 -all", "192.0.2.2", Result.FAIL, "-all"),
        ("v=spf1 -ip4:0.0.0.0/0 +all", IP4, Result.FAIL, "-ip4:0.0.0.0/0"),
        ("v=spf1 -ip4:0.0.0.0/0 +all", IP6, Result.PASS, "+all"),
        ("v=spf1 -ip4:192.0.2.1 +all", "::ffff:192.0.2.1", Result.FAIL, "-ip4:192.0.2.1"),
        ("v=spf1 ip6:2001:db8::/32 -all", IP6, Result.PASS, "ip6:2001:db8::/32"),
        ("v=spf1 ip6:2001:db8::2 -all", IP6, Result.FAIL, "-all"),
        ("v=spf1 ip6:::/0 -all", IP4, Result.FAIL, "-all"),
        ("v=spf1 ip6:::ffff:192.0.2.1 -all", "::ffff:192.0.2.1", Result.FAIL, "-all"),
        # 5.3 a
        ("v=spf1 a -all", "192.0.2.7", Result.PASS, "a"),
        ("v=spf1 a/24 -all", IP4, Result.PASS, "a/24"),
        ("v=spf1 a:a.example -all", IP4, Result.PASS, "a:a.example"),
        ("v=spf1 a:A.EXAMPLE. -all", IP6, Result.PASS, "a:A.EXAMPLE."),
        ("v=spf1 a:b.example -all", IP4, Result.FAIL, "-all"),
        ("v=spf1 a:b.example/24 -all", IP4, Result.PASS, "a:b.example/24"),
        ("v=spf1 a:a.example/24//32 -all", "2001:db8:5::", Result.PASS, "a:a.example/24//32"),
        ("v=spf1 a:a.example//32 -all", "192.0.2.5", Result.FAIL, "-all"),
        ("v=spf1 a:a.example/0 -all", STRANGER, Result.PASS, "a:a.example/0"),
        ("v=spf1 a:b.example/0 -all", IP6, Result.FAIL, "-all"),
        ("v=spf1 a:manya.example -all", IP4, Result.PASS, "a:manya.example"),
        ("v=spf1 a:gone.example -all", IP4, Result.FAIL, "-all"),
        ("v=spf1 a:servfail.example -all", IP4, Result.TEMPERROR, ""),
        ("v=spf1 a:" + "x" * 64 + ".example -all", IP4, Result.FAIL, "-all"),
        # 5.4 mx
        ("v=spf1 mx:mail.example -all", IP4, Result.PASS, "mx:mail.example"),
        ("v=spf1 mx:mail.example -all", IP6, Result.PASS, "mx:mail.example"),
        ("v=spf1 mx:mail.example/24 -all", "192.0.2.200", Result.PASS, "mx:mail.example/24"),
        ("v=spf1 mx:a.example -all", IP4, Result.FAIL, "-all"),
        ("v=spf1 mx:nullmx.example -all", IP4, Result.FAIL, "-all"),
        ("v=spf1 mx:slowmx.example -all", IP4, Result.TEMPERROR, ""),
        ("v=spf1 mx:manymx.example -all", IP4, Result.PERMERROR, ""),
        # 5.5 ptr
        ("v=spf1 ptr:example -all", IP4, Result.PERMERROR, ""),
        ("v=spf1 ptr:a.example -all", IP4, Result.PASS, "ptr:a.example"),
        ("v=spf1 ptr:A.example -all", IP6, Result.PASS, "ptr:A.example"),
        ("v=spf1 ptr:lie.example -all", IP4, Result.FAIL, "-all"),
        ("v=spf1 ptr:xa.example -all", IP4, Result.FAIL, "-all"),
        ("v=spf1 ptr:b.example -all", "192.0.2.2", Result.PASS, "ptr:b.example"),
        ("v=spf1 ptr:b.example -all", "192.0.2.3", Result.FAIL, "-all"),
        # 5.7 exists
        ("v=spf1 exists:b.example -all", IP4, Result.PASS, "exists:b.example"),
        ("v=spf1 exists:b.example -all", IP6, Result.PASS, "exists:b.example"),
        ("v=spf1 exists:gone.example -all", IP4, Result.FAIL, "-all"),
        ("v=spf1 exists:servfail.example -all", IP4, Result.TEMPERROR, ""),
        # 5.2 include
        ("v=spf1 include:pass.example -all", IP4, Result.PASS, "include:pass.example"),
        ("v=spf1 -include:pass.example +all", IP4, Result.FAIL, "-include:pass.example"),
        ("v=spf1 include:pass.example ~all", STRANGER, Result.SOFTFAIL, "~all"),
        ("v=spf1 include:softfail.example ?all", IP4, Result.NEUTRAL, "?all"),
        ("v=spf1 include:neutral.example +all", IP4, Result.PASS, "+all"),
        ("v=spf1 include:servfail.example +all", IP4, Result.TEMPERROR, ""),
        ("v=spf1 include:broken.example +all", IP4, Result.PERMERROR, ""),
        ("v=spf1 include:nothing.example +all", IP4, Result.PERMERROR, ""),
        ("v=spf1 include:gone.example +all", IP4, Result.PERMERROR, ""),
        # 6.1 redirect
        ("v=spf1 redirect=pass.example", IP4, Result.PASS, "ip4:192.0.2.0/24"),
        ("v=spf1 redirect=fail.example +all", IP4, Result.PASS, "+all"),
        ("v=spf1 redirect=fail.example ip4:192.0.2.1", IP4, Result.PASS, "ip4:192.0.2.1"),
        ("v=spf1 redirect=gone.example", IP4, Result.PERMERROR, ""),
        ("v=spf1 redirect=servfail.example", IP4, Result.TEMPERROR, ""),
        # 6 unknown modifiers
        ("v=spf1 moo=cow-%{d} x-1._y= -all", IP4, Result.FAIL, "-all"),
    ],
)
def test_a_record_says(
    server: DnsServer, record: str, client_ip: str, result: Result, mechanism: str
) -> None:
    found = judge(server, record, client_ip)
    assert (found.result, found.mechanism) == (result, mechanism)
    assert bool(found.problem) is (result in (Result.TEMPERROR, Result.PERMERROR))


BAD_TERMS = r"""
    all:x.example all/8 all. - --all all- =x 1x=y \xe4=y ipv4:192.0.2.1 A.b:c.example
    include include: include/24 include:pass.example/24 exists exists: exists:b.example/24
    ptr/24 ptr: mx: mx:/24 a: a:/24 a:/24//64
    a/33 a/024 a/ a// a//129 a/24/64 a/8// a/x a/-1 a/9999999 a:b.example/33 a:b.example//129
    a:example a:museum. a:1.2.3.4 a:b.1 a:b.example:25 a:b.. a:b.-x a:b.x- a:b.\xe4x a:b.%example
    a:% a:%{z}.example a:%{d a:%{} a:%{d0}.example a:%(d).example a:%{dx} a:%{d}example
    a:%{c}.example a:%{r}.example a:%{t}.example a:b\t.example a:b\x00.example
    ip4 ip4: ip4:1.2.3 ip4:1.2.3.4:25 ip4:1.2.3.4/33 ip4:1.2.3.4/032 ip4:1.2.3.4\n
    ip4:1.2.3.04 ip4:1.2.3.4//32 ip4:::1 ip4/8 ip4:1.2.3.4/
    ip6 ip6: ip6:192.0.2.1 ip6:::1/129 ip6:::1%eth0 ip6:2001:db8 ip6:::1/
    redirect= redirect=example redirect=pass.example/24 exp= exp=%{c}.x.example
    moo=%{z} moo=% moo=caf\xe9
"""


@pytest.mark.parametrize(
    "term",
    [
        *(term.encode().decode("unicode_escape") for term in BAD_TERMS.split()),
        "redirect=pass.example redirect=pass.example",
        "exp=why.example exp=why.example",
    ],
)
def test_an_error_anywhere_in_the_record_spoils_it(server: DnsServer, term: str) -> None:
    found = judge(server, f"v=spf1 ip4:192.0.2.0/24 {term} -all")
    assert found.result is Result.PERMERROR
    assert found.problem
    assert found.text.isascii()
    assert found.text.isprintable()


# --- 4.6.4: limits


@pytest.mark.parametrize(
    ("record", "result"),
    [
        ("v=spf1 " + "a:b.example " * 10 + "+all", Result.PASS),
        ("v=spf1 " + "a:b.example " * 11 + "+all", Result.PERMERROR),
        ("v=spf1 " + "a:b.example " * 10 + "redirect=pass.example", Result.PERMERROR),
        ("v=spf1 " + "ip4:203.0.113.1 " * 50 + "+all", Result.PASS),
        ("v=spf1 include:nine.example +all", Result.PASS),
        ("v=spf1 a:b.example include:nine.example +all", Result.PERMERROR),
        ("v=spf1 include:circle.example", Result.PERMERROR),
        ("v=spf1 redirect=turn.example", Result.PERMERROR),
        ("v=spf1 a:v1.example a:v2.example +all", Result.PASS),
        ("v=spf1 a:v1.example a:v2.example exists:v3.example +all", Result.PERMERROR),
        ("v=spf1 a:v1.example mx:v2.example mx:v3.example +all", Result.PERMERROR),
    ],
)
def test_a_record_may_cost_only_so_many_lookups(
    server: DnsServer, record: str, result: Result
) -> None:
    nine: Records = {"TXT": txt("v=spf1 " + "a:b.example " * 9)}
    assert judge(server, record, nine_example=nine).result is result


def test_only_ten_names_of_the_client_are_tried() -> None:
    names = [f"n{n}.example" for n in range(40)]
    with DnsServer(
        {
            "case.example": {"TXT": txt("v=spf1 ptr -all")},
            reverse(IP4): {"PTR": names},
            **{name: {"A": [STRANGER]} for name in names},
        }
    ) as dns:
        assert ask(dns, "user@case.example").result is Result.FAIL
        assert len([name for name, kind in dns.queries if kind == "A"]) == 10


def test_name_servers_that_are_silent_are_a_temporary_error() -> None:
    with DnsServer({"silent.example": Trouble.TIMEOUT}) as dns:
        resolver = DnsResolver(dns.address, lifetime=0.5)
        found = check(Identity.MAILFROM, IP4, "h", "u@silent.example", "mx.test", resolver)
    assert found.result is Result.TEMPERROR
    assert "silent.example" in found.text


# --- 7: macros, seen through exists:


@pytest.mark.parametrize(
    ("spec", "client_ip", "name"),
    [
        ("%{i}.x.example", IP4, "192.0.2.1.x.example"),
        ("%{ir}.%{v}.x.example", IP4, "1.2.0.192.in-addr.x.example"),
        (
            "%{ir}.%{v}.x.example",
            IP6,
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.x.example",
        ),
        ("%{d}.x.example", IP4, "case.example.x.example"),
        ("%{d1}.x.example", IP4, "example.x.example"),
        ("%{d9}.x.example", IP4, "case.example.x.example"),
        ("%{d1r}.x.example", IP4, "case.x.example"),
        ("%{o}.%{h}.example", IP4, "case.example.helo.example.example"),
        ("%{l}.x.example", IP4, "strong-bad+v=2.x.example"),
        ("%{l-}.x.example", IP4, "strong.bad+v=2.x.example"),
        ("%{lr-+=}.x.example", IP4, "2.v.bad.strong.x.example"),
        ("%{l1r-}.x.example", IP4, "strong.x.example"),
        ("%{lr1-}.x.example", IP4, None),
        ("%{l1-}.x.example", IP4, "bad+v=2.x.example"),
        ("%{L}.x.example", IP4, "strong-bad%2bv%3d2.x.example"),
        ("%{p}.x.example", IP4, "a.example.x.example"),
        ("%{p}.x.example", STRANGER, "unknown.x.example"),
        ("%%a%-b.x.example", IP4, "%a%20b.x.example"),
        ("x.%{d}", IP4, "x.case.example"),
        ("x.%{d}.", IP4, None),
    ],
)
def test_macros_make_names(server: DnsServer, spec: str, client_ip: str, name: str | None) -> None:
    server.zone = {**ZONE, "case.example": {"TXT": txt(f"v=spf1 exists:{spec} -all")}}
    server.queries.clear()
    found = ask(server, "strong-bad+v=2@case.example", client_ip)
    asked = [query for query, kind in server.queries if kind == "A"]
    if name is None:
        assert found.result is Result.PERMERROR
    else:
        assert found.result is Result.FAIL
        assert asked[-1] == name


def test_a_name_that_grows_too_long_loses_labels_from_the_left() -> None:
    zone: dict[str, Records] = {
        "case.example": {"TXT": txt("v=spf1 exists:%{l}.keep.example -all")},
        "keep.example": {"A": ["127.0.0.2"]},
    }
    local = ".".join(["x" * 60] * 5)
    with DnsServer(zone) as dns:
        ask(dns, f"{local}@case.example")
        (asked,) = [name for name, kind in dns.queries if kind == "A"]
    assert asked == ".".join(["x" * 60] * 3 + ["keep.example"])


# --- 6.2: explanations


@pytest.mark.parametrize(
    ("texts", "explanation"),
    [
        (["see https://x.example/?ip=%{i}"], "see https://x.example/?ip=192.0.2.1"),
        (["%{s} %{l} %{o} %{h}"], "user@case.example user case.example helo.example"),
        (["%{c} is not %{p}; asks %{r}"], "192.0.2.1 is not a.example; asks mx.test"),
        (["100%% sure%_and%-sound"], "100% sure and%20sound"),
        (["%{S}"], "user%40case.example"),
        (["one", "two"], ""),
        (["caf\xe9"], ""),
        (["broken %{"], ""),
        (["line\r\n250 ok"], ""),
        (["x" * 5000], "x" * 400),
        ([], ""),
    ],
)
def test_the_domain_explains_a_fail(server: DnsServer, texts: list[str], explanation: str) -> None:
    why: Records = {"TXT": txt(*texts)} if texts else {}
    found = judge(server, "v=spf1 -all exp=reason.example", reason_example=why)
    assert (found.result, found.explanation) == (Result.FAIL, explanation)


@pytest.mark.parametrize(
    ("record", "explanation"),
    [
        ("v=spf1 ~all exp=why.example", ""),
        ("v=spf1 -all exp=gone.example", ""),
        ("v=spf1 -all exp=servfail.example", ""),
        ("v=spf1 include:fail.example -all", ""),
        ("v=spf1 -include:fail.example -all exp=why.example", None),
        ("v=spf1 redirect=fail.example", "192.0.2.1 may not send for fail.example, says mx.test"),
        (
            "v=spf1 redirect=fail.example exp=gone.example",
            "192.0.2.1 may not send for fail.example, says mx.test",
        ),
    ],
)
def test_whose_explanation_counts(server: DnsServer, record: str, explanation: str | None) -> None:
    own = "192.0.2.1 may not send for case.example, says mx.test"
    assert judge(server, record).explanation == (own if explanation is None else explanation)


def test_the_result_in_words(server: DnsServer) -> None:
    assert ask(server, "u@pass.example").text == "pass.example permits 192.0.2.1 to send its mail"
    assert "does not permit 192.0.2.1" in ask(server, "u@fail.example").text
    assert "no SPF record" in ask(server, "u@nothing.example").text
    assert "'foo' is not a mechanism" in ask(server, "u@broken.example").text


# --- garbage


FRAGMENTS = r"""
    all a mx ptr ip4 ip6 include exists redirect exp - ~ ? + : = / // 24 128 0 % { } %{ d1r i p l
    .example b.example circle.example ::1 192.0.2.0 %{d} %{ir} %% %_ . ..
"""
TERMS = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from(FRAGMENTS.split()), max_size=8).map("".join),
)
OCTETS = st.text(alphabet=[chr(n) for n in range(256)], max_size=300)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(record=st.one_of(OCTETS, st.lists(TERMS, max_size=6).map(" ".join)), local=st.text())
def test_no_record_and_no_sender_cause_an_exception(
    server: DnsServer, record: str, local: str
) -> None:
    text = f"v=spf1 {record}".encode("utf-8", "replace").decode("latin-1")
    server.zone["case.example"] = {"TXT": txt(text)}
    found = ask(server, f"{local}@case.example")
    assert found.text.isprintable()
    assert found.mechanism.isprintable()
    assert found.explanation.isascii()


@pytest.mark.parametrize(
    "record",
    [
        "a" * 30_000,
        "a:" + "a." * 15_000 + "-",
        "%" * 30_000,
        "exists:" + "%{d}" * 7_000,
        "a/" + "1" * 30_000,
        "a" + "/1" * 15_000,
        "ip4:" + "1." * 15_000,
        "x=" * 15_000,
        "ip4:203.0.113.1 " * 1_800,
    ],
)
def test_a_huge_record_does_not_keep_us_busy(server: DnsServer, record: str) -> None:
    assert judge(server, f"v=spf1 {record}", STRANGER).result in (Result.PERMERROR, Result.NEUTRAL)
