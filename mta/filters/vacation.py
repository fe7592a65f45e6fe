"""The reply of who is away (RFC 5230): whether there is one, and how it reads."""

import hashlib

from mta.filters.answerable import Heading, is_of_a_machine
from mta.filters.automatic import letter, message_id, one_line
from mta.filters.sieve.actions import Vacation
from mta.protocol import address as addresses
from mta.protocol.mailbox_plan import Answer, Incoming

_MAX_REFERENCES = 2000


def answer(
    action: Vacation, incoming: Incoming, mailbox: str, hostname: str, at: float
) -> Answer | None:
    """None when this message is not answered. Whether its sender has had an answer lately is not
    known here."""
    sender = incoming.reverse_path
    heading = Heading(incoming.content)
    mine = {mailbox, incoming.recipient.lower(), _original(incoming.original_recipient)} - {""}
    mine |= {each.lower() for each in action.addresses}
    if not sender or sender.lower() in mine or is_of_a_machine(sender, heading):
        return None
    if not heading.is_addressed_to(mine):
        return None
    handle = action.handle or "\0".join(
        (action.subject, action.sender, str(action.mime), action.text)
    )
    return Answer(
        sender,
        hashlib.sha256(handle.encode("utf-8", "replace")).hexdigest(),
        action.seconds,
        _letter(action, incoming, heading, mailbox, hostname, at),
    )


def _letter(
    action: Vacation,
    incoming: Incoming,
    heading: Heading,
    mailbox: str,
    hostname: str,
    at: float,
) -> bytes:
    answered = one_line(heading.first("message-id"))
    references = one_line(heading.first("references") or heading.first("in-reply-to"))
    fields = {
        "From": action.sender or addresses.wire(mailbox),
        "To": addresses.wire(incoming.reverse_path),
        "Subject": action.subject or _subject(heading.first("subject")),
        "Message-ID": message_id(hostname, "vacation", incoming.recipient_id),
        "In-Reply-To": answered,
        "References": f"{references[-_MAX_REFERENCES:]} {answered}".strip() if answered else "",
        "Auto-Submitted": "auto-replied (vacation)",
    }
    return letter(fields, at, action.text, mime=action.mime)


def _subject(original: str) -> str:
    """RFC 5230 section 5.3."""
    return f"Auto: {one_line(original)}" if original else "Automated reply"


def _original(text: str) -> str:
    """The address of an ORCPT, which is how the sender knows the owner."""
    kind, _, address = text.partition(";")
    return address.lower() if kind.lower() == "rfc822" else ""
