"""SCRAM-SHA-256 between our client and our server, and what goes wrong (RFC 5802, RFC 7677)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.protocol import scram, scram_client
from mta.protocol.saslprep import SaslprepError
from mta.protocol.scram import Failure, StoredKeys
from mta.protocol.scram_client import Binding

USER = "bob@example.test"
PASSWORD = "correct horse"
KEYS = scram.derive(PASSWORD, scram.MIN_ITERATIONS)
OFFERED = {"tls-unique": b"of TLS 1.2", "tls-server-end-point": b"of the certificate"}


def answer(opening, *, keys=KEYS, bindings=None, plus=False):
    """The server's challenge to that opening of the client."""
    read = scram.read_first(opening.message)
    return read.challenge(keys, read.binding(bindings or {}, plus=plus))


def authenticate(password=PASSWORD, *, keys=KEYS, bindings=None, plus=False, **client):
    """A whole exchange; raises what either side raises."""
    opening = scram_client.open_exchange(USER, password, **client)
    challenge = answer(opening, keys=keys, bindings=bindings, plus=plus)
    proof = opening.respond(challenge.message)
    proof.verify(challenge.verify(proof.message))


def refusal(**exchange):
    with pytest.raises(scram.Refused) as caught:
        authenticate(**exchange)
    return caught.value.failure


