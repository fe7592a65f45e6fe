"""AUTH through a real session: what is offered when, who gets in, and how guessing ends."""

import base64
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.db.models import F

from deploy import certificate
from mta.ingress import auth_verb
from mta.ingress import tls as contexts
from mta.models import AccessRule, Mailbox, Message, Refusal
from mta.protocol import scram_client
from mta.protocol.scram import StoredKeys
from mta.protocol.scram_client import Binding
from tests.ingress.conftest import PASSWORD
from tests.support.smtp_session import running_ingress
from tests.support.waiting import eventually

BOB = "bob@example.test"
PLUS = "SCRAM-SHA-256-PLUS"
TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
FAILED = "535 5.7.8 authentication failed"


@pytest.fixture
def town(town):
    """As elsewhere, with passwords that SCRAM knows; carl's is from before there was SCRAM."""
    for name in ("bob", "ann", "dora"):
        mailbox = Mailbox.objects.get(local_part=name)
        mailbox.set_password(PASSWORD)
        mailbox.save()
    return town


def secure(client, version=TLS_1_3, identity=None):
    """STARTTLS and EHLO; `identity` is a file with a client certificate and its key. Gives the
    mechanisms that are offered."""
    assert client.command("STARTTLS").startswith("220 ")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    if identity is not None:
        context.load_cert_chain(identity)
    client.sock = context.wrap_socket(client.sock)
    return mechanisms(client)


def mechanisms(client):
    lines = client.command("EHLO client.example.org").splitlines()
    return " ".join(line[4:] for line in lines if line[4:].startswith("AUTH "))


def encode(octets):
    return base64.b64encode(octets).decode()


def scram(client, user=BOB, password=PASSWORD, *, mechanism="SCRAM-SHA-256", **opening):
    """Sign in; gives the last reply. Raises Impostor when the server did not know the password."""
    first = scram_client.open_exchange(user, password, **opening)
    reply = client.command(f"AUTH {mechanism} {encode(first.message)}")
    if not reply.startswith("334 "):
        return reply
    proof = first.respond(base64.b64decode(reply[4:]))
    reply = client.command(encode(proof.message))
    if not reply.startswith("334 "):
        return reply
    proof.verify(base64.b64decode(reply[4:]))
    return client.command("")


def unique(client):
    return Binding("tls-unique", client.sock.get_channel_binding("tls-unique"))


class TestScram:
    def test_who_is_signed_in_may_send(self, ingress):
        with ingress.connect("submission") as client:
            assert mechanisms(client) == ""
            assert secure(client) == "AUTH SCRAM-SHA-256 PLAIN LOGIN"
            assert client.mail("bob@example.test", sender=BOB).startswith("530")
            assert scram(client) == "235 2.7.0 authenticated"
            assert scram(client).startswith("503")
            assert client.mail("friend@elsewhere.example", sender=BOB).startswith("250")
        assert Message.objects.get().auth_user == BOB

    def test_the_name_in_any_case(self, ingress):
        with ingress.connect("smtps") as client:
            assert scram(client, "Bob@Example.TEST").startswith("235")

    @pytest.mark.parametrize(
        ("user", "password"),
        [
            (BOB, "wrong"),
            ("nobody@example.test", PASSWORD),
            ("dora@example.test", PASSWORD),
            ("carl@example.test", PASSWORD),
            ("sales@example.test", PASSWORD),
        ],
    )
    def test_everybody_else_fails_alike(self, ingress, user, password):
        with ingress.connect("smtps") as client:
            assert scram(client, user, password) == FAILED
            assert client.mail(BOB).startswith("530")
        assert eventually(lambda: Refusal.objects.filter(stage="auth", recipient=user).count() == 1)

    def test_nobody_signs_in_for_another(self, ingress):
        with ingress.connect("smtps") as client:
            assert scram(client, authorization="ann@example.test") == FAILED
            assert scram(client, authorization=BOB).startswith("235")

    def test_a_user_who_is_not_there_has_the_same_salt_in_every_process(self, ingress, tls):
        def salt(ingress, user):
            opening = scram_client.open_exchange(user, PASSWORD)
            with ingress.connect("smtps") as client:
                reply = client.command(f"AUTH SCRAM-SHA-256 {encode(opening.message)}")
                return base64.b64decode(reply[4:]).decode().split(",")[1:]

        known = salt(ingress, "nobody@example.test")
        assert salt(ingress, "nobody2@example.test") != known
        dora = StoredKeys.from_text(Mailbox.objects.get(local_part="dora").scram)
        assert f"s={encode(dora.salt)}" not in salt(ingress, "dora@example.test")
        with running_ingress(tls) as other:
            assert salt(other, "Nobody@example.test") == known

    def test_broken_keys_let_nobody_in(self, ingress):
        Mailbox.objects.filter(local_part="bob").update(scram="SCRAM-SHA-256$x")
        with ingress.connect("smtps") as client:
            assert scram(client) == FAILED
            assert client.login(BOB, PASSWORD).startswith("235")

    def test_a_new_password_is_in_force_at_once(self, ingress):
        bob = Mailbox.objects.get(local_part="bob")
        bob.set_password("another")
        bob.save()
        with ingress.connect("smtps") as client:
            assert scram(client) == FAILED
            assert scram(client, password="another").startswith("235")

    def test_a_cancelled_exchange_is_no_sign_in(self, ingress):
        opening = scram_client.open_exchange(BOB, PASSWORD)
        with ingress.connect("smtps") as client:
            reply = client.command(f"AUTH SCRAM-SHA-256 {encode(opening.message)}")
            proof = opening.respond(base64.b64decode(reply[4:]))
            assert client.command(encode(proof.message)).startswith("334")
            assert client.command("*") == "501 5.7.0 authentication cancelled"
            assert client.mail(BOB).startswith("530")


