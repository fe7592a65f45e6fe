"""Mail that the instructions of a recipient send on: a new message that enters at the commit.

It keeps the sender, so that a report of its failure goes where the original's would (RFC 3461
5.2.7; spec 3.8). Its origin names the recipient: however often a delivery is repeated, it is
queued once.
"""

from collections.abc import Sequence

from mta.protocol import alias_program, verp
from mta.protocol.address import wire
from mta.protocol.envelope import Envelope, Recipient, Source
from mta.queue.lease import LeasedRecipient


def origin(recipient: LeasedRecipient) -> str:
    return f"forward {recipient.message_id} {recipient.id}"


def envelope(recipient: LeasedRecipient, addresses: Sequence[str]) -> Envelope:
    """The envelope of the message that goes to `addresses` in the recipient's place."""
    own = _own_address(recipient)
    reverse_path = recipient.reverse_path
    if recipient.verp:
        # Who sends to each recipient under a name of his own learns this one's, not those behind.
        reverse_path = verp.encode(reverse_path, own)
    # Only failures are left to tell; but who asked for silence gets it further on, too.
    notify = "NEVER" if recipient.notify == "NEVER" else "FAILURE"
    original = recipient.original_recipient or f"rfc822;{own}"
    return Envelope(
        reverse_path,
        tuple(Recipient(each, notify, original, forwarded_by=own) for each in addresses),
        Source.LOCAL,
        ret=recipient.ret,
        envid=recipient.envid,
        smtputf8=recipient.smtputf8 or not "".join(addresses).isascii(),
        requiretls=recipient.requiretls,
    )


def content(recipient: LeasedRecipient, octets: bytes) -> bytes:
    """The message with the line that lets a loop be found."""
    line = f"Delivered-To: {wire(_own_address(recipient))}\r\n"
    return line.encode("utf-8", "surrogateescape") + octets


def comment(recipient: LeasedRecipient) -> str:
    """What its Received field tells of where it comes from."""
    return f"forwarded by {_own_address(recipient)}"


def _own_address(recipient: LeasedRecipient) -> str:
    return alias_program.alias_apart(recipient.address) or recipient.address