class TestVector:
    """RFC 7677 3."""

    FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    CHALLENGE = (
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    FINAL = (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    VERIFIER = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

    def test_the_server(self):
        salt = scram.from_base64("W22ZaJ0SNY7soEsUEjb6gQ==")
        opening = scram.read_first(self.FIRST)
        assert opening.user == "user"
        challenge = opening.challenge(
            scram.derive("pencil", 4096, salt),
            opening.binding({}, plus=False),
            nonce="%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        )
        assert challenge.message == self.CHALLENGE
        assert challenge.verify(self.FINAL) == self.VERIFIER

    def test_the_client(self):
        opening = scram_client.open_exchange("user", "pencil", nonce="rOprNGfwEbeRWgbNEkqO")
        assert opening.message == self.FIRST
        proof = opening.respond(self.CHALLENGE)
        assert proof.message == self.FINAL
        proof.verify(self.VERIFIER)


class TestStoredKeys:
    def test_both_ways(self):
        text = KEYS.to_text()
        assert text.startswith("SCRAM-SHA-256$4096:")
        assert StoredKeys.from_text(text) == KEYS

    def test_fresh_salt_every_time(self):
        assert scram.derive(PASSWORD, 4096).to_text() != scram.derive(PASSWORD, 4096).to_text()

    def test_the_keys_are_not_shown_by_accident(self):
        assert str(KEYS.stored_key) not in repr(KEYS)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "pbkdf2_sha256$1000000$salt$hash",
            KEYS.to_text()[:-8],
            KEYS.to_text() + "\n",
            KEYS.to_text().replace("4096", "0"),
            KEYS.to_text().replace("4096", "-1"),
            KEYS.to_text().replace("4096", "٤٠٩٦"),
            KEYS.to_text().replace("256", "512"),
            "SCRAM-SHA-256$4096:c2FsdA==$c2hvcnQ=:c2hvcnQ=",
            "SCRAM-SHA-256$4096:c$c:c",
        ],
    )
    def test_other_text_is_refused(self, text):
        with pytest.raises(scram.BadKeys):
            StoredKeys.from_text(text)

    @given(st.text())
    def test_any_text_is_keys_or_the_error(self, text):
        with pytest.raises(scram.BadKeys):
            StoredKeys.from_text("SCRAM-SHA-256$" + text)

    def test_a_password_that_cannot_be_typed_is_refused(self):
        with pytest.raises(SaslprepError):
            scram.derive("bell\x07")


@pytest.mark.parametrize(
    ("stored", "typed"),
    [
        ("j\u00f6rg", "jo\u0308rg"),
        ("two words", "two\u00a0words"),
        ("so\u00adft", "soft"),
        ("\u2168", "IX"),
        ("\U0001f600", "\U0001f600"),
    ],
)
def test_a_password_is_the_same_however_it_is_typed(stored, typed):
    authenticate(typed, keys=scram.derive(stored, 4096))


@pytest.mark.parametrize("name", ["a,b=c@example.test", "=2C=3D", "jörg@example.test", "=3D2C"])
def test_names_come_through(name):
    opening = scram_client.open_exchange(name, PASSWORD, authorization=name)
    read = scram.read_first(opening.message)
    assert (read.user, read.authorization) == (name, name)


def test_a_wrong_password_is_refused():
    assert refusal(password="wrong horse") is Failure.INVALID_PROOF


def test_an_altered_verifier_tells_the_client_of_an_impostor():
    opening = scram_client.open_exchange(USER, PASSWORD)
    challenge = answer(opening)
    proof = opening.respond(challenge.message)
    challenge.verify(proof.message)
    other = scram.to_base64(bytes(32)).encode()
    with pytest.raises(scram_client.Impostor):
        proof.verify(b"v=" + other)
    with pytest.raises(scram.BadMessage):
        proof.verify(b"e=invalid-proof")


def test_an_answer_that_was_overheard_is_worth_nothing_later():
    opening = scram_client.open_exchange(USER, PASSWORD)
    overheard = opening.respond(answer(opening).message).message
    with pytest.raises(scram.Refused) as caught:
        answer(opening).verify(overheard)
    # Told by its nonce alone, before the proof is looked at.
    assert caught.value.failure is Failure.OTHER


def test_an_altered_challenge_shows():
    opening = scram_client.open_exchange(USER, PASSWORD)
    challenge = answer(opening)
    altered = challenge.message.replace(b"i=4096", b"i=5000")
    with pytest.raises(scram.Refused) as caught:
        challenge.verify(opening.respond(altered).message)
    assert caught.value.failure is Failure.INVALID_PROOF


@pytest.mark.parametrize(
    "challenge",
    [
        b"r=somebody-else,s=c2FsdA==,i=4096",
        b"r=mine,s=c2FsdA==,i=4096",
        b"r=mine-and-yours,s=c2FsdA==,i=4095",
        b"r=mine-and-yours,s=c2FsdA==,i=9999999",
    ],
)
def test_the_client_does_not_answer_a_bad_challenge(challenge):
    opening = scram_client.open_exchange(USER, PASSWORD, nonce="mine")
    with pytest.raises(scram_client.Impostor):
        opening.respond(challenge)


class TestUnknownUser:
    SECRET = b"of the appliance"

    def test_is_asked_like_a_known_one_and_refused_like_a_wrong_password(self):
        fake = scram.fake_keys(self.SECRET, USER, KEYS.iterations)
        opening = scram_client.open_exchange(USER, PASSWORD, nonce="mine")
        known, unknown = answer(opening).message, answer(opening, keys=fake).message
        assert len(known) == len(unknown)
        assert known.split(b",")[2] == unknown.split(b",")[2]
        assert refusal(keys=fake) is refusal(password="wrong") is Failure.INVALID_PROOF

    def test_has_the_same_salt_every_time_and_everywhere(self):
        once = scram.fake_keys(self.SECRET, USER)
        assert scram.fake_keys(self.SECRET, USER.upper()) == once
        assert scram.fake_keys(self.SECRET, "eve@example.test").salt != once.salt
        assert scram.fake_keys(b"another secret", USER).salt != once.salt

    def test_has_the_iterations_of_a_new_password(self):
        assert scram.fake_keys(self.SECRET, USER).iterations == scram.derive(PASSWORD).iterations


class TestChannelBinding:
    @pytest.mark.parametrize("kind", OFFERED)
    def test_bound_to_what_both_see(self, kind):
        authenticate(bindings=OFFERED, plus=True, binding=Binding(kind, OFFERED[kind]))

    def test_a_client_that_cannot_bind_needs_not(self):
        authenticate(bindings=OFFERED)

    def test_a_client_that_could_bind_does_without_where_it_is_not_offered(self):
        authenticate(could_bind=True)

    @pytest.mark.parametrize(
        ("exchange", "failure"),
        [
            # Somebody in the middle has another channel with each side.
            (
                {"plus": True, "binding": Binding("tls-unique", b"another channel")},
                Failure.BINDINGS_DO_NOT_MATCH,
            ),
            # Somebody in the middle took -PLUS out of the list.
            ({"could_bind": True}, Failure.BINDING_WAS_OFFERED),
            (
                {"plus": True, "binding": Binding("tls-exporter", b"")},
                Failure.UNSUPPORTED_BINDING_TYPE,
            ),
            ({"plus": True}, Failure.OTHER),
            ({"plus": True, "could_bind": True}, Failure.OTHER),
            (
                {"binding": Binding("tls-unique", OFFERED["tls-unique"])},
                Failure.BINDING_NOT_SUPPORTED,
            ),
        ],
    )
    def test_refused(self, exchange, failure):
        assert refusal(bindings=OFFERED, **exchange) is failure

    def test_a_header_altered_on_the_way_shows(self):
        opening = scram_client.open_exchange(USER, PASSWORD, could_bind=True)
        altered = scram.read_first(opening.message.replace(b"y,,", b"n,,", 1))
        challenge = altered.challenge(KEYS, altered.binding(OFFERED, plus=False))
        with pytest.raises(scram.Refused) as caught:
            challenge.verify(opening.respond(challenge.message).message)
        assert caught.value.failure is Failure.BINDINGS_DO_NOT_MATCH


FIRST = b"n,,n=bob,r=nonce"


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n",
        b"n,,",
        b"n,,n=bob",
        b"n,,n=,r=nonce",
        b"n,,n=bob,r=",
        b"n,,n=bob,r=no nce",
        b"n,,n=bob,r=non\x00ce",
        b"n,,n=b=ob,r=nonce",
        b"n,,n=b=2cob,r=nonce",
        b"n,,r=nonce,n=bob",
        b"n,,m=more,n=bob,r=nonce",
        b"n,,n=bob,r=nonce,m=more",
        b"n,,n=bob,r=nonce,",
        b"n,,n=bob,r=nonce\r\n",
        b"n,a=,n=bob,r=nonce",
        b"n,bob,n=bob,r=nonce",
        b"x,,n=bob,r=nonce",
        b"p,,n=bob,r=nonce",
        b"p=,,n=bob,r=nonce",
        b"p=tls unique,,n=bob,r=nonce",
        b"n,,n=b\xffb,r=nonce",
        b"n,,n=b\x07b,r=nonce",
        b"n,,n=\xc2\xad,r=nonce",
        b"n,,n=" + b"b" * 1001 + b",r=nonce",
        b"n,,n=bob,r=" + b"n" * scram.MAX_MESSAGE,
    ],
)
def test_a_malformed_first_message(message):
    with pytest.raises(scram.BadMessage):
        scram.read_first(message)