class TestPlus:
    def test_over_tls_1_2(self, ingress):
        with ingress.connect("submission") as client:
            assert secure(client, TLS_1_2) == f"AUTH {PLUS} SCRAM-SHA-256 PLAIN LOGIN"
            assert scram(client, mechanism=PLUS, binding=unique(client)).startswith("235")

    def test_somebody_in_the_middle_has_another_channel(self, ingress):
        with ingress.connect("submission") as client, ingress.connect("submission") as other:
            secure(client, TLS_1_2)
            secure(other, TLS_1_2)
            assert scram(client, mechanism=PLUS, binding=unique(other)) == FAILED

    def test_a_client_that_was_shown_no_plus_is_refused(self, ingress):
        with ingress.connect("submission") as client:
            secure(client, TLS_1_2)
            assert scram(client, could_bind=True) == FAILED
            assert scram(client).startswith("235")

    def test_over_tls_1_3_a_client_that_could_bind_gets_in_without(self, ingress):
        with ingress.connect("submission") as client:
            secure(client, TLS_1_3)
            assert scram(client, could_bind=True).startswith("235")

    def test_it_is_not_taken_where_it_was_not_offered(self, ingress):
        with ingress.connect("submission") as client:
            secure(client, TLS_1_3)
            binding = Binding("tls-unique", b"anything")
            assert scram(client, mechanism=PLUS, binding=binding).startswith("504")


