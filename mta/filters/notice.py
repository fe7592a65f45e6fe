"""A notification by mail (RFC 5435, RFC 5436): to whom, and how it reads.

None is made of a message that a machine has written: notifications could notify each other.
"""

from mta.filters.answerable import Heading
from mta.filters.automatic import letter, message_id, one_line
from mta.filters.sieve.actions import Notify
from mta.protocol import address as addresses
from mta.protocol.mailbox_plan import Incoming, Notice

MAX_TEXT = 10_000


def notification(
    action: Notify, incoming: Incoming, mailbox: str, hostname: str, at: float
) -> Notice | None:
    """None when there is to be none for this message, or its address is none."""
    heading = Heading(incoming.content)
    submitted = heading.first("auto-submitted").partition(";")[0].strip().lower()
    if submitted not in ("", "no"):
        return None
    try:
        address = addresses.parse(action.address)
    except addresses.AddressError:
        return None
    if address.lower() == mailbox:
        return None
    subject = one_line(heading.first("subject"))
    sender = incoming.reverse_path or "<>"
    fields = {
        "From": action.sender or addresses.wire(mailbox),
        "To": addresses.wire(address),
        "Subject": action.subject or f"New message: {subject}",
        "Message-ID": message_id(hostname, "notify", incoming.recipient_id, action.line),
        # RFC 5436 section 2.7.1: by which the owner of the script can be found.
        "Auto-Submitted": f'auto-notified; owner-email="{addresses.wire(mailbox)}"',
        "Importance": {"1": "high", "3": "low"}.get(action.importance, "normal"),
    }
    text = action.text[:MAX_TEXT] or f"A message of {sender} has come for {mailbox}: {subject}"
    return Notice(address, action.line, letter(fields, at, text))
