"""Step 6, ESMTP: signing in at a relay whose route has a user and a password (RFC 4954).

A sign-in that fails is a fault of the configuration, not of the mail: it is a temporary reply,
so that the mail waits and its timeline says what to mend.
"""

import base64
import ipaddress

from mta.protocol import auth_client, scram, status
from mta.protocol.auth_client import Credentials
from mta.protocol.reply import Reply
from mta.protocol.saslprep import SaslprepError
from mta.protocol.scram_client import Impostor
from mta.protocol.smtp_client import SmtpClient

_HIDDEN = "(hidden)"
_SIGN_IN_FIRST = frozenset({530, 534, 535, 538})
# RFC 4954 6: a temporary failure of authentication.
_CODE, _NOT_NOW, _REFUSED = 454, "4.7.0", "4.7.8"


def unreadable() -> Reply:
    return Reply(
        _CODE, status.LOCAL_ERROR, "the password of the route cannot be read: set it again"
    )


def sign_in(client: SmtpClient, credentials: Credentials, address: str) -> Reply | None:
    """Sign in at the peer at `address`; gives why not, in words for the timeline, else None.

    In clear only to this very machine: the caller has seen to TLS wherever the route wants it.
    Raises SmtpError when the connection ends.
    """
    if not client.stream.tls and not ipaddress.ip_address(address).is_loopback:
        return Reply(_CODE, _NOT_NOW, "a password is never sent in clear to another machine")
    mechanism = auth_client.choose(client.offered)
    if not mechanism:
        return Reply(_CODE, _NOT_NOW, _no_mechanism(client))
    try:
        reply = client.authenticate(mechanism, auth_client.begin(mechanism, credentials))
    except (scram.BadMessage, Impostor, SaslprepError) as error:
        return Reply(_CODE, _REFUSED, f"AUTH {mechanism} as {credentials.user}: {error}")
    if reply.code == 235:
        return None
    said = _without_secrets(str(reply), credentials)
    return Reply(
        _CODE, _REFUSED, f"the relay refused to sign {credentials.user} in ({mechanism}): {said}"
    )


def not_signed_in(reply: Reply) -> Reply:
    """A relay that says "sign in first" (RFC 4954 6) means our route, not the mail: that waits."""
    if reply.code not in _SIGN_IN_FIRST:
        return reply
    return Reply(_CODE, _NOT_NOW, f"the relay wants another sign-in than the route has: {reply}")


def _no_mechanism(client: SmtpClient) -> str:
    offered = client.offered.get("AUTH")
    if offered is None:
        return "the route has a user, but the relay does not offer AUTH"
    return f"the relay offers no AUTH mechanism that we know, but only: {offered}"


def _without_secrets(text: str, credentials: Credentials) -> str:
    """A peer that repeats what it was told must not put a password into our records."""
    plain = f"\0{credentials.user}\0{credentials.password}".encode()
    for secret in (plain, credentials.password.encode()):
        text = text.replace(base64.b64encode(secret).decode(), _HIDDEN)
    return text.replace(credentials.password, _HIDDEN)