class Authority:
    """Somebody who vouches for client certificates."""

    def __init__(self):
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Our people")])
        self.certificate = self._signed(
            self._key, self._name, x509.BasicConstraints(ca=True, path_length=None)
        )

    def identity(self, *addresses):
        """A certificate for these addresses with its key, PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A person")])
        names = x509.SubjectAlternativeName([x509.RFC822Name(each) for each in addresses])
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return private + self._signed(key, subject, names)

    def _signed(self, key, subject, extension):
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(extension, critical=False)
            .sign(self._key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )


class TestExternal:
    @pytest.fixture
    def authority(self):
        return Authority()

    @pytest.fixture
    def ingress(self, town, authority, tmp_path, monkeypatch):
        monkeypatch.setattr(auth_verb, "AUTH_FAILURE_PAUSE", 0.0)
        certificate.ensure(tmp_path, "mail.example.test")
        (tmp_path / "clients.pem").write_bytes(authority.certificate)
        context = contexts.server_context(str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
        with running_ingress(context) as running:
            yield running

    @pytest.fixture
    def sign_in(self, ingress, authority, tmp_path):
        """Sign in by a certificate for these addresses, asking for `wanted`."""

        def sign_in(*addresses, wanted="", issuer=authority):
            path = tmp_path / "client.pem"
            path.write_bytes(issuer.identity(*addresses))
            with ingress.connect("submission") as client:
                offered = secure(client, identity=path)
                assert offered == "AUTH SCRAM-SHA-256 EXTERNAL PLAIN LOGIN"
                return client.command(f"AUTH EXTERNAL {encode(wanted.encode()) or '='}")

        return sign_in

    def test_the_certificate_names_the_user(self, sign_in):
        assert sign_in(BOB) == "235 2.7.0 authenticated"
        assert sign_in("Bob@EXAMPLE.test", wanted=BOB).startswith("235")

    def test_one_of_several_addresses_is_asked_for(self, sign_in):
        both = ("ann@example.test", BOB)
        assert sign_in(*both, wanted=BOB).startswith("235")

    @pytest.mark.parametrize("user", ["dora@example.test", "nobody@example.test"])
    def test_who_is_no_enabled_mailbox_stays_outside(self, sign_in, user):
        assert sign_in(user) == FAILED

    def test_nobody_signs_in_for_another(self, sign_in):
        assert sign_in(BOB, wanted="ann@example.test") == FAILED

    def test_without_a_certificate_it_is_not_offered(self, ingress):
        with ingress.connect("submission") as client:
            assert "EXTERNAL" not in secure(client)
            assert client.command("AUTH EXTERNAL =").startswith("504")
            assert client.login(BOB, PASSWORD).startswith("235")


class TestGuessing:
    CLIENT = "203.0.113.9"

    @pytest.fixture
    def connect(self, ingress, change):
        """A session from elsewhere, under TLS: a balancer on loopback says from where."""
        AccessRule.objects.create(prefix="127.0.0.1/32", proxy=True)
        change(tarpit=False, maxauthfailures=2)

        def connect(client_ip=self.CLIENT):
            client = ingress.connect("submission", greet=False)
            client.send(f"PROXY TCP4 {client_ip} 127.0.0.1 40000 587\r\n")
            assert client.reply().startswith("220 ")
            client.command("EHLO client.example.org")
            secure(client)
            return client

        return connect

    def fail(self, connect, times):
        with connect() as client:
            for number in range(times):
                assert client.login(BOB, f"guess {number}") == FAILED
        failures = Refusal.objects.filter(rule="credentials", client_ip=self.CLIENT)
        assert eventually(lambda: failures.count() == times)

    def test_an_address_that_fails_too_often_waits_and_others_do_not(self, connect):
        self.fail(connect, 2)
        with connect() as client:
            wait = "454 4.7.0 too many failed sign-ins, try later"
            assert client.login(BOB, PASSWORD) == wait
            assert scram(client) == wait
        with connect("192.0.2.7") as client:
            assert client.login(BOB, PASSWORD).startswith("235")

    def test_the_wait_has_an_end_for_who_keeps_on_trying(self, connect):
        self.fail(connect, 2)
        with connect() as client:
            for _ in range(3):
                assert client.login(BOB, PASSWORD).startswith("454")
            assert eventually(lambda: Refusal.objects.filter(rule="auth_failures").count() == 3)
            old = Refusal.objects.filter(rule="credentials")
            old.update(at=F("at") - timedelta(minutes=16))
            assert client.login(BOB, PASSWORD).startswith("235")

    def test_the_limit_can_be_lifted(self, connect, change):
        change(maxauthfailures=0)
        self.fail(connect, 2)
        with connect() as client:
            assert client.login(BOB, PASSWORD).startswith("235")

    def test_loopback_does_not_wait(self, ingress, change):
        change(maxauthfailures=1)
        with ingress.connect("smtps") as client:
            assert client.login(BOB, "a guess") == FAILED
            assert eventually(lambda: Refusal.objects.count() == 1)
            assert client.login(BOB, PASSWORD).startswith("235")
