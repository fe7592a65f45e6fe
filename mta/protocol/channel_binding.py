"""What ties an authentication to the TLS channel it runs in (RFC 5929, RFC 9266).

Somebody who sits between client and server has two channels, and so two different bindings.
"""

import ssl

UNIQUE = "tls-unique"
EXPORTER = "tls-exporter"


def bindings(tls: ssl.SSLObject | ssl.SSLSocket) -> dict[str, bytes]:
    """The bindings of this channel by type; empty when it has none that we can tell.

    tls-unique is not defined with TLS 1.3 (RFC 8446 C.5); tls-exporter came in its place, as
    soon as the `ssl` module can tell it. No third type is offered: a client that reads -PLUS
    takes it for the one that belongs to its version of TLS (RFC 5802 6.1, RFC 9266 3).
    """
    of_channel = EXPORTER if tls.version() == "TLSv1.3" else UNIQUE
    if of_channel not in ssl.CHANNEL_BINDING_TYPES:
        return {}
    data = tls.get_channel_binding(of_channel)
    return {of_channel: data} if data else {}
