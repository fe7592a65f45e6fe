"""Signing in at a relay: with whom, over what, and what a failure means for the mail."""

import pytest

from mta.protocol.auth_client import Credentials
from mta.transports.base import Result
from tests.support.sink import ALL_EXTENSIONS, Answer, Sink, Tls, self_signed
from tests.transports.esmtp_delivery import SHORT, Delivery, message

ANN = Credentials("ann@example.com", "s3cret pass")
USERS = {ANN.user: ANN.password}
MAIL = message(1, "bob@example.org")


@pytest.fixture(scope="module")
def certificate() -> tuple[bytes, bytes]:
    return self_signed("localhost")


@pytest.fixture
def trusted(certificate, tmp_path, monkeypatch) -> None:
    path = tmp_path / "authorities.pem"
    path.write_bytes(certificate[0])
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))


def relay(mechanisms: str, **more) -> Sink:
    offered = (*ALL_EXTENSIONS, f"AUTH {mechanisms}") if mechanisms else ALL_EXTENSIONS
    return Sink(extensions=offered, users=USERS, **more)


def word(sink: Sink, *options: str) -> str:
    return "/".join([f"relay:localhost:{sink.port}", *options, "AUTH=7"])


@pytest.mark.parametrize(
    ("offered", "used"),
    [
        ("LOGIN PLAIN SCRAM-SHA-256 CRAM-MD5", "SCRAM-SHA-256"),
        ("LOGIN PLAIN", "PLAIN"),
        ("login", "LOGIN"),
    ],
)
def test_the_best_mechanism_is_used_under_tls(trusted, certificate, offered, used):
    with relay(offered, tls=Tls.STARTTLS, certificate=certificate) as sink:
        delivery = Delivery(word(sink, "REQUIRED"), MAIL, credentials=ANN)
    assert delivery.results == [Result.SENT]
    (session,) = sink.sessions
    assert (session.user, session.tls) == (ANN.user, "TLSv1.3")
    assert session.verbs[:4] == ["EHLO", "STARTTLS", "EHLO", "AUTH"]
    assert session.commands[3].split()[1] == used


def test_implicit_tls(trusted, certificate):
    with relay("PLAIN", tls=Tls.IMPLICIT, certificate=certificate) as sink:
        delivery = Delivery(word(sink, "SMTPS"), MAIL, credentials=ANN)
    assert delivery.results == [Result.SENT]
    assert sink.sessions[0].user == ANN.user


def test_a_password_is_for_nobody_without_the_right_certificate(certificate):
    with relay("PLAIN", tls=Tls.STARTTLS, certificate=certificate) as sink:
        delivery = Delivery(word(sink, "REQUIRED", "IPV4ONLY"), MAIL, credentials=ANN)
    assert delivery.results == [Result.DEFERRED]
    assert "certificate" in delivery.only.reply.text
    assert not any("AUTH" in session.verbs for session in sink.sessions)


@pytest.mark.parametrize("option", ["REQUIRED", "STARTTLS"])
def test_no_tls_no_password(option):
    with relay("PLAIN") as sink:
        delivery = Delivery(word(sink, option), MAIL, credentials=ANN)
    assert delivery.results == [Result.DEFERRED]
    assert not any({"AUTH", "MAIL"} & set(session.verbs) for session in sink.sessions)


def test_in_clear_on_loopback_when_the_route_says_so():
    with relay("PLAIN", tls=Tls.STARTTLS) as sink:
        delivery = Delivery(word(sink, "NONE"), MAIL, credentials=ANN)
    assert delivery.results == [Result.SENT]
    assert sink.sessions[0].user == ANN.user
    assert "STARTTLS" not in sink.sessions[0].verbs


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "PLAIN", "LOGIN"])
def test_a_refused_sign_in_defers_and_says_why(mechanism):
    wrong = Credentials(ANN.user, "not the password")
    with relay(mechanism) as sink:
        delivery = Delivery(word(sink, "NONE"), MAIL, credentials=wrong)
    assert delivery.results == [Result.DEFERRED]
    reply = delivery.only.reply
    assert (reply.code, reply.status) == (454, "4.7.8")
    assert "refused to sign ann@example.com in" in reply.text
    assert "535 5.7.8 wrong" in reply.text
    assert delivery.only.command == "AUTH"
    assert delivery.only.remote == "localhost [127.0.0.1]"
    assert len(sink.sessions) == 1
    assert "MAIL" not in sink.sessions[0].verbs


