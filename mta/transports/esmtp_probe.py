"""Asks the host of an address whether it takes mail for it, and sends none.

MAIL FROM:<> and RCPT TO the address, in a session that is opened exactly as for a delivery, with
the protection that its domain asks for.
"""

from dataclasses import dataclass

from mta.protocol import address as addresses
from mta.protocol import status
from mta.protocol.mx import MxError
from mta.protocol.reply import Reply
from mta.protocol.smtp_stream import SmtpError
from mta.transports.base import DeliveryContext
from mta.transports.esmtp import Esmtp
from mta.transports.esmtp_connect import Connection, Refused, Unreachable
from mta.transports.esmtp_session import with_status


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of it; `remote` is the host that gave the reply, "" for none of them."""

    reply: Reply
    remote: str = ""


def probe(address: str, nexthop: str, transport: Esmtp, context: DeliveryContext) -> Probe:
    """Blocks for as long as the timeouts of the context allow, "session" for all of it. Raises
    ValueError for a next hop that is none."""
    try:
        connection = transport.connectors(nexthop, context)().connect()
    except MxError as error:
        return Probe(Reply(error.code, error.status, str(error)))
    except Refused as error:
        return Probe(with_status(error.reply), error.remote)
    except Unreachable as error:
        return Probe(Reply(error.cause.code, error.cause.status, str(error)), error.remote)
    try:
        reply = _ask(connection, address)
    except SmtpError as error:
        connection.client.close()
        return Probe(Reply(error.code, error.status, str(error)), connection.remote)
    connection.client.quit()
    return Probe(with_status(reply), connection.remote)


def _ask(connection: Connection, address: str) -> Reply:
    client = connection.client
    parameter = ""
    if not address.isascii():
        if "SMTPUTF8" not in client.offered:
            return Reply(553, status.NEEDS_SMTPUTF8, "the peer does not support SMTPUTF8")
        parameter = " SMTPUTF8"
    commands = [f"MAIL FROM:<>{parameter}", f"RCPT TO:<{addresses.wire(address)}>"]
    mail, rcpt = list(client.exchange(commands))
    return rcpt if mail.is_positive else mail
