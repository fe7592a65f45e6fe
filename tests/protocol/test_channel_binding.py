"""Both ends of a TLS channel see the same binding, and no other channel has it (RFC 5929)."""

import ssl

import pytest

from deploy import certificate
from mta.protocol import channel_binding


@pytest.fixture(scope="module")
def server_context(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    certificate.ensure(folder, "mail.example.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
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
def test_both_ends_see_the_same(server_context, version):
    client, server = connect(server_context, version)
    assert channel_binding.bindings(client) == channel_binding.bindings(server)


def test_tls_unique_is_of_tls_1_2_and_of_one_channel(server_context):
    first, second, newer = (
        channel_binding.bindings(connect(server_context, version)[1]).get(channel_binding.UNIQUE)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    )
    assert first and second and first != second
    assert newer is None