@pytest.mark.parametrize(
    ("offered", "why"), [("", "does not offer AUTH"), ("CRAM-MD5 GSSAPI", "CRAM-MD5 GSSAPI")]
)
def test_a_relay_without_a_way_to_sign_in_defers(offered, why):
    with relay(offered) as sink:
        delivery = Delivery(word(sink, "NONE"), MAIL, credentials=ANN)
    assert delivery.results == [Result.DEFERRED]
    assert why in delivery.only.reply.text


@pytest.mark.parametrize("step", ["MAIL", "RCPT"])
def test_a_relay_that_wants_a_sign_in_the_route_has_not_defers(step):
    with Sink({step: "530 5.7.0 authentication required"}) as sink:
        delivery = Delivery(sink.nexthop, MAIL)
    assert delivery.results == [Result.DEFERRED]
    assert "530 5.7.0 authentication required" in delivery.only.reply.text


def test_a_password_that_cannot_be_read_defers():
    with relay("PLAIN") as sink:
        delivery = Delivery(word(sink, "NONE"), MAIL, credentials=None)
    assert delivery.results == [Result.DEFERRED]
    assert "set it again" in delivery.only.reply.text


@pytest.mark.parametrize(
    ("mechanism", "replies"),
    [
        ("PLAIN", "334 "),
        ("PLAIN", "503 5.5.1 not now"),
        ("PLAIN", "what?"),
        ("LOGIN", "334 !!!"),
        ("SCRAM-SHA-256", "235 2.7.0 welcome, stranger"),
        ("SCRAM-SHA-256", "334 bm9uc2Vuc2U="),
        ("SCRAM-SHA-256", "334 "),
    ],
)
def test_nonsense_from_the_relay_defers(mechanism: str, replies: Answer):
    offered = (*ALL_EXTENSIONS, f"AUTH {mechanism}")
    with Sink({"AUTH": replies, "*": "501 5.7.0 given up"}, extensions=offered) as sink:
        delivery = Delivery(word(sink, "NONE"), MAIL, credentials=ANN, timeouts=SHORT)
    assert delivery.results == [Result.DEFERRED]
    assert not sink.messages


def test_a_relay_that_repeats_the_password_does_not_get_it_into_the_record():
    def repeat(session, line):
        return f"535 5.7.8 no: {line.split()[-1]} ({ANN.password})"

    with Sink({"AUTH": repeat}, extensions=(*ALL_EXTENSIONS, "AUTH PLAIN")) as sink:
        delivery = Delivery(word(sink, "NONE"), MAIL, credentials=ANN)
    (command,) = [each for each in sink.sessions[0].commands if each.startswith("AUTH")]
    assert ANN.password not in delivery.only.reply.text
    assert command.split()[-1] not in delivery.only.reply.text


def test_a_certificate_must_prove_the_name_where_the_route_says_so(trusted, certificate):
    with Sink(tls=Tls.STARTTLS, certificate=certificate) as good, Sink(tls=Tls.STARTTLS) as other:
        sent = Delivery(f"relay:localhost:{good.port}/STARTTLS", MAIL)
        deferred = Delivery(f"relay:localhost:{other.port}/STARTTLS/IPV4ONLY", MAIL)
    assert sent.results == [Result.SENT]
    assert deferred.results == [Result.DEFERRED]
    assert deferred.only.reply.status == "4.7.5"


def test_never_tls():
    with Sink(tls=Tls.STARTTLS) as sink:
        delivery = Delivery(f"{sink.nexthop}/NONE", MAIL)
    assert delivery.results == [Result.SENT]
    assert sink.messages[0].tls == ""


def test_addresses_of_one_kind_only():
    with Sink() as sink:
        four = Delivery(f"relay:localhost:{sink.port}/IPV4ONLY", MAIL)
        six = Delivery(f"relay:localhost:{sink.port}/IPV6ONLY", MAIL, timeouts=SHORT)
    assert four.only.remote == "localhost [127.0.0.1]"
    assert six.results == [Result.DEFERRED]