def test_optional_extensions_are_passed_over():
    assert scram.read_first(b"n,,n=bob,r=nonce,x=y,z==").user == "bob"


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"c=biws",
        b"c=biws,r=noncenonce",
        b"r=noncenonce,c=biws,p=cHJvb2Y=",
        b"c=biws,r=noncenonce,p=cHJvb2Y=",
        b"c=biw,r=noncenonce,p=" + b"A" * 43 + b"=",
        b"c=,r=noncenonce,p=" + b"A" * 43 + b"=",
        b"c=biws,r=noncenonce,p=" + b"A" * 43,
        b"c=biws,r=noncenonce,p=" + b"A" * 43 + b"=\n",
        b"c=biws,r=noncenonce,m=more,p=" + b"A" * 43 + b"=",
        b"c=biws,r=noncenonce,p=x,p=" + b"A" * 43 + b"=",
        b"c=biws,r=\xff,p=" + b"A" * 43 + b"=",
    ],
)
def test_a_malformed_last_message(message):
    challenge = scram.read_first(FIRST).challenge(KEYS, b"", nonce="nonce")
    with pytest.raises(scram.BadMessage):
        challenge.verify(message)


@given(st.binary())
def test_any_first_message_is_read_or_refused(message):
    for octets in (message, b"n,," + message, FIRST + message):
        try:
            assert scram.read_first(octets).user
        except scram.BadMessage:
            pass


@given(st.binary(), st.binary(max_size=40))
def test_no_garbage_proves_anything(garbage, proof):
    challenge = scram.read_first(FIRST).challenge(KEYS, b"", nonce="nonce")
    encoded = scram.to_base64(proof).encode()
    for message in (garbage, b"c=biws,r=noncenonce,p=" + encoded, b"c=biws," + garbage):
        with pytest.raises((scram.BadMessage, scram.Refused)):
            challenge.verify(message)


@given(st.binary())
def test_the_client_survives_any_server(garbage):
    opening = scram_client.open_exchange(USER, PASSWORD, nonce="mine")
    with pytest.raises((scram.BadMessage, scram_client.Impostor)):
        opening.respond(garbage)
