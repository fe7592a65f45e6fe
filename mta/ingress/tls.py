"""The TLS contexts of the ingress: our certificate, and who is asked for one of theirs.

Users may sign in by a client certificate (EXTERNAL, RFC 4422 appendix A). Other servers are not
asked: many have a certificate that no one here can verify, and asking would cost their mail.
"""

import logging
import ssl
from pathlib import Path
from typing import Any

from mta.ingress import auth
from mta.ingress.house import Listener

log = logging.getLogger(__name__)

# In the folder of our certificate: those who vouch for client certificates.
CLIENT_AUTHORITIES = "clients.pem"
HANDSHAKE_SECONDS = 30


class ServerContext(ssl.SSLContext):
    """What servers get. `for_users` is the same but asks for a client certificate; None when
    there is nobody to vouch for one."""

    for_users: ssl.SSLContext | None = None


def server_context(certificate: str, key: str) -> ServerContext:
    """Raises OSError or ssl.SSLError with a bad certificate or key. Bad client authorities only
    cost the users their client certificates."""
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    _prepare(context, certificate, key)
    authorities = Path(certificate).with_name(CLIENT_AUTHORITIES)
    if authorities.exists():
        context.for_users = _asking_context(certificate, key, authorities)
    return context


def for_listener(context: ssl.SSLContext, listener: Listener) -> ssl.SSLContext:
    """The context for the clients of a listener."""
    if listener.auth_required and isinstance(context, ServerContext) and context.for_users:
        return context.for_users
    return context


def describe(connection: Any) -> str:
    """The protocol and cipher of a transport, "" in clear."""
    tls = connection.get_extra_info("ssl_object")
    if tls is None:
        return ""
    cipher = tls.cipher()
    return f"{tls.version()} {cipher[0]}" if cipher else str(tls.version())


def identities(connection: Any) -> tuple[str, ...]:
    """The mail addresses in the client's certificate, if it has shown one that was verified."""
    return auth.certificate_identities(connection.get_extra_info("peercert") or {})


def _prepare(context: ssl.SSLContext, certificate: str, key: str) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)


def _asking_context(certificate: str, key: str, authorities: Path) -> ssl.SSLContext | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _prepare(context, certificate, key)
    try:
        context.load_verify_locations(authorities)
    except (OSError, ssl.SSLError) as error:
        log.error("no client certificates: %s cannot be used: %s", authorities, error)
        return None
    context.verify_mode = ssl.CERT_OPTIONAL
    return context
