"""Both ends of a TLS channel see the same bindings, in every version (RFC 5929)."""

import hashlib
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from mta.protocol import channel_binding

# Signed with SHA-1, which our library does not make any more.
WEAK = """
3082016c30820114a00302010202143abda93a9ba072a5095a28bd35c6d8e4bfa5e22f300906072a8648ce3d0401300c
310a300806035504030c01613020170d3236313132323137313032335a180f32313236313032393137313032335a300c
310a300806035504030c01613059301306072a8648ce3d020106082a8648ce3d03010703420004d671d406787e01394a
2287ebfbb68eb6ec4f9a4bb141f6509668ab805e4ed41e3852c2ce8e557e46e32505eae0a415f2dbf839cc42febd4fc1
20a7b62e1bde36a3533051301d0603551d0e0416041403bed383d6490146c1fbbb89e6c7c65d1667057d301f0603551d
2304183016801403bed383d6490146c1fbbb89e6c7c65d1667057d300f0603551d130101ff040530030101ff30090607
2a8648ce3d04010347003044021f2f750607aaeddd03d8230d6b5be30bfdec670c7dc44d58200fe0a70a792cc4022100
ec050af555f9aed56fc4289b4523420f1b8c599ac825ac556fb68b33c0db87f0
"""

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def make_certificate(key, algorithm):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example.test")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(EPOCH)
        .not_valid_after(EPOCH + timedelta(days=36500))
        .sign(key, algorithm)
    )


def encoded(certificate, encoding=serialization.Encoding.DER):
    return certificate.public_bytes(encoding)


@pytest.fixture(scope="module")
def key():
    return ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        (hashes.SHA256(), hashlib.sha256),
        (hashes.SHA384(), hashlib.sha384),
        (hashes.SHA512(), hashlib.sha512),
    ],
)
def test_the_certificate_is_hashed_as_it_was_signed(key, algorithm, expected):
    certificate = make_certificate(key, algorithm)
    digest = expected(encoded(certificate)).digest()
    assert channel_binding.end_point(encoded(certificate)) == digest
    pem = encoded(certificate, serialization.Encoding.PEM)
    other = encoded(make_certificate(key, hashes.SHA224()), serialization.Encoding.PEM)
    assert channel_binding.end_point(b"our chain\n" + pem + other) == digest


def test_a_weak_hash_is_replaced():
    der = bytes.fromhex(WEAK)
    assert channel_binding.end_point(der) == hashlib.sha256(der).digest()


def test_without_a_hash_there_is_no_such_binding():
    certificate = make_certificate(ed25519.Ed25519PrivateKey.generate(), None)
    assert channel_binding.end_point(encoded(certificate)) is None


@pytest.mark.parametrize("garbage", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_an_error(garbage):
    with pytest.raises(ValueError):
        channel_binding.end_point(garbage)


@pytest.fixture(scope="module")
def certificate(key):
    return make_certificate(key, hashes.SHA256())


@pytest.fixture
def server_context(key, certificate, tmp_path):
    path = tmp_path / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + encoded(certificate, serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def connect(server_context, version):
    """Both ends of a channel of that version, in memory."""
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.verify_mode = ssl.CERT_NONE
    client_context.minimum_version = client_context.maximum_version = version
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server)
    waiting = [client, server]
    while waiting:
        end = waiting.pop(0)
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(end)
    return client, server


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_ends_see_the_same(server_context, certificate, version):
    client, server = connect(server_context, version)
    of_server = channel_binding.bindings(server, channel_binding.end_point(encoded(certificate)))
    seen = channel_binding.end_point(client.getpeercert(binary_form=True))
    assert channel_binding.bindings(client, seen) == of_server
    assert channel_binding.END_POINT in of_server


def test_tls_unique_is_of_tls_1_2_and_of_one_channel(server_context):
    bindings = [
        channel_binding.bindings(connect(server_context, version)[1], None)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    ]
    first, second, newer = (found.get(channel_binding.UNIQUE) for found in bindings)
    assert first and second and first != second
    assert newer is None
