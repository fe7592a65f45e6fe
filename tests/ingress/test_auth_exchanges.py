"""The SASL exchanges: what each mechanism asks, what it takes, and that garbage is malformed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.ingress import auth
from mta.ingress.auth import (
    Challenge,
    Channel,
    Credentials,
    KeysWanted,
    Malformed,
    Mechanism,
    Proved,
    Refused,
)
from mta.protocol import scram, scram_client
from mta.protocol.scram_client import Binding

USER = "bob@example.test"
PASSWORD = "correct horse"
KEYS = scram.derive(PASSWORD, scram.MIN_ITERATIONS)
SECRET = b"of the appliance"
BINDINGS = {"tls-server-end-point": b"of the certificate"}
BOUND = Channel(bindings=BINDINGS)
WITH_CERTIFICATE = Channel(identities=(USER, "sales@example.test"))


def run(mechanism, responses, *, initial=None, channel=None):
    """Play the session: (the outcome, the challenges). `responses` are octets, or a function
    from the challenge to octets."""
    exchange = auth.start(mechanism, initial, channel or Channel())
    responses = iter(responses)
    challenges = []
    try:
        wanted = next(exchange)
        while True:
            if isinstance(wanted, KeysWanted):
                known = wanted.user.lower() == USER
                answer = KEYS if known else scram.fake_keys(SECRET, wanted.user, KEYS.iterations)
            else:
                assert isinstance(wanted, Challenge)
                challenges.append(wanted.octets)
                answer = next(responses)
                answer = answer(wanted.octets) if callable(answer) else answer
            wanted = exchange.send(answer)
    except StopIteration as done:
        return done.value, challenges


def scram_run(mechanism, *, user=USER, password=PASSWORD, channel=None, last=b"", **client):
    opening = scram_client.open_exchange(user, password, **client)
    proofs = []

    def respond(challenge):
        proofs.append(opening.respond(challenge))
        return proofs[0].message

    def finish(challenge):
        proofs[0].verify(challenge)
        return last

    outcome, _ = run(mechanism, [respond, finish], initial=opening.message, channel=channel)
    return outcome


class TestPlain:
    RESPONSE = b"\0bob@example.test\0correct horse"

    def test_with_an_initial_response(self):
        assert run(Mechanism.PLAIN, [], initial=self.RESPONSE) == (Credentials(USER, PASSWORD), [])

    def test_asked_for_it(self):
        outcome, challenges = run(Mechanism.PLAIN, [self.RESPONSE])
        assert outcome == Credentials(USER, PASSWORD)
        assert challenges == [b""]

    def test_on_behalf_of_somebody(self):
        outcome, _ = run(Mechanism.PLAIN, [b"sales" + self.RESPONSE])
        assert outcome == Credentials(USER, PASSWORD, "sales")

    @pytest.mark.parametrize(
        "response",
        [b"", b"bob", b"\0bob", b"\0a\0b\0c", b"\0b\xffb\0secret", b"\0" + b"b" * 1001 + b"\0x"],
    )
    def test_malformed(self, response):
        with pytest.raises(Malformed):
            run(Mechanism.PLAIN, [response])


class TestLogin:
    def test_asks_for_user_and_password(self):
        outcome, challenges = run(Mechanism.LOGIN, [USER.encode(), PASSWORD.encode()])
        assert outcome == Credentials(USER, PASSWORD)
        assert challenges == [b"Username:", b"Password:"]

    def test_with_the_user_in_the_initial_response(self):
        outcome, challenges = run(Mechanism.LOGIN, [PASSWORD.encode()], initial=USER.encode())
        assert outcome == Credentials(USER, PASSWORD)
        assert challenges == [b"Password:"]

    def test_malformed(self):
        with pytest.raises(Malformed):
            run(Mechanism.LOGIN, [b"bob\0", b"secret"])


def test_a_password_is_not_shown_by_accident():
    assert PASSWORD not in repr(Credentials(USER, PASSWORD))


class TestScram:
    def test_the_client_proves_that_it_knows_the_password_and_so_do_we(self):
        assert scram_run(Mechanism.SCRAM_SHA_256) == Proved(USER, "", Mechanism.SCRAM_SHA_256)

    def test_without_an_initial_response(self):
        opening = scram_client.open_exchange(USER, PASSWORD)
        responses = [opening.message, lambda challenge: opening.respond(challenge).message, b""]
        outcome, challenges = run(Mechanism.SCRAM_SHA_256, responses)
        assert outcome == Proved(USER, "", Mechanism.SCRAM_SHA_256)
        assert challenges[0] == b""

    def test_on_behalf_of_somebody(self):
        outcome = scram_run(Mechanism.SCRAM_SHA_256, authorization="sales@example.test")
        assert outcome == Proved(USER, "sales@example.test", Mechanism.SCRAM_SHA_256)

    def test_bound_to_the_channel(self):
        binding = Binding("tls-server-end-point", BINDINGS["tls-server-end-point"])
        outcome = scram_run(Mechanism.SCRAM_SHA_256_PLUS, channel=BOUND, binding=binding)
        assert outcome == Proved(USER, "", Mechanism.SCRAM_SHA_256_PLUS)

    def test_bound_to_another_channel(self):
        binding = Binding("tls-server-end-point", b"of somebody in the middle")
        outcome = scram_run(Mechanism.SCRAM_SHA_256_PLUS, channel=BOUND, binding=binding)
        reason = "channel-bindings-dont-match"
        assert outcome == Refused(USER, Mechanism.SCRAM_SHA_256_PLUS, reason)

    def test_somebody_took_plus_out_of_the_list(self):
        outcome = scram_run(Mechanism.SCRAM_SHA_256, channel=BOUND, could_bind=True)
        reason = "server-does-support-channel-binding"
        assert outcome == Refused(USER, Mechanism.SCRAM_SHA_256, reason)

    def test_plus_on_a_channel_without_bindings(self):
        binding = Binding("tls-unique", b"anything")
        outcome = scram_run(Mechanism.SCRAM_SHA_256_PLUS, binding=binding)
        assert isinstance(outcome, Refused)

    @pytest.mark.parametrize("user", [USER, "nobody@example.test"])
    def test_a_wrong_password_and_an_unknown_user_end_alike(self, user):
        outcome = scram_run(Mechanism.SCRAM_SHA_256, user=user, password="wrong")
        assert outcome == Refused(user, Mechanism.SCRAM_SHA_256, "invalid-proof")

    def test_the_client_must_agree_to_our_proof(self):
        with pytest.raises(Malformed):
            scram_run(Mechanism.SCRAM_SHA_256, last=b"but")


class TestExternal:
    def test_the_identity_is_in_the_certificate(self):
        outcome, challenges = run(Mechanism.EXTERNAL, [b""], channel=WITH_CERTIFICATE)
        assert outcome == Proved(USER, "", Mechanism.EXTERNAL)
        assert challenges == [b""]

    def test_with_an_initial_response(self):
        outcome, challenges = run(Mechanism.EXTERNAL, [], initial=b"", channel=WITH_CERTIFICATE)
        assert outcome == Proved(USER, "", Mechanism.EXTERNAL)
        assert challenges == []

    def test_one_of_several_identities_is_asked_for(self):
        outcome, _ = run(
            Mechanism.EXTERNAL, [], initial=b"Sales@example.test", channel=WITH_CERTIFICATE
        )
        assert outcome == Proved("sales@example.test", "Sales@example.test", Mechanism.EXTERNAL)

    def test_another_identity_is_asked_for_and_not_proved(self):
        outcome, _ = run(
            Mechanism.EXTERNAL, [], initial=b"eve@example.test", channel=WITH_CERTIFICATE
        )
        assert outcome == Proved(USER, "eve@example.test", Mechanism.EXTERNAL)

    def test_a_certificate_without_an_address_proves_nobody(self):
        outcome, _ = run(Mechanism.EXTERNAL, [], initial=USER.encode())
        assert isinstance(outcome, Refused)


def subject(*pairs):
    return tuple((pair,) for pair in pairs)


class TestCertificate:
    @pytest.mark.parametrize(
        ("certificate", "identities"),
        [
            ({}, ()),
            ({"subject": subject(("commonName", USER))}, ()),
            ({"subject": subject(("commonName", "Bob"), ("emailAddress", USER))}, (USER,)),
            (
                {
                    "subject": subject(("emailAddress", "old@example.test")),
                    "subjectAltName": (("DNS", "example.test"), ("email", USER)),
                },
                (USER,),
            ),
            ({"subjectAltName": (("email", "Bob@EXAMPLE.test"),)}, ("Bob@example.test",)),
            (
                {"subjectAltName": (("email", USER), ("email", "a@b.test"), ("email", USER))},
                (USER, "a@b.test"),
            ),
            ({"subjectAltName": (("email", f"{USER}\0.evil.test"),)}, ()),
            ({"subjectAltName": (("email", "example.test"), ("email", ""))}, ()),
            ({"subjectAltName": (("email", "\ud800@example.test"),)}, ()),
            # A name we cannot read is a name all the same: the subject does not count then.
            (
                {
                    "subject": subject(("emailAddress", USER)),
                    "subjectAltName": (("email", "broken"),),
                },
                (),
            ),
        ],
    )
    def test_identities(self, certificate, identities):
        assert auth.certificate_identities(certificate) == identities

    @given(st.text(st.characters(), max_size=80))
    def test_any_name_is_an_address_or_passed_over(self, name):
        for identity in auth.certificate_identities({"subjectAltName": (("email", name),)}):
            assert "@" in identity
            assert identity.isprintable()


class TestOffered:
    @pytest.mark.parametrize(
        ("connection", "names"),
        [
            ({}, ""),
            ({"channel_binding": True, "client_certificate": True}, ""),
            ({"in_clear_allowed": True}, "SCRAM-SHA-256 PLAIN LOGIN"),
            (
                {"in_clear_allowed": True, "channel_binding": True, "client_certificate": True},
                "SCRAM-SHA-256 PLAIN LOGIN",
            ),
            ({"tls": True}, "SCRAM-SHA-256 PLAIN LOGIN"),
            (
                {"tls": True, "channel_binding": True},
                "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN",
            ),
            (
                {"tls": True, "channel_binding": True, "client_certificate": True},
                "SCRAM-SHA-256-PLUS SCRAM-SHA-256 EXTERNAL PLAIN LOGIN",
            ),
        ],
    )
    def test_by_connection(self, connection, names):
        plain = dict.fromkeys(
            ("tls", "in_clear_allowed", "channel_binding", "client_certificate"), False
        )
        assert " ".join(auth.offered(**(plain | connection))) == names


class TestBase64:
    @given(st.binary())
    def test_both_ways(self, octets):
        assert auth.decode(auth.encode(Challenge(octets)).encode()) == octets

    def test_one_sign_stands_for_nothing(self):
        assert auth.decode(b"=") == auth.decode(b"") == b""

    @pytest.mark.parametrize("line", [b"!!!", b"YQ", b"YQ==YQ==", b"YQ== ", b"==", b"\xff", b"*"])
    def test_malformed(self, line):
        with pytest.raises(Malformed):
            auth.decode(line)

    @given(st.binary())
    def test_any_line_is_decoded_or_malformed(self, line):
        try:
            auth.decode(line)
        except Malformed:
            pass


# Octets of the kind the mechanisms look at, so that the fuzzing gets past the first check.
PIECES = st.sampled_from(
    [b"n,,", b"y,,", b"p=tls-unique,,", b"a=", b"n=", b"r=", b"c=biws", b",", b"p=", b"m=x", b"="]
    + [b"\0", b"bob", USER.encode(), b"biws", b"\xff", b"\xc2\xad", b"=2C"]
)
RESPONSES = st.binary(max_size=60) | st.lists(PIECES, max_size=8).map(b"".join)


@given(
    mechanism=st.sampled_from(Mechanism),
    initial=st.none() | RESPONSES,
    responses=st.lists(RESPONSES, min_size=4, max_size=4),
    channel=st.sampled_from([Channel(), BOUND, WITH_CERTIFICATE]),
)
def test_garbage_is_malformed_or_refused(mechanism, initial, responses, channel):
    try:
        outcome, _ = run(mechanism, responses, initial=initial, channel=channel)
    except Malformed:
        return
    if mechanism in (Mechanism.SCRAM_SHA_256, Mechanism.SCRAM_SHA_256_PLUS):
        assert isinstance(outcome, Refused)
    elif isinstance(outcome, Proved):
        assert outcome.user in channel.identities


@given(responses=st.lists(RESPONSES, min_size=3, max_size=3))
def test_garbage_after_a_good_beginning_proves_nothing(responses):
    opening = scram_client.open_exchange(USER, PASSWORD)
    try:
        outcome, _ = run(Mechanism.SCRAM_SHA_256, responses, initial=opening.message)
    except Malformed:
        return
    assert isinstance(outcome, Refused)
